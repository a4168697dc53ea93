//! Processes of a fold: the zygote and its children, and how the host talks to
//! the zygote.
//!
//! ```text
//!   host ──exec──▶ zygote ──fork──▶ worker 0 ──clone──▶ its keeper
//!     ▲  socket pair  │ └───fork──▶ worker 1 …
//!     └───────────────┘
//! ```
//!
//! | from → to | message | with |
//! | --- | --- | --- |
//! | host → zygote | `Hello`: build, shape of the fold | the memory file, and where logs go |
//! | zygote → host | `Begun`, then `Ready` or `Refused` | |
//! | host → zygote | `Spawn` a worker | |
//! | zygote → host | `Spawned` | the worker's pidfd |
//! | host → zygote | `Reap` a process whose pidfd says that it has ended, and end its keeper | |
//! | zygote → host | `Exited`, with the exit status | |
//! | host → zygote | `Again`: a pidfd for which there was no room | |
//! | zygote → host | `Ended`: a worker of which the host has no pidfd | |
//! | host → zygote | `Kill` such a worker | |
//!
//! The zygote has one thread and little memory, so forking it is safe and quick;
//! the host is never forked without exec. The zygote ends when the socket closes
//! or the host's pidfd says so; a worker ends with the zygote (the kernel's parent
//! death signal, which follows the zygote's only thread). A keeper
//! ([`crate::sys::keeper`]) is a child of the zygote too, and does the same.

mod control;
mod hatching;
mod hello;
mod host;
mod keepers;
mod logs;
mod nest;
mod reaping;
mod role;
mod serving;
mod started;
mod zygote;

pub use control::VERSION;
pub use control::WorkerOrder;
pub use hatching::Hatching;
pub use hello::ZygoteError;
pub use host::{Introduction, Notice, Zygote};
pub use logs::{LogEvent, LogReader, LogWriter, Read as LogRead, level_of, log_channel, number_of};
pub use nest::WorkerStart;
pub use role::Role;
pub use zygote::{begin, refuse_to_serve, run_zygote, zygote_of};
