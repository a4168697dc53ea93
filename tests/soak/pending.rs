//! Tasks that were submitted and have not ended, and what each of them may end with.

use std::time::Duration;

use pinfold::{Handle, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::Record;

/// How a task may have ended, and so how often it may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not accepted: it never runs.
    Refused,
    /// In flight.
    Open,
    /// At most once, and its handle gave what it ended with: it ran exactly once.
    OnceEnded,
    /// At most once, and its handle says that its worker died.
    OnceDied,
    /// At most once, and nobody asks.
    OnceDetached,
    /// At least once.
    Repeated,
    /// At least once, and nobody asks.
    RepeatedDetached,
    /// At most once, and cancelled: or what it depends on was lost.
    OnceCancelled,
    /// At least once, but cancelled.
    RepeatedCancelled,
}

impl Fate {
    /// Whether it may have run so often, now that all has ended.
    pub fn allows(self, runs: u16) -> bool {
        match self {
            Fate::Refused => runs == 0,
            Fate::Open => false,
            Fate::OnceEnded => runs == 1,
            Fate::OnceDied | Fate::OnceDetached => runs <= 1,
            Fate::Repeated | Fate::RepeatedDetached => runs >= 1,
            Fate::OnceCancelled => runs <= 1,
            Fate::RepeatedCancelled => true,
        }
    }
}

/// How long a joiner waits at a time.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    None,
    Some(Duration),
    Endless,
}

/// What a handle that has ended tells.
pub type Told = Result<Fate, String>;

/// A task whose handle is kept.
pub trait Pending {
    /// `None`: it has not ended.
    fn end(&mut self, patience: Patience, record: &Record) -> Option<Told>;
    /// Which task it is.
    fn id(&self) -> u64;
}

/// What is expected of a task besides the death of its worker.
pub enum Expected<R> {
    Value(fn(u64, &R) -> bool),
    Panic,
}

/// What else a task may end with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Also {
    /// It was cancelled.
    pub cancelled: bool,
    /// It depends on one that may be lost.
    pub unmet: bool,
}

pub struct Waiting<R> {
    pub handle: Option<Handle<R>>,
    pub id: u64,
    /// What is run.
    pub name: &'static str,
    pub is_repeated: bool,
    pub expected: Expected<R>,
    pub also: Also,
}

impl<R: Serialize + DeserializeOwned> Pending for Waiting<R> {
    fn end(&mut self, patience: Patience, record: &Record) -> Option<Told> {
        let handle = self.handle.as_mut()?;
        let outcome = match patience {
            Patience::None => handle.try_join()?,
            Patience::Some(timeout) => handle.join_timeout(timeout)?,
            Patience::Endless => self.handle.take()?.join(),
        };
        let also = self.also;
        let told = judge(
            self.id,
            self.is_repeated,
            &self.expected,
            also,
            outcome,
            record,
        );
        Some(told.map_err(|fault| format!("{}: {fault}", self.name)))
    }

    fn id(&self) -> u64 {
        self.id
    }
}

/// Whether a task may end so.
pub fn judge<R>(
    id: u64,
    is_repeated: bool,
    expected: &Expected<R>,
    also: Also,
    outcome: Result<R, TaskError>,
    record: &Record,
) -> Told {
    let is_cancelled = matches!(&outcome, Err(TaskError::Cancelled { .. })) && also.cancelled;
    let is_unmet = matches!(&outcome, Err(TaskError::DependencyFailed { .. })) && also.unmet;
    if is_cancelled || is_unmet {
        return Ok(if is_repeated {
            Fate::RepeatedCancelled
        } else {
            Fate::OnceCancelled
        });
    }
    let ended = match (expected, outcome) {
        (Expected::Value(is_right), Ok(value)) if is_right(id, &value) => true,
        (Expected::Value(_), Ok(_)) => return Err(format!("task {id}: a wrong value")),
        (Expected::Panic, Err(TaskError::Panicked { message, .. }))
            if message == format!("task {id}") =>
        {
            true
        }
        (_, Err(TaskError::WorkerDied { .. })) if !is_repeated => false,
        (_, Err(error)) => return Err(format!("task {id} (repeated: {is_repeated}): {error}")),
        (Expected::Panic, Ok(_)) => return Err(format!("task {id} did not panic")),
    };
    let fate = match (is_repeated, ended) {
        (true, _) => Fate::Repeated,
        (false, true) => Fate::OnceEnded,
        (false, false) => Fate::OnceDied,
    };
    // Now already, and once more when all has ended.
    let runs = record.runs(id);
    if !fate.allows(runs) {
        return Err(format!("task {id} ended as {fate:?}, but ran {runs} times"));
    }
    Ok(fate)
}
