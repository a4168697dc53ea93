//! What a floor above has the pool call when something happens.

use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A function of somebody else's.
pub(super) struct Hook<F: ?Sized>(Box<F>);

impl<F: ?Sized> Hook<F> {
    pub(super) fn new(call: Box<F>) -> Self {
        Hook(call)
    }
}

impl<F: ?Sized> Deref for Hook<F> {
    type Target = F;
    fn deref(&self) -> &F {
        &self.0
    }
}

// It changes nothing but words in shared memory, each at once: a panic leaves nothing half done.
impl<F: ?Sized> UnwindSafe for Hook<F> {}
impl<F: ?Sized> RefUnwindSafe for Hook<F> {}

impl<F: ?Sized> std::fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}
