//! The queues of a router, for all its clones in all processes to see.
//!
//! A *board* is a channel of ends of channels, of which nobody takes anything: whoever joins puts the
//! sender of its queue there, and whoever sends looks, each time, whether there is one that it does not know. The
//! number of a queue is its place on the board, so it is the same for all. One that died as it put up its queue leaves
//! a number that is nobody's.
//!
//! What is on the board keeps the senders of the queues until the last clone is gone.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lane::{Board as Seen, Lane, Shape};
use crate::pool::{AllocError, Pool};

use super::ends::Endpoint;
use super::kind::Kind;
use super::message;
use super::{Overflow, Receiver, Sender};

/// So many may join beside those that a router is made with.
pub const MORE: usize = 256;

/// Words of a cell: an end of a channel fits. (What does not lies in a block that one alone can have.)
const AREA: usize = 8;

/// The two ends of the channel that a board is.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Ends<T> {
    sender: Sender<Sender<T>>,
    /// Nobody receives: it is there so that the channel has a receiver.
    receiver: Receiver<Sender<T>>,
}

/// The board of a router.
pub struct Board<T> {
    ends: Ends<T>,
    /// What this process has seen of it.
    seen: Arc<Seen<Sender<T>>>,
}

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        let Ends { sender, receiver } = &self.ends;
        let (sender, receiver) = (sender.clone(), receiver.clone());
        Board {
            ends: Ends { sender, receiver },
            seen: Arc::clone(&self.seen),
        }
    }
}

impl<T> Serialize for Board<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ends.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Board<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ends::deserialize(deserializer).map(Self::of)
    }
}

impl<T> Board<T> {
    /// An empty one with room for so many queues, and [`MORE`].
    pub fn make(pool: &Pool, queues: usize) -> Result<Self, AllocError> {
        let room = queues.saturating_add(MORE);
        let kind = Kind {
            is_kept: true,
            overflow: Overflow::Reject,
            ..Kind::default()
        };
        let [sender, receiver] = Endpoint::pair(pool, Shape::of(room, AREA), kind)?;
        let (sender, receiver) = (Sender::new(sender), Receiver::new(receiver));
        Ok(Self::of(Ends { sender, receiver }))
    }

    fn of(ends: Ends<T>) -> Self {
        let capacity = ends.sender.end.lane().capacity();
        Board {
            ends,
            seen: Arc::new(Seen::new(capacity)),
        }
    }

    pub fn pool(&self) -> &Pool {
        self.ends.sender.end.pool()
    }

    /// One more queue, if there is room.
    pub fn put(&self, queue: Sender<T>) -> Result<(), AllocError> {
        let put = self.ends.sender.try_send(queue);
        put.map_err(|_| self.pool().exhausted(0))?;
        // Whoever waits for room in any queue may send to this one.
        self.lane().for_message().open_all();
        Ok(())
    }

    /// Where those wait that wait for one more.
    pub fn lane(&self) -> &Lane {
        self.ends.sender.end.lane()
    }

    /// Looks what is new.
    #[inline]
    fn look(&self) -> usize {
        let end = &*self.ends.sender.end;
        self.seen.look(end.lane(), |place| {
            let queue = message::peek(end.lane(), place, end.pool())?;
            queue.decode().ok()
        })
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.look()
    }

    /// The queue of this number.
    pub fn get(&self, number: usize) -> Option<&Sender<T>> {
        (number < self.look()).then(|| self.seen.get(number))?
    }

    /// All queues, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Sender<T>)> {
        self.seen.seen(self.look())
    }
}
