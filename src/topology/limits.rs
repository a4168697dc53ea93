//! How much of the machine this process may use, beyond which CPUs.

use std::cell::OnceCell;

use crate::sys::{limits, read_text};

use super::allowed::allowed_cpus;
use super::cgroup::Cgroups;

/// This process's share of the machine, found out once, as far as it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Share {
    groups: OnceCell<Cgroups>,
}

impl Share {
    fn groups(&self) -> &Cgroups {
        self.groups.get_or_init(Cgroups::of_this_process)
    }

    /// See [`default_workers`].
    pub fn default_workers(&self) -> usize {
        worker_count(allowed_cpus().len(), self.groups().cpu_quota())
    }

    /// See [`memory_limit_bytes`].
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        let machine = read_text("/proc/meminfo").ok();
        let machine = machine.as_deref().and_then(parse_mem_total);
        let group = self.groups().memory_limit_bytes();
        machine.into_iter().chain(group).min()
    }

    /// How many processes and threads there may be here, with those of others of the same user
    /// or control group. `None` when nothing limits them, or it cannot be read.
    pub fn process_limit(&self) -> Option<u64> {
        let group = self.groups().process_limit();
        limits::process_limit().into_iter().chain(group).min()
    }
}

/// The CPU time this process may use, in CPUs: 1.5 is one and a half. `None`
/// when no control group limits it or none can be read.
///
/// A container given "2 CPUs" usually still sees every CPU of the machine in its
/// affinity mask; only this number tells. Running more busy threads than it
/// allows gets all of them stopped for a part of every period.
///
/// ```
/// assert!(pinfold::topology::cpu_quota().is_none_or(|cpus| cpus > 0.0));
/// ```
#[must_use]
pub fn cpu_quota() -> Option<f64> {
    Cgroups::of_this_process().cpu_quota()
}

/// The memory this process may use, in bytes: the machine's, or less when a
/// control group limits it. `None` when neither can be read.
///
/// ```
/// if let Some(bytes) = pinfold::topology::memory_limit_bytes() {
///     println!("at most {} MiB", bytes >> 20);
/// }
/// ```
#[must_use]
pub fn memory_limit_bytes() -> Option<u64> {
    Share::default().memory_limit_bytes()
}

/// Number of workers that fills this process's share of the machine: one per
/// allowed CPU, no more than the CPU quota pays for, at least one. Cheap, and
/// the same number [`Topology::default_workers`](super::Topology::default_workers)
/// gives.
///
/// ```
/// let workers = pinfold::topology::default_workers();
/// assert!(workers >= 1 && workers <= pinfold::topology::allowed_cpus().len());
/// ```
#[must_use]
pub fn default_workers() -> usize {
    Share::default().default_workers()
}

/// The arithmetic of [`default_workers`]. A part of a CPU counts as a whole
/// one, since rounding down would leave paid time unused.
///
/// ```
/// use pinfold::topology::worker_count;
/// assert_eq!(worker_count(8, None), 8);
/// assert_eq!(worker_count(8, Some(2.5)), 3);
/// assert_eq!(worker_count(8, Some(0.2)), 1);
/// ```
#[must_use]
pub fn worker_count(cpus: usize, quota: Option<f64>) -> usize {
    // Float to integer casts saturate, so a nonsense quota cannot overflow.
    let paid = quota.map_or(usize::MAX, |quota| quota.ceil() as usize);
    cpus.min(paid).max(1)
}

/// `MemTotal` from the text of `/proc/meminfo`, in bytes.
pub(super) fn parse_mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
