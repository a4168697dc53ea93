//! Pending tasks without settings, with few inputs of a few bytes: they have a way of their
//! own, and leave it for whatever comes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pinfold::{Handle, Loan, Runtime, Shared, Shutdown, TaskError};
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::runtime;
use crate::processes::{SOON, send, until};
use crate::rng::Rng;

/// A value that is not there until a file is.
fn held<T>((path, value): (PathBuf, T)) -> T {
    let start = Instant::now();
    while !path.exists() && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(1));
    }
    value
}

/// Tasks that wait until a file is there.
pub struct Gate(tempfile::TempDir);

impl Gate {
    pub fn new() -> Self {
        Gate(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("open")
    }

    pub fn hold<T>(&self, rt: &Runtime, value: T) -> Handle<T>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        rt.spawn(held, (self.path(), value))
    }

    pub fn open(&self) {
        std::fs::write(self.path(), "").expect("a file");
    }
}

/// Nobody holds anything, or will in a moment.
pub fn is_clean(rt: &Runtime) {
    until("nothing is left", || {
        let audit = rt.audit();
        assert_eq!(audit.orphans, [""; 0]);
        let slots = audit.slots_queued + audit.slots_running + audit.slots_done;
        let blocks = audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried;
        slots + audit.slots_waiting + blocks + rt.stats().tasks.in_flight == 0
    });
}

type Pair = (u64, u8);

/// What the inputs look like.
macro_rules! show {
    ($rt:expr, $after:expr, $args:expr, $inputs:ty $(,)?) => {
        $rt.spawn_after(
            $after,
            |(args, inputs): (String, $inputs)| format!("{args} {inputs:?}"),
            $args.to_owned(),
        )
    };
}

#[test]
fn whatever_comes_for_a_pending_task_is_put_behind_its_arguments() {
    let (rt, gate) = (runtime(2), Gate::new());
    let one = gate.hold(&rt, 1u64);
    let ended = rt.spawn(|n: u64| n, u64::MAX);
    until("it to end", || ended.is_finished());
    let pair = gate.hold(&rt, (u64::MAX, 7u8));
    let text = gate.hold(&rt, "x".repeat(100));
    let long = "y".repeat(40);
    let all = [
        (show!(&rt, &one, "a", u64), "a 1".to_owned()),
        (
            show!(&rt, (&one, &ended), "b", (u64, u64)),
            format!("b (1, {})", u64::MAX),
        ),
        (
            show!(&rt, (&ended, &one), "c", (u64, u64)),
            format!("c ({}, 1)", u64::MAX),
        ),
        (show!(&rt, (&one, &one), "d", (u64, u64)), "d (1, 1)".into()),
        (
            show!(
                &rt,
                (&one, &pair, &ended, &one),
                "",
                (u64, (u64, u8), u64, u64)
            ),
            format!(" (1, ({m}, 7), {m}, 1)", m = u64::MAX),
        ),
        (
            show!(
                &rt,
                (&one, &one, &one, &one, &one),
                "five",
                (u64, u64, u64, u64, u64)
            ),
            "five (1, 1, 1, 1, 1)".into(),
        ),
        // More than a slot holds: the inputs, the arguments, one of several.
        (
            show!(
                &rt,
                (&pair, &pair, &pair, &pair),
                "e",
                (Pair, Pair, Pair, Pair)
            ),
            {
                let pair = (u64::MAX, 7);
                format!("e {:?}", (pair, pair, pair, pair))
            },
        ),
        (show!(&rt, (&pair, &pair), &long, (Pair, Pair)), {
            let pair = (u64::MAX, 7);
            format!("{long} {:?}", (pair, pair))
        }),
        (
            show!(&rt, (&one, &text, &one), "f", (u64, String, u64)),
            format!("f (1, {:?}, 1)", "x".repeat(100)),
        ),
        (
            show!(&rt, ((&one, ()), &ended), "g", ((u64, ()), u64)),
            format!("g ((1, ()), {})", u64::MAX),
        ),
        (
            show!(&rt, &[&one, &one][..], "list", Vec<u64>),
            "list [1, 1]".into(),
        ),
    ];
    // One that depends on each of them.
    let lengths: Vec<_> = all
        .iter()
        .map(|(handle, _)| rt.spawn_after(handle, |((), text): ((), String)| text.len(), ()))
        .collect();
    assert!(!all.iter().any(|(handle, _)| handle.is_finished()));
    gate.open();
    for ((handle, expected), length) in all.into_iter().zip(lengths) {
        assert_eq!(length.join(), Ok(expected.len()), "{expected}");
        assert_eq!(handle.join(), Ok(expected));
    }
    assert_eq!((one.join(), ended.join()), (Ok(1), Ok(u64::MAX)));
}

#[test]
fn buffers_come_for_a_pending_task_too() {
    fn make((path, is_published): (PathBuf, bool)) -> (Option<Shared>, Option<Loan>) {
        held((path, ()));
        let mut loan = pinfold::alloc(1 << 16).expect("room");
        loan.fill(3);
        match is_published {
            true => (Some(loan.publish()), None),
            false => (None, Some(loan)),
        }
    }
    fn sum((n, (shared, _)): (u64, (Option<Shared>, Option<Loan>))) -> u64 {
        let shared = shared.map_or(0, |s| s.iter().map(|b| u64::from(*b)).sum::<u64>());
        n + shared
    }
    let (rt, gate) = (runtime(2), Gate::new());
    let shared = rt.spawn(make, (gate.path(), true));
    let loan = rt.spawn(make, (gate.path(), false));
    let sums: Vec<_> = (0..3).map(|n| rt.spawn_after(&shared, sum, n)).collect();
    let not = rt.spawn_after(&loan, sum, 1);
    gate.open();
    for (n, sum) in (0..).zip(sums) {
        assert_eq!(sum.join(), Ok(n + 3 * (1 << 16)));
    }
    assert!(matches!(
        not.join(),
        Err(TaskError::DependencyFailed { .. })
    ));
    drop((shared, loan));
    is_clean(&rt);
}

#[test]
fn what_a_pending_task_depends_on_may_fail() {
    fn fails((path, how): (PathBuf, u8)) -> Result<u64, String> {
        held((path, ()));
        match how {
            0 => panic!("on purpose"),
            1 => Err("no".into()),
            _ => std::process::abort(),
        }
    }
    for how in 0..3 {
        let (rt, gate) = (runtime(1), Gate::new());
        let first = rt.spawn(fails, (gate.path(), how));
        let ended = rt.spawn_after((), |n: (u64, ())| n.0, 1);
        let next = rt.spawn_after(
            (&ended, &first),
            |(n, _): (u64, (u64, Result<u64, String>))| n,
            1,
        );
        let last = rt.spawn_after(&next, |(n, _): (u64, u64)| n, 1);
        gate.open();
        match last.join() {
            Err(TaskError::DependencyFailed { cause, .. }) => {
                let first = cause.task().map(|task| &*task.function);
                assert!(
                    first.is_some_and(|first| first.ends_with("fails")),
                    "{cause}"
                );
                let is_right = match how {
                    0 => matches!(*cause, TaskError::Panicked { .. }),
                    1 => matches!(*cause, TaskError::Returned { .. }),
                    _ => matches!(*cause, TaskError::WorkerDied { .. }),
                };
                assert!(is_right, "{cause}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            next.join(),
            Err(TaskError::DependencyFailed { .. })
        ));
        drop((first, ended));
        is_clean(&rt);
    }
}

#[test]
fn a_pending_task_is_cancelled_or_let_go_like_any_other() {
    let (rt, gate) = (runtime(1), Gate::new());
    let first = gate.hold(&rt, 5u64);
    let add = |(n, m): (u64, u64)| n + m;
    let cancelled = rt.spawn_after(&first, add, 1);
    let after_it = rt.spawn_after(&cancelled, add, 1);
    let dropped = rt.spawn_after(&first, add, 2);
    let after_dropped = rt.spawn_after((&dropped, &first), |(n, (a, b)): (u64, _)| n + a + b, 3u64);
    drop(dropped);
    let aborted = rt.spawn_after(&first, add, 4).abort_on_drop();
    drop(aborted);
    assert!(!cancelled.is_finished());
    assert!(cancelled.cancel() && !cancelled.cancel());
    assert!(matches!(cancelled.join(), Err(TaskError::Cancelled { .. })));
    assert!(matches!(
        after_it.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::Cancelled { .. })
    ));
    gate.open();
    assert_eq!(after_dropped.join(), Ok(3 + 7 + 5));
    assert_eq!(first.join(), Ok(5));
    is_clean(&rt);
    assert_eq!(rt.stats().tasks.cancelled, 3);
}

/// More than fit into the queue wait for one: what has no room goes the long way.
#[test]
fn more_become_ready_than_there_is_room_for() {
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(8)
        .start()
        .expect("starts");
    let gate = Gate::new();
    let first = gate.hold(&rt, 1u64);
    let add = |(n, m): (u64, u64)| n + m;
    let many: Vec<_> = (0..500).map(|n| rt.spawn_after(&first, add, n)).collect();
    gate.open();
    for (n, handle) in (1..).zip(many) {
        assert_eq!(handle.join(), Ok(n));
    }
}

#[test]
fn pending_tasks_are_measured_too() {
    let rt = Runtime::builder()
        .workers(1)
        .profile(true)
        .start()
        .expect("starts");
    fn add((n, m): (u64, u64)) -> u64 {
        n + m
    }
    let gate = Gate::new();
    let first = gate.hold(&rt, 1u64);
    let next: Vec<_> = (0..10).map(|n| rt.spawn_after(&first, add, n)).collect();
    gate.open();
    assert!((1..).zip(next).all(|(n, handle)| handle.join() == Ok(n)));
    let profile = rt.profile();
    let mut functions = profile.functions.iter();
    let of_add = functions.find(|f| f.function.ends_with("add"));
    assert_eq!(of_add.map(|f| f.count), Some(10));
}

#[test]
fn shutting_down_ends_pending_tasks() {
    let add = |(n, m): (u64, u64)| n + m;
    for shutdown in [Shutdown::Drain, Shutdown::Abort] {
        let (rt, gate) = (runtime(1), Gate::new());
        let first = gate.hold(&rt, 1u64);
        let next = rt.spawn_after(&first, add, 2);
        if shutdown == Shutdown::Drain {
            gate.open();
        }
        rt.shutdown(shutdown).expect("shut down");
        match shutdown {
            Shutdown::Drain => assert_eq!(next.join(), Ok(3)),
            _ => assert!(matches!(next.join(), Err(TaskError::Shutdown { .. }))),
        }
    }
}

fn combine((n, inputs): (u64, (u64, u64, u64))) -> u64 {
    n.wrapping_mul(31) ^ inputs.0.wrapping_add(inputs.1.rotate_left(7)) ^ inputs.2.rotate_left(21)
}

/// Each depends on three of the last ones: as it should be without deaths; with them, each
/// has the right value or an error that tells of a death, and one has a value only if what
/// it depends on has.
fn graph(seed: u64, count: usize, kills: u64) {
    println!("seed {seed}");
    let mut rng = Rng::new(seed, 0);
    let rt = runtime(2);
    let mut handles: Vec<Handle<u64>> = (0..3).map(|n| rt.spawn(|n: u64| n, n)).collect();
    let mut inputs = vec![[0; 3]; 3];
    let mut values: Vec<u64> = (0..3).collect();
    let every = count as u64 / (kills + 1);
    for n in 3..count as u64 {
        let back = rng.between(1, handles.len().min(50) as u64);
        let mut one = || handles.len() - rng.between(1, back) as usize;
        let of = [one(), one(), one()];
        let [a, b, c] = of.map(|at| &handles[at]);
        let handle = rt.spawn_after((a, b, c), combine, n);
        values.push(combine((n, (values[of[0]], values[of[1]], values[of[2]]))));
        handles.push(handle);
        inputs.push(of);
        if kills > 0 && n.is_multiple_of(every) {
            let workers = rt.stats().workers;
            let victim = rng.choose(&workers).pid;
            if victim > 0 {
                send(victim as u32, Signal::KILL);
            }
        }
    }
    let results: Vec<_> = handles.into_iter().map(Handle::join).collect();
    let mut lost = 0;
    for (at, result) in results.iter().enumerate() {
        let has_inputs = at < 3 || inputs[at].iter().all(|input| results[*input].is_ok());
        match result {
            Ok(value) => assert!(*value == values[at] && has_inputs, "task {at}"),
            Err(TaskError::WorkerDied { .. }) if has_inputs => lost += 1,
            Err(TaskError::DependencyFailed { cause, .. }) if !has_inputs => {
                assert!(matches!(**cause, TaskError::WorkerDied { .. }), "{cause}");
            }
            other => panic!("task {at}: {other:?}, inputs {has_inputs}"),
        }
    }
    assert!(lost > 0 || kills > 0 || results.iter().all(Result::is_ok));
    is_clean(&rt);
}

#[test]
fn graphs_of_short_tasks_are_right() {
    graph(1, 20_000, 0);
}

#[test]
fn graphs_of_short_tasks_survive_killing() {
    for seed in 1..=8 {
        graph(seed, 3_000, 10);
    }
}

/// Several threads submit, collect and drop.
#[test]
fn several_threads_have_pending_tasks() {
    let rt = runtime(2);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let rt = &rt;
            scope.spawn(move || {
                for round in 0..300 {
                    let first = rt.spawn(|n: u64| n, thread);
                    let chain = (0..8).fold(first, |last, n| {
                        let next = rt.spawn_after(&last, |(n, m): (u64, u64)| n + m, n);
                        if round % 3 == 0 {
                            drop(last);
                        }
                        next
                    });
                    assert_eq!(chain.join(), Ok(thread + 28));
                }
            });
        }
    });
    is_clean(&rt);
}

/// Who waits for the first of several watches them as a group; so does whoever wants all.
#[test]
fn groups_of_pending_tasks_end_and_are_cancelled() {
    let (rt, gate) = (runtime(2), Gate::new());
    let first = gate.hold(&rt, 1u64);
    let never = Gate::new();
    let stuck = never.hold(&rt, 1u64);
    let add = |(n, m): (u64, u64)| n + m;
    let raced = [
        rt.spawn_after(&stuck, add, 1),
        rt.spawn_after(&first, add, 2),
    ];
    let more = rt.spawn_after(&raced[0], add, 5);
    let wanted = [
        rt.spawn_after(&first, add, 3),
        rt.spawn_after(&first, add, 4),
    ];
    gate.open();
    assert_eq!(pinfold::join_any(raced), Ok((1, 3)));
    assert_eq!(pinfold::join_all(wanted), [Ok(4), Ok(5)]);
    // The loser was cancelled, and with it what depends on it.
    assert!(matches!(
        more.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::Cancelled { .. })
    ));
    never.open();
    assert_eq!(stuck.join(), Ok(1));
    is_clean(&rt);
}

/// With the longest queue there is, no slot is taken for that of those that are in none.
#[test]
fn pending_tasks_have_no_slot_in_the_longest_queue_either() {
    let rt = Runtime::builder()
        .workers(1)
        .queue_capacity(1 << 19)
        .start()
        .expect("starts");
    let first = rt.spawn(|n: u64| n, 1);
    let next = rt.spawn_after(&first, |(n, m): (u64, u64)| n + m, 1);
    until("it to end", || next.is_finished());
    assert_eq!(next.join(), Ok(2));
}
