//! For programs that end when they are told to: servers, and batches at Ctrl-C.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::{Handle, Signals};

/// Those that listen in this process; what a signal does when nobody does.
#[derive(Default)]
struct Listeners {
    count: usize,
    /// Whether a signal ends the process as usual; `None` as long as nobody has ever listened.
    is_usual: Option<Arc<AtomicBool>>,
}

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners {
    count: 0,
    is_usual: None,
});

fn listeners() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listeners {
    fn set_usual(&self, is_usual: bool) {
        if let Some(flag) = &self.is_usual {
            // ordering: SeqCst, as the look of whoever handles a signal.
            flag.store(is_usual, Ordering::SeqCst);
        }
    }

    /// One more. Whatever was registered before it stays so.
    fn add(&mut self) -> io::Result<()> {
        self.count += 1;
        self.set_usual(false);
        if self.is_usual.is_none() {
            let flag = Arc::new(AtomicBool::new(false));
            for signal in [SIGTERM, SIGINT] {
                register_conditional_default(signal, Arc::clone(&flag))?;
            }
            self.is_usual = Some(flag);
        }
        Ok(())
    }

    fn remove(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            self.set_usual(true);
        }
    }
}

/// One that listens.
struct Listener;

impl Listener {
    fn new() -> io::Result<Self> {
        // Counted in any case, and taken off when it is dropped: not under the lock.
        let added = listeners().add();
        let listener = Listener;
        added.map(|()| listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        listeners().remove();
    }
}

/// Waits for the signals that ask this process to end: SIGTERM (from a service manager) and
/// SIGINT (Ctrl-C). From when it is made to when it is dropped they do not end the process;
/// afterwards they do, as usual.
///
/// Any thread may wait with it, in [`std::thread::scope`] too: another one lets it go when the
/// work is done ([`give_up`](Termination::give_up)).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let termination = pinfold::Termination::new()?;
/// let sum = std::thread::scope(|threads| {
///     threads.spawn(|| {
///         // The first one lets what runs go on to its end; a second one kills it.
///         if termination.wait().is_some() {
///             rt.cancel_pending();
///         }
///         if termination.wait().is_some() {
///             rt.begin_shutdown(pinfold::Shutdown::Abort);
///         }
///     });
///     let sum = rt.map(|n: u64| n, 0..10).sum::<Result<u64, _>>();
///     termination.give_up(); // or the thread would wait for ever
///     sum
/// });
/// assert_eq!(sum?, 45);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, signals end the process as usual"]
pub struct Termination {
    handle: Handle,
    signals: Mutex<Signals>,
    _listener: Listener,
}

impl std::fmt::Debug for Termination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Termination").finish_non_exhaustive()
    }
}

impl Termination {
    /// From here on signals are kept for whoever waits.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn new() -> io::Result<Self> {
        let listener = Listener::new()?;
        let signals = Signals::new([SIGTERM, SIGINT])?;
        Ok(Termination {
            handle: signals.handle(),
            signals: Mutex::new(signals),
            _listener: listener,
        })
    }

    /// Waits for the next signal; which of the two it was. Each is told to one of those that
    /// wait; several of a kind that come together may be told as one. `None` at once when it
    /// was given up.
    pub fn wait(&self) -> Option<i32> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals.forever().next()
    }

    /// Whoever waits, or will, is let go.
    pub fn give_up(&self) {
        self.handle.close();
    }
}

/// Waits until this process is asked to end: SIGTERM (from a service manager) or SIGINT
/// (Ctrl-C). Returns which of the two it was. A second signal of the kind is not caught
/// any more once this has returned, and ends the process as usual.
///
/// What a server then does is [`Runtime::shutdown`](crate::Runtime::shutdown) with
/// [`Shutdown::Graceful`](crate::Shutdown::Graceful). It waits without end: a program that may
/// be done before takes a [`Termination`].
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
pub fn wait_for_termination() -> io::Result<i32> {
    let termination = Termination::new()?;
    Ok(termination.wait().unwrap_or(SIGTERM))
}
