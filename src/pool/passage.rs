//! Buffers in messages: they belong to no process.
//!
//! A message lies in a channel while its sender goes on, or dies; its receiver is not known yet. So the
//! message itself keeps its buffers, in one of two ways:
//!
//! ```text
//!              pass                      take                        end
//!   Loaned(p) ──────▶ Carried(p's messages) ──────▶ Loaned(q), or     ──▶ Free
//!   Shared, p's                             ──────▶ Shared, q's alone
//!   alone
//!
//!   Shared, others'   an entry in the table ──────▶ one more holder   ──▶ one entry less
//!   too               of passages
//! ```
//!
//! A block that only its sender has is *carried*, as by a result. A block that others have too is kept by a
//! *passage*: an entry of the table that [`super::entries`] describes. Each message has its own entry for each
//! such buffer, so that a death leaves no count wrong. If there is no room in the table, the bytes are copied.
//!
//! Both name the process that made them, only so that they are found after its death. The message itself does
//! not.
//!
//! | | who | how | a death after it leaves |
//! | --- | --- | --- | --- |
//! | `Loaned(p)` or `Shared` → `Carried(p's)`, next generation | p | as to a result | p dead: freed, or, if a message names it, the host's |
//! | entry made, *in transit* set | p | see [`super::entries`] | p dead: ended, or, if a message names it, the host's |
//! | `Carried(p's)` → `Loaned(q)`, next generation, or `Shared` | q, who takes the message | compare-and-swap | q dead: its own, freed |
//! | q's bit set | q | as of any holder | q dead: cleared. The passage has not ended: the message's next taker may take it, or ends it |
//! | entry ended | q | compare-and-swap | ending it once more does nothing: the sequence differs |
//! | `Carried(p's)` → `Carried(host's)`, entry → the host's | the host, p dead | compare-and-swap | (the host's death ends the fold) |
//!
//! *A message names it* means a message that is whole, and that nobody has taken completely: if its reader has
//! died over it, the channel has ended it before, or gives it to another.

use crate::prim::{BlockIndex, OWNER_MAX, ProcessId, SlotIndex, Word};

use super::cast::aligned;
use super::hold::HoldRef;
use super::parcel::{Parcel, ParcelKind};
use super::transfer::Transfer;
use super::{BlockState, Inner, Loan, Pool, lock};

use super::entry::{Entry, Passage};

impl Parcel {
    /// What keeps it, if it is in a message.
    pub fn passage(&self) -> Option<Passage> {
        match self.kind {
            ParcelKind::Passing | ParcelKind::Repeated => {
                Some(Passage::Entry(Entry::unpack(self.generation)))
            }
            ParcelKind::SharedMessage | ParcelKind::LoanMessage => {
                Some(Passage::Carried(self.index, self.generation))
            }
            _ => None,
        }
    }
}

/// Owner numbers of `Carried` from here on are those of messages, one for each process. No task
/// slot has them.
const MESSAGES: u32 = OWNER_MAX - 2047;

/// Whose messages carry a block with this owner; `None` if it is a task's slot.
pub(super) fn sender(owner: u32) -> Option<ProcessId> {
    owner.checked_sub(MESSAGES).map(ProcessId)
}

fn messages_of(process: ProcessId) -> SlotIndex {
    SlotIndex(MESSAGES + process.0)
}

impl Transfer {
    /// Hands the buffer over to a message, which is to hold the parcel. What must be copied goes
    /// into memory that `alloc` finds: a loan that others refer to, and what the table has no room
    /// for. The message takes it back by [`Pool::take_passing`], if it is not sent after all.
    pub fn pass<E>(
        mut self,
        pool: &Pool,
        alloc: impl FnOnce(usize) -> Result<Loan, E>,
    ) -> Result<Parcel, E> {
        let kind = if self.is_loan() {
            ParcelKind::LoanMessage
        } else {
            ParcelKind::SharedMessage
        };
        if pool.is_here() && self.is_of_pool(pool) {
            if self.is_sole()
                && let Some(parcel) = self.carry_in_message(kind)
            {
                return Ok(parcel);
            }
            if let Some(parcel) = self.pass_held(pool) {
                return Ok(parcel);
            }
        }
        let mut copy = alloc(aligned(self.len))?;
        copy.truncate(self.len);
        copy.copy_from_slice(self.bytes());
        self.accepted();
        let copy = Transfer::of_loan(copy);
        // It fails only if somebody has spoilt the block's word: then nobody can take it.
        let parcel = copy.carry_in_message(kind);
        Ok(parcel.unwrap_or_else(|| copy.parcel(kind)))
    }

    fn carry_in_message(&self, kind: ParcelKind) -> Option<Parcel> {
        let me = self.hold.pool().0.me;
        let generation = self.hold.carry(messages_of(me))?;
        Some(Parcel {
            generation,
            ..self.parcel(kind)
        })
    }

    /// Has a message keep the buffer as well, so that several may hold it by one parcel, one after
    /// the other or at once. `None` if it is a loan, of another pool, or there is no room.
    pub fn pass_held(&self, pool: &Pool) -> Option<Parcel> {
        if self.is_loan() || !pool.is_here() || !self.is_of_pool(pool) {
            return None;
        }
        let entry = pool.0.make_entry(self.hold.block().index)?;
        Some(Parcel {
            generation: entry.pack(),
            ..self.parcel(ParcelKind::Passing)
        })
    }
}

impl Pool {
    /// Takes the buffer of a message; the message keeps nothing any more. `None` if it is not what
    /// the parcel says, or was taken.
    pub fn take_passing(&self, parcel: &Parcel) -> Option<Transfer> {
        if !self.is_here() {
            return None;
        }
        match parcel.kind {
            ParcelKind::Passing => {}
            ParcelKind::SharedMessage | ParcelKind::LoanMessage => {
                return Transfer::of(self.take_carried(parcel)?, parcel.start, parcel.len);
            }
            _ => return None,
        }
        let Some(taken) = self.hold_passing(parcel) else {
            self.end_passing(parcel);
            return None;
        };
        let is_ours = self
            .0
            .end_entry(parcel.index, Entry::unpack(parcel.generation));
        is_ours.then_some(taken)
    }

    /// One more holder of the buffer that a message keeps by [`Transfer::pass_held`], and goes on to
    /// keep. `None` if it does not.
    pub fn hold_passing(&self, parcel: &Parcel) -> Option<Transfer> {
        let is_entry = matches!(parcel.kind, ParcelKind::Passing | ParcelKind::Repeated);
        if !is_entry || !self.is_passing(parcel) {
            return None;
        }
        // The passage keeps it in this generation.
        let generation = self.0.load(parcel.index).generation;
        let hold = self.accept(parcel.index, generation, None)?;
        Transfer::of(hold, parcel.start, parcel.len)
    }

    /// Whether a message keeps the buffer by this parcel: it was neither taken nor ended.
    pub fn is_passing(&self, parcel: &Parcel) -> bool {
        if !self.is_here() || self.0.locate(parcel.index).is_none() {
            return false;
        }
        match parcel.kind {
            ParcelKind::Passing | ParcelKind::Repeated => self
                .0
                .has_entry(parcel.index, Entry::unpack(parcel.generation)),
            ParcelKind::SharedMessage | ParcelKind::LoanMessage => self.0.carried(parcel).is_some(),
            _ => false,
        }
    }

    /// Lets go of the buffer of a message that nobody takes. False, and nothing is done, if it was
    /// taken, or ended before.
    pub fn end_passing(&self, parcel: &Parcel) -> bool {
        if !self.is_here() {
            return false;
        }
        match parcel.kind {
            ParcelKind::Passing | ParcelKind::Repeated => self
                .0
                .end_and_free(parcel.index, Entry::unpack(parcel.generation)),
            ParcelKind::SharedMessage | ParcelKind::LoanMessage => {
                let is_block = self.0.locate(parcel.index).is_some();
                while let Some(word) = is_block.then(|| self.0.carried(parcel)).flatten() {
                    if self.0.free(parcel.index, word) {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }

    /// Takes over a block that a message carries. Who else tries it sees the word change, or fails.
    fn take_carried(&self, parcel: &Parcel) -> Option<HoldRef> {
        let mut block = self.0.describe(parcel.index, parcel.generation)?;
        let is_loan = parcel.kind == ParcelKind::LoanMessage;
        // Once more if the recovery of its sender's death has made it the host's meanwhile.
        while let Some(word) = self.0.carried(parcel) {
            let (kind, owner) = if is_loan {
                // As by `accept`: what its sender still believes to have does not fit.
                block.generation = word.generation.next();
                (BlockState::Loaned, self.0.me.0)
            } else {
                self.0.hold_alone(parcel.index);
                (BlockState::Shared, 0)
            };
            let ours = Word::new(kind as u8, owner, block.generation);
            if self.0.change(parcel.index, word, ours) {
                return Some(HoldRef::new(self, block, kind));
            }
            if !is_loan {
                lock(self.0.shard(parcel.index)).remove(&parcel.index);
            }
        }
        None
    }
}

impl Inner {
    /// The word of a block that is carried by the message that the parcel is in.
    fn carried(&self, parcel: &Parcel) -> Option<Word> {
        let word = self.load(parcel.index);
        let is_it = word.state == BlockState::Carried as u8
            && word.generation == parcel.generation
            && sender(word.owner).is_some();
        is_it.then_some(word)
    }

    /// A block that messages of the dead carry: the host's from now on if one names it, or else
    /// free; whether it was freed.
    pub(super) fn recover_carried(&self, block: BlockIndex, word: Word, is_named: bool) -> bool {
        if is_named {
            let hosts = Word {
                owner: messages_of(ProcessId::HOST).0,
                ..word
            };
            // It fails when somebody has taken the message.
            self.change(block, word, hosts);
            return false;
        }
        self.free(block, word)
    }
}
