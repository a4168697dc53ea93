//! How a process ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a worker process ended.
///
/// ```
/// let death = pinfold::Death::Signaled { signal: 11, core_dumped: false };
/// assert_eq!(death.to_string(), "was killed by signal 11 (SIGSEGV)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Death {
    /// It called `exit`, or returned.
    Exited {
        /// The exit status, 0 to 255.
        status: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// It gave no sign of life while it had work
    /// ([`Builder::heartbeat`](crate::Builder::heartbeat)), and was killed.
    Unresponsive,
    /// It ended together with the zygote, so nobody was told its status.
    Unknown,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Death::Exited { status } => write!(f, "exited with status {status}"),
            Death::Signaled {
                signal,
                core_dumped,
            } => {
                write!(f, "was killed by signal {signal}")?;
                if let Ok(known) = nix::sys::signal::Signal::try_from(signal) {
                    write!(f, " ({known})")?;
                }
                if core_dumped {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
            Death::Unresponsive => {
                f.write_str("gave no sign of life while it had work, and was killed")
            }
            Death::Unknown => f.write_str("ended with the zygote, status unknown"),
        }
    }
}
