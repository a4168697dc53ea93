//! Tickers.

use std::time::Duration;

use pinfold::sync::Ticker;

use crate::PinfoldStatus;
use crate::boundary::answer;
use crate::call::PinfoldCall;
use crate::error::Failure;
use crate::runtime::PinfoldRuntime;
use crate::table;

use super::place::{Homed, Place, free, in_place, new};

/// Ticks at the same moments in all processes.
pub struct PinfoldTicker {
    _private: [u8; 0],
}

/// # Safety
///
/// As for `pinfold_ticker_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    period: u64,
    out_ticker: *mut *mut PinfoldTicker,
) -> PinfoldStatus {
    let period = Duration::from_nanos(period);
    // SAFETY: the caller's promise.
    unsafe {
        new("out_ticker", out_ticker, place, |place| {
            let it = in_place!(place, here => Ticker::new(here, period))?;
            let home = place.home();
            Ok(Homed { it, home })
        })
    }
}

/// A ticker that ticks each `period` nanoseconds from now on, for the processes of `runtime`.
///
/// The ticker is the caller's: free it with `pinfold_ticker_free`. A task gets it by
/// `pinfold_submit_settings.objects`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a period of 0 or of more than a century, and with
/// `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_ticker_new`.
///
/// # Safety
///
/// `out_ticker` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_ticker_new(
    runtime: *mut PinfoldRuntime,
    period: u64,
    out_ticker: *mut *mut PinfoldTicker,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), period, out_ticker) }
}

/// The same in a task. The handle is the worker process's, also after the call: free it.
///
/// Fails as `pinfold_ticker_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_ticker_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_ticker_new(
    call: *mut PinfoldCall,
    period: u64,
    out_ticker: *mut *mut PinfoldTicker,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), period, out_ticker) }
}

/// Waits for the next tick, unless there were some since this handle was asked last: how many there
/// were. So whoever is late loses none.
///
/// Fails with `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it waited),
/// `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_ticks` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_ticker_wait(
    ticker: *mut PinfoldTicker,
    out_ticks: *mut u64,
) -> PinfoldStatus {
    let wait = || Ok(table::enter::<Homed<Ticker>>(ticker.addr())?.it.wait()?);
    // SAFETY: the caller's promise.
    unsafe { answer("out_ticks", out_ticks, wait) }
}

/// How many ticks there were since this handle was asked last; waits for none.
///
/// Any thread.
///
/// # Safety
///
/// `out_ticks` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_ticker_missed(
    ticker: *mut PinfoldTicker,
    out_ticks: *mut u64,
) -> PinfoldStatus {
    let missed = || Ok(table::enter::<Homed<Ticker>>(ticker.addr())?.it.missed());
    // SAFETY: the caller's promise.
    unsafe { answer("out_ticks", out_ticks, missed) }
}

/// Frees a handle of a ticker. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_ticker_free(ticker: *mut PinfoldTicker) -> PinfoldStatus {
    free::<Homed<Ticker>>(ticker.addr())
}
