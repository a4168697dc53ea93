//! Lanes: bounded queues of messages in shared memory, with any number of senders and
//! receivers in any process.
//!
//! A lane is one block of the pool, behind its head (`src/pool/token.rs`):
//!
//! ```text
//!     0  shape: how many messages, words per cell, ...; kind       never change
//!   128  tail       not beyond the next place to fill             hint
//!        whose the senders' side is                               src/lane/sole
//!   256  head       not beyond the next place to take             hint
//!        whose the receivers' side is, and what that one has done
//!   384  gates: who waits for a message, who waits for room; counts
//!   512  cells:
//!        +-------+--------+---------------------------+----------------------+
//!        | word  | header | parcels, three words each | bytes of the message |
//!        +-------+--------+---------------------------+----------------------+
//!        | word  | a plain message: so many bytes, and nothing else          |
//!        +-------+-----------------------------------------------------------+
//! ```
//!
//! A lane with plain messages has a fast path: a side that only one thread uses belongs to that thread, which
//! claims nothing ([`sole`]). In all other cases the protocol is as follows.
//!
//! A *place* is a number that says both the lap and the cell. The truth about a place is the word of its cell,
//! whose generation is the lap:
//!
//! ```text
//!             claim              fill              take               empty
//!   Empty(n) ───────▶ Writing(p) ─────▶ Full(p) ────────▶ Reading(q) ───────▶ Empty(n+1)
//!                         │                                   │                  ▲
//!                         │ p is dead, or gives up            │ q is dead        │
//!                         └──────────────▶ Skip ──────────────┴──────────────────┘
//!                                               whoever takes, or writes the next
//! ```
//!
//! | change | who | how | what a death leaves |
//! | --- | --- | --- | --- |
//! | `Empty`→`Writing(p)` | p, a sender | compare-and-swap | `Empty`, or names the dead |
//! | tail moves on | the same | store | a tail that is behind: the next sender walks |
//! | header, parcels and bytes | the same | relaxed stores | names the dead: what it had passed is in no message (`src/pool/passage.rs`) |
//! | `Writing(p)`→`Full(p)` | p | store, Release | the message is whole, and stays |
//! | `Full`→`Reading(q)` | q, a receiver | compare-and-swap, Acquire | `Full`, or names the dead |
//! | head moves on | the same | store | a head that is behind: the next receiver walks |
//! | `Reading(q)`→`Empty`, next lap | q, when it has what the message spoke of | store, Release | the message is counted as lost; what it still holds is let go of |
//! | `Writing(p)`→`Skip` | p; for a dead p the host | store | |
//! | `Reading(q)`→`Back`, `Acked(q)` | see [`again`] | | |
//! | sums of weights | see [`weight`] | | |
//! | `Skip`→`Empty`, next lap | whoever would take it | compare-and-swap | |
//! | `Skip`→`Writing(p)`, next lap | p, a sender whose turn it is | compare-and-swap | names the dead |
//! | `Plain`→`Writing(p)`, next lap | the same, if the place is before *done* | compare-and-swap | names the dead |
//!
//! `Plain` and `PlainReading` are `Full` and `Reading` of a message that has no header.
//!
//! Places are claimed in order: a sender claims a place only when it has seen that the one before is claimed.
//! It starts looking at the tail, a place for which that was true when the tail was written. A cell that still
//! has the message of the previous lap means that the lane is full. The same holds for taking. So messages of
//! one sender arrive in the order in which they were sent, and a place that is being written delays those
//! behind it, until it is whole or its writer is dead.

mod again;
mod ahead;
mod among;
mod board;
mod drain;
mod make;
mod meet;
#[cfg(all(test, loom))]
mod model;
mod place;
mod recover;
mod seen;
mod shape;
mod sole;
mod still;
#[cfg(all(test, not(loom)))]
mod tests;
mod walk;
mod weight;
mod word;

use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{Generation, ProcessId, Word};
use crate::shm::{View, Views};

use place::Place;
use seen::Seen;

pub use board::Board;
pub use shape::{PLAIN_MAX, Shape};
pub use sole::Taken;
pub use still::Still;
pub use weight::WEIGHT_MAX;
pub use word::CellState;

/// Words in front of the cells.
const CELLS_AT: usize = 64;
const CAPACITY: usize = 0;
const AREA: usize = 1;
const KIND: usize = 2;
const PLAIN: usize = 3;
const BEHIND: usize = 4;
const WEIGHT: usize = 5;
const TAIL: usize = 16;
const HEAD: usize = 32;
/// Of the receivers' side, between its owner and who is inside (`sole`): all places before it are finished.
const DONE: usize = HEAD + 2;
/// Two gates of 32 bits.
const GATES: usize = 48;
const LOST: usize = 49;
const DROPPED: usize = 50;
/// Not 0 if a message may be `Back`.
const BACK: usize = 51;
/// Of a cell, in front of parcels and bytes.
const CELL_HEAD: usize = 2;

/// What no correct process writes was found in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lane damaged: cell {cell} says {word:?}")]
pub struct Damaged {
    /// Which cell was looked at.
    pub cell: u32,
    /// What its word said.
    pub word: Word,
}

/// Why no place was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// The lane is full, or empty.
    Wait,
    /// Whoever has taken the message that is in the next cell has not done with it.
    Kept,
    /// The next place is being written: in a moment there will be something.
    Soon,
    /// See [`Damaged`].
    Damaged(Damaged),
}

/// One process's side of a lane.
#[derive(Clone, Debug)]
pub struct Lane {
    words: Views<AtomicU64>,
    for_message: View<Gate>,
    for_room: View<Gate>,
    me: ProcessId,
    cells: u32,
    stride: usize,
    /// As in [`Shape`].
    capacity: u32,
    area: usize,
    weight: u64,
    plain: usize,
    /// So many cells ahead a line is asked for by who is alone.
    far: u32,
    heads: Seen,
    tails: Seen,
    /// Where all before was finished when this process last looked.
    done: Seen,
    /// Where this side was when this process last had to wait.
    waited: Seen,
}

/// A place that is this process's to write, or to read.
#[derive(Debug)]
#[must_use = "a place that is not given back holds up all behind it"]
pub struct Mine {
    place: Place,
    is_plain: bool,
    /// By which grant this thread is inside meanwhile.
    grant: Option<u8>,
}

impl Mine {
    fn at(place: Place) -> Self {
        Mine {
            place,
            is_plain: false,
            grant: None,
        }
    }

    /// Whether the message in it has no header: it is plain.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }
}

/// Where a message was put that this process has sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent(Place);

impl Lane {
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

    /// The same gate, to be kept.
    pub fn message_gate(&self) -> &View<Gate> {
        &self.for_message
    }

    /// The same gate, to be kept.
    pub fn room_gate(&self) -> &View<Gate> {
        &self.for_room
    }

    /// How many messages may wait to be taken.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Bytes of a message that is plain; 0 if there are none.
    #[inline]
    pub fn plain(&self) -> usize {
        self.plain
    }

    /// Words of a cell for parcels and bytes, if it has a header.
    #[inline]
    pub fn area(&self) -> usize {
        self.area
    }

    #[inline]
    fn cell(&self, cell: u32) -> &[AtomicU64] {
        &self.words[CELLS_AT + cell as usize * self.stride..][..self.stride]
    }

    #[inline]
    fn word(&self, cell: u32) -> &AtomicU64 {
        &self.words[CELLS_AT + cell as usize * self.stride]
    }

    #[inline]
    fn load(&self, cell: u32) -> (CellState, Word) {
        // ordering: Acquire pairs with the Release of whoever filled or emptied it.
        let word = Word::unpack(self.word(cell).load(Ordering::Acquire));
        (CellState::of(word.state), word)
    }

    #[inline]
    pub(super) fn state_word(&self, state: CellState, lap: Generation) -> Word {
        Word::new(state as u8, self.me.0, lap)
    }

    #[inline]
    pub(super) fn change(&self, place: Place, from: Word, to: Word) -> bool {
        // ordering: AcqRel: Acquire pairs with the Release in `set`: who takes a message sees
        // it, who claims a place comes after who has read there.
        self.word(place.cell())
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A change by whom the word names.
    #[inline]
    fn set(&self, place: Place, word: Word) {
        // ordering: Release pairs with the Acquire in `load` and `change`.
        self.word(place.cell())
            .store(word.pack(), Ordering::Release);
    }

    #[inline]
    fn hint(&self, at: usize) -> Result<Place, NotNow> {
        // ordering: Acquire pairs with the Release in `set_hint`: whoever has moved it had seen
        // all places before it claimed, and so do we.
        let raw = self.words[at].load(Ordering::Acquire);
        let place = Place::unpack(raw);
        if place.cell() < self.cells {
            return Ok(place);
        }
        Err(self.damaged(0, Word::unpack(raw)))
    }

    /// Not beyond the next place to take.
    #[inline]
    fn head(&self) -> Result<Place, NotNow> {
        let (head, done) = (self.hint(HEAD)?, self.hint(DONE)?);
        Ok(if done.is_after(head) { done } else { head })
    }

    #[inline]
    fn set_hint(&self, at: usize, place: Place) {
        // ordering: as in `hint`.
        self.words[at].store(place.pack(), Ordering::Release);
    }

    #[cold]
    fn damaged(&self, cell: u32, word: Word) -> NotNow {
        NotNow::Damaged(Damaged { cell, word })
    }

    /// What is to be known of the message before it is read.
    #[inline]
    pub fn set_header(&self, mine: &Mine, header: u64) {
        // Relaxed: `fill` makes it visible.
        self.cell(mine.place.cell())[1].store(header, Ordering::Relaxed);
    }

    /// Writes words of the message, from word `from` of the cell's area on.
    #[inline]
    pub fn write(&self, mine: &Mine, from: usize, words: impl IntoIterator<Item = u64>) {
        let cell = &self.cell(mine.place.cell())[CELL_HEAD + from..];
        for (word, value) in cell.iter().zip(words) {
            // Relaxed: `fill` makes it visible.
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Writes a plain message.
    pub fn write_plain(&self, mine: &mut Mine, words: impl IntoIterator<Item = u64>) {
        mine.is_plain = true;
        let cell = &self.cell(mine.place.cell())[1..];
        for (word, value) in cell.iter().zip(words) {
            // Relaxed: `fill` makes it visible.
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Word `at` of a plain message.
    pub fn read_plain(&self, mine: &Mine, at: usize) -> u64 {
        let word = self.cell(mine.place.cell()).get(1 + at);
        // Relaxed: as in `header`.
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The message is whole.
    #[inline]
    pub fn fill(&self, mine: Mine) -> Sent {
        let state = match mine.is_plain {
            true => CellState::Plain,
            false => CellState::Full,
        };
        self.set(mine.place, self.state_word(state, mine.place.lap()));
        Sent(mine.place)
    }

    /// There will be none in this place.
    pub fn skip(&self, mine: Mine) {
        self.set(
            mine.place,
            self.state_word(CellState::Skip, mine.place.lap()),
        );
    }

    /// The header of the message that is being read.
    #[inline]
    pub fn header(&self, mine: &Mine) -> u64 {
        // Relaxed: `take` has seen the message.
        self.cell(mine.place.cell())[1].load(Ordering::Relaxed)
    }

    /// What the header of the message says that would be taken next; a hint, for another may take it. `None` if there is none.
    pub fn next_header(&self) -> Option<u64> {
        let place = self.head().ok()?;
        let (state, word) = self.load(place.cell());
        let is_whole = state == CellState::Full && word.generation == place.lap();
        // Relaxed: `load` has seen the message.
        is_whole.then(|| self.cell(place.cell())[1].load(Ordering::Relaxed))
    }

    /// Word `at` of the cell's area.
    #[inline]
    pub fn read(&self, mine: &Mine, at: usize) -> u64 {
        let word = self.cell(mine.place.cell()).get(CELL_HEAD + at);
        // Relaxed: as in `header`.
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The first words of the cell's area; those that it does not have stay as they are.
    #[inline]
    pub fn read_all(&self, mine: &Mine, words: &mut [u64]) {
        let cell = &self.cell(mine.place.cell())[CELL_HEAD..];
        for (word, value) in words.iter_mut().zip(cell) {
            // Relaxed: as in `header`.
            *word = value.load(Ordering::Relaxed);
        }
    }

    /// Takes the message in this place back, if nobody has begun to take it; false if somebody has,
    /// or had. The place is known by what [`Lane::fill`] has returned.
    pub fn take_back(&self, sent: Sent) -> Option<Mine> {
        let full = self.state_word(CellState::Full, sent.0.lap());
        let reading = self.state_word(CellState::Reading, sent.0.lap());
        self.change(sent.0, full, reading).then(|| Mine::at(sent.0))
    }

    /// Whether the message in this place still waits to be taken.
    pub fn waits(&self, sent: Sent) -> bool {
        let (state, word) = self.load(sent.0.cell());
        state == CellState::Full && word.generation == sent.0.lap()
    }

    /// The message was read: there is room for another.
    #[inline]
    pub fn empty(&self, mine: Mine) {
        let empty = Word::new(CellState::Empty as u8, 0, mine.place.lap_after());
        self.set(mine.place, empty);
        if let Some(grant) = mine.grant {
            self.leave_taken(mine.place, grant);
        }
    }

    /// How many messages there were at some moment, those that are being written or read among
    /// them.
    pub fn len(&self) -> usize {
        match (self.hint(TAIL), self.head()) {
            (Ok(tail), Ok(head)) => tail.distance(head, self.cells).min(self.capacity()),
            _ => 0,
        }
    }

    /// How many places were claimed so far, and how many were taken: the number of the message that
    /// is sent next, and of the one that is received next.
    pub fn numbers(&self) -> (u64, u64) {
        let number = |place: Result<Place, NotNow>| {
            let place = place.ok()?;
            Some(place.distance(Place::FIRST, self.cells) as u64)
        };
        let (tail, head) = (number(self.hint(TAIL)), number(self.head()));
        (tail.unwrap_or(0), head.unwrap_or(0))
    }
}
