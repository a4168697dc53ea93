//! Memos: outputs that are remembered.

use pinfold::Memo;

use crate::boundary::guard;
use crate::edge::Out;
use crate::runtime::as_pointer;
use crate::{PinfoldStatus, table};

/// Remembers outputs by their arguments.
pub struct PinfoldMemo {
    _private: [u8; 0],
}

/// A memo of up to `entries` outputs (0 is 1); the one that was used least recently is the first to
/// be forgotten. A task that has it (`pinfold_task_settings.memo`) is not run again for an argument
/// whose output is there.
///
/// The memo is the caller's: free it with `pinfold_memo_free`, at any time: tasks that have it keep
/// it.
///
/// Any thread.
///
/// # Safety
///
/// `out_memo` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_memo_new(
    entries: usize,
    out_memo: *mut *mut PinfoldMemo,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_memo", out_memo) };
    guard(|| {
        let out = out?;
        out.write(as_pointer(table::insert(Memo::new(entries))?));
        Ok(())
    })
}

/// How often a memo has been asked since it was made: `*out_hits` tasks were not run, because their
/// output was known or about to be, and `*out_misses` were.
///
/// Any thread.
///
/// # Safety
///
/// `out_hits` and `out_misses` are null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_memo_counts(
    memo: *mut PinfoldMemo,
    out_hits: *mut u64,
    out_misses: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (hits, misses) = unsafe {
        (
            Out::new("out_hits", out_hits),
            Out::new("out_misses", out_misses),
        )
    };
    guard(|| {
        let (hits, misses) = (hits?, misses?);
        let memo = table::enter::<Memo>(memo.addr())?;
        hits.write(memo.hits());
        misses.write(memo.misses());
        Ok(())
    })
}

/// Frees a memo; tasks that have it keep it. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_memo_free(memo: *mut PinfoldMemo) -> PinfoldStatus {
    guard(|| match memo.is_null() {
        true => Ok(()),
        false => table::remove::<Memo>(memo.addr()),
    })
}
