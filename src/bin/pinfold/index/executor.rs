//! Who runs the tasks: the only thing in which one number of workers differs
//! from another.

use std::cell::RefCell;
use std::fs::File;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use super::group::Group;
use super::job::Job;
use super::large::{Scan, Span};
use super::outcome::Outcome;
use super::scratch::Scratch;
use super::work::index_group;

/// Runs groups somewhere.
pub trait Executor {
    /// A buffer of records as it comes back.
    type Records: Deref<Target = [u8]>;

    /// Runs all `groups`, pulled as they are needed, and hands each with its
    /// outcome to `take`, in order, until that breaks off. An error is a task
    /// that failed as a whole.
    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        take: impl FnMut(Group, Result<Outcome<Self::Records>, String>) -> ControlFlow<()>,
    );

    /// Runs one group; may be called from within `take`.
    fn one(&self, group: Group) -> Result<Outcome<Self::Records>, String>;

    /// Looks through each span. `None`: it cannot, or there would be nothing
    /// gained since it does one thing at a time.
    fn scan(&self, _spans: Vec<Span>) -> Option<Vec<Scan>> {
        None
    }
}

/// Runs groups one after the other on the calling thread: the reference.
pub struct Sequential {
    root: Arc<File>,
    scratch: RefCell<Scratch>,
}

impl Sequential {
    /// An executor for groups below the job's directory.
    pub fn new(job: &Job) -> Sequential {
        Sequential {
            root: job.root.clone(),
            scratch: RefCell::default(),
        }
    }
}

impl Executor for Sequential {
    type Records = Vec<u8>;

    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        mut take: impl FnMut(Group, Result<Outcome<Vec<u8>>, String>) -> ControlFlow<()>,
    ) {
        for group in groups {
            let outcome = self.one(group.clone());
            if take(group, outcome).is_break() {
                return;
            }
        }
    }

    fn one(&self, group: Group) -> Result<Outcome<Vec<u8>>, String> {
        let supply = |len| Ok(vec![0; len]);
        let outcome = index_group(&self.root, &group, &mut self.scratch.borrow_mut(), supply);
        Ok(outcome.map_records(|mut buffer, len| {
            buffer.truncate(len);
            buffer
        }))
    }
}
