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

/// Starts a thread, as the real one does.
pub fn start_thread(_name: &str, life: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    drop(loom::thread::spawn(life));
    Ok(())
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
    use std::sync::PoisonError;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex, MutexGuard};

    use crate::prim::atomic::{AtomicU32, Ordering};
    use crate::prim::mortal::step;

    /// Who sleeps on which word, the first to come first; a sleeper has a number, and a
    /// place for each word it sleeps on.
    #[derive(Default)]
    struct Bucket {
        places: Vec<(usize, u64)>,
        sleepers: u64,
    }

    loom::lazy_static! {
        /// The kernel's lock of the hash bucket, and what is behind it.
        static ref BUCKET: Mutex<Bucket> = Mutex::new(Bucket::default());
        static ref WOKEN: Condvar = Condvar::new();
    }

    fn bucket() -> MutexGuard<'static, Bucket> {
        BUCKET.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }

    /// Sleeps while `word` is `expected`, until woken; the comparison and the
    /// falling asleep are one step for every waker. Deadlines never come.
    pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
        wait_any([(word, expected)].into_iter(), deadline);
    }

    /// The same of several words. Who is woken by one of them is in the queues of the
    /// others until it runs, as in the kernel: another waker may choose it again.
    pub fn wait_any<'a>(
        words: impl ExactSizeIterator<Item = (&'a AtomicU32, u32)> + Clone,
        _deadline: Option<Instant>,
    ) {
        if !step() {
            return;
        }
        let mut bucket = bucket();
        // ordering: Relaxed: under the bucket's lock, as in the kernel.
        let mut now = words.clone();
        if now.any(|(word, expected)| word.peek(Ordering::Relaxed) != expected) {
            return;
        }
        let me = bucket.sleepers;
        bucket.sleepers += 1;
        let count = words.len();
        bucket.places.extend(words.map(|(word, _)| (key(word), me)));
        while bucket.places.iter().filter(|place| place.1 == me).count() == count {
            bucket = WOKEN.wait(bucket).unwrap_or_else(PoisonError::into_inner);
        }
        bucket.places.retain(|place| place.1 != me);
    }

    /// Wakes up to `count` of those who sleep on `word`; returns how many there were.
    pub fn wake(word: &AtomicU32, count: u32) -> usize {
        if !step() {
            return 0;
        }
        let (key, mut bucket) = (key(word), bucket());
        let mut woken = 0;
        bucket.places.retain(|place| {
            let is_chosen = place.0 == key && woken < count as usize;
            woken += usize::from(is_chosen);
            !is_chosen
        });
        if woken > 0 {
            WOKEN.notify_all();
        }
        woken
    }
}
