//! Objects that processes share, besides channels: locks, broadcast channels, members of groups,
//! routers; and how they get to tasks.
//!
//! All are made in a place (a runtime, or a task's worker), and are named when a task is submitted, or a
//! message is sent (`pinfold_submit_settings.objects`). What is everybody's is there and here then; what has one owner
//! is moved.

pub(crate) mod barrier;
pub(crate) mod broadcast;
pub(crate) mod faults;
pub(crate) mod handed;
pub(crate) mod latch;
pub(crate) mod member;
pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod oncelock;
pub(crate) mod place;
pub(crate) mod reduce;
pub(crate) mod router;
pub(crate) mod rwlock;
pub(crate) mod select;
pub(crate) mod semaphore;
pub(crate) mod thing;
pub(crate) mod ticker;
pub(crate) mod waitgroup;
