//! A message on its way: what is written into a cell of the lane, and read from it.
//!
//! ```text
//!   header   63 … 49 how often it was given back, or for whom it is | 48 long | 47 … 41 packed | 40 form | 39 … 32 parcels | 31 … 0 bytes
//!
//!   short    cell: parcels of the buffers, bytes
//!   long     cell: one parcel, of a block;  the block: bytes, then the parcels of the buffers
//! ```
//!
//! Each buffer of the value, and the block of a long one, is passed as `src/pool/passage.rs` says:
//! the message keeps it from then on. If whoever writes the message dies before it is whole, no
//! message names what it has passed, and the recovery frees it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::lane::{Lane, Mine, PLAIN_MAX};
use crate::pool::{AllocError, Loan, Parcel, Pool, Transfer};
use crate::task::{Brief, Fault, Payload, Room, decode_with_buffers, encode_with_buffers, untold};

use super::keeping::Held;
use super::packing::{pack, unpack};

const LONG: u64 = 1 << 48;
const MARKED: u64 = 1 << 40;
const PACKED: u64 = 1 << 41;
const PARCEL: usize = Parcel::WORDS;
/// Bytes of the largest cell.
pub const SHORT: usize = PLAIN_MAX;

/// A value that is encoded, and was not sent yet.
pub struct Message {
    payload: Payload,
    buffers: Vec<Transfer>,
    /// The block of a long one.
    block: Option<Loan>,
    len: usize,
    is_marked: bool,
    /// Its bytes are compressed.
    is_packed: bool,
    /// It may be taken several times: what is in it is kept as what others have, too.
    is_kept: bool,
}

/// What is in the message of a place, as its words say.
struct Contents {
    len: usize,
    is_marked: bool,
    is_packed: bool,
    block: Option<Parcel>,
    /// In the cell, or at the end of the block.
    count: usize,
}

impl Contents {
    fn of(lane: &Lane, place: &Mine) -> Option<Self> {
        if place.is_plain() {
            return Some(Contents {
                len: lane.plain(),
                is_marked: false,
                is_packed: false,
                block: None,
                count: 0,
            });
        }
        let header = lane.header(place);
        let (len, count) = (header as u32 as usize, (header >> 32) as u8 as usize);
        let block = if header & LONG == 0 {
            let words = count * PARCEL + len.div_ceil(8);
            (words <= lane.area()).then_some(None)?
        } else {
            // A small cell has no room for its third word, the length: that is known.
            let parcel = parcel_at(lane, place, 0)?;
            let bytes = len.next_multiple_of(8) + count * PARCEL * 8;
            Some(Parcel {
                len: bytes as u64,
                ..parcel
            })
        };
        Some(Contents {
            len,
            is_marked: header & MARKED != 0,
            is_packed: header & PACKED != 0,
            block,
            count,
        })
    }
}

fn parcel_at(lane: &Lane, place: &Mine, at: usize) -> Option<Parcel> {
    Parcel::unpack(std::array::from_fn(|word| {
        lane.read(place, at * PARCEL + word)
    }))
}

pub fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(word)
    });
    whole
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .chain(last)
}

/// Parcels that lie behind `len` bytes of a block.
pub fn parcels_behind(bytes: &[u8], len: usize, count: usize) -> Option<Vec<Parcel>> {
    let from = len.next_multiple_of(8);
    let bytes = bytes.get(from..from + count * PARCEL * 8)?;
    let parcels = bytes.chunks_exact(PARCEL * 8).map(|parcel| {
        let mut words = [0; PARCEL];
        for (word, bytes) in words.iter_mut().zip(parcel.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        Parcel::unpack(words)
    });
    parcels.collect()
}

/// Room for the bytes of a short message.
pub type Short = [u64; SHORT / 8];

/// Writes a message that is nothing but these bytes into its place. False if they do not fit.
#[inline]
pub fn put_bytes(lane: &Lane, place: &Mine, bytes: &Brief) -> bool {
    if bytes.len() > lane.area() * 8 {
        return false;
    }
    lane.write(place, 0, bytes.words().iter().copied());
    lane.set_header(place, bytes.len() as u64);
    true
}

/// Copies the bytes of the message in this place: how many there are, and whether they are marked.
/// `None` if it is not short, or there are buffers in it: then nothing is done.
#[inline]
pub fn take_bytes(lane: &Lane, place: &Mine, short: &mut Short) -> Option<(usize, bool)> {
    let header = lane.header(place);
    let len = header as u32 as usize;
    if header & !(u64::from(u32::MAX) | MARKED) != 0 || len > SHORT.min(lane.area() * 8) {
        return None;
    }
    lane.read_all(place, &mut short[..len.div_ceil(8)]);
    Some((len, header & MARKED != 0))
}

/// The value of bytes that were taken so; or why its type does not read what was written.
#[inline(always)]
pub fn decode_bytes<T: DeserializeOwned>(
    short: &Short,
    (len, is_marked): (usize, bool),
) -> Result<T, String> {
    let bytes: &[u8] = bytemuck::cast_slice(short);
    let decoded = match is_marked || len != size_of::<T>() {
        // So the compiler knows how long it is.
        false => decode_with_buffers(&bytes[..size_of::<T>()], false, &mut Vec::new()),
        true => decode_others(&bytes[..len], is_marked),
    };
    decoded.map_err(|fault| untold::<T>(&fault))
}

#[inline(never)]
fn decode_others<T: DeserializeOwned>(bytes: &[u8], is_marked: bool) -> Result<T, Fault> {
    decode_with_buffers(bytes, is_marked, &mut Vec::new())
}

/// A value as it was encoded, with its buffers.
pub struct Encoded {
    pub payload: Payload,
    pub result: Result<(), Fault>,
    pub buffers: Vec<Transfer>,
}

impl Encoded {
    /// Of a value that was encoded so.
    #[cold]
    pub fn of_brief(bytes: &Brief, buffers: Vec<Transfer>) -> Self {
        let mut payload = Payload::new();
        payload.extend(bytes.bytes());
        Encoded {
            payload,
            result: Ok(()),
            buffers,
        }
    }
}

/// Encodes a value.
pub fn encode<T>(value: &T, pool: &Pool) -> Encoded
where
    T: Serialize + DeserializeOwned,
{
    let mut payload = Payload::new();
    let of_pool = || Some(pool.clone());
    let room = Room::Pool(&of_pool);
    let (result, buffers) = encode_with_buffers(value, &mut payload, room);
    Encoded {
        payload,
        result,
        buffers,
    }
}

/// Why a value is no message.
#[derive(Debug)]
pub enum Unfit {
    /// It does not travel, in words.
    Encode(String),
    Alloc(AllocError),
}

impl Message {
    /// Encodes a value, and finds memory for it if it is long.
    pub fn of<T>(value: &T, pool: &Pool, area: usize) -> Result<Self, Unfit>
    where
        T: Serialize + DeserializeOwned,
    {
        Self::of_encoded::<T>(encode(value, pool), pool, (area, 0), None)
    }

    /// The same of a value of type `T` that was encoded; there is room in a cell, too, for plain ones
    /// of so many bytes. From `pack_from` bytes on it is compressed, if that makes it smaller.
    pub fn of_encoded<T>(
        encoded: Encoded,
        pool: &Pool,
        (area, plain): (usize, usize),
        pack_from: Option<usize>,
    ) -> Result<Self, Unfit> {
        let Encoded {
            mut payload,
            result,
            buffers,
        } = encoded;
        result.map_err(|fault| Unfit::Encode(untold::<T>(&fault)))?;
        if let Some(why) = buffers.iter().find_map(Transfer::refusal) {
            return Err(Unfit::Encode(why.to_owned()));
        }
        if buffers.iter().any(|buffer| !buffer.is_of_pool(pool)) {
            return Err(Unfit::Encode(
                "a buffer or an end of a channel in it is of another runtime".to_owned(),
            ));
        }
        if buffers.len() > u8::MAX as usize {
            let count = buffers.len();
            return Err(Unfit::Encode(format!(
                "{count} buffers are in it, and a message has 255 at most: send several, or put them into one buffer"
            )));
        }
        let (mut len, is_marked) = (payload.len(), payload.is_marked());
        if u32::try_from(len).is_err() {
            return Err(Unfit::Encode(format!(
                "it has {len} encoded bytes, and a message 4 GiB at most: send a `Shared` instead"
            )));
        }
        let packed = pack_from.filter(|from| len >= *from);
        let packed = packed.and_then(|_| pack(payload.bytes()));
        let is_packed = packed.is_some();
        if let Some(packed) = packed {
            len = packed.len();
            payload = Payload::from_vec(packed);
        }
        let mut message = Message {
            payload,
            buffers,
            block: None,
            len,
            is_marked,
            is_packed,
            is_kept: false,
        };
        let is_plain = message.buffers.is_empty() && !is_marked && len == plain;
        if message.buffers.len() * PARCEL + len.div_ceil(8) > area && !is_plain {
            message.block = Some(message.make_block(pool).map_err(Unfit::Alloc)?);
        }
        Ok(message)
    }

    /// Makes it one that may be taken several times.
    pub fn keep(self) -> Result<Self, Unfit> {
        if self.buffers.iter().any(Transfer::is_loan) {
            let why = "a `Loan` is in it, which only one can have, and a message that is not acknowledged goes to another: publish it, and send the `Shared`";
            return Err(Unfit::Encode(why.to_owned()));
        }
        Ok(Message {
            is_kept: true,
            ..self
        })
    }

    /// How many bytes it is, with those of its buffers.
    pub fn bytes(&self) -> u64 {
        let buffers = self.buffers.iter().map(|buffer| buffer.bytes().len());
        buffers.fold(self.len, usize::saturating_add) as u64
    }

    /// A block with the bytes in it, and room for the parcels behind them.
    fn make_block(&mut self, pool: &Pool) -> Result<Loan, AllocError> {
        let need = self.len.next_multiple_of(8) + self.buffers.len() * PARCEL * 8;
        if let Some(mut loan) = self.payload.take_block(pool) {
            if loan.capacity() >= need {
                loan.extend_to(need);
                return Ok(loan);
            }
            let mut larger = pool.alloc(need)?;
            larger[..self.len].copy_from_slice(&loan[..self.len]);
            return Ok(larger);
        }
        let mut loan = pool.alloc(need)?;
        loan[..self.len].copy_from_slice(self.payload.bytes());
        Ok(loan)
    }

    /// What it is made of: the encoded bytes, unless they are in the block; and how many there are;
    /// and whether they say in which form they are.
    pub fn into_parts(self) -> (Payload, Vec<Transfer>, Option<Loan>, usize, bool) {
        let Message {
            payload,
            buffers,
            block,
            len,
            is_marked,
            ..
        } = self;
        (payload, buffers, block, len, is_marked)
    }

    /// Writes it into a place of the lane. The value that it was made of is gone: what others still
    /// have of its buffers is copied. If there is no memory for that, the message comes back, and
    /// the place is as it was.
    pub fn put(
        mut self,
        lane: &Lane,
        place: &mut Mine,
        pool: &Pool,
    ) -> Result<(), Box<(Self, AllocError)>> {
        // What may fail is done before anything is given away.
        for at in 0..self.buffers.len() {
            let parted = self.buffers[at].part(|len| pool.alloc(len));
            if let Err(error) = parted {
                return Err(Box::new((self, error)));
            }
        }
        // What was passed is taken back; what could not be is lost with the value.
        let take_back = |mut message: Self, parcels: &[Parcel], error| {
            let back = parcels
                .iter()
                .filter_map(|parcel| pool.take_passing(parcel));
            message.buffers = back.collect();
            Err(Box::new((message, error)))
        };
        let mut parcels = Vec::with_capacity(self.buffers.len());
        for buffer in std::mem::take(&mut self.buffers) {
            let result = if self.is_kept || buffer.is_token() {
                let parcel = buffer.pass_held(pool);
                parcel.ok_or_else(|| pool.exhausted(0))
            } else {
                buffer.pass(pool, |len| pool.alloc(len))
            };
            match result {
                Ok(parcel) => parcels.push(parcel),
                Err(error) => return take_back(self, &parcels, error),
            }
        }
        let count = (parcels.len() as u64) << 32;
        let mut header = self.len as u64 | count;
        if self.is_marked {
            header |= MARKED;
        }
        if self.is_packed {
            header |= PACKED;
        }
        match self.block.take() {
            None if header == lane.plain() as u64 && header > 0 => {
                let words = words_of(self.payload.bytes());
                lane.write_plain(place, words);
                return Ok(());
            }
            None => {
                let words = parcels.iter().flat_map(|parcel| parcel.pack());
                lane.write(place, 0, words);
                lane.write(
                    place,
                    parcels.len() * PARCEL,
                    words_of(self.payload.bytes()),
                );
            }
            Some(mut block) => {
                header |= LONG;
                let mut at = self.len.next_multiple_of(8);
                for word in parcels.iter().flat_map(|parcel| parcel.pack()) {
                    block[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    at += 8;
                }
                let passed = if self.is_kept {
                    let parcel = Transfer::of_shared(&block.publish()).pass_held(pool);
                    parcel.ok_or_else(|| pool.exhausted(self.len))
                } else {
                    Transfer::of_loan(block).pass(pool, |len| pool.alloc(len))
                };
                match passed {
                    Ok(parcel) => lane.write(place, 0, parcel.pack()),
                    Err(error) => return take_back(self, &parcels, error),
                }
            }
        }
        lane.set_header(place, header);
        Ok(())
    }

    /// The value again, if it was not sent after all.
    pub fn into_value<T: DeserializeOwned>(mut self) -> Option<T> {
        let bytes = match &self.block {
            Some(block) => block.get(..self.len)?.to_vec(),
            None => self.payload.bytes().to_vec(),
        };
        let bytes = match self.is_packed {
            true => unpack(&bytes).ok()?,
            false => bytes,
        };
        decode_with_buffers(&bytes, self.is_marked, &mut self.buffers).ok()
    }
}

/// What was taken out of a place, and is not decoded yet.
pub struct Received {
    /// Of a short one.
    short: SmallVec<[u8; SHORT]>,
    block: Option<Transfer>,
    len: usize,
    buffers: Vec<Transfer>,
    is_marked: bool,
    is_packed: bool,
    /// The place that keeps it until it is acknowledged.
    held: Option<Held>,
}

/// Takes what is in the message of this place. The message keeps nothing afterwards, whatever comes
/// of it; no code of the user's is called. `None` if it is not what somebody has sent.
pub fn take(lane: &Lane, place: &Mine, pool: &Pool) -> Option<Received> {
    let received = read(lane, place, |parcel| pool.take_passing(parcel));
    if received.is_none() {
        let_go(lane, place, pool);
    }
    received
}

/// Copies what is in the message of this place, which stays as it is.
pub fn peek(lane: &Lane, place: &Mine, pool: &Pool) -> Option<Received> {
    read(lane, place, |parcel| pool.hold_passing(parcel))
}

fn read(lane: &Lane, place: &Mine, get: impl Fn(&Parcel) -> Option<Transfer>) -> Option<Received> {
    let contents = Contents::of(lane, place)?;
    let mut short = SmallVec::new();
    let block = match &contents.block {
        Some(parcel) => Some(get(parcel)?),
        None => {
            let from = contents.count * PARCEL;
            for at in 0..contents.len.div_ceil(8) {
                let word = match place.is_plain() {
                    true => lane.read_plain(place, at),
                    false => lane.read(place, from + at),
                };
                short.extend_from_slice(&word.to_le_bytes());
            }
            short.truncate(contents.len);
            None
        }
    };
    let mut received = Received {
        short,
        block,
        len: contents.len,
        buffers: Vec::new(),
        is_marked: contents.is_marked,
        is_packed: contents.is_packed,
        held: None,
    };
    if contents.count == 0 {
        return Some(received);
    }
    let parcels = match &received.block {
        Some(block) => parcels_behind(block.bytes(), contents.len, contents.count)?,
        None => (0..contents.count)
            .map(|at| parcel_at(lane, place, at))
            .collect::<Option<_>>()?,
    };
    // Each is taken, so that none stays behind if one is not what it says.
    let taken: Vec<_> = parcels.iter().map(get).collect();
    received.buffers = taken.into_iter().collect::<Option<_>>()?;
    Some(received)
}

impl Received {
    /// Of a plain message, which was copied.
    pub fn of_plain(short: &Short, len: usize) -> Self {
        let bytes: &[u8] = bytemuck::cast_slice(short);
        Received {
            short: SmallVec::from_slice(&bytes[..len.min(SHORT)]),
            block: None,
            len,
            buffers: Vec::new(),
            is_marked: false,
            is_packed: false,
            held: None,
        }
    }

    /// The same, of a place that keeps it.
    pub fn held_by(self, held: Held) -> Self {
        Received {
            held: Some(held),
            ..self
        }
    }

    /// The place, if it keeps it.
    pub fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// The value; or why its type does not read what was written.
    pub fn decode<T: DeserializeOwned>(mut self) -> Result<T, String> {
        let bytes = match &self.block {
            Some(block) => block.bytes().get(..self.len).unwrap_or_default(),
            None => &self.short,
        };
        let unpacked;
        let bytes = match self.is_packed {
            true => {
                unpacked = unpack(bytes)?;
                &unpacked
            }
            false => bytes,
        };
        let decoded = decode_with_buffers(bytes, self.is_marked, &mut self.buffers);
        decoded.map_err(|fault| untold::<T>(&fault))
    }
}

/// The parcels of the message in this place: all that it keeps.
pub fn parcels(lane: &Lane, place: &Mine, pool: &Pool) -> Vec<Parcel> {
    let Some(contents) = Contents::of(lane, place) else {
        return Vec::new();
    };
    let Some(block) = contents.block else {
        let all = (0..contents.count).filter_map(|at| parcel_at(lane, place, at));
        return all.collect();
    };
    let from = contents.len.next_multiple_of(8);
    let to = from + contents.count * PARCEL * 8;
    let behind = pool.peek(block.index, from, to);
    let behind = behind.and_then(|bytes| parcels_behind(&bytes, 0, contents.count));
    std::iter::once(block)
        .chain(behind.unwrap_or_default())
        .collect()
}

/// Lets go of all that the message in this place keeps.
pub fn let_go(lane: &Lane, place: &Mine, pool: &Pool) {
    for parcel in parcels(lane, place, pool) {
        pool.end_passing(&parcel);
    }
}
