//! Scopes: tasks that have all ended when a block of the program has.
//!
//! The scope watches each of its tasks as a group of the scheduler, beside the handle:
//! it sees every end, also when the handle was dropped or joined.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Ended, Reach};
use crate::task::{Label, NoCapture};

use super::after::{Dependencies, Sealed};
use super::core::Core;
use super::ends::Ends;
use super::submitted::Submitted;
use super::{Handle, Task};

/// Spawns tasks that end before the scope does; made by
/// [`Runtime::scope`](crate::Runtime::scope) and
/// [`Runtime::scope_collect`](crate::Runtime::scope_collect).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// fn spawn_all(scope: &pinfold::Scope<'_>) {
///     for n in 0..3 {
///         let _ = scope.spawn(|n: u32| n + 1, n);
///     }
/// }
/// rt.scope(spawn_all)?;
/// assert_eq!(rt.stats().tasks.completed, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Scope<'rt> {
    core: &'rt Arc<Core>,
    /// Whether the first error cancels the rest.
    stops: bool,
    /// Whether it waits for what its tasks have spawned, too.
    awaits_kin: AtomicBool,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    ends: Ends,
    /// So many were spawned.
    spawned: u32,
    /// Of which child, and what.
    errors: Vec<(usize, TaskError)>,
    is_cancelled: bool,
    /// How long what runs may go on when it is cancelled.
    grace: Option<Duration>,
}

impl Children {
    fn cancel(&mut self) {
        self.is_cancelled = true;
        self.ends.cancel(Reach::with(self.grace));
    }

    fn note(&mut self, ended: Vec<Ended>, stops: bool) {
        for Ended { tag, error } in ended {
            if let Some(error) = error {
                self.fail(tag, *error, stops);
            }
        }
    }

    fn fail(&mut self, child: u32, error: TaskError, stops: bool) {
        // Somebody wanted that.
        let is_cancelled = |error: &TaskError| matches!(error, TaskError::Cancelled { .. });
        match &error {
            TaskError::DependencyFailed { cause, .. } if is_cancelled(cause) => return,
            error if is_cancelled(error) => return,
            _ => {}
        }
        self.errors.push((child as usize, error));
        if stops && !self.is_cancelled {
            self.cancel();
        }
    }
}

impl<'rt> Scope<'rt> {
    /// Runs `f(args)` in a worker: [`Runtime::spawn`](crate::Runtime::spawn), within
    /// this scope. The handle may be joined or dropped; the scope waits all the same.
    ///
    /// If the scope was cancelled, the task is not even submitted, and its handle ends
    /// with [`TaskError::Cancelled`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let sum = rt.scope(|s| {
    ///     let (a, b) = (s.spawn(|n: u32| n * n, 3), s.spawn(|n: u32| n * n, 4));
    ///     Ok::<_, pinfold::TaskError>(a.join()? + b.join()?)
    /// })??;
    /// assert_eq!(sum, 25);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, A, R>(&self, f: F, args: A) -> Handle<R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.spawn_task(&Task::new(self.core, f), args)
    }

    /// The same for a task with settings of its own.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let task = rt.task(|n: u32| n + 1).at_least_once();
    /// let two = rt.scope(|s| s.spawn_task(&task, 1).join())??;
    /// assert_eq!(two, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_task<F, A, R>(&self, task: &Task<'_, F, A, R>, args: A) -> Handle<R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let kin = self.with_kin(task);
        let task = kin.as_ref().unwrap_or(task);
        self.enter(task.order.name, task.order.label(), || task.submit(args))
    }

    /// Runs `f((args, inputs))` in a worker when the tasks of `after` have ended, with their
    /// values as inputs: [`Task::spawn_after`], within this scope. What it depends on may be
    /// of this scope or not. The scope waits for it as for the others; when the scope is
    /// cancelled while it still waits, it ends with [`TaskError::Cancelled`].
    ///
    /// If it is not run because a task that it depends on has no value, that is an error of
    /// this scope as any other, unless that task was cancelled.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let sum = rt.scope(|s| {
    ///     let (a, b) = (s.spawn(|n: u64| n * n, 3), s.spawn(|n: u64| n * n, 4));
    ///     s.spawn_after((&a, &b), |((), (a, b)): ((), (u64, u64))| a + b, ())
    /// })?;
    /// assert!(sum.is_finished());
    /// assert_eq!(sum.join()?, 25);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_after<D, F, A, I, R>(&self, after: D, f: F, args: A) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + Sealed<Values = I>,
        F: Fn((A, I)) -> R + NoCapture,
        A: Serialize + DeserializeOwned + Send + 'static,
        I: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned,
    {
        self.spawn_task_after(&Task::new(self.core, f), after, args)
    }

    /// The same for a task with settings of its own.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let add = rt.task(|(n, m): (u32, u32)| n + m).at_least_once();
    /// let three = rt.scope(|s| {
    ///     let one = s.spawn(|n: u32| n, 1);
    ///     s.spawn_task_after(&add, &one, 2).join()
    /// })??;
    /// assert_eq!(three, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_task_after<D, F, A, I, R>(
        &self,
        task: &Task<'_, F, (A, I), R>,
        after: D,
        args: A,
    ) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + Sealed<Values = I>,
        F: Fn((A, I)) -> R + NoCapture,
        A: Serialize + DeserializeOwned + Send + 'static,
        I: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned,
    {
        let kin = self.with_kin(task);
        let task = kin.as_ref().unwrap_or(task);
        self.enter(task.order.name, task.order.label(), || {
            task.submit_after(&after, args, None)
        })
    }

    /// From here on a task of this scope counts as ended only when whatever it has spawned, and
    /// dropped the handle of, has ended too, and so on for what is below those. So nothing of
    /// them runs any more when the scope ends.
    ///
    /// Their errors nobody sees, as always. What a task has left behind that dies with its
    /// worker is told to end ([`spawn`](crate::spawn())), and not waited for.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// fn tree(depth: u32) {
    ///     for _ in 0..2 * depth.min(1) {
    ///         drop(pinfold::spawn(tree, depth - 1));
    ///     }
    /// }
    /// rt.scope(|s| {
    ///     s.and_descendants();
    ///     drop(s.spawn(tree, 5));
    /// })?; // all 63 have ended
    /// # Ok(())
    /// # }
    /// ```
    pub fn and_descendants(&self) -> &Self {
        // Relaxed: whoever spawns on another thread has been told by other means.
        self.awaits_kin.store(true, Ordering::Relaxed);
        self
    }

    /// The task as it is submitted here, if that is not as it is.
    fn with_kin<'t, F, A, R>(&self, task: &Task<'t, F, A, R>) -> Option<Task<'t, F, A, R>>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        // Relaxed: as above.
        self.awaits_kin.load(Ordering::Relaxed).then(|| {
            let mut task = task.clone();
            task.settings().awaits_kin = true;
            task
        })
    }

    /// Submits a task, unless this scope was cancelled, and watches it.
    fn enter<R: DeserializeOwned>(
        &self,
        name: fn() -> &'static str,
        label: Option<&Label>,
        submit: impl FnOnce() -> Submitted,
    ) -> Handle<R> {
        let child = {
            let mut children = self.look();
            if children.is_cancelled {
                let mut cancelled = Box::new(TaskError::cancelled());
                cancelled.tell_of(name(), label, None);
                return Handle::failed(self.core.present(), name, cancelled);
            }
            children.spawned += 1;
            children.spawned - 1
        };
        // Not under the lock: it may wait for room.
        let submitted = submit();
        let mut children = self.lock();
        match &submitted.ticket {
            Ok(ticket) => {
                let tickets = [(child, ticket)].into_iter();
                children.ends.watch(&submitted.scheduler, tickets);
                if children.is_cancelled {
                    // By another thread, meanwhile.
                    children.ends.cancel(Reach::with(children.grace));
                }
            }
            Err(error) => children.fail(child, (**error).clone(), self.stops),
        }
        drop(children);
        submitted.handle()
    }

    /// Cancels the tasks of this scope: those that nobody has begun never are, those that
    /// run are asked to end ([`Handle::cancel`]). No more are accepted.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let late = rt.scope(|s| {
    ///     s.cancel();
    ///     s.spawn(|n: u32| n + 1, 1).join()
    /// })?;
    /// assert!(matches!(late, Err(pinfold::TaskError::Cancelled { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        self.lock().cancel();
    }

    /// From here on, whatever cancels this scope (an error, a panic of its body,
    /// [`Scope::cancel`]) gives what runs so long to end; then its worker is killed
    /// ([`Handle::cancel_within`]). Without this the scope waits for it, which may be for ever.
    /// If it is cancelled already, the time begins now.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// fn deaf(_: ()) {
    ///     loop {}
    /// }
    /// let failed = rt.scope(|s| {
    ///     s.grace(std::time::Duration::from_millis(20));
    ///     let _ = s.spawn(deaf, ());
    ///     let _ = s.spawn(|n: u32| 1 / n, 0);
    /// });
    /// assert!(matches!(failed, Err(pinfold::TaskError::Panicked { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn grace(&self, grace: Duration) {
        let mut children = self.lock();
        children.grace = Some(grace);
        if children.is_cancelled {
            children.cancel();
        }
    }

    /// Whether it was cancelled: by [`Scope::cancel`], or by a task's error.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let error = rt.scope(|s| {
    ///     assert!(!s.is_cancelled());
    ///     let _ = s.spawn(|n: u32| 1 / n, 0).join();
    ///     assert!(s.is_cancelled());
    /// });
    /// assert!(error.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.look().is_cancelled
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        // No panic leaves it half changed: at worst an error is not noted.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The children, after a look at who has ended.
    fn look(&self) -> MutexGuard<'_, Children> {
        let mut children = self.lock();
        let mut ended = Vec::new();
        children.ends.poll(&mut ended);
        children.note(ended, self.stops);
        children
    }

    /// Waits for all.
    fn finish(&self) -> Vec<(usize, TaskError)> {
        let mut children = self.lock();
        loop {
            let mut ended = Vec::new();
            children.ends.wait(&mut ended);
            if ended.is_empty() {
                if children.ends.are_elsewhere() {
                    children.fail(0, TaskError::Forked, false);
                }
                return std::mem::take(&mut children.errors);
            }
            children.note(ended, self.stops);
        }
    }
}

/// Runs `body` in a scope; when it returns every task of the scope has ended.
pub(super) fn scope<T>(
    core: &Arc<Core>,
    stops: bool,
    body: impl FnOnce(&Scope<'_>) -> T,
) -> (T, Vec<(usize, TaskError)>) {
    let scope = Scope {
        core,
        stops,
        awaits_kin: AtomicBool::new(false),
        children: Mutex::default(),
    };
    let ran = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    if ran.is_err() {
        scope.cancel();
    }
    let errors = scope.finish();
    match ran {
        Ok(value) => (value, errors),
        Err(panic) => resume_unwind(panic),
    }
}
