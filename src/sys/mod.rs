//! Floor 1, the machine: the only system calls, wrapped so that the floors
//! above need no `unsafe`. No policy: what is asked for is done or refused.
#![allow(unsafe_code)]

pub mod affinity;
#[cfg(not(loom))]
pub mod barrier;
pub mod calls;
pub mod clock;
pub mod env;
mod executable;
pub mod fds;
mod fork;
pub mod frames;
#[cfg(not(loom))]
pub mod futex;
mod handed;
mod held;
#[cfg(not(loom))]
mod home;
#[cfg(not(loom))]
pub mod keeper;
mod lifeline;
pub mod limits;
mod map;
mod memfd;
pub mod objects;
pub mod overflow;
pub mod pidfd;
mod prefetch;
pub mod privileges;
pub mod reap;
pub mod signals;
pub mod socket;
#[cfg(loom)]
mod stand_in;
pub mod stdio;
mod surroundings;
mod text;
pub mod title;
#[cfg(not(loom))]
pub mod trial;
#[cfg(not(loom))]
pub mod usage;
mod words;

pub use executable::{Executable, loader};
#[cfg(feature = "crash-points")]
pub use fork::kill_self;
pub use fork::{Forked, OnlyThese, SingleThreaded, exit_now, other_threads, started_as};
pub use handed::{hand_over, take_over};
pub use held::{Bell, Held, wait_any_of_ours};
#[cfg(not(loom))]
pub use home::Home;
pub use lifeline::Lifeline;
pub use map::{Mapping, advise_huge, leave_out_of_dumps};
pub use memfd::MemFile;
pub use objects::BuildId;
pub use prefetch::{prefetch, prefetch_for_write};
#[cfg(not(loom))]
pub use signals::start_thread;
#[cfg(loom)]
pub use stand_in::{Home, barrier, futex, start_thread};
pub use surroundings::{Program, Surroundings, Told, stack_limit};
pub use text::read_text;
pub use words::{TextFile, restore_stderr, stderr};
