//! What is known of workers that have ended, and of what they have left.

use std::time::Instant;

use crate::pool::Transfer;
use crate::prim::{Generation, Hint};

/// An attempt that ended with its worker, of which it is not known yet how.
#[derive(Debug)]
pub struct Dying {
    /// The process that ended.
    pub pid: i32,
    pub slot: u32,
    pub generation: Generation,
    /// Which of the task's attempts, from 0.
    pub attempt: usize,
    /// The task ends when it is known.
    pub is_last: bool,
}

impl Dying {
    /// Of a task that was spawned by a task; it ends by this death.
    pub fn spawned(pid: i32, slot: u32, generation: Generation) -> Self {
        Dying {
            pid,
            slot,
            generation,
            attempt: 0,
            is_last: true,
        }
    }

    /// Whether it is this task's last attempt: then the task ends by it.
    pub fn ends(&self, slot: u32, generation: Generation) -> bool {
        self.is_last && self.place() == (slot, generation)
    }

    /// Where the task is, and in which generation.
    pub fn place(&self) -> (u32, Generation) {
        (self.slot, self.generation)
    }
}

/// A spawned task whose owner has died.
#[derive(Debug)]
pub struct Adopted {
    pub hint: Hint,
    /// The host's task that it is part of.
    pub root: Hint,
    #[expect(dead_code, reason = "held until the task has ended")]
    pub inherited: Vec<Transfer>,
}

/// A spawned task that runs although its root is over, or its parent is.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    pub hint: Hint,
    /// When its worker is killed, if it still runs.
    pub at: Instant,
}
