//! What a task can know of itself.

use super::nest::Nest;

/// What the task is called that this thread runs.
pub fn name_of_running() -> Option<String> {
    let nest = Nest::here()?;
    let runner = nest.runner();
    let (_, head) = runner.running()?;
    let name = runner
        .functions
        .name(crate::task::FunctionId(head.function))?;
    Some(name.to_owned())
}
