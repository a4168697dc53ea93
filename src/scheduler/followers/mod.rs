//! Followers: who wants to know of a task's end without waiting for it, and the attendant, who
//! tells them.
//!
//! ```text
//!   collected, under the lock ──▶ news ──▶ the attendant, without the lock ──▶ wakers, callbacks
//! ```
//!
//! What holds:
//!
//! - No code of the user's is called under the lock, and none but wakers by the attendant.
//! - The attendant waits for nothing but news; while a waker that it calls waits, another thread
//!   takes its place.
//! - [`Followers`](followed::Followers) owns who follows and listens; the list of news is with the
//!   tickets, which know who is to be told.

pub(super) mod attend;
pub(super) mod follow;
pub(super) mod followed;
pub(super) mod news;
pub(super) mod presence;
