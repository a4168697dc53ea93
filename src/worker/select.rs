//! The ends of children as cases of a task's select.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::channel::{Also, Select};
use crate::notify::Gate;
use crate::prim::Hint;

use super::child::Child;
use super::nest::{Nest, Stands};

/// The end of a child, as a select of its parent sees it. On another thread it is no child: there is
/// nothing to wait for.
///
/// Whoever ends a child rings the bell of the executor that has spawned it. If that waits by its
/// bell, its gate is opened, too, which is among those that a select sleeps at.
struct End {
    child: Hint,
    /// Nobody can claim it: its word is spoilt. Who joins it is told.
    is_spoilt: AtomicBool,
}

impl<'a> Also<'a> for End {
    fn has_come(&self) -> bool {
        // Relaxed: this thread's own.
        self.is_spoilt.load(Ordering::Relaxed)
            || Nest::here().is_none_or(|nest| !nest.is_open(self.child))
    }

    fn gate(&self) -> Option<&'a Gate> {
        Nest::here().map(|nest| &nest.doing.told)
    }

    fn prepare(&self) {
        if let Some(nest) = Nest::here() {
            let _ = nest.runner.record().bell.prepare();
        }
    }

    fn help(&self) -> bool {
        let Some(nest) = Nest::here() else {
            return false;
        };
        let Stands::Queued(child) = nest.stands(self.child) else {
            return false;
        };
        if !nest.runs_queued(child) {
            // Relaxed: as above.
            self.is_spoilt.store(true, Ordering::Relaxed);
        }
        true
    }

    fn done(&self) {
        if let Some(nest) = Nest::here() {
            nest.runner.record().bell.cancel();
        }
    }
}

impl Select<'_> {
    /// In a task: also waits for the end of this child, which is not joined by that: do so when it is
    /// chosen. Returns its number. The child may be moved meanwhile.
    ///
    /// If nobody has begun the child when the thread would sleep, it is run here, as by
    /// [`Child::join`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::channel::{Receiver, Select};
    ///
    /// /// The first of a message and the end of a child, which waits for the other message.
    /// fn first((stop, go): (Receiver<u32>, Receiver<u32>)) -> String {
    ///     let mut child = Some(pinfold::spawn(|go: Receiver<u32>| go.recv().unwrap_or(0), go));
    ///     let mut select = Select::new();
    ///     let (message, end) = (select.recv(&stop), child.as_ref().map(|child| select.child(child)));
    ///     match select.wait() {
    ///         Ok(chosen) if chosen.index() == message => "a message".to_owned(),
    ///         Ok(chosen) if Some(chosen.index()) == end => {
    ///             format!("{:?}", child.take().map(|child| child.join()))
    ///         }
    ///         _ => "nothing".to_owned(),
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let ((_stop, to_task), (go, to_child)) = (rt.channel(1)?, rt.channel(1)?);
    /// let task = rt.spawn(first, (to_task, to_child));
    /// go.send(7)?;
    /// assert_eq!(task.join()?, "Some(Ok(7))");
    /// # Ok(())
    /// # }
    /// ```
    pub fn child<R>(&mut self, child: &Child<R>) -> usize {
        self.also(End {
            child: child.hint(),
            is_spoilt: AtomicBool::new(false),
        })
    }
}
