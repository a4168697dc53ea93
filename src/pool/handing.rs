//! Ends of shared objects among the arguments of a task: they pass over to it when it begins.
//!
//! Other buffers among its arguments are held by whoever has submitted the task until it has
//! ended. With ends that would be seen: a task that drops its last sender, and receives until there
//! is none, would wait for its own arguments. So in the arguments, as in a message, an end is kept by
//! a passage (`super::passage`), and by nothing else:
//!
//! ```text
//!             hand over           queue                  begin               end
//!   q holds it ──────▶ passage, ───────▶ passage alone ───────▶ p holds it ───────▶ nobody
//!                      q holds it
//! ```
//!
//! | | who | a death after it |
//! | --- | --- | --- |
//! | passage made, by the name of q | q, who submits | q's is a worker: its recovery ends what it has made, unless an orphan is to be finished: then the passage is the host's |
//! | q's hold given back | q, when the task is queued | the same |
//! | p's hold, then the passage ended | p, which runs the task | p's hold goes with p; the passage is ended by q, when it hears of the death |
//! | task ended, cancelled or refused before it began | q | |
//!
//! q ends what is left of the passages when the task has ended otherwise than by p's word: to end
//! one twice does nothing. (It would if there were a multiple of 2^20 passages of the very same end in the
//! very same entry between p's beginning and its death, to the one.)
//!
//! A task that may be run again has the same ends each time. So its passages last until it has ended, and each attempt
//! is one more holder: what it drops is gone but for them. Who waits for that in the task itself is told (`super::repeated`).
//!
//! If the table of passages has no room, q holds the ends until the task has ended, as it does all else.

use super::parcel::{Parcel, ParcelKind};
use super::transfer::Transfer;
use super::{Passage, Pool};

/// The passages of a task's arguments. What was not taken of them ends with this.
#[derive(Debug)]
pub struct Handing {
    parcels: Vec<Parcel>,
    /// Whether they last until the task has ended, not only until it begins.
    is_repeated: bool,
    pool: Pool,
}

impl Handing {
    /// Of the ends among these buffers; `None` if there are none, or no room.
    pub fn of(buffers: &[Transfer], pool: &Pool, is_repeated: bool) -> Option<Self> {
        if !buffers.iter().any(Transfer::is_token) {
            return None;
        }
        Self::of_some(buffers, pool, is_repeated)
    }

    #[cold]
    fn of_some(buffers: &[Transfer], pool: &Pool, is_repeated: bool) -> Option<Self> {
        let mut handing = Handing {
            parcels: Vec::new(),
            is_repeated,
            pool: pool.clone(),
        };
        for token in buffers.iter().filter(|buffer| buffer.is_token()) {
            let mut parcel = token.pass_held(pool)?;
            if is_repeated {
                parcel.kind = ParcelKind::Repeated;
                pool.0.set_repeated(parcel.index);
            }
            handing.parcels.push(parcel);
        }
        Some(handing)
    }

    /// Of passages that a dead process has made, for a task that is to be finished all the same.
    pub fn inherited(parcels: Vec<Parcel>, pool: &Pool) -> Option<Self> {
        let pool = pool.clone();
        (!parcels.is_empty()).then_some(Handing {
            parcels,
            is_repeated: false,
            pool,
        })
    }

    /// What keeps the ends.
    pub fn passages(&self) -> impl Iterator<Item = Passage> {
        self.parcels.iter().filter_map(Parcel::passage)
    }

    /// The task is queued: from now on it is the passages that keep the ends.
    pub fn let_go(&self, holds: &mut Vec<Transfer>) {
        holds.retain(|hold| !hold.is_token());
    }

    /// Whether the next attempt is to have them, too.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// The task has begun, and has ended by its own word.
    pub fn were_taken(mut self) {
        self.parcels.clear();
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        for parcel in &self.parcels {
            self.pool.end_passing(parcel);
        }
    }
}

impl Pool {
    /// The parcels of a task's arguments, in order; an item is `None` if the buffer is of another
    /// pool.
    pub fn arguments(
        &self,
        buffers: &[Transfer],
        handing: Option<&Handing>,
    ) -> impl Iterator<Item = Option<Parcel>> {
        let mut ends = handing.map(|handing| handing.parcels.iter());
        buffers.iter().map(move |buffer| match &mut ends {
            Some(ends) if buffer.is_token() => ends.next().copied(),
            _ => buffer.argument(self),
        })
    }
}
