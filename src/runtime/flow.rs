//! Outcomes that come one after the other: what all iterators over them can do besides.

use std::iter::FusedIterator;
use std::time::{Duration, Instant};

use crate::scheduler::Reach;

/// Nothing has ended within the time. What is in flight goes on.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
/// let mut naps = rt.map(nap, [200]);
/// let timed_out: pinfold::TimedOut = naps.next_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(timed_out.to_string(), "nothing has ended within the time; what is in flight goes on");
/// assert_eq!(naps.next(), Some(Ok(())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing has ended within the time; what is in flight goes on")]
pub struct TimedOut;

/// Outcomes one after the other.
pub trait Flow: Iterator {
    /// The next one; waits for it until `deadline`.
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Self::Item>, TimedOut>;

    /// Pulls no more items, and cancels what has not ended, as far as `reach` goes.
    fn cancel_rest(&mut self, reach: Reach);
}

/// What is so much later than now; `None` is never.
pub(super) fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Outcomes with a time for all of them; made by `timeout` of those, such as
/// [`Map::timeout`](crate::Map::timeout).
///
/// Yields each outcome as `Ok`. When the time is up before the last has come it yields one
/// [`TimedOut`], and ends. Then, as whenever it is dropped before its end, what nobody has
/// begun is cancelled; or [`into_inner`](Timeout::into_inner) goes on.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let squares = rt.map(|n: u64| n * n, 0..3).timeout(Duration::from_secs(60));
/// let squares: Result<Vec<_>, pinfold::TimedOut> = squares.collect();
/// assert_eq!(squares?, [Ok(0), Ok(1), Ok(4)]);
///
/// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
/// let mut naps = rt.map(nap, [200]).timeout(Duration::ZERO);
/// assert_eq!(naps.next(), Some(Err(pinfold::TimedOut)));
/// assert_eq!(naps.next(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is waited for before `next`"]
pub struct Timeout<I> {
    outcomes: I,
    deadline: Option<Instant>,
    is_over: bool,
}

impl<I> Timeout<I> {
    pub(super) fn new(outcomes: I, timeout: Duration) -> Self {
        Timeout {
            outcomes,
            deadline: deadline_in(timeout),
            is_over: false,
        }
    }

    /// The outcomes that are still to come, without a time.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use std::time::Duration;
    /// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
    /// let mut naps = rt.map(nap, [200]).timeout(Duration::ZERO);
    /// assert!(naps.next().is_some_and(|outcome| outcome.is_err()));
    /// assert_eq!(naps.into_inner().next(), Some(Ok(())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> I {
        self.outcomes
    }
}

impl<I: Flow> Iterator for Timeout<I> {
    type Item = Result<I::Item, TimedOut>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.outcomes.next_until(self.deadline).transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<I: Flow> FusedIterator for Timeout<I> {}

/// What users call of [`Flow`].
macro_rules! flow_methods {
    ($example:literal) => {
        /// The next outcome, for which it waits at most `timeout`; `Ok(None)` after the last.
        /// Not counted is the time in which it pulls items, and waits for room to submit them.
        ///
        /// # Errors
        /// [`TimedOut`](crate::TimedOut) if none has come by then. All goes on.
        ///
        #[doc = $example]
        pub fn next_timeout(
            &mut self,
            timeout: std::time::Duration,
        ) -> Result<Option<<Self as Iterator>::Item>, crate::runtime::TimedOut> {
            $crate::runtime::flow::Flow::next_until(
                self,
                $crate::runtime::flow::deadline_in(timeout),
            )
        }

        /// The same outcomes with a time for all of them, from now on: see
        /// [`Timeout`](crate::Timeout).
        pub fn timeout(self, timeout: std::time::Duration) -> crate::runtime::Timeout<Self> {
            crate::runtime::Timeout::new(self, timeout)
        }

        /// Cancels what has not ended, and pulls no more items: what nobody has begun never
        /// is, what runs is asked to end ([`Handle::cancel`](crate::Handle::cancel)). The
        /// outcomes come all the same, [`Cancelled`](crate::TaskError::Cancelled) among them.
        pub fn cancel(&mut self) {
            $crate::runtime::flow::Flow::cancel_rest(self, crate::scheduler::Reach::Running);
        }

        /// As `cancel`; what still runs after `grace` is killed
        /// ([`Handle::cancel_within`](crate::Handle::cancel_within)).
        pub fn cancel_within(&mut self, grace: std::time::Duration) {
            $crate::runtime::flow::Flow::cancel_rest(self, crate::scheduler::Reach::Within(grace));
        }
    };
}
pub(super) use flow_methods;
