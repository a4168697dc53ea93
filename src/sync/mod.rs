//! Locks between processes: mutex, read-write lock, semaphore and the like, for all threads of the host and of
//! its workers. None hangs when its holder dies.
//!
//! | | for | when its holder's process dies |
//! | --- | --- | --- |
//! | [`Mutex`] | data that one thread changes at a time | the next one gets the lock, and is told that the data may be half changed |
//! | [`RwLock`] | data that many read, and one changes at a time | a reader: its lock is released; a writer: the next ones are told |
//! | [`Semaphore`] | an activity with a maximum number of threads at once | its permits are free |
//! | [`Once`], [`OnceLock`] | a call, or a value, that is made once | the next one does it, and is told that it was begun |
//! | [`Latch`] | waiting until a count is reached | its counts stay; when nobody is left who could count, the wait ends with an error |
//! | [`WaitGroup`] | waiting until all members are done | the member counts as done; the wait ends when all are, with an error that names it |
//! | [`Barrier`] | waiting until all members have arrived | each wait ends with an error that names the dead member |
//! | [`Ticker`] | ticks at the same moments in all processes | nothing |
//!
//! ```
//! # pinfold::test_setup!();
//! use pinfold::sync::{LockFault, Mutex};
//!
//! /// Moves money from one account to the other.
//! fn transfer((accounts, amount): (Mutex<[i64; 2]>, i64)) -> Result<(), LockFault> {
//!     // What whoever died in between has left: the first account is right.
//!     let whole = |accounts: &mut [i64; 2]| accounts[1] = 100 - accounts[0];
//!     let mut accounts = accounts.lock().or_else(|error| error.mend(whole))?;
//!     accounts[0] -= amount;
//!     accounts[1] += amount;
//!     Ok(())
//! }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rt = pinfold::Runtime::builder().workers(2).start()?;
//! let accounts = Mutex::new(&rt, [100, 0])?;
//! let tasks = [1, 2, 3].map(|amount| rt.spawn(transfer, (accounts.clone(), amount)));
//! for task in tasks {
//!     task.join_flat()?;
//! }
//! assert_eq!(*accounts.lock().map_err(|error| error.to_string())?, [94, 6]);
//! # Ok(())
//! # }
//! ```
//!
//! Each is made in one place ([`Place`]), and its handle travels: in arguments and results of tasks, and in
//! messages. It is freed with the last handle, in whatever process.
//!
//! *Waiting* needs no helper thread and no polling: a waiting thread sleeps on a futex, after a few looks.
//! Each wait ends with success, with an error that says why it cannot succeed, by its time-out, or with the
//! runtime. A task that waits keeps its executor.
//!
//! *Holders.* A guard stays with its thread; a task that runs on top of another, which waits for it, is on the
//! same thread. A forked child's copy of a guard releases nothing. A leaked guard ([`std::mem::forget`]) holds
//! its lock until its process ends: waiters end by their time-out.
#![allow(unsafe_code)]

#[cfg(not(loom))]
mod barrier;
#[cfg(not(loom))]
mod base;
#[cfg(not(loom))]
mod data;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod latch;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod once;
mod permits;
#[cfg(not(loom))]
mod place;
mod rounds;
mod rw;
#[cfg(not(loom))]
mod rwlock;
#[cfg(not(loom))]
mod semaphore;
mod tally;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(not(loom))]
mod ticker;
mod who;
mod word;

pub use who::Holder;
#[cfg(not(loom))]
pub use {
    barrier::Barrier,
    data::Data,
    error::{CountError, LockError, LockFault, Mend, WaitFault},
    latch::{CountDown, Latch, Member, WaitGroup},
    mutex::{Mutex, MutexGuard},
    once::{Once, OnceLock, OnceState},
    place::Place,
    rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    semaphore::{Semaphore, SemaphorePermit},
    ticker::Ticker,
};

#[cfg(not(loom))]
pub(crate) use {
    barrier::{BARRIERS, MEMBERS},
    latch::TALLIES,
    mutex::MUTEXES,
    once::ONCES,
    place::InPool,
    rwlock::RW_LOCKS,
    semaphore::SEMAPHORES,
    ticker::TICKERS,
};
