//! Scopes in tasks: a block of a task that ends only when all children spawned in it have ended.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::task::{NoCapture, entry_of};

use super::child::Child;
use super::family::Family;
use super::nest::Nest;

/// Where a task spawns children that end before the scope does; made by [`scope`](crate::scope())
/// and [`scope_collect`](crate::scope_collect()). In the host there is [`Scope`](crate::Scope).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// fn spawn_all(scope: &pinfold::TaskScope) {
///     for n in 0..3 {
///         drop(scope.spawn(|n: u32| n + 1, n));
///     }
/// }
/// let parent = |(): ()| pinfold::scope(spawn_all).is_ok();
/// assert!(rt.spawn(parent, ()).join()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TaskScope {
    /// Whose children they are; `None` outside of tasks.
    nest: Option<&'static Nest>,
    family: Rc<Family>,
}

/// Runs `body` on this thread; every task that it spawns through the [`TaskScope`] has ended
/// before this returns: with a value, with an error, or cancelled. For use inside of tasks; in
/// the host there is [`Runtime::scope`](crate::Runtime::scope), which this is like.
///
/// The first task that ends with an error cancels the rest: what nobody has begun never is, and
/// what runs is asked to end ([`Child::cancel`]), and waited for. An error is noticed when the
/// scope is used next, or when `body` has ended; also if its handle was joined or dropped. An
/// `Err` that a task returns is its value, and cancels nothing; neither does a task that was
/// cancelled.
///
/// If `body` panics, its tasks are cancelled and waited for, and the panic goes on. Scopes may be
/// nested. While the scope waits it runs what it has spawned, and other spawned tasks.
///
/// # Errors
/// The first one of a task of the scope; the value of `body` is dropped then. Outside of a task
/// each that is spawned ends with [`TaskError::NotInTask`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(2).start()?;
/// fn parent(numbers: Vec<u32>) -> Result<u32, String> {
///     let told = |error: pinfold::TaskError| error.to_string();
///     let children = pinfold::scope(|s| {
///         let spawn = |n: &u32| s.spawn(|n: u32| 100 / n, *n);
///         numbers.iter().map(spawn).collect::<Vec<_>>()
///     });
///     let mut sum = 0;
///     for child in children.map_err(told)? {
///         assert!(child.is_finished());
///         sum += child.join().map_err(told)?;
///     }
///     Ok(sum)
/// }
/// assert_eq!(rt.spawn(parent, vec![1, 2, 4]).join()?, Ok(175));
/// let failed = rt.spawn(parent, vec![1, 0, 4]).join()?.unwrap_err();
/// assert!(failed.contains("divide by zero"));
/// # Ok(())
/// # }
/// ```
pub fn scope<T>(body: impl FnOnce(&TaskScope) -> T) -> Result<T, TaskError> {
    let (value, errors) = run(true, body);
    match errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(value),
    }
}

/// As [`scope`](crate::scope()), but an error cancels nothing: all are returned beside the value
/// of `body`, each with the number of its task (the first one spawned is 0), in the order in
/// which they were noticed.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(2).start()?;
/// fn parent(count: u32) -> Vec<usize> {
///     let ((), errors) = pinfold::scope_collect(|s| {
///         for n in 0..count {
///             drop(s.spawn(|n: u32| 100 / (n % 2), n));
///         }
///     });
///     let mut failed: Vec<usize> = errors.iter().map(|(child, _)| *child).collect();
///     failed.sort();
///     failed
/// }
/// assert_eq!(rt.spawn(parent, 5).join()?, [0, 2, 4]);
/// # Ok(())
/// # }
/// ```
pub fn scope_collect<T>(body: impl FnOnce(&TaskScope) -> T) -> (T, Vec<(usize, TaskError)>) {
    run(false, body)
}

fn run<T>(stops: bool, body: impl FnOnce(&TaskScope) -> T) -> (T, Vec<(usize, TaskError)>) {
    let scope = TaskScope {
        nest: Nest::here(),
        family: Family::new(stops),
    };
    let ran = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    if ran.is_err() {
        scope.cancel();
    }
    match scope.here() {
        Some(nest) => nest.finish(&scope.family),
        // The body has forked, and this is the child.
        None if scope.nest.is_some() => scope.family.fail(0, TaskError::Forked),
        None => {}
    }
    match ran {
        Ok(value) => (value, scope.family.take_errors()),
        Err(panic) => resume_unwind(panic),
    }
}

impl TaskScope {
    fn here(&self) -> Option<&'static Nest> {
        self.nest.filter(|nest| nest.is_here())
    }

    /// Runs `f(args)` beside this task: [`pinfold::spawn`](crate::spawn()), within this scope.
    /// The handle may be joined or dropped; the scope waits all the same.
    ///
    /// If the scope was cancelled, the task never runs, and ends with
    /// [`TaskError::Cancelled`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let sum = pinfold::scope(|s| {
    ///         let (a, b) = (s.spawn(|n: u32| n * n, 3), s.spawn(|n: u32| n * n, 4));
    ///         Ok::<_, pinfold::TaskError>(a.join()? + b.join()?)
    ///     });
    ///     sum.unwrap().unwrap()
    /// };
    /// assert_eq!(rt.spawn(parent, ()).join()?, 25);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, A, R>(&self, _: F, args: A) -> Child<R>
    where
        F: Fn(A) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let Some(nest) = self.here() else {
            self.family.fail(self.family.next(), Nest::missing());
            return Child::missing();
        };
        if self.is_cancelled() {
            self.family.next();
            let cancelled = nest.put_aside(entry_of::<F, A, R>(), Err(TaskError::cancelled()));
            return Child::new(nest, cancelled);
        }
        let _with_kin = self.family.awaits_kin.get().then(|| nest.spawn_with_kin());
        nest.submit::<F, A, R, _>(args, |task| {
            nest.watch(&self.family, task);
            Child::new(nest, task)
        })
    }

    /// From here on a task of this scope counts as ended only when whatever it has spawned, and
    /// dropped the handle of, has ended too, and so on for what is below those; and the scope
    /// waits for what this very task has spawned and dropped the handle of. So nothing of them
    /// runs any more when the scope ends.
    ///
    /// From the first such scope on, `join` in this runtime looks for them, and takes a little
    /// longer where it runs a child on the spot.
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
    /// let parent = |depth: u32| {
    ///     let scoped = pinfold::scope(|s| {
    ///         s.and_descendants();
    ///         drop(s.spawn(tree, depth));
    ///     });
    ///     scoped.is_ok() // all 63 have ended
    /// };
    /// assert!(rt.spawn(parent, 5).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn and_descendants(&self) -> &Self {
        self.family.awaits_kin.set(true);
        self
    }

    /// Cancels the tasks of this scope: those that nobody has begun never are, those that run
    /// are asked to end ([`Child::cancel`]). No more are accepted.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let late = pinfold::scope(|s| {
    ///         s.cancel();
    ///         s.spawn(|n: u32| n + 1, 1).join()
    ///     });
    ///     matches!(late, Ok(Err(pinfold::TaskError::Cancelled { .. })))
    /// };
    /// assert!(rt.spawn(parent, ()).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        if let Some(nest) = self.here() {
            nest.cancel_family(&self.family);
        }
    }

    /// Whether it was cancelled: by [`TaskScope::cancel`], or by a task's error.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let error = pinfold::scope(|s| {
    ///         assert!(!s.is_cancelled());
    ///         let _ = s.spawn(|n: u32| 1 / n, 0).join();
    ///         assert!(s.is_cancelled());
    ///     });
    ///     error.is_err()
    /// };
    /// assert!(rt.spawn(parent, ()).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        if let Some(nest) = self.here() {
            nest.look_after(&self.family);
        }
        self.family.is_cancelled()
    }
}
