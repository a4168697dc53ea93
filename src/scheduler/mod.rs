//! The host's side of scheduling: accept tasks, place them, collect what is done.
//!
//! ```text
//!   submit ──▶ dispatch ──rings──▶ executors ──rings──▶ collect ──▶ outcomes ◀── waiting, followers
//!      ▲                              │ a death            │
//!      └── depend ◀───────────────────┼────────────────────┘
//!                                  recover
//! ```
//!
//! | room | what it sees to | owns |
//! | --- | --- | --- |
//! | [`submit`] | accepts tasks, or says why not | `Door`, `Guests` |
//! | [`clients`] | threads that submit at the same time, without waiting for each other | `Clients`, `Books` |
//! | [`slots`] | which slots are free, and which task is in each of the others | `Slots` |
//! | [`dispatch`] | which executor gets a task, and which one is woken | `Queues`, `Choice`, `Stall` |
//! | [`collect`] | from slot to ticket; another attempt | `Completions` |
//! | [`outcomes`] | tickets, values, groups; where each task is | `Tickets`, `Locations` |
//! | [`waiting`] | threads that sleep until something has ended | `Waiting` |
//! | [`depend`] | tasks that begin when others have ended | `Graph`, `Nodes`, `Arrivals` |
//! | [`followers`] | futures, callbacks, and the thread that calls them | `Followers` |
//! | [`recover`] | deaths, outages, damage | `Losses` |
//! | [`time`] | timers, deadlines, cancellation | `Timers`, `RunLimits` |
//! | [`report`] | counters, audit, profile | `Tally`, `Profiling` |
//! | [`terms`] | a task's settings: values only | – |
//!
//! There are three kinds of files, and each kind imports from those before it: *values* (of one task),
//! *owners* (a struct with private fields and the methods that change them), and *flows* (the functions of
//! [`Scheduler`], which call these methods in order). Between owners and flows lie `state.rs`, which puts all
//! owners together, `locked.rs`, the one lock around it, and `shared.rs`, the scheduler itself. There are no
//! cycles of imports (`tests/tidy/circles.rs`).
//!
//! A *slot* is a task in flight: shared, 64 bytes, bounded in number. A *ticket*
//! is what a handle waits on: private, as many as there are handles. Collecting
//! moves the outcome from slot to ticket, so unjoined handles never block the
//! queue.
//!
//! Any thread of the host may submit or wait. One lock guards the host's private state; no worker ever sees
//! it, so no death can leave it held. In a forked child of the host it guards an empty state
//! (`State::nowhere`), from which calls that ask for room, count or submit are answered; calls with a ticket
//! first check whether they are in the host. Of the threads that wait, one (the *leader*) sleeps on the shared
//! doorbell and collects for all; the others are parked and woken one by one.

mod clients;
mod collect;
mod depend;
mod dispatch;
mod followers;
mod locked;
mod open;
mod outcomes;
mod recover;
mod report;
mod shared;
mod slots;
mod state;
mod submit;
mod terms;
#[cfg(test)]
mod tests;
mod time;
mod waiting;

pub use depend::after::{Dependencies, Dependency, Few};
pub use depend::inputs::{Build, List, Unfinished};
pub use followers::attend::about_to_wait;
pub use followers::news::{Follower, Listener};
pub use outcomes::groups::{Ended, Group};
pub use outcomes::link::Link;
pub use outcomes::ticket::{Claim, Ticket};
pub use outcomes::value::{Outcome, SMALL, Value, decode_again, look_at, small};
pub use recover::kin::STRAY_GRACE;
pub use report::audit::{Audit, Owned};
pub use report::counters::Counters;
pub use report::profile::{Book, FunctionProfile, Profile, ProfileSummary, Times};
pub use report::snapshot::Snapshot;
pub use shared::Scheduler;
pub use submit::arguments::Seat;
pub use submit::guests::InLine;
pub use submit::job::{Job, NotAccepted, Prepared};
pub use terms::backoff::Backoff;
pub use terms::limit::Limit;
pub use terms::reach::Reach;
pub use terms::retry::Retry;
pub use terms::settings::Settings;
