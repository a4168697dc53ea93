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
//! It owns no knowledge of repair: it knows the order, and each structure knows
//! its own `recover`. When the zygote dies, its workers die with it (parent death
//! signal); then each is rescued and a new zygote started.

mod backoff;
mod commands;
mod heart;
mod logs;
mod statuses;
mod supervisor;

pub use commands::{Commands, WorkerInfo};
pub use heart::BEATS;
pub use logs::{LogCounts, LogThread};
pub use supervisor::{Ended, Events, Settings, Supervisor};
