//! What a worker has to do with the waits of its threads for shared objects: a task that waits
//! hears that it is to end.

use crate::notify::Gate;
use crate::object::Around;
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

    fn is_told(&self) -> bool {
        context().is_cancelled()
    }

    fn task(&self) -> Option<TaskId> {
        current_task()
    }
}
