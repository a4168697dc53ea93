//! References that were given up, for whoever wants one next: to count one more in an `Arc`, and one
//! less, are locked instructions, which wait for all that was stored before.
//!
//! ```text
//!   under a lock of the object's own
//!   open ──▶ anchor: a reference that is kept until the end
//!              │  leave: one more that nobody has      take: one less, and it is somebody's
//!              ▼
//!   close ──▶ Closing ──dropped, without the lock──▶ waits for sections; lets go of the anchor and of all that were left
//! ```
//!
//! A reference is left inside the lock of the very object, which is then unlocked. Were it the
//! last one, whoever took it might be done meanwhile, and the object gone: so it is left in a
//! [`Section`](super::Section), and there is the anchor, for whose end all sections are waited for.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use super::section::{Section, wait_for_sections};

/// References to one object that nobody has.
#[derive(Debug, Default)]
pub struct Spare {
    /// Where the object is, once it is open.
    object: Option<NonNull<()>>,
    is_closed: bool,
    /// How many, besides the anchor.
    count: usize,
}

// SAFETY: of the object it has but the address; what is taken has the type that the taker has
// already, with all that this may do.
unsafe impl Send for Spare {}
// SAFETY: as above.
unsafe impl Sync for Spare {}

impl Spare {
    /// A reference like `like`, mostly one that was left.
    #[inline(always)]
    pub fn take<T>(&mut self, like: &Arc<T>) -> Arc<T> {
        let at = Arc::as_ptr(like);
        if self.count > 0 && self.object == NonNull::new(at.cast_mut().cast()) {
            self.count -= 1;
            // SAFETY: one that was left, of this very object: `like` is alive, so nothing else is there.
            return unsafe { Arc::from_raw(at) };
        }
        self.open(like)
    }

    /// The same when there is none.
    #[cold]
    fn open<T>(&mut self, like: &Arc<T>) -> Arc<T> {
        if self.object.is_none() && !self.is_closed {
            self.object = NonNull::new(Arc::into_raw(Arc::clone(like)).cast_mut().cast());
        }
        Arc::clone(like)
    }

    /// Keeps what `leaving` is about to leave, if it may.
    #[inline(always)]
    pub fn keep(&mut self, leaving: Leaving<'_>) {
        if self.object == Some(leaving.object) {
            self.count += 1;
            *leaving.is_left = true;
        }
    }

    /// Keeps nothing from here on. Drop what is returned where the lock is not held.
    pub fn close<T>(&mut self, of: &Arc<T>) -> Option<Closing<T>> {
        self.is_closed = true;
        let at = Arc::as_ptr(of);
        if self.object != NonNull::new(at.cast_mut().cast()) {
            return None;
        }
        self.object = None;
        let count = std::mem::take(&mut self.count);
        // SAFETY: these, and the anchor, were left, as in `take`.
        let all = (0..=count).map(|_| unsafe { Arc::from_raw(at) });
        Some(Closing(all.collect()))
    }
}

/// What was kept, until nobody is about to leave one more.
#[derive(Debug)]
#[must_use = "drop it where the lock is not held"]
pub struct Closing<T>(#[allow(dead_code, reason = "dropped")] Vec<Arc<T>>);

impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        wait_for_sections();
    }
}

/// A reference that may be left.
pub struct Leaving<'a> {
    object: NonNull<()>,
    is_left: &'a mut bool,
}

/// Has `f` use `own`, and leave it inside, if it likes: nothing is there afterwards then. It can be left
/// only in a section of this thread's.
#[inline(always)]
pub fn leave_in<T, R>(
    own: &mut Option<Arc<T>>,
    section: Option<&Section>,
    f: impl FnOnce(&T, Option<Leaving<'_>>) -> R,
) -> Option<R> {
    // Not dropped, whatever comes: a panic after it was left must not count one less.
    let reference = ManuallyDrop::new(own.take()?);
    let mut is_left = false;
    let leaving = section.map(|_| Leaving {
        object: NonNull::from(&**reference).cast(),
        is_left: &mut is_left,
    });
    let made = f(&reference, leaving);
    if !is_left {
        *own = Some(ManuallyDrop::into_inner(reference));
    }
    Some(made)
}
