//! Atomics that count their changes, so that a process can end itself just before
//! its k-th (feature `crash-points`): a test that repeats its work for k = 0, 1, 2, …
//! has seen a death between any two changes of shared memory.
//!
//! Loads are not counted: a death before a load leaves what a death after the change
//! before it leaves.

use std::sync::OnceLock;
use std::sync::atomic::{self, Ordering};

static LEFT: atomic::AtomicU64 = atomic::AtomicU64::new(u64::MAX);
static END: OnceLock<fn()> = OnceLock::new();

/// From here on this process takes `steps` steps and then calls `end`, which does not
/// return.
pub fn end_after(steps: u64, end: fn()) {
    let _ = END.set(end);
    // Relaxed: a private counter; only its total matters.
    LEFT.store(steps, Ordering::Relaxed);
}

/// A change of shared memory, or a system call that others notice, comes next.
pub fn step() {
    // Relaxed: as in `end_after`.
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 0 {
        END.get().inspect(|end| end());
    }
}

macro_rules! counted {
    ($name:ident, $value:ty) => {
        /// As the standard library's, with a step before each change.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        #[allow(dead_code, reason = "whatever `core` offers")]
        impl $name {
            /// See `core`.
            #[inline]
            pub fn load(&self, ordering: Ordering) -> $value {
                self.0.load(ordering)
            }

            /// See `core`.
            #[inline]
            pub fn store(&self, value: $value, ordering: Ordering) {
                step();
                self.0.store(value, ordering);
            }

            /// See `core`.
            #[inline]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            /// See `core`.
            #[inline]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange_weak(current, new, success, failure)
            }

            counted!(@fetch $value: swap fetch_add fetch_sub fetch_or fetch_and fetch_min fetch_max);
        }
    };
    (@fetch $value:ty: $($method:ident)*) => {
        $(
            /// See `core`.
            #[inline]
            pub fn $method(&self, value: $value, ordering: Ordering) -> $value {
                step();
                self.0.$method(value, ordering)
            }
        )*
    };
}

impl AtomicU32 {
    /// The standard library's, for the system calls on it.
    #[inline]
    pub fn inner(&self) -> &atomic::AtomicU32 {
        &self.0
    }
}

counted!(AtomicU32, u32);
counted!(AtomicU64, u64);
