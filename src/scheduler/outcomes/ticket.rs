//! What a handle has of its task. What becomes of it: `super::tickets`; where the task is:
//! `super::locations`.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::scheduler::terms::reach::Reach;

/// A handle's claim to an outcome, and whether dropping the handle cancels the task. There is one for each
/// number in use, so that is given back once. One word: handles are moved about.
///
/// ```text
///   63      32 31     2   1    0
///   [ number  | grace | drop | 1 ]      grace in ms and one more; 0 is none
/// ```
#[derive(Debug)]
pub struct Ticket(NonZeroU64);

/// A number's bit: it is not a ticket's, but says where among the clients' slots the task is.
const OF_CLIENT: u32 = 1 << 31;
const ABORTS: u64 = 1 << 1;
const GRACE_AT: u32 = 2;
/// Twelve days.
const GRACE_MAX: u64 = (1 << 30) - 2;

impl Ticket {
    #[inline]
    pub(in crate::scheduler) fn new(id: u32) -> Self {
        Ticket(NonZeroU64::MIN | u64::from(id) << 32)
    }

    /// Of a client's task, which is at `at` among the clients' slots.
    #[inline]
    pub(in crate::scheduler) fn of_client(at: u32) -> Self {
        Self::new(OF_CLIENT | at)
    }

    /// Where among the clients' slots the task is, if it was submitted through a client.
    #[inline]
    pub(in crate::scheduler) fn at_client(&self) -> Option<u32> {
        let id = self.id();
        (id & OF_CLIENT != 0).then_some(id & !OF_CLIENT)
    }

    /// Its number. Of a client's task: see `Scheduler::number`.
    #[inline]
    pub(in crate::scheduler) fn id(&self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// From here on dropping its handle cancels the task, as far as `reach` goes.
    pub fn abort_on_drop(&mut self, reach: Reach) {
        let grace = match reach {
            Reach::Within(grace) => (grace.as_millis().min(u128::from(GRACE_MAX)) as u64) + 1,
            Reach::Waiting | Reach::Running => 0,
        };
        let number = u64::from(self.id()) << 32;
        self.0 = NonZeroU64::MIN | number | ABORTS | grace << GRACE_AT;
    }

    /// Whether dropping its handle cancels the task, and how far that goes.
    #[inline]
    pub fn aborts(&self) -> Option<Reach> {
        let marks = self.0.get() & u64::from(u32::MAX);
        (marks & ABORTS != 0).then(|| match marks >> GRACE_AT {
            0 => Reach::Running,
            grace => Reach::Within(Duration::from_millis(grace - 1)),
        })
    }
}

const _: () = assert!(size_of::<Option<Ticket>>() == 8);

/// What a handle has: a ticket, or none any more. Never zero, so that a handle that may be there or not
/// has no more words than one.
#[derive(Debug)]
pub struct Claim(Ticket);

/// In the place of a ticket, whose lowest bit is set.
const NONE: NonZeroU64 = NonZeroU64::MIN.saturating_add(1);

impl Claim {
    /// There is none any more.
    #[inline(always)]
    pub fn none() -> Self {
        Claim(Ticket(NONE))
    }

    /// The ticket, if there is one.
    #[inline(always)]
    pub fn get(&self) -> Option<&Ticket> {
        (self.0.0.get() & 1 != 0).then_some(&self.0)
    }

    /// The same.
    pub fn get_mut(&mut self) -> Option<&mut Ticket> {
        (self.0.0.get() & 1 != 0).then_some(&mut self.0)
    }
}

impl From<Ticket> for Claim {
    #[inline(always)]
    fn from(ticket: Ticket) -> Self {
        Claim(ticket)
    }
}

const _: () = assert!(size_of::<Option<Claim>>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_a_ticket_or_none() {
        for id in [0, 1, u32::MAX] {
            let mut claim = Claim::from(Ticket::new(id));
            assert_eq!(claim.get().map(Ticket::id), Some(id));
            claim
                .get_mut()
                .expect("there")
                .abort_on_drop(Reach::Running);
            assert_eq!(claim.get().map(Ticket::id), Some(id));
        }
        assert!(Claim::none().get().is_none() && Claim::none().get_mut().is_none());
    }

    #[test]
    fn what_is_asked_at_last_holds_and_the_number_stays() {
        let mut ticket = Ticket::new(u32::MAX);
        assert_eq!(ticket.aborts(), None);
        let within = |ms| Reach::Within(Duration::from_millis(ms));
        let longest = Reach::Within(Duration::MAX);
        for (asked, kept) in [
            (within(0), within(0)),
            (within(1500), within(1500)),
            (longest, within(GRACE_MAX)),
            (Reach::Running, Reach::Running),
        ] {
            ticket.abort_on_drop(asked);
            assert_eq!((ticket.aborts(), ticket.id()), (Some(kept), u32::MAX));
        }
    }
}
