//! Followers: who wants to know of a task's end without waiting for it, and the attendant who
//! tells them.
//!
//! ```text
//!   collected, under the lock ──▶ news ──▶ the attendant, without the lock ──▶ wakers, callbacks
//! ```

pub(super) mod attend;
pub(super) mod follow;
pub(super) mod followed;
pub(super) mod news;
pub(super) mod presence;
