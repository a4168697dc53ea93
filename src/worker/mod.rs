//! Inside a worker process: executors (worker threads) that take hints, claim tasks, run them, announce their
//! completion, and sleep when there is nothing to do.
//!
//! ```text
//!         ┌──────────── searching ◀───────────────────────┐
//!         │  (lanes, own inbox, others' inboxes, batches)  │ woken
//!   found │                │ nothing for a while           │
//!         ▼                ▼                               │
//!      running          sleeping: bell prepared, one last look, futex wait
//!         │  batch done
//!         └──────────▶ searching
//! ```
//!
//! An executor meets the host in shared memory only; this module and
//! [`crate::scheduler`] never import each other.

mod begin;
mod child;
mod clients;
mod context;
mod errand;
mod executor;
mod family;
mod find;
mod handed;
mod handle;
mod heard;
mod here;
mod idle;
mod info;
mod join;
mod labels;
mod life;
mod linger;
mod logs;
mod make;
mod nest;
mod offers;
mod own;
mod panics;
mod patience;
mod place;
mod run;
mod runner;
mod scope;
mod select;
mod spawn;
mod stack;
mod tell;
#[cfg(all(test, not(loom)))]
mod tests;
mod timed;
mod turns;
mod waits;
mod watch;
mod words;
mod worth;

pub use begin::StateError;
pub use child::{Child, spawn};
pub use context::{Cancelled, Context, ProgressError, context, current_task};
pub use handle::ContextHandle;
pub use here::worker_state;
pub use info::{TaskInfo, task_info, task_name, traceparent};
pub use join::join;
pub use life::{prepare, run};
pub use make::{
    acked_channel, alloc, alloc_array, broadcast_channel, broadcast_channel_with, channel,
    channel_with, collective, router,
};
pub use scope::{TaskScope, scope, scope_collect};
