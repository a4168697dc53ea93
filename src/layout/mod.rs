//! The map of a fold's segment: from a few numbers to all offsets (a pure plan),
//! and typed views of an attached segment.
//!
//! ```text
//!  +--------+-------+-----------+-------+---------+-------------+--------+-------+-------+-------+----------+-------+------+
//!  | header | bells | executors | lanes | inboxes | completions | nests, | lanes'| slots | notes | measures | edges | pool |
//!  |        |       |           |       |         |             | ready  | words |       |       |          |       |  …   |
//!  +--------+-------+-----------+-------+---------+-------------+--------+-------+-------+-------+----------+-------+------+
//!   4 KiB    host's  1 KiB each  3 heads a steal   an SPSC ring  two      a ring  64 B    128 B   64 B for   192 B   tables,
//!            bell,               and     ring per  per executor  steal    each    each:   beside  each slot  for     arena
//!            two bit             tails   executor                rings            host's, each    of the     each of
//!            sets                                                per              then 256        host's     these
//!                                                                executor         per executor
//!
//! The host's slots are those of tasks that may begin at once, then four times as many
//! for tasks that wait for others, then 1,024 for each client. The clients' lines (128 B each)
//! lie before the executors, the clients' rings before the lanes' words.
//! ```
//!
//! | zone | written by | read by |
//! | --- | --- | --- |
//! | header | host; `cancels` also a task that cancels a child | all |
//! | searching, sleeping | each executor its own bit; a waker moves it | submitters |
//! | executor record | its executor (bell: any waker) | host, thieves |
//! | lane, one per priority but the normal one | tail: host; head: any executor | |
//! | errands, one per worker | tail: host; head: the worker's executors | |
//! | inbox | tail: host; head: any executor | |
//! | completions | tail: its executor; head: host | |
//! | client's line | host; `awaited` also a waker | executors |
//! | client's ring | tail: host; head: any executor | |
//! | nest, ready | tail: its executor; head: any executor | |
//! | slots | by state, see [`crate::task`] | |
//! | edges | host; the executor that has run a producer, see [`crate::task`] | the executor of the task |
//! | measures | the executor of the slot's task, if a profile is wanted or it is timed; its limit: host | host |
#![allow(unsafe_code)]

mod fold;
mod kin;
mod measure;
mod plan;
mod record;

pub use fold::Fold;
pub use kin::Spawned;
pub use measure::Measured;
pub use plan::{
    CLIENT_LEN, CLIENT_SLOTS, CLIENTS, EXECUTORS_MAX, LANES, NEST_RING, NEST_SLOTS,
    PENDING_SLOTS_MAX, Plan, SLOTS_MAX, Shape,
};
pub use record::{BATCH_MAX, Doing, ExecutorRecord};
