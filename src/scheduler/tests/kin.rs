//! Children of what ends early, in each place where one can be. Each test is a row of the
//! table in docs/PROTOCOLS.md ("Children of what ends early").

use std::time::Instant;

use crate::prim::Overdue;
use crate::task::Orphans;

use crate::scheduler::Reach;

use super::spawned::{spawned, word_of};
use super::*;

/// Who runs the root; who runs its children elsewhere.
const ROOTS: u32 = 0;
const OTHER: u32 = 1;
const THIRD: u32 = 2;

fn begin(scheduler: &Scheduler, executor: u32, hint: Hint) {
    let cell = &scheduler.fold.slots[hint.slot.at()];
    assert!(cell.claim(ExecutorId(executor), hint.generation));
}

fn is_told(scheduler: &Scheduler, hint: Hint) -> bool {
    scheduler.fold.notes[hint.slot.at()].is_cancelled(hint.generation)
}

/// A root that `ROOTS` runs, and its children in the order of the table's columns.
struct Family {
    scheduler: Scheduler,
    ticket: Ticket,
    root: Hint,
    /// Not begun.
    queued: Hint,
    /// Run by another worker.
    elsewhere: Hint,
    /// What that one has spawned: run by a third one.
    below: Hint,
    /// Done, and not read.
    done: Hint,
    /// Of a task that has ended in order, and run by another worker.
    stranger: Hint,
}

fn family(orphans: Orphans, settings: impl Fn(&mut Job)) -> Family {
    let mut scheduler = scheduler(3, SLOTS);
    scheduler.orphans = orphans;
    let mut job = job(&scheduler, square, 3);
    settings(&mut job);
    let ticket = submit(&scheduler, job);
    let root = hint_of(&scheduler, &ticket);
    scheduler.fold.executors[ROOTS as usize]
        .doing
        .current
        .store(root.pack(), Ordering::Relaxed);
    begin(&scheduler, ROOTS, root);
    let child = |owner: u32, at: u32, root: Hint, parent: Hint| {
        let hint = spawned(&scheduler, owner, at);
        scheduler.fold.notes[hint.slot.at()].set_kin(root.pack(), parent.pack());
        hint
    };
    let queued = child(ROOTS, 0, root, root);
    let elsewhere = child(ROOTS, 1, root, root);
    begin(&scheduler, OTHER, elsewhere);
    let below = child(OTHER, 0, root, elsewhere);
    begin(&scheduler, THIRD, below);
    let done = child(ROOTS, 2, root, root);
    begin(&scheduler, OTHER, done);
    let cell = &scheduler.fold.slots[done.slot.at()];
    let (head, _) = cell.read().expect("makes sense");
    let outcome = Ran::Value;
    cell.write(Head { outcome, ..head }, &[7]);
    cell.finish(ExecutorId(OTHER), done.generation);
    let slot = crate::prim::SlotIndex(root.slot.0 + 1);
    let former = Hint { slot, ..root };
    let stranger = child(ROOTS, 3, former, former);
    begin(&scheduler, OTHER, stranger);
    Family {
        scheduler,
        ticket,
        root,
        queued,
        elsewhere,
        below,
        done,
        stranger,
    }
}

impl Family {
    fn state(&self, hint: Hint) -> TaskState {
        word_of(&self.scheduler, hint).0
    }

    fn told(&self) -> [bool; 4] {
        let all = [self.queued, self.elsewhere, self.below, self.stranger];
        all.map(|hint| is_told(&self.scheduler, hint))
    }

    /// Whose workers are ended if they still run when their grace is over.
    fn strays(&self) -> Vec<Overdue> {
        let long_after = Instant::now() + 2 * self.scheduler.stray_grace;
        let mut due = self.scheduler.tick(long_after);
        due.sort_by_key(|overdue| overdue.worker);
        due
    }

    fn check_strays(&self, expected: &[(u32, Hint)]) {
        let strays = self.strays();
        let found: Vec<_> = strays.iter().map(|o| (o.worker, o.task)).collect();
        assert_eq!(found, expected);
        for stray in &strays {
            assert!(stray.was_asked && self.scheduler.strike(stray, None));
        }
        assert!(self.strays().is_empty(), "once");
    }

    fn both(&self) -> [(u32, Hint); 2] {
        [(OTHER, self.elsewhere), (THIRD, self.below)]
    }
}

/// They hear of it at once, for good, and have a grace when the root has ended.
#[test]
fn root_cancelled() {
    let family = family(Orphans::Cancel, |_| ());
    let Family { scheduler, .. } = &family;
    assert_eq!(family.told(), [false; 4]);
    assert!(scheduler.cancel(&family.ticket, Reach::Running));
    assert_eq!(family.told(), [true, true, true, false]);
    assert!(family.strays().is_empty(), "the root runs still");
    let states = [family.queued, family.done].map(|hint| family.state(hint));
    assert_eq!(states, [TaskState::Queued, TaskState::Done], "the owner's");

    // It listens, and ends; its slot is used again, and has another note.
    let cell = &scheduler.fold.slots[family.root.slot.at()];
    let head = Head {
        outcome: Ran::ReturnedErr,
        ..Head::of_arguments(0, 1)
    };
    cell.write(head, &[1]);
    cell.finish(ExecutorId(ROOTS), family.root.generation);
    let outcome = scheduler.poll(&family.ticket).map(|o| o.map(drop));
    assert!(matches!(outcome, Some(Err(error)) if matches!(*error, TaskError::Cancelled { .. })));
    let mut next = job(scheduler, square, 3);
    next.settings_mut().deadline = Some(Duration::from_secs(60));
    let next = submit(scheduler, next);
    assert_eq!(hint_of(scheduler, &next).slot, family.root.slot);
    assert_eq!(family.told(), [true, true, true, false]);
    family.check_strays(&family.both());
}

/// When its worker is to be ended, they hear so; when that has ended, they have a grace.
#[test]
fn root_late() {
    for orphans in [Orphans::Cancel, Orphans::Finish] {
        let limit = Duration::from_secs(60);
        let family = family(orphans, |job| job.settings_mut().deadline = Some(limit));
        let Family { scheduler, .. } = &family;
        let overdue = scheduler.tick(Instant::now() + limit);
        assert_eq!(overdue.len(), 1);
        assert_eq!(family.told(), [false; 4], "it may end just now");
        assert!(scheduler.strike(&overdue[0], None));
        assert_eq!(family.told(), [true, true, true, false]);
        scheduler.rescue(ROOTS, PID);
        assert_eq!(family.state(family.queued), TaskState::Free);
        family.check_strays(&family.both());
        assert_eq!(scheduler.audit().orphans, [""; 0]);
    }
}

/// What is not begun is taken back, from a thief too that has its hint; the others hear of it.
/// A task that another attempt of the root spawns has nothing to do with it.
#[test]
fn root_dies() {
    for attempts in [1, 3] {
        let family = family(Orphans::Cancel, |job| {
            job.settings_mut().attempts = attempts;
        });
        let Family { scheduler, .. } = &family;
        for _ in 0..2 {
            scheduler.rescue(ROOTS, PID);
            assert_eq!(family.told()[1..], [true, true, false]);
            assert_eq!(family.state(family.queued), TaskState::Free);
            assert_eq!(family.state(family.done), TaskState::Done);
            assert_eq!(scheduler.audit().orphans, [""; 0]);
        }
        let cell = &scheduler.fold.slots[family.queued.slot.at()];
        assert!(!cell.claim(ExecutorId(OTHER), family.queued.generation));
        family.check_strays(&family.both());
        if attempts > 1 {
            scheduler.expect(ROOTS);
            begin(scheduler, THIRD, family.root);
            let again = spawned(scheduler, THIRD, 0);
            let note = &scheduler.fold.notes[again.slot.at()];
            note.set_kin(family.root.pack(), family.root.pack());
            assert!(!is_told(scheduler, again));
            let root_note = &scheduler.fold.notes[family.root.slot.at()];
            assert!(!root_note.is_cancelled(family.root.generation));
        }
    }
}

/// A child dies in the middle: what it had spawned hears of it, and nobody else.
#[test]
fn parent_dies() {
    let family = family(Orphans::Cancel, |_| ());
    let Family { scheduler, .. } = &family;
    // A second child of the root's, which that has begun itself, and one of its own below it.
    let nephew = spawned(scheduler, ROOTS, 4);
    let note = |hint: Hint| &scheduler.fold.notes[hint.slot.at()];
    note(nephew).set_kin(family.root.pack(), family.root.pack());
    scheduler.rescue(OTHER, PID);
    assert_eq!(family.told(), [false, false, true, false]);
    assert!(!is_told(scheduler, nephew));
    assert_eq!(family.state(family.elsewhere), TaskState::Waiting);
    family.check_strays(&[(THIRD, family.below)]);
    // The one below dies of it: there is nothing below that.
    scheduler.expect(OTHER);
    scheduler.rescue(THIRD, PID + 1);
    assert_eq!(family.state(family.below), TaskState::Waiting);
    assert!(family.strays().is_empty());
    scheduler.told(PID, SEGFAULT);
    scheduler.told(PID + 1, KILLED);
    let states = [family.elsewhere, family.below].map(|hint| family.state(hint));
    assert_eq!(states, [TaskState::Done; 2]);
    assert_eq!(scheduler.audit().orphans, [""; 0]);
}

/// A death tells nobody then, but to be cancelled does: before, after, and between attempts.
#[test]
fn orphans_finish() {
    let family = family(Orphans::Finish, |job| job.settings_mut().attempts = 3);
    let Family { scheduler, .. } = &family;
    scheduler.rescue(ROOTS, PID);
    assert_eq!(family.told(), [false; 4]);
    assert_eq!(family.state(family.queued), TaskState::Queued);
    assert!(family.strays().is_empty());
    assert!(scheduler.cancel(&family.ticket, Reach::Running));
    assert_eq!(family.told()[1..], [true, true, false]);
    assert_eq!(family.state(family.queued), TaskState::Free);
    family.check_strays(&family.both());
}

/// Everybody hears of it, those too whose roots have ended long ago.
#[test]
fn shutdown_graceful() {
    let family = family(Orphans::Cancel, |_| ());
    family.scheduler.cancel_all();
    assert_eq!(family.told(), [true; 4]);
}

/// The fold is given up, and its workers with it: nothing is left to be done.
#[test]
fn rebuilt_after_damage() {
    let family = family(Orphans::Cancel, |_| ());
    family.scheduler.rescue(ROOTS, PID);
    assert!(family.scheduler.next_timer().is_some());
    family.scheduler.give_up("none");
    assert!(family.strays().is_empty());
}

/// A stray has spawned something just when it was told, and a thief has begun that before it
/// was told: it is a stray too when the time of the first one is over, even if that has ended.
#[test]
fn what_a_stray_has_spawned_meanwhile_is_one_too() {
    let family = family(Orphans::Cancel, |_| ());
    let Family { scheduler, .. } = &family;
    scheduler.rescue(ROOTS, PID);
    let late = spawned(scheduler, OTHER, 1);
    let note = &scheduler.fold.notes[late.slot.at()];
    note.set_kin(family.root.pack(), family.elsewhere.pack());
    begin(scheduler, THIRD, late);
    for (executor, hint) in family.both() {
        let cell = &scheduler.fold.slots[hint.slot.at()];
        cell.finish(ExecutorId(executor), hint.generation);
    }
    assert!(family.strays().is_empty(), "those have ended");
    assert!(is_told(scheduler, late));
    family.check_strays(&[(THIRD, late)]);
}

/// One that ends in its grace, and one whose worker dies in it, cost nobody anything.
#[test]
fn who_ends_in_time_is_no_stray() {
    let family = family(Orphans::Cancel, |_| ());
    let Family { scheduler, .. } = &family;
    scheduler.rescue(ROOTS, PID);
    let cell = &scheduler.fold.slots[family.elsewhere.slot.at()];
    cell.finish(ExecutorId(OTHER), family.elsewhere.generation);
    let strays = family.strays();
    assert_eq!(strays.len(), 1, "{strays:?}");
    let cell = &scheduler.fold.slots[family.below.slot.at()];
    cell.finish(ExecutorId(THIRD), family.below.generation);
    assert!(!scheduler.strike(&strays[0], None), "it has ended just now");
}
