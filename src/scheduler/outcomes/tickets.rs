//! What handles wait on, under the scheduler's lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use crate::error::TaskError;
use crate::sys::prefetch_for_write;

use crate::scheduler::depend::arrivals::Arrivals;
use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::depend::edge::SlotEdge;
use crate::scheduler::depend::inputs::Input;
use crate::scheduler::followers::news::{Follower, News};
use crate::scheduler::outcomes::following::{Following, Settled};
use crate::scheduler::outcomes::groups::{Groups, Watch, Watchers};
use crate::scheduler::outcomes::value::{Outcome, Value, error_of, has_loan, of_shared, only_one};

mod small;
mod told;
mod unobserved;

use crate::scheduler::outcomes::entry::{Entry, ended};
use crate::scheduler::outcomes::labels::Labels;

/// All tickets, under the scheduler's lock.
#[derive(Default)]
pub struct Tickets {
    entries: Vec<Entry>,
    /// What the function of each one's task is called.
    names: Vec<fn() -> &'static str>,
    vacant: Vec<u32>,
    pub(in crate::scheduler) labels: Labels,
    pub(in crate::scheduler) groups: Groups,
    /// For the attendant.
    pub(in crate::scheduler) news: Vec<News>,
    /// For pending tasks.
    pub(in crate::scheduler) arrivals: Arrivals,
    /// Tasks whose end somebody is to be told of at once.
    followed: usize,
}

impl Tickets {
    /// Tasks whose end somebody is to be told of at once.
    pub fn followed(&self) -> usize {
        self.followed
    }

    /// A new pending ticket, of a task that is called `name`.
    #[inline(always)]
    pub fn open(&mut self, name: fn() -> &'static str) -> u32 {
        match self.vacant.pop() {
            Some(id) => {
                self.labels.forget(id);
                let entry = &mut self.entries[id as usize];
                debug_assert!(matches!(entry, Entry::Vacant), "a vacant ticket is in use");
                // Nothing to drop: to look for it takes its time.
                std::mem::forget(std::mem::replace(entry, Entry::Plain));
                self.names[id as usize] = name;
                id
            }
            None => {
                self.entries.push(Entry::Plain);
                self.names.push(name);
                (self.entries.len() - 1) as u32
            }
        }
    }

    /// A new ticket of what has ended already.
    pub fn open_ended(&mut self, name: fn() -> &'static str, outcome: Arc<Outcome>) -> u32 {
        let id = self.open(name);
        self.entries[id as usize] = Entry::Shared(outcome);
        id
    }

    /// A new ticket of what has ended, and whose outcome was taken.
    pub fn open_taken(&mut self, name: fn() -> &'static str) -> u32 {
        let id = self.open(name);
        self.entries[id as usize] = Entry::Taken;
        id
    }

    /// What the function of the task of ticket `id` is called.
    #[inline]
    pub fn name(&self, id: u32) -> fn() -> &'static str {
        self.names[id as usize]
    }

    /// The task of ticket `id` has ended; returns the groups that watched it, and whether
    /// anybody followed it.
    #[inline]
    pub fn settle(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        match entry {
            Entry::Plain => {
                *entry = Entry::Settled(outcome);
                (Watchers::NONE, false)
            }
            _ => self.settle_other(id, outcome),
        }
    }

    /// Has ticket `id` brought here meanwhile.
    #[inline]
    pub fn ask_for(&self, id: u32) {
        prefetch_for_write(&self.entries[id as usize]);
    }

    /// The same with the next one that is opened.
    #[inline]
    pub fn ask_for_next(&self) {
        if let Some(id) = self.vacant.last() {
            self.ask_for(*id);
        }
    }

    /// As [`Tickets::settle`], if nobody waits for the end but the handle, and one task that
    /// depends on it.
    #[inline]
    pub fn settle_plain(&mut self, id: u32, len: u8, a: u64, b: u64, c: u64) -> Settled {
        let entry = &mut self.entries[id as usize];
        let settled = match entry {
            Entry::Plain => Settled::ForHandle,
            Entry::Needed(watchers, dependent, false) if !watchers.any() => {
                Settled::ForOne(*dependent)
            }
            Entry::Detached(watchers) if !watchers.any() => {
                std::mem::forget(std::mem::replace(entry, Entry::Vacant));
                self.vacant.push(id);
                return Settled::ForHandle;
            }
            _ => return Settled::Not,
        };
        // Nothing to drop: to look for it takes its time; and so does moving what was just
        // written in pieces.
        std::mem::forget(std::mem::replace(entry, Entry::NOTHING));
        if let Entry::Settled(Ok(Value::Small { len: to, words, .. })) = entry {
            (*to, words[0], words[1], words[2]) = (len, a, b, c);
        }
        settled
    }

    /// Has an edge looked at when the task of ticket `id` ends, which has not; true if nobody
    /// else is told of it.
    #[inline]
    pub fn lead_to(&mut self, id: u32, edge: SlotEdge) -> bool {
        let entry = &mut self.entries[id as usize];
        if matches!(entry, Entry::Plain) {
            // As in `settle_plain`.
            std::mem::forget(std::mem::replace(entry, Entry::SOMEWHERE));
            if let Entry::Needed(_, Dependent::Slot(to), _) = entry {
                *to = edge;
            }
            return true;
        }
        self.depend(id, Dependent::Slot(edge)) == Some(true)
    }

    /// What follows from the end of ticket `id`, if it is one edge to a task in a slot.
    #[inline]
    pub fn edge(&self, id: u32) -> Option<SlotEdge> {
        let Entry::Needed(_, Dependent::Slot(edge), _) = &self.entries[id as usize] else {
            return None;
        };
        Some(*edge)
    }

    /// Whether the task of ticket `id` has not ended.
    #[inline]
    pub fn is_open(&self, id: u32) -> bool {
        !matches!(
            self.entries[id as usize],
            Entry::Settled(_) | Entry::Shared(_) | Entry::Taken | Entry::Vacant
        )
    }

    /// Whether nobody will ask for the value of ticket `id`.
    pub fn is_detached(&self, id: u32) -> bool {
        matches!(self.entries[id as usize], Entry::Detached(_))
    }

    #[cold]
    fn settle_other(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        let (watchers, is_wanted) = match entry {
            Entry::Plain => (Watchers::NONE, true),
            Entry::Pending(watchers) => (*watchers, true),
            Entry::Detached(watchers) => (*watchers, false),
            Entry::Needed(watchers, dependent, is_detached) => {
                let (watchers, dependent, is_wanted) = (*watchers, *dependent, !*is_detached);
                if let Ok(Value::Small {
                    is_err: false,
                    len,
                    words,
                }) = &outcome
                {
                    self.arrivals
                        .push((dependent, Ok(Input::small(*len, *words))));
                    return (self.put(id, watchers, outcome, is_wanted), true);
                }
                self.following(id);
                return self.settle_followed(id, outcome);
            }
            Entry::Followed(_) => return self.settle_followed(id, outcome),
            Entry::Vacant | Entry::Settled(_) | Entry::Shared(_) | Entry::Taken => {
                debug_assert!(false, "a task ended twice");
                return (Watchers::NONE, false);
            }
        };
        (self.put(id, watchers, outcome, is_wanted), false)
    }

    fn put(&mut self, id: u32, watchers: Watchers, outcome: Outcome, is_wanted: bool) -> Watchers {
        if watchers.any() {
            self.groups
                .tell(watchers, error_of(&outcome), &mut self.news);
        }
        self.entries[id as usize] = if is_wanted {
            ended(outcome, watchers.any())
        } else {
            self.vacant.push(id);
            Entry::Vacant
        };
        watchers
    }

    #[cold]
    fn settle_followed(&mut self, id: u32, outcome: Outcome) -> (Watchers, bool) {
        let entry = &mut self.entries[id as usize];
        let Entry::Followed(following) = std::mem::replace(entry, Entry::Vacant) else {
            return (Watchers::NONE, false);
        };
        let watchers = following.watchers;
        if let Some(ended) = &following.ended {
            // Release: pairs with the loads in `link.rs`.
            ended.store(true, Ordering::Release);
        }
        if watchers.any() {
            self.groups
                .tell(watchers, error_of(&outcome), &mut self.news);
        }
        let is_of_interest = following.is_of_interest();
        let (is_told, is_heard) = (following.has_followers(), following.is_heard());
        self.followed -= usize::from(following.is_attended());
        let Following {
            is_detached,
            followers,
            waker,
            dependents,
            ..
        } = *following;
        // Of a few bytes everybody gets their own.
        let is_small = matches!(&outcome, Ok(Value::Small { is_err: false, .. }));
        // Nobody else gets it: it is the handle's alone.
        let own = if !is_told && (is_small || dependents.is_empty()) {
            if let Ok(Value::Small { len, words, .. }) = &outcome {
                let input = || Ok(Input::small(*len, *words));
                self.arrivals
                    .extend(dependents.iter().map(|d| (*d, input())));
            }
            ended(outcome, watchers.any() || is_heard)
        } else {
            let (outcome, own) = if has_loan(&outcome) {
                (Arc::new(only_one(&outcome)), Entry::Settled(outcome))
            } else {
                let outcome = Arc::new(outcome);
                (Arc::clone(&outcome), Entry::Shared(outcome))
            };
            for dependent in &dependents {
                let input = self.input_of(id, &outcome);
                self.arrivals.push((*dependent, input));
            }
            self.news.extend(waker.map(News::Wake));
            if !followers.is_empty() {
                self.news.push(News::Ended { outcome, followers });
            }
            own
        };
        if is_detached {
            self.vacant.push(id);
        } else {
            self.entries[id as usize] = own;
        }
        (watchers, is_of_interest)
    }

    /// Has `watch` told when the task of ticket `id` ends; at once if it has. False if there is no
    /// place for it.
    pub fn watch(&mut self, id: u32, watch: Watch) -> bool {
        if self.is_unobserved(id) {
            self.share(id); // if it has failed, somebody knows of it
        }
        let entry = &mut self.entries[id as usize];
        if matches!(entry, Entry::Plain) {
            *entry = Entry::Pending(Watchers::NONE);
        }
        let error = match entry {
            Entry::Plain => return true,
            Entry::Pending(watchers) | Entry::Detached(watchers) | Entry::Needed(watchers, ..) => {
                return self.groups.enrol(watchers, watch);
            }
            Entry::Followed(following) => return self.groups.enrol(&mut following.watchers, watch),
            Entry::Settled(outcome) => error_of(outcome),
            Entry::Shared(outcome) => error_of(outcome),
            Entry::Taken => None,
            Entry::Vacant => {
                debug_assert!(false, "a ticket that is gone is watched");
                return true;
            }
        };
        self.groups.tell_one(watch, error, &mut self.news);
        true
    }

    /// Whether the task of ticket `id` has not ended, and group `group` watches it.
    pub fn is_watched_by(&self, id: u32, group: u32) -> bool {
        match &self.entries[id as usize] {
            Entry::Pending(watchers) | Entry::Detached(watchers) | Entry::Needed(watchers, ..) => {
                watchers.contain(group)
            }
            Entry::Followed(following) => following.watchers.contain(group),
            Entry::Plain | Entry::Settled(_) | Entry::Shared(_) | Entry::Taken | Entry::Vacant => {
                false
            }
        }
    }

    /// Has `dependent` told of the end of ticket `id`; `None` if that is past. True if
    /// nobody else is.
    #[inline]
    pub fn depend(&mut self, id: u32, dependent: Dependent) -> Option<bool> {
        let entry = &mut self.entries[id as usize];
        if matches!(entry, Entry::Plain) {
            // Nothing to drop: to look for it takes its time.
            let needed = Entry::Needed(Watchers::NONE, dependent, false);
            std::mem::forget(std::mem::replace(entry, needed));
            return Some(true);
        }
        self.depend_too(id, dependent)
    }

    #[cold]
    fn depend_too(&mut self, id: u32, dependent: Dependent) -> Option<bool> {
        let entry = &mut self.entries[id as usize];
        let free = match entry {
            Entry::Pending(watchers) => Some((*watchers, false)),
            Entry::Detached(watchers) => Some((*watchers, true)),
            _ => None,
        };
        if let Some((watchers, is_detached)) = free {
            *entry = Entry::Needed(watchers, dependent, is_detached);
            return Some(true);
        }
        let following = self.following(id)?;
        let is_first = !following.is_of_interest();
        following.dependents.push(dependent);
        Some(is_first)
    }

    /// What a task gets that depends on the one of ticket `id`, or why it does not;
    /// `None`: that one has not ended.
    pub fn input(&mut self, id: u32) -> Option<Result<Input, TaskError>> {
        match &self.entries[id as usize] {
            Entry::Plain
            | Entry::Pending(_)
            | Entry::Detached(_)
            | Entry::Needed(..)
            | Entry::Followed(_) => return None,
            Entry::Settled(Ok(Value::Small {
                is_err: false,
                len,
                words,
            })) => {
                return Some(Ok(Input::small(*len, *words)));
            }
            Entry::Vacant | Entry::Settled(_) | Entry::Shared(_) | Entry::Taken => {}
        }
        let outcome = self.share(id);
        let input = outcome.map(|outcome| self.input_of(id, &outcome));
        Some(input.unwrap_or_else(|| Err(TaskError::already_joined())))
    }

    /// Who wants to know of the end of ticket `id`; `None` if that is past.
    fn following(&mut self, id: u32) -> Option<&mut Following> {
        let entry = &mut self.entries[id as usize];
        let mut following = Following::default();
        match entry {
            Entry::Plain => {}
            Entry::Pending(watchers) => following.watchers = *watchers,
            Entry::Detached(watchers) => {
                following.watchers = *watchers;
                following.is_detached = true;
            }
            Entry::Needed(watchers, dependent, is_detached) => {
                following.watchers = *watchers;
                following.is_detached = *is_detached;
                following.dependents.push(*dependent);
            }
            Entry::Followed(_)
            | Entry::Settled(_)
            | Entry::Shared(_)
            | Entry::Taken
            | Entry::Vacant => {}
        }
        if matches!(
            entry,
            Entry::Plain | Entry::Pending(_) | Entry::Detached(_) | Entry::Needed(..)
        ) {
            *entry = Entry::Followed(Box::new(following));
        }
        match entry {
            Entry::Followed(following) => Some(following),
            _ => None,
        }
    }

    /// Adds a follower, unless the task of ticket `id` has ended. True if nobody else
    /// is told of it.
    pub fn follow(&mut self, id: u32, follower: Follower) -> Result<bool, Follower> {
        let Some(following) = self.following(id) else {
            return Err(follower);
        };
        let is_first = !following.is_of_interest();
        let is_attended = following.is_attended();
        following.followers.push(follower);
        self.followed += usize::from(!is_attended);
        Ok(is_first)
    }

    /// The attendant is to collect the task of ticket `id`, though nobody is told. `None` if it has
    /// ended. True if nobody else waits for it.
    pub fn see_to(&mut self, id: u32) -> Option<bool> {
        let following = self.following(id)?;
        let is_first = !following.is_of_interest();
        let is_attended = following.is_attended();
        following.is_seen_to = true;
        self.followed += usize::from(!is_attended);
        Some(is_first)
    }

    /// Whether `waker`, or one that wakes the same, is woken when the task of ticket `id` ends.
    pub fn wakes(&self, id: u32, waker: &Waker) -> bool {
        let Entry::Followed(following) = &self.entries[id as usize] else {
            return false;
        };
        let own = following.waker.as_ref();
        own.is_some_and(|own| own.will_wake(waker))
    }

    /// Has `waker` woken when the task of ticket `id` ends, and puts there the one that was
    /// to be before. `None` if that is past. True if nobody else is told of it.
    pub fn wake(&mut self, id: u32, waker: &mut Option<Waker>) -> Option<bool> {
        let following = self.following(id)?;
        let is_first = !following.is_of_interest();
        let is_attended = following.is_attended();
        std::mem::swap(&mut following.waker, waker);
        self.followed += usize::from(!is_attended);
        Some(is_first)
    }

    /// What is set, under the lock, when the task of ticket `id` has ended; `None` if it has.
    pub fn end_mark(&mut self, id: u32) -> Option<Arc<AtomicBool>> {
        let ended = &mut self.following(id)?.ended;
        Some(Arc::clone(ended.get_or_insert_default()))
    }

    /// Somebody looks at the outcome of ticket `id` who does not take it.
    pub fn share(&mut self, id: u32) -> Option<Arc<Outcome>> {
        let entry = &mut self.entries[id as usize];
        if let Entry::Settled(outcome) = entry {
            if has_loan(outcome) {
                return Some(Arc::new(only_one(outcome)));
            }
            let Entry::Settled(outcome) = std::mem::replace(entry, Entry::Vacant) else {
                return None;
            };
            *entry = Entry::Shared(Arc::new(outcome));
        }
        match entry {
            Entry::Shared(outcome) => Some(Arc::clone(outcome)),
            _ => None,
        }
    }

    /// The outcome of ticket `id`, if there is one, which stays there.
    pub fn look(&mut self, id: u32) -> Option<Outcome> {
        if let Some((a, b, c, len)) = self.small(id) {
            let words = [a, b, c];
            let is_err = false;
            return Some(Ok(Value::Small { len, is_err, words }));
        }
        if matches!(self.entries[id as usize], Entry::Taken) {
            return Some(Err(Box::new(TaskError::already_joined())));
        }
        self.share(id).map(of_shared)
    }

    /// Whether the task of ticket `id` has ended.
    pub fn is_settled(&self, id: u32) -> bool {
        matches!(
            self.entries[id as usize],
            Entry::Settled(_) | Entry::Shared(_) | Entry::Taken
        )
    }

    /// Whether the handle has got the outcome of ticket `id`.
    pub fn is_taken(&self, id: u32) -> bool {
        matches!(self.entries[id as usize], Entry::Taken)
    }

    /// The outcome, if there is one, for the handle; the ticket stays until that is gone.
    #[inline]
    pub fn hand_out(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        match entry {
            Entry::Settled(_) | Entry::Shared(_) => match std::mem::replace(entry, Entry::Taken) {
                Entry::Settled(outcome) => Some(outcome),
                Entry::Shared(outcome) => Some(of_shared(outcome)),
                _ => None,
            },
            Entry::Taken => Some(Err(Box::new(TaskError::already_joined()))),
            _ => None,
        }
    }

    /// The outcome, if there is one; the ticket is gone then.
    #[inline]
    pub fn take(&mut self, id: u32) -> Option<Outcome> {
        let entry = &mut self.entries[id as usize];
        if !matches!(entry, Entry::Settled(_) | Entry::Shared(_)) {
            return None;
        }
        self.vacant.push(id);
        match std::mem::replace(entry, Entry::Vacant) {
            Entry::Settled(outcome) => Some(outcome),
            Entry::Shared(outcome) => Some(of_shared(outcome)),
            _ => None,
        }
    }
}
