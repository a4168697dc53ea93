//! Limits, room and memory: nobody waits for what is held by who waits for him.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pinfold::{Limit, Priority, Retry, Runtime, Shutdown, TaskError};

use super::{add_one, endless, nap, runtime, until};
use crate::Program;

pub fn programs() -> Vec<Program> {
    vec![
        ("limits_taken_in_either_order", crossed),
        ("a_limit_that_is_named_twice", twice),
        ("a_share_that_is_given_back_unused", given_back),
        ("a_judge_dependents_and_a_full_queue", judged),
        ("dependents_and_limits_and_a_full_queue", limited_dependents),
        ("memory_that_others_have_freed", freed),
    ]
}

fn crossed(_: &[String]) {
    let rt = runtime(1);
    let (x, y) = (Limit::new(1), Limit::new(1));
    thread::scope(|scope| {
        for (a, b) in [(&x, &y), (&y, &x), (&x, &y)] {
            let task = rt.task(add_one).limited(a, 1).limited(b, 1);
            scope.spawn(move || {
                for n in 0..3000 {
                    assert_eq!(task.spawn(n).join(), Ok(n + 1));
                }
            });
        }
    });
    assert_eq!((x.free(), y.free()), (1, 1));
}

fn twice(_: &[String]) {
    let rt = runtime(1);
    let limit = Limit::new(1);
    let task = rt.task(add_one).limited(&limit, 1).limited(&limit, 1);
    let is_beyond = |outcome| {
        matches!(
            outcome,
            Err(TaskError::BeyondLimit {
                units: 2,
                total: 1,
                ..
            })
        )
    };
    assert!(is_beyond(task.spawn(1).join()));
    assert!(task.map([1, 2]).all(is_beyond));
    let two = Limit::new(2);
    let task = rt.task(add_one).limited(&two, 1).limited(&two, 1);
    assert_eq!(task.spawn(1).join(), Ok(2));
}

/// One that has its share, and gives up waiting for room, wakes those that wait for a share.
fn given_back(_: &[String]) {
    let builder = Runtime::builder().workers(1).queue_capacity(1);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("starts");
    let other = runtime(1);
    let limit = Limit::new(1);
    let _busy = rt.spawn(endless, ());
    thread::scope(|scope| {
        let gives_up = scope.spawn(|| {
            let task = rt.task(add_one).limited(&limit, 1);
            task.spawn_timeout(1, Duration::from_millis(300)).map(drop)
        });
        until(|| limit.free() == 0);
        let next = other.task(add_one).limited(&limit, 1).spawn(1);
        assert_eq!(next.join(), Ok(2));
        assert!(gives_up.join().expect("no panic").is_err());
    });
}

/// A task that is to be judged keeps its place in the queue; dependents need one.
fn judged(_: &[String]) {
    for (capacity, threads) in [(1, 1), (2, 1), (8, 4), (64, 16)] {
        let builder = Runtime::builder().workers(1).queue_capacity(capacity);
        let rt = builder.on_drop(Shutdown::Drain).start().expect("starts");
        let first = rt.spawn(nap, 30);
        let add = |((), n): ((), u64)| n + 1;
        let dependent = rt.task(add).priority(Priority::Low);
        let dependents: Vec<_> = (0..20).map(|_| dependent.spawn_after(&first, ())).collect();
        let long = rt.task(|(_, n): (Vec<u8>, u64)| n).named("long");
        let more: Vec<_> = (0..20)
            .map(|_| long.spawn_after(&first, vec![1; 5000]))
            .collect();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let fails = rt.task(|_: u64| Err::<u64, _>("no".to_owned()));
                    let retry = Retry::fixed(2, Duration::ZERO);
                    let fails = fails
                        .retry(retry)
                        .retry_if(|outcome| matches!(outcome, Ok(Err(_))));
                    let all: Vec<_> = (0..capacity as u64).map(|n| fails.spawn(n)).collect();
                    for handle in all {
                        assert_eq!(handle.join(), Ok(Err("no".into())));
                    }
                });
            }
        });
        for handle in dependents {
            assert_eq!(handle.join(), Ok(31));
        }
        for handle in more {
            assert_eq!(handle.join(), Ok(30));
        }
        assert_eq!(rt.audit().orphans, [""; 0]);
    }
}

fn limited_dependents(_: &[String]) {
    let builder = Runtime::builder().workers(1).queue_capacity(2);
    let rt = builder.on_drop(Shutdown::Drain).start().expect("starts");
    let (x, y) = (Limit::new(3), Limit::new(2));
    let first = rt.spawn(nap, 30);
    thread::scope(|scope| {
        for turn in 0..4 {
            let (a, b) = if turn % 2 == 0 { (&x, &y) } else { (&y, &x) };
            let add = |((), n): ((), u64)| n + 1;
            let task = rt.task(add).limited(a, 1).limited(b, 1);
            let (rt, first) = (&rt, &first);
            scope.spawn(move || {
                for _ in 0..50 {
                    let after = task.spawn_after(first, ());
                    assert_eq!(rt.spawn(add_one, 1).join(), Ok(2));
                    assert_eq!(after.join(), Ok(31));
                }
            });
        }
    });
    assert_eq!((x.free(), y.free()), (3, 2));
}

/// Nobody says that a buffer was dropped; who waits for memory looks.
fn freed(_: &[String]) {
    let builder = Runtime::builder().workers(1).memory_cap(4 << 20);
    let rt = Arc::new(builder.on_drop(Shutdown::Abort).start().expect("starts"));
    let _busy = rt.spawn(endless, ());
    let mut kept = Vec::new();
    while let Ok(buffer) = rt.alloc(256 << 10) {
        kept.push(buffer);
    }
    // One dependent waits for memory, too.
    let source = rt.spawn(nap, 0);
    let long = rt
        .task(|(bytes, _): (Vec<u8>, u64)| bytes.len())
        .spawn_after(&source, vec![1; 1 << 20]);
    thread::scope(|scope| {
        let waits = scope.spawn(|| rt.spawn(|bytes: Vec<u8>| bytes.len(), vec![1; 1 << 20]));
        thread::sleep(Duration::from_millis(100));
        assert!(!waits.is_finished(), "there is no memory");
        drop(kept);
        // It is accepted, though no task has ended.
        drop(waits.join().expect("no panic"));
    });
    drop((long, source));
}
