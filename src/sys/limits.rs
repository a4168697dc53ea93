//! Limits of whoever started this process (`ulimit`), as far as they are in the way.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// The longest a file may be, in bytes (`ulimit -f`); `None`: as long as it likes.
pub fn file_size_limit() -> Option<u64> {
    soft(Resource::RLIMIT_FSIZE, "Max file size")
}

/// How much more may be mapped, in bytes (`ulimit -v`); `None`: as much as there are
/// addresses.
pub fn address_space_left() -> Option<u64> {
    let limit = soft(Resource::RLIMIT_AS, "Max address space")?;
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    Some(limit.saturating_sub(used))
}

/// How many descriptors this process may have (`ulimit -n`).
pub fn descriptor_limit() -> u64 {
    soft(Resource::RLIMIT_NOFILE, "Max open files").unwrap_or(u64::MAX)
}

/// How many processes and threads this process's user may have (`ulimit -u`); `None`: any
/// number, as root may.
pub fn process_limit() -> Option<u64> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    soft(Resource::RLIMIT_NPROC, "Max processes")
}

/// A limit, and what `/proc` calls it: a sandbox may refuse the system call, and the limit holds
/// all the same.
fn soft(resource: Resource, name: &str) -> Option<u64> {
    match getrlimit(resource) {
        Ok((soft, _)) => (soft != RLIM_INFINITY).then_some(soft),
        Err(_) => listed(&std::fs::read_to_string("/proc/self/limits").ok()?, name),
    }
}

/// The soft limit of this name; `None`: there is none.
fn listed(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_the_call_says() {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
        let all = [
            (Resource::RLIMIT_FSIZE, "Max file size"),
            (Resource::RLIMIT_AS, "Max address space"),
            (Resource::RLIMIT_NOFILE, "Max open files"),
            (Resource::RLIMIT_NPROC, "Max processes"),
        ];
        for (resource, name) in all {
            assert!(limits.contains(name), "{name}");
            assert_eq!(listed(&limits, name), soft(resource, name), "{name}");
        }
        let line = "Max file size             22528                unlimited            bytes";
        assert_eq!(listed(line, "Max file size"), Some(22528));
    }
}
