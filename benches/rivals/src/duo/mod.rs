//! Two processes beside each other: shared memory, a forked peer on the other CPU, and
//! one word on which both agree when to begin and when it is over.
//!
//! The peer lives for one round. It dies with this process, and by itself when a round
//! takes longer than [`LIMIT`]; this process then fails the round.
#![allow(unsafe_code)]

mod crowd;
mod floor;
mod stream;

pub use crowd::{Meeting, Receivers, many};
pub use floor::{Receiver, RingMemory, Sender, ping_pong, ring};
pub use stream::{Pipe, pipe, read_exact, socket_pair, write_all};

use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest that a round may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Memory that this process shares with those it forks.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for SharedMemory {}
// SAFETY: only atomics and raw pointers are handed out.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// `len` bytes, zero, backed by memory now.
    pub fn new(len: usize) -> Self {
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED, "shared memory of {len} bytes");
        let base = NonNull::new(base.cast()).expect("not null");
        SharedMemory { base, len }
    }

    /// The address of byte `offset`, with room for `len` bytes.
    pub fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset + len <= self.len, "inside the mapping");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// The atomic word at `offset`.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        let at: *mut AtomicU64 = self.at(offset, size_of::<u64>()).cast();
        assert!(at.is_aligned(), "offset {offset}");
        // SAFETY: inside the mapping, aligned, mapped while `self` lives, and valid
        // whatever its bytes are.
        unsafe { &*at }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; whoever uses it borrows `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Counts looks in vain, and gives up after [`LIMIT`].
#[derive(Debug, Default)]
pub struct Patience {
    looks: u64,
    since: Option<Instant>,
}

impl Patience {
    /// Once more in vain.
    ///
    /// # Panics
    /// When the time is over.
    #[inline]
    pub fn spin(&mut self) {
        std::hint::spin_loop();
        self.looks += 1;
        if self.looks.is_multiple_of(1 << 16) {
            self.check();
        }
    }

    #[cold]
    fn check(&mut self) {
        let since = *self.since.get_or_insert_with(Instant::now);
        assert!(since.elapsed() < LIMIT, "the other side does not answer");
    }
}

/// A forked process.
#[derive(Debug)]
pub struct Peer(Option<libc::pid_t>);

impl Peer {
    /// Forks a process that is pinned to the second CPU, runs `run`, and ends. Call it
    /// while this process has one thread only.
    pub fn fork(run: impl FnOnce()) -> Self {
        let peer = Self::fork_for(LIMIT, run);
        // This process may wait for it without a limit: then both end.
        // SAFETY: no pointers. The alarm's default action ends us.
        unsafe { libc::alarm(LIMIT.as_secs() as u32 + 10) };
        peer
    }

    /// The same, for a peer that lives longer than a round.
    pub fn fork_for(limit: Duration, run: impl FnOnce()) -> Self {
        // SAFETY: the caller has one thread, so the child finds no lock taken.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid > 0 {
            return Peer(Some(pid));
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: neither call takes a pointer. The alarm's default action ends us.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::alarm(limit.as_secs() as u32 + 5);
            }
            pin(1);
            run();
        }));
        // SAFETY: ends this process at once, without its parent's exit handlers.
        unsafe { libc::_exit(i32::from(outcome.is_err())) }
    }

    /// Waits for its end, which must be a good one.
    pub fn join(mut self) {
        let pid = self.0.take().expect("joined once");
        assert_eq!(wait_for(pid), 0, "the peer's exit status");
    }
}

fn wait_for(pid: libc::pid_t) -> i32 {
    let status = wait_for_status(pid);
    // SAFETY: takes the alarm of `fork` back.
    unsafe { libc::alarm(0) };
    status
}

fn wait_for_status(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a local that the call fills in.
        let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if got == pid {
            return status;
        }
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "waitpid");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // SAFETY: no pointers; the child has not been waited for, so the number is its.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            wait_for(pid);
        }
    }
}

/// What `run` measures; or, when it panics, why.
pub fn guarded(run: impl FnOnce() -> f64) -> Result<f64, String> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    outcome.map_err(|panic| {
        unpin();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        text.unwrap_or("it panicked").to_owned()
    })
}

/// The CPUs that this process was allowed to run on when it first asked.
fn cpus() -> &'static [usize] {
    static CPUS: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    CPUS.get_or_init(|| {
        // SAFETY: a set of bits, for which zero is a value; the call fills it in.
        let set = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
            set
        };
        // SAFETY: the numbers are below the set's size.
        (0..libc::CPU_SETSIZE as usize)
            .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
            .collect()
    })
}

/// The system's number of the first (0), second (1), … of this process's CPUs.
pub fn cpu(number: usize) -> usize {
    let cpus = cpus();
    cpus[number % cpus.len()]
}

/// Pins this thread to the first (0), second (1), … of its CPUs.
pub fn pin(number: usize) {
    pin_to(cpu(number));
}

/// Pins this thread to the CPU that has this number in another process's [`cpu`].
pub fn pin_to(cpu: usize) {
    assert!(cpu < libc::CPU_SETSIZE as usize, "CPU {cpu}");
    // SAFETY: a set of bits, for which zero is a value; the number is below its size.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    assert_eq!(refused, 0, "sched_setaffinity");
}

/// Lets this thread run wherever it could at the start.
pub fn unpin() {
    // SAFETY: as in `pin`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for cpu in cpus() {
            libc::CPU_SET(*cpu, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The monotonic clock in nanoseconds: the same in every process.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a local that the call fills in.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Where both sides of a round meet.
#[derive(Debug)]
pub struct Gate(SharedMemory);

const READY: usize = 0;
const DONE: usize = 128;
const SUM: usize = 136;

impl Default for Gate {
    fn default() -> Self {
        Gate(SharedMemory::new(4096))
    }
}

impl Gate {
    /// The peer is ready to begin.
    pub fn ready(&self) {
        // ordering: Release pairs with the Acquire in `wait_ready`.
        self.0.word(READY).store(1, Ordering::Release);
    }

    /// Waits for `ready`.
    pub fn wait_ready(&self) {
        let mut patience = Patience::default();
        // ordering: Acquire pairs with the Release in `ready`.
        while self.0.word(READY).load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
            patience.spin();
        }
    }

    /// The peer has received everything, and this is the sum of it.
    pub fn done(&self, sum: u64) {
        // Relaxed: the end of the process, or the store below, publishes it.
        self.0.word(SUM).store(sum, Ordering::Relaxed);
        // ordering: Release, as above.
        self.0.word(DONE).store(now(), Ordering::Release);
    }

    fn outcome(&self) -> (u64, u64) {
        // ordering: Acquire pairs with the Release in `done`.
        let at = self.0.word(DONE).load(Ordering::Acquire);
        (at, self.0.word(SUM).load(Ordering::Relaxed))
    }
}

/// Message number `number` of `W` words. Both sides make and read every word of it.
#[inline]
pub fn message<const W: usize>(number: u64) -> [u64; W] {
    std::array::from_fn(|word| number.wrapping_add(word as u64))
}

/// The sum of a message's words.
#[inline]
pub fn sum_of(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// The sum of all words of the messages 0 to `messages`.
pub fn sum_of_all<const W: usize>(messages: u64) -> u64 {
    (0..messages).fold(0, |sum, number| {
        sum.wrapping_add(sum_of(&message::<W>(number)))
    })
}

/// Millions of messages of `W` words per second, from this process to a peer: from the
/// first that is sent to the last that was received. `receive` says that it is ready, and
/// returns the sum of what it has received.
pub fn one_way<const W: usize>(
    messages: u64,
    receive: impl FnOnce(&Gate) -> u64,
    send: impl FnOnce(),
) -> f64 {
    one_way_after::<W, ()>(messages, receive, || (), |()| send())
}

/// As [`one_way`], for a sender that prepares itself when the peer is ready.
pub fn one_way_after<const W: usize, S>(
    messages: u64,
    receive: impl FnOnce(&Gate) -> u64,
    prepare: impl FnOnce() -> S,
    send: impl FnOnce(&mut S),
) -> f64 {
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        let sum = receive(&gate);
        gate.done(sum);
    });
    pin(0);
    gate.wait_ready();
    let mut prepared = prepare();
    let start = now();
    send(&mut prepared);
    // What was prepared stays until all has been received.
    peer.join();
    unpin();
    let (end, sum) = gate.outcome();
    assert_eq!(sum, sum_of_all::<W>(messages), "every message, once");
    messages as f64 * 1e3 / (end - start) as f64
}
