//! What the processes of this benchmark share, and the system calls they make.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit,
};
use rustix::thread::{CpuSet, futex, sched_getaffinity, sched_setaffinity};

/// Names the variable that says which inherited descriptor is the board.
pub const BOARD_FD: &str = "RECOVERY_BOARD_FD";

const BOARD_LEN: usize = 4096;

/// Words that all processes of a run see. It is mapped before anything is forked, so
/// a new process has it from its first instruction on.
#[derive(Debug)]
#[repr(C)]
pub struct Board {
    /// Counts orders to the forker, which sleeps on it.
    pub orders: AtomicU32,
    /// What the next child is to be.
    pub role: AtomicU32,
    /// The CPU to which it binds itself, plus one; 0 for none.
    pub cpu: AtomicU32,
    /// The process that is ready to be killed, or to be woken.
    pub ready: AtomicI32,
    /// The sleeper sleeps on it.
    pub wake: AtomicU32,
    /// Changes when whoever was to take over has run; the host may sleep on it.
    pub done: AtomicU32,
    /// 1 if whoever is to be killed sleeps, and is not busy.
    pub victims_sleep: AtomicU32,
    /// How often the task of this round has begun.
    pub attempts: AtomicU32,
    /// When whoever took over ran, by [`now`].
    pub ran_at: AtomicU64,
}

/// Makes the board's memory file, which every child inherits.
pub fn create_board() -> OwnedFd {
    let fd = rustix::fs::memfd_create("recovery-board", rustix::fs::MemfdFlags::empty())
        .expect("a memory file");
    rustix::fs::ftruncate(&fd, BOARD_LEN as u64).expect("its size");
    fd
}

/// The board, in whichever process.
pub fn board() -> &'static Board {
    static BOARD: OnceLock<&'static Board> = OnceLock::new();
    BOARD.get_or_init(|| {
        let number = std::env::var(BOARD_FD).ok().and_then(|n| n.parse().ok());
        map_board(number.expect("the number of a descriptor"))
    })
}

fn map_board(number: RawFd) -> &'static Board {
    // SAFETY: `create_board` left it open for every process that has the variable,
    // and nobody else takes it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: no address is asked for, so no mapping is replaced.
    let base = unsafe { mmap(std::ptr::null_mut(), BOARD_LEN, flags.0, flags.1, &fd, 0) };
    // Children that are started by exec need it too.
    std::mem::forget(fd);
    // SAFETY: a page of zeros or of what others wrote, which is a valid `Board` (it
    // has atomics only); it is never unmapped and never shrinks.
    unsafe { &*base.expect("the board").cast::<Board>() }
}

impl Board {
    /// Whoever took over says so: called as its first action.
    pub fn tell(&self) {
        let now = now();
        // ordering: Release pairs with the host's Acquire of `done`.
        self.ran_at.store(now, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Release);
        wake(&self.done);
    }
}

/// Nanoseconds of a clock that all processes share. By the C library, which has looked
/// for the kernel's page when the program was loaded: a process does not do it again.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Sleeps while `word` is `value`; may return early.
pub fn sleep_while(word: &AtomicU32, value: u32) {
    let _ = futex::wait(word, futex::Flags::empty(), value, None);
}

/// Wakes whoever sleeps on `word`.
pub fn wake(word: &AtomicU32) {
    futex::wake(word, futex::Flags::empty(), u32::MAX >> 1).expect("a futex");
}

/// The first two CPUs this process may use; twice the same if there is one only.
pub fn two_cpus() -> [u32; 2] {
    let set = sched_getaffinity(None).expect("own mask");
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    let first = cpus.next().expect("a CPU");
    [first as u32, cpus.next().unwrap_or(first) as u32]
}

/// Binds this thread to a CPU.
pub fn pin(cpu: u32) {
    let mut set = CpuSet::new();
    set.set(cpu as usize);
    sched_setaffinity(None, &set).expect("a CPU of the mask");
}

/// A process that is about to be killed.
#[derive(Debug)]
pub struct Victim(OwnedFd);

impl Victim {
    /// Process `pid`, which is known to be alive.
    pub fn of(pid: i32) -> Self {
        let pid = Pid::from_raw(pid).expect("a process number");
        Victim(pidfd_open(pid, PidfdFlags::empty()).expect("alive"))
    }

    /// Kills it; returns when that began, by [`now`].
    pub fn kill(&self) -> u64 {
        self.end_by(Signal::KILL)
    }

    /// Has it end as by `abort`, with a core if it may write one; returns when that began.
    pub fn crash(&self) -> u64 {
        self.end_by(Signal::ABORT)
    }

    fn end_by(&self, signal: Signal) -> u64 {
        let start = now();
        pidfd_send_signal(&self.0, signal).expect("alive");
        start
    }

    /// Sleeps until the kernel says that it has ended.
    pub fn notice(&self) {
        readable(self.0.as_fd());
    }
}

fn readable(fd: BorrowedFd<'_>) {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    while !matches!(poll(&mut fds, None), Ok(1)) {}
}

/// Whether this process, and whoever it starts from here on, writes cores.
pub fn write_cores(may: bool) {
    let limit = Rlimit {
        current: if may { None } else { Some(0) },
        ..getrlimit(Resource::Core)
    };
    let _ = setrlimit(Resource::Core, limit);
}

/// Why a core that is written here does not go to a file of the working directory.
pub fn no_core_files() -> Option<String> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let hard = getrlimit(Resource::Core).maximum;
    if pattern.starts_with(['|', '/', '@']) || pattern.trim().is_empty() {
        return Some(format!(
            "core_pattern is {:?}, not a file's name",
            pattern.trim()
        ));
    }
    hard.map(|hard| format!("cores may have {hard} bytes (`ulimit -c`)"))
}

/// Whether the process sleeps.
pub fn is_asleep(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('S'))
    })
}

/// Waits for a condition that must come, and says which one did not.
pub fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let start = now();
    while !is_met() {
        let waited = Duration::from_nanos(now() - start);
        assert!(waited < Duration::from_secs(30), "{what} does not come");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Forks; true in the child. Only for a process with one thread.
pub fn fork() -> bool {
    // SAFETY: the only caller is the forker, which never starts a thread, so no lock
    // is held by a thread that the child would not have.
    let forked = unsafe { nix::unistd::fork() };
    matches!(forked, Ok(nix::unistd::ForkResult::Child))
}
