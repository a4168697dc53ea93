//! When the status of the dead is told, and what happens to a task meanwhile.

use std::time::Instant;

use super::*;

/// Dies after the claim of the only task there is.
fn dies_running(scheduler: &Scheduler, worker: u32, pid: i32) -> Hand {
    let mut dead = Hand::new(scheduler, worker);
    let mut step = 0;
    // The claim is the only step after which there is a running word of it.
    let owns = |slot: &crate::task::Slot| {
        let word = slot.word();
        TaskState::of(word) == Some(TaskState::Running) && word.owner == worker
    };
    while !scheduler.fold.slots.iter().any(owns) {
        assert!(dead.dies(step), "there is something to run");
        assert!(step < 20);
        step += 1;
    }
    assert_eq!(scheduler.rescue(worker, pid), 1);
    dead
}

fn poison_of(outcome: Outcome) -> Vec<Death> {
    match outcome.map_err(|error| *error) {
        Err(TaskError::Poison { attempts, .. }) => attempts.iter().map(|a| a.death).collect(),
        other => panic!("{other:?}"),
    }
}

/// A repeatable task kills each of its workers: it ends as poison, once, and each
/// attempt has its cause, in whatever order the statuses come.
#[test]
fn poison_tells_each_cause_in_any_order() {
    let causes = [SEGFAULT, KILLED, Death::Exited { status: 3 }];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let scheduler = scheduler(3, SLOTS);
        let mut job = job(&scheduler, square, 1);
        (
            job.settings_mut().attempts,
            job.settings_mut().backoff.first,
        ) = (3, Duration::ZERO);
        let ticket = submit(&scheduler, job);
        let corpses: Vec<_> = (0..3)
            .map(|worker| {
                scheduler.tick(Instant::now() + HOUR);
                dies_running(&scheduler, worker, PID + worker as i32)
            })
            .collect();
        for (heard, which) in order.into_iter().enumerate() {
            assert!(
                scheduler.poll(&ticket).is_none(),
                "{order:?}: {heard} of 3 causes are known"
            );
            assert_eq!(scheduler.audit().orphans, [""; 0]);
            check_not_suspected(&scheduler);
            scheduler.told(PID + which, causes[which as usize]);
        }
        let outcome = scheduler.poll(&ticket).expect("all causes are known");
        assert_eq!(poison_of(outcome), causes, "{order:?}");
        let counters = scheduler.counters();
        assert_eq!((counters.died, counters.repeated), (1, 2));
        check_whole(&scheduler);
        drop(corpses);
    }
}

/// A status that comes while the task runs again, or after that has ended, changes
/// nothing; another worker's status neither.
#[test]
fn a_late_status_of_a_task_that_runs_again_ends_nothing() {
    let scheduler = scheduler(2, SLOTS);
    let mut job = job(&scheduler, square, 2);
    job.settings_mut().attempts = 2;
    let ticket = submit(&scheduler, job);
    let dead = dies_running(&scheduler, 0, PID);
    let slot = &scheduler.fold.slots[hint_of(&scheduler, &ticket).slot.at()];
    let again = hint_of(&scheduler, &ticket);
    assert!(slot.claim(ExecutorId(1), again.generation));
    scheduler.told(PID + 7, KILLED);
    scheduler.told(PID, SEGFAULT);
    assert!(scheduler.poll(&ticket).is_none(), "it runs");
    scheduler.fold.executors[1]
        .doing
        .current
        .store(again.pack(), Ordering::Relaxed);
    check_not_suspected(&scheduler);
    let (head, _) = slot.read().expect("makes sense");
    let outcome = Ran::Value;
    slot.write(Head { outcome, ..head }, &[4]);
    slot.finish(ExecutorId(1), again.generation);
    let value = scheduler.poll(&ticket).expect("ended").expect("4");
    assert_eq!(value.decode(), Ok(4u64));
    // The slot serves another task by now.
    let next = submit(&scheduler, super::job(&scheduler, square, 3));
    assert_eq!(hint_of(&scheduler, &next).slot, again.slot);
    scheduler.told(PID, KILLED);
    assert!(scheduler.poll(&next).is_none());
    Hand::new(&scheduler, 1).run_all();
    scheduler.poll(&next).expect("ended").expect("9");
    check_whole(&scheduler);
    drop(dead);
}

/// A task that waited for its cause ended by its deadline. When the cause comes, its
/// slot serves another task, which has lost an attempt itself: that one goes on.
#[test]
fn a_status_of_a_task_that_ended_spares_the_next_in_its_slot() {
    let scheduler = scheduler(3, SLOTS);
    let mut first = job(&scheduler, square, 1);
    first.settings_mut().deadline = Some(Duration::from_secs(60));
    let first = submit(&scheduler, first);
    let slot = hint_of(&scheduler, &first).slot;
    let mut corpses = vec![dies_running(&scheduler, 0, PID)];
    scheduler.tick(Instant::now() + HOUR);
    let outcome = scheduler.poll(&first).expect("ended").map(drop);
    let error = outcome.expect_err("late");
    assert!(matches!(
        *error,
        TaskError::DeadlineExceeded { begun: true, .. }
    ));

    let mut second = job(&scheduler, square, 2);
    second.settings_mut().attempts = 2;
    let second = submit(&scheduler, second);
    assert_eq!(hint_of(&scheduler, &second).slot, slot);
    corpses.push(dies_running(&scheduler, 1, PID + 1));
    scheduler.told(PID, SEGFAULT);
    assert!(scheduler.poll(&second).is_none(), "has an attempt left");
    corpses.push(dies_running(&scheduler, 2, PID + 2));
    scheduler.told(PID + 1, KILLED);
    scheduler.told(PID + 2, KILLED);
    let outcome = scheduler.poll(&second).expect("ended");
    assert_eq!(
        poison_of(outcome),
        [KILLED, KILLED],
        "none of another task's"
    );
    check_whole(&scheduler);
    drop(corpses);
}

/// While a task waits for its next attempt it belongs to the host alone: hints of it
/// take nothing, another death changes nothing, and when its time has come it runs.
#[test]
fn a_death_while_the_task_waits_for_its_next_attempt() {
    let scheduler = scheduler(3, SLOTS);
    let mut job = job(&scheduler, square, 3);
    (
        job.settings_mut().attempts,
        job.settings_mut().backoff.first,
    ) = (3, HOUR);
    job.settings_mut().backoff.longest = HOUR;
    let ticket = submit(&scheduler, job);
    let mut corpses = vec![dies_running(&scheduler, 0, PID)];
    assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Queued));
    corpses.push(dies_running(&scheduler, 1, PID + 1));
    let check_waits = || {
        assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Waiting));
        assert!(scheduler.poll(&ticket).is_none());
        assert_eq!(scheduler.audit().orphans, [""; 0]);
        check_not_suspected(&scheduler);
    };
    check_waits();
    let mut bystander = Hand::new(&scheduler, 2);
    // Dies with the task's old hint announced.
    bystander
        .record()
        .announce(&[hint_of(&scheduler, &ticket).pack()]);
    bystander.run_all();
    check_waits();
    bystander
        .record()
        .announce(&[hint_of(&scheduler, &ticket).pack()]);
    assert_eq!(scheduler.rescue(2, PID + 2), 0);
    check_waits();
    assert_eq!(scheduler.rescue(1, PID + 1), 0, "twice");
    scheduler.told(PID + 1, SEGFAULT);
    scheduler.told(PID + 2, KILLED);
    check_waits();
    assert!(scheduler.tick(Instant::now()).is_empty());
    check_waits();
    assert!(scheduler.tick(Instant::now() + 3 * HOUR).is_empty());
    assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Queued));
    Hand::new(&scheduler, 2).run_all();
    scheduler.told(PID, SEGFAULT);
    let value = scheduler.poll(&ticket).expect("ended").expect("9");
    assert_eq!(value.decode(), Ok(9u64));
    assert_eq!(scheduler.counters().repeated, 2);
    check_whole(&scheduler);
}

/// The host closes, or ends all, while a task waits for its cause or its next
/// attempt: what comes later finds nothing.
#[test]
fn all_is_ended_while_a_status_is_awaited() {
    for attempts in [1, 2] {
        let scheduler = scheduler(2, SLOTS);
        let mut job = job(&scheduler, square, 3);
        job.settings_mut().attempts = attempts;
        let ticket = submit(&scheduler, job);
        let dead = dies_running(&scheduler, 0, PID);
        assert_eq!(scheduler.fail_all(&TaskError::shutdown()), 1);
        scheduler.told(PID, SEGFAULT);
        scheduler.tick(Instant::now() + HOUR);
        Hand::new(&scheduler, 1).run_all();
        let outcome = scheduler.poll(&ticket).expect("ended");
        assert!(
            matches!(outcome.map(drop), Err(error) if matches!(*error, TaskError::Shutdown { .. }))
        );
        assert_eq!(scheduler.counters().failed, 1);
        assert_eq!(scheduler.audit().orphans, [""; 0]);
        drop(dead);
    }
}

/// Last words and cause arrive together, whoever read which first.
#[test]
fn last_words_are_kept_until_the_cause_is_told() {
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 3));
    scheduler.fold.executors[0].last_words.write(0, "said so");
    let dead = dies_running(&scheduler, 0, PID);
    assert_eq!(scheduler.fold.executors[0].last_words.read(), None);
    scheduler.told(PID, SEGFAULT);
    match scheduler.poll(&ticket).expect("ended").map_err(|e| *e) {
        Err(TaskError::WorkerDied { last_words, .. }) => {
            assert_eq!(last_words.as_deref(), Some("said so"));
        }
        other => panic!("{other:?}"),
    }
    check_whole(&scheduler);
    drop(dead);
}

/// A worker that is not dead yet may write over what was ended; nobody believes it.
#[test]
fn what_has_failed_stays_so_whatever_is_written_into_its_slot() {
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 1));
    let hint = hint_of(&scheduler, &ticket);
    scheduler.fail_all(&TaskError::shutdown());
    scheduler.fold.slots[hint.slot.at()].hold(hint.generation);
    assert!(scheduler.is_settled(&ticket));
    let outcome = scheduler.poll(&ticket).expect("ended").map(drop);
    assert!(matches!(
        *outcome.expect_err("no value"),
        TaskError::Shutdown { .. }
    ));
}
