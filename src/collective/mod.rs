//! Collective operations: calls that the members of a group make together. Each [`Member`] calls the same
//! operation, and all of them get its result, or an error; none waits for a dead member.
//!
//! ```
//! # pinfold::test_setup!();
//! use pinfold::Shared;
//! use pinfold::collective::{CollectiveError, Member};
//!
//! /// Each member has its part of the array: how far are its elements from their mean?
//! fn variance((mut member, part): (Member, Option<Shared<f64>>)) -> Result<f64, CollectiveError> {
//!     let part = member.scatter(0, part)?; // a range of the array: nothing is copied
//!     let [sum, count] = member.all_reduce([part.iter().sum(), part.len() as f64], add)?;
//!     let mean = sum / count;
//!     let squares = part.iter().map(|x| (x - mean) * (x - mean)).sum();
//!     Ok(member.all_reduce(squares, |a: f64, b| a + b)? / count)
//! }
//!
//! fn add(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
//!     [a[0] + b[0], a[1] + b[1]]
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rt = pinfold::Runtime::builder().workers(2).start()?;
//! let mut array = rt.alloc_array::<f64>(10_000)?;
//! array.iter_mut().enumerate().for_each(|(n, x)| *x = (n % 5) as f64);
//! // Two tasks at once, each with a member of one group. The first has the array.
//! for handle in rt.spawn_group(variance, [Some(array.publish()), None])? {
//!     assert_eq!(handle.join()??, 2.0);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A group is what MPI calls a communicator and torch a process group; its members, with the ranks 0 to n - 1,
//! are values. [`Runtime::spawn_group`](crate::Runtime::spawn_group) starts a task for each.
//! [`Runtime::collective`](crate::Runtime::collective), and in a task [`collective`](fn@crate::collective),
//! only makes the members: to be passed to tasks, sent in messages, or used in place.
//!
//! *Rounds.* Every operation is a round: it returns when all members have called it. So all must call the same
//! operations in the same order; if one does not, all are told ([`CollectiveError::Mismatch`]). Results are
//! the same for all, bit by bit, and from one run to the next: values are combined in the order of ranks.
//!
//! *Values* are encoded as those of channels are. Buffers in them ([`Shared`](crate::Shared), ends of channels) are
//! not copied, however many members get them. A [`Loan`](crate::Loan) has one owner, so it is refused: publish it.
//!
//! *Deaths.* When a member's worker dies, every call that needs the member ends at once with
//! [`CollectiveError::MemberDied`], and so do later ones, as with MPI's ULFM; values that it had contributed
//! before are still used. A member that was dropped has left ([`CollectiveError::MemberLeft`]). The others may
//! go on as a smaller group: [`Member::shrink`]. A task that is tried again before it has called anything has
//! its member as before.
//!
//! *Tasks.* Members wait for each other, so all their tasks must run at once, each on its own executor.
//! `spawn_group` ensures it. If you pass members of `collective` to tasks, ensure it yourself: in a group that
//! is larger than the number of executors, members would wait for tasks that cannot begin, until their
//! [timeout](Member::set_timeout). The same holds for two members that one thread has.

#[cfg(not(loom))]
mod call;
mod circle;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod member;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
mod operations;
#[cfg(not(loom))]
mod recover;
#[cfg(not(loom))]
mod reduce;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(not(loom))]
mod value;

#[cfg(not(loom))]
pub use call::{Call, Operation};
#[cfg(not(loom))]
pub use error::{CollectiveError, GroupError};
#[cfg(not(loom))]
pub use member::Member;
#[cfg(not(loom))]
pub(crate) use member::{cpus, make};
#[cfg(not(loom))]
pub(crate) use recover::{Groups, Seats};
