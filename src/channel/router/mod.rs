//! Routers: one sender for several receivers, each with a queue of its own; who gets a message is
//! said by number, by key, or by whose queue is the shortest.
//!
//! Each queue is a channel, with one difference: its messages stay when its last receiver is gone.
//! Whoever sends through a router then hands them on. A message that has a key carries 15 bits of the
//! key's hash in its header, so that who hands it on finds the receiver that has the key now:
//!
//! ```text
//!   header   63 … 49 bucket of the key, or 0 | 48 … 0 as of any message
//! ```
//!
//! Which receiver a bucket belongs to is found by rendezvous hashing: each living receiver has a
//! number for each bucket, and the greatest wins. So a receiver that goes takes only its own buckets
//! along, and one that comes gets its share of each.

mod keys;
mod left;
mod room;

use std::fmt::{Debug, Formatter};
use std::hash::Hash;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::object::Patience;
use crate::pool::{AllocError, Pool};

use super::board::Board;
use super::options::{CreateError, make_kept};
use super::{Receiver, SendError, SendFault, Sender};

use keys::{bid, bucket_of};

/// Makes a router and its receivers in this pool.
pub(crate) fn make_router<T>(
    pool: &Pool,
    receivers: usize,
    capacity: usize,
) -> Result<(Router<T>, Vec<Receiver<T>>), CreateError> {
    if capacity == 0 {
        return Err(CreateError::NoQueue);
    }
    let router = Router {
        board: Board::make(pool, receivers)?,
        capacity,
        timeout: None,
    };
    let all = (0..receivers).map(|_| router.join());
    let receivers = all.collect::<Result<_, _>>()?;
    Ok((router, receivers))
}

/// Sends each message to one of several receivers; made by
/// [`Runtime::router`](crate::Runtime::router).
///
/// Each receiver is an ordinary [`Receiver`] with a queue of its own, to be passed to a task, say. The
/// router may be passed on and cloned as a [`Sender`] may. What joins or leaves by one of them is known to
/// all, in all processes.
///
/// *A receiver that is gone*, because its worker died or it was dropped, gets nothing any more. What is left in
/// its queue is handed on: what has a key to the receiver that has the key now, the rest to
/// the shortest queue. It may come after what others send meanwhile. Each call of a router sees to it, as far as there is
/// room, and [`hand_on`](Router::hand_on), which waits for that. What it had taken is gone with it; a message that it was just taking is
/// counted ([`lost`](Router::lost)).
///
/// ```
/// # pinfold::test_setup!();
/// use std::collections::HashMap;
/// use pinfold::channel::Receiver;
///
/// /// How often each word comes: each word comes to one task only.
/// fn count(words: Receiver<String>) -> HashMap<String, u32> {
///     let mut counts = HashMap::new();
///     for word in &words {
///         *counts.entry(word).or_default() += 1;
///     }
///     counts
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let (router, receivers) = rt.router::<String>(2, 16)?;
/// let tasks: Vec<_> = receivers.into_iter().map(|words| rt.spawn(count, words)).collect();
/// for word in "a fold of sheep a sheep of a fold".split(' ') {
///     router.send_by_key(word, word.to_owned())?;
/// }
/// drop(router); // no more are to come
/// let mut all = HashMap::new();
/// for task in tasks {
///     all.extend(task.join()?); // no word is in two of them
/// }
/// assert_eq!((all["a"], all["sheep"]), (3, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Router<T> {
    /// The queues by their numbers. That of one that has left is closed.
    board: Board<T>,
    capacity: usize,
    timeout: Option<Duration>,
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Router {
            board: self.board.clone(),
            ..*self
        }
    }
}

impl<T> Debug for Router<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("receivers", &self.board.len())
            .finish_non_exhaustive()
    }
}

impl<T> Router<T> {
    /// How long each call waits for room; `None`, as it is at first: as long as the receiver lives. What was left by
    /// a receiver that is gone, and could not be handed on in time, stays for the next call.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The numbers of the receivers that are there.
    pub fn living(&self) -> Vec<usize> {
        self.all_living().map(|(number, _)| number).collect()
    }

    fn all_living(&self) -> impl Iterator<Item = (usize, &Sender<T>)> {
        self.board.iter().filter(|(_, sender)| !is_gone(sender))
    }

    /// The receiver that has this key now; `None` if there is no receiver.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (router, mut receivers) = rt.router::<u32>(3, 4)?;
    /// let of_ada = router.receiver_of("Ada").unwrap();
    /// router.send_by_key("Ada", 1)?;
    /// assert_eq!(receivers[of_ada].recv()?, 1);
    /// drop(receivers.remove((of_ada + 1) % 3)); // another one
    /// assert_eq!(router.receiver_of("Ada"), Some(of_ada));
    /// # Ok(())
    /// # }
    /// ```
    pub fn receiver_of(&self, key: &(impl Hash + ?Sized)) -> Option<usize> {
        self.owner(bucket_of(key)).map(|(number, _)| number)
    }

    fn owner(&self, bucket: u64) -> Option<(usize, &Sender<T>)> {
        self.all_living()
            .max_by_key(|(number, _)| bid(bucket, *number))
    }

    /// The one with the shortest queue; among several any.
    fn shortest(&self) -> Option<(usize, &Sender<T>)> {
        self.all_living().min_by_key(|(_, sender)| sender.len())
    }

    /// How many messages were lost with receivers that died while they took them.
    pub fn lost(&self) -> u64 {
        self.board.iter().map(|(_, sender)| sender.lost()).sum()
    }

    /// One more receiver, with the next number. From now on this router sends to it, and all its clones
    /// do. 256 may join, those that have left meanwhile counted.
    ///
    /// # Errors
    /// As of [`Runtime::alloc`](crate::Runtime::alloc); [`AllocError::Exhausted`] also when 256 have joined.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (router, receivers) = rt.router::<u32>(1, 4)?;
    /// let clone = router.clone();
    /// router.balance(1)?;
    /// let another = router.join()?;
    /// clone.balance(2)?; // clones know
    /// assert_eq!((receivers[0].recv(), another.recv()), (Ok(1), Ok(2)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self) -> Result<Receiver<T>, AllocError> {
        let pool = self.board.pool();
        if !pool.is_here() {
            return Err(AllocError::Forked);
        }
        let (sender, receiver) = make_kept(pool, self.capacity)?;
        self.board.put(sender)?;
        Ok(receiver)
    }

    /// Sends no more to this receiver, nor does any clone of this router; it takes what is in its
    /// queue, and then is told that nobody sends. If it dies before, the rest is handed on. False if
    /// there is none of this number, or it has left or is gone.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (router, receivers) = rt.router::<u32>(2, 4)?;
    /// router.route(0, 7)?;
    /// let clone = router.clone();
    /// assert!(router.leave(0));
    /// assert_eq!(clone.living(), [1]); // clones know
    /// assert_eq!(receivers[0].iter().collect::<Vec<_>>(), [7]);
    /// assert_eq!(router.living(), [1]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave(&self, receiver: usize) -> bool {
        let route = self.board.get(receiver);
        let route = route.filter(|sender| !is_gone(sender));
        route.inspect(|sender| sender.close()).is_some()
    }

    fn patience(&self) -> Patience {
        self.timeout.map_or(Patience::Forever, Patience::For)
    }
}

impl<T: Serialize + DeserializeOwned> Router<T> {
    /// Sends a message to the receiver of this number; waits while its queue is full.
    ///
    /// # Errors
    /// [`SendFault::NoReceiver`], with the number, if this router has none of this number;
    /// [`SendFault::Disconnected`] if it is gone, or has left; as of [`Sender::send_timeout`].
    pub fn route(&self, receiver: usize, value: T) -> Result<(), SendError<T>> {
        self.hand_on_if_any(self.patience());
        let Some(sender) = self.board.get(receiver) else {
            let receivers = self.board.len();
            let fault = SendFault::NoReceiver {
                receiver,
                receivers,
            };
            return Err(SendError::new(Some(value), fault));
        };
        self.send_to(sender, value, self.patience())?;
        if is_gone(sender) {
            self.hand_on_if_any(self.patience()); // it may have gone just before
        }
        Ok(())
    }

    /// Sends a message to the receiver that has this key; waits while its queue is full. All of one
    /// key go to the same one, in order, as long as it lives.
    ///
    /// # Errors
    /// [`SendFault::Disconnected`] if no receiver is left; as of [`Sender::send_timeout`].
    pub fn send_by_key(&self, key: &(impl Hash + ?Sized), value: T) -> Result<(), SendError<T>> {
        // What was sent of this key before comes before this.
        let hand_on = || {
            self.hand_on_if_any(self.patience());
            false
        };
        self.send_in(bucket_of(key), value, self.patience(), hand_on)
    }

    /// Sends a message to the receiver whose queue is the shortest now; if all are full, to the one that has room first,
    /// one that joins meanwhile among them.
    ///
    /// # Errors
    /// As of [`Router::send_by_key`].
    pub fn balance(&self, value: T) -> Result<(), SendError<T>> {
        let hand_on = || self.hand_on_if_any(Patience::Not);
        self.send_in(0, value, self.patience(), hand_on)
    }

    /// Hands on what is left in the queues of receivers that are gone; waits while those of others are
    /// full. Returns how many messages that were. If no receiver is left, they stay.
    ///
    /// # Errors
    /// Of the first that was not handed on, with its value.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (router, mut receivers) = rt.router::<u32>(2, 4)?;
    /// router.route(1, 5)?;
    /// drop(receivers.pop());
    /// assert_eq!(router.hand_on()?, 1);
    /// assert_eq!(receivers[0].recv()?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hand_on(&self) -> Result<usize, SendError<T>> {
        let handed_on = self.hand_on_all(self.patience());
        handed_on.map_err(|refused| refused.error)
    }
}

/// Whether nobody receives from it any more, or it has left.
fn is_gone<T>(sender: &Sender<T>) -> bool {
    sender.end.send_fault().is_some()
}
