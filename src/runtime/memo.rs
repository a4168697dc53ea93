//! Memoization: what a function returned for the same arguments before.
//!
//! The host remembers, so all workers share it. An entry is *in flight* from the first
//! submission to its end: whoever submits the same meanwhile gets the first one's outcome.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::error::TaskError;
use crate::scheduler::{Follower, Outcome, Scheduler, Ticket};
use crate::task::FunctionId;

use super::held::Held;

/// Remembers values by function and encoded arguments; for
/// [`Task::memoized`](crate::Task::memoized). Of those that have ended it keeps the
/// `capacity` that were used last, in the host's memory.
///
/// Errors are not remembered: neither a [`TaskError`](crate::TaskError) nor an `Err`.
/// A clone is the same memory. It is for one runtime.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let memo = pinfold::Memo::new(1000);
/// let slow_square = rt.task(|n: u64| n * n).memoized(&memo);
/// assert_eq!(slow_square.spawn(7).join()?, 49);
/// assert_eq!(slow_square.spawn(7).join()?, 49); // not run again
/// assert_eq!((memo.hits(), memo.misses()), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Memo {
    shared: Arc<Mutex<Shared>>,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.lock();
        f.debug_struct("Memo")
            .field("capacity", &shared.capacity)
            .field("known", &shared.known.len())
            .field("hits", &shared.hits)
            .field("misses", &shared.misses)
            .finish_non_exhaustive()
    }
}

type Key = (u64, u32, Box<[u8]>);

struct Shared {
    /// How often all was forgotten: part of the keys, so that what was in flight at the
    /// time is not remembered, nor joined.
    age: u64,
    capacity: usize,
    /// Without a bound of its own, which would be memory from the beginning.
    known: LruCache<Key, Arc<Outcome>>,
    in_flight: std::collections::HashMap<Key, Vec<Follower>>,
    hits: u64,
    misses: u64,
}

/// What is known of a call.
pub enum Known {
    /// Its outcome.
    Value(Arc<Outcome>),
    /// It is in flight: this ticket ends as that does.
    Joined(Ticket),
    /// Nothing: submit it, and then [follow](Call::follow) it.
    Nothing(Call),
}

/// A call that is about to be submitted. Whoever has joined it is told of its end in any
/// case: also if it is dropped before it was submitted.
pub struct Call {
    memo: Memo,
    key: Option<Key>,
}

impl Memo {
    /// Of at most `capacity` values, at least 1 (0 is 1). It takes memory for those that there
    /// are, so `usize::MAX` is one without a bound.
    ///
    /// ```
    /// assert_eq!(pinfold::Memo::new(10).hits(), 0);
    /// ```
    pub fn new(capacity: usize) -> Self {
        Memo {
            shared: Arc::new(Mutex::new(Shared {
                age: 0,
                capacity: capacity.max(1),
                known: LruCache::unbounded(),
                in_flight: std::collections::HashMap::new(),
                hits: 0,
                misses: 0,
            })),
        }
    }

    /// Calls that were not run, because their value was known or about to be.
    ///
    /// ```
    /// assert_eq!(pinfold::Memo::new(10).hits(), 0);
    /// ```
    pub fn hits(&self) -> u64 {
        self.lock().hits
    }

    /// Calls that were run.
    ///
    /// ```
    /// assert_eq!(pinfold::Memo::new(10).misses(), 0);
    /// ```
    pub fn misses(&self) -> u64 {
        self.lock().misses
    }

    /// Forgets all values. What is in flight goes on, and is not remembered.
    ///
    /// ```
    /// pinfold::Memo::new(10).clear();
    /// ```
    pub fn clear(&self) {
        let mut shared = self.lock();
        shared.age += 1;
        shared.known.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of this call.
    pub(super) fn look_up(
        &self,
        scheduler: &Held,
        function: FunctionId,
        arguments: &[u8],
        name: fn() -> &'static str,
    ) -> Known {
        let mut shared = self.lock();
        let key = (shared.age, function.0, Box::from(arguments));
        if let Some(outcome) = shared.known.get(&key).map(Arc::clone) {
            shared.hits += 1;
            return Known::Value(outcome);
        }
        if let Some(followers) = shared.in_flight.get_mut(&key) {
            let (ticket, follower) = scheduler.shadow(name);
            followers.push(follower);
            shared.hits += 1;
            return Known::Joined(ticket);
        }
        shared.in_flight.insert(key.clone(), Vec::new());
        shared.misses += 1;
        let memo = self.clone();
        let key = Some(key);
        Known::Nothing(Call { memo, key })
    }

    fn ended(&self, key: Key, outcome: &Arc<Outcome>) {
        let mut shared = self.lock();
        let followers = shared.in_flight.remove(&key).unwrap_or_default();
        let is_value = matches!(&**outcome, Ok(value) if !value.is_err() && value.is_for_all());
        if is_value && key.0 == shared.age {
            shared.known.put(key, Arc::clone(outcome));
            if shared.known.len() > shared.capacity {
                shared.known.pop_lru();
            }
        }
        drop(shared);
        for follower in followers {
            follower(outcome);
        }
    }
}

impl Call {
    /// It was submitted, or has failed to be: its end is remembered, and told.
    pub(super) fn follow(mut self, scheduler: &Scheduler, ticket: &Ticket) {
        let Some(key) = self.key.take() else { return };
        let memo = self.memo.clone();
        let follower = move |outcome: &Arc<Outcome>| memo.ended(key, outcome);
        if let Err((follower, outcome)) = scheduler.follow(ticket, Box::new(follower)) {
            follower(&outcome);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.memo
                .ended(key, &Arc::new(Err(Box::new(TaskError::cancelled()))));
        }
    }
}
