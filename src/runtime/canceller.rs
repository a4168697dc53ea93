//! A way to a task for others than who has its handle.

use std::fmt;
use std::time::Duration;

use crate::prim::TaskId;
use crate::scheduler::{Link, Reach};

use super::{Handle, Progress};

/// Cancels a task, and tells of it, for whoever has it: any thread, as many as like, also
/// when the handle was joined or dropped. It does not keep the task's outcome, nor the
/// runtime. Made by [`Handle::canceller`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let listens = |()| while !pinfold::context().is_cancelled() {};
/// let task = rt.spawn(listens, ());
/// let canceller = task.canceller();
/// let other = std::thread::spawn({
///     let canceller = canceller.clone();
///     move || canceller.cancel()
/// });
/// task.join().ok(); // ended, or never begun
/// assert_eq!(other.join().ok(), Some(true));
/// assert!(canceller.is_finished() && !canceller.cancel());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Canceller {
    link: Link,
}

const _: () = {
    const fn assert_shared<T: Clone + Send + Sync + 'static>() {}
    assert_shared::<Canceller>();
};

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("id", &self.id())
            .field("function", &self.function())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Canceller {
    /// [`Handle::cancel`]. Returns whether the task had not ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let busy = rt.spawn(|ms| std::thread::sleep(std::time::Duration::from_millis(ms)), 200);
    /// let queued = rt.spawn(|n: u32| n, 1);
    /// assert!(queued.canceller().cancel());
    /// assert!(matches!(queued.join(), Err(pinfold::TaskError::Cancelled { .. })));
    /// # busy.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.link.cancel(Reach::Running)
    }

    /// [`Handle::cancel_within`]. Returns whether the task had not ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn deaf(_: ()) {
    ///     loop {}
    /// }
    /// let task = rt.spawn(deaf, ());
    /// task.canceller().cancel_within(std::time::Duration::from_millis(20));
    /// assert!(matches!(task.join(), Err(pinfold::TaskError::Cancelled { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_within(&self, grace: Duration) -> bool {
        self.link.cancel(Reach::Within(grace))
    }

    /// [`Handle::progress`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// assert_eq!(task.canceller().progress(), None); // this one says nothing
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&self) -> Option<Progress> {
        self.link.reported().map(Progress::from)
    }

    /// Whether a worker is at it now; of a task that is tried again, at any attempt.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// let canceller = task.canceller();
    /// task.join()?;
    /// assert!(!canceller.is_running());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_running(&self) -> bool {
        self.link.is_running()
    }

    /// Whether the task has ended.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// let canceller = task.canceller();
    /// task.join()?;
    /// assert!(canceller.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_finished(&self) -> bool {
        self.link.is_finished()
    }

    /// Which task it is: as [`Handle::id`], but also when it has ended, if it was known while
    /// it had not.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// let (id, canceller) = (task.id(), task.canceller());
    /// task.join()?;
    /// assert_eq!(canceller.id(), id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> Option<TaskId> {
        self.link.id()
    }

    /// The name that it was [given](crate::Task::named).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| n).named("first").spawn(1);
    /// assert_eq!(task.canceller().name(), Some("first"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.link.label.as_ref()?.name.as_deref()
    }

    /// What its function is called, with its path.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn half(n: u32) -> u32 {
    ///     n / 2
    /// }
    /// assert!(rt.spawn(half, 1).canceller().function().ends_with("half"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn function(&self) -> &'static str {
        (self.link.function)()
    }
}

impl<R> Handle<R> {
    /// A way to cancel the task, and to ask how it is, for whoever does not have the handle.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.spawn(|n: u32| n, 1);
    /// let canceller: pinfold::Canceller = task.canceller();
    /// assert_eq!(canceller.id(), task.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn canceller(&self) -> Canceller {
        let link = match self.ticket() {
            Some(ticket) => self.scheduler().link(ticket),
            None => Link::nowhere(),
        };
        Canceller { link }
    }

    /// Whether a worker is at the task now; of one that is tried again, at any attempt. Takes
    /// no lock and never waits.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let nap = rt.spawn(|ms| std::thread::sleep(std::time::Duration::from_millis(ms)), 50);
    /// while !nap.is_running() && !nap.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// # nap.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_running(&self) -> bool {
        let ticket = self.ticket();
        ticket.is_some_and(|ticket| self.scheduler().is_running(ticket))
    }
}
