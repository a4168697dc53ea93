//! Limits of whoever started this process (`ulimit`), as far as they are in the way.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// The longest a file may be, in bytes (`ulimit -f`); `None`: as long as it likes.
pub fn file_size_limit() -> Option<u64> {
    soft(Resource::RLIMIT_FSIZE)
}

/// How much more may be mapped, in bytes (`ulimit -v`); `None`: as much as there are
/// addresses.
pub fn address_space_left() -> Option<u64> {
    let limit = soft(Resource::RLIMIT_AS)?;
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    Some(limit.saturating_sub(used))
}

/// How many descriptors this process may have (`ulimit -n`).
pub fn descriptor_limit() -> u64 {
    soft(Resource::RLIMIT_NOFILE).unwrap_or(u64::MAX)
}

/// How many processes and threads this process's user may have (`ulimit -u`); `None`: any
/// number, as root may.
pub fn process_limit() -> Option<u64> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    soft(Resource::RLIMIT_NPROC)
}

fn soft(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}
