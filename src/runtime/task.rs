//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError};
use crate::pool::{Transfer, encoding};
use crate::scheduler::{Job, NotAccepted, Scheduler, Settings, Ticket};
use crate::task::{
    FunctionId, Payload, Room, drop_refused, encode as encode_value, entry_of, untold,
};

use super::core::Core;
use super::memo::Known;
use super::{Handle, Map, Memo};

pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A function to be run, with settings; made by
/// [`Runtime::task`](crate::Runtime::task).
///
/// A setting holds in every way to submit the task, but for these:
///
/// | setting | where it differs |
/// | --- | --- |
/// | [`retry`](Task::retry), [`retry_if`](Task::retry_if) | [`chunked`](Task::chunked) and [`reduce`](Task::reduce) run each item by itself then; what combines is not tried again |
/// | [`run_limit`](Task::run_limit), deadlines, [`safe_to_repeat`](Task::safe_to_repeat), [`limited`](Task::limited) | in `chunked` and `reduce` they are said of a chunk of items; in `reduce` of what combines, too |
/// | deadlines | after [`spawn_after`](Task::spawn_after) they count from when the task is queued |
/// | [`memoized`](Task::memoized) | [`spawn`](Task::spawn) alone, without buffers among the arguments |
/// | [`in_flight`](Task::in_flight) | `map` and what is made of it |
///
/// What a task spawns itself ([`spawn`](crate::spawn)) has no settings of its own: it is
/// cancelled, and sees the deadline, as part of that task.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let fetch = rt.task(|page: u32| page * 10).safe_to_repeat(5);
/// assert_eq!(fetch.spawn(3).join()?, 30);
/// assert_eq!(fetch.map(0..3).collect::<Result<Vec<_>, _>>()?, [0, 10, 20]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `spawn` or `map`"]
pub struct Task<'rt, F, A, R> {
    pub(super) core: &'rt Arc<Core>,
    /// Of no size; what is made of it names it by its type.
    pub(super) call: F,
    pub(super) function: Option<FunctionId>,
    /// What it is called in errors.
    pub(super) name: fn() -> &'static str,
    pub(super) settings: Option<Arc<Settings>>,
    pub(super) memo: Option<Memo>,
    pub(super) in_flight: Option<usize>,
    pub(super) types: PhantomData<fn(A) -> R>,
}

/// A task that was submitted, or not.
pub(super) struct Submitted {
    /// To which fold.
    pub scheduler: Arc<Scheduler>,
    /// Or why it was not accepted.
    pub ticket: Result<Ticket, Box<TaskError>>,
    /// Buffers were among its arguments.
    pub has_buffers: bool,
    /// What it is called in errors.
    pub name: fn() -> &'static str,
}

impl Submitted {
    /// The handle of it.
    pub fn handle<R: DeserializeOwned>(self) -> Handle<R> {
        match self.ticket {
            Ok(ticket) => Handle::new(self.scheduler, ticket),
            Err(error) => Handle::failed(self.scheduler, self.name, error),
        }
    }
}

/// Arguments, and the buffers among them.
pub(super) type Encoded = (Payload, Vec<Transfer>);

impl<F: Copy, A, R> Clone for Task<'_, F, A, R> {
    fn clone(&self) -> Self {
        Task {
            settings: self.settings.clone(),
            memo: self.memo.clone(),
            ..*self
        }
    }
}

impl<F, A, R> std::fmt::Debug for Task<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("function", &std::any::type_name::<F>())
            .field("settings", &self.settings)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    #[inline]
    pub(super) fn new(core: &'rt Arc<Core>, call: F) -> Self {
        let entry = entry_of::<F, A, R>();
        Task {
            core,
            call,
            function: core.function(entry),
            name: std::any::type_name::<F>,
            settings: None,
            memo: None,
            in_flight: None,
            types: PhantomData,
        }
    }

    /// Submits it: see [`Runtime::spawn`](crate::Runtime::spawn).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn(&self, args: A) -> Handle<R> {
        if let Some(memo) = &self.memo
            && !self.core.is_elsewhere()
        {
            return self.spawn_memoized(memo, args);
        }
        self.spawn_plain(args)
    }

    #[cold]
    fn spawn_memoized(&self, memo: &Memo, args: A) -> Handle<R> {
        let mut job = self.job();
        let scheduler = self.core.sound();
        if self.encode(&args, &mut job).is_err() || !job.buffers.is_empty() {
            drop(job);
            return self.spawn_plain(args);
        }
        match memo.look_up(&scheduler, job.function, job.payload.bytes(), self.name) {
            Known::Value(outcome) => {
                let ticket = scheduler.ended(self.name, outcome);
                Handle::new(scheduler, ticket)
            }
            Known::Joined(ticket) => Handle::new(scheduler, ticket),
            Known::Nothing(call) => {
                let first = self.spawn_plain(args);
                first.is_remembered(call);
                first
            }
        }
    }

    #[inline]
    fn spawn_plain(&self, args: A) -> Handle<R> {
        if self.settings.is_some() {
            return self.spawn_slowly(args, None);
        }
        match spawn_quickly(self.core, self.function, self.name, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.spawn_slowly(args, encoded),
        }
    }

    /// For what `spawn_quickly` could not do.
    #[cold]
    pub(super) fn spawn_slowly(&self, args: A, encoded: Option<Encoded>) -> Handle<R> {
        let submitted = self.submit_by(args, encoded);
        submitted.handle()
    }

    /// Submits it; says what came of it.
    pub(super) fn submit(&self, args: A) -> Submitted {
        self.submit_by(args, None)
    }

    /// The same; they may be encoded already, without a label.
    fn submit_by(&self, args: A, mut encoded: Option<Encoded>) -> Submitted {
        let mut job = self.job();
        let mut args = Some(args);
        loop {
            let scheduler = self.core.sound();
            let is_home = |buffers: &[Transfer]| {
                let mut all = buffers.iter();
                all.all(|buffer| buffer.is_of_pool(scheduler.pool()))
            };
            // Constants are encoded for the fold that there was just before.
            let before = encoded.take().filter(|(_, buffers)| is_home(buffers));
            let encoded = match (before, &args) {
                (Some((payload, buffers)), _) => {
                    (job.payload, job.buffers) = (payload, buffers);
                    Ok(0)
                }
                (None, Some(args)) => self.encode_to_go(args, &mut job),
                // Loans were among them, of the fold that is damaged.
                (None, None) => {
                    return Submitted {
                        ticket: Ok(scheduler.stillborn(self.name, self.label())),
                        scheduler,
                        has_buffers: true,
                        name: self.name,
                    };
                }
            };
            if !is_home(&job.buffers) && !Arc::ptr_eq(&scheduler, &self.core.present()) {
                continue;
            }
            let has_buffers = !job.buffers.is_empty();
            if has_buffers && job.buffers.iter().any(Transfer::is_loan) {
                // Then it shows whether others have them.
                drop(args.take());
            }
            let submitted = match encoded {
                Ok(_) => self.submit_job(&scheduler, &mut job, None),
                Err(error) => Err(NotAccepted::Failed(error)),
            };
            if !matches!(submitted, Err(NotAccepted::Refused(Refusal::Rebuilding))) {
                match &submitted {
                    Err(NotAccepted::Failed(error)) => drop_with(args, error),
                    _ => drop(args),
                }
                let ticket = submitted.map_err(|refused| self.refuse(&scheduler, refused));
                return Submitted {
                    scheduler,
                    ticket,
                    has_buffers,
                    name: self.name,
                };
            }
            // Meanwhile the fold was found damaged: once more, with its successor.
            job.buffers.clear();
        }
    }

    /// Runs it on every item, in parallel; yields the outcomes in the order of the
    /// items. Pulls from `items` lazily, on the calling thread, and keeps a bounded
    /// number [in flight](Task::in_flight). Nothing is submitted before the first `next`.
    /// Dropping the iterator cancels what nobody has begun.
    ///
    /// An item without a value is an `Err` among the others, which go on; to stop at the first,
    /// collect into a `Result`.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let lengths = rt.task(|s: String| s.len()).map(["a", "bc"].map(String::from));
    /// assert_eq!(lengths.collect::<Result<Vec<_>, _>>()?, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<'rt, I::IntoIter, F, A, R>
    where
        I: IntoIterator<Item = A>,
    {
        self.map_by(items.into_iter(), 64)
    }

    /// The same; so many in flight for each executor, if it was not said.
    pub(super) fn map_by<I>(&self, items: I, each: usize) -> Map<'rt, I, F, A, R>
    where
        I: Iterator<Item = A>,
    {
        Map::new(self.clone(), items, self.in_flight_of(each))
    }

    /// How many to keep in flight, if it was not said: so many for each executor.
    pub(super) fn in_flight_of(&self, each: usize) -> usize {
        let shape = self.core.present().fold().plan.shape;
        let most = (shape.slots as usize / 2).max(1);
        let default = (each * shape.executors()).min(most);
        self.in_flight.unwrap_or(default)
    }

    /// Whether it is tried again when it fails by itself: then it is not put together with
    /// others.
    pub(super) fn is_tried_again(&self) -> bool {
        self.settings.as_ref().is_some_and(|s| s.retry.is_some())
    }

    /// The function.
    pub(super) fn call(&self) -> F {
        self.call
    }

    /// Another function with the settings of this one, and its name; but for those that
    /// speak of this one's values: when it is tried again.
    pub(super) fn with<G, B, S>(&self, call: G) -> Task<'rt, G, B, S>
    where
        G: Fn(B) -> S + Copy + Send + 'static,
        B: Serialize + DeserializeOwned,
        S: Serialize + DeserializeOwned,
    {
        Task {
            name: self.name,
            settings: self.settings.clone().map(|mut settings| {
                let own = Arc::make_mut(&mut settings);
                (own.retry, own.judge) = (None, None);
                settings
            }),
            in_flight: self.in_flight,
            ..Task::new(self.core, call)
        }
    }

    /// Takes what the task needs of its limits, and submits it.
    #[inline]
    fn submit_job(
        &self,
        scheduler: &Scheduler,
        job: &mut Job,
        deadline: Option<Instant>,
    ) -> Result<Ticket, NotAccepted> {
        if self.settings.is_some() {
            self.admit(scheduler, job, deadline)?;
        }
        let submitted = scheduler.submit(job, deadline);
        if submitted.is_err() && self.has_limits() {
            job.permits.clear();
            scheduler.has_given_back();
        }
        submitted
    }

    pub(super) fn has_limits(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.limits.any())
    }

    /// What it ends with if its time has passed before it is submitted.
    pub(super) fn is_late(&self) -> Option<TaskError> {
        let (which, limit) = self.settings.as_ref()?.has_passed()?;
        Some(TaskError::late(which, limit, false))
    }

    /// What a task with settings must pass; waits for its shares of limits.
    #[cold]
    pub(super) fn admit(
        &self,
        scheduler: &Scheduler,
        job: &mut Job,
        deadline: Option<Instant>,
    ) -> Result<(), NotAccepted> {
        job.permits.clear();
        if let Some(late) = self.is_late() {
            return Err(NotAccepted::Failed(late));
        }
        if let Some(settings) = self.settings.as_ref().filter(|s| s.limits.any()) {
            job.permits = scheduler.take(&settings.limits, deadline)?;
        }
        Ok(())
    }

    pub(super) fn core(&self) -> &'rt Arc<Core> {
        self.core
    }

    /// An empty job of this task.
    #[inline]
    pub(super) fn job(&self) -> Job {
        Job {
            function: self.function.unwrap_or(FunctionId(0)),
            payload: Payload::new(),
            buffers: Vec::new(),
            name: self.name,
            permits: Vec::new(),
            settings: self.settings.clone(),
        }
    }

    /// Encodes `args` into `job`, whose former contents are forgotten; returns where
    /// they begin. They may wait as long as they like.
    #[inline]
    pub(super) fn encode(&self, args: &A, job: &mut Job) -> Result<usize, TaskError> {
        self.encode_in(args, job, Room::Heap)
    }

    /// The same for what is submitted at once: long ones are written into the pool.
    #[inline]
    pub(super) fn encode_to_go(&self, args: &A, job: &mut Job) -> Result<usize, TaskError> {
        // Who waits for a share of a limit holds no memory of the pool meanwhile.
        if self.has_limits() {
            return self.encode(args, job);
        }
        let pool = || Some(self.core.present().pool().clone());
        self.encode_in(args, job, Room::Pool(&pool))
    }

    #[inline]
    fn encode_in(&self, args: &A, job: &mut Job, room: Room<'_>) -> Result<usize, TaskError> {
        if self.function.is_none() {
            return Err(foreign());
        }
        encode(args, job, room)
    }
}

/// Submits a task without settings, if that takes little; else gives back what is encoded.
#[inline(always)]
pub(super) fn spawn_quickly<A: Serialize + DeserializeOwned, R: DeserializeOwned>(
    core: &Core,
    function: Option<FunctionId>,
    name: fn() -> &'static str,
    args: &A,
) -> Result<Handle<R>, Option<Encoded>> {
    spawn_encoded(core, function, args, |scheduler, function, payload| {
        scheduler.submit_plain(function, payload, name)
    })
}

/// Encodes `args`; if that is short and without buffers, has it submitted, which may be
/// refused. Else gives back what is encoded.
#[inline(always)]
pub(super) fn spawn_encoded<A: Serialize + DeserializeOwned, R: DeserializeOwned>(
    core: &Core,
    function: Option<FunctionId>,
    args: &A,
    submit: impl FnOnce(&Arc<Scheduler>, FunctionId, &mut Payload) -> Option<Ticket>,
) -> Result<Handle<R>, Option<Encoded>> {
    let function = function.ok_or(None)?;
    let mut payload = Payload::new();
    let (encoded, buffers) = encoding(|| encode_value(args, &mut payload, Room::None));
    if encoded.is_err() {
        drop(buffers);
        return Err(None); // the long way tells why
    }
    let len = payload.len();
    if buffers.is_empty() && payload.is_plain() {
        let submitted = core.with_present(|scheduler| {
            let ticket = submit(scheduler, function, &mut payload)?;
            Some(Handle::new(Arc::clone(scheduler), ticket))
        });
        if let Some(handle) = submitted {
            return Ok(handle);
        }
        payload.truncate(len);
    }
    Err(Some((payload, buffers)))
}

/// Drops arguments that were refused.
#[cold]
pub(super) fn drop_with<A>(args: A, error: &TaskError) {
    if let TaskError::Arguments { message, .. } = error {
        drop_refused(args, message);
    }
}

#[cold]
pub(super) fn foreign() -> TaskError {
    TaskError::arguments("the function is not part of the main program (a shared library's?)")
}

/// Encodes `args` into `job`, whose former contents are forgotten; returns where they
/// begin, behind the label.
#[inline]
pub(super) fn encode<A: Serialize + DeserializeOwned>(
    args: &A,
    job: &mut Job,
    room: Room<'_>,
) -> Result<usize, TaskError> {
    job.payload.clear();
    if let Some(label) = job.settings.as_ref().and_then(|s| s.label.as_ref()) {
        // Strings alone: nothing in it can refuse to be encoded.
        let _ = job.payload.encode(&**label);
    }
    let args_at = job.payload.len();
    let (encoded, buffers) = encoding(|| encode_value(args, &mut job.payload, room));
    job.buffers = buffers;
    match encoded {
        Ok(()) => Ok(args_at),
        Err(fault) => Err(TaskError::arguments(untold::<A>(&fault))),
    }
}
