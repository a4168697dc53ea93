//! Limits: how much of something tasks may take together.

use pinfold::Limit;

use crate::boundary::guard;
use crate::edge::Out;
use crate::runtime::as_pointer;
use crate::{PinfoldStatus, table};

/// So many tasks may be in flight at a time, or so many units of something (bytes of memory, say)
/// that tasks take together.
pub struct PinfoldLimit {
    _private: [u8; 0],
}

/// A limit of `units` in all. A task takes its share when it is submitted
/// (`pinfold_task_settings.limits`), and gives it back when it ends, however it ends. One limit may
/// serve several tasks of one runtime.
///
/// The limit is the caller's: free it with `pinfold_limit_free`, at any time: tasks that are under
/// it stay so.
///
/// Any thread.
///
/// # Safety
///
/// `out_limit` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_limit_new(
    units: u64,
    out_limit: *mut *mut PinfoldLimit,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_limit", out_limit) };
    guard(|| {
        let out = out?;
        out.write(as_pointer(table::insert(Limit::new(units))?));
        Ok(())
    })
}

/// How many units of a limit nobody has now. A task that has ended gives its share back when
/// somebody waits, for it or for anything, or wants a share.
///
/// Any thread.
///
/// # Safety
///
/// `out_units` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_limit_available(
    limit: *mut PinfoldLimit,
    out_units: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_units", out_units) };
    guard(|| {
        let out = out?;
        out.write(table::enter::<Limit>(limit.addr())?.free());
        Ok(())
    })
}

/// Frees a limit; the tasks that are under it stay so. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_limit_free(limit: *mut PinfoldLimit) -> PinfoldStatus {
    guard(|| match limit.is_null() {
        true => Ok(()),
        false => table::remove::<Limit>(limit.addr()),
    })
}
