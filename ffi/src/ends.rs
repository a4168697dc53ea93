//! Who wants to hear of a task's end, without a thread that waits for it.
//!
//! ```text
//!   the library ──wakes once──▶ End of the handle ──▶ each who is on its list, or was told: it has ended
//! ```
//!
//! The library is asked once for each handle, when the first wants to hear; whoever does not want to any more is
//! taken off the list. So to ask again and again costs no memory.

use std::sync::Arc;
use std::task::Wake;

use parking_lot::Mutex;
use pinfold::Handle;

/// Is told that a task has ended, by a thread of the library's: must not wait.
pub(crate) trait Hears: Send + Sync {
    /// `tag` is what it was put on the list with.
    fn hears(&self, tag: u64);
}

#[derive(Default)]
struct List {
    was_asked: bool,
    has_ended: bool,
    hearers: Vec<(Arc<dyn Hears>, u64)>,
}

/// The end of a task.
#[derive(Default)]
pub(crate) struct End(Mutex<List>);

impl Wake for End {
    fn wake(self: Arc<Self>) {
        let hearers = {
            let mut list = self.0.lock();
            list.has_ended = true;
            std::mem::take(&mut list.hearers)
        };
        for (hearer, tag) in hearers {
            hearer.hears(tag);
        }
    }
}

impl End {
    /// Has `hearer` told when `task` ends, whose end this is; false if it has ended: it is not
    /// told.
    pub(crate) fn tell<R>(
        self: &Arc<Self>,
        task: &Handle<R>,
        hearer: Arc<dyn Hears>,
        tag: u64,
    ) -> bool {
        let was_asked = {
            let mut list = self.0.lock();
            if list.has_ended {
                return false;
            }
            list.hearers.push((hearer, tag));
            std::mem::replace(&mut list.was_asked, true)
        };
        if !was_asked {
            // Without the lock: it may call at once.
            task.wake_when_ended(Arc::clone(self).into());
        }
        true
    }

    /// It is not to be told any more.
    pub(crate) fn forget(&self, hearer: &Arc<dyn Hears>) {
        let mut list = self.0.lock();
        list.hearers.retain(|(one, _)| !Arc::ptr_eq(one, hearer));
    }
}
