//! A snapshot of numbers.
//!
//! What comes from shared memory may be anything, if a worker has gone wild: it is
//! added up with saturation, and never used as an index.

use serde::Serialize;

use crate::layout::{ExecutorRecord, Fold};
use crate::pool::ClassUse;
use crate::prim::Priority;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::scheduler::{Counters, ProfileSummary, Snapshot};
use crate::supervise::{LogCounts, WorkerInfo};
use crate::sys::usage::resident_bytes;

use super::core::Core;
use super::waits::{self, WaitStats};

/// What a runtime did and does; made by [`Runtime::stats`](crate::Runtime::stats).
///
/// Reading it stops nobody. What belongs to tasks and queues is read at one moment; what
/// the workers count themselves is as they last wrote it.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let stats = rt.stats();
/// assert_eq!(stats.workers.len(), 1);
/// assert_eq!(stats.restarts, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// How often each thing happened to a task.
    pub tasks: Counters,
    /// Workers that ended and were replaced.
    pub restarts: u64,
    /// Times the whole fold was built anew, because its memory was damaged.
    pub rebuilds: u64,
    /// Who waits for a shared object, for a message say, at this moment; the longest wait first.
    /// Threads that tasks have started, and futures, are not among them.
    pub waits: Vec<WaitStats>,
    /// Why no worker can be started, as long as tasks are refused for that
    /// ([`TaskError::NoWorkers`](crate::TaskError::NoWorkers)).
    pub no_workers: Option<String>,
    /// Per worker.
    pub workers: Vec<WorkerStats>,
    /// What the workers' numbers add up to.
    pub totals: Totals,
    /// Per queue: that of all tasks first, then the inbox of each executor, then the lane
    /// of each priority but the normal one.
    pub queues: Vec<QueueStats>,
    /// Per size class of buffers of which there are any, the smallest first; those of
    /// sizes of their own come last.
    pub pool: Vec<ClassStats>,
    /// What came of the workers' log events.
    pub logs: LogStats,
    /// The profile in short, if there is one; see [`Runtime::profile`](crate::Runtime::profile).
    pub profile: Option<ProfileSummary>,
    /// Bytes of memory behind the segment now.
    pub memory_resident: u64,
    /// Bytes the buffers may take in all.
    pub memory_cap: u64,
    /// Blocks in use, over all processes: writable; the memory of channels among them.
    pub blocks_loaned: u64,
    /// Blocks in use: read-only.
    pub blocks_shared: u64,
    /// Blocks in use: in results not yet collected.
    pub blocks_carried: u64,
}

/// What a worker does now.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// rt.spawn(|(): ()| (), ()).join()?;
/// while rt.stats().workers[0].state != pinfold::Activity::Sleeping {
///     std::thread::yield_now(); // nothing to do: soon it sleeps
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
    /// It has not begun to work, or has ended.
    #[default]
    Starting,
    /// It has nothing to do, and will be woken.
    Sleeping,
    /// It looks for work.
    Searching,
    /// It runs a task, or is about to.
    Running,
}

/// One worker's numbers; sums over its executors, earlier incarnations included.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// rt.spawn(|n: u32| n, 1).join()?;
/// let worker: &pinfold::WorkerStats = &rt.stats().workers[0];
/// assert!(worker.pid > 0 && worker.run <= 1 && worker.resident > 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process number, 0 while it is being replaced.
    pub pid: i32,
    /// What it does; with several executors, what the busiest of them does.
    pub state: Activity,
    /// Whether each of its executors is pinned to a CPU.
    pub pinned: bool,
    /// Per executor: the CPU it is pinned to.
    pub cpus: Vec<Option<u32>>,
    /// How often it was replaced.
    pub restarts: u64,
    /// Tasks run.
    pub run: u64,
    /// Of these, tasks taken from another's queue.
    pub stolen: u64,
    /// Per executor: how many tasks wait in its inbox.
    pub queued: Vec<u64>,
    /// Times an executor went to sleep.
    pub sleeps: u64,
    /// Log events that were dropped, because the host did not read as fast as it wrote.
    pub logs_dropped: u64,
    /// The process number of its [keeper](crate::Builder::keepers), 0 if it has none: a process
    /// of the same memory, which whoever adds up processes should leave out.
    pub keeper: i32,
    /// Tasks that panicked in it, with those that tasks have [spawned](crate::spawn).
    pub task_panics: u64,
    /// Panics on threads that its tasks have started. Each is also told on its standard
    /// error, as in any program, and to the host's subscriber.
    pub thread_panics: u64,
    /// Bytes of memory behind the process now (RSS), shared memory that it has touched
    /// included; 0 while it is being replaced.
    pub resident: u64,
}

/// Sums over all workers; part of [`Stats`]. A sum that does not fit is the greatest
/// number there is.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let totals: pinfold::Totals = rt.stats().totals;
/// assert_eq!((totals.run, totals.queued), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Tasks run.
    pub run: u64,
    /// Of these, tasks taken from another's queue.
    pub stolen: u64,
    /// Tasks that wait in inboxes.
    pub queued: u64,
    /// Times an executor went to sleep.
    pub sleeps: u64,
    /// Log events that were dropped.
    pub logs_dropped: u64,
    /// Tasks that panicked, with those that tasks have [spawned](crate::spawn).
    pub task_panics: u64,
    /// Panics on threads that tasks have started.
    pub thread_panics: u64,
    /// Bytes of memory behind the workers' processes; what several of them share counts
    /// several times.
    pub resident: u64,
}

/// One queue; part of [`Stats`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(10).start()?;
/// let tasks: &pinfold::QueueStats = &rt.stats().queues[0];
/// assert_eq!((tasks.executor, tasks.size, tasks.capacity), (None, 0, 10));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Whose inbox it is; `None`: nobody's.
    pub executor: Option<u32>,
    /// Tasks of which priority wait in it; `None`: it is an inbox, or, of no executor, the
    /// queue of all tasks in flight.
    pub priority: Option<Priority>,
    /// Entries in it now.
    pub size: u64,
    /// Entries it has room for.
    pub capacity: u64,
    /// Entries thrown away. Of tasks: none ever. Of an inbox: hints that this executor
    /// has read, there or in a lane, and that no longer held.
    pub dropped: u64,
    /// Entries not accepted: see [`Counters::refused`]. An inbox or a lane refuses none:
    /// what does not fit goes elsewhere.
    pub refused: u64,
}

/// Buffers of one size class; part of [`Stats`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let _buffer = rt.alloc(1000)?;
/// let class: &pinfold::ClassStats = &rt.stats().pool[0];
/// assert_eq!((class.block_bytes, class.in_use), (Some(1024), 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of each buffer; `None`: large ones, of which each has its own size.
    pub block_bytes: Option<u64>,
    /// Buffers, in use or ready to be.
    pub blocks: u64,
    /// Buffers in use.
    pub in_use: u64,
    /// Bytes that all of them take.
    pub bytes: u64,
}

/// What came of the events that tasks have logged by `tracing` or `log`; part of [`Stats`]. Of
/// those that a worker dropped see [`WorkerStats::logs_dropped`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let logs: pinfold::LogStats = rt.stats().logs;
/// assert_eq!(logs.received, 0); // this program has no subscriber
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogStats {
    /// Events that have arrived, and were passed to this process's subscriber or logger.
    pub received: u64,
    /// What has arrived and was no event: thrown away.
    pub invalid: u64,
}

impl Stats {
    pub(super) fn read(core: &Core) -> Self {
        let scheduler = core.present();
        if scheduler.is_elsewhere() {
            return Self::default();
        }
        let fold = scheduler.fold();
        let snapshot = scheduler.snapshot();
        let infos = core.commands.workers();
        let workers = infos.iter().enumerate();
        let workers: Vec<_> = workers
            .map(|(worker, info)| WorkerStats::read(worker, info, fold, &snapshot))
            .collect();
        let usage = scheduler.pool().usage();
        let [loaned, shared, carried] = usage.by_state.map(|n| n as u64);
        Stats {
            tasks: snapshot.counters,
            restarts: core.commands.restarts(),
            rebuilds: core.rebuilds(),
            waits: waits::read(&scheduler),
            no_workers: scheduler.why_no_workers(),
            totals: Totals::of(&workers),
            queues: queues(fold, &snapshot),
            workers,
            pool: usage.classes.iter().map(ClassStats::of).collect(),
            logs: LogStats::of(core.commands.logs()),
            profile: scheduler.profile().map(|profile| profile.summary()),
            memory_resident: fold.segment().resident().unwrap_or(0),
            memory_cap: scheduler.pool().capacity() as u64,
            blocks_loaned: loaned,
            blocks_shared: shared,
            blocks_carried: carried,
        }
    }
}

fn read(number: &AtomicU64) -> u64 {
    // Relaxed: plain numbers of one writer each.
    number.load(Ordering::Relaxed)
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl WorkerStats {
    fn read(worker: usize, info: &WorkerInfo, fold: &Fold, snapshot: &Snapshot) -> Self {
        let threads = fold.plan.shape.threads as usize;
        let mut stats = WorkerStats {
            pid: info.pid,
            restarts: info.restarts,
            resident: resident_bytes(info.pid),
            ..WorkerStats::default()
        };
        let first = &fold.executors[worker * threads].status;
        if info.pid != 0 {
            // Relaxed: it is shown, not believed.
            let keeper = first.keeper.load(Ordering::Relaxed);
            stats.keeper = i32::try_from(keeper).unwrap_or(0);
        }
        for executor in worker * threads..(worker + 1) * threads {
            let record = &fold.executors[executor];
            let status = &record.status;
            add(&mut stats.run, read(&status.run));
            add(&mut stats.stolen, read(&status.stolen));
            add(&mut stats.sleeps, read(&status.sleeps));
            add(&mut stats.logs_dropped, read(&status.logs_dropped));
            add(&mut stats.task_panics, read(&status.task_panics));
            add(&mut stats.thread_panics, read(&status.thread_panics));
            let queued = snapshot.inboxes.get(executor).copied();
            stats.queued.push(queued.unwrap_or(0));
            let cpu = read(&status.cpu).checked_sub(1);
            stats.cpus.push(cpu.and_then(|cpu| u32::try_from(cpu).ok()));
            if info.pid != 0 {
                stats.state = stats.state.max(activity(fold, executor, record));
            }
        }
        stats.pinned = stats.cpus.iter().all(Option::is_some);
        stats
    }
}

fn activity(fold: &Fold, executor: usize, record: &ExecutorRecord) -> Activity {
    let member = executor as u32;
    if read(&record.status.online) != 1 {
        Activity::Starting
    } else if fold.crowd.sleeping.contains(member) {
        Activity::Sleeping
    } else if fold.crowd.searching.contains(member) {
        Activity::Searching
    } else {
        Activity::Running
    }
}

impl Totals {
    fn of(workers: &[WorkerStats]) -> Self {
        let mut totals = Totals::default();
        for worker in workers {
            add(&mut totals.run, worker.run);
            add(&mut totals.stolen, worker.stolen);
            add(&mut totals.sleeps, worker.sleeps);
            add(&mut totals.logs_dropped, worker.logs_dropped);
            add(&mut totals.task_panics, worker.task_panics);
            add(&mut totals.thread_panics, worker.thread_panics);
            add(&mut totals.resident, worker.resident);
            for queued in &worker.queued {
                add(&mut totals.queued, *queued);
            }
        }
        totals
    }
}

fn queues(fold: &Fold, snapshot: &Snapshot) -> Vec<QueueStats> {
    let tasks = QueueStats {
        executor: None,
        priority: None,
        size: snapshot.counters.in_flight,
        capacity: snapshot.capacity,
        dropped: 0,
        refused: snapshot.counters.refused,
    };
    let capacity = fold.plan.shape.ring_capacity() as u64;
    let inbox = |(executor, size): (usize, &u64)| QueueStats {
        executor: Some(executor as u32),
        priority: None,
        size: *size,
        capacity,
        dropped: read(&fold.executors[executor].status.stale),
        refused: 0,
    };
    let inboxes = snapshot.inboxes.iter().enumerate().map(inbox);
    let lanes = snapshot.lanes.iter().map(|(level, size)| QueueStats {
        priority: Some(*level),
        size: *size,
        capacity,
        ..QueueStats::default()
    });
    std::iter::once(tasks).chain(inboxes).chain(lanes).collect()
}

impl ClassStats {
    fn of(class: &ClassUse) -> Self {
        ClassStats {
            block_bytes: Some(class.size as u64).filter(|size| *size > 0),
            blocks: class.blocks as u64,
            in_use: class.in_use as u64,
            bytes: class.bytes as u64,
        }
    }
}

impl LogStats {
    fn of(counts: &LogCounts) -> Self {
        let (received, invalid) = counts.read();
        LogStats { received, invalid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker may have written anything where it counts.
    #[test]
    fn sums_of_what_makes_no_sense_are_the_greatest_there_is() {
        let wild = WorkerStats {
            run: u64::MAX,
            stolen: 1 << 63,
            logs_dropped: u64::MAX,
            queued: vec![u64::MAX, 1],
            ..WorkerStats::default()
        };
        let totals = Totals::of(&[wild.clone(), wild]);
        assert_eq!((totals.run, totals.stolen), (u64::MAX, u64::MAX));
        assert_eq!((totals.queued, totals.logs_dropped), (u64::MAX, u64::MAX));
        assert_eq!((totals.sleeps, totals.resident), (0, 0));
    }
}
