//! Outcomes: what handles wait on, and what has become of each task.
//!
//! ```text
//!   handle ──▶ ticket ──▶ entry: not ended │ who wants to know │ the outcome │ taken
//!                └──▶ location: a slot │ a node │ nowhere       (read without the lock)
//! ```

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
