//! A child: a spawned task, as seen by the task that has spawned it.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Death, TaskError};
use crate::pool::Transfer;
use crate::prim::{Hint, TaskId};
use crate::task::{Fault, Finished, NoCapture, Outcome, Payload, decode, decode_own, untold};

use super::nest::Nest;

/// Runs `f(args)` as a task of its own, beside the task that calls this; for use
/// inside of tasks. In the host use [`Runtime::spawn`](crate::Runtime::spawn).
///
/// The task may be run by any worker. [`Child::join`] runs it on the spot if nobody
/// has begun it by then, so spawning costs little and never deadlocks, however deep.
/// What a task may be, and how arguments and results travel, is as for
/// [`Runtime::spawn`](crate::Runtime::spawn). It is run at most once.
///
/// It is for the thread that the task runs on: on another one that the task has started it is
/// [`TaskError::NotInTask`], as outside of tasks.
///
/// To run two things in parallel there is [`join`](crate::join()); to run many, and go on when
/// all have ended, [`scope`](crate::scope()).
///
/// # What it has of its parent
///
/// It is part of the host's task that its parent is part of: its root.
///
/// - *Cancellation.* Its parent may cancel it ([`Child::cancel`]). If the root is [cancelled](crate::Handle::cancel), or its
///   [hard deadline](crate::Task::hard_deadline) or [run limit](crate::Task::run_limit) passes, or if the root or the parent dies with
///   its worker, the task is to end too: not begun, it never runs; running, it hears of it by
///   [`Context::is_cancelled`](crate::Context::is_cancelled), wherever it runs, detached or
///   not, and so do the tasks it has spawned. If it still runs a second after its root (or its
///   dead parent) has ended, or [`Builder::kill_grace`](crate::Builder::kill_grace) if that is
///   longer, its worker is killed and replaced. With
///   [`Orphans::Finish`](crate::Orphans::Finish) a death alone ends nobody: see there. A task
///   that ends in order, even by a panic, ends none of those that it has detached.
/// - *Deadline.* [`Context::deadline`](crate::Context::deadline) is that of the root. What the
///   root's executor runs while it waits in `join` counts towards the root's run limit.
/// - *Nothing else.* It waits at the normal [priority](crate::Task::priority), has no name,
///   tags or trace context ([`task_info`](crate::task_info())), takes no share of its root's
///   [limits](crate::Task::limited) (the root keeps its own until it ends itself), no place in
///   the queue, and is in no profile.
///
/// [`Runtime::shutdown`](crate::Runtime::shutdown) waits for the tasks of the host, and so for
/// what these join. Of what is detached, that which was not begun is run still when it drains,
/// and what runs is told to end, and has five seconds.
///
/// ```
/// # pinfold::test_setup!();
/// fn fib(n: u64) -> u64 {
///     if n < 2 {
///         return n;
///     }
///     let other = pinfold::spawn(fib, n - 1);
///     fib(n - 2) + other.join().unwrap()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// assert_eq!(rt.spawn(fib, 15).join()?, 610);
/// # Ok(())
/// # }
/// ```
pub fn spawn<F, A, R>(_: F, args: A) -> Child<R>
where
    F: Fn(A) -> R + NoCapture,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let Some(nest) = Nest::here() else {
        return Child::nobody(NOT_THERE);
    };
    nest.submit::<F, A, R, _>(args, |task| Child::new(nest, task))
}

/// A task that was spawned by a task; see [`spawn`].
///
/// Dropping it detaches the task: it runs all the same, but nobody sees its outcome, and it
/// still ends with its root if that ends early (see [`spawn`]).
/// It stays with the task that spawned it, and cannot be sent anywhere.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let sum = rt.spawn(
///     |(): ()| {
///         let child: pinfold::Child<u32> = pinfold::spawn(|n: u32| n + 1, 1);
///         child.join().map_err(|error| error.to_string())
///     },
///     (),
/// );
/// assert_eq!(sum.join()?, Ok(2));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it detaches the task; call `join` for its outcome"]
pub struct Child<R> {
    /// Whose child it is; `None` outside of tasks, and once it was joined.
    nest: Option<&'static Nest>,
    /// Which one: its hint. Of nobody: why.
    task: u64,
    types: PhantomData<*const R>,
}

/// Instead of a hint: it was never spawned.
const NOT_THERE: u64 = 0;
/// Instead of a hint: its outcome was taken.
const TAKEN: u64 = 1;

// As with the host's handles: two registers.
const _: () = assert!(size_of::<Child<()>>() == 16);

impl<R> std::fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self
            .nest
            .and_then(|nest| nest.name(Hint::unpack(self.task)));
        f.debug_struct("Child").field("task", &name).finish()
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits for the task to end; runs it here if nobody has begun it. Meanwhile it
    /// may run other spawned tasks. A value that comes from another worker needs room in
    /// the pool if it is longer than 48 bytes; one that was made here does not.
    ///
    /// # Errors
    /// Why there is no value: [`TaskError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn total(numbers: Vec<u64>) -> Result<u64, String> {
    ///     if numbers.len() < 4 {
    ///         return Ok(numbers.iter().sum());
    ///     }
    ///     let (left, right) = numbers.split_at(numbers.len() / 2);
    ///     let left = pinfold::spawn(total, left.to_vec());
    ///     let right = total(right.to_vec())?;
    ///     Ok(left.join().map_err(|error| error.to_string())?? + right)
    /// }
    /// assert_eq!(rt.spawn(total, (1..=100).collect()).join()?, Ok(5050));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(mut self) -> Result<R, TaskError> {
        let Some(nest) = self.nest.take() else {
            return Err(self.why_not());
        };
        if !nest.is_here() {
            return Err(TaskError::Forked);
        }
        let child = Hint::unpack(self.task);
        let mut payload = Payload::new();
        let mut buffers = Vec::new();
        let Some(outcome) = nest.run_own(child, &mut payload, &mut buffers) else {
            return wait(nest, child);
        };
        if outcome == Outcome::Value && buffers.is_empty() {
            return decode(payload.bytes(), false)
                .map_err(|fault| undecodable::<R>(nest.name(child), child, &fault));
        }
        decode_any(nest, child, outcome, payload, buffers)
    }

    /// Waits at most `timeout`; `None` when the task has not ended by then (it goes on, and can
    /// be joined again).
    ///
    /// If nobody has begun the task it is run here, as by [`Child::join`], and that is not
    /// cut short: the time is for what others run. To leave it to them altogether, look by
    /// [`Child::try_join`], which runs nothing.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let parent = |(): ()| {
    ///     let mut child = pinfold::spawn(|n: u32| n + 1, 1);
    ///     loop {
    ///         match child.join_timeout(Duration::from_secs(1)) {
    ///             Some(value) => return value.unwrap(),
    ///             None => pinfold::context().report_progress(0.5, "waiting").unwrap(),
    ///         }
    ///     }
    /// };
    /// assert_eq!(rt.spawn(parent, ()).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<R, TaskError>> {
        let deadline = Instant::now().checked_add(timeout);
        let is_over = match self.here() {
            Some((nest, child)) => nest.wait_until(child, deadline),
            None => true,
        };
        is_over.then(|| self.take())
    }

    /// The outcome, if the task has ended; never waits, and never runs it. As long as nobody
    /// else has time for it, it has not begun: whoever looks again and again sleeps in between,
    /// or calls [`Child::join_timeout`] in the end.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let mut child = pinfold::spawn(|n: u32| n + 1, 1);
    ///     let early = child.try_join(); // the only worker is busy: with this
    ///     (early.is_none(), child.join().unwrap())
    /// };
    /// assert_eq!(rt.spawn(parent, ()).join()?, (true, 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_join(&mut self) -> Option<Result<R, TaskError>> {
        self.is_finished().then(|| self.take())
    }

    /// The outcome of one that has ended, which this is no more.
    fn take(&mut self) -> Result<R, TaskError> {
        match self.nest {
            Some(_) => std::mem::replace(self, Child::nobody(TAKEN)).join(),
            None => Err(self.why_not()),
        }
    }

    /// Waits for every task; the outcomes are in the order of the children. What nobody has
    /// begun is run here, the last one first.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// use pinfold::Child;
    /// let parent = |numbers: Vec<u64>| {
    ///     let children = numbers.iter().map(|n| pinfold::spawn(|n: u64| n * n, *n));
    ///     let squares = Child::join_all(children);
    ///     squares.into_iter().map(Result::unwrap).collect::<Vec<u64>>()
    /// };
    /// assert_eq!(rt.spawn(parent, vec![1, 2, 3]).join()?, [1, 4, 9]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_all(children: impl IntoIterator<Item = Child<R>>) -> Vec<Result<R, TaskError>> {
        let children: Vec<_> = children.into_iter().collect();
        let mut outcomes: Vec<_> = children.into_iter().rev().map(Child::join).collect();
        outcomes.reverse();
        outcomes
    }
}

impl<R> Child<R> {
    #[inline]
    pub(super) fn new(nest: &'static Nest, task: Hint) -> Self {
        Child {
            nest: Some(nest),
            task: task.pack(),
            types: PhantomData,
        }
    }

    /// That of no task.
    fn nobody(why: u64) -> Self {
        Child {
            nest: None,
            task: why,
            types: PhantomData,
        }
    }

    /// That of no task, because there is none here.
    pub(super) fn missing() -> Self {
        Self::nobody(NOT_THERE)
    }

    /// Whether there is one.
    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.nest.is_some()
    }

    /// Whose it is, and which.
    fn here(&self) -> Option<(&'static Nest, Hint)> {
        let nest = self.nest.filter(|nest| nest.is_here())?;
        Some((nest, Hint::unpack(self.task)))
    }

    /// Which one; of none one that has ended.
    pub(super) fn hint(&self) -> Hint {
        Hint::unpack(self.task)
    }

    #[cold]
    fn why_not(&self) -> TaskError {
        match self.task {
            TAKEN => TaskError::already_joined(),
            _ => Nest::missing(),
        }
    }

    /// Whether the task has ended, with a value or without.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let child = pinfold::spawn(|n: u32| n + 1, 1);
    ///     let before = child.is_finished();
    ///     child.cancel();
    ///     (before, child.is_finished())
    /// };
    /// assert_eq!(rt.spawn(parent, ()).join()?, (false, true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_finished(&self) -> bool {
        self.here().is_none_or(|(nest, child)| !nest.is_open(child))
    }

    /// Cancels the task, and all that it has spawned, wherever they run: what nobody has begun
    /// never runs, and what runs hears of it by
    /// [`Context::is_cancelled`](crate::Context::is_cancelled). The outcome is
    /// [`TaskError::Cancelled`], unless the task ends with a value all the same that is no
    /// `Err`.
    ///
    /// One that does not listen goes on until it has ended: nobody kills its worker for it.
    /// Only the task of the host that all these are part of can have a limit that does
    /// ([`Task::hard_deadline`](crate::Task::hard_deadline),
    /// [`Handle::cancel_within`](crate::Handle::cancel_within)), and then takes them with it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parent = |(): ()| {
    ///     let child = pinfold::spawn(|n: u32| n + 1, 1);
    ///     child.cancel();
    ///     matches!(child.join(), Err(pinfold::TaskError::Cancelled { .. }))
    /// };
    /// assert!(rt.spawn(parent, ()).join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        if let Some((nest, child)) = self.here() {
            nest.cancel(&[child]);
        }
    }
}

/// The value of a child that was run on the spot, or why it has none.
#[cold]
#[inline(never)]
fn decode_any<R: DeserializeOwned>(
    nest: &Nest,
    child: Hint,
    outcome: Outcome,
    payload: Payload,
    buffers: Vec<Transfer>,
) -> Result<R, TaskError> {
    let finished = Finished {
        outcome,
        payload,
        parcels: 0,
        buffers,
    };
    let name = nest.name(child);
    value_of(nest, Ok(finished), name, child)
}

/// The value of a child that is run elsewhere, or was, or has more than a few bytes.
#[inline(never)]
fn wait<R: DeserializeOwned>(nest: &Nest, child: Hint) -> Result<R, TaskError> {
    let mut words = [0; _];
    if let Some(len) = nest.wait_briefly(child, &mut words) {
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        return decode(&bytes[..len], false)
            .map_err(|fault| undecodable::<R>(nest.name(child), child, &fault));
    }
    // Once it was waited for nobody knows it any more.
    let name = nest.name(child);
    value_of(nest, nest.wait(child), name, child)
}

/// The value of a child that has ended, or was refused, and is called `name`.
#[cold]
fn value_of<R: DeserializeOwned>(
    nest: &Nest,
    ended: Result<Finished, TaskError>,
    name: Option<&'static str>,
    child: Hint,
) -> Result<R, TaskError> {
    let value = ended.and_then(|finished| error_of(&finished).map_or(Ok(finished), Err));
    let value = value.map_err(|error| told_of(name, child, error));
    nest.was_joined(child, value.as_ref().err());
    let decoded = value?.decode();
    decoded.map_err(|fault| undecodable::<R>(name, child, &fault))
}

/// Why a run has no value.
#[cold]
pub(super) fn error_of(finished: &Finished) -> Option<TaskError> {
    let error = match finished.outcome {
        outcome if outcome.is_value() => return None,
        Outcome::Lost => TaskError::WorkerDied {
            task: Box::default(),
            death: decode_own(finished.payload.bytes()).unwrap_or(Death::Unknown),
            last_words: None,
        },
        Outcome::Cancelled => TaskError::cancelled(),
        outcome => TaskError::of_run(outcome, finished.payload.bytes()),
    };
    Some(error)
}

#[cold]
fn undecodable<R>(name: Option<&'static str>, child: Hint, fault: &Fault) -> TaskError {
    told_of(name, child, TaskError::result(untold::<R>(fault)))
}

/// An error of a child.
pub(super) fn told_of(name: Option<&'static str>, child: Hint, mut error: TaskError) -> TaskError {
    let id = Nest::has_slot(child).then(|| TaskId::of(child));
    error.tell_of(name.unwrap_or_default(), None, id);
    error
}

impl<R> Drop for Child<R> {
    fn drop(&mut self) {
        if let Some(nest) = self.nest
            && nest.is_here()
        {
            nest.forsake(Hint::unpack(self.task));
        }
    }
}
