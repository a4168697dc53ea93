//! Workers that die.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::{Death, Runtime, TaskError};

use crate::api::runtime;

fn square(n: u64) -> u64 {
    n * n
}

fn abort((): ()) {
    std::process::abort()
}

fn exit_7((): ()) {
    std::process::exit(7)
}

fn double_panic((): ()) {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    let _bomb = Bomb;
    panic!("first");
}

fn death_of(result: Result<(), TaskError>) -> (Death, Option<String>) {
    match result {
        Err(TaskError::WorkerDied {
            death, last_words, ..
        }) => (death, last_words),
        other => panic!("{other:?}"),
    }
}

/// The status of one run of `f`, and that the fold goes on afterwards.
fn dies(rt: &Runtime, f: fn(&Runtime) -> Result<(), TaskError>) -> (Death, Option<String>) {
    let before = rt.stats().restarts;
    let death = death_of(f(rt));
    assert_eq!(rt.spawn(square, 5).join(), Ok(25), "the fold goes on");
    assert_eq!(rt.stats().restarts, before + 1);
    death
}

#[test]
fn each_way_to_die_is_told() {
    let rt = runtime(1);
    let signaled = |signal: Signal, death: Death| matches!(death, Death::Signaled { signal: s, .. } if s == signal as i32);
    let (death, _) = dies(&rt, |rt| {
        rt.spawn(
            |(): ()| {
                let _ = kill(Pid::this(), Signal::SIGSEGV);
            },
            (),
        )
        .join()
    });
    assert!(signaled(Signal::SIGSEGV, death), "{death}");
    let (death, _) = dies(&rt, |rt| rt.spawn(abort, ()).join());
    assert!(signaled(Signal::SIGABRT, death), "{death}");
    let (death, _) = dies(&rt, |rt| rt.spawn(exit_7, ()).join());
    assert_eq!(death, Death::Exited { status: 7 });
    let (death, _) = dies(&rt, |rt| {
        rt.spawn(
            |(): ()| {
                let _ = kill(Pid::this(), Signal::SIGKILL);
            },
            (),
        )
        .join()
    });
    assert!(signaled(Signal::SIGKILL, death), "{death}");
    // A panic in a destructor during a panic aborts; its words survive.
    let (death, words) = dies(&rt, |rt| rt.spawn(double_panic, ()).join());
    assert!(signaled(Signal::SIGABRT, death), "{death}");
    let words = words.expect("last words");
    assert!(words.contains("panicked at"), "{words}");
    assert_eq!(rt.stats().tasks.died, 5);
}

#[test]
fn the_others_are_not_touched() {
    let rt = runtime(2);
    let good: Vec<_> = (0..500).map(|n| rt.spawn(square, n)).collect();
    let bad = rt.spawn(abort, ());
    let more: Vec<_> = (0..500).map(|n| rt.spawn(square, n)).collect();
    assert!(matches!(bad.join(), Err(TaskError::WorkerDied { .. })));
    for (n, handle) in (0..500).chain(0..500).zip(good.into_iter().chain(more)) {
        assert_eq!(handle.join(), Ok(n * n));
    }
}

fn nap(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(1));
    n
}

/// Kills workers for as long as `job` runs; returns its result and the number of kills.
fn under_fire<R>(rt: &Runtime, every: Duration, job: impl FnOnce() -> R) -> (R, u64) {
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let killer = scope.spawn(move || {
            let mut kills = 0u64;
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(every)
            {
                let workers = rt.stats().workers;
                let pid = workers[kills as usize % workers.len()].pid;
                if pid > 0 && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
                    kills += 1;
                }
            }
            kills
        });
        let result = job();
        drop(stop);
        (result, killer.join().expect("killer"))
    })
}

#[test]
fn repeatable_tasks_survive_constant_killing() {
    let rt = runtime(2);
    let (results, kills) = under_fire(&rt, Duration::from_millis(7), || {
        rt.task(nap)
            .safe_to_repeat(1000)
            .map(0..1500)
            .collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(results.expect("all"), (0..1500).collect::<Vec<_>>());
    let stats = rt.stats();
    assert!(kills > 10, "{kills} kills");
    assert!(
        // On a busy machine a process may be killed once more when it is dead already.
        stats.restarts > kills / 2 && stats.restarts <= kills,
        "{kills} {stats:?}"
    );
    assert!(stats.tasks.repeated > 0);
    assert_eq!(stats.tasks.in_flight, 0);
}

#[test]
fn at_most_once_tasks_end_exactly_once() {
    let rt = runtime(2);
    let (outcomes, kills) = under_fire(&rt, Duration::from_millis(7), || {
        let handles: Vec<_> = (0..1500).map(|n| rt.spawn(nap, n)).collect();
        handles.into_iter().map(|h| h.join()).collect::<Vec<_>>()
    });
    let mut died = 0;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(value, n as u64),
            Err(TaskError::WorkerDied { .. }) => died += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        died <= kills,
        "{died} tasks for {kills} kills: one each at most"
    );
    assert_eq!(rt.stats().tasks.died, died);
}

#[test]
fn buffers_of_the_dead_are_freed() {
    let rt = runtime(2);
    let shared = rt.alloc(100_000).expect("room").publish();
    fn grab(s: pinfold::Shared) -> usize {
        let kept = pinfold::alloc(200_000).expect("room");
        let also = pinfold::alloc(100).expect("room").publish();
        std::mem::forget((kept, also, s));
        std::process::abort()
    }
    for _ in 0..20 {
        let died = rt.spawn(grab, shared.clone()).join();
        assert!(
            matches!(died, Err(TaskError::WorkerDied { .. })),
            "{died:?}"
        );
    }
    let loan = rt.alloc(500).expect("room");
    let died = rt.spawn(
        |l: pinfold::Loan| {
            if l.len() > 1 {
                std::process::abort()
            }
        },
        loan,
    );
    assert!(matches!(died.join(), Err(TaskError::WorkerDied { .. })));
    drop(shared);
    let stats = rt.stats();
    assert_eq!(
        (
            stats.blocks_loaned,
            stats.blocks_shared,
            stats.blocks_carried
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_zygote_dies_too() {
    let rt = runtime(2);
    let worker = rt.spawn(|(): ()| nix::unistd::getppid().as_raw(), ());
    let zygote = worker.join().expect("runs");
    let results = std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            rt.task(nap)
                .safe_to_repeat(100)
                .map(0..500)
                .collect::<Result<Vec<_>, _>>()
        });
        kill(Pid::from_raw(zygote), Signal::SIGKILL).expect("alive");
        job.join().expect("ends")
    });
    assert_eq!(results.expect("all").len(), 500);
    assert_eq!(rt.stats().restarts, 2, "both workers ended with it");
    let now = rt
        .spawn(|(): ()| nix::unistd::getppid().as_raw(), ())
        .join();
    assert_ne!(now, Ok(zygote));
}

fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
    stat.rsplit(')')
        .next()
        .is_some_and(|fields| fields.trim_start().starts_with('T'))
}

/// Hunts work that waits for a worker that is stopped (a debugger, a full disk):
/// the other one must do it, whether or not the stopped one had been asked first.
#[test]
fn a_stopped_worker_holds_up_nobody() {
    let rt = runtime(2);
    for round in 0..20u64 {
        let pid = Pid::from_raw(rt.stats().workers[(round % 2) as usize].pid);
        kill(pid, Signal::SIGSTOP).expect("alive");
        // Until it really stands still: it must not have begun one of the tasks.
        while !is_stopped(pid) {
            std::thread::yield_now();
        }
        let mut handles: Vec<_> = (0..10).map(|n| rt.spawn(square, n)).collect();
        for (n, handle) in (0..10u64).zip(&mut handles) {
            let value = handle.join_timeout(Duration::from_secs(20));
            assert_eq!(value, Some(Ok(n * n)), "round {round}");
        }
        kill(pid, Signal::SIGCONT).expect("alive");
    }
}

#[test]
fn nothing_is_left_of_a_runtime() {
    let fds = || std::fs::read_dir("/proc/self/fd").expect("fds").count();
    let threads = || std::fs::read_dir("/proc/self/task").expect("tasks").count();
    runtime(1); // whatever is opened once
    // Other tests run in this process too: wait for a quiet comparison.
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let (fds_before, threads_before) = (fds(), threads());
        let pids: Vec<i32> = {
            let rt = runtime(2);
            rt.map(square, 0..100).for_each(drop);
            rt.stats().workers.iter().map(|w| w.pid).collect()
        };
        for pid in pids {
            assert!(
                kill(Pid::from_raw(pid), None).is_err(),
                "worker {pid} is left"
            );
        }
        if (fds(), threads()) == (fds_before, threads_before) {
            return;
        }
        assert!(Instant::now() < give_up, "descriptors or threads stay");
    }
}

/// What a write is answered that nobody will read.
fn broken_pipe(_: ()) -> Option<i32> {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.write(b"x").expect_err("nobody reads").raw_os_error()
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    overflow(n - 1) + std::hint::black_box(frame)[3]
}

/// `tests/ground` has the same, where `init` is called in `main`.
#[test]
fn signals_are_in_tests_what_they_are_in_programs() {
    let rt = Runtime::builder().workers(1).start().expect("starts");
    let epipe = nix::errno::Errno::EPIPE as i32;
    assert_eq!(rt.spawn(broken_pipe, ()).join(), Ok(Some(epipe)));
    let died = rt.spawn(overflow, 1 << 40).join().expect_err("no stack");
    assert!(died.to_string().contains("SIGSEGV"), "{died}");
}
