//! Those who keep the memory of workers, so that a worker's death is told at once.

use std::fs;

use pinfold::{Activity, Builder, Runtime};
use rustix::process::Signal;

use crate::processes::{exists, keepers, parent, runs, send, until};

fn twice(n: u64) -> u64 {
    2 * n
}

/// A fold of one worker, which sleeps; and the worker, and its zygote.
fn fold(build: fn(Builder) -> Builder) -> (Runtime, u32, u32) {
    let rt = build(Runtime::builder().workers(1))
        .start()
        .expect("starts");
    assert_eq!(rt.spawn(twice, 4).join(), Ok(8));
    let worker = asleep(&rt);
    let zygote = parent(worker);
    (rt, worker, zygote)
}

/// The worker, once it sleeps: it has seen to its keeper before.
fn asleep(rt: &Runtime) -> u32 {
    let worker = || rt.stats().workers.remove(0);
    until("the worker sleeps", || {
        let worker = worker();
        worker.pid != 0 && worker.state == Activity::Sleeping
    });
    worker().pid as u32
}

fn keeper(zygote: u32) -> u32 {
    // Its name comes with its first steps.
    until("a keeper", || keepers(zygote).len() == 1);
    keepers(zygote)[0]
}

#[test]
fn a_keeper_has_its_workers_memory_and_nothing_else() {
    let (_rt, worker, zygote) = fold(|b| b);
    let keeper = keeper(zygote);
    let maps = |pid: u32| fs::read_to_string(format!("/proc/{pid}/maps")).expect("alive");
    assert_eq!(maps(worker), maps(keeper), "it is the same memory");
    let count = |what: &str| fs::read_dir(format!("/proc/{keeper}/{what}")).map(Iterator::count);
    until("it has closed everything", || count("fd").ok() == Some(0));
    assert_eq!(count("task").ok(), Some(1));
    // What could end it, or have it run a handler of the program's, does not.
    let status = fs::read_to_string(format!("/proc/{keeper}/status")).expect("alive");
    let blocked = status.lines().find_map(|l| l.strip_prefix("SigBlk:"));
    // All but SIGKILL and SIGSTOP.
    assert_eq!(blocked.map(str::trim), Some("fffffffffffbfeff"));
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
        send(keeper, signal);
    }
    let cwd = fs::read_link(format!("/proc/{keeper}/cwd"));
    assert_eq!(cwd.ok().as_deref(), Some(std::path::Path::new("/")));
    assert!(runs(keeper));
}

#[test]
fn a_dead_workers_keeper_is_ended_and_reaped() {
    let (rt, worker, zygote) = fold(|b| b);
    let first = keeper(zygote);
    send(worker, Signal::KILL);
    until("it is gone", || !exists(first));
    assert_eq!(rt.spawn(twice, 5).join(), Ok(10));
    asleep(&rt);
    let second = keeper(zygote);
    assert_ne!(first, second);
    drop(rt);
    assert!(!exists(second), "nothing is left when the runtime is gone");
}

#[test]
fn a_keeper_that_somebody_killed_is_missed_by_nobody() {
    let (rt, worker, zygote) = fold(|b| b);
    let keeper = keeper(zygote);
    send(keeper, Signal::KILL);
    assert_eq!(rt.spawn(twice, 6).join(), Ok(12));
    send(worker, Signal::KILL);
    until("it is reaped", || !exists(keeper));
    assert_eq!(rt.spawn(twice, 7).join(), Ok(14));
}

/// A keeper that stands still can be killed like any other.
#[test]
fn a_stopped_keeper_is_ended_too() {
    let (_rt, worker, zygote) = fold(|b| b);
    let keeper = keeper(zygote);
    send(keeper, Signal::STOP);
    send(worker, Signal::KILL);
    until("it is reaped", || !exists(keeper));
}

#[test]
fn a_keeper_that_goes_on_after_a_stop_still_sleeps() {
    let (rt, worker, zygote) = fold(|b| b);
    let keeper = keeper(zygote);
    for _ in 0..20 {
        send(keeper, Signal::STOP);
        send(keeper, Signal::CONT);
    }
    assert_eq!(rt.spawn(twice, 6).join(), Ok(12));
    let wchan = || fs::read_to_string(format!("/proc/{keeper}/stat"));
    until("it sleeps", || {
        wchan().is_ok_and(|stat| stat.contains(") S "))
    });
    assert_eq!(asleep(&rt), worker);
}

#[test]
fn nobody_has_a_keeper_who_wants_none() {
    let (_rt, _, zygote) = fold(|b| b.keepers(false));
    assert_eq!(keepers(zygote), Vec::<u32>::new());
}

/// Spares and successors find theirs when they work.
#[test]
fn whoever_takes_over_has_a_keeper_too() {
    let (rt, worker, zygote) = fold(|b| b.spares(1));
    let first = keeper(zygote);
    send(worker, Signal::KILL);
    until("another worker", || asleep(&rt) != worker);
    until("another keeper", || {
        keepers(zygote).iter().any(|pid| *pid != first)
    });
    until("and only one", || keepers(zygote).len() == 1);
}
