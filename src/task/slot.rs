//! The task slot: 64 bytes, one cache line.
//!
//! ```text
//!   0        8         16                                              64
//!   +--------+---------+------------------------------------------------+
//!   |  word  |  head   |  payload: 48 bytes, or where the block is      |
//!   +--------+---------+------------------------------------------------+
//!
//!   head   63 … 32    31      30         29        28     27 … 24   23 … 16   15 … 8   7       6 … 0
//!          function   label?  followed?  awaited?  place  outcome   parcels   edges    timed?  bytes
//!                                                                                              (inline)
//! ```
//!
//! Arguments and result share the payload: the arguments are decoded before the
//! task runs, the result is written after it. `edges`: of arguments, how many inputs
//! lie beside the slot ([`Edges`](super::Edges)); of a result, how many of the dependents
//! that lie there its executor has told. `followed` and `awaited` are set by the host at
//! any time until the result is written, and mean nothing after that. `timed`: of arguments,
//! that whoever runs the task leaves beside the slot when it begins and ends.

use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{BlockIndex, ExecutorId, Generation, Word};
use crate::shm::ShmSafe;

use super::Outcome;

/// Words of payload.
pub const PAYLOAD_WORDS: usize = 6;

/// A task slot, as it lies in shared memory.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Slot {
    word: AtomicU64,
    head: AtomicU64,
    payload: [AtomicU64; PAYLOAD_WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

// SAFETY: atomics only, repr(C), no padding (8 + 8 + 48 = 64).
unsafe impl ShmSafe for Slot {}

/// The states of a slot's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskState {
    /// No task.
    Free = 0,
    /// Submitted; whoever claims it runs it.
    Queued = 1,
    /// Claimed by the executor that the owner field names.
    Running = 2,
    /// Finished by it; the result is in the slot.
    Done = 3,
    /// Submitted, but not to be run yet: the host's alone.
    Waiting = 4,
    /// Some of its inputs are missing: whoever brings the last one queues it.
    Pending = 5,
    /// It has run, and its result is in the slot; its executor tells those that depend on it.
    Finishing = 6,
}

/// Where the payload's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the slot: so many of its 48 bytes.
    Inline(usize),
    /// In a pool block.
    Block {
        /// Which block.
        index: BlockIndex,
        /// In which generation.
        generation: Generation,
        /// How many bytes of it.
        len: usize,
    },
}

/// A slot's second word (and, for blocks, the first payload words), taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which function.
    pub function: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// How many parcels follow the encoded bytes.
    pub parcels: u8,
    /// Whether a label stands in front of the arguments.
    pub is_labelled: bool,
    /// Whether whoever runs it says when it begins and ends.
    pub is_timed: bool,
    /// Where the bytes are.
    pub place: Place,
}

const PLACE_INLINE: u64 = 0;
const PLACE_BLOCK: u64 = 1;
/// A head's bit: some of its dependents are to be told by whoever runs it.
const FOLLOWED: u64 = 1 << 30;
/// A head's bit: somebody in the host sleeps until it ends, and for nothing else.
const AWAITED: u64 = 1 << 29;
/// A head's bit: whoever runs the task says when.
const TIMED: u64 = 1 << 7;
/// A head's bits: the bytes of an inline payload.
const LEN: u64 = TIMED - 1;
/// Where the number of edges is in a head.
const EDGES_SHIFT: u32 = 8;

impl Head {
    /// Of a task with so many bytes of arguments in its slot, and nothing else.
    #[inline]
    pub fn of_arguments(function: u32, len: usize) -> Self {
        Head {
            function,
            outcome: Outcome::None,
            parcels: 0,
            is_labelled: false,
            is_timed: false,
            place: Place::Inline(len),
        }
    }

    fn pack(self) -> u64 {
        let (place, len) = match self.place {
            Place::Inline(len) => (PLACE_INLINE, len as u64),
            Place::Block { .. } => (PLACE_BLOCK, 0),
        };
        u64::from(self.function) << 32
            | u64::from(self.is_labelled) << 31
            | place << 28
            | (self.outcome as u64) << 24
            | u64::from(self.parcels) << 16
            | if self.is_timed { TIMED } else { 0 }
            | len
    }

    /// `None` for what no correct process writes.
    fn unpack(raw: u64, payload: &[u64; PAYLOAD_WORDS]) -> Option<Self> {
        let outcome = match (raw >> 24) & 15 {
            0 => Outcome::None,
            1 => Outcome::Value,
            2 => Outcome::ReturnedErr,
            3 => Outcome::Panicked,
            4 => Outcome::BadArguments,
            5 => Outcome::BadResult,
            6 => Outcome::NoMemory,
            7 => Outcome::Damaged,
            8 => Outcome::Lost,
            9 => Outcome::Cancelled,
            10 => Outcome::MarkedArguments,
            11 => Outcome::MarkedValue,
            12 => Outcome::MarkedErr,
            _ => return None,
        };
        let place = match (raw >> 28) & 1 {
            PLACE_INLINE => Place::Inline((raw & LEN) as usize),
            _ => Place::Block {
                index: BlockIndex(u32::try_from(payload[0]).ok()?),
                generation: Generation::new(payload[1]),
                len: usize::try_from(payload[2]).ok()?,
            },
        };
        if matches!(place, Place::Inline(len) if len > 8 * PAYLOAD_WORDS) {
            return None;
        }
        Some(Head {
            function: (raw >> 32) as u32,
            outcome,
            parcels: (raw >> 16) as u8,
            is_labelled: raw >> 31 & 1 == 1,
            is_timed: raw & TIMED != 0,
            place,
        })
    }
}

impl Slot {
    fn state_word(state: TaskState, owner: u32, generation: Generation) -> u64 {
        Word::new(state as u8, owner, generation).pack()
    }

    /// Moves the word from one state to another, unless it is in a third.
    #[inline]
    fn moves(&self, from: u64, to: u64) -> bool {
        // ordering: AcqRel pairs with what each caller says; Relaxed: who fails learns nothing.
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The word as it is now.
    #[inline]
    pub fn word(&self) -> Word {
        // ordering: Acquire pairs with the Release in `queue`, `finish` and the
        // others: what was written to the slot before is seen.
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Writes head and payload. Only by the owner: the host while `Free`, the
    /// executor while `Running`.
    #[inline]
    pub fn write(&self, head: Head, inline: &[u64]) {
        // Relaxed: `queue` or `finish` publishes them.
        if let Place::Block {
            index,
            generation,
            len,
        } = head.place
        {
            self.payload[0].store(u64::from(index.0), Ordering::Relaxed);
            self.payload[1].store(generation.raw(), Ordering::Relaxed);
            self.payload[2].store(len as u64, Ordering::Relaxed);
        } else {
            for (to, from) in self.payload.iter().zip(inline) {
                to.store(*from, Ordering::Relaxed);
            }
        }
        self.head.store(head.pack(), Ordering::Relaxed);
    }

    /// As `write`, for nothing but so many bytes of arguments.
    #[inline]
    pub fn write_plain(&self, function: u32, len: usize, words: &[u64]) {
        // Relaxed: as in `write`.
        for (to, from) in self.payload.iter().zip(words) {
            to.store(*from, Ordering::Relaxed);
        }
        let head = u64::from(function) << 32 | len as u64;
        self.head.store(head, Ordering::Relaxed);
    }

    /// What a death in the middle of `write` leaves: some words of the payload, and
    /// not the head.
    #[cfg(all(test, not(loom)))]
    pub(super) fn write_torn(&self, words: &[u64]) {
        for (to, from) in self.payload.iter().zip(words) {
            // Relaxed: as in `write`.
            to.store(*from, Ordering::Relaxed);
        }
    }

    /// What a wild store leaves.
    #[cfg(all(test, not(loom)))]
    pub fn spoil(&self, word: u64) {
        // ordering: Release as in `queue`.
        self.word.store(word, Ordering::Release);
    }

    /// Copies head and payload out; `None` if they make no sense.
    #[inline]
    pub fn read(&self) -> Option<(Head, [u64; PAYLOAD_WORDS])> {
        // Relaxed: the caller has read the word (Acquire) or claimed it.
        let mut words = [0; PAYLOAD_WORDS];
        for (to, from) in words.iter_mut().zip(&self.payload) {
            *to = from.load(Ordering::Relaxed);
        }
        Head::unpack(self.head.load(Ordering::Relaxed), &words).map(|head| (head, words))
    }

    /// Whether whoever runs the task says when it begins and ends.
    #[inline]
    pub fn is_timed(&self) -> bool {
        // Relaxed: as in `read`.
        self.head.load(Ordering::Relaxed) & TIMED != 0
    }

    /// The length of the value, if that is what the slot has, in at most `most` bytes of the
    /// slot itself, and no parcels.
    #[inline]
    pub fn value_of_at_most(&self, most: usize) -> Option<usize> {
        // Relaxed: as in `read`.
        let raw = self.head.load(Ordering::Relaxed);
        let value = PLACE_INLINE << 28 | (Outcome::Value as u64) << 24;
        let len = (raw & 0xff) as usize;
        (raw & 0x1fff_0000 == value && len <= most).then_some(len)
    }

    /// The length of the arguments, if they are in the slot itself, there is neither a label
    /// nor a parcel nor an input with them, and nobody wants to know when they are used.
    #[inline]
    pub fn plain_arguments(&self) -> Option<usize> {
        // Relaxed: as in `read`.
        let raw = self.head.load(Ordering::Relaxed);
        let len = (raw & 0xff) as usize;
        (raw & 0xffff_ff00 == 0 && len <= 8 * PAYLOAD_WORDS).then_some(len)
    }

    /// Of arguments: how many inputs lie beside the slot. Of a result: how many dependents
    /// have been told.
    #[inline]
    pub fn edges(&self) -> usize {
        // Relaxed: as in `read`.
        (self.head.load(Ordering::Relaxed) >> EDGES_SHIFT) as usize & 0xff
    }

    /// Says so. Only by the owner, after [`Slot::write`].
    #[inline]
    pub fn set_edges(&self, count: usize) {
        // Relaxed: as in `write`. What the host adds to the head meanwhile may be lost: it
        // looks at what was told.
        let raw = self.head.load(Ordering::Relaxed) & !(0xff << EDGES_SHIFT);
        let edges = (count as u64 & 0xff) << EDGES_SHIFT;
        self.head.store(raw | edges, Ordering::Relaxed);
    }

    /// Has whoever runs the task look for dependents, by the host, which has put the first
    /// one beside the slot. It may be too late: then they are not told.
    #[inline]
    pub fn follow(&self) {
        // ordering: Release pairs with the Acquire in `wishes`.
        self.head.fetch_or(FOLLOWED, Ordering::Release);
    }

    /// Has whoever runs the pending task ring when it has; by the host. False: it is pending
    /// no more, and may have been too late for that.
    pub fn awaits(&self, generation: Generation) -> bool {
        // Relaxed: published by the exchange in `stays`.
        self.head.fetch_or(AWAITED, Ordering::Relaxed);
        self.stays(generation)
    }

    /// Whether the task is still pending, so that whoever runs it sees what the host has
    /// written before.
    #[inline]
    pub fn stays(&self, generation: Generation) -> bool {
        let word = Self::state_word(TaskState::Pending, 0, generation);
        // ordering: Release pairs with the Acquire in `make_ready`, and so with the claim
        // after it.
        self.moves(word, word)
    }

    /// What the host has said of the end, as far as it was in time: whether dependents are
    /// to be told, and whether it is awaited.
    #[inline]
    pub fn wishes(&self) -> (bool, bool) {
        // ordering: Acquire pairs with the Release in `follow`.
        let raw = self.head.load(Ordering::Acquire);
        (raw & FOLLOWED != 0, raw & AWAITED != 0)
    }

    /// The first words of the payload.
    #[inline]
    pub fn first_words<const COUNT: usize>(&self) -> [u64; COUNT] {
        const { assert!(COUNT <= PAYLOAD_WORDS) };
        // Relaxed: as in `read`.
        std::array::from_fn(|at| self.payload[at].load(Ordering::Relaxed))
    }

    /// Running by a dead executor → Waiting, by the host; nobody else changes a
    /// waiting word.
    pub fn hold(&self, generation: Generation) {
        let word = Self::state_word(TaskState::Waiting, 0, generation);
        // ordering: Release; pairs with a late claimer's failed exchange only.
        self.word.store(word, Ordering::Release);
    }

    /// Free → Pending, by the host, who has filled the slot, and what is beside it.
    #[inline]
    pub fn pend(&self, generation: Generation) {
        let word = Self::state_word(TaskState::Pending, 0, generation);
        // ordering: Release pairs with the Acquire in `make_ready`.
        self.word.store(word, Ordering::Release);
    }

    /// Pending → Queued, by whoever sees that no input is missing; one only succeeds.
    #[inline]
    pub fn make_ready(&self, generation: Generation) -> bool {
        // ordering: Acquire pairs with `pend` and `awaits`, and Release with the Acquire in
        // `claim`: the inputs are seen.
        self.moves(
            Self::state_word(TaskState::Pending, 0, generation),
            Self::state_word(TaskState::Queued, 0, generation),
        )
    }

    /// Pending → Free(g+1), by the host: it ends without having run.
    pub fn withdraw(&self, generation: Generation) -> bool {
        // ordering: AcqRel as in `make_ready`, with which it competes.
        self.moves(
            Self::state_word(TaskState::Pending, 0, generation),
            Self::state_word(TaskState::Free, 0, generation.next()),
        )
    }

    /// Free, Waiting, or Pending without others' help → Queued, by the host, who has
    /// filled the slot.
    #[inline]
    pub fn queue(&self, generation: Generation) {
        let word = Self::state_word(TaskState::Queued, 0, generation);
        // ordering: Release pairs with the Acquire in `claim`.
        self.word.store(word, Ordering::Release);
    }

    /// Queued → Running(me); false if the hint was stale or another was first.
    #[inline]
    pub fn claim(&self, me: ExecutorId, generation: Generation) -> bool {
        // ordering: Acquire pairs with `queue`: we see head and payload. The
        // claim itself publishes nothing but the word.
        self.moves(
            Self::state_word(TaskState::Queued, 0, generation),
            Self::state_word(TaskState::Running, me.0, generation),
        )
    }

    /// Running(me) → Finishing(me), after the result was written: from here on it counts.
    #[inline]
    pub fn begin_to_finish(&self, me: ExecutorId, generation: Generation) {
        let word = Self::state_word(TaskState::Finishing, me.0, generation);
        // ordering: Release pairs with the Acquire in `word` by a rescuer.
        self.word.store(word, Ordering::Release);
    }

    /// Running(me) or Finishing(me) → Done(me), after the result was written; by the host,
    /// if `me` has died in between.
    ///
    /// A plain store: while `me` lives, nobody else changes a word it runs.
    #[inline]
    pub fn finish(&self, me: ExecutorId, generation: Generation) {
        let word = Self::state_word(TaskState::Done, me.0, generation);
        // ordering: Release pairs with the Acquire in `word` by the host.
        self.word.store(word, Ordering::Release);
    }

    /// Queued → Free(g+1), by the host: cancelled before anybody claimed it.
    pub fn cancel(&self, generation: Generation) -> bool {
        // ordering: AcqRel as in `claim`, with which it competes.
        self.moves(
            Self::state_word(TaskState::Queued, 0, generation),
            Self::state_word(TaskState::Free, 0, generation.next()),
        )
    }

    /// Done, or Running by a dead executor, or anything a wild one left: → Free
    /// in the next generation. Only by the host.
    #[inline]
    pub fn release(&self, generation: Generation) {
        let word = Self::state_word(TaskState::Free, 0, generation.next());
        // ordering: Release; pairs with a late claimer's failed exchange only.
        self.word.store(word, Ordering::Release);
    }
}

/// What state a word is in; `None` for a state that does not exist.
impl TaskState {
    /// Reads a word's state.
    #[inline]
    pub fn of(word: Word) -> Option<Self> {
        match word.state {
            0 => Some(TaskState::Free),
            1 => Some(TaskState::Queued),
            2 => Some(TaskState::Running),
            3 => Some(TaskState::Done),
            4 => Some(TaskState::Waiting),
            5 => Some(TaskState::Pending),
            6 => Some(TaskState::Finishing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_round_trips() {
        let block = Place::Block {
            index: BlockIndex(77),
            generation: Generation::new(1 << 39),
            len: 1 << 33,
        };
        for place in [Place::Inline(0), Place::Inline(48), block] {
            let head = Head {
                function: u32::MAX,
                outcome: Outcome::NoMemory,
                parcels: 255,
                is_labelled: matches!(place, Place::Inline(48)),
                is_timed: !matches!(place, Place::Inline(0)),
                place,
            };
            let payload = [77, 1 << 39, 1 << 33, 0, 0, 0];
            assert_eq!(Head::unpack(head.pack(), &payload), Some(head));
        }
    }

    #[test]
    fn what_is_said_beside_it_is_no_part_of_a_head() {
        let slot = Slot::default();
        let head = Head {
            function: 5,
            outcome: Outcome::Value,
            parcels: 0,
            is_labelled: false,
            is_timed: false,
            place: Place::Inline(9),
        };
        slot.write(head, &[1, 2]);
        assert_eq!((slot.edges(), slot.wishes()), (0, (false, false)));
        slot.set_edges(255);
        slot.follow();
        slot.set_edges(7);
        assert!(!slot.awaits(Generation::new(1)), "it is not pending");
        assert_eq!((slot.edges(), slot.wishes()), (7, (true, true)));
        assert_eq!(slot.read().map(|(head, _)| head), Some(head));
        assert_eq!(slot.value_of_at_most(9), Some(9));
        assert_eq!(slot.value_of_at_most(8), None);
    }

    #[test]
    fn arguments_are_plain_without_anything_beside_them() {
        let slot = Slot::default();
        let plain = Head::of_arguments(u32::MAX, 48);
        slot.write_plain(u32::MAX, 48, &[1; 6]);
        assert_eq!(slot.read(), Some((plain, [1; 6])));
        assert_eq!(slot.plain_arguments(), Some(48));
        slot.set_edges(1);
        assert_eq!(slot.plain_arguments(), None);
        let block = Place::Block {
            index: BlockIndex(0),
            generation: Generation::new(0),
            len: 0,
        };
        for other in [
            Head {
                place: block,
                ..plain
            },
            Head {
                parcels: 1,
                ..plain
            },
            Head {
                is_labelled: true,
                ..plain
            },
            Head {
                is_timed: true,
                ..plain
            },
            Head {
                outcome: Outcome::Value,
                ..plain
            },
        ] {
            slot.write(other, &[0; 6]);
            assert_eq!(slot.plain_arguments(), None, "{other:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Head::unpack(49, &[0; 6]), None, "49 bytes inline");
        assert_eq!(Head::unpack(13 << 24, &[0; 6]), None, "no such outcome");
        assert_eq!(Head::unpack(1 << 28, &[u64::MAX; 6]), None, "no such block");
    }
}
