//! What this process is.

use std::sync::atomic::{AtomicU8, Ordering};

static ROLE: AtomicU8 = AtomicU8::new(0);

/// What a process is, as far as it has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `init` was not called.
    Unknown,
    /// It may start runtimes.
    Host,
    /// It serves one.
    Worker,
}

impl Role {
    /// Of this process.
    pub fn now() -> Role {
        // Relaxed: set once by the thread that begins the process.
        match ROLE.load(Ordering::Relaxed) {
            1 => Role::Host,
            2 => Role::Worker,
            _ => Role::Unknown,
        }
    }

    /// Tells this process what it is.
    pub fn set(self) {
        // Relaxed: as above.
        ROLE.store(self as u8, Ordering::Relaxed);
    }
}
