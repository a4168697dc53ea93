//! What a process has made of the bytes of shared blocks, as it lies in its own memory: see
//! [`super::known`].

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::prim::{BlockIndex, Generation};

pub(super) type Made = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(super) enum Entry {
    Kept(Made),
    Seen(Weak<dyn Any + Send + Sync>),
}

impl Entry {
    pub(super) fn made(&self) -> Option<Made> {
        match self {
            Entry::Kept(made) => Some(Arc::clone(made)),
            Entry::Seen(made) => made.upgrade(),
        }
    }
}

/// By block: in which generation it was, and what was made of it.
pub(super) type Entries = HashMap<BlockIndex, (Generation, Entry)>;

/// What a process has made of shared blocks.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Mutex<Entries>,
    /// How many are kept; a hint.
    kept: AtomicUsize,
}

impl Known {
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        // A plain map, which a panic cannot leave half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are kept; a hint.
    #[inline]
    pub(super) fn kept(&self) -> usize {
        // Relaxed: a hint.
        self.kept.load(Ordering::Relaxed)
    }

    /// So many are kept from now on; how many it was before. Called with the lock.
    pub(super) fn set_kept(&self, count: usize) -> usize {
        // Relaxed: changed under the lock; read as a hint.
        self.kept.swap(count, Ordering::Relaxed)
    }
}
