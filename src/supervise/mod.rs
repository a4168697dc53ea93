//! The supervisor: one host thread that starts workers, hears of their deaths,
//! has everything repaired, and starts them again.
//!
//! ```text
//!   Starting ──Spawned──▶ Alive ──pidfd readable──▶ rescued ──┐   Reap ──Exited──▶ told
//!      ▲                                                      │
//!      └──── Waiting (back-off, none after a life that had begun)
//! ```
//!
//! What a death sets going is ordered by what may be waited for: first the repair,
//! which wakes whoever takes the tasks over; then the successor; then the question how
//! the dead has ended.
//!
//! The zygote is a state of its own, and so is that no worker can be started:
//!
//! ```text
//!   Down ──due──▶ Hatching ──Ready──▶ Up            working ──all starts in vain──▶ outage
//!    ▲               │ refused, late   │                ▲                            │ one worker
//!    └───────────────┴──── it ended ───┘                └─────── one has begun ──────┘ at a time
//! ```
//!
//! Nothing of this is waited for in place: timers, deadlines and a stop go on being seen. When
//! the zygote dies, its workers die with it (parent death signal); then each is rescued and a
//! new zygote started. A descriptor for which there is no room costs nobody but its worker's
//! deadlines: the zygote watches that one meanwhile.
//!
//! It owns no knowledge of repair: it knows the order, and each structure knows
//! its own `recover`.

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
