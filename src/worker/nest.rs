//! The nest: an executor's slots for tasks that its tasks spawn.
//!
//! Every executor has 256 slots of its own, and a steal ring in which it offers their tasks to the others. The
//! words are those of all tasks:
//!
//! ```text
//!            spawn                 claim                  finish
//!  Free(g) ────────▶ Queued(g) ──────────────▶ Running(e,g) ─────▶ Done(e,g)
//!    ▲    the owner     │ the owner, in `join`,     │  e              │
//!    │                  │ or a thief                │ e is dead: host │ the owner
//!    └──────────────────┴───────────────────────────┴─────────────────┘
//!       the owner; for a dead owner, the host or its successor: always Free(g+1).
//!       Of a dead owner it may stay Queued, to be finished all the same
//! ```
//!
//! `join` of a task that nobody has begun claims it by its word and runs it on the spot (`spawn.rs`); its hint
//! in the ring is stale from then on. While the task runs elsewhere, `join` runs other spawned tasks, and
//! sleeps when there are none; an executor that offers a task which nobody else would take wakes it
//! (`notify/crowd.rs`). It never runs tasks of the host: those may take long, and so would the waiting task.
//!
//! | dead | what is left | who copes |
//! | --- | --- | --- |
//! | the owner | `Queued` | the host: free; nobody waits for it. With `Orphans::Finish` it stays, and the host issues a hint for it: `src/scheduler/recover/orphans.rs` |
//! | | `Running` by another, `Done` | the owner's successor frees it when it is done; likewise one that was `Queued` and stays |
//! | its runner | `Running` | the host: `Waiting`, then `Done` with `Lost` and the cause |
//! | a thief that took the hint | `Queued` | the host issues a hint for it; and the owner finds it by its word |

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::layout::{Doing, NEST_RING, NEST_SLOTS};
use crate::prim::atomic::Ordering;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::ring::steal;
use crate::sys::{Home, barrier};
use crate::task::{Entry, Finished, Note, Outcome, Slot, TaskState};

use super::family::Watched;
use super::handed::Handed;
use super::own::{Held, Owns};
use super::patience::SPIN;
use super::runner::{Runner, Scratch};
use super::stack::Stack;
use super::worth::is_worth_waking;

/// How long a sleeper trusts that it will be woken: who should may have been stopped.
pub(super) const TRUST: Duration = Duration::from_secs(1);

/// Bytes of a result that is read straight from its slot.
pub(super) const SMALL: usize = 24;

/// The slot in the hint of a child that never had one.
const NO_SLOT: SlotIndex = SlotIndex((1 << 24) - 1);

thread_local! {
    static NEST: Cell<Option<&'static Nest>> = const { Cell::new(None) };
}

/// An executor's own tasks; used by its thread alone.
#[derive(Debug)]
pub struct Nest {
    pub(super) runner: &'static Runner,
    /// The runner's, without the way to it.
    home: Home,
    /// The executor's first slot.
    start: u32,
    /// Its slots, and what is said beside them.
    pub(super) cells: &'static [Slot; NEST_SLOTS],
    pub(super) notes: &'static [Note; NEST_SLOTS],
    pub(super) doing: &'static Doing,
    /// The own ring first, then the others'.
    takers: Vec<steal::Taker>,
    ring: RefCell<steal::Producer>,
    /// How many of its slots were ever used.
    used: Cell<usize>,
    pub(super) owns: Owns,
    /// Slots of which nobody wants the result.
    pub(super) forsaken: RefCell<Vec<Hint>>,
    /// What is spawned now is to wait for what it detaches.
    pub(super) spawns_with_kin: Cell<bool>,
    /// Children that are in no slot, or no more.
    pub(super) aside: RefCell<HashMap<u64, Aside>>,
    /// Children that a scope waits for.
    pub(super) watched: RefCell<HashMap<u64, Watched>>,
    /// Of the tasks on this stack that have handed their context to other threads.
    pub(super) handed: RefCell<Vec<Arc<Handed>>>,
    /// How many never were.
    slotless: Cell<u64>,
    #[expect(clippy::vec_box, reason = "they are taken and put back for each task")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    pub(super) stack: Stack,
    /// Others may need this CPU.
    is_scarce: bool,
}

/// What has come of a child whose slot was needed for another; or why it cannot be had.
#[derive(Debug)]
pub(super) struct Aside {
    pub entry: Option<Entry>,
    pub finished: Result<Finished, TaskError>,
}

/// How it stands with what is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stands {
    /// It has ended.
    Over,
    /// Nobody has begun this.
    Queued(Hint),
    /// Others run it.
    Elsewhere,
}

impl Nest {
    /// Takes over the executor's slots from its former incarnation. What that has left in
    /// them, queued or begun by another, goes on there: it is forsaken, and its slot is
    /// free again when it has ended.
    ///
    /// From here on it is the one that this thread's tasks spawn into. It stays for as long
    /// as the process lives, as its executors do.
    pub(super) fn settle(
        runner: &Arc<Runner>,
        takers: &[steal::Taker],
        is_scarce: bool,
        stack: Stack,
    ) -> &'static Self {
        let runner: &'static Runner = Box::leak(Box::new(Arc::clone(runner)));
        let me = runner.me.0 as usize;
        let fold = &runner.fold;
        let start = fold.plan.shape.nest_start(me);
        let used = fold.nest_used(me);
        let own = start as usize..start as usize + NEST_SLOTS;
        let cells = fold.slots[own.clone()].as_array();
        let notes = fold.notes[own].as_array();
        let (Some(cells), Some(notes)) = (cells, notes) else {
            unreachable!("the ranges are that long");
        };
        let owns = Owns::new();
        let mut forsaken = Vec::new();
        // The first is the first to be used. What was never used is not looked at yet.
        (used..NEST_SLOTS).rev().for_each(|at| owns.put_back(at));
        for (at, cell) in cells[..used].iter().enumerate().rev() {
            let word = cell.word();
            owns.begin(at, word.generation);
            if TaskState::of(word) == Some(TaskState::Free) {
                owns.put_back(at);
            } else {
                forsaken.push(Hint {
                    slot: SlotIndex(start + at as u32),
                    generation: word.generation,
                });
            }
        }
        let nest: &'static Nest = Box::leak(Box::new(Nest {
            runner,
            home: runner.home,
            start,
            cells,
            notes,
            doing: &runner.record().doing,
            takers: takers.to_vec(),
            ring: RefCell::new(steal::Producer::attach(fold.nest(me))),
            used: Cell::new(used),
            owns,
            forsaken: RefCell::new(forsaken),
            spawns_with_kin: Cell::new(false),
            aside: RefCell::default(),
            watched: RefCell::default(),
            handed: RefCell::default(),
            slotless: Cell::new(0),
            scratches: RefCell::default(),
            stack,
            is_scarce,
        }));
        NEST.set(Some(nest));
        nest
    }

    /// That of this thread, if it is an executor's.
    #[inline]
    pub(super) fn here() -> Option<&'static Self> {
        NEST.get().filter(|nest| nest.is_here())
    }

    /// Whether this is the worker, and not what a task has forked: there, nothing of this is
    /// to be touched.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        self.home.is_here()
    }

    /// Why there is none.
    #[cold]
    pub(super) fn missing() -> TaskError {
        if NEST.get().is_some() {
            TaskError::Forked
        } else {
            TaskError::NotInTask
        }
    }

    /// Which of the own slots a child is in, if it is in one.
    #[inline]
    pub(super) fn place(&self, child: Hint) -> Option<usize> {
        let at = child.slot.0.wrapping_sub(self.start) as usize;
        (at < NEST_SLOTS).then_some(at)
    }

    /// The child that is in the slot at this place, if there is one.
    #[inline]
    pub(super) fn child_at(&self, place: usize) -> Hint {
        Hint {
            slot: SlotIndex(self.start + place as u32),
            generation: self.owns.generation(place),
        }
    }

    pub(super) fn state(&self, child: Hint) -> Option<TaskState> {
        let word = self.cells[self.place(child)?].word();
        TaskState::of(word).filter(|_| word.generation == child.generation)
    }

    /// Whether a child was itself told to end.
    fn was_told(&self, place: usize, generation: Generation) -> bool {
        self.runner.fold.header.has_cancelled() && self.notes[place].is_cancelled(generation)
    }

    /// Whether `tidy` would find anything.
    pub(super) fn is_untidy(&self) -> bool {
        let is_over = |child: &Hint| {
            matches!(
                self.state(*child),
                Some(TaskState::Done | TaskState::Free) | None
            )
        };
        self.forsaken.borrow().iter().any(is_over)
    }

    /// Frees slots that nobody wants the result of, once they are done.
    pub(super) fn tidy(&self) {
        let mut forsaken = self.forsaken.borrow_mut();
        forsaken.retain(|child| {
            let Some(place) = self.place(*child) else {
                return false;
            };
            match self.state(*child) {
                Some(TaskState::Done) => {
                    Finished::discard(&self.cells[place], child.slot, &self.runner.pool);
                }
                Some(TaskState::Queued | TaskState::Running | TaskState::Waiting) => return true,
                // Freed by the host; or spoilt.
                Some(TaskState::Free | TaskState::Pending | TaskState::Finishing) | None => (),
            }
            self.owns.let_go(place);
            self.free(place, child.generation);
            false
        });
    }

    #[inline]
    fn take_free(&self) -> Option<usize> {
        let place = self.owns.take()?;
        if place >= self.used.get() {
            self.owns.begin(place, self.cells[place].word().generation);
            self.used.set(place + 1);
            // ordering: Release pairs with the Acquire in `Fold::nest_used`; before
            // the slot is used, so that a rescuer looks far enough.
            self.runner
                .record()
                .status
                .nest_used
                .store(place as u64 + 1, Ordering::Release);
        }
        Some(place)
    }

    /// A free slot, if there is one or can be made by moving what is done.
    #[inline]
    pub(super) fn free_slot(&self) -> Option<usize> {
        self.take_free().or_else(|| self.make_free())
    }

    #[cold]
    fn make_free(&self) -> Option<usize> {
        self.tidy();
        self.take_free().or_else(|| {
            self.move_one();
            self.take_free()
        })
    }

    /// Moves the result of one task that is done, and that somebody waits for or will, out of
    /// its slot. All slots are taken.
    fn move_one(&self) {
        let forsaken = self.forsaken.borrow();
        let done = (0..NEST_SLOTS).find_map(|place| {
            let child = self.child_at(place);
            let is_done = self.state(child) == Some(TaskState::Done);
            (is_done && !forsaken.contains(&child)).then_some((place, child))
        });
        if let Some((place, child)) = done {
            let entry = self.owns.entries[place].get();
            let finished = self.collect(child);
            let aside = Aside { entry, finished };
            self.aside.borrow_mut().insert(child.pack(), aside);
        }
    }

    /// Takes what has come of a child out of its slot.
    pub(super) fn collect(&self, child: Hint) -> Result<Finished, TaskError> {
        let corrupted = |what: &str| TaskError::corrupted(what);
        let is_there = |place: &usize| self.owns.is_of(*place, child.generation);
        let place = self.place(child).filter(is_there);
        let place = place.ok_or_else(|| corrupted("a spawned task has no slot"))?;
        let Held { holds, ends } = self.owns.let_go(place);
        let was_told = self.was_told(place, child.generation);
        let finished = if self.state(child) == Some(TaskState::Done) {
            Finished::take(&self.cells[place], child.slot, &self.runner.pool, &holds)
        } else {
            Err("the slot of a spawned task says that it was never spawned")
        };
        self.free(place, child.generation);
        let mut finished = finished.map_err(corrupted)?;
        let was_begun = !matches!(
            finished.outcome,
            Outcome::Damaged | Outcome::Lost | Outcome::Cancelled
        );
        if let Some(ends) = ends.filter(|_| was_begun) {
            ends.were_taken();
        }
        if was_told && finished.outcome.is_end_of_cancelled() {
            finished.outcome = Outcome::Cancelled;
        }
        Ok(finished)
    }

    /// The task of this generation in this slot is over.
    #[inline]
    pub(super) fn free(&self, place: usize, generation: Generation) {
        if self.owns.free(place, generation) {
            self.cells[place].release(generation);
        }
    }

    /// Runs a spawned task on top of the one that is running.
    fn run_here(&self, hint: Hint, owner: usize) -> bool {
        let mut scratch = self.scratches.borrow_mut().pop().unwrap_or_default();
        let ran = self
            .stack
            .with_enough(|| self.runner.run_spawned(hint, owner, &mut scratch));
        self.scratches.borrow_mut().push(scratch);
        ran
    }

    /// Runs one task that some executor has spawned; false if there is none.
    ///
    /// The hint is not announced (the announcement is that of the batch below): the
    /// host issues hints for all spawned tasks that wait when an executor dies.
    fn help(&self, was_called: bool) -> bool {
        for taker in &self.takers {
            let mut hint = [0];
            while let Ok((1, left)) = taker.take(&mut hint, false, |_| ()) {
                let hint = Hint::unpack(hint[0]);
                if left > 0 {
                    self.call_another(left, was_called);
                }
                let owner = self.runner.fold.plan.shape.nest_owner(hint.slot);
                if owner.is_some_and(|owner| self.run_here(hint, owner)) {
                    return true;
                }
            }
        }
        false
    }

    /// There is more than this one can help with. If it was called, that may have been for
    /// all of it.
    fn call_another(&self, left: u64, was_called: bool) {
        let crowd = &self.runner.fold.crowd;
        // Relaxed: this thread's own number.
        let grain_ns = self.runner.record().status.grain_ns.load(Ordering::Relaxed);
        let is_needed = was_called || is_worth_waking(left, grain_ns);
        if is_needed && (crowd.sleeping.any() || crowd.helping.any()) {
            barrier::light();
            self.runner.fold.wake_for_spawned(self.runner.me);
        }
    }

    /// Offers a queued task, which task `parent` has spawned, to the others.
    #[inline]
    pub(super) fn offer(&self, hint: Hint, parent: u64) {
        let mut ring = self.ring.borrow_mut();
        if ring.stage(hint.pack()) != Ok(true) {
            self.make_room(&mut ring);
            // If it does not fit even so, the owner will find it by its word.
            let _ = ring.stage(hint.pack());
        }
        ring.publish();
        drop(ring);
        // Who sleeps, before it does, passes the heavy barrier. So does whoever tells the parent
        // that it is to end, before it looks for its children: it sees this one, or we see what
        // was told.
        barrier::light();
        let fold = &self.runner.fold;
        if fold.crowd.does_anybody_rest() || fold.header.has_cancelled() {
            self.offer_to_sleepers(hint, Hint::unpack(parent));
        }
    }

    #[inline(never)]
    fn offer_to_sleepers(&self, hint: Hint, parent: Hint) {
        let fold = &self.runner.fold;
        if self.runner.is_cancelled(parent) {
            fold.notes[hint.slot.at()].cancel(hint.generation);
        }
        if fold.crowd.does_anybody_rest() {
            fold.wake_for_spawned(self.runner.me);
        }
    }

    /// The ring is full of hints that are stale: their tasks were run on the spot.
    #[cold]
    fn make_room(&self, ring: &mut steal::Producer) {
        let mut old = [0; NEST_RING];
        if self.takers[0].take(&mut old, false, |_| ()).is_err() {
            return;
        }
        for place in 0..self.used.get() {
            let child = self.child_at(place);
            if self.state(child) == Some(TaskState::Queued) {
                let _ = ring.stage(child.pack());
            }
        }
    }

    /// A child that has an end, and no slot.
    #[cold]
    pub(super) fn put_aside(&self, entry: Entry, finished: Result<Finished, TaskError>) -> Hint {
        let number = self.slotless.get();
        self.slotless.set(number + 1);
        let child = Hint {
            slot: NO_SLOT,
            generation: Generation::new(number),
        };
        let aside = Aside {
            entry: Some(entry),
            finished,
        };
        self.aside.borrow_mut().insert(child.pack(), aside);
        child
    }

    /// Whether a child ever was in a slot, or was refused or run at once.
    pub(super) fn has_slot(child: Hint) -> bool {
        child.slot != NO_SLOT
    }

    /// What the function of a child is called.
    pub(super) fn name(&self, child: Hint) -> Option<&'static str> {
        let aside = self.aside.borrow();
        let entry = match aside.get(&child.pack()) {
            Some(aside) => aside.entry,
            None => self.owns.entries[self.place(child)?].get(),
        };
        entry.map(|entry| entry.name())
    }

    /// Waits for a child: runs it, or others, or sleeps.
    #[inline(never)]
    pub(super) fn wait(&self, child: Hint) -> Result<Finished, TaskError> {
        self.wait_for(child);
        let aside = self.aside.borrow_mut().remove(&child.pack());
        aside.map_or_else(|| self.collect(child), |aside| aside.finished)
    }

    /// The same for a child that has nothing but a few bytes of result, which come straight
    /// from its slot to `to`; `None`: that is for [`Nest::wait`].
    #[inline(never)]
    pub(super) fn wait_briefly(&self, child: Hint, to: &mut [u64; SMALL / 8]) -> Option<usize> {
        let place = self.place(child)?;
        (!self.owns.is_held(place)).then_some(())?;
        self.wait_for(child);
        // It may have been moved while others ran on top of us.
        (self.state(child) == Some(TaskState::Done)).then_some(())?;
        let cell = &self.cells[place];
        let len = cell.value_of_at_most(SMALL)?;
        *to = cell.first_words();
        self.free(place, child.generation);
        Some(len)
    }

    fn wait_for(&self, child: Hint) {
        self.wait_while(|| self.stands(child));
    }

    /// How it stands with a child.
    #[inline]
    pub(super) fn stands(&self, child: Hint) -> Stands {
        match self.state(child) {
            Some(TaskState::Queued) => Stands::Queued(child),
            Some(TaskState::Running | TaskState::Waiting) => Stands::Elsewhere,
            // It may have been moved while others ran on top of us. The other states are
            // none of a spawned task.
            Some(TaskState::Done | TaskState::Free | TaskState::Pending | TaskState::Finishing)
            | None => Stands::Over,
        }
    }

    /// Waits until what `look` looks at is over: runs it, or others, or sleeps. Returns a child
    /// that nobody can claim, if there is one: its word is spoilt.
    pub(super) fn wait_while(&self, look: impl Fn() -> Stands) -> Option<Hint> {
        let bell = &self.runner.record().bell;
        let (crowd, me) = (&self.runner.fold.crowd, self.runner.me.0);
        let mut was_asleep = false;
        // By somebody who has offered a task.
        let mut was_called = false;
        let spoilt = loop {
            match look() {
                Stands::Over => break None,
                Stands::Queued(child) => {
                    if !self.runs_queued(child) {
                        break Some(child);
                    }
                }
                Stands::Elsewhere => {
                    if self.help(was_called) {
                        was_called = false;
                        continue;
                    }
                    if self.spin(&look) {
                        continue;
                    }
                    let key = crowd.lie_down_to_help(me, bell);
                    was_asleep = true;
                    if matches!(look(), Stands::Elsewhere) && !self.is_help_wanted() {
                        bell.wait(key, Some(Instant::now() + TRUST));
                    }
                    was_called |= crowd.get_up_from_help(me);
                }
            }
        };
        if was_asleep {
            bell.cancel();
        }
        if was_called && self.is_help_wanted() {
            barrier::light();
            self.runner.fold.wake_for_spawned(self.runner.me);
        }
        spoilt
    }

    /// Runs a child that was queued a moment ago, if it is still to be had. False: nobody can
    /// claim it.
    pub(super) fn runs_queued(&self, child: Hint) -> bool {
        self.run_here(child, self.runner.me.0 as usize)
            || self.state(child) != Some(TaskState::Queued)
    }

    /// Others' tasks are often short: looks a little before it sleeps. True when there is
    /// something to do: with what is waited for, or to help with.
    fn spin(&self, look: impl Fn() -> Stands) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if !matches!(look(), Stands::Elsewhere) || self.is_help_wanted() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= SPIN {
                return false;
            }
            if self.is_scarce {
                std::thread::yield_now();
            }
        }
    }

    /// Whether a spawned task waits for somebody to run it.
    fn is_help_wanted(&self) -> bool {
        self.takers.iter().any(|taker| taker.backlog() > 0)
    }

    /// Nobody will ask for this child's outcome.
    pub(super) fn forsake(&self, child: Hint) {
        if self.is_left_to_scope(child) {
            return;
        }
        let aside = self.aside.borrow_mut().remove(&child.pack());
        if aside.is_none() {
            self.forsaken.borrow_mut().push(child);
        }
    }
}
