//! The short text that an error leaves in a slot when there is no room for more.

use crate::error::PanicTold;
use crate::pool::AllocError;
use crate::task::{INLINE_LEN, Outcome, Payload, decode_own};

#[cold]
pub fn no_memory(error: &AllocError, payload: &mut Payload) -> Outcome {
    payload.clear();
    let _ = payload.encode(&error.pack());
    Outcome::NoMemory
}

/// What is left in the slot of a run whose result, or words, found no room elsewhere.
#[cold]
pub fn shorten(outcome: Outcome, error: &AllocError, payload: &mut Payload) -> Outcome {
    match outcome {
        Outcome::Panicked => {
            let said = decode_own::<PanicTold>(payload.bytes()).unwrap_or_default();
            let (message, location, _) = said;
            // Two bytes are the lengths, and one says that there is no backtrace.
            let location = first_of(&location, 20, true);
            let message = first_of(&message, INLINE_LEN - 3 - location.len(), false);
            payload.clear();
            let told: PanicTold = (message, location, None);
            let _ = payload.encode(&told);
        }
        Outcome::BadArguments | Outcome::BadResult | Outcome::Damaged => {
            payload.clear();
            payload.extend(b"it fails, and memory is too full to tell why");
        }
        _ => return no_memory(error, payload),
    }
    outcome
}

/// At most `len` bytes of a text, from its beginning or its end; "…" is where the rest was.
fn first_of(text: &str, len: usize, from_the_end: bool) -> String {
    if text.len() <= len {
        return text.to_owned();
    }
    let len = len - "…".len();
    if from_the_end {
        let from = text.ceil_char_boundary(text.len() - len);
        format!("…{}", &text[from..])
    } else {
        format!("{}…", &text[..text.floor_char_boundary(len)])
    }
}
