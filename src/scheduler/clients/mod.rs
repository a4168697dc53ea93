//! Clients: threads that submit at the same time, and do not wait for each other.
//!
//! ```text
//!   thread ──its seat──▶ books (a lock that only it takes, mostly)
//!                         │ slots of its own        ┌──▶ executors
//!                         └─▶ a ring of its own ────┘      │ the slot's word
//!   join ◀── the slot itself: no ticket, no completion ◀───┘
//!
//!   anything else (follow, cancel, a group, a dependency, a death, …)
//!         ──▶ register: the task gets a ticket, and is the scheduler's like any other
//! ```
//!
//! A thread gets a *seat*, and becomes a client, when it has met others at the scheduler's lock often enough;
//! a program with one submitter has none. A client takes only plain tasks that are joined and nothing else:
//! they lie in the client's slots, and the joining thread looks at the slot. The rest of the scheduler knows
//! nothing of such a task, until a caller wants something that the books cannot do. Then the task is
//! *registered*: from that moment the scheduler handles it like any other, and its executor announces its end.
//!
//! | a task is | the books say | the slot's word | who sees to its end |
//! | --- | --- | --- | --- |
//! | at the client | `Here` | any | the joining thread |
//! | registered | `Registered`, which ticket | any | the scheduler; then the slot is given back |
//! | joined with the handle still there | `Handed` | of another generation | the handle, when it goes |
//! | gone | `Free` | free | – |
//!
//! What holds:
//!
//! - The scheduler's lock is taken before that of books, never after.
//! - A client's slot has a task that is `Here`, or one that is registered, or none.
//! - Between registering and looking at the word lies the heavy barrier, between ending and looking
//!   whether any is registered a fence: no end is missed ([`crate::worker`], `clients`).
//! - After a death, before the scheduler ends everything, and when it counts what runs, all tasks
//!   of all clients are registered first.
//! - If the program has set the queue's capacity, what clients may have in flight is taken from it.

mod books;
pub(in crate::scheduler) mod join;
mod register;
mod seats;
mod submit;

pub use seats::Clients;
