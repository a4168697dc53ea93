//! The lock around [`State`], and what its holder does when it is free again.
//!
//! Whoever is woken wants the lock at once. Woken while it is held, it would wait for it, and perhaps
//! take the very CPU of the thread that holds it: two switches more for each wakeup, and every other
//! thread waits meanwhile. So those that are woken inside are only noted
//! ([`Waiting`](crate::scheduler::waiting::sleepers::Waiting)), and unparked when the lock was given
//! up. There is no way out but through [`Inside`].

use std::ops::{Deref, DerefMut};
use std::thread::Thread;

use crate::lock::{Biased, Guard};

use crate::scheduler::state::State;

/// The state under its lock.
#[derive(Debug)]
pub struct Locked(Biased<State>);

impl Locked {
    /// Nobody is inside.
    pub fn new(state: State) -> Self {
        Locked(Biased::new(state))
    }

    /// See [`Biased::get_mut`].
    pub fn get_mut(&mut self) -> &mut State {
        self.0.get_mut()
    }

    /// See [`Biased::lock`].
    pub fn lock(&self) -> Inside<'_> {
        Inside::new(self.0.lock())
    }

    /// See [`Biased::lock_at_home`].
    #[inline]
    pub fn lock_at_home(&self) -> Option<Inside<'_>> {
        self.0.lock_at_home().map(Inside::new)
    }

    /// See [`Biased::lock_as_favourite`].
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn lock_as_favourite(&self) -> Option<Inside<'_>> {
        self.0.lock_as_favourite().map(Inside::new)
    }

    /// See [`Biased::is_elsewhere`].
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.0.is_elsewhere()
    }
}

/// Who has it has the state to itself.
pub struct Inside<'a> {
    // In this order they are dropped.
    state: Guard<'a, State>,
    called: Called,
}

impl<'a> Inside<'a> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn new(state: Guard<'a, State>) -> Self {
        Inside {
            state,
            called: Called(None),
        }
    }
}

impl Drop for Inside<'_> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn drop(&mut self) {
        if self.state.waiting.has_called() {
            self.called.0 = Some(self.state.waiting.take_called());
        }
    }
}

impl Deref for Inside<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Inside<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// Threads that are unparked when this is dropped.
struct Called(Option<Vec<Thread>>);

impl Drop for Called {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            unpark(threads);
        }
    }
}

#[cold]
#[inline(never)]
fn unpark(threads: Vec<Thread>) {
    threads.iter().for_each(Thread::unpark);
}
