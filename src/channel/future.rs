//! Sending and receiving without blocking the thread, under any executor.

use std::fmt::{self, Debug, Formatter};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lane::Sent;
use crate::object::{Patience, Waits};

use super::{Item, Receiver, RecvError, SendError, SendFault, Sender};

impl<T: Serialize + DeserializeOwned> Sender<T> {
    /// As [`Sender::send`], without blocking the thread: await the future, under any executor, in
    /// the host or in a task. It does nothing before.
    ///
    /// Dropped before its end, it has not sent the message; into a channel of capacity 0 it may
    /// have.
    ///
    /// # Errors
    /// As of [`Sender::send`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn block_on<T>(f: impl Future<Output = T>) -> T {
    /// #     use std::{pin::pin, sync::Arc, task::{Context, Poll, Wake}, thread};
    /// #     struct Unpark(thread::Thread);
    /// #     impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark() } }
    /// #     let waker = Arc::new(Unpark(thread::current())).into();
    /// #     let mut f = pin!(f);
    /// #     loop {
    /// #         match f.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(value) => return value,
    /// #             Poll::Pending => thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// use pinfold::channel::{Receiver, Sender};
    ///
    /// fn double((numbers, doubles): (Receiver<u64>, Sender<u64>)) {
    ///     for number in &numbers {
    ///         let _ = doubles.send(2 * number);
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (numbers, to_task) = rt.channel(1)?;
    /// let (to_host, doubles) = rt.channel(1)?;
    /// let task = rt.spawn(double, (to_task, to_host));
    /// let sum = async {
    ///     let mut sum = 0;
    ///     for number in 1..=3 {
    ///         numbers.send_async(number).await?;
    ///         sum += doubles.recv_async().await?;
    ///     }
    ///     Ok::<u64, Box<dyn std::error::Error>>(sum)
    /// };
    /// assert_eq!(block_on(sum)?, 12); // under any executor
    /// drop(numbers);
    /// task.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture {
            sender: self,
            stage: Stage::Room(value),
            weight: None,
            waits: Waits::default(),
        }
    }
}

impl<T: Item> Receiver<T> {
    /// As [`Receiver::recv`], without blocking the thread: await the future, under any executor,
    /// in the host or in a task. Dropped before its end, it has taken nothing.
    ///
    /// See [`Sender::send_async`] for an example.
    ///
    /// # Errors
    /// As of [`Receiver::recv`].
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture {
            receiver: self,
            waits: Waits::default(),
        }
    }

    /// As [`Receiver::iter`], without blocking the thread: all messages until nobody sends any more.
    /// It also ends at the first error.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::task::{Context, Poll, Waker};
    /// use futures_core::Stream;
    ///
    /// let (sender, receiver) = rt.channel(2)?;
    /// sender.send_all([1, 2])?;
    /// drop(sender);
    /// let mut stream = std::pin::pin!(receiver.stream());
    /// // Or `stream.next()` of the crates `futures` and `tokio-stream`.
    /// let mut next = || stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
    /// assert_eq!(next(), Poll::Ready(Some(1)));
    /// assert_eq!(next(), Poll::Ready(Some(2)));
    /// assert_eq!(next(), Poll::Ready(None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream {
            next: self.recv_async(),
            has_ended: false,
        }
    }
}

/// Receives a message; made by [`Receiver::recv_async`].
#[must_use = "a future does nothing before it is polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    waits: Waits,
}

impl<T> Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture")
            .field("receiver", self.receiver)
            .finish_non_exhaustive()
    }
}

impl<T: Item> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let end = &self.receiver.end;
        let gate = end.lane().message_gate();
        let look = || end.look_for_message();
        let received = self
            .waits
            .poll(gate, context, look, || RecvError::Cancelled);
        Poll::Ready(T::of(ready!(received)?))
    }
}

/// The messages of a channel; made by [`Receiver::stream`].
#[derive(Debug)]
#[must_use = "a stream does nothing before it is polled"]
pub struct RecvStream<'a, T> {
    next: RecvFuture<'a, T>,
    has_ended: bool,
}

impl<T: Item> Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.next).poll(context)).ok();
        self.has_ended = next.is_none();
        Poll::Ready(next)
    }
}

/// Sends a message; made by [`Sender::send_async`].
#[must_use = "a future does nothing before it is polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    stage: Stage<T>,
    /// How much of the bound it takes, when that is known.
    weight: Option<u64>,
    waits: Waits,
}

enum Stage<T> {
    /// It waits for room for this.
    Room(T),
    /// It is there, and waits to be taken.
    Taken(Sent),
    Over,
}

// Nothing in it is pinned.
impl<T> Unpin for SendFuture<'_, T> {}

impl<T> Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture")
            .field("sender", self.sender)
            .finish_non_exhaustive()
    }
}

impl<T: Serialize + DeserializeOwned> SendFuture<'_, T> {
    fn find_room(&mut self, context: &Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let sender = self.sender;
        let weight = match self.weigh() {
            Ok(weight) => weight,
            Err(fault) => return Poll::Ready(Err(self.give_up(fault))),
        };
        let gate = sender.end.lane().room_gate();
        let look = || match sender.end.send_fault() {
            Some(fault) => Err(fault),
            None => sender.end.look_for_place(weight),
        };
        let claimed = self
            .waits
            .poll(gate, context, look, || SendFault::Cancelled);
        let claimed = ready!(claimed);
        let Stage::Room(value) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Poll::Pending;
        };
        let encoded = super::message::encode(&value, sender.end.pool());
        let sent = sender.fill(value, encoded, |_, _| claimed)?;
        if sender.end.kind().is_rendezvous {
            self.stage = Stage::Taken(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// How much of the bound the message takes; it is encoded for that only if there is one.
    fn weigh(&mut self) -> Result<u64, SendFault> {
        if let Some(weight) = self.weight {
            return Ok(weight);
        }
        let end = &self.sender.end;
        let weight = match &self.stage {
            Stage::Room(value) if end.lane().is_weighed() => {
                let encoded = super::message::encode(value, end.pool());
                end.message_of::<T>(encoded)?.1
            }
            _ => 0,
        };
        self.weight = Some(weight);
        Ok(weight)
    }

    fn give_up(&mut self, fault: SendFault) -> SendError<T> {
        let value = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Room(value) => Some(value),
            Stage::Taken(_) | Stage::Over => None,
        };
        SendError::new(value, fault)
    }

    fn hand_over(&mut self, sent: Sent, context: &Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let end = &*self.sender.end;
        let gate = end.lane().room_gate();
        let look = || end.look_whether_taken(sent);
        let taken = self
            .waits
            .poll(gate, context, look, || SendFault::Cancelled);
        let taken = ready!(taken);
        self.stage = Stage::Over;
        let Err(fault) = taken else {
            return Poll::Ready(Ok(()));
        };
        // If it was not taken in between, it comes back.
        let back = end.handed_over(sent, Patience::Not);
        Poll::Ready(back.map_err(|kept| {
            let value = kept.0.and_then(|back| back.decode().ok());
            SendError::new(value, fault)
        }))
    }
}

impl<T: Serialize + DeserializeOwned> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Room(_) = self.stage {
            ready!(self.find_room(context))?;
            if let Stage::Over = self.stage {
                return Poll::Ready(Ok(()));
            }
        }
        match self.stage {
            Stage::Taken(sent) => self.hand_over(sent, context),
            // Polled after its end.
            Stage::Room(_) | Stage::Over => Poll::Pending,
        }
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        if let Stage::Taken(sent) = self.stage {
            // Nobody waits for it any more: it is taken back, if nobody has it.
            let _ = self.sender.end.handed_over(sent, Patience::Not);
        }
    }
}
