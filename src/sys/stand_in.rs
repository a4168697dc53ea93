//! What stands for the system in models: fences and the futex, as the kernel
//! promises them, on `loom`'s primitives.

/// The only process of a model.
#[derive(Clone, Copy, Debug)]
pub struct Home;

impl Home {
    /// It.
    pub fn here() -> Self {
        Home
    }

    /// Nothing forks.
    pub fn is_here(&self) -> bool {
        true
    }
}

/// Both sides of the asymmetric fence are full fences here: what the pair
/// promises is exactly that.
pub mod barrier {
    use loom::sync::atomic::{Ordering, fence};

    /// The waker's side.
    pub fn light() {
        // ordering: pairs with `heavy`.
        fence(Ordering::SeqCst);
    }

    /// The sleeper's side.
    pub fn heavy() {
        // ordering: pairs with `light`.
        fence(Ordering::SeqCst);
    }

    /// There are cheap light barriers.
    pub fn is_asymmetric() -> bool {
        true
    }
}

/// A futex that never wakes for no reason: so a lost wake-up is a deadlock, which
/// loom reports.
pub mod futex {
    use std::collections::HashMap;
    use std::sync::PoisonError;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    use crate::prim::atomic::{AtomicU32, Ordering};
    use crate::prim::mortal::step;

    loom::lazy_static! {
        /// The kernel's lock of the hash bucket; per address, the wakes so far.
        static ref WAKES: Mutex<HashMap<usize, u64>> = Mutex::new(HashMap::new());
        static ref WOKEN: Condvar = Condvar::new();
    }

    fn key(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }

    /// Sleeps while `word` is `expected`, until woken; the comparison and the
    /// falling asleep are one step for every waker. Deadlines never come.
    pub fn wait(word: &AtomicU32, expected: u32, _deadline: Option<Instant>) {
        if !step() {
            return;
        }
        let key = key(word);
        let mut wakes = WAKES.lock().unwrap_or_else(PoisonError::into_inner);
        let before = wakes.get(&key).copied();
        // ordering: Relaxed: under the bucket's lock, as in the kernel.
        if word.peek(Ordering::Relaxed) != expected {
            return;
        }
        while wakes.get(&key).copied() == before {
            wakes = WOKEN.wait(wakes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes everybody who sleeps on `word`.
    pub fn wake(word: &AtomicU32, _count: u32) -> usize {
        if !step() {
            return 0;
        }
        let mut wakes = WAKES.lock().unwrap_or_else(PoisonError::into_inner);
        *wakes.entry(key(word)).or_insert(0) += 1;
        WOKEN.notify_all();
        1
    }
}
