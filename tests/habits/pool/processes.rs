//! What calls have of their processes: memory, names, streams, children.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use pinfold::Shared;

use crate::habit::{AROUND, BUILDER, Habit, README, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        maxtasksperchild,
        calls_have_no_children,
        processes_have_names,
        random_numbers_of_forks,
        an_array_of_shared_memory,
        shared_memory_is_unlinked,
        locks_of_the_program,
        a_pool_of_threads,
        the_keyboard_interrupts,
        standard_input,
        what_a_call_changes,
    ]
}

fn maxtasksperchild() -> Habit {
    differs(
        "`maxtasksperchild=1` gives each call a fresh process",
        "there is no such setting; a task that must leave nothing behind ends its worker itself, and is told as one that died",
        (BUILDER, "it is not replaced after a number of tasks"),
        || {
            let rt = one();
            let first = rt.spawn(pid, ()).join();
            assert_eq!(rt.spawn(pid, ()).join(), first);
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_ne!(rt.spawn(pid, ()).join(), first);
        },
    )
}

fn calls_have_no_children() -> Habit {
    differs(
        "a call may not start processes of `multiprocessing`: workers are daemons",
        "a task may start programs, and threads",
        (
            AROUND,
            "A program that a task starts inherits the worker's standard streams",
        ),
        || {
            let starts = |status: String| {
                let mut shell = std::process::Command::new("sh");
                shell.args(["-c", &status]).status().ok()?.code()
            };
            assert_eq!(two().spawn(starts, "exit 7".into()).join(), Ok(Some(7)));
        },
    )
}

fn processes_have_names() -> Habit {
    differs(
        "workers are called `ForkPoolWorker-3`, in Python only",
        "`ps` shows `NAME: pinfold worker 3`",
        (
            AROUND,
            "`ps` shows `NAME: pinfold zygote`, `NAME: pinfold worker 3`",
        ),
        || {
            let name = |(): ()| std::fs::read_to_string("/proc/self/cmdline").ok();
            let name = one().spawn(name, ()).join().unwrap().unwrap();
            assert!(name.contains("pinfold worker 0"), "{name}");
        },
    )
}

fn random_numbers_of_forks() -> Habit {
    differs(
        "forks share the state of `random` and of numpy: workers draw the same numbers",
        "each worker draws its own keys and seeds",
        (
            AROUND,
            "Each worker, and each successor, draws its own hash keys",
        ),
        || {
            let rt = two();
            let drawn = |place: Place| {
                wait_at(place);
                RandomState::new().hash_one(7)
            };
            let door = Door::new();
            let both = [rt.spawn(drawn, door.at(0)), rt.spawn(drawn, door.at(1))];
            door.wait_for(0);
            door.wait_for(1);
            door.open();
            let drawn: BTreeSet<u64> = both.into_iter().map(|it| it.join().unwrap()).collect();
            assert_eq!(drawn.len(), 2);
        },
    )
}

fn an_array_of_shared_memory() -> Habit {
    differs(
        "an `Array` in shared memory is changed by program and calls alike",
        "a buffer has one owner (`Loan`), who may write, or any number of readers (`Shared`)",
        (AROUND, "A `Loan` has one owner."),
        || {
            let rt = two();
            let mut mine = rt.alloc(1 << 20).unwrap();
            mine.fill(1);
            let fills = |mut it: pinfold::Loan| {
                it.iter_mut().for_each(|byte| *byte += 1);
                it
            };
            let back = rt.spawn(fills, mine).join().unwrap();
            assert!(back.iter().all(|byte| *byte == 2));
            let all = back.publish();
            let sum = |it: Shared| it.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            let sums = [rt.spawn(sum, all.clone()), rt.spawn(sum, all)];
            assert!(sums.into_iter().all(|it| it.join() == Ok(2 << 20)));
        },
    )
}

fn shared_memory_is_unlinked() -> Habit {
    differs(
        "`SharedMemory` has a name, and stays until somebody calls `unlink()`",
        "a buffer has no name, and is free when nobody refers to it",
        (
            "docs/ARCHITECTURE.md",
            "a sealed, sparse memory file, without a name",
        ),
        || {
            let rt = two();
            let in_use = || {
                rt.stats()
                    .pool
                    .iter()
                    .map(|class| class.in_use)
                    .sum::<u64>()
            };
            let before = in_use();
            let buffer = rt.alloc(1 << 20).unwrap().publish();
            assert_eq!(in_use(), before + 1);
            let len = rt.spawn(|it: Shared| it.len(), buffer.clone()).join();
            assert_eq!(len, Ok(1 << 20));
            drop(buffer);
            until("it is free", || in_use() == before);
        },
    )
}

fn locks_of_the_program() -> Habit {
    static NUMBERS: std::sync::Mutex<Vec<u64>> = std::sync::Mutex::new(Vec::new());
    differs(
        "a `Lock` of the program that workers inherit keeps calls apart",
        "a mutex in a static is each worker's own; to keep tasks apart there is `Limit`",
        (
            README,
            "It does not see the host's statics as the host has changed them",
        ),
        || {
            let rt = two();
            let held = NUMBERS.lock().unwrap();
            let pushes = |n| NUMBERS.lock().map(|mut all| all.push(n)).is_ok();
            assert_eq!(
                rt.spawn(pushes, 7).join(),
                Ok(true),
                "nobody holds it there"
            );
            assert!(held.is_empty());
            drop(held);

            let (alone, door) = (pinfold::Limit::new(1), Door::new());
            let task = rt.task(wait_at).limited(&alone, 1);
            let first = task.spawn(door.at("first"));
            door.wait_for("first");
            assert!(task.try_spawn(door.at("second")).is_err());
            door.open();
            assert!(first.join().is_ok());
        },
    )
}

fn a_pool_of_threads() -> Habit {
    differs(
        "`ThreadPool` has the same methods, and its calls share the program's memory",
        "tasks are in other processes, always",
        (README, "A task runs in another process"),
        || {
            let task = two().spawn(pid, ()).join().unwrap();
            assert_ne!(task, std::process::id());
        },
    )
}

fn the_keyboard_interrupts() -> Habit {
    differs(
        "Ctrl-C reaches each worker too, and each prints a traceback",
        "it reaches the program alone, which says what is to become of the tasks",
        (AROUND, "Ctrl-C reaches only the host."),
        || {
            let session = |(): ()| nix::unistd::getsid(None).map_or(0, |it| it.as_raw());
            let group = |(): ()| nix::unistd::getpgrp().as_raw();
            let rt = two();
            assert_ne!(rt.spawn(session, ()).join(), Ok(session(())));
            assert_ne!(rt.spawn(group, ()).join(), Ok(group(())));
        },
    )
}

fn standard_input() -> Habit {
    same(
        "a call that reads from standard input finds nothing there",
        "nor does a task",
        || {
            let reads = |(): ()| std::io::read_to_string(std::io::stdin()).ok();
            assert_eq!(two().spawn(reads, ()).join(), Ok(Some(String::new())));
        },
    )
}

fn what_a_call_changes() -> Habit {
    same(
        "a call that changes its process (directory, umask) changes it for the next calls there",
        "so does a task, until its worker ends",
        || {
            let rt = of(1).start().unwrap();
            let moves = |(): ()| std::env::set_current_dir("/").is_ok();
            assert_eq!(rt.spawn(moves, ()).join(), Ok(true));
            let there = |(): ()| std::env::current_dir().unwrap();
            assert_eq!(rt.spawn(there, ()).join(), Ok("/".into()));
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_eq!(rt.spawn(there, ()).join(), Ok(there(())));
        },
    )
}
