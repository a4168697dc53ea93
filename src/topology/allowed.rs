//! Which CPUs the calling thread may run on, and CPU lists as text.

use std::fs;
use std::ops::RangeInclusive;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::CpuId;

/// No kernel numbers CPUs beyond this; a list that does is not a CPU list.
const CPU_ID_MAX: u32 = 65_535;

/// The CPUs the calling thread may run on, ascending; never empty.
///
/// This is the affinity mask, which already reflects `taskset`, containers and
/// cpuset cgroups. Cheap (one system call), so it can be asked again after the
/// mask may have changed. A child process inherits the mask of the thread that
/// forks it: ask from that thread, before pinning it.
///
/// ```
/// let cpus = pinfold::topology::allowed_cpus();
/// assert!(cpus.is_sorted() && !cpus.is_empty());
/// ```
#[must_use]
pub fn allowed_cpus() -> Vec<CpuId> {
    affinity_mask()
        .or_else(affinity_text)
        .filter(|cpus| !cpus.is_empty())
        // Without a working /proc all we know is that we are running somewhere.
        .unwrap_or_else(|| vec![CpuId(0)])
}

/// By system call. `None` where the kernel's mask is larger than the C
/// library's fixed 1024 bits: the kernel then refuses with EINVAL.
fn affinity_mask() -> Option<Vec<CpuId>> {
    let mask = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let is_set = |cpu: &usize| mask.is_set(*cpu).unwrap_or(false);
    (0..CpuSet::count())
        .filter(is_set)
        .map(|cpu| u32::try_from(cpu).ok().map(CpuId))
        .collect()
}

/// By text, which has no upper bound on CPU numbers.
fn affinity_text() -> Option<Vec<CpuId>> {
    parse_status(&fs::read_to_string("/proc/thread-self/status").ok()?)
}

/// Finds the mask in the text of `/proc/.../status`.
pub(super) fn parse_status(status: &str) -> Option<Vec<CpuId>> {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    parse_cpu_list(list.trim())
}

/// Parses the kernel's list form: `0-3,8,10-11`. `None` when it is not one.
pub(super) fn parse_cpu_list(list: &str) -> Option<Vec<CpuId>> {
    let ranges: Option<Vec<_>> = list.split(',').map(parse_range).collect();
    Some(ranges?.into_iter().flatten().map(CpuId).collect())
}

fn parse_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last <= CPU_ID_MAX).then_some(first..=last)
}

/// Writes ascending CPUs in the kernel's list form; the inverse of
/// [`parse_cpu_list`].
pub(super) fn cpu_list(cpus: &[CpuId]) -> String {
    let runs = cpus.chunk_by(|a, b| a.0 + 1 == b.0);
    let run_text = |run: &[CpuId]| match run {
        [] => String::new(),
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
    };
    runs.map(run_text).collect::<Vec<_>>().join(",")
}
