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
//! A thread gets a *seat* when it has met others at the scheduler's lock often enough; the program
//! with one submitter has none. Through it go plain tasks that are joined and nothing else: what is
//! submitted lies in the client's slots, and whoever joins looks at the slot. The rest of the
//! scheduler knows nothing of such a task, until somebody wants something of it that the books
//! cannot do. Then it is *registered*: from that moment all rooms of the scheduler see to it, and
//! its executor tells of its end as of any other.
//!
//! | a task is | the books say | the slot's word | who sees to its end |
//! | --- | --- | --- | --- |
//! | at the client | `Here` | any | whoever joins |
//! | registered | `Registered`, which ticket | any | the scheduler; then the slot is given back |
//! | joined with the handle still there | `Handed` | of another generation | the handle, when it goes |
//! | gone | `Free` | free | – |
//!
//! What holds:
//!
//! - The scheduler's lock is taken before that of books, never after.
//! - A slot of a client's has a task that is `Here`, or one that is registered, or none.
//! - Between registering and looking at the word lies the heavy barrier, between ending and looking
//!   whether any is registered a fence: no end is missed ([`crate::worker`], `clients`).
//! - After a death, before the scheduler ends everything, and when it counts what runs, all tasks
//!   of all clients are registered first.
//! - If the queue's capacity was said, what clients may have in flight is taken from it.

mod books;
pub(in crate::scheduler) mod join;
mod register;
mod seats;
mod submit;

pub use seats::Clients;
