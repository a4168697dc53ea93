//! The hook at the start of every program that uses pinfold.

use crate::process::{Role, is_zygote, refuse_to_serve, run_zygote};
use crate::task::Functions;
use crate::worker;

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
///
/// `#[tokio::main]` starts threads before `main` does anything. Start tokio by hand instead:
///
/// ```ignore
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     pinfold::init();
///     let rt = pinfold::Runtime::builder().start()?;
///     tokio::runtime::Builder::new_multi_thread()
///         .enable_all()
///         .build()?
///         .block_on(serve(rt)) // `examples/web` has the whole of it
/// }
/// ```
pub fn init() {
    if Role::now() != Role::Unknown {
        return;
    }
    Role::Host.set();
    if !is_zygote() {
        return;
    }
    match Functions::of_this_program() {
        Ok(functions) => {
            worker::prepare(functions.clone());
            run_zygote(functions.build(), worker::run)
        }
        Err(error) => refuse_to_serve(&format!("it cannot find its own code: {error}")),
    }
}
