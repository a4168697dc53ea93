//! Tasks that depend on others.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pinfold::{Handle, Loan, Shared, Shutdown, TaskError};

use crate::api::{endless, runtime};
use crate::processes::{SOON, until};

fn add((own, inputs): (u64, Vec<u64>)) -> u64 {
    own.wrapping_add(inputs.into_iter().fold(0, u64::wrapping_add))
}

fn fails((): ()) -> u64 {
    panic!("on purpose")
}

#[test]
fn inputs_are_the_values_of_what_was_before() {
    let rt = runtime(2);
    let (a, b) = (
        rt.spawn(|n: u64| n, 1),
        rt.spawn(|s: String| s, "two".into()),
    );
    let both = rt.spawn_after(
        (&a, &b),
        |(n, (a, b)): (u8, (u64, String))| format!("{n} {a} {b}"),
        0,
    );
    let of_both = rt.spawn_after(&both, |((), text): ((), String)| text.len(), ());
    let of_none = rt.spawn_after((), |(n, ()): (u64, ())| n, 5);
    let of_many = rt.spawn_after(&[&a, &a, &of_none][..], add, 10);
    assert_eq!(of_both.join(), Ok(7));
    assert_eq!(both.join().as_deref(), Ok("0 1 two"));
    assert_eq!(of_many.join(), Ok(17));
    assert_eq!((a.join(), b.join().as_deref()), (Ok(1), Ok("two")));
    assert_eq!(of_none.join(), Ok(5));
}

#[test]
fn buffers_are_handed_on_without_a_copy() {
    let rt = runtime(2);
    fn make(len: usize) -> Shared {
        let mut loan = pinfold::alloc(len).expect("room");
        loan.fill(7);
        loan.publish()
    }
    let made = rt.spawn(make, 1 << 20);
    let sums: Vec<_> = (0..4)
        .map(|_| {
            rt.spawn_after(
                &made,
                |((), shared): ((), Shared)| shared.iter().map(|b| u64::from(*b)).sum::<u64>(),
                (),
            )
        })
        .collect();
    for sum in sums {
        assert_eq!(sum.join(), Ok(7 << 20));
    }
    drop(made);
    // A writable one cannot be had twice.
    let lent = rt.spawn(
        |len: usize| -> Loan { pinfold::alloc(len).expect("room") },
        8,
    );
    let none = rt.spawn_after(&lent, |((), _): ((), Loan)| (), ());
    assert!(matches!(
        none.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::Result { .. })
    ));
    assert_eq!(lent.join().expect("still there").len(), 8);
    until("all to be freed", || {
        let audit = rt.audit();
        assert_eq!(audit.orphans, Vec::<String>::new());
        audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried == 0
    });
}

#[test]
fn a_failure_ends_what_depends_on_it_and_names_the_first_cause() {
    let rt = runtime(2);
    let failed = rt.spawn(fails, ());
    let gate = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 300);
    let direct = rt.spawn_after(&[&failed, &failed][..], add, 1);
    // The other input is not waited for.
    let other = rt.spawn_after((&direct, &gate), |(n, _): (u64, (u64, ()))| n, 1);
    let last = rt.spawn_after(&other, |(n, _): (u64, u64)| n, 1);
    match last.join() {
        Err(TaskError::DependencyFailed { task, cause, .. }) => {
            assert!(task.function.contains("names_the_first_cause"), "{task}");
            assert!(matches!(*cause, TaskError::Panicked { .. }), "{cause}");
            let first = cause.task().map(|task| &*task.function);
            assert!(
                first.is_some_and(|first| first.ends_with("fails")),
                "{cause}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(!gate.is_finished(), "at once");
    assert!(matches!(
        direct.join(),
        Err(TaskError::DependencyFailed { .. })
    ));
    assert_eq!(gate.join(), Ok(()));
    // An `Err` is a failure too, and so is a worker's death.
    let err = rt.spawn(|n: u32| if n > 0 { Err(n) } else { Ok(n) }, 1);
    let after = rt.spawn_after(&err, |(n, _): (u32, Result<u32, u32>)| n, 1);
    assert!(matches!(
        after.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::Returned { .. })
    ));
    let dies = rt.spawn(|()| -> u64 { std::process::abort() }, ());
    let after = rt.spawn_after(&[&dies][..], add, 1);
    assert!(matches!(
        after.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::WorkerDied { .. })
    ));
    let tasks = rt.stats().tasks;
    assert_eq!((tasks.cancelled, tasks.in_flight), (5, 0));
}

#[test]
fn cancelling_one_cancels_what_depends_on_it() {
    let rt = runtime(1);
    let stuck = rt.spawn(endless, ());
    let next = rt.spawn_after(&stuck, |(n, ()): (u64, ())| n, 1);
    let last = rt.spawn_after(&[&next][..], add, 1);
    assert!(next.cancel());
    assert!(matches!(next.join(), Err(TaskError::Cancelled { .. })));
    assert!(matches!(
        last.join(),
        Err(TaskError::DependencyFailed { cause, .. }) if matches!(*cause, TaskError::Cancelled { .. })
    ));
    stuck.cancel_within(Duration::ZERO);
    assert!(matches!(stuck.join(), Err(TaskError::Cancelled { .. })));
}

#[test]
fn handles_of_elsewhere_are_refused() {
    let (rt, other) = (runtime(1), runtime(1));
    let foreign = other.spawn(|n: u64| n, 1);
    match rt.spawn_after(&[&foreign][..], add, 1).join() {
        Err(TaskError::DependencyFailed { cause, .. }) => {
            assert!(matches!(*cause, TaskError::ForeignHandle { .. }), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    let mut taken = rt.spawn(|n: u64| n, 1);
    assert_eq!(taken.join_timeout(Duration::from_secs(60)), Some(Ok(1)));
    match rt.spawn_after(&[&taken][..], add, 1).join() {
        Err(TaskError::DependencyFailed { cause, .. }) => {
            assert!(matches!(*cause, TaskError::AlreadyJoined { .. }), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(foreign.join(), Ok(1));
}

/// Their values are needed though nobody will ask for them: short and long, and of tasks that
/// wait themselves when they are dropped.
#[test]
fn what_a_dropped_handle_was_of_is_an_input_still() {
    type Bytes = Result<Vec<u8>, String>;
    let rt = runtime(2);
    let make = rt.task(|(n, len): (u8, usize)| -> Bytes { Ok(vec![n; len]) });
    let add = rt.task(|((), parts): ((), Vec<Bytes>)| -> Bytes {
        let mut sums = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut sum = sums.pop().ok_or("no parts")?;
        for other in sums {
            sum.iter_mut().zip(other).for_each(|(sum, n)| *sum += n);
        }
        Ok(sum)
    });
    for len in [1, 10, 30, 80, 1000, 100_000] {
        for _ in 0..20 {
            let mut level: Vec<_> = (0..8).map(|n| make.spawn((n, len))).collect();
            while level.len() > 1 {
                level = level
                    .chunks(2)
                    .map(|pair| add.spawn_after(pair, ()))
                    .collect();
            }
            let sum = level.pop().expect("one is left").join();
            assert_eq!(sum, Ok(Ok(vec![28; len])), "of {len} bytes");
        }
    }
}

/// Plain tasks in random graphs, with values of all lengths; of some the handle is dropped, of
/// some the outcome is looked at, at any time. Each has the inputs that it should.
#[test]
fn plain_graphs_are_whole_whatever_becomes_of_the_handles() {
    type Value = (u64, Vec<u8>);
    fn sum(own: u64, inputs: impl Iterator<Item = u64>) -> u64 {
        inputs.fold(own, |sum, input| sum.wrapping_mul(31).wrapping_add(input))
    }
    let rt = runtime(2);
    let work = rt.task(
        |((own, len), inputs): ((u64, usize), Vec<Value>)| -> Value {
            assert!(
                inputs
                    .iter()
                    .all(|(of, pad)| pad.iter().all(|b| *b == *of as u8))
            );
            let value = sum(own, inputs.iter().map(|(of, _)| *of));
            (value, vec![value as u8; len])
        },
    );
    // A generator of Lehmer's.
    let mut seed = 0x5eed_u64;
    let mut below = |n: usize| {
        seed = seed * 48_271 % 0x7fff_ffff;
        seed as usize % n
    };
    for graph in 0..60 {
        let mut held: Vec<(u64, Handle<Value>)> = Vec::new();
        for own in 0..60 {
            let inputs = below(4).min(held.len());
            let before: Vec<_> = (0..inputs).map(|_| below(held.len())).collect();
            let len = [0, 5, 20, 40, 100, 3000][below(6)];
            let value = sum(own, before.iter().map(|at| held[*at].0));
            let of: Vec<_> = before.iter().map(|at| &held[*at].1).collect();
            let task = work.spawn_after(of, (own, len));
            held.push((value, task));
            for _ in 0..below(3) {
                let at = below(held.len());
                match below(3) {
                    0 if held.len() > 1 => drop(held.swap_remove(at)),
                    1 => {
                        let seen = held[at].1.outcome(Duration::ZERO);
                        let seen = seen.map(|seen| seen.expect("nothing fails").0);
                        assert!(seen.is_none_or(|seen| seen == held[at].0));
                    }
                    _ => {}
                }
            }
        }
        for (value, task) in held {
            let joined = task.join().map(|(of, _)| of);
            assert_eq!(joined, Ok(value), "graph {graph}");
        }
    }
}

/// Nobody joins anything, nobody else waits: asking alone finds the end.
#[test]
fn whether_a_dependent_has_ended_can_be_asked() {
    let rt = runtime(1);
    for n in 0..100 {
        let first = rt.spawn(|n: u64| n, n);
        let next = rt.spawn_after(&[&first][..], add, 1);
        drop(first);
        until("the dependent to end", || next.is_finished());
        assert_eq!(next.join(), Ok(n + 1));
    }
}

/// Short tasks are taken several at a time. One of them turns out to be long, and waits
/// for what depends on another that was taken, and has ended, before it.
#[test]
fn a_dependent_does_not_wait_for_the_rest_of_a_batch() {
    fn sees(path: PathBuf) -> bool {
        let start = Instant::now();
        while !path.exists() && start.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(1));
        }
        path.exists()
    }
    let rt = runtime(2);
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..40 {
        // They learn again that tasks are short.
        let sum: u64 = rt.map(|n: u64| n, 0..5_000).map(|n| n.expect("n")).sum();
        assert_eq!(sum, 5_000 * 4_999 / 2);
        let path = dir.path().join(round.to_string());
        let before: Vec<_> = (0..6).map(|n| rt.spawn(|n: u64| n, n)).collect();
        let long = rt.spawn(sees, path.clone());
        let made = rt
            .task(|(path, _): (PathBuf, Vec<u64>)| std::fs::write(path, "").is_ok())
            .spawn_after(before.iter().collect::<Vec<_>>(), path);
        assert_eq!(made.join(), Ok(true));
        assert_eq!(long.join(), Ok(true), "round {round}");
    }
}

#[test]
fn fan_out_and_fan_in_of_thousands() {
    let rt = runtime(2);
    let first = rt.spawn(|n: u64| n, 1);
    let many: Vec<_> = (0..5000)
        .map(|n| rt.spawn_after(&[&first][..], add, n))
        .collect();
    let last = rt.spawn_after(many.iter().collect::<Vec<_>>(), add, 0);
    assert_eq!(last.join(), Ok(5000 + 4999 * 5000 / 2));
}

#[test]
fn shutting_down_runs_what_was_accepted() {
    let rt = runtime(1);
    let mut last = rt.spawn(|n: u64| n, 0);
    for _ in 0..500 {
        last = rt.spawn_after(&[&last][..], add, 1);
    }
    rt.shutdown(Shutdown::Drain).expect("drained");
    assert_eq!(last.join(), Ok(500));
    let rt = runtime(1);
    let stuck = rt.spawn(endless, ());
    let next = rt.spawn_after(&stuck, |(n, ()): (u64, ())| n, 1);
    rt.shutdown(Shutdown::Abort).expect("aborted");
    assert!(matches!(next.join(), Err(TaskError::Shutdown { .. })));
    let late = rt.spawn_after((), |(n, ()): (u64, ())| n, 1);
    assert!(matches!(late.join(), Err(TaskError::Shutdown { .. })));
}
