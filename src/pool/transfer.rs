//! Buffers as arguments and results: what travels instead of their bytes.
//!
//! While a value is encoded, each `Shared` or `Loan` in it writes a number and
//! leaves its hold on a list of this thread ([`super::meeting`]; a `Shared` that was met just before its number
//! there alone); the list becomes *parcels*, three
//! words each, behind the encoded bytes. Before a value is decoded, its parcels
//! are accepted; decoding picks them by number. What becomes of a `Loan` that others refer to
//! besides is in [`super::going`].

use crate::prim::{BlockIndex, Generation, ProcessId, SlotIndex, Word};

use super::cast::aligned;
use super::hold::HoldRef;
use super::parcel::{Parcel, ParcelKind};
use super::turn::Turn;
use super::{AllocError, BlockState, Loan, Pool, Shared};

/// A hold on its way into or out of a value.
#[derive(Debug)]
pub struct Transfer {
    pub(super) hold: HoldRef,
    /// In bytes, as `len`; both lie in the block.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) turn: Turn,
}

impl Transfer {
    /// The parcel of an argument; `None` if the buffer is of another pool.
    pub fn argument(&self, pool: &Pool) -> Option<Parcel> {
        self.hold.pool().is_same(pool).then(|| {
            self.hold.set_told();
            self.parcel(if self.is_loan() {
                ParcelKind::LoanArgument
            } else {
                ParcelKind::SharedArgument
            })
        })
    }

    /// Of a shared buffer that several values have in common.
    pub fn share(&self) -> Self {
        Transfer::range(self.hold.clone(), self.start, self.len)
    }

    /// The shared buffer that it is; `None` if it is a loan.
    pub fn to_shared(&self) -> Option<Shared> {
        if self.is_loan() {
            return None;
        }
        Shared::of(self.hold.clone(), self.start, self.len).ok()
    }

    /// A shared buffer as it travels.
    pub fn of_shared(shared: &Shared) -> Self {
        Transfer::range(shared.hold.clone(), shared.start(), shared.len())
    }

    pub(super) fn new(hold: HoldRef, len: usize) -> Self {
        Transfer::range(hold, 0, len)
    }

    fn range(hold: HoldRef, start: usize, len: usize) -> Self {
        let turn = Turn::None;
        Transfer {
            hold,
            start,
            len,
            turn,
        }
    }

    /// Why it cannot be an argument: it is a loan that was sent, or is being sent.
    pub fn refusal(&self) -> Option<&'static str> {
        match self.turn {
            Turn::None | Turn::First(_) => None,
            Turn::Another(_) => Some(TWICE),
            Turn::Late => Some(SENT_BEFORE),
        }
    }

    /// Why it cannot be in a result: it is a loan that was sent to another task.
    pub fn why_gone(&self) -> Option<&'static str> {
        matches!(self.turn, Turn::Late).then_some(SENT_BEFORE)
    }

    /// The value that it was encoded from is gone. If others still have the loan, its bytes go
    /// as a copy, in memory that `alloc` finds; true then. The loan itself was sent.
    pub fn part<E>(&mut self, alloc: impl FnOnce(usize) -> Result<Loan, E>) -> Result<bool, E> {
        if !self.is_loan() || self.is_sole() {
            return Ok(false);
        }
        let mut copy = alloc(aligned(self.len))?;
        copy.truncate(self.len);
        copy.copy_from_slice(self.bytes());
        self.accepted();
        *self = Transfer::of_loan(copy);
        Ok(true)
    }

    /// The argument that it is part of was accepted: there is no way back.
    pub fn accepted(&mut self) {
        if !matches!(self.turn, Turn::None) {
            self.hold.going().set_sent();
            self.turn = Turn::None;
        }
    }

    /// Whether nobody else refers to the record, not even a `Loan`.
    pub(super) fn is_sole(&self) -> bool {
        self.is_sole_but(0)
    }

    /// Whether nobody but so many transfers besides refers to the record.
    fn is_sole_but(&self, others: usize) -> bool {
        let own = match self.turn {
            Turn::None | Turn::Late => 1,
            Turn::First(_) | Turn::Another(_) => 2,
        };
        self.hold.has_refs(own + others)
    }

    /// Has other bytes from `at` on, if nobody was told of the block yet.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let mut loan = Loan::of(self.hold.clone(), self.len);
        let place = loan
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..bytes.len()));
        place.map(|place| place.copy_from_slice(bytes)).is_some()
    }

    /// Whether it gives its one owner away.
    pub fn is_loan(&self) -> bool {
        self.hold.is_loan()
    }

    /// Whether the buffer is of this pool.
    pub fn is_of_pool(&self, pool: &Pool) -> bool {
        self.hold.pool().is_same(pool)
    }

    pub(super) fn is_same(&self, hold: &HoldRef, start: usize, len: usize) -> bool {
        let (own, other) = (self.hold.block(), hold.block());
        (self.start, self.len) == (start, len)
            && (own.index, own.generation) == (other.index, other.generation)
            && self.hold.pool().is_same(hold.pool())
            && !self.is_loan()
    }

    /// Whether `parcel` speaks of this very block.
    pub fn is_of(&self, parcel: &Parcel) -> bool {
        let block = self.hold.block();
        (block.index, block.generation) == (parcel.index, parcel.generation)
    }

    pub(super) fn parcel(&self, kind: ParcelKind) -> Parcel {
        let block = self.hold.block();
        Parcel {
            kind,
            index: block.index,
            generation: block.generation,
            start: self.start as u64,
            len: self.len as u64,
        }
    }

    /// Hands a buffer over to the result in `slot`. One that came as a shared
    /// argument goes by reference: the host holds it. Of others, one that is held
    /// elsewhere in this process, or by another, is copied: what is meant of it. (A loan
    /// among the arguments is the host's no longer, even if it was published meanwhile.)
    pub fn into_result(self, slot: SlotIndex, arguments: &[Parcel]) -> Result<Parcel, AllocError> {
        self.into_result_among(slot, arguments, &[], &[])
    }

    /// The same for one of several buffers of a result: of those before it there are parcels,
    /// `after` are those after it. Ranges of one block are handed over together.
    pub fn into_result_among(
        self,
        slot: SlotIndex,
        arguments: &[Parcel],
        before: &[Parcel],
        after: &[Transfer],
    ) -> Result<Parcel, AllocError> {
        let is_lent = |p: &Parcel| p.kind == ParcelKind::SharedArgument && self.is_of(p);
        if arguments.iter().any(is_lent) {
            return Ok(self.parcel(ParcelKind::Borrowed));
        }
        let kind = if self.is_loan() {
            ParcelKind::LoanResult
        } else {
            ParcelKind::SharedResult
        };
        if self.hold.has_moved() {
            // With one before it.
            let block = self.hold.block().index;
            let with = |p: &&Parcel| p.kind == kind && p.index == block;
            if let Some(Parcel { generation, .. }) = before.iter().find(with).copied() {
                return Ok(Parcel {
                    generation,
                    ..self.parcel(kind)
                });
            }
        }
        let is_it = |other: &&Transfer| other.hold.is(&self.hold);
        let is_ours = self.is_sole()
            || !self.is_loan() && self.is_sole_but(after.iter().filter(is_it).count());
        if is_ours && let Some(generation) = self.hold.carry(slot) {
            return Ok(Parcel {
                generation,
                ..self.parcel(kind)
            });
        }
        if self.is_token() {
            // Others have it too: as in a message.
            let pool = self.hold.pool();
            return self.pass_held(pool).ok_or_else(|| pool.exhausted(self.len));
        }
        let copy = self.copy()?;
        let mut parcel = copy.parcel(kind);
        if let Some(generation) = copy.hold.carry(slot) {
            parcel.generation = generation;
        }
        Ok(parcel)
    }

    /// For a value that is decoded in the process that encoded it: a writable buffer that
    /// somebody else holds there, or that is in the value twice, is copied.
    pub fn alone(self) -> Result<Self, AllocError> {
        if self.is_loan() && !self.is_sole() {
            return self.copy();
        }
        Ok(self)
    }

    fn copy(&self) -> Result<Self, AllocError> {
        let mut copy = self.hold.pool().alloc(aligned(self.len))?;
        copy.truncate(self.len);
        copy.copy_from_slice(self.bytes());
        Ok(Transfer::of_loan(copy))
    }
}

impl Pool {
    /// Accepts an argument's parcel in a worker, from the process that submitted the
    /// task; `None` if it is not what it says.
    pub fn accept_argument(&self, parcel: &Parcel, from: ProcessId) -> Option<Transfer> {
        let from = match parcel.kind {
            ParcelKind::SharedArgument => None,
            ParcelKind::LoanArgument => Some(from),
            // An end, which is the task's from now on.
            ParcelKind::Passing => return self.take_passing(parcel),
            ParcelKind::Repeated => return self.hold_passing(parcel),
            _ => return None,
        };
        let hold = self.accept(parcel.index, parcel.generation, from)?;
        Transfer::of_parcel(hold, parcel)
    }

    /// Takes over the block of long arguments of a spawned task from the process that
    /// spawned it, which may die meanwhile.
    pub fn take_arguments(
        &self,
        index: BlockIndex,
        generation: Generation,
        len: usize,
        from: ProcessId,
    ) -> Option<Transfer> {
        let hold = self.accept(index, generation, Some(from))?;
        Transfer::of(hold, 0, len as u64)
    }

    /// Takes over, for the host, an argument that process `dead` had given to a task it
    /// spawned; before [`Pool::recover`], which would free it. The generation stays: the
    /// giver is dead, and the task's slot names it. `None` if somebody else has it by now.
    pub fn inherit(
        &self,
        index: BlockIndex,
        generation: Generation,
        is_loan: bool,
        dead: ProcessId,
    ) -> Option<Transfer> {
        let block = self.0.describe(index, generation)?;
        let (is_ours, kind) = if is_loan {
            let loaned = |to: u32| Word::new(BlockState::Loaned as u8, to, generation);
            let (theirs, ours) = (loaned(dead.0), loaned(self.0.me.0));
            (self.0.change(index, theirs, ours), BlockState::Loaned)
        } else {
            (self.0.acquire(index, generation), BlockState::Shared)
        };
        is_ours
            .then(|| HoldRef::new(self, block, kind))
            .and_then(|hold| {
                // Who runs the task was told of it by the dead, and takes it over from us.
                hold.set_told();
                Transfer::of(hold, 0, 0)
            })
    }

    /// Accepts the parcels of a result in the host; `held` is what the host holds for
    /// the task's arguments.
    pub fn accept_results(
        &self,
        parcels: &[Parcel],
        slot: SlotIndex,
        held: &[Transfer],
    ) -> Option<Vec<Transfer>> {
        let mut accepted: Vec<Transfer> = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let one = self.accept_result(parcel, slot, held);
            let one = one.or_else(|| {
                // Another range of a block that has come with one before.
                let is_it = |other: &&Transfer| !other.is_loan() && other.is_of(parcel);
                let with = accepted.iter().find(is_it)?;
                Transfer::of_parcel(with.hold.clone(), parcel)
            })?;
            accepted.push(one);
        }
        Some(accepted)
    }

    /// The same for one, or the first of several ranges of a block.
    pub fn accept_result(
        &self,
        parcel: &Parcel,
        slot: SlotIndex,
        held: &[Transfer],
    ) -> Option<Transfer> {
        let hold = match parcel.kind {
            ParcelKind::SharedResult => self.adopt(parcel.index, parcel.generation, slot, false)?,
            ParcelKind::LoanResult => self.adopt(parcel.index, parcel.generation, slot, true)?,
            ParcelKind::Borrowed => held
                .iter()
                .find(|transfer| transfer.is_of(parcel))?
                .hold
                .clone(),
            // An end of a channel that others have too.
            ParcelKind::Passing => return self.take_passing(parcel),
            _ => return None,
        };
        Transfer::of_parcel(hold, parcel)
    }
}

impl Transfer {
    /// What a parcel means of its block; `None` if that is not in it.
    fn of_parcel(hold: HoldRef, parcel: &Parcel) -> Option<Self> {
        Transfer::of(hold, parcel.start, parcel.len)
    }

    pub(super) fn of(hold: HoldRef, start: u64, len: u64) -> Option<Self> {
        let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
        let is_in_it = start.checked_add(len)? <= hold.block().capacity;
        // The one who may write it has it all.
        let is_well = is_in_it && (start == 0 || !hold.is_loan());
        is_well.then(|| Transfer::range(hold, start, len))
    }

    /// A loan as it travels: for blocks that the runtime itself allocates.
    pub fn of_loan(loan: Loan) -> Self {
        Transfer::new(loan.hold, loan.len)
    }

    /// The bytes it speaks of.
    pub fn bytes(&self) -> &[u8] {
        self.hold.bytes(self.start, self.len)
    }
}

const TWICE: &str = "a `Loan` is in them twice, or is being passed to another task just now; a buffer has one owner: publish it, and pass the `Shared`";

pub(super) const SENT_BEFORE: &str = "a `Loan` was passed to another task before; a buffer has one owner: publish it, and pass the `Shared`";
