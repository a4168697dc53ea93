//! Feeds: bounded queues in shared memory of which each subscriber reads every message, with any
//! number of publishers and many subscribers, in any process.
//!
//! A feed is one block of the pool, behind its head (`src/pool/token.rs`):
//!
//! ```text
//!     0  capacity (a power of two), words per cell, kind, seats   never change
//!   128  tail       not beyond the next place to fill             hint
//!   256  low        all before it was read by all                 only grows
//!   384  gates: who waits for a message, who waits for room
//!   512  taken seats of subscribers, a bit each
//!   576  seats, a line each:
//!        +------+-----------------------------+------------------+
//!        | word | cursor: next place to read  | how many it lost |
//!        +------+-----------------------------+------------------+
//!   ...  cells, `capacity` of them:
//!        +------+--------+----------------------+
//!        | word | header | words of the message |
//!        +------+--------+----------------------+
//! ```
//!
//! A *place* is a number that grows by 1 with each message. Its cell is the place modulo the capacity; the
//! truth about it is the word of the cell, whose generation is the place's number.
//!
//! ```text
//!                 claim                 fill
//!   of the lap   ─────────▶ Writing(p) ──────▶ Full ──────────────┐ claim, if what was here
//!   before                     │               │                  │ keeps no memory
//!                p is dead     │               │ read by all,     ▼
//!                              ▼               │ or overwritten  Writing(p), next lap
//!                            Skip ──┐          ▼                  ▲
//!                                   │       Freeing(q) ──▶ Free ──┘
//!                                   └─────────────────────────────┘
//! ```
//!
//! | change | who | how | what a death leaves |
//! | --- | --- | --- | --- |
//! | a place → `Writing(p)` | p, a publisher | compare-and-swap | as before, or names the dead |
//! | `Writing(p)`→`Full` | p | store, Release | the message is whole, and stays |
//! | `Writing(p)`→`Skip` | the host, p dead | store | |
//! | `Full`→`Freeing(q)` | q: who has seen that all have read it, or a publisher that overwrites it | compare-and-swap | names the dead: the host lets go of what the message kept, then `Free` |
//! | `Freeing(q)`→`Free`, or `Writing(q)` of the next lap | q | store | |
//! | cursor moves on | a reader; over a `Skip` whoever looks for room | compare-and-swap | it has taken the message, or not |
//! | low grows | whoever sees that all cursors are beyond it | compare-and-swap | messages that nobody wants still keep memory: the host's recovery, or the next lap, lets go of them |
//! | tail moves on | a publisher that has claimed | store | a tail that is behind: the next one walks |
//! | seat `Free`→`Joining(p)`→`Taken` | p, who subscribes | compare-and-swap, store | `Joining`: the host frees it. `Taken`: it goes with its subscription |
//! | bit of the seat set, cursor set to the tail | the same | | the same |
//! | bit cleared, `Taken`→`Free`, next generation | who gives the subscription back | compare-and-swap | is done again; of another generation it does nothing |
//!
//! *Places are claimed in order*, as in a lane: a publisher that claims one has seen that the one before is
//! claimed.
//!
//! *Why no subscriber misses a message* that publishers must keep for it. A cell is reused only when low is
//! beyond it. A process that raises low has seen that all places up to some bound are claimed, passes a fence,
//! and looks at the seats' bits and cursors: low does not move beyond the bound, nor beyond any cursor. A new
//! subscriber sets its bit, passes a fence, and begins at the first place that is not claimed. So either its
//! bit is seen, or it begins at the bound or later. Until it begins there its cursor is at low, and holds
//! publishers back that look for room; so it makes room afterwards, as a reader does.
//!
//! *Why an overwritten message is not taken for whole.* A reader looks at the word, takes what it needs, and
//! checks that the word is unchanged (as with a seqlock). A publisher changes the word before it lets go of
//! anything, and before it writes. And the cursor moves by a compare-and-swap: of two readers that share a
//! seat, one takes each message.

#[cfg(all(test, loom))]
mod model;
mod recover;
mod seats;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering, fence};
use crate::prim::{Generation, ProcessId, Word};
use crate::shm::{Segment, View, Views};

const STRIDE: usize = 1;
const KIND: usize = 2;
const SEATS: usize = 3;
const TAIL: usize = 16;
const LOW: usize = 32;
/// Two gates of 32 bits.
const GATES: usize = 48;
const BITS: usize = 64;
const SEATS_AT: usize = BITS + SEATS_MAX / 64;
/// Words of a seat.
const SEAT: usize = 8;
const CURSOR: usize = 1;
const LAGGED: usize = 2;
/// Of a cell, in front of the message's words.
const CELL_HEAD: usize = 2;

/// The most subscribers that a feed can have.
pub const SEATS_MAX: usize = 512;
/// The most messages that it can hold.
pub const CAPACITY_MAX: usize = 1 << 24;
/// A header with this bit is of a message that keeps memory of the pool.
pub const KEEPS: u64 = 1 << 63;

/// What a cell's word may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum CellState {
    /// All have read what was here, and it keeps nothing.
    Free = 0,
    /// A process writes it.
    Writing = 1,
    /// It is there.
    Full = 2,
    /// A process lets go of what it kept.
    Freeing = 3,
    /// There is none in this place.
    Skip = 4,
    /// No correct process wrote this.
    Damaged = 15,
}

impl CellState {
    #[inline]
    fn of(state: u8) -> Self {
        match state {
            0 => CellState::Free,
            1 => CellState::Writing,
            2 => CellState::Full,
            3 => CellState::Freeing,
            4 => CellState::Skip,
            _ => CellState::Damaged,
        }
    }
}

/// What a seat's word may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum SeatState {
    Free = 0,
    Joining = 1,
    Taken = 2,
}

/// What no correct process writes was found in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("feed damaged: place {place} says {word:?}")]
pub struct Damaged {
    /// Which place was looked at.
    pub place: u64,
    /// What the word of its cell said.
    pub word: Word,
}

/// Why no place was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Somebody has not read the oldest message; or there is none to read.
    Wait,
    /// The place is being written, or cleared: in a moment there will be something.
    Soon,
    /// See [`Damaged`].
    Damaged(Damaged),
}

impl From<Damaged> for NotNow {
    fn from(damaged: Damaged) -> Self {
        NotNow::Damaged(damaged)
    }
}

/// What a feed is made with.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// A power of two.
    pub capacity: usize,
    /// Words of a cell for a message.
    pub area: usize,
    /// How many subscribers it may have.
    pub seats: usize,
}

/// One process's side of a feed.
#[derive(Clone, Debug)]
pub struct Feed {
    words: Views<AtomicU64>,
    for_message: View<Gate>,
    for_room: View<Gate>,
    me: ProcessId,
    capacity: u64,
    stride: usize,
    seats: usize,
}

/// A place that is this process's to write.
#[derive(Debug)]
#[must_use = "a place that is not filled holds up all behind it"]
pub struct Mine(u64);

/// A message that was whole when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    place: u64,
    word: u64,
}

/// A place whose words may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

/// What comes next for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Message(Found),
    /// So many were overwritten before they were read.
    Lagged(u64),
}

/// Which seat, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub number: u32,
    pub generation: Generation,
}

impl Found {
    pub fn place(&self) -> Place {
        Place(self.place)
    }
}

/// How many places ahead of `place` a generation is: between -2^39 and 2^39.
fn ahead(generation: Generation, place: u64) -> i64 {
    const UNUSED: u32 = u64::BITS - Generation::BITS;
    (generation.raw().wrapping_sub(place) << UNUSED) as i64 >> UNUSED
}

impl Feed {
    /// Words that a feed takes; `None` if there is none of this shape.
    pub fn words_for(shape: Shape) -> Option<usize> {
        let Shape {
            capacity,
            area,
            seats,
        } = shape;
        let is_well = capacity.is_power_of_two()
            && capacity <= CAPACITY_MAX
            && (1..=SEATS_MAX).contains(&seats);
        let cells = capacity.checked_mul(CELL_HEAD.checked_add(area)?)?;
        is_well.then(|| cells.checked_add(SEATS_AT + seats * SEAT))?
    }

    /// Makes an empty feed at `offset` of the segment, which nobody else has yet. What `kind` says
    /// is the users' business.
    pub fn create(
        segment: &Segment,
        offset: usize,
        me: ProcessId,
        shape: Shape,
        kind: u64,
    ) -> Self {
        let feed = Self::view(segment, offset, me, shape);
        let cells_at = SEATS_AT + shape.seats * SEAT;
        for (at, word) in feed.words[..cells_at].iter().enumerate() {
            let value = match at {
                0 => shape.capacity as u64,
                STRIDE => feed.stride as u64,
                KIND => kind,
                SEATS => shape.seats as u64,
                // The lap before the first place has room for messages, too.
                TAIL | LOW => shape.capacity as u64,
                _ => 0,
            };
            // Relaxed: whoever gets the block sees what was written before.
            word.store(value, Ordering::Relaxed);
        }
        for place in 0..feed.capacity {
            let free = feed.state(CellState::Free, place);
            // Relaxed: as above.
            feed.word(place).store(free.pack(), Ordering::Relaxed);
        }
        feed
    }

    fn view(segment: &Segment, offset: usize, me: ProcessId, shape: Shape) -> Self {
        let gate = |at: usize| segment.view(offset + GATES * 8 + at * 4);
        let stride = CELL_HEAD + shape.area;
        let words = SEATS_AT + shape.seats * SEAT + shape.capacity * stride;
        Feed {
            words: segment.views(offset, words),
            for_message: gate(0),
            for_room: gate(1),
            me,
            capacity: shape.capacity as u64,
            stride,
            seats: shape.seats,
        }
    }

    /// The side of process `me` of the feed in the `len` words at `offset`; `None` if there is
    /// none that fits.
    pub fn attach(segment: &Segment, offset: usize, len: usize, me: ProcessId) -> Option<Self> {
        if len < SEATS_AT {
            return None;
        }
        let head: Views<AtomicU64> = segment.views(offset, SEATS_AT);
        // Relaxed: it never changes, and came with the block.
        let word = |at: usize| usize::try_from(head[at].load(Ordering::Relaxed)).ok();
        let shape = Shape {
            capacity: word(0)?,
            area: word(STRIDE)?.checked_sub(CELL_HEAD)?,
            seats: word(SEATS)?,
        };
        (Self::words_for(shape)? <= len).then(|| Self::view(segment, offset, me, shape))
    }

    /// The same feed, as another process sees it.
    #[cfg(test)]
    fn of(&self, me: ProcessId) -> Self {
        Feed { me, ..self.clone() }
    }

    /// What it was made with.
    pub fn kind(&self) -> u64 {
        // Relaxed: it never changes.
        self.words[KIND].load(Ordering::Relaxed)
    }

    /// Where those sleep that wait for a message.
    #[inline]
    pub fn for_message(&self) -> &Gate {
        &self.for_message
    }

    /// Where those sleep that wait for room.
    #[inline]
    pub fn for_room(&self) -> &Gate {
        &self.for_room
    }

    /// The gate of those that wait for a message, to be kept.
    pub fn message_gate(&self) -> &View<Gate> {
        &self.for_message
    }

    /// How many messages fit.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// How many subscribers it may have.
    pub fn seats(&self) -> usize {
        self.seats
    }

    /// Words of a cell for a message.
    pub fn area(&self) -> usize {
        self.stride - CELL_HEAD
    }

    fn cell(&self, place: u64) -> &[AtomicU64] {
        let cell = (place & (self.capacity - 1)) as usize;
        &self.words[SEATS_AT + self.seats * SEAT + cell * self.stride..][..self.stride]
    }

    fn word(&self, place: u64) -> &AtomicU64 {
        &self.cell(place)[0]
    }

    #[inline]
    fn load(&self, place: u64) -> (CellState, Word) {
        // ordering: Acquire pairs with the Release of whoever filled or freed it.
        let word = Word::unpack(self.word(place).load(Ordering::Acquire));
        (CellState::of(word.state), word)
    }

    fn state(&self, state: CellState, place: u64) -> Word {
        let owner = match state {
            CellState::Writing | CellState::Freeing => self.me.0,
            _ => 0,
        };
        Word::new(state as u8, owner, Generation::new(place))
    }

    #[inline]
    fn change(&self, from: Word, place: u64, state: CellState) -> bool {
        let to = self.state(state, place);
        // ordering: AcqRel: Acquire pairs with the Release in `set`; Release: who sees that we
        // have the place sees what we had seen.
        self.word(place)
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A change by whom the word names.
    #[inline]
    fn set(&self, place: u64, state: CellState) {
        // ordering: Release pairs with the Acquire in `load` and `change`.
        self.word(place)
            .store(self.state(state, place).pack(), Ordering::Release);
    }

    fn damaged<T>(&self, place: u64, word: Word) -> Result<T, Damaged> {
        Err(Damaged { place, word })
    }

    fn low(&self) -> u64 {
        // ordering: Acquire pairs with the Release in `advance`: those that have read are done.
        self.words[LOW].load(Ordering::Acquire)
    }

    /// The first place that is not claimed, at some moment; and what its word said.
    pub fn tail(&self) -> Result<u64, Damaged> {
        Ok(self.walk()?.0)
    }

    fn walk(&self) -> Result<(u64, CellState, Word), Damaged> {
        // ordering: Acquire pairs with the Release of who has moved it: that had seen all places
        // before it claimed, and so do we.
        let mut place = self.words[TAIL].load(Ordering::Acquire);
        if place < self.capacity {
            return self.damaged(place, Word::unpack(place));
        }
        loop {
            let (state, word) = self.load(place);
            let ahead = ahead(word.generation, place);
            if state == CellState::Damaged || ahead % self.capacity as i64 != 0 {
                return self.damaged(place, word);
            }
            match ahead {
                // The place is claimed; or one of a later lap is, which lies behind it.
                0.. => place = place.wrapping_add(ahead as u64 + 1),
                _ if ahead == -(self.capacity as i64) => return Ok((place, state, word)),
                _ => return self.damaged(place, word),
            }
        }
    }

    /// A place to write the next message into. If `overwrites`, what not all have read is no
    /// reason to wait. `let_go` is called with what is overwritten, or was read by all, and keeps memory.
    pub fn claim(&self, overwrites: bool, let_go: &dyn Fn(Place)) -> Result<Mine, NotNow> {
        loop {
            let (place, state, word) = self.walk()?;
            let old = place - self.capacity;
            let claimed = match state {
                CellState::Writing | CellState::Freeing => return Err(NotNow::Soon),
                CellState::Full | CellState::Skip => {
                    if !overwrites && old >= self.low() {
                        if !self.advance(place, let_go) && old >= self.low() {
                            return Err(NotNow::Wait);
                        }
                        // It may have let go of the message.
                        continue;
                    }
                    if state == CellState::Skip || self.header(Place(old)) & KEEPS == 0 {
                        self.change(word, place, CellState::Writing)
                    } else if self.change(word, old, CellState::Freeing) {
                        let_go(Place(old));
                        self.set(place, CellState::Writing);
                        true
                    } else {
                        false
                    }
                }
                _ => self.change(word, place, CellState::Writing),
            };
            if claimed {
                // ordering: Release: who reads what we write next, and then looks at the word, sees
                // that we have the place. Pairs with the fence in `is_still`.
                fence(Ordering::Release);
                // ordering: Release pairs with the Acquire in `walk`.
                self.words[TAIL].store(place + 1, Ordering::Release);
                return Ok(Mine(place));
            }
        }
    }

    /// What is to be known of the message before it is read.
    #[inline]
    pub fn set_header(&self, mine: &Mine, header: u64) {
        // Relaxed: `fill` makes it visible.
        self.cell(mine.0)[1].store(header, Ordering::Relaxed);
    }

    /// Writes words of the message, from word `from` of the cell's area on.
    #[inline]
    pub fn write(&self, mine: &Mine, from: usize, words: impl IntoIterator<Item = u64>) {
        let cell = &self.cell(mine.0)[CELL_HEAD + from..];
        for (word, value) in cell.iter().zip(words) {
            // Relaxed: `fill` makes it visible.
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The message is whole.
    #[inline]
    pub fn fill(&self, mine: Mine) {
        self.set(mine.0, CellState::Full);
    }

    /// The header of the message in a place.
    #[inline]
    pub fn header(&self, place: Place) -> u64 {
        // Relaxed: who looks has seen that the message is whole.
        self.cell(place.0)[1].load(Ordering::Relaxed)
    }

    /// Word `at` of the cell's area.
    #[inline]
    pub fn read(&self, place: Place, at: usize) -> u64 {
        let word = self.cell(place.0).get(CELL_HEAD + at);
        // Relaxed: as in `header`.
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }
}
