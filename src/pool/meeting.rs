//! The buffers that are met while a value is encoded, or picked while one is decoded.
//!
//! Serde tells a value's parts nothing of what is around them. So this thread notes what it is
//! doing, and the lists:
//!
//! | doing | a buffer that is met |
//! | --- | --- |
//! | `Idle` | is an error |
//! | `Encoding` | is the first of this value; then it is `Met` |
//! | `Met` | is one more |
//! | `Decoding` | is picked from those that have come |
//! | `ReadingBack` | the same, of a value that is only looked at while it is encoded |

use std::cell::{Cell, RefCell};

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hold::HoldRef;
use super::transfer::{SENT_BEFORE, Transfer};
use super::turn::Turn;
use super::{Loan, Shared};

/// A shared buffer that is one of so many that were met last is not met once more: the items of
/// a chunk have it in common, say.
const LATEST: usize = 8;

const OUTSIDE: &str = "a pinfold buffer can only be an argument or result of a task; to store its bytes, serialize the slice";

/// What this thread is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Idle,
    /// No buffer was met: what was met before is not looked at.
    Encoding,
    /// As `Encoding`, and some were.
    Met,
    Decoding,
    ReadingBack,
}

impl Mode {
    /// Whether what begins now may be inside of a value that has met buffers.
    #[inline(always)]
    fn is_inside(self) -> bool {
        matches!(self, Mode::Met | Mode::Decoding | Mode::ReadingBack)
    }
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Idle) };
    /// Of the value that is being encoded, behind those of the values around it.
    static OUTGOING: RefCell<Vec<Transfer>> = const { RefCell::new(Vec::new()) };
    /// So many are of those around it.
    static OUTER: Cell<usize> = const { Cell::new(0) };
    static INCOMING: RefCell<Vec<Option<Transfer>>> = const { RefCell::new(Vec::new()) };
}

/// A value is being encoded; what was before is back when this is dropped. A value whose encoding
/// encodes others has their buffers apart from its own.
pub struct Encoding {
    before: Mode,
    /// What was in `OUTER`, if the value is inside of others that may have buffers.
    outer: usize,
}

impl Encoding {
    /// From here on the buffers of the value are met.
    #[inline(always)]
    pub fn begin() -> Self {
        let before = MODE.replace(Mode::Encoding);
        let outer = match before.is_inside() {
            true => OUTER.replace(OUTGOING.with_borrow(Vec::len)),
            false => 0,
        };
        Encoding { before, outer }
    }

    /// The buffers it has met, in order.
    #[inline(always)]
    pub fn buffers(self) -> Vec<Transfer> {
        if MODE.get() != Mode::Met {
            return Vec::new();
        }
        MODE.set(Mode::Encoding);
        take_outgoing()
    }
}

impl Drop for Encoding {
    #[inline(always)]
    fn drop(&mut self) {
        // Some are left only when what met them panicked.
        if MODE.replace(self.before) == Mode::Met {
            drop(take_outgoing());
        }
        if self.before.is_inside() {
            OUTER.set(self.outer);
        }
    }
}

/// The buffers of the value that is being encoded.
#[cold]
#[inline(never)]
fn take_outgoing() -> Vec<Transfer> {
    OUTGOING.with_borrow_mut(|list| match OUTER.get() {
        0 => std::mem::take(list),
        outer => list.split_off(outer.min(list.len())),
    })
}

/// A value is being decoded; what was before is back when this is dropped.
struct Restore(Mode);

impl Drop for Restore {
    #[inline(always)]
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

/// What was being decoded around this; back when it is done, or has panicked.
struct OuterIncoming(Vec<Option<Transfer>>);

impl Drop for OuterIncoming {
    fn drop(&mut self) {
        INCOMING.replace(std::mem::take(&mut self.0));
    }
}

/// Runs `encode`; returns the holds of the buffers it met, in order.
#[inline(always)]
pub fn encoding<R>(encode: impl FnOnce() -> R) -> (R, Vec<Transfer>) {
    let encoding = Encoding::begin();
    let result = encode();
    (result, encoding.buffers())
}

/// The shared buffers that were met since the encoding around this began; `None` if there was
/// a writable one.
pub fn met() -> Option<Vec<Transfer>> {
    if MODE.get() != Mode::Met {
        return Some(Vec::new());
    }
    let share = |buffer: &Transfer| (!buffer.is_loan()).then(|| buffer.share());
    OUTGOING.with_borrow(|list| list.iter().skip(OUTER.get()).map(share).collect())
}

/// Forgets what was met, before the value is encoded once more.
pub fn forget_met() {
    if MODE.get() == Mode::Met {
        MODE.set(Mode::Encoding);
        drop(take_outgoing());
    }
}

/// Runs `decode` with `incoming` to pick from; what it does not pick is dropped.
#[inline]
pub fn decoding<R>(incoming: &mut Vec<Transfer>, decode: impl FnOnce() -> R) -> R {
    let before = MODE.get();
    MODE.set(match before {
        Mode::Idle | Mode::Decoding => Mode::Decoding,
        Mode::Encoding | Mode::Met | Mode::ReadingBack => Mode::ReadingBack,
    });
    let _restore = Restore(before);
    let _lists = (!incoming.is_empty()).then(|| picked_from(incoming));
    decode()
}

/// Whether what is decoded now is only read back by who encodes it: then it is nobody's.
pub fn is_read_back() -> bool {
    MODE.get() == Mode::ReadingBack
}

#[cold]
fn picked_from(incoming: &mut Vec<Transfer>) -> OuterIncoming {
    OuterIncoming(INCOMING.replace(incoming.drain(..).map(Some).collect()))
}

fn serialize<S: Serializer>(
    hold: &HoldRef,
    (start, len): (usize, usize),
    as_loan: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if hold.is_loan() != as_loan {
        return Err(serde::ser::Error::custom(SENT_BEFORE)); // published after that
    }
    if !matches!(MODE.get(), Mode::Encoding | Mode::Met) {
        return Err(serde::ser::Error::custom(OUTSIDE));
    }
    MODE.set(Mode::Met);
    let number = OUTGOING.with_borrow_mut(|list| {
        let is_it = |met: &Transfer| !as_loan && met.is_same(hold, start, len);
        let own = list.get(OUTER.get()..).unwrap_or_default();
        let (number, latest) = (own.len(), own.iter().rev().take(LATEST).position(is_it));
        if let Some(back) = latest {
            return number - 1 - back;
        }
        list.push(Transfer {
            hold: hold.clone(),
            start,
            len,
            turn: if as_loan { Turn::of(hold) } else { Turn::None },
        });
        number
    });
    serializer.serialize_u32(number as u32)
}

fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
    as_loan: bool,
) -> Result<Transfer, D::Error> {
    let number = u32::deserialize(deserializer)? as usize;
    if !matches!(MODE.get(), Mode::Decoding | Mode::ReadingBack) {
        return Err(serde::de::Error::custom(OUTSIDE));
    }
    let picked = INCOMING.with_borrow_mut(|list| {
        let slot = list.get_mut(number)?;
        match (slot.as_ref()?.is_loan(), as_loan) {
            // Others may name it too.
            (false, false) => slot.as_ref().map(Transfer::share),
            (true, true) => slot.take(),
            _ => None,
        }
    });
    picked.ok_or_else(|| serde::de::Error::custom("the buffer did not arrive"))
}

impl<T> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.hold, self.bytes_meant(), false, serializer)
    }
}

impl<T> Serialize for Loan<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.hold, (0, self.byte_len()), true, serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Transfer {
            hold, start, len, ..
        } = deserialize(deserializer, false)?;
        Shared::of(hold, start, len).map_err(serde::de::Error::custom)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Loan<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Transfer { hold, len, .. } = deserialize(deserializer, true)?;
        Loan::of_bytes(hold, len).map_err(serde::de::Error::custom)
    }
}
