//! Channels of a runtime.

use crate::broadcast::{self, CreateError, Options, Publisher};
use std::time::Instant;

use crate::channel::{self, Also, Delivery, Receiver, Router, Select, Sender};
use crate::pool::AllocError;
use crate::sync::Ticker;

use super::{Handle, Runtime};

impl Runtime {
    /// Makes a channel that holds `capacity` messages; 0: who sends waits until its message is taken.
    ///
    /// Both ends may be used here, passed to tasks, and sent in messages. It takes some 64 bytes of
    /// shared memory for each message that it may hold, until both ends are gone. See the
    /// [module](mod@crate::channel).
    ///
    /// # Errors
    /// As of [`Runtime::alloc`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// fn shout((words, loud): (pinfold::channel::Receiver<String>, pinfold::channel::Sender<String>)) {
    ///     for word in &words {
    ///         let _ = loud.send(word.to_uppercase());
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (words, of_host) = rt.channel::<String>(4)?;
    /// let (of_task, loud) = rt.channel::<String>(4)?;
    /// let task = rt.spawn(shout, (of_host, of_task));
    /// words.send("hello".to_owned())?;
    /// assert_eq!(loud.recv()?, "HELLO");
    /// drop(words); // no more are to come
    /// task.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn channel<T>(&self, capacity: usize) -> Result<(Sender<T>, Receiver<T>), AllocError> {
        channel::make(self.core.sound().pool(), capacity)
    }

    /// The same with [`Options`](channel::Options): what becomes of messages for which there is no
    /// room, and a bound of bytes.
    ///
    /// # Errors
    /// [`CreateError`](channel::CreateError): a bound that cannot be, or there is no memory.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::channel::{Options, Overflow};
    ///
    /// let options = Options::new(2).overflow(Overflow::DropOldest);
    /// let (sender, receiver) = rt.channel_with::<u32>(options)?;
    /// sender.send_all([1, 2, 3, 4])?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [3, 4]);
    /// assert_eq!(receiver.dropped(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn channel_with<T>(
        &self,
        options: channel::Options,
    ) -> Result<(Sender<T>, Receiver<T>), channel::CreateError> {
        channel::make_with(self.core.sound().pool(), options)
    }

    /// Makes a channel whose messages are acknowledged: each comes as a [`Delivery`], and is received
    /// again, by this receiver or another, unless somebody acknowledges it. So none is lost with a worker
    /// that dies, and some are dealt with twice.
    ///
    /// The capacity says how many wait to be received. From the oldest on that is not acknowledged
    /// twice as many can be sent, and `capacity` + 64 at least. Messages cannot have a
    /// [`Loan`](crate::Loan) in them: a [`Shared`](crate::Shared) may be received twice.
    ///
    /// When no sender is left, a receiver waits for messages that other processes have and have not
    /// acknowledged: one of them may come back. It does not if its own process has any: it is told
    /// [`Disconnected`](channel::RecvError::Disconnected).
    ///
    /// # Errors
    /// As of [`Runtime::channel_with`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::channel::{Delivery, Options, Receiver, Sender};
    ///
    /// fn work((jobs, results): (Receiver<Delivery<u32>>, Sender<u32>)) {
    ///     for job in &jobs {
    ///         if *job == 3 && job.attempt() == 1 {
    ///             std::process::abort(); // the job is not lost
    ///         }
    ///         if results.send(*job * *job).is_ok() {
    ///             job.ack();
    ///         }
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let (jobs, of_workers) = rt.acked_channel::<u32>(Options::new(8))?;
    /// let (to_host, results) = rt.channel::<u32>(8)?;
    /// let tasks = [0; 2].map(|_| rt.spawn(work, (of_workers.clone(), to_host.clone())));
    /// jobs.send_all(1..=4)?;
    /// drop((jobs, of_workers, to_host));
    /// let mut squares: Vec<u32> = results.iter().collect();
    /// squares.sort();
    /// assert_eq!(squares, [1, 4, 9, 16]);
    /// # drop(tasks);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acked_channel<T>(
        &self,
        options: channel::Options,
    ) -> Result<(Sender<T>, Receiver<Delivery<T>>), channel::CreateError> {
        channel::make_acked(self.core.sound().pool(), options)
    }

    /// Makes a channel of which every subscriber gets every message. It holds `capacity` messages, rounded up to a
    /// power of two; who sends waits for the slowest subscriber, of which there may be 64. See the
    /// [module](mod@crate::broadcast).
    ///
    /// # Errors
    /// [`CreateError`]: a capacity of 0, or one that is too large; or there is no memory.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::broadcast::Subscriber;
    ///
    /// fn sum(numbers: Subscriber<u64>) -> u64 {
    ///     numbers.iter().sum()
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let numbers = rt.broadcast_channel::<u64>(8)?;
    /// let sums = [numbers.subscribe()?, numbers.subscribe()?].map(|each| rt.spawn(sum, each));
    /// numbers.send_all(1..=4)?;
    /// drop(numbers); // no more are to come
    /// for sum in sums {
    ///     assert_eq!(sum.join()?, 10);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_channel<T>(&self, capacity: usize) -> Result<Publisher<T>, CreateError> {
        self.broadcast_channel_with(Options::new(capacity))
    }

    /// The same with [`Options`]: what becomes of messages when a subscriber is slow, and how many
    /// subscribers there may be.
    ///
    /// # Errors
    /// As [`Runtime::broadcast_channel`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::broadcast::Options;
    /// use pinfold::channel::Overflow;
    ///
    /// let options = Options::new(2).overflow(Overflow::DropOldest).subscribers(500);
    /// let prices = rt.broadcast_channel_with::<f64>(options)?;
    /// let slow = prices.subscribe()?;
    /// prices.send_all([1.0, 1.5, 1.25])?; // waits for nobody
    /// assert_eq!(slow.iter().take(2).collect::<Vec<_>>(), [1.5, 1.25]);
    /// assert_eq!(slow.lagged(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_channel_with<T>(
        &self,
        options: broadcast::Options,
    ) -> Result<Publisher<T>, CreateError> {
        broadcast::make(self.core.sound().pool(), options)
    }

    /// Makes a router: so many receivers, each with a queue of its own of `capacity` messages (1 at
    /// least). Who gets a message is said by number, by key, or by whose queue is the shortest.
    ///
    /// # Errors
    /// [`CreateError`](channel::CreateError): a capacity of 0, or there is no memory.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (router, receivers) = rt.router::<String>(2, 8)?;
    /// router.route(1, "to the second".to_owned())?;
    /// router.send_by_key("Ada", "to whoever has this key".to_owned())?;
    /// router.balance("to anybody who has little to do".to_owned())?;
    /// assert_eq!(receivers[0].len() + receivers[1].len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn router<T>(
        &self,
        receivers: usize,
        capacity: usize,
    ) -> Result<(Router<T>, Vec<Receiver<T>>), channel::CreateError> {
        channel::make_router(self.core.sound().pool(), receivers, capacity)
    }
}

/// The next tick that a ticker has not told yet.
struct Tick<'a>(&'a Ticker);

impl<'a> Also<'a> for Tick<'a> {
    fn has_come(&self) -> bool {
        self.0.left().is_zero()
    }

    fn time(&self) -> Option<Instant> {
        Instant::now().checked_add(self.0.left())
    }
}

impl<'a> Select<'a> {
    /// Also waits for the next tick of this ticker. It is not told by that: when it is chosen,
    /// [`Ticker::missed`] says how many ticks there were. Returns its number.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use std::time::Duration;
    /// use pinfold::channel::Select;
    /// use pinfold::sync::Ticker;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let ticker = Ticker::new(&rt, Duration::from_millis(2))?;
    /// let (_sender, receiver) = rt.channel::<u32>(1)?;
    /// let mut select = Select::new();
    /// let (_message, tick) = (select.recv(&receiver), select.ticker(&ticker));
    /// let mut ticks = 0;
    /// while ticks < 3 {
    ///     assert_eq!(select.wait()?.index(), tick);
    ///     ticks += ticker.missed();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn ticker(&mut self, ticker: &'a Ticker) -> usize {
        self.also(Tick(ticker))
    }
}

impl Select<'_> {
    /// Also waits for the end of this task, which is not joined by that: do so when it is chosen.
    /// Returns its number. The handle may be moved or dropped meanwhile.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::channel::Select;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut tasks = [3, 4].map(|n: u32| Some(rt.spawn(|n: u32| n * n, n)));
    /// let mut select = Select::new();
    /// for task in tasks.iter().flatten() {
    ///     select.handle(task); // numbers 0 and 1
    /// }
    /// let mut squares = Vec::new();
    /// while squares.len() < 2 {
    ///     let ended = select.wait()?.index();
    ///     select.remove(ended);
    ///     squares.extend(tasks[ended].take().map(|task| task.join()));
    /// }
    /// assert!(squares.contains(&Ok(9)) && squares.contains(&Ok(16)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle<R>(&mut self, handle: &Handle<R>) -> usize {
        let (index, waker) = self.waker();
        handle.wake_when_ended(waker);
        index
    }
}
