//! Looking at processes from outside, through /proc.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Everything that counts as "at once" for a person must be over by then; on a
/// busy machine a little later.
pub const SOON: Duration = Duration::from_secs(20);

/// The parent and the state of a process, if there is one.
fn parent_and_state(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&child| parent_and_state(child).is_some_and(|(parent, _)| parent == pid))
        .collect()
}

/// The children of the children: the zygote's children are the workers, and who keeps
/// their memory.
pub fn grandchildren(host: u32) -> Vec<u32> {
    children(host).into_iter().flat_map(children).collect()
}

/// The workers of a host.
pub fn workers(host: u32) -> Vec<u32> {
    let all = grandchildren(host).into_iter();
    all.filter(|&pid| !is_keeper(pid)).collect()
}

/// Those who keep the memory of the workers of a zygote.
pub fn keepers(zygote: u32) -> Vec<u32> {
    let all = children(zygote).into_iter();
    all.filter(|&pid| is_keeper(pid)).collect()
}

fn is_keeper(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "pinfold-keeper\n")
}

/// Whether there is such a process, be it a zombie.
pub fn exists(pid: u32) -> bool {
    parent_and_state(pid).is_some()
}

/// The parent of a process that lives.
pub fn parent(pid: u32) -> u32 {
    parent_and_state(pid).expect("alive").0
}

/// True if a process runs (a zombie does not).
pub fn runs(pid: u32) -> bool {
    parent_and_state(pid).is_some_and(|(_, state)| state != 'Z' && state != 'X')
}

/// True if a process catches `signal`.
pub fn catches(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    caught & (1 << (signal.as_raw() - 1)) != 0
}

/// Sends a signal; one that comes too late is no matter.
pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// Waits until `is` is true; panics with `what` if that is not soon.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < SOON, "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
