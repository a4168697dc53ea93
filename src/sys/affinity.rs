//! Which CPUs this thread may use, and binding it to one of them.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The CPUs the calling thread may run on, ascending.
pub fn allowed() -> Result<Vec<u32>, Errno> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .map(|cpu| cpu as u32)
        .collect())
}

/// The calling thread, as the kernel numbers threads.
pub fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw().unsigned_abs()
}

/// The CPU that the calling thread runs on; it may run on another a moment later.
pub fn current() -> Option<u32> {
    let cpu = nix::sched::sched_getcpu().ok()?;
    u32::try_from(cpu).ok()
}

/// Binds the calling thread to `cpu`.
///
/// `core_affinity` would widen the mask to a CPU outside of it and abort for
/// ids of 1024 and more; so the CPU is checked against the present mask first.
///
/// # Errors
/// `EINVAL` when `cpu` is not among the [`allowed`] CPUs.
pub fn pin(cpu: u32) -> Result<(), Errno> {
    let allowed = allowed()?;
    if allowed == [cpu] {
        return Ok(()); // whoever started us has seen to it
    }
    if !allowed.contains(&cpu) {
        return Err(Errno::EINVAL);
    }
    let id = core_affinity::CoreId { id: cpu as usize };
    if core_affinity::set_for_current(id) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Binds the only thread of process `pid`, a child that does not run yet, to `cpu`: that
/// costs less than to have it moved once it runs. A hint: the child pins itself.
pub fn place(pid: i32, cpu: u32) {
    let mut set = CpuSet::new();
    if set.set(cpu as usize).is_ok() {
        let _ = nix::sched::sched_setaffinity(Pid::from_raw(pid), &set);
    }
}

/// Lets process `pid` run wherever the calling thread may.
pub fn spread(pid: i32) {
    if let Ok(set) = sched_getaffinity(Pid::from_raw(0)) {
        let _ = nix::sched::sched_setaffinity(Pid::from_raw(pid), &set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::sched_setaffinity;

    fn spread(cpus: &[u32]) -> Result<(), Errno> {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            set.set(cpu as usize)?;
        }
        sched_setaffinity(Pid::from_raw(0), &set)
    }

    #[test]
    fn pins_inside_the_mask_only() {
        let before = allowed().expect("mask");
        let last = *before.last().expect("at least one CPU");
        pin(last).expect("pin");
        assert_eq!(allowed().expect("mask"), vec![last]);
        assert_eq!(pin(last + 1), Err(Errno::EINVAL), "outside the mask");
        assert_eq!(pin(5000), Err(Errno::EINVAL), "no such CPU");
        spread(&before).expect("spread");
        assert_eq!(allowed().expect("mask"), before);
    }
}
