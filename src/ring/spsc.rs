//! One writer, one reader.

use crate::prim::atomic::Ordering;

use super::{Damaged, RingView};

/// The writing side. There must be at most one.
#[derive(Debug)]
pub struct Producer {
    ring: RingView,
    /// Words written; the shared tail follows on `publish`.
    tail: u64,
    published: u64,
    /// The reader's head as last seen: never ahead of the truth.
    head_seen: u64,
}

impl Producer {
    /// Takes over the writing side, after its former owner (if any) has ended.
    /// Words that one staged but never published are forgotten.
    pub fn attach(ring: RingView) -> Self {
        // ordering: Acquire pairs with `publish` of a former incarnation.
        let tail = ring.tail.load(Ordering::Acquire);
        // ordering: Acquire pairs with the reader's `release`.
        let head_seen = ring.head.load(Ordering::Acquire);
        Producer {
            ring,
            tail,
            published: tail,
            head_seen,
        }
    }

    /// Writes one word behind the tail without showing it; false when full.
    #[inline]
    pub fn stage(&mut self, value: u64) -> bool {
        if !self.find_room_for(1) {
            return false;
        }
        // Relaxed: `publish` makes it visible.
        self.ring.word(self.tail).store(value, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        true
    }

    /// As `stage`, for `count` words, of which `value` tells the first, the second, …:
    /// all of them or none.
    #[cfg(any(test, feature = "bench-internals"))]
    #[inline]
    pub fn stage_many(&mut self, count: usize, mut value: impl FnMut(usize) -> u64) -> bool {
        if count == 1 {
            return self.stage(value(0));
        }
        if !self.find_room_for(count as u64) {
            return false;
        }
        let (first, second) = self.ring.run(self.tail, count as u64);
        for (at, word) in first.iter().enumerate() {
            // Relaxed: `publish` makes it visible.
            word.store(value(at), Ordering::Relaxed);
        }
        for (at, word) in second.iter().enumerate() {
            word.store(value(first.len() + at), Ordering::Relaxed);
        }
        self.tail = self.tail.wrapping_add(count as u64);
        true
    }

    #[inline]
    fn find_room_for(&mut self, count: u64) -> bool {
        let fits = |used: u64, capacity: u64| count <= capacity && used <= capacity - count;
        let capacity = self.ring.capacity();
        fits(self.tail.wrapping_sub(self.head_seen), capacity) || {
            // ordering: Acquire pairs with the reader's Release in `read`: its reads of
            // the words we are about to overwrite are done.
            self.head_seen = self.ring.head.load(Ordering::Acquire);
            fits(self.tail.wrapping_sub(self.head_seen), capacity)
        }
    }

    /// Shows everything staged so far to the reader.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.tail {
            // ordering: Release pairs with the reader's Acquire in `refresh`.
            self.ring.tail.store(self.tail, Ordering::Release);
            self.published = self.tail;
        }
    }
}

/// The reading side. There must be at most one.
#[derive(Debug)]
pub struct Consumer {
    ring: RingView,
    head: u64,
}

impl Consumer {
    /// Takes over the reading side.
    pub fn attach(ring: RingView) -> Self {
        // ordering: Acquire pairs with `release` of a former reader.
        let head = ring.head.load(Ordering::Acquire);
        Consumer { ring, head }
    }

    /// Whether there is anything to read; one load of the shared tail.
    #[inline]
    pub fn has_more(&self) -> bool {
        // Relaxed: a hint; `read` looks again with Acquire.
        self.ring.tail.load(Ordering::Relaxed) != self.head
    }

    /// Hands up to `most` published words to `each`, oldest first, then frees the room.
    /// Returns how many there were.
    #[inline]
    pub fn read(&mut self, most: u64, mut each: impl FnMut(u64)) -> Result<u64, Damaged> {
        // ordering: Acquire pairs with the writer's `publish`.
        let tail = self.ring.tail.load(Ordering::Acquire);
        let count = tail.wrapping_sub(self.head);
        if count > self.ring.capacity() {
            return Err(self.ring.damaged(self.head, tail));
        }
        let count = count.min(most);
        let (first, second) = self.ring.run(self.head, count);
        for word in first {
            // Relaxed: ordered by the load of the tail.
            each(word.load(Ordering::Relaxed));
        }
        for word in second {
            each(word.load(Ordering::Relaxed));
        }
        if count > 0 {
            self.head = self.head.wrapping_add(count);
            // ordering: Release pairs with the writer's Acquire in `find_room_for`: our
            // reads are done before it overwrites.
            self.ring.head.store(self.head, Ordering::Release);
        }
        Ok(count)
    }

    /// Whether head and tail are as a correct writer leaves them.
    pub fn check(&self) -> Result<(), Damaged> {
        // ordering: Acquire as in `read`.
        let tail = self.ring.tail.load(Ordering::Acquire);
        // Relaxed: only this side writes it.
        let head = self.ring.head.load(Ordering::Relaxed);
        if head != self.head || tail.wrapping_sub(head) > self.ring.capacity() {
            return Err(self.ring.damaged(head, tail));
        }
        Ok(())
    }
}
