//! Which groups there are, what has ended in each, and by whom a ticket is watched; see
//! [`super::group`].

use std::task::Waker;

use crate::error::TaskError;

use crate::scheduler::followers::news::News;

/// A group that tasks may be watched by; to be closed by its user.
#[derive(Debug)]
pub struct Group {
    id: u32,
}

impl Group {
    /// Of this number.
    pub fn new(id: u32) -> Self {
        Group { id }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }
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

impl Watch {
    /// By this group, as this.
    pub fn new(group: u32, tag: u32) -> Self {
        Watch { group, tag }
    }
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

    /// A new one of no task.
    pub fn open(&mut self) -> u32 {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            (self.entries.len() - 1) as u32
        });
        self.entries[id as usize].is_open = true;
        id
    }

    /// Its waker is to be dropped without the lock.
    #[must_use]
    pub fn close(&mut self, id: u32) -> Option<Waker> {
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
    pub fn set_waker(&mut self, id: u32, waker: Option<Waker>) -> Option<Waker> {
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

    /// Whether something has ended in a group that was not read.
    pub fn has_ended(&self, id: u32) -> bool {
        !self.entries[id as usize].ended.is_empty()
    }

    /// Whether who waits for a group need wait no longer.
    pub fn is_ready(&self, id: u32) -> bool {
        let entry = &self.entries[id as usize];
        !entry.ended.is_empty() || entry.is_poked
    }

    /// Adds to `ended` what has ended in a group and was not read.
    pub fn take_ended(&mut self, id: u32, ended: &mut Vec<Ended>) {
        let entry = &mut self.entries[id as usize];
        entry.is_poked = false;
        ended.append(&mut entry.ended);
    }

    /// Tickets that name a group.
    pub fn members(&self, id: u32) -> usize {
        self.entries[id as usize].members
    }

    /// Who waits for a group is to stop.
    pub fn poke(&mut self, id: u32) {
        self.entries[id as usize].is_poked = true;
    }
}
