//! What a process or thread has used of time and memory.

use nix::sys::resource::{UsageWho, getrusage};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of memory behind process `pid` now, shared ones included; 0 if it is gone.
pub fn resident_bytes(pid: i32) -> u64 {
    if pid <= 0 {
        return 0;
    }
    std::fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| {
            pages.saturating_mul(rustix::param::page_size() as u64)
        })
}

/// The clock that all processes of the machine share, in ns.
#[inline]
pub fn monotonic_ns() -> u64 {
    nanos(ClockId::Monotonic)
}

/// CPU time of the calling thread, in ns.
#[inline]
pub fn thread_cpu_ns() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec as u64)
}

/// The most memory that was ever behind the calling process, in bytes.
pub fn peak_resident_bytes() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        // Linux counts in KiB.
        u64::try_from(usage.max_rss())
            .unwrap_or(0)
            .saturating_mul(1024)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_plausible() {
        let own = std::process::id() as i32;
        let resident = resident_bytes(own);
        assert!(resident > 100_000, "{resident} bytes");
        assert_eq!((resident_bytes(0), resident_bytes(i32::MAX)), (0, 0));
        let (before, cpu) = (monotonic_ns(), thread_cpu_ns());
        let peak = peak_resident_bytes();
        let touched = vec![1u8; 64 << 20];
        assert!(peak_resident_bytes() >= peak.max(touched.len() as u64));
        assert!(monotonic_ns() > before && thread_cpu_ns() > cpu);
    }
}
