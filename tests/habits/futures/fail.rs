//! Calls that raise, that cannot be sent, and that end their worker.

use pinfold::TaskError;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::habit::{AROUND, Habit, README, TASK_ERROR, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        an_exception_is_the_callers,
        exception_gives_it_without_raising,
        a_bug_is_told_with_its_place,
        other_calls_go_on,
        exceptions_nobody_asks_for,
        an_argument_that_cannot_be_pickled,
        a_result_that_cannot_be_pickled,
        a_result_that_cannot_be_unpickled,
        a_worker_that_dies_breaks_the_pool,
        the_others_of_a_broken_pool,
        a_dead_worker_is_a_cause,
        exit_in_a_call,
        recursion_without_end,
        a_call_that_kills_every_worker,
        which_item_raised,
        an_exception_of_a_call_of_a_call,
    ]
}

fn an_exception_is_the_callers() -> Habit {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Trouble {
        NoSuchItem { id: u32 },
    }
    differs(
        "what the function raises `result()` raises, of the same class",
        "what it returns as `Err` is its value, of the same type; `join_flat` makes it a `TaskError`",
        (README, "it is the task's value; `join_flat` makes it a"),
        || {
            let find = |id: u32| -> Result<String, Trouble> { Err(Trouble::NoSuchItem { id }) };
            let outcome = two().spawn(find, 7).join();
            assert_eq!(outcome, Ok(Err(Trouble::NoSuchItem { id: 7 })));
            let flat = two().spawn(half, 7).join_flat().unwrap_err();
            assert!(flat.to_string().contains("7 is odd"), "{flat}");
        },
    )
}

fn exception_gives_it_without_raising() -> Habit {
    same(
        "`exception()` gives what went wrong, or `None`",
        "`join().err()`",
        || {
            assert_eq!(two().spawn(inverse, 1).join().err(), None);
            assert!(two().spawn(inverse, 0).join().err().is_some());
        },
    )
}

fn a_bug_is_told_with_its_place() -> Habit {
    same(
        "an exception comes with the traceback of the worker",
        "a panic comes with its words and its place; with `RUST_BACKTRACE` with its backtrace too",
        || match two().spawn(inverse, 0).join() {
            Err(TaskError::Panicked {
                message, location, ..
            }) => {
                assert_eq!(message, "attempt to divide by zero");
                assert!(location.contains("stage.rs:"), "{location}");
            }
            other => panic!("{other:?}"),
        },
    )
}

fn other_calls_go_on() -> Habit {
    same(
        "an exception ends its call; worker and pool go on",
        "so it is with a panic: the worker lives on",
        || {
            let rt = of(1).start().unwrap();
            let before = rt.spawn(pid, ()).join();
            assert!(rt.spawn(inverse, 0).join().is_err());
            assert_eq!(rt.spawn(pid, ()).join(), before);
        },
    )
}

fn exceptions_nobody_asks_for() -> Habit {
    differs(
        "an exception whose future nobody asks is lost without a word",
        "a panic is a `tracing` event and is counted",
        (AROUND, "so it is not lost if the handle was dropped"),
        || {
            let rt = of(1).start().unwrap();
            drop(rt.spawn(inverse, 0));
            until("it is counted", || rt.stats().totals.task_panics == 1);
        },
    )
}

/// Of which some cannot be sent.
#[derive(Debug, PartialEq)]
struct Fussy(u32);

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == 1 {
            return Err(S::Error::custom("a socket cannot be sent"));
        }
        to.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            2 => Err(D::Error::custom("no such table")),
            n => Ok(Fussy(n)),
        }
    }
}

fn fussy(n: u32) -> Fussy {
    Fussy(n)
}

fn an_argument_that_cannot_be_pickled() -> Habit {
    same(
        "an argument that cannot be pickled is an error of its future, which says why; the pool goes on",
        "`TaskError::Arguments`, with what the type's `Serialize` says",
        || {
            let rt = two();
            let error = rt.spawn(|_: Fussy| (), Fussy(1)).join().unwrap_err();
            assert!(matches!(error, TaskError::Arguments { .. }));
            assert!(
                error.to_string().contains("a socket cannot be sent"),
                "{error}"
            );
            assert_eq!(rt.spawn(|it: Fussy| it.0, Fussy(3)).join(), Ok(3));
        },
    )
}

fn a_result_that_cannot_be_pickled() -> Habit {
    same(
        "so is a result that cannot be pickled",
        "`TaskError::Result`",
        || {
            let rt = two();
            let error = rt.spawn(fussy, 1).join().unwrap_err();
            assert!(matches!(error, TaskError::Result { .. }));
            assert!(
                error.to_string().contains("a socket cannot be sent"),
                "{error}"
            );
            assert_eq!(rt.spawn(fussy, 3).join(), Ok(Fussy(3)));
        },
    )
}

fn a_result_that_cannot_be_unpickled() -> Habit {
    differs(
        "a result that the program cannot unpickle breaks the pool",
        "it is an error of its task alone",
        (
            AROUND,
            "names type, function and reason, in the words of the type's own `Serialize`",
        ),
        || {
            let rt = two();
            let error = rt.spawn(fussy, 2).join().unwrap_err();
            assert!(error.to_string().contains("no such table"), "{error}");
            assert_eq!(rt.spawn(fussy, 3).join(), Ok(Fussy(3)));
        },
    )
}

fn a_worker_that_dies_breaks_the_pool() -> Habit {
    differs(
        "a worker that dies breaks the pool for good: `BrokenProcessPool` from then on",
        "it costs its task, and is replaced",
        (README, "the worker is replaced; the others go on"),
        || {
            let rt = one();
            assert!(has_died(&rt.spawn(dies, 1).join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn the_others_of_a_broken_pool() -> Habit {
    differs(
        "all futures that are pending then end with `BrokenProcessPool`",
        "the others do not notice",
        (README, "the worker is replaced; the others go on"),
        || {
            let (rt, door) = (two(), Door::new());
            let beside = rt.spawn(wait_at, door.at("beside"));
            door.wait_for("beside");
            let bad = rt.spawn(dies, 1);
            let behind: Vec<_> = (0..50).map(|n| rt.spawn(double, n)).collect();
            assert!(has_died(&bad.join()));
            door.open();
            assert!(beside.join().is_ok());
            assert!((0..50).eq(behind.into_iter().map(|it| it.join().unwrap() / 2)));
        },
    )
}

fn a_dead_worker_is_a_cause() -> Habit {
    differs(
        "`BrokenProcessPool` does not say how the worker ended",
        "the error has the signal or the status, and the task's name",
        (TASK_ERROR, "How it ended."),
        || {
            let error = one().task(dies).named("nightly").spawn(1).join();
            let words = error.unwrap_err().to_string();
            for part in ["nightly", "SIGABRT"] {
                assert!(words.contains(part), "{words}");
            }
        },
    )
}

fn exit_in_a_call() -> Habit {
    differs(
        "`sys.exit(3)` in a call is an exception of its future",
        "`process::exit(3)` ends the worker; the task's error says so",
        (README, "`TaskError::WorkerDied` says which"),
        || {
            let rt = one();
            let outcome = rt.spawn(|status| -> () { std::process::exit(status) }, 3);
            let error = outcome.join().unwrap_err().to_string();
            assert!(error.contains("exited with status 3"), "{error}");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn recursion_without_end() -> Habit {
    fn deeper(n: u64) -> u64 {
        match std::hint::black_box([n; 64]) {
            [0, ..] => 0,
            frame => 1 + deeper(frame[7] + 1),
        }
    }
    differs(
        "recursion without end is a `RecursionError` of its future",
        "it overflows the worker's stack, which ends the worker; the error says that it was the stack",
        (AROUND, "the task's error says that the stack was too small"),
        || {
            let rt = one();
            let error = rt.spawn(deeper, 1).join().unwrap_err().to_string();
            assert!(error.contains("stack"), "{error}");
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn a_call_that_kills_every_worker() -> Habit {
    differs(
        "to try a call again after its worker's death is up to the caller, with a new pool",
        "`safe_to_repeat(n)` does; a task that ends n workers is told as poison",
        (README, "names it and what each attempt died of"),
        || {
            let rt = one();
            let outcome = rt.task(dies).safe_to_repeat(2).spawn(1).join();
            match outcome {
                Err(TaskError::Poison { attempts, .. }) => assert_eq!(attempts.len(), 2),
                other => panic!("{other:?}"),
            }
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn which_item_raised() -> Habit {
    differs(
        "which item of a `map` has raised only the function could have said",
        "the error says: `error.task()` has the number of the item, and so has its text",
        (
            "src/error/failed.rs",
            "The number of its item, the first is 0",
        ),
        || {
            let rt = two();
            let error = rt.map(inverse, [1, 2, 0]).last().unwrap().unwrap_err();
            assert_eq!(error.task().unwrap().item, Some(2));
            assert!(error.to_string().contains("item 2"), "{error}");
        },
    )
}

fn an_exception_of_a_call_of_a_call() -> Habit {
    same(
        "an exception is pickled, and may be raised again elsewhere",
        "a `TaskError` has serde's derives: it may be an argument, a result, a line of a log",
        || {
            let rt = two();
            let error = rt.spawn(inverse, 0).join().unwrap_err();
            let there = rt.spawn(|error: TaskError| error.to_string(), error.clone());
            assert_eq!(there.join(), Ok(error.to_string()));
            let text = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<TaskError>(&text).unwrap(), error);
        },
    )
}
