//! Locks between processes: mutex, read-write lock, semaphore and their like, for all threads of the host and
//! of its workers; and none hangs when its holder dies.
//!
//! | | for | when a process dies that has it |
//! | --- | --- | --- |
//! | [`Mutex`] | data that one changes at a time | the next one gets the lock, and is told that the data may be half changed |
//! | [`RwLock`] | data that many read, and one changes at a time | a reader: it is just gone; a writer: the next ones are told |
//! | [`Semaphore`] | what so many do at once, at most | its permits are free |
//! | [`Once`], [`OnceLock`] | what is done, or made, once | the next one does it, and is told that it was begun |
//! | [`Latch`] | waiting until so much was counted | what it had counted stays; when nobody is left who could count, the wait ends by an error |
//! | [`WaitGroup`] | waiting until all members are done | it is done; the wait ends when all are, by an error that names it |
//! | [`Barrier`] | nobody goes on before all are there | each wait ends by an error that names it |
//! | [`Ticker`] | the same moments for all | nothing |
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
//! Each is made in one place ([`Place`]), and its handle travels: in arguments and results of tasks, and
//! in messages. It is freed with the last handle, in whatever process.
//!
//! *Waiting.* There is no thread and no polling behind it: who waits sleeps on a futex, after a few looks.
//! Each wait ends by what is waited for, by an error that says what has become of it, by its time-out,
//! or by the end of the runtime. Who waits in a task keeps its executor.
//!
//! *Holders.* A guard stays with its thread; a task that runs on top of another, which waits for it, is
//! on the same thread. A forked child's copy of a guard gives nothing back. A guard that was leaked
//! ([`std::mem::forget`]) is held until its process ends: others end by their time-out.
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
