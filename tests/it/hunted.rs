//! Faults that were found once: each test hunts one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::{Loan, Runtime, Shared, Shutdown, TaskError};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::{endless, runtime};

const SOON: Duration = Duration::from_secs(60);

fn same(n: u32) -> u32 {
    n
}

fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

/// The thread that sleeps for all leaves, and chooses as its successor one that has
/// nothing left to wait for: somebody else must be asked.
#[test]
fn the_lead_is_never_lost() {
    let rt = runtime(3);
    for round in 0..60 {
        std::thread::scope(|scope| {
            let (ended, ends) = mpsc::channel();
            for handle in [12, 12, 25].map(|ms| rt.spawn(nap, ms)) {
                let ended = ended.clone();
                scope.spawn(move || ended.send(handle.join().is_ok()));
                std::thread::sleep(Duration::from_millis(2));
            }
            for _ in 0..3 {
                assert_eq!(ends.recv_timeout(SOON), Ok(true), "round {round}");
            }
        });
    }
}

static STASH: Mutex<Option<Loan>> = Mutex::new(None);

/// A loan that is passed on within one process must leave its giver nothing to free.
#[test]
fn a_loan_has_one_owner_within_a_process_too() {
    fn stash(loan: Loan) {
        *STASH.lock().expect("stash") = Some(loan);
    }
    fn parent((): ()) -> (bool, u8) {
        let mut loan = pinfold::alloc(5000).expect("room");
        loan.fill(7);
        pinfold::spawn(stash, loan).join().expect("runs");
        let mut other = pinfold::alloc(5000).expect("room");
        other.fill(9);
        let kept = STASH.lock().expect("stash").take().expect("kept");
        (kept.as_ptr() == other.as_ptr(), kept[0])
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, ()).join(), Ok((false, 7)));
}

/// Orders and answers that fill the control socket both ways.
#[test]
fn hundreds_of_workers_start() {
    let rt = Runtime::builder()
        .workers(400)
        .queue_capacity(64)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    assert_eq!(rt.spawn(same, 1).join(), Ok(1));
}

/// Tasks in one batch behind a long one, while the others sleep and nobody joins.
#[test]
fn what_is_behind_a_long_task_is_taken_by_a_sleeper() {
    for _ in 0..5 {
        let rt = Runtime::builder()
            .workers(2)
            .on_drop(Shutdown::Abort)
            .start()
            .expect("starts");
        // Tasks so short that they are taken many at a time.
        rt.map(same, 0..20_000).for_each(|r| assert!(r.is_ok()));
        // Until all sleep.
        std::thread::sleep(Duration::from_millis(20));
        let long = rt.spawn(endless, ());
        let quick: Vec<_> = (0..3).map(|n| rt.spawn(same, n)).collect();
        let give_up = Instant::now() + SOON;
        while !quick.iter().all(pinfold::Handle::is_finished) {
            assert!(Instant::now() < give_up, "never begun");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!long.is_finished());
    }
}

/// A zygote that is gone is not the failure of the workers that it does not start.
#[test]
fn a_lost_zygote_is_no_failed_start() {
    let rt = Runtime::builder()
        .workers(2)
        .start_attempts(1)
        .start()
        .expect("starts");
    let zygote = rt.spawn(|(): ()| nix::unistd::getppid().as_raw(), ());
    kill(Pid::from_raw(zygote.join().expect("runs")), Signal::SIGKILL).expect("alive");
    while rt.stats().restarts < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rt.task(same).at_least_once().spawn(1).join(), Ok(1));
}

#[test]
fn a_slow_init_is_no_silence() {
    fn slow() -> Result<u8, String> {
        std::thread::sleep(Duration::from_millis(300));
        Ok(1)
    }
    let rt = Runtime::builder()
        .workers(1)
        .heartbeat(Duration::from_millis(60))
        .worker_init(slow)
        .start_attempts(20)
        .start()
        .expect("starts");
    assert_eq!(rt.task(same).safe_to_repeat(100).spawn(1).join(), Ok(1));
}

#[derive(Serialize)]
struct Picky {
    loan: Loan,
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("not this one")
    }
}

/// A value whose decoding panics after its buffers have arrived.
#[test]
fn buffers_of_a_value_that_panics_are_freed() {
    let rt = runtime(1);
    for _ in 0..3 {
        let loan = rt.alloc(1 << 20).expect("room");
        let failed = rt.spawn(|p: Picky| p.loan.len(), Picky { loan }).join();
        assert!(failed.is_err());
        let shared = rt.alloc(100).expect("room").publish();
        assert_eq!(rt.spawn(|s: Shared| s.len(), shared).join(), Ok(100));
    }
    assert_eq!(rt.audit().blocks_loaned, 0);
}

/// A refusal that comes late, when another thread has taken the last place.
#[test]
fn a_refused_loan_comes_back_whole() {
    let rt = Runtime::builder()
        .workers(1)
        .queue_capacity(2)
        .start()
        .expect("starts");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = rt.try_spawn(same, 1).map(drop);
                }
            });
        }
        for _ in 0..30_000 {
            let mut loan = rt.alloc(64).expect("room");
            loan.fill(9);
            if let Err(refused) = rt.try_spawn(|loan: Loan| loan.len(), loan).map(drop) {
                assert_eq!(refused.args[..], [9; 64]);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Writes over the tables of the pool, which lie before its arena.
#[allow(unsafe_code)]
pub fn wreck(arena: usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let line = maps
        .lines()
        .find(|line| line.contains("memfd:pinfold ") && line.contains(" rw-s "));
    let range = line
        .expect("segment")
        .split_whitespace()
        .next()
        .expect("range");
    let end = range.split_once('-').expect("range").1;
    let end = usize::from_str_radix(end, 16).expect("address") - arena;
    // Block words, hints, span words.
    for at in (end - (300 << 10)..end).step_by(8) {
        // SAFETY: inside the segment, which this process has mapped.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(u64::MAX) };
    }
    std::process::exit(0);
}

#[test]
fn a_wrecked_pool_is_replaced() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    let long = |n: usize| "x".repeat(n);
    assert_eq!(rt.spawn(long, 5000).join().map(|s| s.len()), Ok(5000));
    assert!(rt.spawn(wreck, 1 << 20).join().is_err());
    let give_up = Instant::now() + SOON;
    while rt.spawn(long, 5000).join().is_err() {
        assert!(Instant::now() < give_up, "{:?}", rt.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rt.stats().rebuilds, 1);
}

#[test]
fn limits_beyond_the_clock_are_never() {
    let rt = runtime(1);
    let task = rt.task(same).hard_deadline(Duration::MAX);
    let task = task.safe_to_repeat(3).backoff(Duration::MAX, Duration::MAX);
    assert_eq!(task.spawn(1).join(), Ok(1));
    assert_eq!(rt.spawn(nap, 1).join_timeout(Duration::MAX), Some(Ok(1)));
    rt.shutdown(Shutdown::DrainFor(Duration::MAX))
        .expect("drained");
}

/// A worker runs tasks before the supervisor has heard that it has begun; a deadline that
/// came in between was forgotten, and the task ran for ever.
#[test]
fn a_deadline_finds_a_worker_that_has_just_begun() {
    fn dies_then_hangs(mark: std::path::PathBuf) {
        if !mark.exists() {
            std::fs::write(mark, "").expect("a file");
            std::process::abort();
        }
        endless(())
    }
    let rt = runtime(2);
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..200u64 {
        let limit = Duration::from_micros(500 + 50 * (round % 100));
        let task = rt.task(dies_then_hangs).safe_to_repeat(3);
        let mut task = task
            .hard_deadline(limit)
            .spawn(folder.path().join(round.to_string()));
        let outcome = task.join_timeout(Duration::from_secs(60));
        assert!(
            matches!(outcome, Some(Err(TaskError::DeadlineExceeded { .. }))),
            "{limit:?}: {outcome:?}"
        );
    }
}

/// Panics where it is decoded in the host.
#[derive(Serialize)]
struct Bomb(());

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(pinfold::current_task().is_some(), "on purpose, in the host");
        <()>::deserialize(deserializer).map(Bomb)
    }
}

/// Inputs with buffers have arguments decoded in the host; if that panicked, the task never
/// ended.
#[test]
fn arguments_that_panic_when_inputs_are_put_behind_them_end_their_task() {
    fn make(gate: std::path::PathBuf) -> Shared {
        while !gate.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        pinfold::alloc(10).expect("room").publish()
    }
    let rt = runtime(1);
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    let made = rt.spawn(make, gate.clone());
    let mut after = rt.spawn_after(&made, |(_, shared): (Bomb, Shared)| shared.len(), Bomb(()));
    std::fs::write(&gate, "").expect("a file");
    let outcome = after.join_timeout(SOON).expect("it ends");
    assert!(
        matches!(&outcome, Err(TaskError::Arguments { message, .. }) if message.contains("panicked")),
        "{outcome:?}"
    );
    drop(made);
    rt.shutdown(Shutdown::Drain).expect("nothing is left");
}
