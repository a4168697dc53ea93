//! What comes of submitting a task.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::pool::Transfer;
use crate::scheduler::Ticket;
use crate::task::Payload;

use super::Handle;
use super::held::Held;

/// A task that was submitted, or not.
pub(super) struct Submitted {
    /// To which fold.
    pub scheduler: Held,
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
        let (scheduler, ticket) = self.parts();
        Handle::new(scheduler, ticket)
    }

    fn parts(self) -> Spawned {
        let Submitted {
            scheduler,
            ticket,
            name,
            ..
        } = self;
        let ticket = ticket.unwrap_or_else(|error| scheduler.ended(name, Arc::new(Err(error))));
        (scheduler, ticket)
    }
}

/// What the handle of a task is made of.
pub(super) type Spawned = (Held, Ticket);

/// Arguments, and the buffers among them.
pub(super) type Encoded = (Payload, Vec<Transfer>);
