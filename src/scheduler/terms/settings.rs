//! What a task may be told that few tasks are told.

use std::sync::Arc;
use std::time::Duration;

use crate::error::TimeLimit;
use crate::prim::Priority;
use crate::task::Label;

use crate::scheduler::terms::backoff::Backoff;
use crate::scheduler::terms::limit::Needs;
use crate::scheduler::terms::retry::{Judge, Retries, Retry};

/// A plain task has none: that is what keeps it quick.
#[derive(Clone)]
pub struct Settings {
    /// How often it may be run when workers die: 1 is at most once.
    pub attempts: u32,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// How long after it is submitted (queued first) it must have ended.
    pub deadline: Option<Duration>,
    /// How long after that it must have begun.
    pub start_limit: Option<Duration>,
    /// How long after that it should have ended.
    pub soft_limit: Option<Duration>,
    /// How long each attempt may run.
    pub run_limit: Option<Duration>,
    /// When it is tried again if it fails.
    pub retry: Option<Retry>,
    /// What counts as failing.
    pub judge: Option<Judge>,
    /// What it needs of which limits.
    pub limits: Needs,
    /// Which worker alone may run it.
    pub bound: Option<u32>,
    /// Which level it waits at.
    pub priority: Priority,
    /// Whether it ends only when whatever it has spawned has ended.
    pub awaits_kin: bool,
    /// What it is called, and more to know it by; encoded before the arguments.
    pub label: Option<Arc<Label>>,
    /// What it counts as in the profile, instead of its function.
    pub profiled_as: Option<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attempts: 1,
            backoff: Backoff::default(),
            deadline: None,
            start_limit: None,
            soft_limit: None,
            run_limit: None,
            retry: None,
            judge: None,
            limits: Needs::default(),
            bound: None,
            priority: Priority::Normal,
            awaits_kin: false,
            label: None,
            profiled_as: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("attempts", &self.attempts)
            .field("deadline", &self.deadline)
            .field("start_limit", &self.start_limit)
            .field("soft_limit", &self.soft_limit)
            .field("run_limit", &self.run_limit)
            .field("retry", &self.retry)
            .field("limits", &self.limits)
            .field("priority", &self.priority)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Whether it may be run more than once.
    pub fn is_repeated(&self) -> bool {
        self.attempts > 1 || self.retry.is_some()
    }

    /// Whether it is to be known when it begins and ends.
    pub fn is_timed(&self) -> bool {
        self.run_limit.is_some() || self.deadline.is_some() || self.is_repeated()
    }

    /// A limit that has passed before the task is submitted.
    pub fn passed_limit(&self) -> Option<(TimeLimit, Duration)> {
        let limits = [
            (TimeLimit::Run, self.run_limit),
            (TimeLimit::Hard, self.deadline),
            (TimeLimit::Start, self.start_limit),
        ];
        let mut known = limits
            .iter()
            .filter_map(|(which, limit)| Some((*which, (*limit)?)));
        known.find(|(_, limit)| limit.is_zero())
    }

    /// What it needs to be tried again if it fails by itself.
    pub fn retries(&self) -> Option<Retries> {
        Some(Retries {
            retry: self.retry?,
            judge: self.judge.clone(),
            failures: 0,
        })
    }
}
