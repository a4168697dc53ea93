//! `as_completed`, `wait`, time limits, and several callbacks.

use std::sync::mpsc::channel;

use pinfold::{Handle, TimedOut, WaitFor, as_completed, wait};

use crate::habit::{CALLBACKS, Habit, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        as_completed_yields_in_order_of_completion,
        as_completed_of_what_has_ended,
        as_completed_with_a_timeout,
        as_completed_of_what_raises,
        as_completed_of_several_functions,
        as_completed_that_is_left,
        which_future_has_ended,
        wait_for_the_first,
        wait_for_the_first_exception,
        wait_for_all,
        wait_with_a_timeout,
        map_with_a_timeout,
        a_map_that_is_left,
        several_callbacks,
        the_order_of_callbacks,
        running,
        a_future_in_two_hands,
        cancel_what_is_pending,
    ]
}

/// One that waits at the door, and one that does not.
fn slow_and_quick(rt: &pinfold::Runtime, door: &Door) -> [Handle<u32>; 2] {
    let slow = rt.spawn(wait_at, door.at("slow"));
    door.wait_for("slow");
    [slow, rt.spawn(pass, door.at("quick"))]
}

fn as_completed_yields_in_order_of_completion() -> Habit {
    same(
        "`as_completed(futures)` yields whatever ends first",
        "`as_completed(handles)`",
        || {
            let (rt, door) = (two(), Door::new());
            let mut ended = as_completed(slow_and_quick(&rt, &door));
            assert_eq!(ended.next().unwrap().0, 1);
            door.open();
            assert_eq!(ended.next().unwrap().0, 0);
            assert!(ended.next().is_none());
        },
    )
}

fn as_completed_of_what_has_ended() -> Habit {
    same("what has ended before is yielded, too", "so it is", || {
        let rt = two();
        let handles: Vec<_> = (0..10).map(|n| rt.spawn(double, n)).collect();
        until("all have ended", || handles.iter().all(Handle::is_finished));
        let mut ended: Vec<_> = as_completed(handles).collect();
        ended.sort_by_key(|(task, _)| *task);
        assert!(
            ended
                .into_iter()
                .eq((0..10).map(|n| (n as usize, Ok(2 * n))))
        );
    })
}

fn as_completed_with_a_timeout() -> Habit {
    same(
        "`as_completed(futures, timeout=t)` raises `TimeoutError` when the time is up; the calls go on",
        "`as_completed(handles).timeout(t)` yields `TimedOut` then; `into_inner()` goes on",
        || {
            let (rt, door) = (two(), Door::new());
            let slow = rt.spawn(wait_at, door.at("slow"));
            let mut ended = as_completed([slow]).timeout(ms(5));
            assert!(matches!(ended.next(), Some(Err(TimedOut))));
            door.open();
            let (task, outcome) = ended.into_inner().next().unwrap();
            assert_eq!((task, outcome.is_ok()), (0, true));
        },
    )
}

fn as_completed_of_what_raises() -> Habit {
    same(
        "`as_completed` does not raise what a call has raised: `result()` does",
        "each outcome is a `Result`, and the others come",
        || {
            let rt = two();
            let handles = [0, 1].map(|n| rt.spawn(inverse, n));
            let mut ended: Vec<_> = as_completed(handles).collect();
            ended.sort_by_key(|(task, _)| *task);
            assert_eq!(panic_of(&ended[0].1), "attempt to divide by zero");
            assert_eq!(ended[1].1, Ok(1000));
        },
    )
}

fn as_completed_of_several_functions() -> Habit {
    same(
        "the futures may be of different functions and executors",
        "of different functions, settings and runtimes, with results of one type",
        || {
            let (one, two) = (one(), two());
            let task = two.task(inverse).at_least_once();
            let handles = [one.spawn(double, 1), two.spawn(double, 2), task.spawn(10)];
            let sum: u64 = as_completed(handles).map(|(_, it)| it.unwrap()).sum();
            assert_eq!(sum, 106);
        },
    )
}

fn as_completed_that_is_left() -> Habit {
    same(
        "leaving a loop over `as_completed` leaves the others running",
        "dropping it detaches them; dropping a `JoinSet` cancels them",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut ended = as_completed([rt.spawn(pass, door.at("it"))]).timeout(ms(2));
            assert!(matches!(ended.next(), Some(Err(TimedOut))));
            drop(ended.into_inner());
            door.open();
            assert!(busy.join().is_ok());
            door.wait_for("it");
        },
    )
}

fn which_future_has_ended() -> Habit {
    same(
        "`{future: url}`: a dictionary tells which call it was",
        "the number that comes with each outcome: `urls[number]`",
        || {
            let rt = two();
            let words = ["a", "bb", "ccc"];
            let handles = words.map(|word| rt.spawn(|it: String| it.len(), word.to_owned()));
            for (number, len) in as_completed(handles) {
                assert_eq!(len, Ok(words[number].len()));
            }
        },
    )
}

fn wait_for_the_first() -> Habit {
    same(
        "`wait(futures, return_when=FIRST_COMPLETED)` gives what is done and what is not",
        "`wait(&handles, WaitFor::First, None)`: `done` and `not_done`, by number",
        || {
            let (rt, door) = (two(), Door::new());
            let handles = slow_and_quick(&rt, &door);
            let waited = wait(&handles, WaitFor::First, None);
            assert_eq!((waited.done, waited.not_done), (vec![1], vec![0]));
            door.open();
            assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
        },
    )
}

fn wait_for_the_first_exception() -> Habit {
    same(
        "`FIRST_EXCEPTION` waits until one has raised, or all are done",
        "`WaitFor::FirstError`; an `Err` that a task returns is its value",
        || {
            let (rt, door) = (two(), Door::new());
            let waits = |place: Option<Place>| wait_at(place.expect("a place"));
            let handles = [
                rt.spawn(waits, Some(door.at("slow"))),
                rt.spawn(waits, None),
            ];
            let waited = wait(&handles, WaitFor::FirstError, None);
            assert_eq!((waited.done, waited.not_done), (vec![1], vec![0]));
            door.open();
            let [slow, failed] = handles.map(Handle::join);
            assert!(slow.is_ok() && failed.is_err());

            let good = [1, 3].map(|n| rt.spawn(half, n));
            let waited = wait(&good, WaitFor::FirstError, None);
            assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
        },
    )
}

fn wait_for_all() -> Habit {
    same(
        "`wait(futures)` waits for all, whether they raise or not",
        "`wait(&handles, WaitFor::All, None)`; their outcomes stay with the handles",
        || {
            let rt = two();
            let handles = [0, 1, 2].map(|n| rt.spawn(inverse, n));
            let waited = wait(&handles, WaitFor::All, None);
            assert_eq!((waited.done.len(), waited.not_done.len()), (3, 0));
            let ok = handles.map(Handle::join).map(|it| it.is_ok());
            assert_eq!(ok, [false, true, true]);
        },
    )
}

fn wait_with_a_timeout() -> Habit {
    same(
        "`wait(futures, timeout=t)` returns what is done by then, and raises nothing",
        "`wait(&handles, WaitFor::All, Some(t))`",
        || {
            let (rt, door) = (two(), Door::new());
            let handles = slow_and_quick(&rt, &door);
            until("the quick one has ended", || handles[1].is_finished());
            let waited = wait(&handles, WaitFor::All, Some(ms(5)));
            assert_eq!((waited.done, waited.not_done), (vec![1], vec![0]));
            door.open();
            assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
        },
    )
}

fn map_with_a_timeout() -> Habit {
    same(
        "`map(f, items, timeout=t)`: `next` raises `TimeoutError` when the time is up",
        "`map(…).timeout(t)` yields `TimedOut`; `next_timeout(t)` is for the next one alone",
        || {
            let (rt, door) = (two(), Door::new());
            let task = rt.task(wait_at);
            let mut map = task.map([door.at(0)]).timeout(ms(5));
            assert!(matches!(map.next(), Some(Err(TimedOut))));
            let mut map = map.into_inner();
            assert!(matches!(map.next_timeout(ms(5)), Err(TimedOut)));
            door.open();
            assert!(matches!(map.next_timeout(LONG), Ok(Some(Ok(_)))));
            assert_eq!(map.next_timeout(LONG), Ok(None));
        },
    )
}

fn a_map_that_is_left() -> Habit {
    same(
        "leaving a loop over `map` cancels what has not begun",
        "dropping it does",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let mut map = rt.task(pass).in_flight(5).map((0..5).map(|n| door.at(n)));
            assert!(map.next_timeout(ms(5)).is_err());
            drop(map);
            door.open();
            assert!(busy.join().is_ok());
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
            assert!((0..5).all(|n| !door.has_come(n)));
        },
    )
}

fn several_callbacks() -> Habit {
    same(
        "a future may have several callbacks",
        "so may a handle",
        || {
            let (tell, told) = channel();
            let handle = two().spawn(double, 4);
            for n in 0..3 {
                let tell = tell.clone();
                handle
                    .on_complete(move |it| tell.send((n, it)).unwrap())
                    .unwrap();
            }
            drop(tell);
            let mut calls: Vec<_> = told.iter().collect();
            calls.sort_by_key(|(n, _)| *n);
            assert_eq!(calls, [(0, Ok(8)), (1, Ok(8)), (2, Ok(8))]);
        },
    )
}

fn the_order_of_callbacks() -> Habit {
    differs(
        "they are called one after the other, in the order in which they were added",
        "in any order, and perhaps at the same time: one that is stuck holds up no other",
        (
            CALLBACKS,
            "they are called in any order, and perhaps at the same time",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let (tell, told) = channel();
            let handle = rt.spawn(double, 4);
            let place = door.at("stuck");
            handle.on_complete(move |_| _ = wait_at(place)).unwrap();
            handle
                .on_complete(move |it| tell.send(it).unwrap())
                .unwrap();
            assert_eq!(told.recv_timeout(LONG), Ok(Ok(8)));
            door.open();
        },
    )
}

fn running() -> Habit {
    same("`running()`", "`is_running()`", || {
        let (rt, door) = (one(), Door::new());
        let runs = rt.spawn(wait_at, door.at("it"));
        door.wait_for("it");
        let queued = rt.spawn(double, 1);
        assert!(runs.is_running() && !queued.is_running());
        door.open();
        assert!(queued.join().is_ok());
        assert!(!runs.is_running() && runs.is_finished());
    })
}

fn a_future_in_two_hands() -> Habit {
    differs(
        "a future may be in several hands: one waits, another cancels it",
        "a handle has one owner; for the others there is `handle.canceller()`, which is cloned",
        (
            "src/runtime/canceller.rs",
            "Cancels a task, and tells of it, for whoever has it",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(listen_at, door.at("it"));
            door.wait_for("it");
            let canceller = handle.canceller();
            let waits = std::thread::spawn(move || handle.join());
            let other = canceller.clone();
            assert!(other.is_running() && !other.is_finished());
            assert!(canceller.cancel());
            assert!(is_cancelled(&waits.join().unwrap()));
            assert!(other.is_finished() && !other.cancel());
        },
    )
}

fn cancel_what_is_pending() -> Habit {
    same(
        "`for f in futures: f.cancel()` ends what is queued, and lets run what runs",
        "`rt.cancel_pending()`, for all that is queued",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued: Vec<_> = (0..10).map(|n| rt.spawn(double, n)).collect();
            assert_eq!(rt.cancel_pending(), 10);
            assert!(
                queued
                    .into_iter()
                    .all(|handle| is_cancelled(&handle.join()))
            );
            assert!(!busy.is_finished());
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}
