//! What a runtime has done, and what there is of it now.

use pinfold::topology::Topology;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::edge::Out;
use crate::runtime::{PinfoldRuntime, fill, runtime as object_of};
use crate::told::{PinfoldText, tell_json};

/// Numbers of a runtime, since it was started where not said otherwise. Start from
/// `PINFOLD_STATS_INIT`. Fields may be added at the end; `size` says for which there is room.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PinfoldStats {
    /// `sizeof(pinfold_stats)`.
    pub size: usize,
    /// Tasks accepted.
    pub submitted: u64,
    /// Tasks whose function has returned, whatever it was.
    pub completed: u64,
    /// Of these, those that returned a number other than 0.
    pub returned_nonzero: u64,
    /// Tasks that ended because their worker died.
    pub died: u64,
    /// Runs repeated, because a worker died or by `pinfold_task_settings.retry`.
    pub repeated: u64,
    /// Tasks that ended by a deadline or their run limit.
    pub late: u64,
    /// Tasks that were cancelled, or a task that they depend on had no output.
    pub cancelled: u64,
    /// Tasks that ended in any other way.
    pub failed: u64,
    /// Of all these, those of whose end nobody was told.
    pub unobserved: u64,
    /// Tasks not accepted.
    pub refused: u64,
    /// Tasks in flight now.
    pub in_flight: u64,
    /// The most there may be.
    pub queue_capacity: u64,
    /// Worker processes that there are to be.
    pub workers: u64,
    /// Workers that are there now.
    pub workers_alive: u64,
    /// Threads that run tasks, in all workers.
    pub executors: u64,
    /// Workers that ended and were replaced.
    pub restarts: u64,
    /// Times the whole fold was built anew, because its memory was damaged.
    pub rebuilds: u64,
    /// Runs of tasks that workers have ended.
    pub run: u64,
    /// Of these, tasks taken from another's queue.
    pub stolen: u64,
    /// Times a thread went to sleep.
    pub sleeps: u64,
    /// Log events of tasks that were dropped.
    pub logs_dropped: u64,
    /// Bytes of memory behind the workers' processes now; what several share counts several times.
    pub resident: u64,
    /// Bytes of shared memory in use now, or kept for use.
    pub memory_resident: u64,
    /// Bytes that buffers may take in all.
    pub memory_cap: u64,
    /// Buffers in use now that one may write.
    pub buffers_writable: u64,
    /// Buffers in use now that are read-only.
    pub buffers_published: u64,
    /// Buffers in use now in results that nobody has taken.
    pub buffers_carried: u64,
    /// Hints that no longer held when they were read: of no harm.
    pub stale: u64,
    /// Things found in shared memory that no correct process writes.
    pub damage: u64,
}

impl From<&pinfold::Stats> for PinfoldStats {
    fn from(stats: &pinfold::Stats) -> Self {
        let (tasks, totals) = (&stats.tasks, &stats.totals);
        let executors: usize = stats.workers.iter().map(|worker| worker.cpus.len()).sum();
        PinfoldStats {
            size: 0,
            submitted: tasks.submitted,
            completed: tasks.completed,
            returned_nonzero: tasks.returned_err,
            died: tasks.died,
            repeated: tasks.repeated,
            late: tasks.late,
            cancelled: tasks.cancelled,
            failed: tasks.failed.saturating_add(tasks.panicked),
            unobserved: tasks.unobserved,
            refused: tasks.refused,
            in_flight: tasks.in_flight,
            queue_capacity: stats.queues.first().map_or(0, |queue| queue.capacity),
            workers: stats.workers.len() as u64,
            workers_alive: stats
                .workers
                .iter()
                .filter(|worker| worker.pid != 0)
                .count() as u64,
            executors: executors as u64,
            restarts: stats.restarts,
            rebuilds: stats.rebuilds,
            run: totals.run,
            stolen: totals.stolen,
            sleeps: totals.sleeps,
            logs_dropped: totals.logs_dropped,
            resident: totals.resident,
            memory_resident: stats.memory_resident,
            memory_cap: stats.memory_cap,
            buffers_writable: stats.blocks_loaned,
            buffers_published: stats.blocks_shared,
            buffers_carried: stats.blocks_carried,
            stale: tasks.stale,
            damage: tasks.damage,
        }
    }
}

/// What there is of a runtime's tasks and memory now, by state. Start from `PINFOLD_AUDIT_INIT`.
/// Fields may be added at the end; `size` says for which there is room.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PinfoldAudit {
    /// `sizeof(pinfold_audit)`.
    pub size: usize,
    /// What nobody alive owns: 0 at any time, whoever died, or a defect of the library.
    /// `pinfold_runtime_audit_json` has a text about each.
    pub orphans: u64,
    /// Slots without a task.
    pub slots_free: u64,
    /// Slots whose task nobody has begun.
    pub slots_queued: u64,
    /// Slots whose task is being run.
    pub slots_running: u64,
    /// Slots whose task has ended, and the host has not looked yet.
    pub slots_done: u64,
    /// Slots whose task waits for others, or for its next attempt.
    pub slots_waiting: u64,
    /// Blocks of shared memory that nobody uses.
    pub blocks_free: u64,
    /// Blocks that one process may write.
    pub blocks_writable: u64,
    /// Blocks that are read-only.
    pub blocks_published: u64,
    /// Blocks in results that nobody has taken.
    pub blocks_carried: u64,
    /// Blocks in which channels, and whatever else several processes write at once, have their state.
    pub blocks_lanes: u64,
    /// Blocks in messages that nobody has received.
    pub blocks_passing: u64,
}

impl From<&pinfold::Audit> for PinfoldAudit {
    fn from(audit: &pinfold::Audit) -> Self {
        PinfoldAudit {
            size: 0,
            orphans: audit.orphans.len() as u64,
            slots_free: audit.slots_free,
            slots_queued: audit.slots_queued,
            slots_running: audit.slots_running,
            slots_done: audit.slots_done,
            slots_waiting: audit.slots_waiting,
            blocks_free: audit.blocks_free,
            blocks_writable: audit.blocks_loaned,
            blocks_published: audit.blocks_shared,
            blocks_carried: audit.blocks_carried,
            blocks_lanes: audit.blocks_lanes,
            blocks_passing: audit.blocks_passing,
        }
    }
}

/// Writes a runtime's numbers to `*out_stats`, whose `size` says how long it is; that stays. Also
/// after its shutdown.
///
/// Any thread.
///
/// # Safety
///
/// `out_stats` is null or a `pinfold_stats` that nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_stats(
    runtime: *mut PinfoldRuntime,
    out_stats: *mut PinfoldStats,
) -> PinfoldStatus {
    guard(|| {
        let object = object_of(runtime)?;
        let told = || PinfoldStats::from(&object.runtime.stats());
        // SAFETY: the caller's promise.
        unsafe { fill("out_stats", out_stats, told) }
    })
}

/// The same and more, each worker and each queue by itself, as a JSON object: the fields of
/// `pinfold::Stats`.
///
/// The text is the caller's: free it with `pinfold_text_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_text` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_stats_json(
    runtime: *mut PinfoldRuntime,
    out_text: *mut *mut PinfoldText,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_text", out_text) };
    guard(|| tell_json(&out?, &object_of(runtime)?.runtime.stats()))
}

/// Counts what there is, and writes it to `*out_audit`, whose `size` says how long it is; that
/// stays. It reads all of it (some 10 µs or more): for tests, and for a look at a running service.
///
/// Any thread.
///
/// # Safety
///
/// `out_audit` is null or a `pinfold_audit` that nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_audit(
    runtime: *mut PinfoldRuntime,
    out_audit: *mut PinfoldAudit,
) -> PinfoldStatus {
    guard(|| {
        let object = object_of(runtime)?;
        let told = || PinfoldAudit::from(&object.runtime.audit());
        // SAFETY: the caller's promise.
        unsafe { fill("out_audit", out_audit, told) }
    })
}

/// The same and what each process owns, as a JSON object: the fields of `pinfold::Audit`.
///
/// The text is the caller's: free it with `pinfold_text_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_text` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_audit_json(
    runtime: *mut PinfoldRuntime,
    out_text: *mut *mut PinfoldText,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_text", out_text) };
    guard(|| tell_json(&out?, &object_of(runtime)?.runtime.audit()))
}

/// How long tasks have waited and run, by function, as a JSON object: the fields of
/// `pinfold::Profile`. Of no function unless `pinfold_config.profile` was set.
///
/// The text is the caller's: free it with `pinfold_text_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_text` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_profile_json(
    runtime: *mut PinfoldRuntime,
    out_text: *mut *mut PinfoldText,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_text", out_text) };
    guard(|| tell_json(&out?, &object_of(runtime)?.runtime.profile()))
}

/// The machine, as far as this process may use it: nodes, cores, caches, CPUs, limits. A JSON
/// object: the fields of `pinfold::topology::Topology`.
///
/// The text is the caller's: free it with `pinfold_text_free`.
///
/// Any thread.
///
/// # Safety
///
/// `out_text` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_topology_json(out_text: *mut *mut PinfoldText) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_text", out_text) };
    guard(|| tell_json(&out?, &Topology::read()))
}

/// Gives freed shared memory back to the system; `*out_bytes` is how much. It is otherwise kept
/// for reuse.
///
/// Any thread.
///
/// # Safety
///
/// `out_bytes` is null (it is not asked for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_trim_memory(
    runtime: *mut PinfoldRuntime,
    out_bytes: *mut u64,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_bytes", out_bytes) };
    guard(|| {
        let bytes = object_of(runtime)?.runtime.trim_memory();
        if let Ok(out) = out {
            out.write(bytes as u64);
        }
        Ok(())
    })
}

/// Cancels all tasks that nobody runs: those that are queued, wait for others or for their next
/// attempt. They end with `PINFOLD_STATUS_CANCELLED`; `*out_count` is how many. What runs is not told,
/// and what is submitted later is accepted.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null (it is not asked for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_cancel_pending(
    runtime: *mut PinfoldRuntime,
    out_count: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let count = object_of(runtime)?.runtime.cancel_pending();
        if let Ok(out) = out {
            out.write(count);
        }
        Ok(())
    })
}
