//! A snapshot of numbers.

use serde::Serialize;

use crate::prim::atomic::Ordering;
use crate::scheduler::Counters;

use super::core::Core;

/// What a runtime did and does; made by [`Runtime::stats`](crate::Runtime::stats).
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
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// How often each thing happened to a task.
    pub tasks: Counters,
    /// Workers that ended and were replaced.
    pub restarts: u64,
    /// Times the whole fold was built anew, because its memory was damaged.
    pub rebuilds: u64,
    /// Per worker.
    pub workers: Vec<WorkerStats>,
    /// Bytes of memory behind the segment now.
    pub memory_resident: u64,
    /// Bytes the buffers may take in all.
    pub memory_cap: u64,
    /// Blocks in use, over all processes: writable.
    pub blocks_loaned: u64,
    /// Blocks in use: read-only.
    pub blocks_shared: u64,
    /// Blocks in use: in results not yet collected.
    pub blocks_carried: u64,
}

/// One worker's numbers; sums over its executors.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// rt.spawn(|n: u32| n, 1).join()?;
/// let worker: &pinfold::WorkerStats = &rt.stats().workers[0];
/// assert!(worker.pid > 0 && worker.run <= 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process number, 0 while it is being replaced.
    pub pid: i32,
    /// How often it was replaced.
    pub restarts: u64,
    /// Tasks run, earlier incarnations included.
    pub run: u64,
    /// Of these, tasks taken from another's queue.
    pub stolen: u64,
    /// Times an executor went to sleep.
    pub sleeps: u64,
    /// Per executor: the CPU it is pinned to.
    pub cpus: Vec<Option<u32>>,
}

impl Stats {
    pub(super) fn read(core: &Core) -> Self {
        let scheduler = core.present();
        let fold = scheduler.fold();
        let threads = fold.plan.shape.threads as usize;
        let workers = core.commands.workers();
        let workers = workers.iter().enumerate().map(|(worker, info)| {
            let mut stats = WorkerStats {
                pid: info.pid,
                restarts: info.restarts,
                ..WorkerStats::default()
            };
            for record in &fold.executors[worker * threads..(worker + 1) * threads] {
                // Relaxed: plain numbers of one writer each.
                let read = |n: &crate::prim::atomic::AtomicU64| n.load(Ordering::Relaxed);
                stats.run += read(&record.status.run);
                stats.stolen += read(&record.status.stolen);
                stats.sleeps += read(&record.status.sleeps);
                let cpu = read(&record.status.cpu);
                stats.cpus.push(cpu.checked_sub(1).map(|cpu| cpu as u32));
            }
            stats
        });
        let [loaned, shared, carried] = scheduler.pool().in_use().map(|n| n as u64);
        Stats {
            tasks: scheduler.counters(),
            restarts: core.commands.restarts(),
            rebuilds: core.rebuilds(),
            workers: workers.collect(),
            memory_resident: fold.segment().resident().unwrap_or(0),
            memory_cap: scheduler.pool().capacity() as u64,
            blocks_loaned: loaned,
            blocks_shared: shared,
            blocks_carried: carried,
        }
    }
}
