//! For the C face alone: tasks whose handles count nothing. A handle has a reference to its
//! scheduler, as any other, but it is one that another handle has left, and is left to the next.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lock::Section;
use crate::scheduler::Claim;
use crate::task::{Payload, Room, encode_with_buffers};

use super::held::Held;
use super::{Handle, StoredTask};

impl<A, R> StoredTask<A, R>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// As [`StoredTask::spawn`], if the task is plain, there is room, and this thread mostly submits. `None`
    /// else, and nothing has happened.
    #[doc(hidden)]
    #[inline(never)] // the arguments are encoded in a few instructions where nothing is around it
    pub fn spawn_at_once(&self, args: A) -> Option<Handle<R>>
    where
        A: Copy,
    {
        if self.settings.is_some() || self.memo.is_some() {
            return None;
        }
        let function = self.function?;
        let mut payload = Payload::new();
        let (encoded, buffers) = encode_with_buffers(&args, &mut payload, Room::None);
        if encoded.is_err() || !buffers.is_empty() || !payload.is_plain() {
            return None;
        }
        self.core.with_present_as_favourite(|scheduler| {
            let submitted = scheduler.submit_plain_with(function, &payload, self.name);
            submitted.map(|(own, ticket)| Handle::new(own, ticket))
        })
    }
}

/// What could not be left to others; mostly nothing. To be dropped where no section is open.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "drop it when the section has ended"]
pub struct Left(#[allow(dead_code, reason = "dropped")] Option<Held>);

impl<R> Handle<R> {
    /// Takes the value, if it is there, of a few bytes and no `Err`, and `accepts` these, as they are
    /// encoded; nothing is left in the handle then, not even to be dropped. `None`: nothing has happened.
    ///
    /// `accepts` is called where a lock is held: it calls nothing of the library.
    #[doc(hidden)]
    #[inline(always)]
    pub fn take_small_if(
        &mut self,
        section: Option<&Section>,
        accepts: impl Fn(&[u8]) -> bool,
    ) -> Option<Left> {
        let ticket = self.ticket.get()?;
        // Lent: what was just written in pieces is not moved.
        let accepts = &accepts;
        let is_taken = Held::leave_in(&mut self.scheduler, section, |scheduler, leaving| {
            scheduler.take_small_if(ticket, leaving, accepts)
        });
        if is_taken != Some(true) {
            return None;
        }
        self.ticket = Claim::none();
        Some(Left(self.scheduler.take()))
    }
}
