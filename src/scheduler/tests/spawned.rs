//! Tasks that tasks have spawned: slots of executors, of which the owner, the runner
//! or both may die.

use crate::prim::{Generation, SlotIndex, Word};

use super::*;

/// A task that executor `owner` has spawned and offered, in its `at`th slot.
pub(super) fn spawned(scheduler: &Scheduler, owner: u32, at: u32) -> Hint {
    let fold = &scheduler.fold;
    let slot = SlotIndex(fold.plan.shape.nest_start(owner as usize) + at);
    let cell = &fold.slots[slot.at()];
    let generation = cell.word().generation;
    let used = &fold.executors[owner as usize].status.nest_used;
    used.fetch_max(u64::from(at) + 1, Ordering::Release);
    let head = Head {
        function: 0,
        outcome: Ran::None,
        parcels: 0,
        is_labelled: false,
        is_timed: false,
        place: Place::Inline(1),
    };
    cell.write(head, &[u64::from(at)]);
    cell.queue(generation);
    let hint = Hint { slot, generation };
    let mut ring = steal::Producer::attach(fold.nest(owner as usize));
    assert_eq!(ring.stage(hint.pack()), Ok(true));
    ring.publish();
    hint
}

pub(super) fn word_of(scheduler: &Scheduler, hint: Hint) -> (TaskState, u32, Generation) {
    let Word {
        owner, generation, ..
    } = scheduler.fold.slots[hint.slot.at()].word();
    let state = TaskState::of(scheduler.fold.slots[hint.slot.at()].word());
    (state.expect("a state"), owner, generation)
}

/// All hints in the inboxes, which are empty then.
pub(super) fn take_hints(scheduler: &Scheduler) -> Vec<u64> {
    let mut all = Vec::new();
    for executor in 0..scheduler.fold.plan.shape.executors() {
        let inbox = steal::Taker::attach(scheduler.fold.inbox(executor));
        let mut hints = [0; BATCH_MAX];
        while let (count @ 1.., _) = inbox.take(&mut hints, false, |_| ()).expect("whole") {
            all.extend_from_slice(&hints[..count]);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Trap 9: a nested take must not overwrite the announcement of the batch below. It
/// announces nothing; its hint, lost with the taker, is issued again all the same.
#[test]
fn trap_9_a_nested_take_leaves_the_outer_announcement_alone() {
    let scheduler = scheduler(2, SLOTS);
    let tickets: Vec<_> = (0..3)
        .map(|n| submit(&scheduler, job(&scheduler, square, n)))
        .collect();
    let mut dead = Hand::new(&scheduler, 0);
    assert!(dead.dies(CLAIMED));
    let batch: Vec<u64> = dead.record().announced().collect();
    let child = spawned(&scheduler, 1, 0);
    // While its first task waits for one of its own, it takes another's, and dies.
    let nest = steal::Taker::attach(scheduler.fold.nest(1));
    let mut taken = [0];
    assert_eq!(nest.take(&mut taken, false, |_| ()), Ok((1, 0)));
    assert!(dead.record().announced().eq(batch.iter().copied()));

    scheduler.rescue(0, PID);
    let hints = take_hints(&scheduler);
    assert!(hints.contains(&child.pack()), "the nested one");
    for ticket in &tickets {
        let is_queued = state_of(&scheduler, ticket) == Some(TaskState::Queued);
        let is_issued = hints.contains(&hint_of(&scheduler, ticket).pack());
        let is_below = batch.contains(&hint_of(&scheduler, ticket).pack());
        assert!(!is_queued || is_issued || !is_below, "the outer ones");
    }
    assert_eq!(scheduler.audit().orphans, [""; 0]);
}

/// Trap 10, first half: children of the dead would leak if nobody knew whose they
/// are. Each state a spawned task can be in, its owner, its runner or both dead.
#[test]
fn trap_10_children_of_the_dead_do_not_leak() {
    const DEAD: u32 = 0;
    const LIVING: u32 = 1;
    for owner in [DEAD, LIVING] {
        let scheduler = scheduler(2, SLOTS);
        let cell = |hint: Hint| &scheduler.fold.slots[hint.slot.at()];
        let queued = spawned(&scheduler, owner, 0);
        let [by_dead, by_living] = [DEAD, LIVING].map(|runner| {
            let hint = spawned(&scheduler, owner, 1 + runner);
            assert!(cell(hint).claim(ExecutorId(runner), hint.generation));
            hint
        });
        let done = spawned(&scheduler, owner, 3);
        assert!(cell(done).claim(ExecutorId(DEAD), done.generation));
        let (head, _) = cell(done).read().expect("makes sense");
        let outcome = Ran::Value;
        cell(done).write(Head { outcome, ..head }, &[7]);
        cell(done).finish(ExecutorId(DEAD), done.generation);

        for _ in 0..2 {
            scheduler.rescue(DEAD, PID);
            check_not_suspected(&scheduler);
            assert_eq!(scheduler.audit().orphans, [""; 0], "owner {owner}");
            let state = |hint| word_of(&scheduler, hint).0;
            // The living go on with it; the owner, or its successor, collects it.
            assert_eq!(state(by_living), TaskState::Running);
            assert_eq!(state(done), TaskState::Done);
            let expected = if owner == DEAD {
                (TaskState::Free, TaskState::Free)
            } else {
                (TaskState::Queued, TaskState::Waiting)
            };
            assert_eq!((state(queued), state(by_dead)), expected);
        }
        let hints = take_hints(&scheduler);
        assert_eq!(hints.contains(&queued.pack()), owner == LIVING);
        if owner == DEAD {
            // A late thief takes nothing.
            assert!(!cell(queued).claim(ExecutorId(LIVING), queued.generation));
            continue;
        }
        scheduler.told(PID, SEGFAULT);
        assert_eq!(word_of(&scheduler, by_dead).0, TaskState::Done);
        let (head, words) = cell(by_dead).read().expect("makes sense");
        assert_eq!(head.outcome, Ran::Lost);
        let Place::Inline(len) = head.place else {
            panic!("{head:?}");
        };
        let told = Payload::from_words(words, len);
        assert_eq!(crate::task::decode_own(told.bytes()), Some(SEGFAULT));
        // Its owner collects it, and uses the slot again: nothing comes of a
        // status that is told twice.
        cell(by_dead).release(by_dead.generation);
        scheduler.told(PID, KILLED);
        assert_eq!(word_of(&scheduler, by_dead).0, TaskState::Free);
        assert!(scheduler.lock().losses.dying().is_empty());
    }
}

/// The parent waits to hear what its child died of, and dies too: the status finds
/// nothing to tell, even if the slot's next task waits for another one.
#[test]
fn a_parent_dies_while_its_childs_cause_is_awaited() {
    let scheduler = scheduler(3, SLOTS);
    let cell = |hint: Hint| &scheduler.fold.slots[hint.slot.at()];
    let child = spawned(&scheduler, 1, 0);
    assert!(cell(child).claim(ExecutorId(0), child.generation));
    scheduler.rescue(0, PID);
    assert_eq!(word_of(&scheduler, child).0, TaskState::Waiting);
    scheduler.rescue(1, PID + 1);
    assert_eq!(word_of(&scheduler, child).0, TaskState::Free);
    scheduler.expect(1);
    let next = spawned(&scheduler, 1, 0);
    assert_eq!(next.generation, child.generation.next());
    assert!(cell(next).claim(ExecutorId(2), next.generation));
    scheduler.rescue(2, PID + 2);
    scheduler.told(PID, SEGFAULT);
    scheduler.told(PID + 1, SEGFAULT);
    assert_eq!(word_of(&scheduler, next).0, TaskState::Waiting, "another's");
    scheduler.told(PID + 2, KILLED);
    assert_eq!(word_of(&scheduler, next).0, TaskState::Done);
    assert_eq!(scheduler.audit().orphans, [""; 0]);
}

/// Trap 10, second half: of the tasks stacked on one executor only the top one is to
/// blame. What is at the bottom loses no attempt when that was another's, and loses
/// one when it was a child of its own.
#[test]
fn trap_10_only_the_top_of_a_stack_is_to_blame() {
    for (owner, is_blamed) in [(None, true), (Some(0), true), (Some(1), false)] {
        let scheduler = scheduler(2, SLOTS);
        let mut job = job(&scheduler, square, 3);
        job.settings_mut().attempts = 2;
        let ticket = submit(&scheduler, job);
        let hint = hint_of(&scheduler, &ticket);
        let mut corpses = Vec::new();
        for death in 0..2 {
            let dead = Hand::new(&scheduler, 0);
            let cell = &scheduler.fold.slots[hint.slot.at()];
            assert!(cell.claim(ExecutorId(0), hint.generation), "death {death}");
            if let Some(owner) = owner {
                let top = spawned(&scheduler, owner, death);
                let doing = &scheduler.fold.executors[0].doing;
                doing.top.store(top.pack(), Ordering::Relaxed);
            }
            assert_eq!(scheduler.rescue(0, PID), 1);
            scheduler.told(PID, SEGFAULT);
            corpses.push(dead);
        }
        let outcome = scheduler.poll(&ticket);
        assert_eq!(outcome.is_some(), is_blamed, "top of {owner:?}");
        let repeated = if is_blamed { 1 } else { 2 };
        assert_eq!(scheduler.counters().repeated, repeated);
        assert_eq!(scheduler.audit().orphans, [""; 0]);
    }
}
