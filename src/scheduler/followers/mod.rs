//! Followers (continuations): wakers and callbacks that are called at a task's end, and the attendant, the
//! thread that calls them.
//!
//! ```text
//!   collected, under the lock ──▶ news ──▶ the attendant, without the lock ──▶ wakers, callbacks
//! ```
//!
//! What holds:
//!
//! - No user code is called under the lock, and the attendant calls only wakers.
//! - The attendant waits only for news; while a waker that it calls waits, another thread takes its place.
//! - [`Followers`](followed::Followers) owns the followers and listeners; the list of news is with the
//!   tickets, which know who is to be told.

pub(super) mod attend;
pub(super) mod follow;
pub(super) mod followed;
pub(super) mod news;
pub(super) mod presence;
