//! When waiting work is worth waking an executor.

/// Waiting work that is worth waking somebody for, in ns.
pub(super) const WORTH_WAKING_NS: u64 = 30_000;

/// Whether somebody is to be woken for so many tasks, each of which takes so long; 0: that is
/// not known.
#[inline]
pub(super) fn is_worth_waking(tasks: u64, grain_ns: u64) -> bool {
    tasks > 0 && (grain_ns == 0 || tasks.saturating_mul(grain_ns) >= WORTH_WAKING_NS)
}
