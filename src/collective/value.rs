//! What a member brings into a round: as it lies in its place, and as the others read it.
//!
//! ```text
//!   short   place: parcels of the buffers, bytes
//!   long    place: one parcel, of a block;   the block: bytes, then the parcels of the buffers
//! ```
//!
//! The place keeps each buffer, and the block of a long value, as a message of a channel does
//! (`src/pool/passage.rs`); but nobody takes it from there: each reader is one more holder.

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::channel::words_of;
use crate::pool::{AllocError, Loan, Parcel, Pool, Transfer};
use crate::task::{Payload, Room, decode_with_buffers, encode_with_buffers, untold};

use super::call::{self, Call, LONG, MARKED, NO_VALUE, Size};
use super::circle::{Circle, Lines, Round, VALUE_WORDS};
use super::error::CollectiveError;

const PARCEL: usize = Parcel::WORDS;

/// A value that is on its way into a place. What it keeps is kept by no place yet: the recovery
/// frees it if this process dies, and so does dropping it.
pub struct Value<'pool> {
    words: SmallVec<[u64; VALUE_WORDS]>,
    size: Size,
    parcels: SmallVec<[Parcel; 1]>,
    pool: &'pool Pool,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        for parcel in &self.parcels {
            self.pool.end_passing(parcel);
        }
    }
}

impl<'pool> Value<'pool> {
    /// None.
    pub fn none(pool: &'pool Pool) -> Self {
        Value {
            words: SmallVec::new(),
            size: Size::default(),
            parcels: SmallVec::new(),
            pool,
        }
    }

    /// None, where there should be one: all are told.
    pub fn missing(pool: &'pool Pool) -> Self {
        let mut value = Self::none(pool);
        value.size.marks = NO_VALUE;
        value
    }

    /// Of plain bytes.
    pub fn of_bytes(bytes: &[u8], pool: &'pool Pool) -> Result<Self, CollectiveError> {
        let mut value = Self::none(pool);
        value.fill(bytes, None, Vec::new())?;
        Ok(value)
    }

    /// Of anything that travels, but for buffers with one owner.
    pub fn of<T>(value: &T, pool: &'pool Pool) -> Result<Self, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        let mut payload = Payload::new();
        let of_pool = || Some(pool.clone());
        let room = Room::Pool(&of_pool);
        let (encoded, buffers) = encode_with_buffers(value, &mut payload, room);
        encoded.map_err(|fault| CollectiveError::Encode {
            message: untold::<T>(&fault),
        })?;
        let refused = |message: &str| {
            Err(CollectiveError::Encode {
                message: message.to_owned(),
            })
        };
        if buffers.iter().any(Transfer::is_loan) {
            return refused("a `Loan` is in it, which has one owner: publish it");
        }
        if buffers.iter().any(|buffer| !buffer.is_of_pool(pool)) {
            return refused("a buffer in it is of another runtime");
        }
        if buffers.len() > u8::MAX as usize {
            return refused("more than 255 buffers are in it: put them into one");
        }
        let mut made = Self::none(pool);
        if payload.is_marked() {
            made.size.marks |= MARKED;
        }
        let len = payload.len();
        match payload.take_block(pool) {
            Some(block) => made.fill(&[], Some((block, len)), buffers)?,
            None => made.fill(payload.bytes(), None, buffers)?,
        }
        Ok(made)
    }

    fn pass(&mut self, buffer: &Transfer) -> Result<Parcel, AllocError> {
        let passed = buffer.pass_held(self.pool);
        let parcel = passed.ok_or_else(|| self.pool.exhausted(0))?;
        self.parcels.push(parcel);
        Ok(parcel)
    }

    /// Bytes are either those, or in a block.
    fn fill(
        &mut self,
        bytes: &[u8],
        block: Option<(Loan, usize)>,
        buffers: Vec<Transfer>,
    ) -> Result<(), CollectiveError> {
        let len = block.as_ref().map_or(bytes.len(), |(_, len)| *len);
        self.size.len = u32::try_from(len).map_err(|_| CollectiveError::Encode {
            message: format!("{len} bytes, where 4 GiB are the most: send a `Shared`"),
        })?;
        self.size.parcels = buffers.len() as u8;
        let mut parcels = Vec::with_capacity(buffers.len());
        for buffer in &buffers {
            parcels.push(self.pass(buffer)?);
        }
        let packed = parcels.iter().flat_map(|parcel| parcel.pack());
        let is_short = parcels.len() * PARCEL + len.div_ceil(8) <= VALUE_WORDS;
        if is_short && block.is_none() {
            self.words.extend(packed);
            self.words.extend(words_of(bytes));
            return Ok(());
        }
        let behind = len.next_multiple_of(8);
        let need = behind + parcels.len() * PARCEL * 8;
        let mut loan = match block {
            Some((mut loan, _)) if loan.capacity() >= need => {
                loan.extend_to(need);
                loan
            }
            Some((loan, _)) => {
                let mut larger = self.pool.alloc(need)?;
                larger[..len].copy_from_slice(&loan[..len]);
                larger
            }
            None => {
                let mut loan = self.pool.alloc(need)?;
                loan[..len].copy_from_slice(bytes);
                loan
            }
        };
        for (word, bytes) in packed.zip(loan[behind..].chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let block = Transfer::of_shared(&loan.publish());
        let parcel = self.pass(&block)?;
        self.size.marks |= LONG;
        self.words.extend(parcel.pack());
        Ok(())
    }

    /// Writes it into the member's place of this round: it has arrived. False if it may not.
    pub fn arrive(mut self, lines: &Lines<'_>, round: Round, call: &Call) -> bool {
        if !lines.may_arrive(round) {
            return false;
        }
        let (circle, line) = lines.of();
        let old = call::unpack(circle.call(line, round)).is_some_and(|(_, old)| old.has_parcels());
        if old {
            // In this order: what is named by a place may have ended, but what has not is named.
            let_go(circle, self.pool, line, round);
        }
        if old || self.size.has_parcels() {
            lines.empty(round);
        }
        let words = call::pack(call, self.size);
        lines.arrive(round, words, self.words.iter().copied());
        // The place has them.
        self.parcels.clear();
        true
    }
}

/// What a place keeps.
pub fn parcels(circle: &Circle, pool: &Pool, line: usize, round: Round) -> Vec<Parcel> {
    let Some((_, size)) = call::unpack(circle.call(line, round)) else {
        return Vec::new();
    };
    let in_place = |count: usize| (0..count).filter_map(|at| parcel_at(circle, line, round, at));
    if size.marks & LONG == 0 {
        let count = usize::from(size.parcels).min(VALUE_WORDS / PARCEL);
        return in_place(count).collect();
    }
    let Some(block) = parcel_at(circle, line, round, 0) else {
        return Vec::new();
    };
    let from = (size.len as usize).next_multiple_of(8);
    let to = from + usize::from(size.parcels) * PARCEL * 8;
    let behind = pool.peek(block.index, from, to).unwrap_or_default();
    std::iter::once(block)
        .chain(parcels_in(&behind).flatten())
        .collect()
}

/// Lets go of all that a place keeps; again and again if need be.
pub fn let_go(circle: &Circle, pool: &Pool, line: usize, round: Round) {
    // The block last: it says what else there is.
    for parcel in parcels(circle, pool, line, round).iter().rev() {
        pool.end_passing(parcel);
    }
}

fn parcel_at(circle: &Circle, line: usize, round: Round, at: usize) -> Option<Parcel> {
    Parcel::unpack(std::array::from_fn(|word| {
        circle.value(line, round, at * PARCEL + word)
    }))
}

fn parcels_in(bytes: &[u8]) -> impl Iterator<Item = Option<Parcel>> + '_ {
    bytes.chunks_exact(PARCEL * 8).map(|parcel| {
        let mut words = [0; PARCEL];
        for (word, bytes) in words.iter_mut().zip(parcel.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        Parcel::unpack(words)
    })
}

/// A short value without buffers, which a member has brought: the usual, and quick. `None` if it
/// is not that; or why its type does not read what was written.
pub fn read_short<T: DeserializeOwned>(
    circle: &Circle,
    line: usize,
    round: Round,
) -> Option<Result<T, String>> {
    let (_, size) = call::unpack(circle.call(line, round))?;
    let len = size.len as usize;
    if size.has_parcels() || len > VALUE_WORDS * 8 {
        return None;
    }
    let mut bytes = [0; VALUE_WORDS * 8];
    for (at, word) in bytes[..len.next_multiple_of(8)]
        .chunks_exact_mut(8)
        .enumerate()
    {
        word.copy_from_slice(&circle.value(line, round, at).to_le_bytes());
    }
    let is_marked = size.marks & MARKED != 0;
    let decoded = decode_with_buffers(&bytes[..len], is_marked, &mut Vec::new());
    Some(decoded.map_err(|fault| untold::<T>(&fault)))
}

/// A value that another member has brought.
pub struct Read {
    short: SmallVec<[u8; VALUE_WORDS * 8]>,
    block: Option<Transfer>,
    len: usize,
    buffers: Vec<Transfer>,
    is_marked: bool,
}

impl Read {
    /// What a member has brought into a round in which it has arrived. `None` if that is not what
    /// somebody has written.
    pub fn of(circle: &Circle, pool: &Pool, line: usize, round: Round) -> Option<Self> {
        let (_, size) = call::unpack(circle.call(line, round))?;
        let (count, len) = (usize::from(size.parcels), size.len as usize);
        let hold = |parcel: Option<Parcel>| pool.hold_passing(&parcel?);
        let is_marked = size.marks & MARKED != 0;
        let mut short = SmallVec::new();
        if size.marks & LONG == 0 {
            let words = count * PARCEL..count * PARCEL + len.div_ceil(8);
            if words.end > VALUE_WORDS {
                return None;
            }
            for at in words {
                short.extend_from_slice(&circle.value(line, round, at).to_le_bytes());
            }
            short.truncate(len);
            let parcels = (0..count).map(|at| parcel_at(circle, line, round, at));
            return Some(Read {
                short,
                block: None,
                len,
                buffers: parcels.map(hold).collect::<Option<_>>()?,
                is_marked,
            });
        }
        let block = hold(parcel_at(circle, line, round, 0))?;
        let behind = block.bytes().get(len.next_multiple_of(8)..)?;
        let buffers: Option<Vec<_>> = parcels_in(behind).take(count).map(hold).collect();
        Some(Read {
            short,
            len,
            buffers: buffers.filter(|buffers| buffers.len() == count)?,
            is_marked,
            block: Some(block),
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.block {
            Some(block) => block.bytes().get(..self.len).unwrap_or_default(),
            None => &self.short,
        }
    }

    /// The value; or why its type does not read what was written.
    pub fn decode<T: DeserializeOwned>(mut self) -> Result<T, String> {
        let mut buffers = std::mem::take(&mut self.buffers);
        let decoded = decode_with_buffers(self.bytes(), self.is_marked, &mut buffers);
        decoded.map_err(|fault| untold::<T>(&fault))
    }
}
