//! What a process remembers of the other side.

use std::sync::atomic::AtomicU64;

/// How far the other side was when this process last looked; its own, and no more than a guess.
#[derive(Debug, Default)]
pub struct Seen(pub(super) AtomicU64);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Seen::default()
    }
}
