//! A loan that others refer to while it is sent: one behind an `Arc`.
//!
//! `Serialize` has only `&self`, so a loan may be encoded while others refer to it, and while
//! slices of it are alive. Whether it is the value's alone shows when the value is dropped:
//! then the transfer has the only reference to the record, and the block changes hands. If
//! not, its bytes are copied, and the copy does. So whoever submits drops the arguments before
//! the parcels are final, and whoever returns drops the value.
//!
//! Each loan that was met is a *turn* on its record, which whoever else encodes it sees:
//!
//! ```text
//!               encoded                argument: accepted
//!   at home ───────────────▶ going(n) ─────────────────────▶ sent
//!      ▲                         │
//!      └─────────────────────────┘
//!        refused; an error or a panic; decoded in this very process; result: copied
//! ```
//!
//! | | `Deref` | `DerefMut`, `publish` | encoded as an argument | in a result |
//! | --- | --- | --- | --- | --- |
//! | at home | its bytes | its bytes | goes | goes, or is copied |
//! | going | its bytes | empty | refused: twice | copied |
//! | sent | empty | empty | refused: sent before | refused: sent before |
//!
//! Who moves it: the transfer's turn (`super::turn`), which goes back when it is dropped. Nothing but
//! whoever has the turn brings a loan home: a second submission that is refused cannot.
//! Nobody writes while a transfer may copy: of a loan on its way there is no `&mut [u8]`.

use std::sync::atomic::AtomicU32;

use crate::prim::atomic::Ordering;

/// A value with the loan in it was accepted as an argument.
const SENT: u32 = 1 << 31;

/// How many encoded values have a loan in them, and whether one was sent.
#[derive(Debug, Default)]
pub(super) struct Goings(AtomicU32);

impl Goings {
    /// One more encoded value has the loan in it: `Ok`, and whether it is the only one;
    /// `Err` once the loan was sent.
    pub(super) fn go(&self) -> Result<bool, ()> {
        // ordering: AcqRel pairs with the Release in `stay`, and with the Acquire in
        // `may_write`: whoever gets the loan for himself after the value is gone sees this.
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        if before & SENT != 0 {
            self.stay();
            return Err(());
        }
        Ok(before == 0)
    }

    /// One of these is no more, or was decoded here.
    pub(super) fn stay(&self) {
        // ordering: Release pairs with the Acquire in `may_write`: it is not read for that
        // value any more.
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// One of these was accepted: whoever has the loan still has an empty one from now on.
    pub(super) fn set_sent(&self) {
        // ordering: AcqRel as in `go`.
        self.0.fetch_or(SENT, Ordering::AcqRel);
    }

    /// Whether the loan's bytes may be seen by whoever has it.
    #[inline]
    pub(super) fn may_read(&self) -> bool {
        // ordering: Acquire as in `may_write`.
        self.0.load(Ordering::Acquire) & SENT == 0
    }

    /// Whether whoever has the loan for himself may write, and publish: no value has it that
    /// may be copied now, or was sent.
    #[inline]
    pub(super) fn may_write(&self) -> bool {
        // ordering: Acquire pairs with the Release in `stay`.
        self.0.load(Ordering::Acquire) == 0
    }
}
