//! What the kernel knows of a process: its threads, descriptors, memory, children.

use std::fs;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What may take a moment after a wait that was answered (the kernel takes a thread or
/// a descriptor of another process down a little later than it says so).
pub const SOON: Duration = Duration::from_secs(20);

/// Some fields of a process's `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub state: char,
    pub parent: i32,
    pub session: i32,
}

pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        session: fields.nth(1)?.parse().ok()?,
    })
}

pub fn processes() -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Children of this process, those that have ended and were not reaped among them.
pub fn children() -> Vec<i32> {
    let me = std::process::id() as i32;
    let is_child = |pid: &i32| stat(*pid).is_some_and(|stat| stat.parent == me);
    processes().into_iter().filter(is_child).collect()
}

/// What a process has open or mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Holdings {
    pub descriptors: usize,
    pub threads: usize,
    pub mappings: usize,
    pub resident_kib: u64,
}

impl Holdings {
    /// Of process `pid`, which lives.
    pub fn of(pid: u32) -> Self {
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map(Iterator::count);
        let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).expect("alive");
        let resident = read("status").lines().find_map(|line| {
            let number = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            number.parse().ok()
        });
        Holdings {
            descriptors: count("fd").expect("alive"),
            threads: count("task").expect("alive"),
            mappings: read("maps").lines().count(),
            resident_kib: resident.expect("memory"),
        }
    }
}

/// The names in a folder, for comparison.
pub fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Waits until `is` says yes; false if that is not soon.
pub fn soon(mut is: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + SOON;
    while !is() {
        if Instant::now() > give_up {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A process of the fold. Process numbers are used again, so it is held by a descriptor
/// and looked at afterwards: a signal never hits a stranger.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    fn open(pid: i32, is_it: impl FnOnce(Stat) -> bool) -> Option<Self> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        stat(pid).filter(|stat| is_it(*stat)).map(|_| Process(fd))
    }

    /// A zygote: a child of ours.
    pub fn zygote(pid: i32) -> Option<Self> {
        let me = std::process::id() as i32;
        Process::open(pid, |stat| stat.parent == me)
    }

    /// A worker, and its zygote's number.
    pub fn worker(pid: i32) -> Option<(Self, i32)> {
        let zygote = stat(pid)?.parent;
        let me = std::process::id() as i32;
        let worker = Process::open(pid, |now| now.parent == zygote)?;
        let is_ours = stat(zygote).is_some_and(|stat| stat.parent == me);
        is_ours.then_some((worker, zygote))
    }

    /// Sends a signal; one that comes too late is no matter.
    pub fn send(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.0, signal).is_ok()
    }
}
