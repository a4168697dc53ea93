//! Tickets that end as a task does which somebody else has submitted, perhaps to another
//! runtime: those of memoized calls that have joined one in flight.
//!
//! A shadow is of the fold that its caller has submitted to, and ends with that at the latest:
//! who shuts down, or finds damage, ends those that are open as it does tasks; who drains
//! waits for them.

use std::sync::{Arc, Weak};

use crate::error::TaskError;

use crate::scheduler::followers::news::Follower;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::Value;
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// A ticket that ends as another does: when the follower is called. It may have ended by
    /// then.
    pub fn shadow(self: &Arc<Self>, name: fn() -> &'static str) -> (Ticket, Follower) {
        let mut state = self.lock();
        let id = self.open_nowhere(&mut state, name);
        if !state.door.is_open() {
            // Nothing is accepted any more, and nobody may be left who would end this.
            let error = state
                .door
                .failed()
                .cloned()
                .unwrap_or_else(TaskError::shutdown);
            self.end(&mut state, id, Err(Box::new(error)));
            return (Ticket::new(id), Box::new(|_| ()));
        }
        // A ticket's number is used again, this one is not.
        let number = state.followers.open_shadow(id);
        drop(state);
        let scheduler = Arc::downgrade(self);
        let follower = move |outcome: &Arc<_>| {
            let Some(scheduler) = Weak::upgrade(&scheduler) else {
                return;
            };
            let own = match &**outcome {
                Ok(_) => Ok(Value::Shared(Arc::clone(outcome))),
                Err(error) => Err(Box::clone(error)),
            };
            let mut state = scheduler.lock();
            if !state.followers.close_shadow(id, number) {
                return;
            }
            scheduler.end(&mut state, id, own);
            if state.followers.shadows() == 0 {
                // Somebody may wait until there are none.
                state.unpark_all();
            }
            drop(state);
            scheduler.fold.host_bell.force();
        };
        (Ticket::new(id), Box::new(follower))
    }

    /// Ends all that are open.
    pub(in crate::scheduler) fn fail_shadows(&self, state: &mut State, error: &TaskError) -> usize {
        let shadows = state.followers.take_shadows();
        for id in &shadows {
            self.end(state, *id, Err(Box::new(error.clone())));
        }
        shadows.len()
    }
}
