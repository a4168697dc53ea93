//! Waiting for the first of several things: [`Select`].
//!
//! What is waited for is looked at one after the other, from the one behind the last that was
//! chosen: so of those that are always ready each has its turn. What was found empty, or full, is
//! looked at by one load of the word that would have changed ([`Still`]), as long as the thread is
//! awake; properly before it sleeps, and now and then, for that says nothing of an end that is gone.
//!
//! If none is ready, the thread announces itself at the gates of all, looks once more, and sleeps at
//! all of them in one system call (`src/notify/gate.rs`,
//! [`take_at_any`](crate::notify::take_at_any)). What is chosen is done in the same step: the message
//! is taken, the place is claimed.
//!
//! In a channel of capacity 0 a select that receives is a receiver that waits, as any other. One
//! that sends offers nothing: it sends when it sees that a receiver waits. Of a select that sends
//! and whoever receives, both set the mark of their gate and then look at the other's, so one of
//! them sees the other: see `Lane::tell_wanted`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::lane::Still;
use crate::notify::Gate;
use crate::object::{Patience, WaitAtAny};

use super::case::{Also, Case, Ended, Taken};
use super::ends::Endpoint;
use super::message;
use super::room::Claimed;
use super::{Item, Receiver, RecvError, SelectError, SendError, SendFault, Sender};

/// Waits for the first of several things: a message, room for one, the end of a task, a time, a tick
/// of a [`Ticker`](crate::sync::Ticker), a message of a [`Subscriber`](crate::broadcast::Subscriber).
///
/// Each is added once, and has a number from then on. Each wait chooses one that is ready. If
/// several are, they take turns. A message is received, and a place for one is had, when it is
/// chosen: nobody else can come in between. [`Selected`] has it.
///
/// What can never wait again is always ready: a receiver whose senders are gone, a task that has
/// ended. [`remove`](Select::remove) it. (That the other end of a channel is gone is seen when nothing
/// else is ready, and otherwise by every 32nd wait.)
///
/// While nothing is ready the thread sleeps, in one system call, and is woken by whatever comes
/// first. That is so for up to 126 channels; of more, and with a kernel that is older than
/// Linux 5.16 (`pinfold doctor` says so), a message may be seen up to 10 ms late, for they are
/// looked at every now and then.
///
/// ```
/// # pinfold::test_setup!();
/// use std::time::Duration;
/// use pinfold::channel::Select;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let (words, of_words) = rt.channel::<String>(4)?;
/// let (numbers, of_numbers) = rt.channel::<u64>(4)?;
/// let task = rt.spawn(|(words, numbers)| {
///     let words: pinfold::channel::Sender<String> = words;
///     let numbers: pinfold::channel::Sender<u64> = numbers;
///     words.send("one".to_owned()).is_ok() && numbers.send(1).is_ok()
/// }, (words, numbers));
///
/// let mut select = Select::new();
/// let word = select.recv(&of_words);
/// let number = select.recv(&of_numbers);
/// let end = select.handle(&task);
/// let late = select.after(Duration::from_secs(60));
/// let mut got = Vec::new();
/// loop {
///     let chosen = select.wait()?;
///     match chosen.index() {
///         i if i == word => match chosen.recv(&of_words) {
///             Ok(word) => got.push(word),
///             Err(_) => select.remove(word), // no more will come
///         },
///         i if i == number => match chosen.recv(&of_numbers) {
///             Ok(number) => got.push(number.to_string()),
///             Err(_) => select.remove(number),
///         },
///         i if i == end => chosen.remove(),
///         i if i == late => return Err("it takes too long".into()),
///         _ => unreachable!("there are no others"),
///     }
///     if got.len() == 2 {
///         break;
///     }
/// }
/// got.sort();
/// assert_eq!(got, ["1", "one"]);
/// assert!(task.join()?);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Select<'a> {
    cases: Vec<Case<'a>>,
    /// Of each: what says that it is not ready; `None`: it is to be looked at.
    stills: Vec<Option<Still<'a>>>,
    /// So many waits until all are looked at properly.
    until_proper: u32,
    /// Where handles of tasks tell their ends; there if there are any.
    own: Option<Arc<Gate>>,
    /// Where to begin to look.
    next: usize,
    /// A message that was chosen, and not asked for.
    kept: Option<(usize, Taken<'a>)>,
}

/// So many waits in a row all of which find something at once: then all are looked at properly.
const WAITS: u32 = 32;

impl<'a> Select<'a> {
    /// One that waits for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, case: Case<'a>) -> usize {
        self.cases.push(case);
        self.stills.push(None);
        self.cases.len() - 1
    }

    /// Also waits for a message of this receiver, or until it has ended. Returns its number.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Case::Recv(&receiver.end))
    }

    /// Also waits for room for a message of this sender, or until nobody receives any more; also
    /// where [`Overflow::Reject`](super::Overflow::Reject) says that a `send` does not. Returns its
    /// number.
    ///
    /// Into a channel of capacity 0 a select sends when a receiver waits: one in `recv`, or in
    /// another select, but not one that only tries. If that has left when the message is sent,
    /// [`Selected::send`] says [`SendFault::Full`]. So it is, too, if the select waits for a
    /// message of the same channel, and nobody else does.
    ///
    /// In a channel that is bounded by bytes it is ready when there is room for a byte more, for how much its
    /// message needs is not known yet. If that is more, [`Selected::send`] says [`SendFault::Full`]; from then on it is ready
    /// when there is room for as much as that message, which nobody else can have then, until one was sent.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(Case::Send {
            end: &sender.end,
            needs: 0,
        })
    }

    /// Also waits until so much time has passed from now on; once. Returns its number.
    pub fn after(&mut self, time: Duration) -> usize {
        self.add(Case::Time {
            next: Instant::now().checked_add(time),
            period: None,
        })
    }

    /// Also waits for the end of each such period from now on. What has passed while nobody waited
    /// counts once. Returns its number.
    pub fn every(&mut self, period: Duration) -> usize {
        self.add(Case::Time {
            next: Instant::now().checked_add(period),
            period: Some(period),
        })
    }

    /// Also waits until this waker is woken, which anything may do that takes one: a future, say. Its
    /// number, and the waker. Once woken, it stays ready.
    ///
    /// ```
    /// use pinfold::channel::Select;
    ///
    /// let mut select = Select::new();
    /// let (number, waker) = select.waker();
    /// assert!(select.try_wait().is_err());
    /// let other = std::thread::spawn(move || waker.wake());
    /// assert_eq!(select.wait()?.index(), number);
    /// # other.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waker(&mut self) -> (usize, Waker) {
        let ended = Arc::new(Ended::at(self.own.get_or_insert_default()));
        let waker = Waker::from(Arc::clone(&ended));
        (self.add(Case::Ended(ended)), waker)
    }

    /// Also waits for this.
    pub(crate) fn also(&mut self, also: impl Also<'a> + 'a) -> usize {
        self.add(Case::Also(Box::new(also)))
    }

    /// Waits no more for that with this number. The others keep theirs.
    pub fn remove(&mut self, index: usize) {
        if let Some(case) = self.cases.get_mut(index) {
            *case = Case::Removed;
        }
        self.kept.take_if(|(kept, _)| *kept == index);
    }

    /// Waits for the first that is ready.
    ///
    /// # Errors
    /// [`SelectError::Nothing`] if there is nothing to wait for, [`SelectError::Cancelled`].
    pub fn wait(&mut self) -> Result<Selected<'_, 'a>, SelectError> {
        self.wait_with(Patience::Forever)
    }

    /// The same, no longer than `timeout`.
    ///
    /// # Errors
    /// [`SelectError::TimedOut`] if none was ready in time, [`SelectError::Cancelled`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Selected<'_, 'a>, SelectError> {
        self.wait_with(Patience::For(timeout))
    }

    /// One that is ready now.
    ///
    /// # Errors
    /// [`SelectError::NotReady`] if none is.
    pub fn try_wait(&mut self) -> Result<Selected<'_, 'a>, SelectError> {
        self.wait_with(Patience::Not)
    }

    pub(super) fn wait_with(
        &mut self,
        patience: Patience,
    ) -> Result<Selected<'_, 'a>, SelectError> {
        let mut found = self.kept.take();
        if found.is_none() {
            found = match self.until_proper {
                1.. if patience != Patience::Not => {
                    self.until_proper -= 1;
                    self.look()
                }
                _ => self.look_properly(),
            };
        }
        let (index, taken) = match found {
            Some(found) => found,
            None if patience == Patience::Not => return Err(SelectError::NotReady),
            None => self.wait_longer(patience)?,
        };
        Ok(Selected {
            select: self,
            index,
            taken: Some(taken),
        })
    }

    /// One that is ready, and its number. That an end is gone is not seen.
    #[inline]
    fn look(&mut self) -> Option<(usize, Taken<'a>)> {
        let (next, len) = (self.next.min(self.cases.len()), self.cases.len());
        (self.look_among(next, len)).or_else(|| self.look_among(0, next))
    }

    /// The same of those from one to another.
    #[inline]
    fn look_among(&mut self, mut from: usize, to: usize) -> Option<(usize, Taken<'a>)> {
        let has_changed = |still: &Option<Still<'_>>| still.is_none_or(|still| !still.is_so());
        while let Some(at) = self.stills[from..to].iter().position(has_changed) {
            from += at + 1;
            if let Some(taken) = self.look_at(from - 1) {
                return Some((from - 1, taken));
            }
        }
        None
    }

    fn look_at(&mut self, index: usize) -> Option<Taken<'a>> {
        let case = &mut self.cases[index];
        let taken = case.look();
        match taken {
            Some(_) => self.next = index + 1,
            None => self.stills[index] = case.still(),
        }
        taken
    }

    /// The same, whatever was seen before.
    fn look_properly(&mut self) -> Option<(usize, Taken<'a>)> {
        self.until_proper = WAITS;
        self.stills.fill(None);
        self.look()
    }

    #[cold]
    fn wait_longer(&mut self, patience: Patience) -> Result<(usize, Taken<'a>), SelectError> {
        if patience == Patience::Forever && !self.cases.iter().any(Case::may_come) {
            return Err(SelectError::Nothing);
        }
        let mut waiting = WaitAtAny::begin(patience);
        while waiting.looks_again() {
            if let Some(found) = self.look() {
                return Ok(found);
            }
        }
        let own = self.own.clone();
        let mut gates: SmallVec<[&Gate; 8]> = SmallVec::new();
        // Of each gate, whose it is.
        let mut indexes: SmallVec<[usize; 8]> = SmallVec::new();
        for (index, case) in self.cases.iter().enumerate() {
            if let Some(gate) = case.gate() {
                gates.push(gate);
                indexes.push(index);
            }
        }
        gates.extend(own.as_deref());
        let until = self.cases.iter().filter_map(Case::time).min();
        let select = &mut *self;
        let look = |opened: Option<usize>| {
            let woke = opened.and_then(|place| Some((place, *indexes.get(place)?)));
            if let Some((place, index)) = woke
                && let Some(taken) = select.look_at(index)
            {
                return Some((place, (index, taken)));
            }
            let (index, taken) = select.look_before_sleep()?;
            // Of one that has no gate it is another's: that is told once too often.
            let place = indexes.binary_search(&index).unwrap_or(usize::MAX);
            Some((place, (index, taken)))
        };
        let waited = waiting.sleep(&gates, look, until);
        self.cases
            .iter()
            .filter_map(Case::also)
            .for_each(Also::done);
        waited.map_err(SelectError::from)
    }

    /// The same, of a thread that sleeps otherwise.
    fn look_before_sleep(&mut self) -> Option<(usize, Taken<'a>)> {
        loop {
            self.cases
                .iter()
                .filter_map(Case::also)
                .for_each(Also::prepare);
            if let Some(found) = self.look_properly() {
                return Some(found);
            }
            if !self.cases.iter().filter_map(Case::also).any(Also::help) {
                return None;
            }
        }
    }
}

impl Debug for Select<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cases = self.cases.iter().filter(|case| case.may_come()).count();
        f.debug_struct("Select")
            .field("cases", &cases)
            .finish_non_exhaustive()
    }
}

/// What a [`Select`] has chosen.
///
/// Of a channel it has the message, or the place for one: so ask it, with the end that was chosen.
/// A message that is not asked for is chosen again by the next wait, and lost with the select; a
/// place is given up. (One of a channel whose messages are acknowledged is received again.) Until then it holds up the messages behind it: send at once.
#[must_use = "a message that was chosen is in it"]
pub struct Selected<'s, 'a> {
    select: &'s mut Select<'a>,
    index: usize,
    taken: Option<Taken<'a>>,
}

impl<'a> Selected<'_, 'a> {
    /// Which one: the number that it was added with.
    pub fn index(&self) -> usize {
        self.index
    }

    fn is_of(&self, end: &Endpoint) -> bool {
        match self.select.cases.get(self.index) {
            Some(Case::Recv(ours)) => std::ptr::eq(&***ours, end),
            Some(Case::Send { end: ours, .. }) => std::ptr::eq(*ours, end),
            _ => false,
        }
    }

    /// Waits no more for this one: as [`Select::remove`]. A message that was chosen is lost.
    pub fn remove(self) {
        self.select.remove(self.index);
    }

    /// The place that was found, if that is what was chosen.
    pub(super) fn into_place(mut self) -> Option<Result<Claimed<'a>, SendFault>> {
        match self.taken.take() {
            Some(Taken::Place(place)) => Some(place),
            _ => None,
        }
    }

    /// The message that was received.
    ///
    /// # Errors
    /// As of [`Receiver::recv`], but never `Empty` or `TimedOut`; [`RecvError::NotSelected`] if not
    /// this receiver was chosen: nothing is lost.
    pub fn recv<T: Item>(mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        if !self.is_of(&receiver.end) {
            return Err(RecvError::NotSelected);
        }
        match self.taken.take() {
            Some(Taken::Message(received)) => T::of(received?),
            _ => Err(RecvError::NotSelected),
        }
    }

    /// Sends a message in the place that was found; it does not wait.
    ///
    /// # Errors
    /// As of [`Sender::send`]; [`SendFault::Full`], with the message, in a channel of capacity 0 if the receiver has left, and in
    /// one that is bounded by bytes if there is too little room for this message: wait again, with the same select.
    /// [`SendFault::NotSelected`] if not this sender was chosen.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::channel::{Options, Select, SendFault};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let (sender, receiver) = rt.channel_with::<String>(Options::new(10).bytes(30))?;
    /// sender.send("a text of 23 characters".to_owned())?;
    /// let mut select = Select::new();
    /// select.send(&sender);
    /// let long = "one as long as that one".to_owned();
    /// let error = select.wait()?.send(&sender, long).unwrap_err();
    /// assert_eq!(error.fault, SendFault::Full); // there is room, but not for that
    /// assert!(select.try_wait().is_err()); // now it is known how much is needed
    /// receiver.recv()?;
    /// select.wait()?.send(&sender, error.into_value().unwrap())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T>(mut self, sender: &Sender<T>, value: T) -> Result<(), SendError<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        if !self.is_of(&sender.end) {
            return Err(SendError::new(Some(value), SendFault::NotSelected));
        }
        match self.taken.take() {
            Some(Taken::Place(place)) => {
                let encoded = message::encode(&value, sender.end.pool());
                let mut needed = 0;
                let sent = sender.put(value, encoded, Patience::Not, |_, weight| {
                    needed = weight;
                    place?.for_weight(weight)
                });
                if needed > 0
                    && let Some(Case::Send { needs, .. }) = self.select.cases.get_mut(self.index)
                {
                    let is_full = |error: &SendError<T>| error.fault == SendFault::Full;
                    *needs = if sent.as_ref().is_err_and(is_full) {
                        needed
                    } else {
                        0
                    };
                }
                sent
            }
            _ => Err(SendError::new(Some(value), SendFault::NotSelected)),
        }
    }
}

impl Drop for Selected<'_, '_> {
    fn drop(&mut self) {
        let is_removed = matches!(self.select.cases.get(self.index), Some(Case::Removed));
        if let Some(Taken::Message(Ok(message))) = self.taken.take()
            && !is_removed
        {
            self.select.kept = Some((self.index, Taken::Message(Ok(message))));
        }
    }
}

impl Debug for Selected<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
