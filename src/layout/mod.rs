//! The map of a fold's segment: from a few numbers to all offsets (a pure plan),
//! and typed views of an attached segment.
//!
//! ```text
//!  +--------+-------+-----------+-------+---------+-------------+-------+-------+-------+-------+----------+--------+
//!  | header | bells | executors | lanes | inboxes | completions | nests | lanes'| slots | notes | measures | pool … |
//!  |        |       |           |       |         |             |       | words |       |       |          |        |
//!  +--------+-------+-----------+-------+---------+-------------+-------+-------+-------+-------+----------+--------+
//!   4 KiB    host's  1 KiB each  3 heads a steal   an SPSC ring  a steal a ring  64 B    128 B   64 B for   tables,
//!            bell,               and     ring per  per executor  ring    each    each:   beside  each slot  arena
//!            two bit             tails   executor                per             host's, each    of the
//!            sets                                                executor        then 256        host's
//!                                                                                per executor
//! ```
//!
//! | zone | written by | read by |
//! | --- | --- | --- |
//! | header | host | all |
//! | searching, sleeping | each executor its own bit; a waker moves it | submitters |
//! | executor record | its executor (bell: whoever rings) | host, thieves |
//! | lane, one per priority but the normal one | tail: host; head: any executor | |
//! | inbox | tail: host; head: any executor | |
//! | completions | tail: its executor; head: host | |
//! | nest | tail: its executor; head: any executor | |
//! | slots | by state, see [`crate::task`] | |
//! | measures | who runs the slot's task, if a profile is wanted | host |
#![allow(unsafe_code)]

mod fold;
mod measure;
mod plan;
mod record;

pub use fold::Fold;
pub use measure::Measured;
pub use plan::{EXECUTORS_MAX, LANES, NEST_RING, NEST_SLOTS, Plan, SLOTS_MAX, Shape};
pub use record::{BATCH_MAX, ExecutorRecord};
