//! How a process comes to be a worker.

use std::ffi::{c_char, c_int};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::registry;

/// Call this first thing in `main`, after the functions were registered.
///
/// A runtime starts its worker processes by starting the same program again. In those this
/// function runs tasks, and does not return. In the program itself it returns at once. What `main` does before
/// is done there too, and there are no arguments there; so look at them after this call. Call it before any
/// thread is started. `argc` and `argv` are those of `main`; they are not changed today, and may be null.
///
/// A program whose tasks are in a plugin (`pinfold_config.plugin`) need not call it.
///
/// The main thread, before there are others; not in a task.
///
/// # Safety
///
/// `argc` and `argv` are null, or those of `main`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_init(
    argc: *mut c_int,
    argv: *mut *mut *mut c_char,
) -> PinfoldStatus {
    let _ = (argc, argv);
    guard(|| {
        // From here on no function is registered any more.
        let _ = registry::names();
        pinfold::init();
        Ok(())
    })
}
