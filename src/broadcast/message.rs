//! A message for many: what is written into a cell of the feed, and read from it by each.
//!
//! ```text
//!   header   63 keeps memory | 62 … 49 unused | 48 long | 47 … 40 form | 39 … 32 parcels | 31 … 0 bytes
//!
//!   short    cell: parcels of the buffers, bytes
//!   long     cell: one parcel, of a block;  the block: bytes, then the parcels of the buffers
//! ```
//!
//! The block of a long one is `Shared`, as all buffers in it are. Each is kept by a passage that is the
//! message's alone (`src/pool/passage.rs`): made before the message has a place, ended by who clears
//! the place. If whoever sends it dies in between, no message names the passages, and the recovery ends
//! them. Each reader gets a hold of its own.

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::channel::{Message, Unfit, parcels_behind, words_of};
use crate::feed::{Feed, KEEPS, Mine, Place};
use crate::pool::{Loan, Parcel, Pool, Transfer};
use crate::task::{Payload, decode_with_buffers, untold};

const LONG: u64 = 1 << 48;
const MARKED: u64 = 1 << 40;
const PARCEL: usize = Parcel::WORDS;
/// Bytes of the largest cell.
const SHORT: usize = 128;

/// A message that has no place yet.
pub struct Packed<'a> {
    pool: &'a Pool,
    payload: Payload,
    header: u64,
    /// Of what it keeps; of a long one the block is the last.
    kept: SmallVec<[Parcel; 1]>,
    is_placed: bool,
}

impl Drop for Packed<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            for parcel in &self.kept {
                self.pool.end_passing(parcel);
            }
        }
    }
}

impl<'a> Packed<'a> {
    /// Encodes a value, finds memory for it if it is long, and keeps what is in it.
    pub fn of<T>(value: &T, pool: &'a Pool, area: usize) -> Result<Self, Unfit>
    where
        T: Serialize + DeserializeOwned,
    {
        let (payload, buffers, block, len, is_marked) =
            Message::of(value, pool, area)?.into_parts();
        let mut packed = Packed {
            pool,
            payload,
            header: len as u64,
            kept: SmallVec::new(),
            is_placed: false,
        };
        if is_marked {
            packed.header |= MARKED;
        }
        if buffers.iter().any(Transfer::is_loan) {
            let why = "a `Loan` is in it, which can have one owner only: publish it, and send the `Shared`";
            return Err(Unfit::Encode(why.to_owned()));
        }
        for buffer in &buffers {
            packed.keep(buffer)?;
        }
        packed.header |= (buffers.len() as u64) << 32;
        if let Some(block) = block {
            packed.header |= LONG;
            packed.keep_block(block, len)?;
        }
        if !packed.kept.is_empty() {
            packed.header |= KEEPS;
        }
        Ok(packed)
    }

    fn keep(&mut self, buffer: &Transfer) -> Result<(), Unfit> {
        let parcel = buffer.pass_held(self.pool);
        let parcel = parcel.ok_or_else(|| Unfit::Alloc(self.pool.exhausted(buffer.bytes().len())));
        self.kept.push(parcel?);
        Ok(())
    }

    fn keep_block(&mut self, mut block: Loan, len: usize) -> Result<(), Unfit> {
        let mut at = len.next_multiple_of(8);
        for word in self.kept.iter().flat_map(|parcel| parcel.pack()) {
            block[at..at + 8].copy_from_slice(&word.to_le_bytes());
            at += 8;
        }
        let block = block.publish();
        self.keep(&Transfer::of_shared(&block))
    }

    /// Writes it into a place of the feed, which keeps what is in it from then on.
    pub fn write(mut self, feed: &Feed, place: &Mine) {
        let kept = match self.header & LONG {
            0 => &self.kept[..],
            _ => &self.kept[self.kept.len() - 1..],
        };
        feed.write(place, 0, kept.iter().flat_map(|parcel| parcel.pack()));
        if self.header & LONG == 0 {
            let bytes = words_of(self.payload.bytes());
            feed.write(place, kept.len() * PARCEL, bytes);
        }
        feed.set_header(place, self.header);
        self.is_placed = true;
    }
}

/// What is in the message of a place, as its words say.
struct Contents {
    header: u64,
    len: usize,
    block: Option<Parcel>,
    /// In the cell, or at the end of the block.
    count: usize,
}

impl Contents {
    fn of(feed: &Feed, place: Place) -> Option<Self> {
        let header = feed.header(place);
        let (len, count) = (header as u32 as usize, (header >> 32) as u8 as usize);
        let block = if header & LONG == 0 {
            let words = count * PARCEL + len.div_ceil(8);
            (words <= feed.area()).then_some(None)?
        } else {
            Some(parcel_at(feed, place, 0)?)
        };
        Some(Contents {
            header,
            len,
            block,
            count,
        })
    }
}

fn parcel_at(feed: &Feed, place: Place, at: usize) -> Option<Parcel> {
    Parcel::unpack(std::array::from_fn(|word| {
        feed.read(place, at * PARCEL + word)
    }))
}

/// What one reader has of a message that is not decoded yet.
pub struct Received {
    /// Of a short one.
    short: SmallVec<[u8; SHORT]>,
    block: Option<Transfer>,
    len: usize,
    buffers: Vec<Transfer>,
    is_marked: bool,
    /// Whether the message keeps memory.
    pub keeps: bool,
}

/// Takes a hold of all that is in the message of this place, which keeps it as before. `None` if it is
/// not what somebody has sent, or is no more.
pub fn hold(feed: &Feed, place: Place, pool: &Pool) -> Option<Received> {
    let contents = Contents::of(feed, place)?;
    let mut received = Received {
        short: SmallVec::new(),
        block: None,
        len: contents.len,
        buffers: Vec::new(),
        is_marked: contents.header & MARKED != 0,
        keeps: contents.header & KEEPS != 0,
    };
    match &contents.block {
        Some(parcel) => received.block = Some(pool.hold_passing(parcel)?),
        None => {
            let from = contents.count * PARCEL;
            for at in 0..contents.len.div_ceil(8) {
                let word = feed.read(place, from + at);
                received.short.extend_from_slice(&word.to_le_bytes());
            }
            received.short.truncate(contents.len);
        }
    }
    if contents.count > 0 {
        let parcels = match &received.block {
            Some(block) => parcels_behind(block.bytes(), contents.len, contents.count)?,
            None => (0..contents.count)
                .map(|at| parcel_at(feed, place, at))
                .collect::<Option<_>>()?,
        };
        let held = parcels.iter().map(|parcel| pool.hold_passing(parcel));
        received.buffers = held.collect::<Option<_>>()?;
    }
    Some(received)
}

impl Received {
    /// The value; or why its type does not read what was written.
    pub fn decode<T: DeserializeOwned>(mut self) -> Result<T, String> {
        let bytes = match &self.block {
            Some(block) => block.bytes().get(..self.len).unwrap_or_default(),
            None => &self.short,
        };
        let decoded = decode_with_buffers(bytes, self.is_marked, &mut self.buffers);
        decoded.map_err(|fault| untold::<T>(&fault))
    }
}

/// The parcels of the message in this place: all that it keeps.
pub fn parcels(feed: &Feed, place: Place, pool: &Pool) -> Vec<Parcel> {
    let Some(contents) = Contents::of(feed, place) else {
        return Vec::new();
    };
    let Some(block) = contents.block else {
        let all = (0..contents.count).filter_map(|at| parcel_at(feed, place, at));
        return all.collect();
    };
    let from = contents.len.next_multiple_of(8);
    let to = from + contents.count * PARCEL * 8;
    let behind = (contents.count > 0).then(|| pool.peek(block.index, from, to));
    let behind = behind.flatten();
    let behind = behind.and_then(|bytes| parcels_behind(&bytes, 0, contents.count));
    // The block last: what it says is needed until the rest is let go of.
    let mut all = behind.unwrap_or_default();
    all.push(block);
    all
}

/// Lets go of all that the message in this place keeps.
pub fn let_go(feed: &Feed, place: Place, pool: &Pool) {
    for parcel in parcels(feed, place, pool) {
        pool.end_passing(&parcel);
    }
}
