//! Making shared objects from inside a task: buffers, channels, groups. In the host a `Runtime` does it.

use crate::broadcast::{CreateError, Options, Publisher};
use crate::channel::{self, Delivery, Receiver, Router, Sender};
use crate::collective::{GroupError, Member};
use crate::pool::{AllocError, Loan, Pool, array};

use super::Context;
use super::here::pool;

/// Allocates a buffer from inside a task.
///
/// `len` is in bytes. The buffer can be returned from the task, as a
/// [`Loan`] or, after [`Loan::publish`], as a [`Shared`](crate::Shared), without a
/// copy. In the host use [`Runtime::alloc`](crate::Runtime::alloc).
///
/// # Errors
/// [`AllocError::NoPool`] outside of a worker; [`AllocError::Exhausted`] when the
/// memory cap leaves no room now, [`AllocError::TooLarge`] when it never can.
///
/// ```
/// # pinfold::test_setup!();
/// fn squares(n: u32) -> Result<pinfold::Shared, String> {
///     let mut loan = pinfold::alloc(n as usize).map_err(|e| e.to_string())?;
///     for (i, byte) in loan.iter_mut().enumerate() {
///         *byte = (i * i) as u8;
///     }
///     Ok(loan.publish())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let squares = rt.spawn(squares, 10).join()??;
/// assert_eq!(squares[9], 81);
/// # Ok(())
/// # }
/// ```
pub fn alloc(len: usize) -> Result<Loan, AllocError> {
    pool()?.alloc(len)
}

/// Makes a channel from inside a task: as [`Runtime::channel`](crate::Runtime::channel) does in the
/// host.
///
/// # Errors
/// As of [`alloc`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::AllocError;
/// use pinfold::channel::Receiver;
///
/// fn numbers(count: u32) -> Result<Receiver<u32>, AllocError> {
///     let (sender, receiver) = pinfold::channel(8)?;
///     for number in 0..count {
///         if sender.send(number).is_err() {
///             break;
///         }
///     }
///     Ok(receiver)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let numbers = rt.spawn(numbers, 3).join_flat()?;
/// assert_eq!(numbers.iter().collect::<Vec<_>>(), [0, 1, 2]);
/// # Ok(())
/// # }
/// ```
pub fn channel<T>(capacity: usize) -> Result<(Sender<T>, Receiver<T>), AllocError> {
    crate::channel::make(pool()?, capacity)
}

/// The same with [`Options`](channel::Options): as
/// [`Runtime::channel_with`](crate::Runtime::channel_with) does in the host.
///
/// # Errors
/// [`CreateError`](channel::CreateError): as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Options, Overflow};
///
/// fn last_two(count: u32) -> Result<Vec<u32>, CreateError> {
///     let options = Options::new(2).overflow(Overflow::DropOldest);
///     let (sender, receiver) = pinfold::channel_with(options)?;
///     let _ = sender.send_all(0..count);
///     Ok(receiver.try_iter().collect())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// assert_eq!(rt.spawn(last_two, 5).join_flat()?, [3, 4]);
/// # Ok(())
/// # }
/// ```
pub fn channel_with<T>(
    options: channel::Options,
) -> Result<(Sender<T>, Receiver<T>), channel::CreateError> {
    channel::make_with(pool()?, options)
}

/// Makes a channel whose messages are acknowledged from inside a task: as
/// [`Runtime::acked_channel`](crate::Runtime::acked_channel) does in the host.
///
/// # Errors
/// As of [`channel_with`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Delivery, Options, Receiver};
///
/// fn jobs(count: u32) -> Result<Receiver<Delivery<u32>>, CreateError> {
///     let (sender, receiver) = pinfold::acked_channel(Options::new(8))?;
///     let _ = sender.send_all(0..count);
///     Ok(receiver)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let jobs = rt.spawn(jobs, 3).join_flat()?;
/// drop(jobs.recv()?); // not acknowledged
/// assert_eq!(jobs.recv()?.ack(), 0);
/// # Ok(())
/// # }
/// ```
pub fn acked_channel<T>(
    options: channel::Options,
) -> Result<(Sender<T>, Receiver<Delivery<T>>), channel::CreateError> {
    channel::make_acked(pool()?, options)
}

/// Makes a router and its receivers from inside a task: as
/// [`Runtime::router`](crate::Runtime::router) does in the host.
///
/// # Errors
/// [`CreateError`](channel::CreateError): as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::channel::{CreateError, Receiver};
///
/// fn odd_and_even(count: usize) -> Result<Vec<Receiver<usize>>, CreateError> {
///     let (router, receivers) = pinfold::router(2, 8)?;
///     for number in 0..count {
///         let _ = router.route(number % 2, number);
///     }
///     Ok(receivers)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let receivers = rt.spawn(odd_and_even, 5).join_flat()?;
/// assert_eq!(receivers[1].iter().collect::<Vec<_>>(), [1, 3]);
/// # Ok(())
/// # }
/// ```
pub fn router<T>(
    receivers: usize,
    capacity: usize,
) -> Result<(Router<T>, Vec<Receiver<T>>), channel::CreateError> {
    let pool = pool()?;
    crate::channel::make_router(pool, receivers, capacity)
}

impl crate::sync::Place for Context {}

impl crate::sync::InPool for Context {
    fn pool(self) -> Result<Pool, AllocError> {
        pool().cloned()
    }
}

/// Makes a group of so many members from inside a task: as
/// [`Runtime::collective`](crate::Runtime::collective) does in the host.
///
/// # Errors
/// As there.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::collective::Member;
///
/// fn pair((): ()) -> Option<Vec<Member>> {
///     pinfold::collective(2).ok()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut members = rt.spawn(pair, ()).join()?.unwrap();
/// let mut other = members.remove(1);
/// let waits = std::thread::spawn(move || other.barrier());
/// members[0].barrier()?;
/// waits.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
pub fn collective(members: usize) -> Result<Vec<Member>, GroupError> {
    let pool = pool()?;
    crate::collective::make(pool, members)
}

/// Makes a broadcast channel from inside a task: as
/// [`Runtime::broadcast_channel`](crate::Runtime::broadcast_channel) does in the host.
///
/// # Errors
/// [`CreateError`]: as there, and outside of any task.
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::broadcast::{CreateError, Publisher};
///
/// fn make(capacity: usize) -> Result<Publisher<u32>, CreateError> {
///     pinfold::broadcast_channel(capacity)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let publisher = rt.spawn(make, 4).join()??;
/// let subscriber = publisher.subscribe()?;
/// publisher.send(1)?;
/// assert_eq!(subscriber.recv(), Ok(1));
/// # Ok(())
/// # }
/// ```
pub fn broadcast_channel<T>(capacity: usize) -> Result<Publisher<T>, CreateError> {
    let pool = pool()?;
    crate::broadcast::make(pool, Options::new(capacity))
}

/// The same with [`Options`], as
/// [`Runtime::broadcast_channel_with`](crate::Runtime::broadcast_channel_with).
///
/// # Errors
/// As of [`broadcast_channel`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::broadcast::{CreateError, Options, Publisher};
///
/// fn make(subscribers: usize) -> Result<Publisher<u32>, CreateError> {
///     pinfold::broadcast_channel_with(Options::new(4).subscribers(subscribers))
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let publisher = rt.spawn(make, 1).join()??;
/// let only = publisher.subscribe()?;
/// assert!(publisher.subscribe().is_err());
/// # drop(only);
/// # Ok(())
/// # }
/// ```
pub fn broadcast_channel_with<T>(options: Options) -> Result<Publisher<T>, CreateError> {
    let pool = pool()?;
    crate::broadcast::make(pool, options)
}

/// Allocates an array from inside a task: as
/// [`Runtime::alloc_array`](crate::Runtime::alloc_array) does in the host.
///
/// # Errors
/// As of [`alloc`].
///
/// ```
/// # pinfold::test_setup!();
/// use pinfold::{AllocError, Shared};
///
/// fn roots(numbers: Shared<f64>) -> Result<Shared<f64>, AllocError> {
///     let mut roots = pinfold::alloc_array(numbers.len())?;
///     for (root, number) in roots.iter_mut().zip(&numbers[..]) {
///         *root = number.sqrt();
///     }
///     Ok(roots.publish())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut numbers = rt.alloc_array::<f64>(3)?;
/// numbers.copy_from_slice(&[4.0, 9.0, 16.0]);
/// let roots = rt.spawn(roots, numbers.publish()).join_flat()?;
/// assert_eq!(roots[..], [2.0, 3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
pub fn alloc_array<T: bytemuck::Pod>(len: usize) -> Result<Loan<T>, AllocError> {
    array(len, alloc)
}
