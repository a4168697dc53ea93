//! A second process, written by hand: what two processes can do at best.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::process::{Pid, Signal, WaitOptions, getppid, kill_process, waitpid};
use rustix::thread::{CpuSet, futex, sched_getaffinity, sched_setaffinity};

/// A word on a line of its own: x86 fetches lines in pairs.
#[repr(C, align(128))]
struct Line<T>(T);

/// What the two share.
#[repr(C)]
struct Board {
    /// Counts orders; the partner sleeps on it.
    orders: Line<AtomicU32>,
    /// What to do: see the constants below.
    order: AtomicU32,
    /// How often, or how much.
    amount: AtomicU64,
    /// Counts orders done.
    done: Line<AtomicU32>,
    ping: Line<AtomicU32>,
    pong: Line<AtomicU32>,
}

const SPIN: u32 = 1;
const SLEEP: u32 = 2;
const BURN: u32 = 3;

/// A forked process that does what it is told, and sleeps meanwhile.
pub struct Partner {
    board: NonNull<Board>,
    pid: Pid,
    cpus: [usize; 2],
    mask: CpuSet,
}

impl Partner {
    /// Forks it. Call this before anything starts a thread.
    ///
    /// # Panics
    /// If this process has threads, or cannot fork.
    pub fn fork() -> Self {
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        assert_eq!(threads, 1, "only a process with one thread can be forked");
        let len = size_of::<Board>().next_multiple_of(4096);
        let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so no mapping is replaced.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), len, flags.0, flags.1) };
        let board = NonNull::new(base.expect("a page"))
            .expect("an address")
            .cast::<Board>();
        let mask = sched_getaffinity(None).expect("own mask");
        let mut all = (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu));
        let first = all.next().expect("a CPU");
        let cpus = [first, all.next().unwrap_or(first)];
        let me = rustix::process::getpid();
        // SAFETY: there is one thread only (checked above), so no lock is held by another.
        match unsafe { nix::unistd::fork() }.expect("a process") {
            nix::unistd::ForkResult::Child => {
                let death = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                if death.is_err() || getppid() != Some(me) {
                    std::process::exit(1);
                }
                // SAFETY: zeros are a `Board` (it has atomics only); never unmapped here.
                obey(unsafe { board.as_ref() }, cpus[1], &mask)
            }
            nix::unistd::ForkResult::Parent { child } => Partner {
                board,
                pid: Pid::from_raw(child.as_raw()).expect("a process number"),
                cpus,
                mask,
            },
        }
    }

    fn board(&self) -> &Board {
        // SAFETY: mapped by `fork`, never unmapped while this lives; it has atomics only.
        unsafe { self.board.as_ref() }
    }

    /// Gives an order; returns how many were done before.
    fn order(&self, order: u32, amount: u64) -> u32 {
        let board = self.board();
        // Relaxed: the Release below pairs with the partner's Acquire.
        let done = board.done.0.load(Ordering::Relaxed);
        board.order.store(order, Ordering::Relaxed);
        board.amount.store(amount, Ordering::Relaxed);
        board.orders.0.fetch_add(1, Ordering::Release);
        wake(&board.orders.0);
        done
    }

    /// Waits until the order is done.
    fn wait(&self, done: u32) {
        let board = self.board();
        // ordering: Acquire pairs with the partner's Release, when it is done.
        while board.done.0.load(Ordering::Acquire) == done {
            sleep_while(&board.done.0, done);
        }
    }

    /// On a CPU of its own, as the partner is.
    fn pinned<T>(&self, run: impl FnOnce() -> T) -> T {
        pin(self.cpus[0]);
        let result = run();
        set_mask(&self.mask);
        result
    }

    /// Nanoseconds of each of `rounds` round trips of a cache line; both spin.
    pub fn spinning(&self, rounds: u32) -> Vec<f64> {
        self.pinned(|| {
            let done = self.order(SPIN, rounds.into());
            let board = self.board();
            // A line that moves says that the partner is at it.
            let trip = |_| {
                let start = Instant::now();
                // ordering: Release and Acquire, as a message would need; pairs with `spin`.
                let next = board.ping.0.load(Ordering::Relaxed).wrapping_add(1);
                board.ping.0.store(next, Ordering::Release);
                while board.pong.0.load(Ordering::Acquire) != next {
                    std::hint::spin_loop();
                }
                start.elapsed().as_nanos() as f64
            };
            let times = (0..rounds).map(trip).collect();
            self.wait(done);
            times
        })
    }

    /// Nanoseconds of each of `rounds` round trips by futex, each after both have been
    /// idle for a time; both sleep, where the kernel likes.
    pub fn sleeping(&self, rounds: u32, idle: Duration) -> Vec<f64> {
        let done = self.order(SLEEP, rounds.into());
        let board = self.board();
        let trip = |_| {
            std::thread::sleep(idle);
            let start = Instant::now();
            // ordering: Release and Acquire, as a message would need; pairs with `sleep`.
            let next = board.ping.0.load(Ordering::Relaxed).wrapping_add(1);
            board.ping.0.store(next, Ordering::Release);
            wake(&board.ping.0);
            loop {
                let now = board.pong.0.load(Ordering::Acquire);
                if now == next {
                    break;
                }
                sleep_while(&board.pong.0, now);
            }
            start.elapsed().as_nanos() as f64
        };
        let times = (0..rounds).map(trip).collect();
        self.wait(done);
        times
    }

    /// Seconds until this process and the partner have both done so many steps.
    pub fn both_burn(&self, steps: u64) -> f64 {
        self.pinned(|| {
            let start = Instant::now();
            let done = self.order(BURN, steps);
            burn(steps);
            self.wait(done);
            start.elapsed().as_secs_f64()
        })
    }

    /// Seconds for so many steps in this process alone.
    pub fn burn_alone(&self, steps: u64) -> f64 {
        self.pinned(|| {
            let start = Instant::now();
            burn(steps);
            start.elapsed().as_secs_f64()
        })
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// The partner's life; ends with the host.
fn obey(board: &Board, cpu: usize, mask: &CpuSet) -> ! {
    let mut seen = 0;
    loop {
        sleep_while(&board.orders.0, seen);
        // ordering: Acquire pairs with the Release in `order`.
        let orders = board.orders.0.load(Ordering::Acquire);
        if orders == seen {
            continue;
        }
        seen = orders;
        // Relaxed: written before the order, which was acquired.
        let amount = board.amount.load(Ordering::Relaxed);
        let order = board.order.load(Ordering::Relaxed);
        if order == SLEEP {
            set_mask(mask);
        } else {
            pin(cpu);
        }
        match order {
            SPIN => spin(board, amount),
            SLEEP => sleep(board, amount),
            _ => drop(burn(amount)),
        }
        board.done.0.fetch_add(1, Ordering::Release);
        wake(&board.done.0);
    }
}

fn spin(board: &Board, rounds: u64) {
    // Relaxed: nobody else writes it.
    let mut last = board.pong.0.load(Ordering::Relaxed);
    for _ in 0..rounds {
        last = last.wrapping_add(1);
        // ordering: pairs with `spinning`.
        while board.ping.0.load(Ordering::Acquire) != last {
            std::hint::spin_loop();
        }
        board.pong.0.store(last, Ordering::Release);
    }
}

fn sleep(board: &Board, rounds: u64) {
    // Relaxed: nobody else writes it.
    let mut last = board.pong.0.load(Ordering::Relaxed);
    for _ in 0..rounds {
        // ordering: pairs with `sleeping`.
        while board.ping.0.load(Ordering::Acquire) == last {
            sleep_while(&board.ping.0, last);
        }
        last = last.wrapping_add(1);
        board.pong.0.store(last, Ordering::Release);
        wake(&board.pong.0);
    }
}

/// So many steps of work that needs a CPU and nothing else: each waits for the one
/// before.
#[inline(never)]
pub fn burn(steps: u64) -> u64 {
    let mut x = std::hint::black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    std::hint::black_box(x)
}

/// Nanoseconds that a step of [`burn`] takes: the least of some attempts.
pub fn ns_per_step() -> f64 {
    const STEPS: u64 = 2_000_000;
    let attempt = |_| {
        let start = Instant::now();
        burn(STEPS);
        start.elapsed().as_nanos() as f64 / STEPS as f64
    };
    (0..10).map(attempt).fold(f64::INFINITY, f64::min)
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    set_mask(&set);
}

fn set_mask(mask: &CpuSet) {
    sched_setaffinity(None, mask).expect("CPUs of the mask");
}

fn sleep_while(word: &AtomicU32, value: u32) {
    let _ = futex::wait(word, futex::Flags::empty(), value, None);
}

fn wake(word: &AtomicU32) {
    futex::wake(word, futex::Flags::empty(), 1).expect("a futex");
}
