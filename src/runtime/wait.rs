//! Waiting for several handles without taking their outcomes.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::scheduler::{Ended, Outcome, about_to_wait};

use super::Handle;
use super::ends::Ends;
use super::flow::deadline_in;

/// What [`wait`] waits for.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::WaitFor;
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let tasks = [rt.spawn(|n: u32| 1 / n, 0), rt.spawn(|n: u32| n, 1)];
/// let waited = pinfold::wait(&tasks, WaitFor::FirstError, None);
/// assert!(waited.done.contains(&0)); // it has panicked
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// That any has ended.
    First,
    /// That any has ended with an error, or all have ended. An `Err` that a task returns is
    /// its value.
    FirstError,
    /// That all have ended.
    All,
}

/// How it stands when [`wait`] returns: each handle is named in one of the two, by where it
/// is among the handles.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let tasks = [rt.spawn(|n: u32| n, 1)];
/// let waited: pinfold::Waited = pinfold::wait(&tasks, pinfold::WaitFor::All, None);
/// assert_eq!((&waited.done[..], &waited.not_done[..]), (&[0][..], &[][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Those that have ended, in the order in which they have.
    pub done: Vec<usize>,
    /// Those that have not, in the order of the handles.
    pub not_done: Vec<usize>,
}

/// Waits for tasks, as long as `until` and `timeout` say (`None`: without end); says which have
/// ended. Their outcomes stay with the handles. One whose outcome was taken has ended.
///
/// The handles may be of different runtimes. To go through many as they end there is
/// [`as_completed`](crate::as_completed): this looks at all handles each time.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::{WaitFor, wait};
/// use std::time::Duration;
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
/// let tasks = [1_000, 1].map(|ms| rt.spawn(nap, ms));
/// let waited = wait(&tasks, WaitFor::First, Some(Duration::from_secs(60)));
/// assert_eq!(waited.done, [1]);
/// for late in waited.not_done {
///     tasks[late].cancel();
/// }
/// # Ok(())
/// # }
/// ```
pub fn wait<R>(handles: &[Handle<R>], until: WaitFor, timeout: Option<Duration>) -> Waited {
    wait_by(handles, until, timeout).0
}

/// The same, and the first that has ended with an error.
pub(super) fn wait_by<R>(
    handles: &[Handle<R>],
    until: WaitFor,
    timeout: Option<Duration>,
) -> (Waited, Option<usize>) {
    let deadline = timeout.and_then(deadline_in);
    let mut tally = Tally {
        until,
        has_ended: vec![false; handles.len()],
        done: Vec::new(),
        is_met: handles.is_empty(),
        failed: None,
    };
    let mut ends = Ends::default();
    let is_watched = (0..).zip(handles).all(|(tag, handle)| {
        let ticket = handle.ticket().into_iter().map(|ticket| (tag, ticket));
        ends.watch(handle.scheduler(), ticket)
    });
    if !is_watched {
        drop(ends);
        tally.follow(handles, deadline);
        return tally.waited(handles, false);
    }
    // In a process that was forked off there is no end to wait for: all have ended there.
    while !tally.is_met && !ends.are_elsewhere() {
        let mut ended: Vec<Ended> = Vec::new();
        ends.wait_until(&mut ended, deadline);
        if ended.is_empty() {
            break;
        }
        for Ended { tag, error } in ended {
            tally.note(tag as usize, error.is_some());
        }
    }
    let is_elsewhere = ends.are_elsewhere();
    tally.waited(handles, is_elsewhere)
}

/// Which have ended so far.
struct Tally {
    until: WaitFor,
    has_ended: Vec<bool>,
    done: Vec<usize>,
    is_met: bool,
    /// The first that has ended with an error.
    failed: Option<usize>,
}

impl Tally {
    fn note(&mut self, at: usize, is_error: bool) {
        self.has_ended[at] = true;
        self.done.push(at);
        if is_error {
            self.failed.get_or_insert(at);
        }
        self.is_met |= match self.until {
            WaitFor::First => true,
            WaitFor::FirstError => is_error,
            WaitFor::All => false,
        };
        self.is_met |= self.done.len() == self.has_ended.len();
    }

    /// Waits by followers, of which a task may have any number: for more than two threads that
    /// wait for the same at the same time.
    fn follow<R>(&mut self, handles: &[Handle<R>], deadline: Option<Instant>) {
        let (tell, told) = channel();
        for (at, handle) in handles.iter().enumerate() {
            let Some(ticket) = handle.ticket() else {
                let _ = tell.send((at, false));
                continue;
            };
            let was_taken = handle.scheduler().is_taken(ticket);
            let tell = tell.clone();
            let follower = move |outcome: &Arc<Outcome>| {
                let is_error = outcome.is_err() && !was_taken;
                let _ = tell.send((at, is_error));
            };
            let followed = handle.scheduler().follow(ticket, Box::new(follower));
            if let Err((follower, outcome)) = followed {
                follower(&outcome);
            }
        }
        about_to_wait();
        while !self.is_met {
            let next = match deadline {
                None => told.recv().ok(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    told.recv_timeout(left).ok()
                }
            };
            let Some((at, is_error)) = next else {
                return;
            };
            self.note(at, is_error);
        }
        // Those that have ended just as well.
        told.try_iter()
            .for_each(|(at, is_error)| self.note(at, is_error));
    }

    fn waited<R>(self, handles: &[Handle<R>], is_elsewhere: bool) -> (Waited, Option<usize>) {
        let Tally {
            has_ended,
            mut done,
            failed,
            ..
        } = self;
        let mut not_done = Vec::new();
        for at in (0..handles.len()).filter(|at| !has_ended[*at]) {
            if is_elsewhere || handles[at].ticket().is_none() {
                done.push(at);
            } else {
                not_done.push(at);
            }
        }
        (Waited { done, not_done }, failed)
    }
}
