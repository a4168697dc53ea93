//! Seats: a small number for each thread that meets others at locks.
//!
//! What every thread would touch can be had once for each seat, so that threads which are busy at
//! the same time do not touch the same lines. A thread that never meets anybody has no seat.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many seats there are.
pub const SEATS: usize = 64;
/// Who has met others so often gets one. A thread that is alone becomes the favourite of its locks
/// before that.
const MET: u32 = 128;

/// The same; with the feature `crash-points` the variable `PINFOLD_SEAT_AFTER` says another number, so
/// that tests see every thread with a seat, or none.
#[inline]
fn met_often() -> u32 {
    #[cfg(feature = "crash-points")]
    {
        static SAID: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        let said = || std::env::var("PINFOLD_SEAT_AFTER").ok()?.parse().ok();
        *SAID.get_or_init(|| said().unwrap_or(MET))
    }
    #[cfg(not(feature = "crash-points"))]
    MET
}
const NONE: u32 = u32::MAX;

/// A bit for each seat that a thread has.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// So many threads have got a seat that another one has.
static SHARED: AtomicU64 = AtomicU64::new(0);

struct Mine {
    seat: Cell<u32>,
    met: Cell<u32>,
    /// No other thread has it.
    is_own: Cell<bool>,
}

thread_local! {
    static MINE: Mine = const {
        Mine {
            seat: Cell::new(NONE),
            met: Cell::new(0),
            is_own: Cell::new(false),
        }
    };
}

impl Drop for Mine {
    fn drop(&mut self) {
        if self.is_own.get() {
            // Relaxed: who sits where is of no consequence: what belongs to a seat has a lock.
            TAKEN.fetch_and(!(1 << self.seat.get()), Ordering::Relaxed);
        }
    }
}

/// The seat of the calling thread, if it has one.
#[inline]
pub fn seat() -> Option<usize> {
    let seat = MINE.try_with(|mine| mine.seat.get());
    seat.ok()
        .filter(|seat| *seat != NONE)
        .map(|seat| seat as usize)
}

/// The calling thread has met others at a lock that it takes for each of many things; it gets a seat
/// if that has happened often.
#[cold]
pub fn note_met() {
    let _ = MINE.try_with(|mine| {
        mine.met.set(mine.met.get() + 1);
        if mine.met.get() >= met_often() && mine.seat.get() == NONE {
            let (seat, is_own) = take();
            mine.seat.set(seat);
            mine.is_own.set(is_own);
        }
    });
}

/// Gives the calling thread a seat, whomever it has met.
#[cfg(test)]
pub fn take_a_seat() {
    (0..met_often()).for_each(|_| note_met());
}

/// A seat, and whether no other thread has it.
fn take() -> (u32, bool) {
    // Relaxed: as in `drop`.
    let mut taken = TAKEN.load(Ordering::Relaxed);
    while taken != u64::MAX {
        let seat = taken.trailing_ones();
        let next = taken | 1 << seat;
        let relaxed = Ordering::Relaxed;
        match TAKEN.compare_exchange_weak(taken, next, relaxed, relaxed) {
            Ok(_) => return (seat, true),
            Err(now) => taken = now,
        }
    }
    // Relaxed: as above.
    let turn = SHARED.fetch_add(1, Ordering::Relaxed);
    ((turn % SEATS as u64) as u32, false)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_meets_others_often_gets_a_seat_and_gives_it_back() {
        let seat_of = |met: u32| {
            let thread = std::thread::spawn(move || {
                (0..met).for_each(|_| note_met());
                seat()
            });
            thread.join().expect("ends")
        };
        assert_eq!(seat_of(met_often() - 1), None);
        // More than there are, one after the other: each gives back its own.
        for _ in 0..2 * SEATS {
            let seat = seat_of(met_often()).expect("a seat");
            assert!(seat < SEATS);
        }
        assert_eq!(SHARED.load(Ordering::Relaxed), 0);
    }
}
