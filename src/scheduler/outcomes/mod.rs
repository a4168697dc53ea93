//! Outcomes: the tickets that handles wait on, and the state of each task.
//!
//! ```text
//!   handle ──▶ ticket ──▶ entry: not ended │ who wants to know │ the outcome │ taken
//!                └──▶ location: a slot │ a node │ nowhere          (read without the lock)
//! ```
//!
//! What holds:
//!
//! - A ticket's number is used again when its handle is gone **and** its task has ended.
//! - A task ends once: its entry goes from "not ended" to "ended" in one step under the lock, and
//!   groups, followers and dependents are told in the same step.
//! - [`Tickets`](tickets::Tickets) owns the entries, [`Groups`](groups::Groups) the groups that watch them,
//!   [`Locations`](locations::Locations) where the tasks are.

pub(super) mod entry;
pub(super) mod following;
pub(super) mod group;
pub(super) mod groups;
pub(super) mod labels;
pub(super) mod link;
pub(super) mod locations;
pub(super) mod look;
pub(super) mod shadow;
pub(super) mod ticket;
pub(super) mod tickets;
pub(super) mod value;
