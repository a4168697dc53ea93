//! pinfold runs a program's tasks in worker processes on one Linux server. It aims at the speed of an
//! in-process thread pool with the safety of processes: a task that crashes, or exceeds its time limit,
//! costs one attempt at that task, and the program goes on.
//!
//! ```
//! # pinfold::test_setup!();
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     pinfold::init(); // first thing in main
//!     let rt = pinfold::Runtime::builder().workers(2).start()?;
//!     let handle = rt.spawn(square, 7);
//!     assert_eq!(handle.join()?, 49);
//!     let squares: Result<Vec<u64>, _> = rt.map(square, 0..1000).collect();
//!     assert_eq!(squares?[999], 998_001);
//!     Ok(())
//! }
//! ```
//!
//! A task is a function, or a closure that captures nothing, with one argument (several as a tuple).
//! Argument and result are owned (a `String`, not a `&str`) and implement serde's `Serialize` and
//! `Deserialize`, for they go to another process.
//! A [`Handle`] always ends: in the value, or in a [`TaskError`] that says what happened. An `Err` that
//! the function returns is a value.
//!
//! | to | see |
//! | --- | --- |
//! | start and end a program | [`init`], [`test_setup!`](test_setup), [`Runtime::builder`], [`Runtime::shutdown`], [`Termination`] |
//! | run one task, or one for each item | [`Runtime::spawn`], [`Runtime::map`], [`Task::map_unordered`], [`Task::chunked`] |
//! | limit, retry, prioritize, name a task | [`Runtime::task`] and the settings of [`Task`], [`Limit`], [`Retry`] |
//! | wait for several tasks | [`JoinSet`], [`Runtime::scope`], [`as_completed`], [`wait()`], [`join_all`], [`join_any`], [`gather()`] |
//! | run a task when others have ended | [`Runtime::spawn_after`] |
//! | submit without blocking | [`Runtime::try_spawn`], [`Runtime::spawn_async`], [`Runtime::reserve`] |
//! | send messages between tasks and the host | [`channel`](mod@channel), [`Runtime::channel`] |
//! | have every subscriber hear every message | [`broadcast`], [`Runtime::broadcast_channel`] |
//! | have tasks do something together | [`collective`](mod@collective), [`Runtime::spawn_group`], [`Runtime::collective`] |
//! | lock what several processes change; wait for several | [`sync`] |
//! | share large data | [`Runtime::alloc`], [`Loan`], [`Shared`], [`Constant`] |
//! | look around in a task | [`context`], [`worker_state`]; spawn further tasks: [`spawn()`], [`join()`], [`scope()`] |
//! | observe it | [`Runtime::stats`], [`Runtime::profile`], [`Runtime::audit`]; logs of tasks reach the host's `tracing` subscriber, or its logger |
//!
//! The README says what happens when a task, a worker or the host dies, and `docs/AROUND.md` how the
//! library treats the program around it (forks, signals, descriptors, limits).
//
// The modules lie on floors, and import downwards only: `docs/ARCHITECTURE.md` has the table, and a
// test reads it. With `--cfg loom` only what the models need is compiled (`scripts/models`).
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod background;
#[cfg(all(feature = "bench-internals", not(loom)))]
#[doc(hidden)]
pub mod bench_internals;
#[cfg(not(loom))]
pub mod broadcast;
#[cfg(not(loom))]
pub mod channel;
pub mod collective;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
pub mod doctor;
mod error;
mod feed;
#[cfg(not(loom))]
mod hook;
#[cfg(not(loom))]
mod init;
#[cfg(not(loom))]
mod kinds;
mod lane;
#[cfg(not(loom))]
mod layout;
mod lock;
mod notify;
mod object;
mod pool;
mod prim;
#[cfg(not(loom))]
mod process;
mod ring;
#[cfg(not(loom))]
mod runtime;
#[cfg(not(loom))]
mod scheduler;
mod shm;
#[cfg(not(loom))]
mod supervise;
pub mod sync;
mod sys;
mod task;
#[cfg(not(loom))]
pub mod topology;
#[cfg(not(loom))]
mod worker;

/// What elements of arrays are ([`Runtime::alloc_array`]): the crate, in the version used here.
pub use bytemuck;
#[cfg(not(loom))]
pub use config::Shutdown;
#[cfg(not(loom))]
pub use error::{
    Attempt, Death, EarlierAttempt, FailedTask, Refusal, ShutdownError, StartError, TaskBacktrace,
    TaskError, TimeLimit, TraceparentError, TrySpawnError,
};
#[cfg(not(loom))]
pub use init::{init, init_with};
#[cfg(not(loom))]
#[doc(hidden)]
pub use lock::{OWNERS, Section, is_owned, is_owner, own_number, owner, share, wait_for_sections};
pub use pool::{AllocError, CastError, Loan, RangeError, Shared};
#[cfg(not(loom))]
pub use prim::{Priority, PriorityError, TaskId};
#[cfg(not(loom))]
pub use runtime::{
    Activity, AsCompleted, Builder, CallbackError, Canceller, Chunked, ChunkedMap, ClassStats,
    Dependencies, Handle, JoinNext, JoinSet, LogStats, Map, MapStream, MapUnordered,
    MapUnorderedStream, Memo, PerItem, Permit, Progress, QueueStats, Reserve, Runtime, Scope,
    ShuttingDown, SpawnAsync, Stats, StoredTask, Task, Termination, TimedOut, Timeout, Totals,
    WaitFor, WaitStats, Waited, WorkerStats, as_completed, gather, gather_timeout, join_all,
    join_all_timeout, join_any, join_any_within, on_error, wait, wait_for_termination,
};
#[cfg(not(loom))]
pub use scheduler::{
    Audit, Counters, FunctionProfile, Limit, Owned, Profile, ProfileSummary, Retry, Times,
};
#[cfg(not(loom))]
pub use task::{Constant, ConstantError, NoCapture, Orphans};
#[cfg(not(loom))]
pub use worker::{
    Cancelled, Child, Context, ContextHandle, ProgressError, StateError, TaskInfo, TaskScope,
    acked_channel, alloc, alloc_array, broadcast_channel, broadcast_channel_with, channel,
    channel_with, collective, context, current_task, join, router, scope, scope_collect, spawn,
    task_info, task_name, traceparent, worker_state,
};
