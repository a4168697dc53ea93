//! What the kernel alone takes: nothing recovers faster than these.
//!
//! A small process with one thread, the forker, makes on order a child that is to be
//! killed, one that sleeps until it is woken, or one that just says that it runs.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Signal, WaitOptions, getppid, waitpid};

use crate::machine::{self, Board, Victim, board, now, sleep_while, until, wake};

/// The arguments that make this program the forker, or the program that floor 2's
/// exec starts.
pub const FORKER: &str = "--forker";
pub const STARTED: &str = "--started";

const VICTIM: u32 = 1;
const SLEEPER: u32 = 2;
const SUCCESSOR: u32 = 3;

/// How long everything is left alone before a kill, so that all who wait sleep.
pub const SETTLE: Duration = Duration::from_millis(2);

/// The forker's life; ends with the host.
pub fn fork_on_order() -> ! {
    let board = board();
    let host = std::env::args().nth(2).and_then(|pid| pid.parse().ok());
    die_with(host.expect("the host's process number"));
    let me = std::process::id();
    let mut seen = 0;
    loop {
        sleep_while(&board.orders, seen);
        // ordering: Acquire pairs with the Release in `Forker::order`.
        let orders = board.orders.load(Ordering::Acquire);
        if orders == seen {
            continue;
        }
        seen = orders;
        if machine::fork() {
            be_child(board, me);
        }
        // Whoever was killed before: off the clock of the present order.
        while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
    }
}

fn be_child(board: &Board, forker: u32) -> ! {
    // Relaxed: written before the order, which the forker acquired.
    let role = board.role.load(Ordering::Relaxed);
    if role == SUCCESSOR {
        board.tell();
    }
    die_with(forker);
    if let Some(cpu) = board.cpu.load(Ordering::Relaxed).checked_sub(1) {
        machine::pin(cpu);
    }
    let mut seen = board.wake.load(Ordering::Relaxed);
    board
        .ready
        .store(std::process::id() as i32, Ordering::Release);
    if role == VICTIM {
        busy();
    }
    loop {
        sleep_while(&board.wake, seen);
        // ordering: Acquire pairs with the Release in `take_over`.
        let woken = board.wake.load(Ordering::Acquire);
        if woken != seen && role == SLEEPER {
            board.tell();
        }
        seen = woken;
    }
}

/// What whoever is to be killed does.
pub fn busy() -> ! {
    // Relaxed: set before any process was started.
    let sleeps = board().victims_sleep.load(Ordering::Relaxed) == 1;
    loop {
        if sleeps {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::hint::spin_loop();
    }
}

fn die_with(parent: u32) {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    if getppid().is_none_or(|now| now.as_raw_nonzero().get() as u32 != parent) {
        std::process::exit(0);
    }
}

/// How the host waits for who took over.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    Asleep,
    /// Giving way to others meanwhile: without that it keeps the very process that it
    /// waits for from running, where CPUs are few.
    Spinning,
}

/// The host's side of the forker.
pub struct Forker {
    child: Child,
    cpus: [u32; 2],
    sleepers: [i32; 2],
    rounds: usize,
}

impl Drop for Forker {
    fn drop(&mut self) {
        // Its children follow it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Forker {
    /// Starts it, and one sleeper for each of two CPUs.
    pub fn start() -> Self {
        let mut command = Command::new("/proc/self/exe");
        let me = std::process::id().to_string();
        command.arg0("recovery-forker").args([FORKER, &me]);
        let mut forker = Forker {
            child: command.spawn().expect("this program, once more"),
            cpus: machine::two_cpus(),
            sleepers: [0; 2],
            rounds: 0,
        };
        until(
            "the forker",
            || machine::is_asleep(forker.child.id() as i32),
        );
        for cpu in 0..2 {
            forker.sleepers[cpu] = forker.child(SLEEPER, Some(forker.cpus[cpu]));
        }
        forker
    }

    fn order(&self, role: u32, cpu: Option<u32>) {
        let board = board();
        board.ready.store(0, Ordering::Relaxed);
        board.cpu.store(cpu.map_or(0, |c| c + 1), Ordering::Relaxed);
        board.role.store(role, Ordering::Relaxed);
        // ordering: Release pairs with the forker's Acquire.
        board.orders.fetch_add(1, Ordering::Release);
        wake(&board.orders);
    }

    fn child(&self, role: u32, cpu: Option<u32>) -> i32 {
        self.order(role, cpu);
        ready()
    }

    /// A child that is busy on one CPU while all others sleep, and the other CPU.
    fn victim(&mut self) -> (Victim, usize) {
        self.rounds += 1;
        let cpu = self.rounds % 2;
        let victim = Victim::of(self.child(VICTIM, Some(self.cpus[cpu])));
        std::thread::sleep(SETTLE);
        (victim, 1 - cpu)
    }

    /// µs from the kill of a child to the notice.
    pub fn notice(&mut self) -> f64 {
        let (victim, _) = self.victim();
        let start = victim.kill();
        victim.notice();
        micros(start, now())
    }

    /// µs from the wake of a sleeper to its first action.
    pub fn wake(&mut self) -> f64 {
        self.rounds += 1;
        self.only_sleeper(self.rounds % 2);
        std::thread::sleep(SETTLE);
        let done = board().done.load(Ordering::Relaxed);
        let start = now();
        take_over();
        seen(done, Wait::Asleep);
        micros(start, ran_at())
    }

    /// Floor 1: kill, notice, wake of another process; µs until it ran, and until
    /// that was seen here.
    pub fn wake_another(&mut self, how: Wait) -> Vec<f64> {
        let (victim, other) = self.victim();
        self.only_sleeper(other);
        std::thread::sleep(SETTLE);
        let done = board().done.load(Ordering::Relaxed);
        let start = victim.kill();
        victim.notice();
        take_over();
        seen(done, how);
        let end = now();
        vec![micros(start, ran_at()), micros(start, end)]
    }

    /// Floor 2: kill, notice, the forker woken and a child forked; µs until that ran,
    /// and until it was seen here.
    pub fn fork_another(&mut self, how: Wait) -> Vec<f64> {
        let (victim, _) = self.victim();
        let done = board().done.load(Ordering::Relaxed);
        let start = victim.kill();
        victim.notice();
        self.order(SUCCESSOR, None);
        seen(done, how);
        let end = now();
        let times = vec![micros(start, ran_at()), micros(start, end)];
        let successor = Victim::of(ready());
        successor.kill();
        successor.notice();
        times
    }

    /// As floor 2, but a program is started; it writes to a pipe at once.
    pub fn start_another(&mut self) -> f64 {
        let (victim, _) = self.victim();
        let start = victim.kill();
        victim.notice();
        let mut child = Command::new("/proc/self/exe")
            .arg(STARTED)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program, once more");
        let mut byte = [0];
        let mut pipe = child.stdout.take().expect("piped");
        pipe.read_exact(&mut byte).expect("a byte");
        let end = now();
        child.wait().expect("ends");
        micros(start, end)
    }

    /// Makes the sleeper on this CPU the only one that is there to be woken.
    fn only_sleeper(&mut self, cpu: usize) {
        let other = std::mem::take(&mut self.sleepers[1 - cpu]);
        if other != 0 {
            let other = Victim::of(other);
            other.kill();
            other.notice();
        }
        if self.sleepers[cpu] == 0 {
            self.sleepers[cpu] = self.child(SLEEPER, Some(self.cpus[cpu]));
        }
    }
}

fn ready() -> i32 {
    // ordering: Acquire pairs with the child's Release.
    until("a child", || board().ready.load(Ordering::Acquire) != 0);
    board().ready.load(Ordering::Acquire)
}

fn take_over() {
    // ordering: Release pairs with the sleeper's Acquire.
    board().wake.fetch_add(1, Ordering::Release);
    wake(&board().wake);
}

/// Returns when `done` has changed.
fn seen(before: u32, how: Wait) {
    // ordering: Acquire pairs with the Release in `Board::tell`.
    while board().done.load(Ordering::Acquire) == before {
        match how {
            Wait::Asleep => sleep_while(&board().done, before),
            Wait::Spinning => std::thread::yield_now(),
        }
    }
}

/// When whoever took over ran.
pub fn ran_at() -> u64 {
    // Relaxed: ordered by what told us that it has run.
    board().ran_at.load(Ordering::Relaxed)
}

/// From one moment to a later one.
pub fn micros(start: u64, end: u64) -> f64 {
    end.saturating_sub(start) as f64 / 1e3
}
