//! Who sleeps in the host, and for what. Who is *called* is unparked when the lock is given up: see
//! [`Inside`](crate::scheduler::locked::Inside).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Thread, ThreadId};

use crate::notify::Key;

/// Somebody parked until something happens.
#[derive(Debug)]
struct Waiter {
    thread: Thread,
    /// What for.
    awaited: Awaited,
    /// It is unparked when the lock is given up, or was.
    is_called: bool,
}

/// Somebody who sleeps for a while, and may be called.
#[derive(Clone, Debug)]
pub struct Napper {
    thread: Thread,
    is_called: Arc<AtomicBool>,
}

impl Napper {
    /// The calling thread.
    fn new() -> Self {
        Napper {
            thread: std::thread::current(),
            is_called: Arc::default(),
        }
    }

    /// Whether it was.
    pub fn is_called(&self) -> bool {
        // ordering: Acquire pairs with the Release in `call_napper`.
        self.is_called.load(Ordering::Acquire)
    }
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub enum Awaited {
    /// The end of this ticket's task.
    Task { ticket: u32 },
    /// An end that this group watches.
    Group(u32),
    /// Any end.
    Any,
    /// Any end, or memory that is freed.
    Memory,
    /// The end of a task that somebody follows: the attendant.
    News,
}

/// Who sleeps in the host. At most one leads: it sleeps on the fold's bell and collects for all;
/// the others are parked.
#[derive(Debug, Default)]
pub struct Waiting {
    waiters: Vec<Waiter>,
    /// To be unparked when the lock is given up.
    called: Vec<Thread>,
    is_led: bool,
    /// What the leader itself waits for.
    leads_for: Option<Awaited>,
    /// With which key the leader sleeps, or is about to.
    sleeps_with: Option<Key>,
    /// How much had happened when the leader last slept.
    activity_asleep: u64,
    /// The leader or the attendant, while it naps.
    napper: Option<Napper>,
    /// What [`Pool::freed`](crate::pool::Pool::freed) was when those that wait for memory were
    /// last woken.
    freed_seen: u32,
    /// The last time that a task had asked for room, and was answered.
    answered: u32,
}

impl Waiting {
    /// Whether nobody is parked.
    #[inline(always)]
    pub fn is_nobody(&self) -> bool {
        self.waiters.is_empty()
    }

    /// What each of those waits for that are parked.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited> {
        self.waiters.iter().map(|waiter| waiter.awaited)
    }

    /// What the one at `at` waits for.
    pub fn awaited_at(&self, at: usize) -> Option<Awaited> {
        Some(self.waiters.get(at)?.awaited)
    }

    /// A thread is about to park.
    pub fn enter(&mut self, thread: Thread, awaited: Awaited) {
        self.waiters.push(Waiter {
            thread,
            awaited,
            is_called: false,
        });
    }

    /// It was parked, and is no more.
    pub fn leave(&mut self, thread: ThreadId) {
        let own = |waiter: &Waiter| waiter.thread.id() == thread;
        if let Some(at) = self.waiters.iter().position(own) {
            self.waiters.swap_remove(at);
        }
    }

    /// Calls those that wait for what is meant.
    #[inline]
    pub fn wake(&mut self, is_meant: impl Fn(Awaited) -> bool) {
        for at in 0..self.waiters.len() {
            if is_meant(self.waiters[at].awaited) {
                self.call(at);
            }
        }
    }

    /// Once is enough: it leaves before it enters again.
    #[cold]
    fn call(&mut self, at: usize) {
        let waiter = &mut self.waiters[at];
        if !std::mem::replace(&mut waiter.is_called, true) {
            self.called.push(waiter.thread.clone());
        }
    }

    /// Whether anybody is to be unparked when the lock is given up.
    #[inline(always)]
    pub fn has_called(&self) -> bool {
        !self.called.is_empty()
    }

    /// Those that are.
    #[cold]
    pub fn take_called(&mut self) -> Vec<Thread> {
        std::mem::take(&mut self.called)
    }

    /// Calls the attendant, if it is parked.
    pub fn wake_attendant(&mut self) {
        let attends = |waiter: &Waiter| matches!(waiter.awaited, Awaited::News);
        if let Some(at) = self.waiters.iter().position(attends) {
            self.call(at);
        }
    }

    /// If nobody leads, calls one who waits: he will look at everything, and lead if
    /// he goes on waiting. One that was called already does so, too.
    pub fn ask_for_a_leader(&mut self) {
        let is_any_called = || self.waiters.iter().any(|waiter| waiter.is_called);
        if !self.is_led && !self.waiters.is_empty() && !is_any_called() {
            self.call(0);
        }
    }

    /// Whether somebody leads.
    #[inline(always)]
    pub fn is_led(&self) -> bool {
        self.is_led
    }

    /// Somebody leads, who waits for this itself.
    pub fn lead(&mut self, awaited: Awaited) {
        self.is_led = true;
        self.leads_for = Some(awaited);
    }

    /// Nobody leads any more.
    pub fn stop_leading(&mut self) {
        (self.is_led, self.leads_for, self.sleeps_with) = (false, None, None);
    }

    /// What the leader itself waits for.
    #[inline]
    pub fn leads_for(&self) -> Option<Awaited> {
        self.leads_for
    }

    /// The leader is about to sleep; so much has happened by now.
    pub fn sleep(&mut self, key: Key, activity: u64) {
        self.sleeps_with = Some(key);
        self.activity_asleep = activity;
    }

    /// With which key the leader sleeps, or is about to.
    pub fn sleeps_with(&self) -> Option<Key> {
        self.sleeps_with
    }

    /// How much had happened when the leader last slept.
    #[inline(always)]
    pub fn activity_asleep(&self) -> u64 {
        self.activity_asleep
    }

    /// The calling thread naps from now on, and may be called.
    pub fn nap(&mut self) -> Napper {
        self.napper.insert(Napper::new()).clone()
    }

    /// Nobody naps any more.
    pub fn end_nap(&mut self) {
        self.napper = None;
    }

    /// Wakes whoever naps.
    pub fn call_napper(&mut self) {
        if let Some(napper) = self.napper.take() {
            // ordering: Release pairs with the Acquire in `Napper::is_called`.
            napper.is_called.store(true, Ordering::Release);
            self.called.push(napper.thread);
        }
    }

    /// Takes note of how often memory was freed; whether that has changed.
    #[inline]
    pub fn note_freed(&mut self, freed: u32) -> bool {
        freed != std::mem::replace(&mut self.freed_seen, freed)
    }

    /// Takes note of how often a task has asked for room; whether that has changed.
    #[inline]
    pub fn note_asked(&mut self, asks: u32) -> bool {
        asks != std::mem::replace(&mut self.answered, asks)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn called(waiting: &mut Waiting) -> Vec<ThreadId> {
        waiting.take_called().iter().map(Thread::id).collect()
    }

    #[test]
    fn who_waits_is_called_once_until_it_has_left() {
        let me = std::thread::current();
        let mut waiting = Waiting::default();
        waiting.wake(|_| true);
        assert!(!waiting.has_called(), "nobody waits");
        waiting.enter(me.clone(), Awaited::Task { ticket: 7 });
        waiting.wake(|awaited| matches!(awaited, Awaited::Any));
        assert!(!waiting.has_called(), "not meant");
        for _ in 0..3 {
            waiting.wake(|_| true);
            assert!(waiting.has_called());
        }
        assert_eq!(called(&mut waiting), [me.id()]);
        // It is on its way, and will look for everything.
        waiting.wake(|_| true);
        waiting.ask_for_a_leader();
        assert!(!waiting.has_called());
        waiting.leave(me.id());
        waiting.enter(me.clone(), Awaited::Any);
        waiting.ask_for_a_leader();
        assert_eq!(called(&mut waiting), [me.id()]);
    }

    #[test]
    fn only_while_nobody_leads_is_a_leader_asked_for() {
        let me = std::thread::current();
        let mut waiting = Waiting::default();
        waiting.enter(me.clone(), Awaited::News);
        waiting.lead(Awaited::Any);
        waiting.ask_for_a_leader();
        assert!(!waiting.has_called());
        waiting.stop_leading();
        waiting.ask_for_a_leader();
        assert_eq!(called(&mut waiting), [me.id()]);
    }
}
