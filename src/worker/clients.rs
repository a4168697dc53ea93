//! What an executor knows of the host's clients: threads that submit at the same time, each of which
//! offers its tasks in a ring of its own. What it does with them is in `super::offers`.

use crate::layout::{BATCH_MAX, CLIENTS, Fold};
use crate::prim::Hint;
use crate::prim::atomic::Ordering;
use crate::ring::steal::Taker;

/// What an executor has of them.
#[derive(Debug)]
pub struct Clients {
    pub(super) rings: Vec<Taker>,
    /// Whose turn is next.
    pub(super) next: u32,
    /// What was taken last came from one of them: then it is the inbox's turn.
    pub(super) was_last: bool,
    /// Where it came from.
    last: Source,
    /// How often in a row it may come from there again until there is but one submitter.
    patience: u32,
    /// Tasks of theirs that were run in this batch.
    pub(super) ended: [u64; BATCH_MAX],
    pub(super) count: usize,
    /// One of them has no value, or somebody in the host sleeps until it ends.
    pub(super) is_urgent: bool,
}

/// Where what an executor takes was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Through the scheduler.
    Inbox,
    Client(u32),
}

/// Who takes from one source so often in a row has one submitter.
const IN_A_ROW: u32 = 16;

impl Clients {
    /// Takes note of where something was taken.
    #[inline]
    pub(super) fn note_source(&mut self, source: Source) {
        self.patience = if source == self.last {
            self.patience.saturating_sub(1)
        } else {
            IN_A_ROW
        };
        self.last = source;
    }

    /// Whether several threads of the host submit at the same time.
    #[inline]
    pub(super) fn are_many(&self) -> bool {
        self.patience > 0
    }

    pub(super) fn new(fold: &Fold) -> Self {
        Clients {
            rings: (0..fold.plan.shape.clients as usize)
                .map(|client| Taker::attach(fold.client_ring(client)))
                .collect(),
            next: 0,
            was_last: false,
            last: Source::Inbox,
            patience: 0,
            ended: [0; BATCH_MAX],
            count: 0,
            is_urgent: false,
        }
    }

    /// Whether it is their turn.
    #[inline]
    pub(super) fn take_turn(&mut self) -> bool {
        !std::mem::take(&mut self.was_last)
    }

    /// Takes note of a task of theirs that was run; false if there is no room for that.
    #[inline]
    pub(super) fn note(&mut self, hint: Hint, is_urgent: bool) -> bool {
        self.is_urgent |= is_urgent;
        let place = self.ended.get_mut(self.count);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = hint.pack();
            self.count += 1;
        }
        has_room
    }
}

/// The clients that are open, beginning with `next`.
#[inline]
pub(super) fn open(fold: &Fold, next: u32) -> impl Iterator<Item = usize> + use<> {
    // ordering: Acquire pairs with the Release of whoever opened one.
    let offering = fold.offering.load(Ordering::Acquire);
    let clients = fold.plan.shape.clients;
    // Nobody else sets a bit, but a wild worker may.
    let there = 1u64.checked_shl(clients).map_or(u64::MAX, |bit| bit - 1);
    let mut left = (offering & there).rotate_right(next);
    std::iter::from_fn(move || {
        let first = left.trailing_zeros();
        let is_there = left != 0;
        left &= left.wrapping_sub(1);
        is_there.then_some((first.wrapping_add(next) % CLIENTS as u32) as usize)
    })
}
