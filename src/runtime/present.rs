//! The present fold's scheduler, as every thread finds it that submits.
//!
//! ```text
//!   present ◀── a thread alone: a lock whose favourite it is
//!      │ copied when it is first used
//!      ▼
//!   copies  ◀── threads that have met each other: each has a seat, and so a copy and a lock of its own
//! ```
//!
//! Whoever replaces it changes `present` first and then empties the copies; whoever finds its copy
//! empty fills it under that copy's lock. So a copy that was filled too early is emptied, and
//! nobody finds the former one when [`Present::replace`] has returned.

use crossbeam_utils::CachePadded;

use crate::lock::{Biased, SEATS, seat};

/// What can be had several times.
pub(super) trait Apart: Clone {
    /// The same; what is counted of its clones is counted apart.
    fn apart(&self) -> Self;
}

/// One of them is the present one.
#[derive(Debug)]
pub(super) struct Present<T> {
    present: Biased<T>,
    /// One for each seat; empty until it is used.
    copies: Box<[CachePadded<Biased<Option<T>>>]>,
}

impl<T: Apart> Present<T> {
    pub fn new(first: T) -> Self {
        Present {
            present: Biased::new(first),
            copies: (0..SEATS)
                .map(|_| CachePadded::new(Biased::new(None)))
                .collect(),
        }
    }

    /// It.
    #[inline]
    pub fn get(&self) -> T {
        self.present.lock().clone()
    }

    /// What `f` makes of it; it is not replaced meanwhile. `f` neither waits nor calls anything of
    /// the user's.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // As in `Scheduler::submit_plain`.
        match self.present.lock_as_favourite() {
            Some(present) => f(&present),
            None => self.with_copy(f),
        }
    }

    /// The same by the copy of the calling thread's seat, if it has one.
    #[inline(never)]
    fn with_copy<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        let Some(seat) = seat() else {
            return f(&self.present.lock());
        };
        match self.copies.get(seat).and_then(|copy| copy.lock_at_home()) {
            Some(mut copy) => f(copy.get_or_insert_with(|| self.present.lock().apart())),
            None => f(&self.present.lock()),
        }
    }

    /// What `f` makes of it, for the thread that mostly comes; `None` for any other.
    #[inline(always)]
    pub fn with_as_favourite<R>(&self, f: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        f(&*self.present.lock_as_favourite()?)
    }

    /// It, for who has all of this.
    pub fn get_mut(&mut self) -> &mut T {
        self.present.get_mut()
    }

    /// Another takes its place; returns what is left of the former one.
    pub fn replace(&self, next: T) -> Vec<T> {
        let former = std::mem::replace(&mut *self.present.lock(), next);
        let copies = self.copies.iter();
        let copies = copies.filter_map(|copy| copy.lock().take());
        std::iter::once(former).chain(copies).collect()
    }

    /// Whether this process was forked off the one whose it is.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.present.is_elsewhere()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::lock::take_a_seat;

    impl Apart for u64 {
        fn apart(&self) -> Self {
            *self
        }
    }

    /// Who has a seat, and who has none, finds what was put there last: at once when that was told,
    /// and never anything older than it has found before.
    #[test]
    fn nobody_finds_a_former_one() {
        const LAST: u64 = 2_000;
        let present = Arc::new(Present::new(0));
        let told = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (present, told) = (Arc::clone(&present), Arc::clone(&told));
                std::thread::spawn(move || {
                    if number > 0 {
                        take_a_seat();
                    }
                    let mut before = 0;
                    while before < LAST {
                        // ordering: Acquire pairs with the Release below.
                        let least = told.load(Ordering::Acquire).max(before);
                        before = present.with(|now| *now);
                        assert!(before >= least, "{before} after {least}");
                        assert!(present.get() >= before);
                    }
                })
            })
            .collect();
        for next in 1..=LAST {
            let former = present.replace(next);
            assert_eq!(former[0], next - 1);
            // A copy was made of one of those before, or of this one.
            assert!(former.iter().all(|former| *former <= next), "{former:?}");
            // ordering: Release pairs with the Acquire above.
            told.store(next, Ordering::Release);
        }
        for thread in threads {
            thread.join().expect("ends");
        }
    }
}
