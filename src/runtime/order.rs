//! A task without its types. What is done with a task is mostly the same whatever it is given and
//! returns: that is here, where it is compiled once, and not again for each task of a program.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, TaskError};
use crate::pool::{Transfer, encoding};
use crate::scheduler::{Job, NotAccepted, Scheduler, Seat, Settings, Ticket};
use crate::task::{
    Erased, FunctionId, Label, Payload, Room, encode_erased, encode_with_buffers, let_go_of_refused,
};

use super::Memo;
use super::core::Core;
use super::held::Held;
use super::memo::{Call, Known};
use super::submitted::{Encoded, Spawned, Submitted};

/// What is to be run, and how.
#[derive(Clone)]
pub(super) struct Order<'rt> {
    pub core: &'rt Arc<Core>,
    pub function: Option<FunctionId>,
    /// What it is called in errors.
    pub name: fn() -> &'static str,
    pub settings: Option<Arc<Settings>>,
    pub memo: Option<Memo>,
    pub in_flight: Option<usize>,
}

/// The arguments of a task, whatever they are, until they are let go of.
pub(super) trait Arguments {
    /// They, if they are still there.
    fn get(&self) -> Option<Erased<'_>>;

    /// Drops them.
    fn let_go(&mut self);
}

impl<A: Serialize + DeserializeOwned> Arguments for Option<A> {
    fn get(&self) -> Option<Erased<'_>> {
        self.as_ref().map(Erased::of)
    }

    fn let_go(&mut self) {
        drop(self.take());
    }
}

/// Drops arguments that were refused.
#[cold]
pub(super) fn drop_with(args: &mut dyn Arguments, error: &TaskError) {
    match error {
        TaskError::Arguments { message, .. } => {
            let_go_of_refused(message, &mut || args.let_go());
        }
        _ => args.let_go(),
    }
}

#[cold]
pub(super) fn foreign() -> TaskError {
    TaskError::arguments("the function is not part of the main program (a shared library's?)")
}

/// Forgets what is in a job, and writes the label; returns where the arguments begin.
#[inline]
pub(super) fn begin(job: &mut Job) -> usize {
    job.payload.clear();
    if let Some(label) = job.settings.as_ref().and_then(|s| s.label.as_ref()) {
        // Strings alone: nothing in it can refuse to be encoded.
        let _ = job.payload.encode(&**label);
    }
    job.payload.len()
}

/// Encodes `args` into `job`, whose former contents are forgotten; returns where they
/// begin, behind the label.
pub(super) fn encode(args: Erased<'_>, job: &mut Job, room: Room<'_>) -> Result<usize, TaskError> {
    let args_at = begin(job);
    let (encoded, buffers) = encoding(|| encode_erased(args, &mut job.payload, room));
    job.buffers = buffers;
    match encoded {
        Ok(()) => Ok(args_at),
        Err(fault) => Err(TaskError::arguments(args.untold(&fault))),
    }
}

/// The same where the type of the arguments is known: quicker, and compiled for each.
#[inline]
pub(super) fn encode_known<A>(args: &A, job: &mut Job, room: Room<'_>) -> Result<(), TaskError>
where
    A: Serialize + DeserializeOwned,
{
    begin(job);
    let (encoded, buffers) = encode_with_buffers(args, &mut job.payload, room);
    job.buffers = buffers;
    encoded.map_err(|fault| TaskError::arguments(Erased::of(args).untold(&fault)))
}

impl Order<'_> {
    /// An empty job of this task.
    #[inline]
    pub fn job(&self) -> Job {
        Job {
            function: self.function.unwrap_or(FunctionId(0)),
            payload: Payload::new(),
            buffers: Vec::new(),
            name: self.name,
            permits: Vec::new(),
            settings: self.settings.clone(),
        }
    }

    /// Its settings, which are this task's alone from here on.
    pub fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(self.settings.get_or_insert_default())
    }

    /// What it is given to know it by.
    pub fn label_mut(&mut self) -> &mut Label {
        Arc::make_mut(self.settings_mut().label.get_or_insert_default())
    }

    /// How many to keep in flight, if it was not said: so many for each executor.
    pub fn in_flight_of(&self, each: usize) -> usize {
        let shape = self.core.present().fold().plan.shape;
        let most = (shape.slots as usize / 2).max(1);
        let default = (each * shape.executors()).min(most);
        self.in_flight.unwrap_or(default)
    }

    /// Whether it is tried again when it fails by itself: then it is not put together with
    /// others.
    pub fn is_tried_again(&self) -> bool {
        self.settings.as_ref().is_some_and(|s| s.retry.is_some())
    }

    /// The settings that hold for another function, too: not those that speak of this one's
    /// values.
    pub fn settings_of_another(&self) -> Option<Arc<Settings>> {
        self.settings.clone().map(|mut settings| {
            let own = Arc::make_mut(&mut settings);
            (own.retry, own.judge) = (None, None);
            settings
        })
    }

    /// Submits it; says what came of it. The arguments may be encoded already, without a label.
    pub fn submit(&self, args: &mut dyn Arguments, mut encoded: Option<Encoded>) -> Submitted {
        let mut job = self.job();
        loop {
            let scheduler = self.core.sound();
            let is_home = |buffers: &[Transfer]| {
                let mut all = buffers.iter();
                all.all(|buffer| buffer.is_of_pool(scheduler.pool()))
            };
            // Constants are encoded for the fold that there was just before.
            let before = encoded.take().filter(|(_, buffers)| is_home(buffers));
            let encoded = match (before, args.get()) {
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
            if !is_home(&job.buffers) && !Held::is_same(&scheduler, &self.core.present()) {
                continue;
            }
            let has_buffers = !job.buffers.is_empty();
            if has_buffers && job.buffers.iter().any(Transfer::is_loan) {
                // Then it shows whether others have them.
                args.let_go();
            }
            let submitted = match encoded {
                Ok(_) => self.submit_job(&scheduler, &mut job, None),
                Err(error) => Err(NotAccepted::Failed(error)),
            };
            if !matches!(submitted, Err(NotAccepted::Refused(Refusal::Rebuilding))) {
                match &submitted {
                    Err(NotAccepted::Failed(error)) => drop_with(args, error),
                    _ => args.let_go(),
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

    /// Submits it, if it is accepted by `deadline`: to a place that was reserved, or to any. If
    /// it is refused while the arguments are still there, they are the caller's.
    pub fn submit_or_return(
        &self,
        scheduler: &Held,
        seat: Option<Seat>,
        args: &mut dyn Arguments,
        deadline: Instant,
    ) -> Result<Ticket, Refusal> {
        let mut job = self.job();
        let encoded = match args.get() {
            Some(args) => self.encode_to_go(args, &mut job).map(drop),
            None => Ok(()),
        };
        if let Err(error) = encoded {
            drop_with(args, &error);
            return Ok(self.ended(scheduler, NotAccepted::Failed(error)));
        }
        let admitted = match &self.settings {
            Some(_) => self.admit(scheduler, &mut job, Some(deadline)),
            None => Ok(()),
        };
        let submitted = admitted.and_then(|()| {
            let let_go = &mut || args.let_go();
            match seat {
                Some(seat) => scheduler.submit_seated(seat, &mut job, let_go),
                None => scheduler.submit_keeping(&mut job, Some(deadline), let_go),
            }
        });
        // What is not on its way is the arguments' again.
        drop(job);
        if submitted.is_err() && self.has_limits() {
            scheduler.note_given_back();
        }
        match submitted {
            Ok(ticket) => Ok(ticket),
            Err(NotAccepted::Refused(refusal)) if args.get().is_some() => {
                scheduler.count_refusal();
                Err(refusal)
            }
            Err(refused) => Ok(self.ended(scheduler, refused)),
        }
    }

    /// The ticket of a task that was not accepted.
    #[cold]
    fn ended(&self, scheduler: &Scheduler, refused: NotAccepted) -> Ticket {
        let error = self.refuse(scheduler, refused);
        scheduler.ended(self.name, Arc::new(Err(error)))
    }

    /// Takes what the task needs of its limits, and submits it.
    pub fn submit_job(
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
            scheduler.note_given_back();
        }
        submitted
    }

    /// Whether it needs shares of limits.
    #[inline]
    pub fn has_limits(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.limits.any())
    }

    /// What it ends with if its time has passed before it is submitted.
    pub fn lateness(&self) -> Option<TaskError> {
        let (which, limit) = self.settings.as_ref()?.passed_limit()?;
        Some(TaskError::late(which, limit, false))
    }

    /// What a task with settings must pass; waits for its shares of limits.
    #[cold]
    pub fn admit(
        &self,
        scheduler: &Scheduler,
        job: &mut Job,
        deadline: Option<Instant>,
    ) -> Result<(), NotAccepted> {
        job.permits.clear();
        if let Some(late) = self.lateness() {
            return Err(NotAccepted::Failed(late));
        }
        if let Some(settings) = self.settings.as_ref().filter(|s| s.limits.any()) {
            job.permits = scheduler.take(&settings.limits, deadline)?;
        }
        Ok(())
    }

    /// Encodes `args` into `job`, whose former contents are forgotten; returns where
    /// they begin. They may wait as long as they like.
    pub fn encode(&self, args: Erased<'_>, job: &mut Job) -> Result<usize, TaskError> {
        self.encode_in(args, job, Room::Heap)
    }

    /// The same for what is submitted at once: long ones are written into the pool.
    pub fn encode_to_go(&self, args: Erased<'_>, job: &mut Job) -> Result<usize, TaskError> {
        // Who waits for a share of a limit holds no memory of the pool meanwhile.
        if self.has_limits() {
            return self.encode(args, job);
        }
        let pool = || Some(self.core.present().pool().clone());
        self.encode_in(args, job, Room::Pool(&pool))
    }

    /// The same where the type of the arguments is known.
    #[inline]
    pub fn encode_next<A>(&self, args: &A, job: &mut Job) -> Result<(), TaskError>
    where
        A: Serialize + DeserializeOwned,
    {
        if self.function.is_none() {
            return Err(foreign());
        }
        let pool = || Some(self.core.present().pool().clone());
        let room = match self.has_limits() {
            true => Room::Heap,
            false => Room::Pool(&pool),
        };
        encode_known(args, job, room)
    }

    fn encode_in(
        &self,
        args: Erased<'_>,
        job: &mut Job,
        room: Room<'_>,
    ) -> Result<usize, TaskError> {
        if self.function.is_none() {
            return Err(foreign());
        }
        encode(args, job, room)
    }

    /// A job with these arguments, which may be encoded already, and where they begin; it has its
    /// shares of limits.
    pub fn job_with(
        &self,
        scheduler: &Scheduler,
        args: Erased<'_>,
        encoded: Option<Encoded>,
    ) -> Result<(Job, usize), NotAccepted> {
        let mut job = self.job();
        let args_at = match encoded {
            Some((payload, buffers)) if self.function.is_some() => {
                (job.payload, job.buffers) = (payload, buffers);
                0
            }
            _ => self.encode(args, &mut job).map_err(NotAccepted::Failed)?,
        };
        if self.settings.is_some() {
            self.admit(scheduler, &mut job, None)?;
        }
        Ok((job, args_at))
    }

    /// Submits what is in `job`, which is of this task, as one of many.
    pub fn submit_next(&self, scheduler: &Scheduler, job: &mut Job) -> Result<Ticket, NotAccepted> {
        if self.settings.is_some() {
            self.admit(scheduler, job, None)?;
        }
        scheduler.submit_next(job)
    }

    /// What is remembered of such a call. If nothing is: what must be told of its outcome; or
    /// nothing, if it is not to be remembered.
    #[cold]
    pub fn recall(
        &self,
        scheduler: Held,
        memo: &Memo,
        args: Erased<'_>,
    ) -> Result<Spawned, Option<Call>> {
        let mut job = self.job();
        if self.encode(args, &mut job).is_err() || !job.buffers.is_empty() {
            return Err(None);
        }
        match memo.look_up(&scheduler, job.function, job.payload.bytes(), self.name) {
            Known::Value(outcome) => {
                let ticket = scheduler.ended(self.name, outcome);
                Ok((scheduler, ticket))
            }
            Known::Joined(ticket) => Ok((scheduler, ticket)),
            Known::Nothing(call) => Err(Some(call)),
        }
    }
}
