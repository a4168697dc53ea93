//! An executor's own tasks, with the other executors played by the test.

use std::sync::Arc;

use super::family::Family;
use super::nest::Nest;
use super::runner::{Runner, Scratch};
use super::stack::Stack;
use crate::error::TaskError;
use crate::layout::{Fold, NEST_SLOTS, Plan, Shape};
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Generation, Hint, ProcessId, SlotIndex, Word};
use crate::ring::steal::Taker;
use crate::shm::Segment;
use crate::task::{Functions, Outcome, TaskState};

/// For two executors.
pub(super) fn fold_of_two() -> Fold {
    let plan = Plan::new(Shape {
        workers: 2,
        threads: 1,
        slots: 64,
        clients: 2,
        memory: 2 << 20,
    });
    let segment = Segment::create(plan.len).expect("segment");
    Fold::new(segment, plan)
}

/// The nest of executor 0, and executor 1.
struct Pair {
    nest: &'static Nest,
    other: Runner,
}

fn pair() -> Pair {
    let fold = fold_of_two();
    let functions = Functions::of_this_program().expect("functions");
    let runner = |number: u32| {
        let pool = fold.pool(ProcessId::of_worker(number));
        Runner::new(ExecutorId(number), &fold, &pool, &functions, false)
    };
    let takers: Vec<_> = (0..2).map(|e| Taker::attach(fold.nest(e))).collect();
    let stack = Stack::default();
    stack.measure();
    Pair {
        nest: Nest::settle(&Arc::new(runner(0)), &takers, false, stack),
        other: runner(1),
    }
}

fn double(n: u64) -> u64 {
    2 * n
}

impl Pair {
    fn spawn(&self, n: u64) -> Hint {
        fn submit<F>(nest: &Nest, _: F, n: u64) -> Hint
        where
            F: Fn(u64) -> u64 + Copy + Send + 'static,
        {
            nest.submit::<F, u64, u64, _>(n, |child| child)
        }
        submit(self.nest, double, n)
    }

    fn is_stolen(&self, child: Hint) {
        assert!(self.other.run_spawned(child, 0, &mut Scratch::default()));
    }

    fn join(&self, child: Hint) -> Result<u64, TaskError> {
        let finished = self.nest.wait(child)?;
        Ok(finished.decode().expect("a number"))
    }

    fn spoil(&self, child: Hint, state: TaskState, owner: u32, generation: u64) {
        let word = Word::new(state as u8, owner, Generation::new(generation));
        let cell = &self.other.fold.slots[child.slot.at()];
        cell.spoil(word.pack());
    }

    /// All slots are free, and each is there once.
    fn is_whole(&self) -> bool {
        let mut taken: Vec<_> = std::iter::from_fn(|| self.nest.owns.take()).collect();
        taken
            .iter()
            .rev()
            .for_each(|place| self.nest.owns.put_back(*place));
        taken.sort_unstable();
        taken == (0..NEST_SLOTS).collect::<Vec<_>>()
    }
}

#[test]
fn what_is_done_makes_room_for_more() {
    let pair = pair();
    let children: Vec<_> = (0..NEST_SLOTS as u64).map(|n| pair.spawn(n)).collect();
    // Of three that others have run one is forsaken, and one is forsaken later.
    children[5..8]
        .iter()
        .for_each(|child| pair.is_stolen(*child));
    pair.nest.forsake(children[6]);
    let more: Vec<_> = (300..303).map(|n| pair.spawn(n)).collect();
    assert!(
        more.iter()
            .all(|child| child.slot != SlotIndex((1 << 24) - 1))
    );
    // There is no more room: what comes now is run at once.
    let at_once = pair.spawn(400);
    assert_eq!(at_once.slot, SlotIndex((1 << 24) - 1));
    for child in [children[5], at_once] {
        let name = pair.nest.name(child);
        assert!(
            name.is_some_and(|name| name.ends_with("double")),
            "{name:?}"
        );
    }
    pair.nest.forsake(children[7]);
    assert_eq!(pair.join(at_once), Ok(800));
    for (n, child) in (0..).zip(&children).filter(|(n, _)| !(6..8).contains(n)) {
        assert_eq!(pair.join(*child), Ok(2 * n));
    }
    for (n, child) in (300..).zip(more) {
        assert_eq!(pair.join(child), Ok(2 * n));
    }
    assert!(pair.is_whole());
}

/// One word of a child says what it never said: that child has an error, or is run, and
/// nothing of the others changes.
#[test]
fn a_spoilt_word_harms_one_child() {
    use TaskState::{Done, Finishing, Free, Pending, Queued, Running, Waiting};
    let states = [Free, Queued, Running, Done, Waiting, Pending, Finishing];
    for (state, owner, ahead) in states
        .into_iter()
        .flat_map(|state| [(state, 0, 0), (state, 1, 0), (state, 0, 1), (state, 9, 1)])
    {
        if matches!(state, Running | Waiting) && ahead == 0 {
            continue; // it waits for whoever runs it: the host looks after that
        }
        let pair = pair();
        let children: Vec<_> = (0..NEST_SLOTS as u64).map(|n| pair.spawn(n)).collect();
        let spoilt = children[40];
        pair.spoil(spoilt, state, owner, spoilt.generation.raw() + ahead);
        // Whoever looks for room meets it.
        let more = pair.spawn(1000);
        let late = pair.join(spoilt);
        let is_right = matches!(late, Ok(80) | Err(TaskError::Corrupted { .. }));
        let is_taken_for_done = state == Done && ahead == 0;
        assert!(
            is_right || is_taken_for_done,
            "{state:?} {owner} {ahead}: {late:?}"
        );
        assert_eq!(pair.join(more), Ok(2000), "{state:?} {owner} {ahead}");
        for (n, child) in (0..).zip(&children).filter(|(n, _)| *n != 40) {
            assert_eq!(pair.join(*child), Ok(2 * n), "{state:?} {owner} {ahead}");
        }
        assert!(pair.is_whole(), "{state:?} {owner} {ahead}");
        let again: Vec<_> = (0..NEST_SLOTS as u64).map(|n| pair.spawn(n)).collect();
        for (n, child) in (0..).zip(again) {
            assert_eq!(pair.join(child), Ok(2 * n), "{state:?} {owner} {ahead}");
        }
    }
}

/// Whom it helps is part of another task: afterwards it is what it was.
#[test]
fn a_task_is_part_of_its_own_root_again_after_it_has_helped() {
    let pair = pair();
    let child = pair.spawn(1);
    let root = Hint {
        slot: SlotIndex(3),
        generation: Generation::new(7),
    };
    pair.other.fold.notes[child.slot.at()].set_kin(root.pack(), root.pack());
    let before = pair.other.root();
    pair.is_stolen(child);
    assert_eq!(pair.other.root(), before);
    assert_eq!(pair.other.record().doing.top.load(Ordering::Relaxed), 0);
    assert_eq!(pair.join(child), Ok(2));
}

/// A scope ends whatever a wild worker writes over its children's words, and tells of these
/// alone; what others have run, what was joined, dropped or cancelled is as it was.
#[test]
fn spoilt_words_end_no_other_child_of_a_scope() {
    let pair = pair();
    let family = Family::new(false);
    let children: Vec<_> = (0..8).map(|n| pair.spawn(n)).collect();
    (children.iter()).for_each(|child| pair.nest.watch(&family, *child));
    pair.is_stolen(children[1]);
    // Nobody can claim this; that is of another generation.
    let generation = |at: usize| children[at].generation.raw();
    pair.spoil(children[2], TaskState::Queued, 9, generation(2));
    pair.spoil(children[3], TaskState::Queued, 0, generation(3) + 1);
    pair.nest.forsake(children[4]);
    assert_eq!(pair.join(children[5]), Ok(10));
    pair.nest.cancel(&children[6..7]);
    assert!(!pair.nest.is_open(children[6]) && pair.nest.is_open(children[7]));
    pair.nest.finish(&family);
    let errors = family.take_errors();
    let mut spoilt: Vec<usize> = errors.iter().map(|(number, _)| *number).collect();
    spoilt.sort_unstable();
    assert_eq!(spoilt, [2, 3], "{errors:?}");
    for (at, expected) in [(0, 0), (1, 2), (7, 14)] {
        assert_eq!(pair.join(children[at]), Ok(expected));
    }
    let cancelled = pair.nest.wait(children[6]).expect("it has ended");
    assert_eq!(cancelled.outcome, Outcome::Cancelled);
    for spoilt in [children[2], children[3]] {
        assert!(pair.nest.wait(spoilt).is_err());
    }
    assert!(pair.nest.watched.borrow().is_empty() && pair.nest.aside.borrow().is_empty());
    assert!(pair.is_whole());
}

/// Who asks whether a scope waits for it finds an end, though its parents are each other's.
#[test]
fn notes_that_lead_in_a_circle_are_followed_to_an_end() {
    let pair = pair();
    let (a, b) = (pair.spawn(1), pair.spawn(2));
    let notes = &pair.other.fold.notes;
    notes[a.slot.at()].set_kin(0, b.pack());
    notes[b.slot.at()].set_kin(0, a.pack());
    let below = pair.spawn(3);
    notes[below.slot.at()].set_kin(0, a.pack());
    pair.nest.forsake(below);
    pair.nest.await_kin(a);
    assert!(pair.nest.is_open(below), "it was not waited for");
    notes[b.slot.at()].await_kin(b.generation);
    pair.nest.await_kin(a);
    assert!(!pair.nest.is_open(below));
    // Far beyond all slots.
    notes[a.slot.at()].set_kin(0, u64::MAX);
    pair.nest.forsake(b);
    pair.nest.await_kin(a);
}
