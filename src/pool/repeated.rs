//! Ends among the arguments of a task that may be run again, while it runs: who waits for itself is told.
//!
//! Each attempt is to have the same ends, so their passages last until the task has ended (`super::handing`). An
//! attempt that drops its last sender, and receives until nobody sends, would wait for its own arguments. So each
//! thread knows which ends the task that it runs has come with; and who is about to wait in it asks whether
//! anything but these arguments keeps the end that it waits for: if not, there will be none while this task runs.
//!
//! | what keeps the end | who asks in the task |
//! | --- | --- |
//! | the task's arguments alone | is told that it is gone |
//! | a process, a message, another task's arguments, too | waits; if it takes long the log says that the task's arguments keep one (`src/object/stuck.rs`) |
//!
//! Whoever lets go of such an end, or ends a passage of it, wakes all that sleep at its lane. Meanwhile it keeps the
//! end, or the lane might be gone: by an entry that *tells* (`super::entries`), which is not counted here.
//!
//! *Why the answer is right.* The words of who holds the end are read, then its passages, then these words once more,
//! and all are as they were. Whoever takes a passage is in the words, with a new version if there are several, before the
//! passage is ended; and whoever makes one is in them, and gives the last a new version. So nobody came meanwhile and
//! stayed; and nobody comes later, for these passages are taken by this task's attempts alone.

use std::cell::{Cell, RefCell};

use super::parcel::ParcelKind;
use super::{End, LaneBlock, Parcel, Pool};

/// An end that the task has come with.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// Which side of a pool; a task may have a runtime of its own.
    pool: usize,
    parcel: Parcel,
    lane: LaneBlock,
    end: End,
}

thread_local! {
    /// How many there are: none, for nearly all tasks.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Those of the task that this thread runs; of one that runs on top of another they are behind.
    static OWN: RefCell<Vec<Own>> = const { RefCell::new(Vec::new()) };
}

/// As long as this lives this thread runs a task whose arguments keep ends until it has ended.
#[derive(Debug)]
pub struct RepeatedEnds {
    before: usize,
}

impl RepeatedEnds {
    /// Those among the parcels of a task's arguments; `None` if there are none.
    pub fn of(parcels: &[Parcel], pool: &Pool) -> Option<Self> {
        let repeated = |parcel: &&Parcel| parcel.kind == ParcelKind::Repeated;
        parcels.iter().find(repeated)?;
        let own = parcels.iter().filter(repeated).filter_map(|parcel| {
            let (lane, end) = pool.end_in(parcel.index)?;
            Some(Own {
                pool: pool.identity(),
                parcel: *parcel,
                lane,
                end,
            })
        });
        let before = COUNT.get();
        OWN.with_borrow_mut(|all| {
            all.extend(own);
            COUNT.set(all.len());
        });
        Some(RepeatedEnds { before })
    }
}

impl Drop for RepeatedEnds {
    fn drop(&mut self) {
        OWN.with_borrow_mut(|all| all.truncate(self.before));
        COUNT.set(self.before);
    }
}

/// Whether the arguments of the task that this thread runs keep an end of the lane in the block with
/// this number.
pub fn has_repeated_end(number: u32) -> bool {
    OWN.with_borrow(|all| all.iter().any(|own| own.lane.number() == number))
}

impl Pool {
    /// Whether nothing keeps this end of a lane but the arguments of the task that this thread runs. What others
    /// have done before they let go of it is seen by who asks then.
    #[inline]
    pub fn is_its_own_end(&self, lane: LaneBlock, end: End) -> bool {
        COUNT.get() > 0 && self.keeps_alone(lane, end)
    }

    #[cold]
    fn keeps_alone(&self, lane: LaneBlock, end: End) -> bool {
        let me = self.identity();
        let is_it = |own: &&Own| (own.pool, own.lane, own.end) == (me, lane, end);
        OWN.with_borrow(|all| {
            let parcels = || all.iter().filter(is_it).map(|own| &own.parcel);
            let Some(first) = parcels().next() else {
                return false;
            };
            // They keep the block, so that it is the token still.
            parcels().all(|parcel| self.is_passing(parcel))
                && self.0.is_kept_by_entries(first.index, parcels().count())
        })
    }
}
