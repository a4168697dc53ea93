//! The worker's part in waits for shared objects: a waiting task is told that it is to end.

use crate::notify::Gate;
use crate::object::{Around, Wait};
use crate::prim::TaskId;

use super::nest::Nest;
use super::{context, current_task};

/// The waits of a worker's threads.
#[derive(Debug)]
pub struct Waits;

impl Around for Waits {
    fn told(&self) -> Option<&'static Gate> {
        let nest = Nest::here()?;
        let doing = nest.doing;
        nest.runner.current().map(|_| &doing.told)
    }

    fn show(&self, wait: Option<Wait>) {
        let Some(nest) = Nest::here() else {
            return;
        };
        let note = &nest.doing.waits;
        match wait {
            Some(wait) => note.set(wait.what as u64, u64::from(wait.block), wait.since),
            None => note.clear(),
        }
    }

    fn is_told(&self) -> bool {
        context().is_cancelled()
    }

    fn task(&self) -> Option<TaskId> {
        current_task()
    }
}
