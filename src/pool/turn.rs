//! What the encoding of a loan makes of its record: see [`super::going`].

use super::hold::HoldRef;

/// What the encoding of a loan has made of its record.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing: it is shared, or it was not met by an encoder.
    None,
    /// It goes, by this transfer.
    First(#[expect(dead_code, reason = "it is there to be dropped")] Going),
    /// It goes, and does so by another as well.
    Another(#[expect(dead_code, reason = "it is there to be dropped")] Going),
    /// It was sent before.
    Late,
}

/// Keeps a loan from being written, until it is dropped.
#[derive(Debug)]
pub(super) struct Going(HoldRef);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.going().stay();
    }
}

impl Turn {
    pub(super) fn of(hold: &HoldRef) -> Self {
        match hold.going().go() {
            Ok(true) => Turn::First(Going(hold.clone())),
            Ok(false) => Turn::Another(Going(hold.clone())),
            Err(()) => Turn::Late,
        }
    }
}
