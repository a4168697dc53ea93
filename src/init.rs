//! The hook at the start of every program that uses pinfold.

use crate::process::{Role, VERSION, begin, refuse_to_serve, run_zygote, zygote_of};
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
    init_with(|| Ok::<_, std::convert::Infallible>(()));
}

/// As [`init`], and has what the workers need made ready before there are any: `prepare` is called
/// in the process that they are forked from, once, and never in the program itself. What it
/// loads (a model, a table, shared libraries) they all share, until they write to it.
///
/// If it fails, [`Builder::start`](crate::Builder::start) fails with its reason. It must not leave
/// threads behind: a process with threads cannot be forked safely.
///
/// ```
/// # fn main() {
/// use std::sync::OnceLock;
/// static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();
///
/// pinfold::init_with(|| PRIMES.set(vec![2, 3, 5, 7]).map_err(|_| "set twice"));
/// assert!(PRIMES.get().is_none()); // this is the program
/// # }
/// ```
pub fn init_with<E: std::fmt::Display>(prepare: impl FnOnce() -> Result<(), E>) {
    if Role::now() != Role::Unknown {
        return;
    }
    Role::Host.set();
    let Some(host) = zygote_of() else { return };
    begin();
    if host != VERSION {
        refuse_to_serve(&format!(
            "the host has version {host} of pinfold, and the worker program has {VERSION}: install the same for both"
        ));
    }
    if let Err(error) = prepare() {
        refuse_to_serve(&error.to_string());
    }
    match Functions::of_this_program() {
        Ok(functions) => {
            worker::prepare(functions.clone());
            run_zygote(functions.build(), worker::run)
        }
        Err(error) => refuse_to_serve(&format!("it cannot find its own code: {error}")),
    }
}
