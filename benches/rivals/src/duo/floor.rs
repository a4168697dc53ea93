//! The floor: a ring and a ping-pong, written by hand for two processes, with no more
//! than the work itself needs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Gate, Patience, Peer, SharedMemory, message, now, one_way, pin, sum_of, unpin};

/// Head and tail in lines of their own, then the slots.
///
/// A message costs the line of its slot, once from the sender to the receiver and once
/// back when it is overwritten; the indices travel when one side has used up what it knew.
#[derive(Debug)]
pub struct RingMemory<const W: usize> {
    memory: SharedMemory,
    slots: u64,
}

const TAIL: usize = 0;
const HEAD: usize = 128;
const SLOTS: usize = 256;

impl<const W: usize> RingMemory<W> {
    /// A ring of `slots` (a power of two) messages of `W` words.
    pub fn new(slots: u64) -> Self {
        assert!(slots.is_power_of_two());
        let memory = SharedMemory::new(SLOTS + slots as usize * W * 8);
        RingMemory { memory, slots }
    }

    fn slot(&self) -> *mut [u64; W] {
        self.memory.at(SLOTS, self.slots as usize * W * 8).cast()
    }

    /// The one sending side.
    pub fn sender(&self) -> Sender<'_, W> {
        Sender {
            tail: self.memory.word(TAIL),
            head: self.memory.word(HEAD),
            slots: self.slot(),
            mask: self.slots - 1,
            next: 0,
            head_seen: 0,
        }
    }

    /// The one receiving side.
    pub fn receiver(&self) -> Receiver<'_, W> {
        Receiver {
            tail: self.memory.word(TAIL),
            head: self.memory.word(HEAD),
            slots: self.slot(),
            mask: self.slots - 1,
            next: 0,
            tail_seen: 0,
        }
    }
}

/// Sends.
#[derive(Debug)]
pub struct Sender<'a, const W: usize> {
    tail: &'a AtomicU64,
    head: &'a AtomicU64,
    slots: *mut [u64; W],
    mask: u64,
    next: u64,
    head_seen: u64,
}

impl<const W: usize> Sender<'_, W> {
    /// Writes `count` messages, and waits for room if there is none; shows nothing yet.
    #[inline]
    pub fn stage(&mut self, count: usize, mut message: impl FnMut(usize) -> [u64; W]) {
        if self.next + count as u64 - self.head_seen > self.mask + 1 {
            self.wait_for_room(count as u64);
        }
        let from = (self.next & self.mask) as usize;
        let first = count.min(self.mask as usize + 1 - from);
        // SAFETY: inside the ring, and the receiver has left these slots: its head is past
        // the messages that were there.
        let (before_end, from_start) = unsafe {
            (
                std::slice::from_raw_parts_mut(self.slots.add(from), first),
                std::slice::from_raw_parts_mut(self.slots, count - first),
            )
        };
        for (at, slot) in before_end.iter_mut().enumerate() {
            *slot = message(at);
        }
        for (at, slot) in from_start.iter_mut().enumerate() {
            *slot = message(first + at);
        }
        self.next += count as u64;
    }

    #[cold]
    fn wait_for_room(&mut self, count: u64) {
        let mut patience = Patience::default();
        loop {
            // ordering: Acquire pairs with the receiver's Release: it has read them.
            self.head_seen = self.head.load(Ordering::Acquire);
            if self.next + count - self.head_seen <= self.mask + 1 {
                return;
            }
            patience.spin();
        }
    }

    /// Shows what was staged.
    #[inline]
    pub fn publish(&mut self) {
        // ordering: Release pairs with the Acquire in `receive`.
        self.tail.store(self.next, Ordering::Release);
    }
}

/// Receives.
#[derive(Debug)]
pub struct Receiver<'a, const W: usize> {
    tail: &'a AtomicU64,
    head: &'a AtomicU64,
    slots: *mut [u64; W],
    mask: u64,
    next: u64,
    tail_seen: u64,
}

impl<const W: usize> Receiver<'_, W> {
    /// Waits for messages; hands all that have come to `take`, in one piece or in two,
    /// then frees their room. Returns how many.
    #[inline]
    pub fn receive(&mut self, mut take: impl FnMut(&[[u64; W]])) -> u64 {
        let mut patience = Patience::default();
        loop {
            // ordering: Acquire pairs with the sender's Release.
            self.tail_seen = self.tail.load(Ordering::Acquire);
            if self.tail_seen != self.next {
                break;
            }
            patience.spin();
        }
        let count = self.tail_seen - self.next;
        while self.next != self.tail_seen {
            let from = self.next & self.mask;
            let some = (self.mask + 1 - from).min(self.tail_seen - self.next);
            // SAFETY: inside the ring, written before the tail was, and not overwritten
            // before the head passes them.
            take(unsafe {
                std::slice::from_raw_parts(self.slots.add(from as usize), some as usize)
            });
            self.next += some;
        }
        // ordering: Release pairs with the Acquire in `wait_for_room`.
        self.head.store(self.next, Ordering::Release);
        count
    }
}

/// Millions of messages of `W` words per second through a ring, of which `batch` become visible at
/// once; their number is a multiple of that.
pub fn ring<const W: usize>(messages: u64, slots: usize, batch: usize) -> f64 {
    let ring = RingMemory::<W>::new(slots as u64);
    one_way::<W>(
        messages,
        |gate| {
            let mut receiver = ring.receiver();
            let (mut got, mut sum) = (0, 0_u64);
            gate.ready();
            while got < messages {
                got += receiver.receive(|messages| {
                    sum = sum.wrapping_add(sum_of(messages.as_flattened()));
                });
            }
            sum
        },
        || {
            let mut sender = ring.sender();
            for first in (0..messages).step_by(batch) {
                sender.stage(batch, |at| message(first + at as u64));
                sender.publish();
            }
        },
    )
}

/// Nanoseconds of a round trip of one cache line: this process writes one, the peer
/// answers on another.
pub fn ping_pong(rounds: u64) -> f64 {
    let memory = SharedMemory::new(4096);
    let (ping, pong) = (memory.word(0), memory.word(128));
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        gate.ready();
        for round in 1..=rounds {
            wait_until(ping, round);
            // ordering: Release pairs with the Acquire in `wait_until`.
            pong.store(round, Ordering::Release);
        }
    });
    pin(0);
    gate.wait_ready();
    let start = now();
    for round in 1..=rounds {
        // ordering: Release pairs with the Acquire in `wait_until`.
        ping.store(round, Ordering::Release);
        wait_until(pong, round);
    }
    let time = now() - start;
    peer.join();
    unpin();
    time as f64 / rounds as f64
}

#[inline]
fn wait_until(word: &AtomicU64, value: u64) {
    let mut patience = Patience::default();
    // ordering: Acquire pairs with the other side's Release.
    while word.load(Ordering::Acquire) != value {
        patience.spin();
    }
}
