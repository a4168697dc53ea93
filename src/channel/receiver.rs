//! Receiving, one by one and several at a time.

use std::time::Duration;

use crate::object::Patience;

use super::delivery::Item;
use super::ends::Taken;
use super::message::Short;
use super::{Receiver, RecvError};

impl<T: Item> Receiver<T> {
    /// The next message; waits for it.
    ///
    /// # Errors
    /// [`RecvError::Disconnected`] when all are taken and nobody sends any more;
    /// [`RecvError::Decode`] if its type does not read what was written.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_with(Patience::Forever)
    }

    /// The next message, if there is one now.
    ///
    /// # Errors
    /// [`RecvError::Empty`] if there is none; as [`Receiver::recv`].
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.recv_with(Patience::Not)
    }

    /// The next message; waits for it no longer than `timeout`.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] if there was none in time; as [`Receiver::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_with(Patience::For(timeout))
    }

    /// Waits for a message, and takes with it those that are there already, `most` in all.
    ///
    /// # Errors
    /// As [`Receiver::recv`], if it is the first that fails. A later one that cannot be read ends the
    /// list: it is gone, and logged.
    pub fn recv_many(&self, most: usize) -> Result<Vec<T>, RecvError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut all = vec![self.recv()?];
        while all.len() < most {
            match self.try_recv() {
                Ok(value) => all.push(value),
                // It is gone in any case; those before it are not.
                Err(RecvError::Decode { message }) => {
                    tracing::warn!(message, "a message cannot be read");
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(all)
    }

    /// All messages until nobody sends any more; waits for each. It also ends at the first
    /// error.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            receiver: self,
            patience: Patience::Forever,
        }
    }

    /// The messages that are there now; waits for none.
    pub fn try_iter(&self) -> Iter<'_, T> {
        Iter {
            receiver: self,
            patience: Patience::Not,
        }
    }

    #[inline]
    fn recv_with(&self, patience: Patience) -> Result<T, RecvError> {
        if T::ACKS && self.end.kind().acks {
            return self.recv_slowly(patience);
        }
        let mut short = Short::default();
        let mut taken = self.end.take::<T>(&mut short);
        if matches!(taken, Taken::Nothing) && patience != Patience::Not && self.end.comes_soon() {
            taken = self.end.take::<T>(&mut short);
        }
        match taken {
            // Nearly all messages come this way.
            Taken::Bytes(bytes) => T::of_bytes(&short, bytes),
            Taken::Other(mine) => T::of(self.end.finish(mine)?),
            Taken::Nothing => self.recv_slowly(patience),
        }
    }

    #[cold]
    #[inline(never)]
    fn recv_slowly(&self, patience: Patience) -> Result<T, RecvError> {
        T::of(self.end.receive(patience)?)
    }
}

/// The messages of a channel; made by [`Receiver::iter`] and [`Receiver::try_iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    patience: Patience,
}

impl<T: Item> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_with(self.patience).ok()
    }
}

impl<'a, T: Item> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
