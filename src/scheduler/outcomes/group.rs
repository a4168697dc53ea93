//! Groups: waiting for whichever of several tasks ends next.
//!
//! ```text
//!   watch: ticket ──▶ (group, tag)      up to two groups for a ticket
//!   a task ends ──▶ its ticket has the outcome
//!               └─▶ each group that watches it: (tag, error?)  ──▶ who waits
//! ```
//!
//! A ticket names the groups that watch it; so an end costs the same, however large
//! the group, and the ends of a group are read in the order in which they came. A
//! group hears of an end also when nobody asks for the outcome any more.
//!
//! Two are enough: the scope that a task was spawned in, and the one call that has its
//! handle now. Of several threads that look at the same handles at the same time, those for which there is no
//! place are told so, and follow the tasks instead (`runtime/wait.rs`).

use std::task::Waker;
use std::thread;
use std::time::Instant;

use crate::error::TaskError;

use crate::scheduler::Scheduler;
use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::Outcome;
use crate::scheduler::state::{Awaited, State};
use crate::scheduler::time::cancel::Reach;
use crate::scheduler::waiting::wait::{forked, learn, patience};

/// A group that tasks may be watched by; to be closed by its user.
#[derive(Debug)]
pub struct Group {
    id: u32,
}

/// A task of a group has ended.
#[derive(Debug)]
pub struct Ended {
    /// What it was watched as.
    pub tag: u32,
    /// Why it has no value.
    pub error: Option<Box<TaskError>>,
}

/// By which group a ticket is watched, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    group: u32,
    tag: u32,
}

/// By whom a ticket is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watchers([Watch; 2]);

impl Watchers {
    const NOBODY: Watch = Watch {
        group: u32::MAX,
        tag: 0,
    };
    /// Nobody.
    pub const NONE: Watchers = Watchers([Self::NOBODY; 2]);

    /// Whether anybody watches.
    #[inline]
    pub fn any(self) -> bool {
        // From the first place on.
        self.0[0] != Self::NOBODY || self.0[1] != Self::NOBODY
    }

    /// Whether `group` does.
    #[inline]
    pub fn contain(self, group: u32) -> bool {
        self.0.iter().any(|watch| watch.group == group)
    }
}

impl Default for Watchers {
    fn default() -> Self {
        Watchers::NONE
    }
}

#[derive(Debug, Default)]
struct Entry {
    /// Not yet read.
    ended: Vec<Ended>,
    /// Tickets that name this group.
    members: usize,
    is_open: bool,
    /// Who waits for it should look elsewhere.
    is_poked: bool,
    /// Woken, once, when something has ended: for who waits for it without a thread.
    waker: Option<Waker>,
}

/// All groups, under the scheduler's lock.
#[derive(Debug, Default)]
pub struct Groups {
    entries: Vec<Entry>,
    /// Closed, and named by no ticket.
    vacant: Vec<u32>,
    /// Those that have a waker.
    awaited: usize,
}

impl Groups {
    /// Places for groups.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn open(&mut self) -> u32 {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            (self.entries.len() - 1) as u32
        });
        self.entries[id as usize].is_open = true;
        id
    }

    /// Its waker is to be dropped without the lock.
    #[must_use]
    fn close(&mut self, id: u32) -> Option<Waker> {
        let entry = &mut self.entries[id as usize];
        entry.is_open = false;
        entry.is_poked = false;
        entry.ended = Vec::new();
        let waker = self.set_waker(id, None);
        self.vacate_if_unused(id);
        waker
    }

    /// Has `waker` woken instead of the one that is returned, which is to be dropped without
    /// the lock.
    fn set_waker(&mut self, id: u32, waker: Option<Waker>) -> Option<Waker> {
        let entry = &mut self.entries[id as usize];
        self.awaited += usize::from(waker.is_some());
        let before = std::mem::replace(&mut entry.waker, waker);
        self.awaited -= usize::from(before.is_some());
        before
    }

    /// Whether the attendant is to wake somebody when a task of a group ends.
    pub fn are_awaited(&self) -> bool {
        self.awaited > 0
    }

    fn vacate_if_unused(&mut self, id: u32) {
        let entry = &self.entries[id as usize];
        if !entry.is_open && entry.members == 0 {
            self.vacant.push(id);
        }
    }

    /// Notes with a ticket that has not ended who watches it; false if two do already.
    pub fn enrol(&mut self, watchers: &mut Watchers, watch: Watch) -> bool {
        let is_open = |w: &Watch| {
            self.entries
                .get(w.group as usize)
                .is_some_and(|e| e.is_open)
        };
        let Some(place) = watchers.0.iter_mut().find(|w| !is_open(w)) else {
            return false;
        };
        let before = std::mem::replace(place, watch);
        self.entries[watch.group as usize].members += 1;
        if before != Watchers::NOBODY {
            self.forget_member(before.group);
        }
        true
    }

    fn forget_member(&mut self, id: u32) {
        self.entries[id as usize].members -= 1;
        self.vacate_if_unused(id);
    }

    /// A task that `watchers` watch has ended.
    pub fn tell(&mut self, watchers: Watchers, error: Option<&TaskError>, news: &mut Vec<News>) {
        for watch in watchers.0 {
            if watch != Watchers::NOBODY {
                self.tell_one(watch, error, news);
                self.forget_member(watch.group);
            }
        }
    }

    /// A task has ended of which only `watch` is to be told.
    pub fn tell_one(&mut self, watch: Watch, error: Option<&TaskError>, news: &mut Vec<News>) {
        let entry = &mut self.entries[watch.group as usize];
        if entry.is_open {
            entry.ended.push(Ended {
                tag: watch.tag,
                error: error.map(|error| Box::new(error.clone())),
            });
            news.extend(self.set_waker(watch.group, None).map(News::Wake));
        }
    }
}

impl Scheduler {
    /// A new group of no task.
    pub fn open_group(&self) -> Group {
        let id = self.lock().tickets.groups.open();
        Group { id }
    }

    /// Forgets a group. Its tasks go on.
    pub fn close_group(&self, group: Group) {
        // Dropped after the lock: it is the user's.
        let state = self.state.lock_at_home();
        let _waker = state.and_then(|mut state| state.tickets.groups.close(group.id));
    }

    /// Has `waker` woken by the attendant when something has ended in a group, instead of the
    /// one before; false if something has.
    pub fn wake_for_group(&self, group: &Group, waker: &Waker) -> bool {
        // What wakers do is the user's own: without the lock.
        let waker = waker.clone();
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        self.reap(&mut state);
        let entry = &state.tickets.groups.entries[group.id as usize];
        if !entry.ended.is_empty() {
            return false;
        }
        let before = state.tickets.groups.set_waker(group.id, Some(waker));
        self.presses(&mut state);
        drop(state);
        drop(before);
        true
    }

    /// Nobody is to be woken for a group any more.
    pub fn wake_nobody(&self, group: &Group) {
        let state = self.state.lock_at_home();
        let _waker = state.and_then(|mut state| state.tickets.groups.set_waker(group.id, None));
    }

    /// Adds tasks to a group, each under a tag.
    ///
    /// False if a ticket is watched by two others already: its end is not told.
    pub fn enrol<'a>(
        &self,
        group: &Group,
        tickets: impl Iterator<Item = (u32, &'a Ticket)>,
    ) -> bool {
        let Some(mut state) = self.state.lock_at_home() else {
            tickets.for_each(drop); // whoever counts them does so all the same
            return true;
        };
        let group = group.id;
        let mut has_all = true;
        for (tag, ticket) in tickets {
            has_all &= state.tickets.watch(ticket.id(), Watch { group, tag });
        }
        has_all
    }

    /// Adds to `ended` what has ended in a group since the last call; never waits.
    pub fn take_ended(&self, group: &Group, ended: &mut Vec<Ended>) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        let entry = &mut state.tickets.groups.entries[group.id as usize];
        entry.is_poked = false;
        ended.append(&mut entry.ended);
    }

    /// Waits until something has ended in a group, or somebody pokes it, until
    /// `deadline`.
    pub fn wait_for_group(&self, group: &Group, deadline: Option<Instant>) {
        let is_ready = |state: &State| {
            let entry = &state.tickets.groups.entries[group.id as usize];
            !entry.ended.is_empty() || entry.is_poked
        };
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        self.reap(&mut state);
        if is_ready(&state) {
            return;
        }
        let members = state.tickets.groups.entries[group.id as usize].members;
        drop(state);
        self.nap(members, deadline);
        let begin = Instant::now();
        let until = begin + patience();
        let scarce = self.is_scarce();
        while Instant::now() < until {
            let mut state = self.lock();
            self.reap(&mut state);
            if is_ready(&state) {
                return;
            }
            drop(state);
            if scarce {
                thread::yield_now();
            } else {
                (0..64).for_each(|_| std::hint::spin_loop());
            }
        }
        self.wait_until(Awaited::Group(group.id), deadline, is_ready);
        learn(begin.elapsed());
    }

    /// Makes who waits for a group stop waiting.
    pub fn poke(&self, group: &Group) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        state.tickets.groups.entries[group.id as usize].is_poked = true;
        for waiter in &state.waiters {
            if matches!(waiter.awaited, Awaited::Group(id) if id == group.id) {
                waiter.thread.unpark();
            }
        }
        drop(state);
        // It may be the one who sleeps for all.
        self.fold.host_bell.force();
    }

    /// [Cancels](Scheduler::cancel) every task of a group, as far as `reach` goes.
    pub fn cancel_group(&self, group: &Group, reach: Reach) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        // First, or the end of one of the others may have them begin where this has looked.
        self.cancel_pending_of(&mut state, group.id);
        for step in reach.steps() {
            for slot in state.slots() {
                let ticket = state.inflight[slot as usize].ticket;
                if ticket.is_some_and(|id| state.tickets.is_watched_by(id, group.id)) {
                    self.cancel_slot(&mut state, slot, step);
                }
            }
        }
        drop(state);
        // Whoever sleeps for all waiters is not told by `settle`.
        self.fold.host_bell.force();
    }

    /// Takes the outcomes of `tickets`, which have ended.
    pub fn take_settled<'a>(
        &self,
        tickets: impl Iterator<Item = &'a Ticket>,
        mut each: impl FnMut(Outcome),
    ) {
        let Some(mut state) = self.state.lock_at_home() else {
            return tickets.for_each(|_| each(forked()));
        };
        for ticket in tickets {
            let outcome = state.tickets.take(ticket.id());
            each(outcome.unwrap_or_else(|| Err(Box::new(TaskError::already_joined()))));
        }
    }
}
