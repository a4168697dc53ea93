//! One writer side, many takers.

use crate::prim::atomic::Ordering;

use super::{Damaged, RingView};

/// The writing side. There must be at most one (threads of one process may share
/// it under a lock of their own).
#[derive(Debug)]
pub struct Producer {
    ring: RingView,
    tail: u64,
    head_seen: u64,
}

impl Producer {
    /// Takes over the writing side.
    pub fn attach(ring: RingView) -> Self {
        // ordering: Acquire pairs with a former writer's `publish`.
        let tail = ring.tail.load(Ordering::Acquire);
        // ordering: Acquire pairs with the takers' compare-and-swap.
        let head = ring.head.load(Ordering::Acquire);
        Producer {
            ring,
            // A dying writer may have left its tail behind the head.
            tail: tail.max(head),
            head_seen: head,
        }
    }

    /// Writes one word behind the tail without showing it; `Ok(false)` when full.
    #[inline]
    pub fn stage(&mut self, value: u64) -> Result<bool, Damaged> {
        if !self.find_room()? {
            return Ok(false);
        }
        // Relaxed: `publish` makes it visible. A taker that still reads the old
        // word here has a stale head, and its compare-and-swap will fail.
        self.ring.word(self.tail).store(value, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        Ok(true)
    }

    /// Whether one word more can be staged.
    #[inline]
    pub fn find_room(&mut self) -> Result<bool, Damaged> {
        let is_full = |ring: &Self| ring.tail.wrapping_sub(ring.head_seen) >= ring.ring.capacity();
        if is_full(self) {
            self.refresh()?;
        }
        Ok(!is_full(self))
    }

    /// Shows everything staged so far.
    #[inline]
    pub fn publish(&mut self) {
        // ordering: Release pairs with the Acquire of the tail in `take`.
        self.ring.tail.store(self.tail, Ordering::Release);
    }

    /// Where the next word goes.
    #[inline]
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// The word that was written last at this position, or at one that is a whole number of
    /// capacities from it.
    #[inline]
    pub fn look(&self, position: u64) -> u64 {
        // Relaxed: only this side writes it.
        self.ring.word(position).load(Ordering::Relaxed)
    }

    /// How many words wait, as far as the writer knows (an upper bound).
    #[inline]
    pub fn backlog_seen(&self) -> u64 {
        self.tail.wrapping_sub(self.head_seen)
    }

    /// How many words wait, looking at the takers' head again.
    #[inline]
    pub fn refresh(&mut self) -> Result<u64, Damaged> {
        // ordering: Acquire pairs with the Release half of the takers'
        // compare-and-swap: their reads are done before we overwrite.
        let head = self.ring.head.load(Ordering::Acquire);
        if self.tail.wrapping_sub(head) > self.ring.capacity() {
            return Err(self.ring.damaged(head, self.tail));
        }
        self.head_seen = head;
        Ok(self.tail.wrapping_sub(head))
    }

    /// Whether head and tail are as correct takers leave them. Everything staged
    /// must have been published.
    pub fn check(&mut self) -> Result<(), Damaged> {
        // Relaxed: only this side writes it.
        let tail = self.ring.tail.load(Ordering::Relaxed);
        if tail != self.tail {
            return Err(self.ring.damaged(self.head_seen, tail));
        }
        self.refresh().map(drop)
    }
}

/// A taking side. There may be any number.
#[derive(Clone, Debug)]
pub struct Taker {
    ring: RingView,
}

impl Taker {
    /// Attaches to a ring that somebody else fills.
    pub fn attach(ring: RingView) -> Self {
        Taker { ring }
    }

    /// How many words wait; a hint.
    #[inline]
    pub fn backlog(&self) -> u64 {
        // Relaxed: only a hint. A head read before the tail may make it too large
        // and a later one makes it wrap: clamp.
        let head = self.ring.head.load(Ordering::Relaxed);
        let tail = self.ring.tail.load(Ordering::Relaxed);
        let count = tail.wrapping_sub(head);
        if count > self.ring.capacity() {
            0
        } else {
            count
        }
    }

    /// Takes words from the head into `into`: up to `into.len()` of them, and if
    /// `half`, at most half of what is there (rounded up). Returns how many, and
    /// how many it saw but left.
    ///
    /// Before the head moves, `announce` is called with the words: what it stores
    /// in shared memory tells a rescuer what this process was about to take. It
    /// may be called several times; only the last call counts.
    pub fn take(
        &self,
        into: &mut [u64],
        half: bool,
        mut announce: impl FnMut(&[u64]),
    ) -> Result<(usize, u64), Damaged> {
        // ordering: Acquire pairs with the other takers' Release: we do not see
        // an older tail than they did.
        let mut head = self.ring.head.load(Ordering::Acquire);
        loop {
            // ordering: Acquire pairs with the writer's `publish`.
            let tail = self.ring.tail.load(Ordering::Acquire);
            let waiting = tail.wrapping_sub(head);
            if waiting == 0 {
                return Ok((0, 0));
            }
            if waiting > self.ring.capacity() {
                // ordering: Acquire as above.
                let now = self.ring.head.load(Ordering::Acquire);
                if now == head {
                    return Err(self.ring.damaged(head, tail));
                }
                // Our head was merely old.
                head = now;
                continue;
            }
            let share = if half { waiting.div_ceil(2) } else { waiting };
            let count = share.min(into.len() as u64) as usize;
            for (position, word) in into[..count].iter_mut().enumerate() {
                let at = self.ring.word(head.wrapping_add(position as u64));
                // Relaxed: ordered by the tail; overwritten words are caught by
                // the compare-and-swap.
                *word = at.load(Ordering::Relaxed);
            }
            announce(&into[..count]);
            // ordering: Release pairs with the writer's `refresh` (our reads are
            // done) and keeps the announcement before the take; Acquire as above.
            match self.ring.head.compare_exchange_weak(
                head,
                head.wrapping_add(count as u64),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok((count, waiting - count as u64)),
                Err(now) => head = now,
            }
        }
    }
}
