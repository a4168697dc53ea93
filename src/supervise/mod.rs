//! The supervisor: one host thread that starts workers, is told of their deaths, has everything repaired, and
//! restarts them.
//!
//! ```text
//!   Starting ──Spawned──▶ Alive ──pidfd readable──▶ rescued ──┐   Reap ──Exited──▶ told
//!      ▲                                                      │
//!      └──── Waiting (back-off, none after a life that had begun)
//! ```
//!
//! The work after a death is ordered by who may wait for it: first the repair, which wakes the executors that
//! take the tasks over; then the successor; then the question how the dead worker has ended.
//!
//! The zygote has its own states, and so has the outage, when no worker can be started:
//!
//! ```text
//!   Down ──due──▶ Hatching ──Ready──▶ Up            working ──all starts in vain──▶ outage
//!    ▲               │ refused, late   │                ▲                            │ one worker
//!    └───────────────┴──── it ended ───┘                └─────── one has begun ──────┘ at a time
//! ```
//!
//! The supervisor never blocks on any of this: it keeps serving timers, deadlines and a stop. When the zygote
//! dies, its workers die with it (parent death signal); then each is rescued and a new zygote started. If
//! there is no room for a worker's pidfd, only that worker's deadlines suffer: the zygote watches the worker
//! meanwhile.
//!
//! The supervisor knows nothing of repair but the order; each structure knows its own `recover`.

mod backoff;
mod commands;
mod counts;
mod heart;
mod logs;
mod outage;
mod reserve;
mod statuses;
mod supervisor;

pub use backoff::Retries;
pub use commands::{Commands, WorkerInfo};
pub use counts::LogCounts;
pub use heart::BEATS;
pub use logs::LogThread;
pub use supervisor::{Ended, Events, Settings, Supervisor};
