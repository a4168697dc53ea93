//! `JoinSet`, `AbortHandle`, streams, and what is awaited before a task is accepted.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use pinfold::{Canceller, JoinSet, Limit, Refusal, TimedOut, as_completed};

use crate::habit::{Habit, differs, habits, same};
use crate::stage::*;

const SET: &str = "src/runtime/join_set.rs";

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        join_next_gives_what_ends,
        join_next_of_an_empty_set,
        join_next_is_cancel_safe,
        join_next_with_a_timeout,
        try_join_next,
        len_and_is_empty,
        spawn_while_joining,
        abort_all,
        abort_all_that_runs,
        detach_all,
        a_set_is_dropped,
        join_all_of_a_set,
        a_panic_in_a_set,
        collect_into_a_set,
        ids_in_a_set,
        an_abort_handle_of_a_set,
        abort_handles,
        abort_handle_is_finished,
        futures_unordered,
        buffered,
        buffer_unordered,
        await_room,
        await_room_and_give_up,
        reserve_a_place,
        try_reserve_a_place,
        await_a_permit_of_a_semaphore,
        cancel_of_a_dropped_stream,
    ]
}

fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    block_on(poll_fn(|context| Pin::new(&mut *stream).poll_next(context)))
}

fn join_next_gives_what_ends() -> Habit {
    same(
        "`set.spawn(…)`, `while let Some(outcome) = set.join_next().await`: whatever ends first",
        "`set.spawn(&rt, f, args)`, `join_next_async().await`, or `join_next()` for threads",
        || {
            let (rt, door) = (two(), Door::new());
            let mut set = JoinSet::new();
            let slow = set.spawn(&rt, wait_at, door.at("slow"));
            door.wait_for("slow");
            let quick = set.spawn(&rt, pass, door.at("quick"));
            assert_eq!(block_on(set.join_next_async()).unwrap().0, quick);
            door.open();
            assert_eq!(set.join_next().unwrap().0, slow);
            assert!(set.join_next().is_none());
        },
    )
}

fn join_next_of_an_empty_set() -> Habit {
    same(
        "`join_next()` of an empty set is `None`, at once",
        "so it is",
        || {
            let mut set = JoinSet::<u64>::new();
            assert_eq!(block_on(set.join_next_async()), None);
            assert_eq!(set.join_next(), None);
        },
    )
}

fn join_next_is_cancel_safe() -> Habit {
    same(
        "a `join_next` that loses a `select!` loses no outcome",
        "so it is with `join_next_async`",
        || {
            let (rt, door) = (two(), Door::new());
            let mut set = JoinSet::new();
            set.spawn(&rt, wait_at, door.at("it"));
            let mut context = Context::from_waker(Waker::noop());
            assert!(pin!(set.join_next_async()).poll(&mut context).is_pending());
            door.open();
            assert!(matches!(block_on(set.join_next_async()), Some((0, Ok(_)))));
        },
    )
}

fn join_next_with_a_timeout() -> Habit {
    same(
        "`timeout(d, set.join_next())`: the tasks go on",
        "`join_next_timeout(d)` is `TimedOut`; `timeout` of tokio works, too",
        || {
            let (rt, door) = (two(), Door::new());
            let mut set = JoinSet::new();
            set.spawn(&rt, wait_at, door.at("it"));
            assert_eq!(set.join_next_timeout(ms(5)), Err(TimedOut));
            door.open();
            assert!(matches!(set.join_next_timeout(LONG), Ok(Some((0, Ok(_))))));
        },
    )
}

fn try_join_next() -> Habit {
    same("`try_join_next()`", "`try_join_next()`", || {
        let (rt, door) = (two(), Door::new());
        let mut set = JoinSet::new();
        set.spawn(&rt, wait_at, door.at("it"));
        assert_eq!(set.try_join_next(), None);
        door.open();
        until("it has ended", || set.try_join_next().is_some());
        assert!(set.is_empty());
    })
}

fn len_and_is_empty() -> Habit {
    same(
        "`len()` counts what was not joined, ended or not",
        "so it does",
        || {
            let rt = two();
            let mut set = JoinSet::new();
            (0..5).for_each(|n| _ = set.spawn(&rt, double, n));
            assert!(!set.is_empty());
            while let Some((_, outcome)) = set.join_next() {
                assert!(outcome.is_ok());
            }
            assert_eq!((set.len(), set.is_empty()), (0, true));
        },
    )
}

fn spawn_while_joining() -> Habit {
    same(
        "what has ended gives work for new tasks of the set",
        "so it may",
        || {
            let rt = two();
            let mut set = JoinSet::new();
            set.spawn(&rt, double, 1);
            let mut seen = Vec::new();
            while let Some((_, outcome)) = set.join_next() {
                let value = outcome.unwrap();
                seen.push(value);
                if value < 100 {
                    set.spawn(&rt, double, value);
                }
            }
            assert_eq!(seen, [2, 4, 8, 16, 32, 64, 128]);
        },
    )
}

fn abort_all() -> Habit {
    same(
        "`abort_all()`: their outcomes come, as cancelled",
        "`cancel_all()`",
        || {
            let (rt, door) = (one(), Door::new());
            let mut set = JoinSet::new();
            set.spawn(&rt, listen_at, door.at("runs"));
            door.wait_for("runs");
            (0..5).for_each(|n| _ = set.spawn(&rt, listen_at, door.at(n)));
            set.cancel_all();
            let mut ended = 0;
            while let Some((_, outcome)) = set.join_next() {
                assert!(is_cancelled(&outcome));
                ended += 1;
            }
            assert_eq!(ended, 6);
            assert!((0..5).all(|n| !door.has_come(n)));
        },
    )
}

fn abort_all_that_runs() -> Habit {
    differs(
        "`abort_all()` does nothing to blocking tasks that run",
        "they are asked; `cancel_all_within(grace)` ends them",
        (SET, "what still runs after `grace` is killed"),
        || {
            let rt = two();
            let mut set = JoinSet::new();
            set.spawn(&rt, deaf, ());
            set.cancel_all_within(ms(5));
            assert!(is_cancelled(&set.join_next().unwrap().1));
        },
    )
}

fn detach_all() -> Habit {
    same("`detach_all()`", "`detach_all()`", || {
        let (rt, door) = (one(), Door::new());
        let busy = rt.spawn(wait_at, door.at("busy"));
        let mut set = JoinSet::new();
        set.spawn(&rt, pass, door.at("it"));
        set.detach_all();
        assert!(set.is_empty());
        drop(set);
        door.open();
        door.wait_for("it");
        assert!(busy.join().is_ok());
    })
}

fn a_set_is_dropped() -> Habit {
    same(
        "dropping a set aborts its tasks",
        "it cancels them: what was not begun never is, what runs is asked",
        || {
            // It hears at once: its worker would be quick enough for one of the others.
            let hears = |(own, _): Place| {
                std::fs::write(own, "").unwrap();
                while !pinfold::context().is_cancelled() {
                    std::hint::spin_loop();
                }
                Err(0)
            };
            let passes = |place: Place| Ok(pass(place));
            let (rt, door) = (one(), Door::new());
            for n in 0..20 {
                let mut set = JoinSet::<Result<u32, u32>>::new();
                set.spawn(&rt, hears, door.at(n));
                door.wait_for(n);
                (0..200).for_each(|_| _ = set.spawn(&rt, passes, door.at("queued")));
                let before = rt.stats().tasks.cancelled;
                drop(set);
                until("all are cancelled", || {
                    rt.stats().tasks.cancelled == before + 201
                });
                assert!(!door.has_come("queued"));
            }
        },
    )
}

fn join_all_of_a_set() -> Habit {
    differs(
        "`set.join_all().await` gives all values, in the order in which they came, or panics",
        "a loop over `join_next`; for handles there are `join_all` and `gather`, in their order",
        (SET, "There is no `join_all` of a set"),
        || {
            let rt = two();
            let mut set: JoinSet<u64> = (0..5).map(|n| rt.spawn(double, n)).collect();
            let mut sum = 0;
            while let Some((_, outcome)) = set.join_next() {
                sum += outcome.unwrap();
            }
            assert_eq!(sum, 20);
            let all = pinfold::join_all((0..5).map(|n| rt.spawn(double, n)));
            assert!(all.into_iter().eq((0..5).map(|n| Ok(2 * n))));
        },
    )
}

fn a_panic_in_a_set() -> Habit {
    same(
        "a panic is the outcome of its task; the others come",
        "so it is",
        || {
            let rt = two();
            let mut set: JoinSet<u64> = [0, 1].into_iter().map(|n| rt.spawn(inverse, n)).collect();
            let mut ended = [set.join_next().unwrap(), set.join_next().unwrap()];
            ended.sort_by_key(|(task, _)| *task);
            assert_eq!(panic_of(&ended[0].1), "attempt to divide by zero");
            assert_eq!(ended[1], (1, Ok(1000)));
        },
    )
}

fn collect_into_a_set() -> Habit {
    same(
        "`iter.collect::<JoinSet<_>>()` of futures",
        "of handles",
        || {
            let rt = two();
            let set: JoinSet<u64> = (0..7).map(|n| rt.spawn(double, n)).collect();
            assert_eq!(set.len(), 7);
        },
    )
}

fn ids_in_a_set() -> Habit {
    same(
        "`join_next_with_id()` tells which task it was",
        "`join_next` gives the number that `spawn` has returned",
        || {
            let rt = two();
            let mut set = JoinSet::new();
            let numbers: Vec<usize> = (0..9).map(|n| set.spawn(&rt, double, n)).collect();
            assert!(numbers.into_iter().eq(0..9));
            while let Some((task, outcome)) = set.join_next() {
                assert_eq!(outcome, Ok(2 * task as u64));
            }
        },
    )
}

fn an_abort_handle_of_a_set() -> Habit {
    differs(
        "`set.spawn(…)` returns an `AbortHandle` of the task",
        "it returns the task's number; of one that is to be cancelled alone, `canceller()` comes before `insert`",
        (
            SET,
            "Each task has a number in its set, which comes with its outcome",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let mut set = JoinSet::new();
            let stays = set.spawn(&rt, listen_at, door.at("stays"));
            let handle = rt.spawn(listen_at, door.at("goes"));
            let canceller = handle.canceller();
            let goes = set.insert(handle);
            door.wait_for("goes");
            assert!(canceller.cancel());
            let (task, outcome) = set.join_next().unwrap();
            assert!(task == goes && is_cancelled(&outcome));
            door.open();
            let (task, outcome) = set.join_next().unwrap();
            assert!(task == stays && outcome.is_ok());
        },
    )
}

fn abort_handles() -> Habit {
    same(
        "an `AbortHandle` is cloned, sent, and aborts from anywhere, while another awaits",
        "`handle.canceller()`: a `Canceller`",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(listen_at, door.at("it"));
            door.wait_for("it");
            let canceller: Canceller = handle.canceller();
            let there = canceller.clone();
            let cancels = std::thread::spawn(move || there.cancel());
            assert!(is_cancelled(&block_on(handle)));
            assert!(cancels.join().unwrap());
            assert!(canceller.is_finished());
        },
    )
}

fn abort_handle_is_finished() -> Habit {
    same(
        "`AbortHandle::is_finished()` and `id()`, also when the `JoinHandle` is gone",
        "`Canceller::is_finished()` and `id()`, with `is_running()`, `progress()` and `name()` beside",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.task(wait_at).named("nightly").spawn(door.at("it"));
            door.wait_for("it");
            let (id, canceller) = (handle.id(), handle.canceller());
            drop(handle);
            assert!(canceller.is_running() && !canceller.is_finished());
            assert_eq!((canceller.id(), canceller.name()), (id, Some("nightly")));
            door.open();
            until("it has ended", || canceller.is_finished());
        },
    )
}

fn futures_unordered() -> Habit {
    same(
        "`FuturesUnordered` of handles: a stream of what ends",
        "`as_completed(handles)` and `JoinSet` are streams",
        || {
            let rt = two();
            let mut ended = as_completed((0..9).map(|n| rt.spawn(double, n)));
            let mut sum = 0;
            while let Some((_, outcome)) = next(&mut ended) {
                sum += outcome.unwrap();
            }
            assert_eq!(sum, 72);
            let mut set: JoinSet<u64> = (0..9).map(|n| rt.spawn(double, n)).collect();
            assert!(next(&mut set).is_some());
        },
    )
}

fn buffered() -> Habit {
    same(
        "`stream::iter(xs).map(f).buffered(n)`: in order, n in flight",
        "`rt.task(f).in_flight(n).map_stream(xs)`",
        || {
            let rt = two();
            let mut stream = rt.task(double).in_flight(4).map_stream(0..100);
            for n in 0..100 {
                assert_eq!(next(&mut stream), Some(Ok(2 * n)));
            }
            assert_eq!(next(&mut stream), None);
        },
    )
}

fn buffer_unordered() -> Habit {
    same(
        "`buffer_unordered(n)`: whatever ends first",
        "`map_unordered_stream(xs)`, with the number of each item",
        || {
            let (rt, door) = (two(), Door::new());
            let task = rt.task(|place: Option<Place>| place.map(wait_at).is_some());
            let mut stream = task.map_unordered_stream([Some(door.at("slow")), None]);
            assert_eq!(next(&mut stream), Some((1, Ok(false))));
            door.open();
            assert_eq!(next(&mut stream), Some((0, Ok(true))));
            assert_eq!(next(&mut stream), None);
        },
    )
}

fn await_room() -> Habit {
    same(
        "`sender.send(x).await` waits for room without blocking the thread",
        "`rt.spawn_async(f, args).await` gives the handle, when there is room",
        || {
            let (rt, door) = (of(1).queue_capacity(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            let mut context = Context::from_waker(Waker::noop());
            let mut spawns = pin!(rt.spawn_async(double, 4));
            assert!(spawns.as_mut().poll(&mut context).is_pending());
            door.open();
            let handle = block_on(spawns);
            assert_eq!(block_on(handle), Ok(8));
            assert!(busy.join().is_ok());
        },
    )
}

fn await_room_and_give_up() -> Habit {
    same(
        "dropping a pending `send` sends nothing",
        "dropping a pending `spawn_async` submits nothing",
        || {
            let (rt, door) = (of(1).queue_capacity(1).start().unwrap(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            let mut context = Context::from_waker(Waker::noop());
            {
                let spawns = pin!(rt.spawn_async(pass, door.at("never")));
                assert!(spawns.poll(&mut context).is_pending());
            }
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!(!door.has_come("never"));
        },
    )
}

fn reserve_a_place() -> Habit {
    same(
        "`sender.reserve().await` is a permit, and then `send` does not wait",
        "`rt.reserve().await?`, and then `permit.spawn(f, args)?`",
        || {
            let rt = of(1).queue_capacity(1).start().unwrap();
            let permit = block_on(rt.reserve()).unwrap();
            let full = rt.try_spawn(double, 1).unwrap_err();
            assert_eq!(full.refusal, Refusal::Full { capacity: 1 });
            assert_eq!(permit.spawn(double, 4).unwrap().join(), Ok(8));
        },
    )
}

fn try_reserve_a_place() -> Habit {
    same(
        "`try_reserve()`; dropping a permit gives it back",
        "so it does",
        || {
            let rt = of(1).queue_capacity(1).start().unwrap();
            let permit = rt.try_reserve().unwrap();
            assert_eq!(rt.try_reserve().unwrap_err(), Refusal::Full { capacity: 1 });
            drop(permit);
            assert!(rt.try_reserve().is_ok());
        },
    )
}

fn await_a_permit_of_a_semaphore() -> Habit {
    same(
        "`semaphore.acquire().await` before the task is spawned",
        "`task.limited(&limit, 1).spawn_async(args).await` waits for both: a share and room",
        || {
            let (rt, door) = (two(), Door::new());
            let alone = Limit::new(1);
            let task = rt.task(wait_at).limited(&alone, 1);
            let first = task.spawn(door.at("first"));
            door.wait_for("first");
            let mut context = Context::from_waker(Waker::noop());
            let mut second = pin!(task.spawn_async(door.at("second")));
            assert!(second.as_mut().poll(&mut context).is_pending());
            door.open();
            assert!(first.join().is_ok());
            assert!(block_on(block_on(second)).is_ok());
        },
    )
}

fn cancel_of_a_dropped_stream() -> Habit {
    same(
        "dropping a `buffered` stream drops the futures that it had in flight",
        "dropping a stream of `map` cancels what was not begun",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut stream = rt.task(pass).map_stream((0..3).map(|n| door.at(n)));
            let mut context = Context::from_waker(Waker::noop());
            let polled = Pin::new(&mut stream).poll_next(&mut context);
            assert!(matches!(polled, Poll::Pending));
            drop(stream);
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!((0..3).all(|n| !door.has_come(n)));
        },
    )
}
