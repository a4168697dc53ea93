//! Hints doubled, stale, without a home, and gone; records and marks of the dead.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::scheduler::recover::inspect::Suspects;

use super::*;

fn waiting_hints(scheduler: &Scheduler) -> u64 {
    let mut state = scheduler.lock();
    let mut rings = state.queues.rings();
    rings
        .try_fold(0, |sum, (_, ring)| ring.refresh().map(|n| sum + n))
        .expect("whole")
}

/// A record that was never written speaks of no task, not even of the first one of
/// the first slot.
#[test]
fn a_fresh_record_announces_nothing() {
    let scheduler = scheduler(2, SLOTS);
    let first = submit(&scheduler, job(&scheduler, square, 3));
    assert_eq!(hint_of(&scheduler, &first).slot.0, 0);
    scheduler.rescue(0, PID);
    scheduler.rescue(1, PID + 1);
    assert_eq!(waiting_hints(&scheduler), 1, "issued once");

    // Nor does it hide that this task is with nobody.
    let mut thief = [0; 1];
    for inbox in 0..2 {
        let inbox = steal::Taker::attach(scheduler.fold.inbox(inbox));
        inbox.take(&mut thief, false, |_| {}).expect("whole");
    }
    let mut suspects = Suspects::new();
    scheduler.look_again(&mut scheduler.lock(), &mut suspects);
    assert_eq!(suspects.len(), 1);
    assert!(!scheduler.is_condemned(), "may have been in motion");
    scheduler.look_again(&mut scheduler.lock(), &mut suspects);
    assert!(scheduler.is_condemned());
}

/// What a record still says of an earlier batch, or of one of an executor that sleeps,
/// is nobody's either: a hint may have been copied there, and overwritten where it lay.
#[test]
fn a_task_of_which_only_an_old_announcement_speaks_is_found() {
    for is_counted in [false, true] {
        let scheduler = scheduler(1, SLOTS);
        let ticket = submit(&scheduler, job(&scheduler, square, 3));
        let record = &scheduler.fold.executors[0];
        let inbox = steal::Taker::attach(scheduler.fold.inbox(0));
        let mut hint = [0];
        let taken = inbox.take(&mut hint, false, |hints| record.announce(hints));
        assert!(matches!(taken, Ok((1, _))));
        let mut suspects = Suspects::new();
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
        assert_eq!(suspects, [], "it is with the one that has announced it");
        if is_counted {
            scheduler.fold.crowd.sleeping.insert(0);
        } else {
            record.announce_nothing();
        }
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
        assert_eq!(suspects.len(), 1);
        if is_counted {
            // It was woken, and sleeps again.
            scheduler.fold.crowd.sleeping.insert(0);
        }
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
        assert!(scheduler.is_condemned());
        assert!(
            scheduler
                .poll(&ticket)
                .is_some_and(|outcome| outcome.is_err())
        );
    }
}

/// Running, says the word, but its executor is at another task: nobody's.
#[test]
fn a_task_that_its_executor_does_not_run_is_found() {
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 3));
    let hint = hint_of(&scheduler, &ticket);
    assert!(scheduler.fold.slots[hint.slot.at()].claim(ExecutorId(0), hint.generation));
    let mut suspects = Suspects::new();
    scheduler.look_again(&mut scheduler.lock(), &mut suspects);
    scheduler.look_again(&mut scheduler.lock(), &mut suspects);
    assert!(scheduler.is_condemned());
    let error = scheduler.poll(&ticket).expect("ended").map(drop);
    assert!(matches!(
        *error.expect_err("no value"),
        TaskError::Corrupted { .. }
    ));
}

/// Trap 3: executors that die again and again with hints announced and not taken
/// have them issued each time, until no ring has room. What finds none is kept, and
/// comes in when the ring is emptied, even if by nothing but stale hints.
#[test]
fn trap_3_hints_issued_again_may_overflow_the_ring() {
    let slots = BATCH_MAX as u32;
    let scheduler = scheduler(1, slots);
    let capacity = scheduler.fold.plan.shape.ring_capacity() as u64;
    let submit_all = || -> Vec<Ticket> {
        (0..u64::from(slots))
            .map(|n| submit(&scheduler, job(&scheduler, square, n)))
            .collect()
    };
    let collect_all = |tickets: Vec<Ticket>| {
        for (n, ticket) in (0..).zip(tickets) {
            let value = scheduler.poll(&ticket).expect("ended").expect("a value");
            assert_eq!(value.decode::<u64>(), Ok(n * n));
        }
    };
    let tickets = submit_all();
    let mut corpses = Vec::new();
    for death in 1..=4 {
        let mut dead = Hand::new(&scheduler, 0);
        assert!(dead.dies(1), "announced, not taken");
        assert_eq!(scheduler.rescue(0, PID), 0);
        let all = u64::from(slots) * (death + 1);
        assert_eq!(waiting_hints(&scheduler), all.min(capacity));
        let homeless = scheduler.lock().queues.aside().len() as u64;
        assert_eq!(homeless, all.saturating_sub(capacity));
        corpses.push(dead);
    }
    RUNS.set(0);
    let mut hand = Hand::new(&scheduler, 0);
    // Three steps to take them, seven for each: it has done ten.
    assert!(hand.dies(3 + 7 * 10));
    assert_eq!(scheduler.rescue(0, PID), 0);
    assert_eq!(scheduler.counters().completed, 10);
    // All are done, or will be, and the ring is full of hints that no longer hold.
    let mut hand = Hand::new(&scheduler, 0);
    let count = |s: &Scheduler| s.counters().in_flight;
    while count(&scheduler) > 0 {
        assert!(hand.run_all() > 0, "nothing left to take");
    }
    collect_all(tickets);
    assert_eq!(RUNS.get(), slots, "each once");

    // Fill the ring with stale ones to the brim: the next tasks find no room.
    let stale = Hint {
        slot: crate::prim::SlotIndex(0),
        generation: crate::prim::Generation::new(1),
    };
    {
        let mut state = scheduler.lock();
        while !state.queues.has_aside() {
            scheduler.place(&mut state, stale.pack());
        }
        scheduler.publish(&mut state);
    }
    let tickets = submit_all();
    assert_eq!(waiting_hints(&scheduler), capacity);
    check_not_suspected(&scheduler);
    hand.run_all();
    while count(&scheduler) > 0 {
        assert!(hand.run_all() > 0, "those without room were forgotten");
    }
    collect_all(tickets);
    check_whole(&scheduler);
}

/// Trap 13: a worker's record is used again only after the sweep, which leaves it as
/// a first incarnation finds it. The sweep of the first is over when the successor
/// begins; done once more afterwards it would wipe what that has announced.
#[test]
fn trap_13_a_record_is_swept_before_it_is_used_again() {
    let scheduler = scheduler(2, SLOTS);
    let tickets: Vec<_> = (0..3)
        .map(|n| submit(&scheduler, job(&scheduler, square, n)))
        .collect();
    let record = &scheduler.fold.executors[0];
    let mut dead = Hand::new(&scheduler, 0);
    record.status.online.store(1, Ordering::Relaxed);
    record.status.grain_ns.store(99, Ordering::Relaxed);
    record.last_words.write(0, "the first one's");
    scheduler.fold.crowd.sleeping.insert(0);
    scheduler.fold.crowd.searching.insert(0);
    assert!(dead.dies(4));
    assert!(record.announced().count() > 0);
    scheduler.rescue(0, PID);
    assert_eq!(record.announced().count(), 0);
    assert!(record.announced_ever().all(|hint| hint == 0));
    assert_eq!(record.status.online.load(Ordering::Relaxed), 0);
    assert_eq!(record.status.grain_ns.load(Ordering::Relaxed), 0);
    assert_eq!(record.last_words.read(), None);
    assert!(!scheduler.fold.crowd.sleeping.contains(0));
    assert!(!scheduler.fold.crowd.searching.any());
    assert!(
        !scheduler.lock().losses.is_there(0),
        "a successor may be started"
    );
    let _successor = Hand::new(&scheduler, 0);
    assert!(scheduler.lock().losses.is_there(0));
    Hand::new(&scheduler, 1).run_all();
    scheduler.told(PID, SEGFAULT);
    let values = tickets.iter().filter_map(|t| scheduler.poll(t)?.ok());
    assert_eq!(values.count(), 2);
    check_whole(&scheduler);
}

/// Trap 6, seen from the host: a waker of the dead worker had taken the sleeper out
/// of its set and cleared its mark, and died before the system call. The sleeper
/// wakes by the rescue.
#[test]
fn trap_6_a_sleeper_whose_waker_died_is_woken_by_the_rescue() {
    let scheduler = scheduler(3, SLOTS);
    let crowd = &scheduler.fold.crowd;
    let is_down = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let bell = &scheduler.fold.executors[2].bell;
            let key = crowd.lie_down(2, bell);
            // What the waker did: chosen and marked, but neither epoch nor wake.
            crowd.searching.insert(2);
            crowd.sleeping.remove(2);
            is_down.store(true, std::sync::atomic::Ordering::Release);
            // Without an end, but for the rescue.
            bell.wait(key, None);
            crowd.get_up(2);
        });
        while !is_down.load(std::sync::atomic::Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert!(!scheduler.fold.wake_one(ExecutorId(2)), "it seems awake");
        scheduler.rescue(0, PID);
    });
    assert!(crowd.searching.contains(2));
    check_whole(&scheduler);
}

/// The dead worker had marked another as searching, who is busy: work that comes now
/// must wake a third, who sleeps.
#[test]
fn a_mark_that_the_dead_set_for_another_keeps_nobody_asleep() {
    let scheduler = scheduler(3, SLOTS);
    let crowd = &scheduler.fold.crowd;
    crowd.sleeping.insert(2);
    crowd.searching.insert(1);
    let word_before = scheduler.fold.executors[2].bell.prepare();
    assert!(
        !scheduler.fold.wake_one(ExecutorId(2)),
        "held back by the mark"
    );
    scheduler.rescue(0, PID);
    assert!(crowd.sleeping.contains(2), "not the dead one's");
    assert!(scheduler.fold.wake_one(ExecutorId(2)));
    assert!(crowd.searching.contains(2));
    // Rung meanwhile: does not sleep.
    let soon = Some(Instant::now() + HOUR);
    scheduler.fold.executors[2].bell.wait(word_before, soon);
    check_whole(&scheduler);
}
