//! The hook at the start of every program that uses pinfold.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::process::{is_zygote, run_zygote};
use crate::sys::exit_now;
use crate::task::Functions;
use crate::worker;

static DONE: AtomicBool = AtomicBool::new(false);

/// Call this first thing in `main`.
///
/// The runtime starts its worker processes by starting the same program again
/// (once; workers are then forked from that one). In that process this function
/// serves the runtime and never returns, so nothing that `main` does happens
/// twice. In the program itself it returns at once.
///
/// Call it before any thread is started: a process with threads cannot be forked
/// safely, and [`Builder::start`](crate::Builder::start) reports an error then.
///
/// ```
/// # pinfold::test_setup!();
/// fn main() {
///     pinfold::init();
///     // … the program
/// }
/// ```
pub fn init() {
    // Relaxed: asked in the same process, after main has begun.
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    if !is_zygote() {
        return;
    }
    match Functions::of_this_program() {
        Ok(functions) => run_zygote(functions.build(), worker::run),
        Err(error) => {
            tracing::error!(%error, "the zygote cannot find its own code");
            exit_now(1)
        }
    }
}

/// Whether [`init`] was called in this process.
pub(crate) fn is_done() -> bool {
    // Relaxed: as above.
    DONE.load(Ordering::Relaxed)
}

/// Makes tasks work under `cargo test` (and in benchmarks and doc tests), where
/// `main` is not yours: runs [`init`] before it.
///
/// Put this one line at the top of the test file (once for each test binary).
///
/// ```
/// pinfold::test_setup!();
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// assert_eq!(rt.spawn(|n: u64| n + 1, 41).join()?, 42);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! test_setup {
    () => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::init();
            }
            #[used]
            #[allow(unsafe_code)]
            // SAFETY: the loader calls each pointer of this section once, before
            // main, as a C function without arguments that it needs to look at.
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
