//! Who waits for what.

use std::time::Duration;

use serde::Serialize;

use crate::channel::{Traffic, traffic};
use crate::object::{Wait, What, shown};
use crate::prim::atomic::Ordering;
use crate::prim::{Hint, TaskId};
use crate::scheduler::Scheduler;
use crate::sys::clock;

/// Somebody who waits for a shared object, a channel for instance; part of
/// [`Stats`](crate::Stats).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::channel::Receiver;
///
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let (sender, receiver) = rt.channel::<u64>(8)?;
/// let task = rt.spawn(|receiver: Receiver<u64>| receiver.iter().sum::<u64>(), receiver);
/// let wait: pinfold::WaitStats = loop {
///     if let [wait] = &rt.stats().waits[..] {
///         break wait.clone(); // the task sleeps
///     }
/// };
/// assert_eq!((wait.worker, wait.what.as_str()), (Some(0), "a message"));
/// assert_eq!((wait.len, wait.capacity), (Some(0), Some(8)));
/// assert_eq!(wait.task, task.id());
/// drop(sender);
/// task.join()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WaitStats {
    /// In which worker; `None`: in the host.
    pub worker: Option<u32>,
    /// What the thread is called, in the host.
    pub thread: Option<String>,
    /// In which task.
    pub task: Option<TaskId>,
    /// What the function of the host's task is called.
    pub name: Option<String>,
    /// What it waits for: `a message`, `room in a channel`, …
    pub what: String,
    /// The number of the object: the same for all that wait for the same.
    pub object: Option<u32>,
    /// Of a channel: how many messages are in it.
    pub len: Option<u64>,
    /// Of a channel: how many fit.
    pub capacity: Option<u64>,
    /// Of a channel: how many messages were sent before this moment. That one is sent next.
    pub sent: Option<u64>,
    /// Of a channel: how many messages were received before this moment. That one is received next.
    pub received: Option<u64>,
    /// How long it has waited.
    pub waited: Duration,
}

/// All who wait, the longest wait first.
pub fn read(scheduler: &Scheduler) -> Vec<WaitStats> {
    let fold = scheduler.fold();
    let (pool, now) = (scheduler.pool(), clock::now());
    let of = |what: What, block: u64, since: u64| {
        let object = block.checked_sub(1).and_then(|n| u32::try_from(n).ok());
        let traffic = object.and_then(|number| traffic(pool, number));
        let number = |of: fn(&Traffic) -> u64| traffic.as_ref().map(of);
        WaitStats {
            what: what.as_str().to_owned(),
            object,
            len: number(|t| t.len),
            capacity: number(|t| t.capacity),
            sent: number(|t| t.sent),
            received: number(|t| t.received),
            waited: Duration::from_nanos(now.saturating_sub(since)),
            ..WaitStats::default()
        }
    };
    let mut waits = Vec::new();
    for (executor, record) in fold.executors.iter().enumerate() {
        let doing = &record.doing;
        let [what, block, since] = doing.waits.read();
        let Some(what) = What::of(what) else { continue };
        // Relaxed: it is shown, not believed.
        let (top, current) = (
            doing.top.load(Ordering::Relaxed),
            doing.current.load(Ordering::Relaxed),
        );
        let task = Hint::unpack(if top == 0 { current } else { top });
        let name = scheduler.name_in(Hint::unpack(current));
        waits.push(WaitStats {
            worker: Some(fold.plan.shape.worker_of(executor) as u32),
            task: Some(TaskId::of(task)),
            name: name.map(str::to_owned),
            ..of(what, block, since)
        });
    }
    // The list of a process that was forked off is that of its parent, held perhaps at the fork.
    let threads = match scheduler.is_elsewhere() {
        true => Vec::new(),
        false => shown(),
    };
    let here = pool.identity();
    for (thread, wait) in threads {
        let Wait {
            what, block, since, ..
        } = wait;
        if wait.pool == here || wait.pool == 0 {
            waits.push(WaitStats {
                thread: Some(thread),
                ..of(what, u64::from(block), since)
            });
        }
    }
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.waited));
    waits
}
