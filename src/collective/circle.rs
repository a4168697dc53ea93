//! Circles: where the members of a group meet, in shared memory. Every operation is made of rounds in which
//! each member arrives, with a value or without, and waits until all have.
//!
//! ```text
//!     0  members                                            never changes
//!    32  trouble: a member is gone, or shrinks              a hint; set, never cleared
//!    64  gates: for odd rounds, for even ones, for those that shrink
//!   128  one after the other, 384 bytes for each member:
//!        +------+--------+-----------------------------+----------------------------+
//!        | seat | shrunk | place for even rounds       | place for odd rounds       |
//!        |      |        | arrived | call | what it brings |        the same        |
//!        +------+--------+-----------------------------+----------------------------+
//! ```
//!
//! Each member writes only into its own lines. *Arrived* is the number of a round: the member's value for that
//! round is there. There is no count that a death could spoil: a waiting member looks at the word of each.
//!
//! A seat says which process has the member, and whether that process is writing into its lines:
//!
//! ```text
//!   Vacant ──▶ Taken(p) ──▶ Vacant           passed on
//!                ▲│ ├─────▶ Left             p let go of it
//!                ││ └─────▶ Dead(p)          p is dead, and had begun
//!                │├───────▶ Again(p)         p is dead, and had not: the task may be tried again
//!                │▼                          as from Taken(p), when p is dead
//!              Writing(p)                    nobody else takes it now
//!   Vacant ──▶ Left, Again(p) ──▶ Dead(p)    nobody can have it any more: its token is gone
//! ```
//!
//! | step | who | how | what a death leaves |
//! | --- | --- | --- | --- |
//! | a seat is taken, or left | p | compare-and-swap; a taken one has a new generation | names the dead |
//! | the seat is `Writing` | p | compare-and-swap | the same |
//! | the place is empty, if it has buffers or had | p | arrived is 0 | what p passed is in no place, and freed |
//! | call and value | p | relaxed stores | the same |
//! | arrived is the round | p | store, Release | p has arrived: all others may go on |
//! | the seat is `Taken`, of a new generation | p | store, Release | the same |
//! | the gate is opened | each member that sees that all have arrived | a gate's own | sleepers; the host forces the gate |
//! | a seat is dead, again or left | the host; the process that drops it | compare-and-swap | the host's death ends all; the host sees it |
//! | trouble, and all gates opened | the same | store | the host does both after each death |
//!
//! *A place may be written again two rounds later*: a member in round r + 2 has seen all arrive in r + 1, and
//! a member that arrives in r + 1 has done with r.
//!
//! *One process at a time writes into a member's lines.* A task that is tried again has the member of the
//! previous attempt, which may live on, in a thread that it has started. The one that has the seat when it
//! wants to write has it until it has written; the other waits for that, or is told that the member is not its
//! own. A process that takes a seat knows how far the member has come: each round in which it arrived has
//! changed the seat's word.
//!
//! *Each round ends alike for all.* A member that has arrived in a round stays so, dead or not. A waiter that
//! finds a member gone looks once more whether it has arrived: if not, it never will. So either all waiters
//! see everybody arrive, or none does.
//!
//! *Shrinking.* Each member writes its wish to shrink into its own word, and waits until all others have
//! written theirs, or are gone. Those that have are the group from then on: the same for each, for the same
//! reason. A member that has written its wish has done with the former rounds, since the others may be in
//! rounds of the smaller group. So it arrives nowhere until it has shrunk, even if it waits no longer, or a
//! later attempt does not know of it.

use crate::notify::Gate;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::{ProcessId, Word};
use crate::shm::{Segment, View, Views};
use crate::sys::barrier;

/// Words in front of the members'.
const HEAD: usize = 16;
const TROUBLE: usize = 4;
/// Three gates of 32 bits.
const GATES: usize = 8;
/// Words of a member.
const STRIDE: usize = 48;
const SHRUNK: usize = 1;
const PLACES: usize = 16;
const PLACE: usize = 16;
/// Of a place: what its call says, and what it brings.
const CALL: usize = 1;
const VALUE: usize = CALL + CALL_WORDS;
/// Words that a call has.
pub const CALL_WORDS: usize = 3;
/// Words of a value that a place has room for.
pub const VALUE_WORDS: usize = PLACE - VALUE;

/// The most members that a group may have.
pub const MEMBERS_MAX: usize = 1024;

/// Rounds after a group has shrunk so many times are numbered from there on.
const EPOCH: u32 = 32;

/// Whether a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Seat {
    /// On its way.
    Vacant = 0,
    /// A process has it.
    Taken = 1,
    /// Its process died.
    Dead = 2,
    /// Nobody has it any more.
    Left = 3,
    /// Its process died before it had begun, and a task that is tried again may have it.
    Again = 4,
    /// A process has it, and writes into its lines.
    Writing = 5,
    /// No correct process wrote this.
    Damaged = 15,
}

impl Seat {
    fn of(state: u8) -> Self {
        match state {
            0 => Seat::Vacant,
            1 => Seat::Taken,
            2 => Seat::Dead,
            3 => Seat::Left,
            4 => Seat::Again,
            5 => Seat::Writing,
            _ => Seat::Damaged,
        }
    }
}

/// What became of the wish to take a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// The word by which it is had, and the last round in which its member has arrived; 0: none.
    Taken(Word, Round),
    /// Who has it writes, which takes no time: ask again.
    Writing,
    /// Nobody can have it any more, or it has come too far for who asks.
    Never,
}

/// Why a member will not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Its process died.
    Died { line: usize, process: ProcessId },
    /// Nobody has it any more.
    Left { line: usize },
    /// It wants the group to go on without those that are gone.
    Shrinks { line: usize },
    /// It has written what no correct process writes; unless who looks is no member of that round any more.
    Damaged { line: usize },
}

/// One process's side of the place where a group meets.
#[derive(Clone, Debug)]
pub struct Circle {
    words: Views<AtomicU64>,
    gates: [View<Gate>; 3],
    members: usize,
}

/// A round, by its number; 0 is none.
pub type Round = u64;

/// The first round of the group after it has shrunk so many times.
pub fn first_round(epoch: u32) -> Round {
    u64::from(epoch) << EPOCH | 1
}

/// How many times the group had shrunk.
pub fn epoch(round: Round) -> u32 {
    (round >> EPOCH) as u32
}

impl Circle {
    /// How many words are needed for so many members; `None` if that is too many, or none.
    pub fn words_for(members: usize) -> Option<usize> {
        (1..=MEMBERS_MAX)
            .contains(&members)
            .then(|| HEAD + members * STRIDE)
    }

    /// Makes one at `offset` of the segment, which nobody else has yet; of zeros. All seats are vacant.
    pub fn create(segment: &Segment, offset: usize, members: usize) -> Self {
        let circle = Self::view(segment, offset, members);
        for word in circle.words.iter() {
            // Relaxed: whoever gets the block sees what was written before.
            word.store(0, Ordering::Relaxed);
        }
        // Relaxed: as above.
        circle.words[0].store(members as u64, Ordering::Relaxed);
        circle
    }

    /// One in an empty segment.
    #[cfg(all(test, loom))]
    pub fn of_zeros(segment: &Segment, members: usize) -> Self {
        Self::view(segment, 0, members)
    }

    /// A seat's state, as somebody has left it.
    #[cfg(all(test, not(loom)))]
    pub fn set_state(&self, line: usize, state: Seat) {
        let word = self.seat(line);
        let state = state as u8;
        self.change(line, |_| Some(Word { state, ..word }));
    }

    /// A member wants the group to shrink, and has told nobody.
    #[cfg(all(test, not(loom)))]
    pub fn set_shrunk(&self, line: usize, epoch: u32) {
        // Relaxed: a test on one thread.
        self.line(line)[SHRUNK].store(u64::from(epoch), Ordering::Relaxed);
    }

    fn view(segment: &Segment, offset: usize, members: usize) -> Self {
        let gate = |at: usize| segment.view(offset + GATES * 8 + at * 4);
        Circle {
            words: segment.views(offset, HEAD + members * STRIDE),
            gates: [gate(0), gate(1), gate(2)],
            members,
        }
    }

    /// That in the `len` words at `offset`; `None` if there is none that fits.
    #[cfg(not(loom))]
    pub fn attach(segment: &Segment, offset: usize, len: usize) -> Option<Self> {
        if len < HEAD {
            return None;
        }
        let head: Views<AtomicU64> = segment.views(offset, HEAD);
        // Relaxed: it never changes, and came with the block.
        let members = usize::try_from(head[0].load(Ordering::Relaxed)).ok()?;
        let need = Self::words_for(members)?;
        (need <= len).then(|| Self::view(segment, offset, members))
    }

    /// How many seats there are.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Where those sleep that wait for a round.
    pub fn gate(&self, round: Round) -> &Gate {
        &self.gates[(round & 1) as usize]
    }

    /// Where those sleep that shrink.
    pub fn shrink_gate(&self) -> &Gate {
        &self.gates[2]
    }

    fn line(&self, line: usize) -> &[AtomicU64] {
        &self.words[HEAD + line * STRIDE..HEAD + (line + 1) * STRIDE]
    }

    fn place(&self, line: usize, round: Round) -> &[AtomicU64] {
        let at = PLACES + PLACE * (round & 1) as usize;
        &self.line(line)[at..at + PLACE]
    }

    // Seats.

    /// Whose a member is.
    pub fn seat(&self, line: usize) -> Word {
        // ordering: SeqCst: who sees that it is gone sees what it did before.
        Word::unpack(self.line(line)[0].load(Ordering::SeqCst))
    }

    /// What the word of a seat says.
    pub fn state(&self, line: usize) -> Seat {
        Seat::of(self.seat(line).state)
    }

    /// Changes a seat as `to` says, until it says `None`; what it was before and is now.
    fn change(&self, line: usize, to: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        loop {
            let word = self.seat(line);
            let new = to(word)?;
            if self.replace(line, word, new) {
                return Some(new);
            }
        }
    }

    #[inline]
    fn replace(&self, line: usize, old: Word, new: Word) -> bool {
        let seat = &self.line(line)[0];
        // ordering: SeqCst, as in `seat`: what was done before is seen with it.
        seat.compare_exchange(old.pack(), new.pack(), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Process `me` has the member, which goes on with round `next`: who had it before has it no
    /// more. Not if it has arrived in later rounds.
    pub fn take(&self, line: usize, me: ProcessId, next: Round) -> Taking {
        loop {
            let seat = self.seat(line);
            match Seat::of(seat.state) {
                Seat::Vacant | Seat::Taken | Seat::Again => {}
                Seat::Writing => return Taking::Writing,
                _ => return Taking::Never,
            }
            // After the look at the seat: who arrives later changes that.
            let last = self.last(line);
            if last > next {
                return Taking::Never;
            }
            let taken = Word::new(Seat::Taken as u8, me.0, seat.generation.next());
            if self.replace(line, seat, taken) {
                return Taking::Taken(taken, last);
            }
        }
    }

    /// Lets `write` write into the lines of a member, if it is still had by `word`; what that returns. Meanwhile
    /// nobody takes the seat; behind it `word` is that by which it is had then. `None` if it is not: nothing was done.
    #[inline]
    pub fn write<R>(
        &self,
        line: usize,
        word: &mut Word,
        write: impl FnOnce(&Lines<'_>) -> R,
    ) -> Option<R> {
        let state = Seat::Writing as u8;
        if !self.replace(line, *word, Word { state, ..*word }) {
            return None;
        }
        let written = write(&Lines { circle: self, line });
        let generation = word.generation.next();
        *word = Word {
            generation,
            ..*word
        };
        // ordering: Release pairs with the load in `seat`: who takes it sees what was written. A store, since nobody else
        // moves a seat from `Writing` while its process lives.
        self.line(line)[0].store(word.pack(), Ordering::Release);
        // Then it is looked at the others' and at the gate: pairs with the sleepers' heavy one.
        barrier::light();
        Some(written)
    }

    /// Gives up a member that is had by `word`: it was passed on, or nobody has it any more.
    pub fn leave(&self, line: usize, word: Word, is_passed_on: bool) {
        let to = if is_passed_on {
            Seat::Vacant
        } else {
            Seat::Left
        };
        let left = self.change(line, |now| {
            (now == word).then_some(Word {
                state: to as u8,
                ..now
            })
        });
        if left.is_some() && !is_passed_on {
            self.tell();
        }
    }

    /// Nobody can have the member any more.
    pub fn end(&self, line: usize) {
        self.change(line, |word| {
            let state = match Seat::of(word.state) {
                Seat::Vacant | Seat::Taken | Seat::Writing => Seat::Left,
                Seat::Again => Seat::Dead,
                _ => return None,
            } as u8;
            Some(Word { state, ..word })
        });
        self.tell();
    }

    /// Process `dead` has died: those that it had are gone.
    pub fn bury(&self, dead: ProcessId) {
        for line in 0..self.members {
            self.change(line, |word| {
                let is_had = matches!(Seat::of(word.state), Seat::Taken | Seat::Writing);
                let is_its = is_had && word.owner == dead.0;
                let state = match self.last(line) {
                    0 => Seat::Again,
                    _ => Seat::Dead,
                } as u8;
                is_its.then_some(Word { state, ..word })
            });
        }
    }

    /// Whoever waits looks at the seats.
    fn tell(&self) {
        // ordering: SeqCst: after the change of the seat, before the gates are opened.
        self.words[TROUBLE].store(1, Ordering::SeqCst);
        barrier::light();
        self.gates.iter().for_each(|gate| gate.open_all());
    }

    /// After a death: what a dead one had begun to tell.
    pub fn settle(&self) {
        // It had said that it shrinks, too, and may have a seat that is nobody's only for a while.
        let is_to_tell =
            |line| matches!(self.state(line), Seat::Dead | Seat::Left) || self.shrunk(line) > 0;
        if (0..self.members).any(is_to_tell) {
            // ordering: as in `tell`.
            self.words[TROUBLE].store(1, Ordering::SeqCst);
        }
        self.force();
    }

    /// Wakes all that sleep.
    pub fn force(&self) {
        self.gates.iter().for_each(|gate| gate.force());
    }

    // Rounds.

    /// The last round in which a member has arrived; 0: none. One that is writing its place now may
    /// be taken for one round behind.
    pub fn last(&self, line: usize) -> Round {
        let [even, odd] = self.rounds(line);
        even.max(odd)
    }

    /// Of which rounds the two places of a member are; 0: of none.
    pub fn rounds(&self, line: usize) -> [Round; 2] {
        [0, 1].map(|parity| self.arrived(line, parity))
    }

    fn arrived(&self, line: usize, round: Round) -> Round {
        // ordering: Acquire pairs with the Release in `arrive`.
        self.place(line, round)[0].load(Ordering::Acquire)
    }

    /// What a member has called in a round in which it has arrived.
    pub fn call(&self, line: usize, round: Round) -> [u64; CALL_WORDS] {
        let place = self.place(line, round);
        // Relaxed: acquired by `arrived`.
        std::array::from_fn(|at| place[CALL + at].load(Ordering::Relaxed))
    }

    /// One word of what a member has brought into a round in which it has arrived.
    pub fn value(&self, line: usize, round: Round, at: usize) -> u64 {
        // Relaxed: as in `call`.
        self.place(line, round)[VALUE + at].load(Ordering::Relaxed)
    }

    /// Whether a member has arrived in `round`.
    #[inline]
    pub fn has_arrived(&self, line: usize, round: Round) -> bool {
        self.arrived(line, round) == round
    }

    /// Whether all have arrived in `round`: `count` members, whose lines `line_of` says; the first
    /// `from` of them have, as was seen before. Or why it never comes.
    #[inline]
    pub fn have_all_arrived(
        &self,
        count: usize,
        line_of: impl Fn(usize) -> usize,
        round: Round,
        from: &mut usize,
    ) -> Result<bool, Absent> {
        while *from < count {
            let line = line_of(*from);
            let arrived = self.arrived(line, round);
            if arrived > round {
                return Err(Absent::Damaged { line });
            }
            if arrived < round {
                break;
            }
            *from += 1;
        }
        // ordering: as in `tell`.
        if *from < count && self.words[TROUBLE].load(Ordering::SeqCst) != 0 {
            // All those behind it, too: it may take long.
            for rank in *from..count {
                self.look_at(line_of(rank), round)?;
            }
        }
        Ok(*from == count)
    }

    /// Whether a member may still arrive.
    fn look_at(&self, line: usize, round: Round) -> Result<(), Absent> {
        let seat = self.seat(line);
        let absent = match Seat::of(seat.state) {
            Seat::Dead => Absent::Died {
                line,
                process: ProcessId(seat.owner),
            },
            Seat::Left => Absent::Left { line },
            Seat::Damaged => return Err(Absent::Damaged { line }),
            _ if self.shrunk(line) > epoch(round) => Absent::Shrinks { line },
            _ => return Ok(()),
        };
        // It may have arrived just before.
        if self.arrived(line, round) == round {
            return Ok(());
        }
        Err(absent)
    }

    // Shrinking.

    /// How many times a member wants, or wanted, the group to have shrunk.
    pub fn shrunk(&self, line: usize) -> u32 {
        // ordering: SeqCst, as a seat.
        self.line(line)[SHRUNK].load(Ordering::SeqCst) as u32
    }

    /// A member that is had by `word` wants the group to shrink for the `epoch`th time; false if it is not had by that.
    pub fn shrink(&self, line: usize, word: &mut Word, epoch: u32) -> bool {
        let wish = |lines: &Lines<'_>| lines.wish(epoch);
        let is_its_own = self.write(line, word, wish).is_some();
        if is_its_own {
            self.tell();
        }
        is_its_own
    }

    /// Those of `lines` that are left when the group has shrunk for the `epoch`th time; if that is
    /// not known yet, one that is waited for.
    pub fn survivors(
        &self,
        lines: impl Iterator<Item = usize>,
        epoch: u32,
    ) -> Result<Vec<u16>, usize> {
        let mut survivors = Vec::new();
        for line in lines {
            let is_gone = matches!(self.state(line), Seat::Dead | Seat::Left | Seat::Damaged);
            // In this order: who is gone says no more.
            if self.shrunk(line) >= epoch {
                survivors.push(line as u16);
            } else if !is_gone {
                return Err(line);
            }
        }
        Ok(survivors)
    }
}

/// The lines of a member, for whoever has its seat, and writes; see [`Circle::write`].
pub struct Lines<'a> {
    circle: &'a Circle,
    line: usize,
}

impl Lines<'_> {
    /// Whose they are.
    pub fn of(&self) -> (&Circle, usize) {
        (self.circle, self.line)
    }

    /// Whether a round is one of the group that this member is in: not if it has said that it shrinks.
    #[inline]
    pub fn may_arrive(&self, round: Round) -> bool {
        self.circle.shrunk(self.line) <= epoch(round)
    }

    /// The place of round `round` is being written: nobody is to believe what is in it.
    pub fn empty(&self, round: Round) {
        // ordering: AcqRel: neither what was done before nor what is written next comes on the
        // other side of it.
        self.circle.place(self.line, round)[0].swap(0, Ordering::AcqRel);
    }

    /// What the member brings into a round; it has arrived.
    #[inline]
    pub fn arrive(
        &self,
        round: Round,
        call: [u64; CALL_WORDS],
        value: impl IntoIterator<Item = u64>,
    ) {
        let place = self.circle.place(self.line, round);
        for (word, value) in place[CALL..].iter().zip(call.into_iter().chain(value)) {
            // Relaxed: ordered by the Release below.
            word.store(value, Ordering::Relaxed);
        }
        // ordering: Release pairs with the Acquire in `arrived`.
        place[0].store(round, Ordering::Release);
    }

    fn wish(&self, epoch: u32) {
        // Never less: others may have gone on with it already.
        // ordering: SeqCst, as a seat.
        self.circle.line(self.line)[SHRUNK].fetch_max(u64::from(epoch), Ordering::SeqCst);
    }
}
