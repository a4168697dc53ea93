//! The map of a fold's segment: from a few numbers to all offsets (a pure plan),
//! and typed views of an attached segment.
//!
//! ```text
//!  +--------+-------+-----------+-------+---------+-------------+-------+-------+-------+--------+
//!  | header | bells | executors | lanes | inboxes | completions | nests | lanes'| slots | pool … |
//!  |        |       |           |       |         |             |       | words |       |        |
//!  +--------+-------+-----------+-------+---------+-------------+-------+-------+-------+--------+
//!   4 KiB    host's  1 KiB each  3 heads a steal   an SPSC ring  a steal a ring  64 B    tables,
//!            bell,               and     ring per  per executor  ring    each    each:   arena
//!            two bit             tails   executor                per             host's,
//!            sets                                                executor        then 256
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
#![allow(unsafe_code)]

mod fold;
mod plan;
mod record;

pub use fold::Fold;
pub use plan::{EXECUTORS_MAX, LANES, NEST_RING, NEST_SLOTS, Plan, SLOTS_MAX, Shape};
pub use record::{BATCH_MAX, ExecutorRecord};
