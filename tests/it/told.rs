//! Tasks that wait for tasks that wait: executors bring them what they wait for, and leave
//! to the host what they cannot.

use std::fmt::Debug;

use pinfold::{Handle, Runtime, Shared, Shutdown, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::runtime;
use crate::pending::{Gate, is_clean};
use crate::processes::until;
use crate::rng::Rng;

fn same<T>((value, ()): (T, ())) -> T {
    value
}

/// A task that waits for the gate, and then has this value.
fn later<T>(rt: &Runtime, gate: &Handle<()>, value: T) -> Handle<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    rt.spawn_after(gate, same::<T>, value)
}

fn show<T: Debug>((args, inputs): (String, T)) -> String {
    format!("{args} {inputs:?}")
}

#[test]
fn inputs_of_any_number_and_length_come_in_order() {
    let (rt, gate) = (runtime(2), Gate::new());
    let go = gate.hold(&rt, ());
    let there = rt.spawn(|n: u64| n, 5);
    assert_eq!(
        rt.spawn_after(&there, |(n, m): (u64, u64)| n + m, 1).join(),
        Ok(6)
    );
    let mut all: Vec<(Handle<String>, String)> = Vec::new();
    // As long as there is room for, a byte more, and much more: of few inputs and of many.
    for len in [0usize, 1, 14, 15, 16, 22, 23, 24, 25, 47, 100, 5000] {
        for count in 1..=9usize {
            let text = |at: usize| char::from(b'a' + at as u8).to_string().repeat(len);
            let parts: Vec<_> = (0..count).map(|at| later(&rt, &go, text(at))).collect();
            let texts: Vec<_> = (0..count).map(text).collect();
            let after: Vec<_> = parts.iter().collect();
            let list = rt.spawn_after(after, show::<Vec<String>>, "list".to_owned());
            all.push((list, format!("list {texts:?}")));
            let [first, .., last] = [&parts[0], &parts[count - 1]];
            let mixed = rt.spawn_after((first, &there, last), show, "mixed".to_owned());
            let expected: (&str, u64, &str) = (&texts[0], 5, &texts[count - 1]);
            all.push((mixed, format!("mixed {expected:?}")));
            let last = rt.spawn_after(
                (parts.iter().collect::<Vec<_>>(), &there),
                show::<(Vec<String>, u64)>,
                String::new(),
            );
            all.push((last, format!(" {:?}", (&texts, 5))));
        }
    }
    gate.open();
    for (handle, expected) in all {
        assert_eq!(handle.join(), Ok(expected));
    }
    is_clean(&rt);
}

#[test]
fn buffers_come_too() {
    let (rt, gate) = (runtime(2), Gate::new());
    let go = gate.hold(&rt, ());
    let buffer = later(&rt, &go, 300usize);
    let buffer = rt.spawn_after(
        &buffer,
        |((), len): ((), usize)| pinfold::alloc(len).expect("room").publish(),
        (),
    );
    let number = later(&rt, &go, 4u64);
    let sum = |(n, (m, buffer)): (u64, (u64, Shared))| n + m + buffer.len() as u64;
    let sums = [1, 2].map(|n| rt.spawn_after((&number, &buffer), sum, n));
    // What depends on one with a long input does not begin before it.
    let both = rt.spawn_after(
        (&sums[0], &sums[1]),
        |((), (a, b)): ((), (u64, u64))| a * b,
        (),
    );
    gate.open();
    assert_eq!(both.join(), Ok(305 * 306));
    assert_eq!(sums.map(Handle::join), [Ok(305), Ok(306)]);
    drop((buffer, number));
    is_clean(&rt);
}

#[test]
fn more_depend_on_one_than_its_executor_tells() {
    let (rt, gate) = (runtime(2), Gate::new());
    let go = gate.hold(&rt, ());
    let root = later(&rt, &go, 7u64);
    let leaves: Vec<_> = (0..1000u64)
        .map(|n| rt.spawn_after(&root, |(n, m): (u64, u64)| n * m, n))
        .collect();
    gate.open();
    for (n, leaf) in (0..).zip(leaves) {
        assert_eq!(leaf.join(), Ok(7 * n));
    }
    drop((root, go));
    is_clean(&rt);
}

#[test]
fn what_fails_ends_those_that_wait_for_it_and_theirs() {
    let (rt, gate) = (runtime(2), Gate::new());
    let go = gate.hold(&rt, ());
    let good = later(&rt, &go, 1u64);
    let panics = rt.spawn_after(
        &go,
        |(n, ()): (u64, ())| -> u64 { panic!("on purpose {n}") },
        3,
    );
    let refuses = rt.spawn_after(
        &go,
        |(n, ()): (u64, ())| -> Result<u64, String> { Err(format!("no {n}")) },
        4,
    );
    let dies = rt.spawn_after(
        &go,
        |(n, ()): (u64, ())| -> u64 { std::process::exit(n as i32) },
        9,
    );
    let add = |((), (a, b)): ((), (u64, u64))| a + b;
    let first = rt.spawn_after((&good, &panics), add, ());
    let second = rt.spawn_after((&first, &good), add, ());
    let of_err = rt.spawn_after(
        (&refuses, &good),
        |((), (a, b)): ((), (Result<u64, String>, u64))| a.unwrap_or(0) + b,
        (),
    );
    let of_death = rt.spawn_after((&good, &dies), add, ());
    gate.open();
    for handle in [first, second] {
        match handle.join() {
            Err(TaskError::DependencyFailed { cause, .. }) => {
                assert!(matches!(*cause, TaskError::Panicked { .. }), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    }
    match of_err.join() {
        Err(TaskError::DependencyFailed { cause, .. }) => {
            assert!(matches!(*cause, TaskError::Returned { .. }), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    // With the worker that ends others may be lost, and theirs.
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    assert!(matches!(
        of_death.join(),
        Err(TaskError::DependencyFailed { .. })
    ));
    drop((good, panics, refuses, go));
    is_clean(&rt);
}

/// Each is cancelled, or let go, or neither, before the gate opens or while all run.
#[test]
fn any_of_a_graph_may_be_cancelled_or_let_go_at_any_time() {
    for seed in 1..=30 {
        let mut rng = Rng::new(seed, 0);
        println!("seed {seed}");
        let (rt, gate) = (runtime(2), Gate::new());
        let go = gate.hold(&rt, ());
        let mut all: Vec<Option<Handle<u64>>> = (0..4).map(|n| Some(later(&rt, &go, n))).collect();
        let opens_at = rng.below(200);
        for n in 4..200 {
            if n == opens_at {
                gate.open();
            }
            let known: Vec<_> = all.iter().flatten().collect();
            let after: Vec<_> = (0..1 + rng.below(4))
                .map(|_| known[known.len() - 1 - rng.below(known.len().min(8) as u64) as usize])
                .collect();
            let add = |(n, inputs): (u64, Vec<u64>)| n + inputs.len() as u64;
            let handle = rt.spawn_after(after, add, n);
            all.push(Some(handle));
            let at = (n - rng.below(4)) as usize;
            match rng.below(12) {
                0 => drop(all[at].take()),
                1 => drop(all[at].as_ref().map(Handle::cancel)),
                _ => {}
            }
        }
        gate.open();
        for handle in all.into_iter().flatten() {
            match handle.join() {
                Ok(_) | Err(TaskError::Cancelled { .. }) => {}
                Err(TaskError::DependencyFailed { cause, .. })
                    if matches!(*cause, TaskError::Cancelled { .. }) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        drop(go);
        is_clean(&rt);
    }
}

/// There are slots for 16 pending tasks: the others wait elsewhere, and so do theirs.
#[test]
fn more_wait_than_there_are_slots_for() {
    let rt = Runtime::builder().workers(2).queue_capacity(4).start();
    let (rt, gate) = (rt.expect("starts"), Gate::new());
    for round in 0..20u64 {
        let go = gate.hold(&rt, ());
        let mut last = later(&rt, &go, round);
        let add = |(n, (a, b)): (u64, (u64, u64))| n + a.max(b);
        let mut other = later(&rt, &go, 0);
        for _ in 0..100 {
            let next = rt.spawn_after((&last, &other), add, 1);
            other = std::mem::replace(&mut last, next);
        }
        gate.open();
        assert_eq!(last.join(), Ok(round + 100));
    }
    is_clean(&rt);
}

#[test]
fn what_waits_in_slots_is_drained_or_ended() {
    for how in [Shutdown::Drain, Shutdown::Abort] {
        let (rt, gate) = (runtime(2), Gate::new());
        let go = gate.hold(&rt, ());
        let mut chain = vec![later(&rt, &go, 0u64)];
        for n in 0..50 {
            let next = rt.spawn_after(&chain[n], |(n, m): (u64, u64)| n + m, 1);
            chain.push(next);
        }
        gate.open();
        rt.shutdown(how).expect("ends");
        for (n, handle) in (0..).zip(chain) {
            match (how, handle.join()) {
                (_, Ok(value)) => assert_eq!(value, n),
                (Shutdown::Abort, Err(_)) => {}
                (_, other) => panic!("{other:?}"),
            }
        }
    }
}

/// There was memory for the value, and is none when it is to be handed on.
#[test]
fn an_input_for_which_there_is_no_memory_ends_what_waits_for_it() {
    let rt = Runtime::builder().workers(2).memory_cap(8 << 20).start();
    let (rt, gate, other) = (rt.expect("starts"), Gate::new(), Gate::new());
    let (go, later_on) = (gate.hold(&rt, ()), other.hold(&rt, ()));
    let long = |(len, ()): (usize, ())| "x".repeat(len);
    let text = rt.spawn_after(&go, long, 5 << 20);
    let second = later(&rt, &later_on, 1u64);
    let take = |((), (text, n)): ((), (String, u64))| text.len() as u64 + n;
    let len = rt.spawn_after((&text, &second), take, ());
    let more = rt.spawn_after(&len, |((), len): ((), u64)| len, ());
    gate.open();
    until("the text to be there", || text.is_finished());
    let loan = rt.alloc(6 << 20).expect("room");
    other.open();
    match len.join() {
        Err(TaskError::OutOfMemory { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        more.join(),
        Err(TaskError::DependencyFailed { .. })
    ));
    assert_eq!(text.join().map(|text| text.len()), Ok(5 << 20));
    drop((go, later_on, second, loan));
    is_clean(&rt);
}
