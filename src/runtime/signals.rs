//! For servers: waiting until they are told to end.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Waits until this process is asked to end: SIGTERM (from a service manager) or SIGINT
/// (Ctrl-C). Returns which of the two it was. A second signal of the kind is not caught
/// any more once this has returned, and ends the process as usual.
///
/// What a server then does is [`Runtime::shutdown`](crate::Runtime::shutdown) with
/// [`Shutdown::Graceful`](crate::Shutdown::Graceful).
///
/// # Errors
/// If the handler cannot be installed.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// pinfold::init();
/// let rt = pinfold::Runtime::builder().start()?;
/// // … threads that accept requests, and spawn tasks
/// pinfold::wait_for_termination()?;
/// rt.shutdown(pinfold::Shutdown::Graceful {
///     drain: Duration::from_secs(20),
///     grace: Duration::from_secs(5),
/// })?;
/// # Ok(())
/// # }
/// ```
pub fn wait_for_termination() -> std::io::Result<i32> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let signal = signals.forever().next().unwrap_or(SIGTERM);
    signals.handle().close();
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_default(
            signal,
            std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true)),
        )?;
    }
    Ok(signal)
}
