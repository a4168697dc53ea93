//! Descriptors kept for the time when there are no others.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use crate::sys::{Held, limits};

/// As many as it takes to start a zygote, and then a worker.
const SIZE: usize = 12;
/// How long after they were given up they are taken again.
const PAUSE: Duration = Duration::from_secs(1);

/// Open descriptors without a use, as long as no more than half of those that may be are open. To
/// close them makes room for as many others: in a program that has as many as it may, a worker can
/// be replaced all the same.
#[derive(Debug)]
pub struct Reserve {
    held: Vec<Held>,
    refill_at: Instant,
}

impl Reserve {
    /// Nothing yet.
    pub fn new() -> Self {
        Reserve {
            held: Vec::with_capacity(SIZE),
            refill_at: Instant::now(),
        }
    }

    /// Gives all up, for something that is tried at once; false if there were none.
    pub fn release(&mut self) -> bool {
        self.refill_at = Instant::now() + PAUSE;
        let had_any = !self.held.is_empty();
        self.held.clear();
        had_any
    }

    /// Takes what is missing, copies of `source`, if it is time for it and there is room.
    pub fn refill(&mut self, source: &Held) {
        if self.held.len() == SIZE || Instant::now() < self.refill_at {
            return;
        }
        // What is scarce already is left to others.
        let most = limits::descriptor_limit() / 2;
        while self.held.len() < SIZE {
            match source.copy() {
                Ok(copy) if (copy.as_fd().as_raw_fd() as u64) < most => self.held.push(copy),
                _ => {
                    self.refill_at = Instant::now() + PAUSE;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Bell;

    #[test]
    fn what_was_given_up_is_not_taken_again_at_once() {
        let ends = Bell::new().expect("a bell").ends();
        let bell = (*ends).as_ref();
        let mut reserve = Reserve::new();
        reserve.refill(bell);
        assert_eq!(reserve.held.len(), SIZE);
        assert!(reserve.release() && !reserve.release());
        reserve.refill(bell);
        assert!(reserve.held.is_empty());
        reserve.refill_at = Instant::now();
        reserve.refill(bell);
        assert_eq!(reserve.held.len(), SIZE);
    }
}
