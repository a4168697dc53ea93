//! What a handle has of its task. What becomes of it: `super::tickets`; where the task is:
//! `super::locations`.

use std::num::NonZeroU64;

/// A handle's claim to an outcome, and what was asked of the handle. There is one for each
/// number in use, so that is given back once. One word: handles are moved about.
///
/// ```text
///   63      32 31    1 0
///   [ number  | marks |1]
/// ```
#[derive(Debug)]
pub struct Ticket(NonZeroU64);

/// What was asked of a handle.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Mark {
    /// There is a callback for its end.
    OnComplete = 1 << 1,
    /// There is one for its failure.
    OnError = 1 << 2,
    /// There is one for how far it is.
    OnProgress = 1 << 3,
    /// Dropping the handle cancels the task.
    Aborts = 1 << 4,
}

impl Ticket {
    #[inline]
    pub(super) fn new(id: u32) -> Self {
        Ticket(NonZeroU64::MIN | u64::from(id) << 32)
    }

    /// Its number.
    #[inline]
    pub(super) fn id(&self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// From here on it has this mark.
    pub fn mark(&mut self, mark: Mark) {
        self.0 |= mark as u64;
    }

    /// Whether it has this mark.
    #[inline]
    pub fn has(&self, mark: Mark) -> bool {
        self.0.get() & mark as u64 != 0
    }
}

const _: () = assert!(size_of::<Option<Ticket>>() == 8);
