//! The edges of the graph of tasks, at one task: beside each of the host's slots, three
//! cache lines that say which of its inputs are missing, and who waits for its result.
//!
//! ```text
//!   0         8                                                     128
//!   +---------+------------------------------------------------------+
//!   | missing |  inputs: 15 words; 3 for each of up to 5 inputs,      |
//!   |         |  2 for each of 6 or 7                                 |
//!   +---------+------------------------------------------------------+
//!   128                                                             192
//!   +----------------------------------------------------------------+
//!   |  dependents: up to 8, ended by 0                                |
//!   +----------------------------------------------------------------+
//!
//!   missing     63 … 42              41 … 7               6 … 0
//!               generation (22 of    lengths of inputs,   a bit for each
//!               its bits)            5 bits each          input that is missing
//!
//!   dependent   63          62 … 60       59 … 0
//!               2 words?    which input   slot and generation, as in a hint
//! ```
//!
//! | part | who writes it | when |
//! | --- | --- | --- |
//! | `missing`, all inputs | the host | before the task is `Pending` |
//! | an input that is missing, then its bit | the executor of its producer, while the producer is `Finishing`; else the host, after it (without compare-and-swap, if no edge to the task lies beside any slot: then nobody else knows of it) | once |
//! | `dependents` | the host | until the task has ended |
//!
//! **Bits, not a count**, because a death between two steps leaves a bit set or clear, and either can be done
//! again: the host, which knows every edge, looks at the bit. Nobody writes an input whose bit is clear. A
//! process that sees that no bit is left tries `Pending` → `Queued`; only one succeeds.
//!
//! The host reuses a slot only when all producers of its task have been collected: so an executor's knowledge
//! of a dependent stays true as long as the executor may use it.

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{Generation, Hint};
use crate::shm::ShmSafe;
use crate::sys::prefetch_for_write;

use super::payload::Payload;

/// Inputs that a task in a slot may wait for.
pub const INPUTS_MAX: usize = 7;
/// Dependents that a task's executor tells; the host tells more.
pub const DEPENDENTS_MAX: usize = 8;

const WORDS: usize = 15;
/// Words of each input, if they are few.
const WIDE: usize = 3;
/// Words of each, if they are many.
const NARROW: usize = 2;
const FEW: usize = WORDS / WIDE;
const _: () = assert!(INPUTS_MAX * NARROW <= WORDS && FEW < INPUTS_MAX);

/// The most bytes of an input.
pub const INPUT_LEN: usize = 8 * WIDE;

const LEN_BITS: u32 = 5;
const GENERATION_SHIFT: u32 = INPUTS_MAX as u32 * (1 + LEN_BITS);
const GENERATION_BITS: u32 = u64::BITS - GENERATION_SHIFT;
const _: () = assert!(1 << LEN_BITS > INPUT_LEN && GENERATION_BITS == 22);

/// What lies beside a slot, in shared memory.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Edges {
    missing: AtomicU64,
    inputs: [AtomicU64; WORDS],
    dependents: [AtomicU64; DEPENDENTS_MAX],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Edges>() == 192 && align_of::<Edges>() == 64);

// SAFETY: atomics only, repr(C), no padding (8 + 120 + 64 = 192).
unsafe impl ShmSafe for Edges {}

/// One edge, as seen from where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The task that depends.
    pub to: Hint,
    /// Which of its inputs it is.
    pub input: u8,
    /// It has so many that each gets less room.
    pub is_narrow: bool,
}

/// What has come of an input that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Others are missing.
    Waits,
    /// None is missing.
    Complete,
    /// The task is another one by now: nobody who is right in the head says that it waits.
    Elsewhere,
}

impl Edge {
    /// That of input `input` of the task of `to`, which has `inputs` of them.
    pub fn new(to: Hint, input: usize, inputs: usize) -> Self {
        Edge {
            to,
            input: input as u8,
            is_narrow: inputs > FEW,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.is_narrow) << 63 | u64::from(self.input & 7) << 60 | self.to.pack()
    }

    fn unpack(raw: u64) -> Self {
        Edge {
            to: Hint::unpack(raw & ((1 << 60) - 1)),
            input: (raw >> 60) as u8 & 7,
            is_narrow: raw >> 63 == 1,
        }
    }

    /// Bytes for which each of so many inputs has room.
    #[inline]
    pub fn room_of(inputs: usize) -> usize {
        8 * width(inputs > FEW)
    }

    /// Bytes that it has room for.
    #[inline]
    pub fn room(self) -> usize {
        8 * width(self.is_narrow)
    }
}

#[inline]
fn width(is_narrow: bool) -> usize {
    if is_narrow { NARROW } else { WIDE }
}

#[inline]
fn tag(generation: Generation) -> u64 {
    generation.raw() << GENERATION_SHIFT
}

impl Edges {
    /// A task of `generation` begins to wait for those inputs of which `missing` has a bit;
    /// the others have the lengths [`Edges::put`] gave. By the host, before the task is
    /// `Pending`.
    #[inline]
    pub fn open(&self, generation: Generation, missing: u8, lengths: u64) {
        debug_assert!(missing < 1 << INPUTS_MAX);
        let word = tag(generation) | lengths | u64::from(missing);
        // Relaxed: `Slot::pend` publishes it, and `add`.
        self.missing.store(word, Ordering::Relaxed);
    }

    /// Input `at` of `inputs` is there; by the host, before [`Edges::open`]. Gives its length,
    /// for that: lengths are put together by `|`.
    #[inline]
    pub fn put(&self, at: usize, inputs: usize, len: u8, words: &[u64; WIDE]) -> u64 {
        self.write(at, inputs > FEW, words);
        u64::from(len) << (INPUTS_MAX as u32 + LEN_BITS * at as u32)
    }

    #[inline]
    fn write(&self, at: usize, is_narrow: bool, words: &[u64; WIDE]) {
        let width = width(is_narrow);
        let room = self.inputs.get(at * width..).unwrap_or_default();
        for (to, from) in room.iter().zip(&words[..width]) {
            // Relaxed: published by the bit, or by `Slot::pend`.
            to.store(*from, Ordering::Relaxed);
        }
    }

    /// An input of `len` bytes, for which there is room, comes to the task that the edge
    /// leads to, and beside which this is. May be done again, by the host.
    #[inline]
    pub fn arrive(&self, edge: Edge, len: usize, words: &[u64; WIDE]) -> Arrived {
        let (at, bit) = (usize::from(edge.input), 1 << edge.input);
        let mask = (1 << INPUTS_MAX) - 1;
        // ordering: Acquire pairs with the Release below of others.
        let mut missing = self.missing.load(Ordering::Acquire);
        let is_it = |missing: u64| {
            missing >> GENERATION_SHIFT == tag(edge.to.generation) >> GENERATION_SHIFT
        };
        if is_it(missing) && missing & bit != 0 {
            self.write(at, edge.is_narrow, words);
        }
        loop {
            if !is_it(missing) {
                return Arrived::Elsewhere;
            }
            if missing & bit == 0 {
                break; // by one who died after that
            }
            let len = (len as u64) << (INPUTS_MAX as u32 + LEN_BITS * at as u32);
            let now = missing & !bit | len;
            // ordering: Release pairs with the Acquire of whoever brings the last one, here:
            // it makes the task ready, and so whoever runs that sees all inputs.
            match self.missing.compare_exchange_weak(
                missing,
                now,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    missing = now;
                    break;
                }
                Err(other) => missing = other,
            }
        }
        if missing & mask == 0 {
            Arrived::Complete
        } else {
            Arrived::Waits
        }
    }

    /// As [`Edges::arrive`], by the host, for a task that nobody else brings anything; says
    /// whether none is missing now.
    #[inline]
    pub fn bring(&self, at: usize, inputs: usize, len: u8, words: &[u64; WIDE]) -> bool {
        let len = self.put(at, inputs, len, words);
        // Relaxed: the host's alone; `Slot::queue` publishes it.
        let missing = self.missing.load(Ordering::Relaxed) & !(1 << at) | len;
        self.missing.store(missing, Ordering::Relaxed);
        missing & ((1 << INPUTS_MAX) - 1) == 0
    }

    /// Input `at` of `inputs`, which has come: its length, and its words.
    pub fn input(&self, at: usize, inputs: usize) -> (u8, [u64; WIDE]) {
        // Relaxed: as in `append`.
        let missing = self.missing.load(Ordering::Relaxed);
        let width = width(inputs > FEW);
        let len = missing >> (INPUTS_MAX as u32 + LEN_BITS * at as u32) & ((1 << LEN_BITS) - 1);
        let mut words = [0; WIDE];
        let room = self.inputs.get(at * width..).unwrap_or_default();
        for (to, from) in words.iter_mut().zip(room.iter().take(width)) {
            *to = from.load(Ordering::Relaxed);
        }
        (len.min(8 * width as u64) as u8, words)
    }

    /// Puts all inputs behind the arguments; by whoever has claimed the task.
    #[inline]
    pub fn append(&self, inputs: usize, payload: &mut Payload) {
        for at in 0..inputs.min(INPUTS_MAX) {
            // Relaxed: `Slot::claim` has seen what `make_ready` saw.
            let (len, words) = self.input(at, inputs);
            if !payload.extend_by_words(&words, len.into()) {
                let bytes: &[u8] = bytemuck::cast_slice(&words);
                payload.extend(&bytes[..usize::from(len)]);
            }
        }
    }

    /// One more dependent, the `at`th. By the host; before the first one's `Slot::follow`.
    #[inline]
    pub fn add(&self, at: usize, edge: Edge) {
        if let Some(next) = self.dependents.get(at + 1) {
            // Relaxed: published by the next.
            next.store(0, Ordering::Relaxed);
        }
        // ordering: Release pairs with the Acquire in `dependents`: whoever sees it sees the
        // end behind it, and that the dependent waits.
        self.dependents[at].store(edge.pack(), Ordering::Release);
    }

    /// Has the dependents brought here meanwhile.
    #[inline]
    pub fn ask_for_dependents(&self) {
        prefetch_for_write(&self.dependents);
    }

    /// The dependents, as far as they are seen.
    #[inline]
    pub fn dependents(&self) -> impl Iterator<Item = Edge> {
        let raw = self.dependents.iter().map(|dependent| {
            // ordering: Acquire pairs with the Release in `add`.
            dependent.load(Ordering::Acquire)
        });
        raw.take_while(|raw| *raw != 0).map(Edge::unpack)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::prim::SlotIndex;

    const G: Generation = Generation::new(0xab_cdef_0123);

    fn hint(slot: u32) -> Hint {
        Hint {
            slot: SlotIndex(slot),
            generation: G,
        }
    }

    #[test]
    fn an_edge_is_a_word() {
        for (slot, input, inputs) in [(0, 0, 1), ((1 << 20) - 1, 6, 7), (5, 4, 5)] {
            let edge = Edge::new(hint(slot), input, inputs);
            assert_eq!(Edge::unpack(edge.pack()), edge);
            assert_eq!(edge.room(), if inputs > 5 { 16 } else { 24 });
            assert_ne!(edge.pack(), 0);
        }
    }

    /// However many there are, and in whatever order they come, as often as they do.
    #[test]
    fn inputs_come_in_any_order_and_more_than_once() {
        let words = |at: usize| std::array::from_fn(|word| (100 * at + word) as u64);
        for inputs in 1..=INPUTS_MAX {
            for first in 0..inputs {
                let edges = Edges::default();
                let room = Edge::new(hint(3), 0, inputs).room();
                // One is there from the beginning, if there are several.
                let there = (inputs > 1).then_some((first + 1) % inputs);
                let len = |at: usize| room - at;
                let mut bits = (1 << inputs) - 1;
                let mut lengths = 0;
                if let Some(at) = there {
                    bits &= !(1 << at);
                    lengths |= edges.put(at, inputs, len(at) as u8, &words(at));
                }
                edges.open(G, bits, lengths);
                let order = (0..inputs).map(|at| (first + at) % inputs);
                let missing: Vec<_> = order.filter(|at| Some(*at) != there).collect();
                for (nth, at) in missing.iter().enumerate() {
                    let edge = Edge::new(hint(3), *at, inputs);
                    let is_last = nth + 1 == missing.len();
                    let expected = [Arrived::Waits, Arrived::Complete][usize::from(is_last)];
                    assert_eq!(edges.arrive(edge, len(*at), &words(*at)), expected);
                    // Again, and what comes does not count.
                    assert_eq!(edges.arrive(edge, 1, &[7; WIDE]), expected);
                    let mut other = edge;
                    other.to.generation = G.next();
                    assert_eq!(edges.arrive(other, 1, &[7; WIDE]), Arrived::Elsewhere);
                }
                let mut payload = Payload::new();
                payload.extend(b"args");
                edges.append(inputs, &mut payload);
                let mut whole = b"args".to_vec();
                for at in 0..inputs {
                    let words: [u64; WIDE] = words(at);
                    let bytes: &[u8] = bytemuck::cast_slice(&words);
                    whole.extend(&bytes[..len(at)]);
                }
                assert_eq!(payload.bytes(), whole, "{inputs} from {first}");
            }
        }
    }

    #[test]
    fn dependents_end_where_the_last_was_added() {
        let edges = Edges::default();
        let edge = |slot| Edge::new(hint(slot), 0, 1);
        for round in 0..3 {
            for count in [DEPENDENTS_MAX, 3, 1] {
                for at in 0..count {
                    edges.add(at, edge(round + at as u32));
                    let seen: Vec<_> = edges.dependents().map(|edge| edge.to.slot.0).collect();
                    let all: Vec<_> = (round..=round + at as u32).collect();
                    assert_eq!(seen, all);
                }
            }
        }
    }

    /// Whatever lies there, nothing is read or written elsewhere.
    #[test]
    fn nonsense_does_no_harm() {
        let edges = Edges::default();
        edges.missing.store(u64::MAX, Ordering::Relaxed);
        for inputs in [1, 5, 6, 7, 255] {
            let mut payload = Payload::new();
            edges.append(inputs, &mut payload);
            assert!(payload.len() <= INPUTS_MAX * INPUT_LEN);
        }
        let wild = Edge::unpack(u64::MAX);
        assert_eq!(wild.input, 7);
        edges.arrive(wild, usize::MAX, &[1; WIDE]);
        let mut wide = wild;
        wide.is_narrow = false;
        edges.arrive(wide, usize::MAX, &[1; WIDE]);
    }
}
