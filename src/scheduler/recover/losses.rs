//! What is known of workers that have ended, and of what they have left.

use std::time::Instant;

use crate::pool::{Handing, Transfer};
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
    /// What keeps the ends among its arguments.
    pub ends: Option<Handing>,
}

/// A spawned task that runs although its root is over, or its parent is.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    pub hint: Hint,
    /// When its worker is killed, if it still runs.
    pub at: Instant,
}

/// All of these, and of which workers nothing is left.
#[derive(Debug)]
pub struct Losses {
    /// Per worker: it has no process, and nothing is left of the last one.
    swept: Vec<bool>,
    /// Attempts whose worker is gone, and of which it is not known how.
    dying: Vec<Dying>,
    /// Spawned tasks whose owner has died, and that have not ended.
    adopted: Vec<Adopted>,
    /// Spawned tasks that are to end, and run although nobody waits for them any more.
    strays: Vec<Stray>,
}

impl Losses {
    /// Of so many workers that were not started yet.
    pub fn new(workers: usize) -> Self {
        Losses {
            swept: vec![true; workers],
            dying: Vec::new(),
            adopted: Vec::new(),
            strays: Vec::new(),
        }
    }

    /// A worker is about to be started.
    pub fn expect(&mut self, worker: u32) {
        self.swept[worker as usize] = false;
    }

    /// Nothing is left of a worker.
    pub fn sweep(&mut self, worker: u32) {
        self.swept[worker as usize] = true;
    }

    /// Whether a worker has a process, or something is left of its last one.
    pub fn is_there(&self, worker: u32) -> bool {
        self.swept.get(worker as usize) == Some(&false)
    }

    /// An attempt has ended with its worker.
    pub fn add_dying(&mut self, dying: Dying) {
        self.dying.push(dying);
    }

    /// Those of which it is not known how their worker has ended.
    pub fn dying(&self) -> &[Dying] {
        &self.dying
    }

    /// It is known how process `pid` has ended: takes out the attempts that ended with it.
    pub fn take_dying_of(&mut self, pid: i32) -> Vec<Dying> {
        self.dying
            .extract_if(.., |dying| dying.pid == pid)
            .collect()
    }

    /// If another attempt of this task waits to hear of its end: the task ends by that.
    pub fn leave_to_another(&mut self, last: &Dying) -> bool {
        let is_same = |other: &&mut Dying| other.place() == last.place();
        let other = self.dying.iter_mut().find(is_same);
        other.map(|other| other.is_last = true).is_some()
    }

    /// Spawned tasks whose owner has died, and that have not ended.
    pub fn adopted(&self) -> &[Adopted] {
        &self.adopted
    }

    /// One more, of which nothing was known.
    pub fn adopt(&mut self, adopted: Adopted) {
        self.adopted.push(adopted);
    }

    /// Lets go of those that have ended.
    pub fn retain_adopted(&mut self, lives: impl FnMut(&Adopted) -> bool) {
        self.adopted.retain(lives);
    }

    /// Takes all out.
    pub fn take_adopted(&mut self) -> Vec<Adopted> {
        std::mem::take(&mut self.adopted)
    }

    /// When the first of the strays is to be looked at.
    pub fn next_stray(&self) -> Option<Instant> {
        self.strays.iter().map(|stray| stray.at).min()
    }

    /// One more, unless it is known.
    pub fn add_stray(&mut self, hint: Hint, at: Instant) {
        if !self.strays.iter().any(|stray| stray.hint == hint) {
            self.strays.push(Stray { hint, at });
        }
    }

    /// Takes out those whose time is over.
    pub fn take_strays_due(&mut self, now: Instant) -> Vec<Stray> {
        self.strays
            .extract_if(.., |stray| stray.at <= now)
            .collect()
    }

    /// Everything has ended: nobody is told of anything any more.
    pub fn clear(&mut self) {
        self.dying.clear();
        self.strays.clear();
    }
}
