//! The map of a fold's segment: from a few numbers to all offsets (a pure plan),
//! and typed views of an attached segment.
//!
//! ```text
//!  +--------+------+-----------+---------+-------------+-------+-------+----------+--------+
//!  | header | bells| executors | inboxes | completions | nests | slots | measures | pool … |
//!  +--------+------+-----------+---------+-------------+-------+-------+----------+--------+
//!   4 KiB    host's  1 KiB each  a steal   an SPSC ring  a steal 64 B    64 B for   tables,
//!            bell,               ring per  per executor  ring    each:   each slot  arena
//!            two bit             executor                per     host's, of the
//!            sets                                        executor then 256 host's
//!                                                                per executor
//! ```
//!
//! | zone | written by | read by |
//! | --- | --- | --- |
//! | header | host | all |
//! | searching, sleeping | each executor its own bit; a waker moves it | submitters |
//! | executor record | its executor (bell: whoever rings) | host, thieves |
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
pub use plan::{EXECUTORS_MAX, NEST_RING, NEST_SLOTS, Plan, SLOTS_MAX, Shape};
pub use record::{BATCH_MAX, ExecutorRecord};
