//! Who sleeps in the host, and for what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

/// Somebody parked until something happens.
#[derive(Debug)]
pub struct Waiter {
    pub thread: Thread,
    /// What for.
    pub awaited: Awaited,
}

/// Somebody who sleeps for a while, and may be called.
#[derive(Clone, Debug)]
pub struct Napper {
    pub thread: Thread,
    pub is_called: Arc<AtomicBool>,
}

impl Napper {
    /// The calling thread.
    pub fn new() -> Self {
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
