//! piscina and `worker_threads` of Node.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use pinfold::{Loan, Refusal, TaskError};

use crate::habit::{AROUND, Habit, Library, README, differs, habits, same};
use crate::stage::*;

pub fn library() -> Library {
    Library {
        short: "piscina",
        title: "Node: piscina",
        first: "`pool.run(x)` is `rt.spawn(f, x)`: the function is named at each call, not by the file of the worker.",
        habits: habits![
            run_is_a_promise,
            a_full_queue,
            an_abort_signal,
            a_transfer_list,
            a_move_twice,
            resource_limits,
            process_exit,
            worker_data,
            concurrent_tasks_per_worker,
            an_unhandled_rejection,
            completed_and_times,
        ],
    }
}

fn run_is_a_promise() -> Habit {
    same("`await pool.run(x)`", "`rt.spawn(f, x).await`", || {
        assert_eq!(block_on(two().spawn(double, 4)), Ok(8));
    })
}

fn a_full_queue() -> Habit {
    differs(
        "`maxQueue`: `run` rejects when the queue is full",
        "`try_spawn` does; `spawn` waits",
        (
            README,
            "When a queue is full, `spawn` waits and `try_spawn` gives the arguments back.",
        ),
        || {
            let (rt, door) = (of(1).queue_capacity(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            let refused = rt.try_spawn(double, 1).unwrap_err();
            assert_eq!(refused.refusal, Refusal::Full { capacity: 1 });
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn an_abort_signal() -> Habit {
    differs(
        "an `AbortSignal` ends the thread of a task that runs, at once",
        "`cancel()` asks; `cancel_within(grace)` ends its worker",
        (
            README,
            "queued: it never starts; running: it is asked to end, and its worker is killed after the grace if there is one",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let (asked, ended) = (rt.spawn(listen_at, door.at("asked")), rt.spawn(deaf, ()));
            door.wait_for("asked");
            assert!(asked.cancel() && ended.cancel_within(ms(1)));
            assert!(is_cancelled(&asked.join()) && is_cancelled(&ended.join()));
        },
    )
}

fn a_transfer_list() -> Habit {
    same(
        "a buffer in the `transferList` is moved, not copied",
        "a `Loan` is",
        || {
            let rt = two();
            let mut buffer = rt.alloc(1 << 20).unwrap();
            buffer.fill(1);
            let adds = |mut it: Loan| {
                it[0] += 1;
                it
            };
            let back = rt.spawn(adds, buffer).join().unwrap();
            assert_eq!((back[0], back[1], back.len()), (2, 1, 1 << 20));
        },
    )
}

/// As serde's `rc` has it.
#[derive(Clone)]
struct Kept(Arc<Loan>);

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Loan::deserialize(from).map(|loan| Kept(Arc::new(loan)))
    }
}

fn a_move_twice() -> Habit {
    same(
        "a buffer that was transferred is empty for who has sent it, and cannot be sent again",
        "the compiler sees to it; of a `Loan` behind an `Arc` it is so, by `TaskError::Arguments`",
        || {
            let rt = two();
            let buffer = Kept(Arc::new(rt.alloc(100).unwrap()));
            let len = |it: Kept| it.0.len();
            assert_eq!(rt.spawn(len, buffer.clone()).join(), Ok(100));
            assert_eq!(buffer.0.len(), 0);
            let again = rt.spawn(len, buffer).join();
            assert!(matches!(again, Err(TaskError::Arguments { .. })));
        },
    )
}

fn resource_limits() -> Habit {
    differs(
        "`resourceLimits` bounds the heap of a worker, and ends it beyond",
        "a worker is a process: `worker_init` calls `setrlimit`, and what runs into it ends its task",
        (AROUND, "workers inherit them, so they may matter to a task"),
        || {
            let bound = || {
                use nix::sys::resource::{Resource, setrlimit};
                setrlimit(Resource::RLIMIT_DATA, 512 << 20, 512 << 20)
            };
            let rt = of(1).worker_init(bound).start().unwrap();
            let takes = |n: usize| std::hint::black_box(vec![1_u8; n]).len();
            assert!(has_died(&rt.spawn(takes, 2 << 30).join()));
            assert_eq!(rt.spawn(takes, 1 << 20).join(), Ok(1 << 20));
        },
    )
}

fn process_exit() -> Habit {
    same(
        "`process.exit()` in a worker ends its task, and the worker is replaced",
        "so it does",
        || {
            let rt = one();
            let exits = |status: i32| -> () { std::process::exit(status) };
            assert!(has_died(&rt.spawn(exits, 0).join()));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn worker_data() -> Habit {
    same(
        "`workerData` is each worker's at its start",
        "`worker_init_with(f, data)`",
        || {
            let kept = |data: Vec<u64>| Ok::<_, String>(data);
            let rt = of(2).worker_init_with(kept, vec![7, 8]).start().unwrap();
            let sum = |_: u64| pinfold::worker_state::<Vec<u64>>().map(|all| all.iter().sum());
            assert!(rt.map(sum, 0..20).all(|it| it == Ok(Some(15_u64))));
        },
    )
}

fn concurrent_tasks_per_worker() -> Habit {
    same(
        "`concurrentTasksPerWorker`",
        "`threads_per_worker(n)`",
        || {
            let (rt, door) = (of(1).threads_per_worker(2).start().unwrap(), Door::new());
            let both = [0, 1].map(|n| rt.spawn(wait_at, door.at(n)));
            door.wait_for(0);
            door.wait_for(1);
            door.open();
            let [a, b] = both.map(|handle| handle.join().unwrap());
            assert_eq!(a, b, "one process");
        },
    )
}

fn an_unhandled_rejection() -> Habit {
    differs(
        "a rejection that nobody handles ends the program",
        "an error of a task whose handle was dropped is counted, and a panic is logged",
        (AROUND, "so it is not lost if the handle was dropped"),
        || {
            let rt = of(1).start().unwrap();
            drop(rt.spawn(inverse, 0));
            until("it is counted", || rt.stats().totals.task_panics == 1);
        },
    )
}

fn completed_and_times() -> Habit {
    same(
        "`pool.completed`, `pool.runTime.p99`",
        "`stats().tasks.completed`; with `profile(true)`, `profile()` has the times by function",
        || {
            let rt = of(1).profile(true).start().unwrap();
            assert_eq!(rt.map(double, 0..20).count(), 20);
            assert_eq!(rt.stats().tasks.completed, 20);
            let profile = rt.profile();
            assert_eq!(profile.functions[0].count, 20);
            assert!(profile.functions[0].run.p99_ns > 0);
        },
    )
}
