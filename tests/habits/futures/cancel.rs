//! Cancelling, and callbacks.

use std::sync::mpsc::channel;
use std::thread;

use crate::habit::{CALLBACKS, HANDLE, Habit, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        cancel_what_is_queued,
        cancel_what_runs,
        cancel_what_has_ended,
        cancel_twice,
        result_of_what_was_cancelled,
        a_callback_is_called_at_the_end,
        a_callback_of_what_has_ended,
        a_callback_of_what_was_cancelled,
        a_callback_of_what_failed,
        a_callback_that_raises,
        a_callback_and_the_result,
        a_callback_may_submit,
    ]
}

fn cancel_what_is_queued() -> Habit {
    same(
        "`cancel()` of a call that nobody has begun: it never runs",
        "`cancel()`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(pass, door.at("queued"));
            assert!(queued.cancel());
            door.open();
            assert!(busy.join().is_ok() && is_cancelled(&queued.join()));
            assert_eq!(rt.spawn(double, 1).join(), Ok(2));
            assert!(!door.has_come("queued"));
        },
    )
}

fn cancel_what_runs() -> Habit {
    differs(
        "`cancel()` of a call that runs does nothing, and is `False`",
        "it is true, and the task is asked to end; `cancel_within` ends it with its worker",
        (HANDLE, "One that runs is asked to end"),
        || {
            let (rt, door) = (two(), Door::new());
            let (asked, ended) = (
                rt.spawn(listen_at, door.at("asked")),
                rt.spawn(wait_at, door.at("ended")),
            );
            door.wait_for("asked");
            door.wait_for("ended");
            assert!(asked.cancel() && ended.cancel_within(ms(10)));
            assert!(is_cancelled(&asked.join()) && is_cancelled(&ended.join()));
        },
    )
}

fn cancel_what_has_ended() -> Habit {
    same(
        "`cancel()` of a call that has ended is `False`; its result stays",
        "so it is here",
        || {
            let handle = two().spawn(double, 4);
            until("it has ended", || handle.is_finished());
            assert!(!handle.cancel());
            assert_eq!(handle.join(), Ok(8));
        },
    )
}

fn cancel_twice() -> Habit {
    differs(
        "`cancel()` of a call that was cancelled is `True` again",
        "it has ended, so it is false",
        (HANDLE, "Returns whether the task had not ended."),
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(double, 1);
            assert!(queued.cancel());
            assert!(!queued.cancel());
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn result_of_what_was_cancelled() -> Habit {
    same(
        "`result()` of a cancelled call raises `CancelledError`, at once",
        "`TaskError::Cancelled`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(double, 1);
            queued.cancel();
            assert!(queued.is_finished());
            assert!(is_cancelled(&queued.join()), "the worker is busy still");
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn a_callback_is_called_at_the_end() -> Habit {
    same(
        "`add_done_callback(f)`: `f` is called when the call has ended",
        "`on_complete(f)`; `f` gets the outcome",
        || {
            let (tell, told) = channel();
            let handle = two().spawn(double, 4);
            handle
                .on_complete(move |it| tell.send(it).unwrap())
                .unwrap();
            assert_eq!(told.recv_timeout(LONG).unwrap(), Ok(8));
        },
    )
}

fn a_callback_of_what_has_ended() -> Habit {
    differs(
        "if it has ended already, the thread that adds the callback calls it",
        "it is always called by a thread of the library",
        (CALLBACKS, "on a thread of the library in the host"),
        || {
            let (tell, told) = channel();
            let handle = two().spawn(double, 4);
            until("it has ended", || handle.is_finished());
            let callback = move |_| tell.send(thread::current().id()).unwrap();
            handle.on_complete(callback).unwrap();
            assert_ne!(told.recv_timeout(LONG).unwrap(), thread::current().id());
        },
    )
}

fn a_callback_of_what_was_cancelled() -> Habit {
    same(
        "a callback is called for a call that was cancelled, too",
        "so it is here",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let (tell, told) = channel();
            let queued = rt.spawn(double, 1);
            queued
                .on_complete(move |it| tell.send(it).unwrap())
                .unwrap();
            queued.cancel();
            assert!(is_cancelled(&told.recv_timeout(LONG).unwrap()));
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn a_callback_of_what_failed() -> Habit {
    same(
        "the callback looks whether there is an exception",
        "`on_complete` gets a `Result`; `on_error` is called only if there is no value",
        || {
            let (tell, told) = channel();
            let rt = two();
            for n in [1, 0] {
                let tell = tell.clone();
                let handle = rt.spawn(inverse, n);
                handle
                    .on_error(move |error| tell.send(error).unwrap())
                    .unwrap();
                drop(handle.join());
            }
            drop(tell);
            let error = Err::<(), _>(told.recv_timeout(LONG).unwrap());
            assert_eq!(panic_of(&error), "attempt to divide by zero");
            assert!(told.recv_timeout(LONG).is_err(), "there is one error");
        },
    )
}

fn a_callback_that_raises() -> Habit {
    same(
        "a callback that raises is logged, and the others are called",
        "a callback that panics is logged; nobody else notices",
        || {
            let rt = two();
            let bad = rt.spawn(double, 1);
            bad.on_complete(|_| std::panic::resume_unwind(Box::new("no")))
                .unwrap();
            let (tell, told) = channel();
            let good = rt.spawn(double, 2);
            good.on_complete(move |it| tell.send(it).unwrap()).unwrap();
            assert_eq!(told.recv_timeout(LONG).unwrap(), Ok(4));
            assert_eq!((bad.join(), good.join()), (Ok(2), Ok(4)));
        },
    )
}

fn a_callback_and_the_result() -> Habit {
    same(
        "a future with a callback has its result all the same",
        "the callback gets a copy, the handle the value",
        || {
            let (tell, told) = channel();
            let handle = two().spawn(|s: String| s + "!", "yes".into());
            handle
                .on_complete(move |it| tell.send(it).unwrap())
                .unwrap();
            assert_eq!(handle.join().as_deref(), Ok("yes!"));
            assert_eq!(told.recv_timeout(LONG).unwrap().as_deref(), Ok("yes!"));
        },
    )
}

fn a_callback_may_submit() -> Habit {
    same(
        "a callback may submit the next call",
        "it may call the runtime, and wait in it",
        || {
            let rt = std::sync::Arc::new(of(1).start().unwrap());
            let (tell, told) = channel();
            let first = rt.spawn(double, 1);
            let next = std::sync::Arc::clone(&rt);
            let callback = move |it: Result<u64, _>| {
                let value = next.spawn(double, it.unwrap()).join();
                drop(next);
                tell.send(value).unwrap();
            };
            first.on_complete(callback).unwrap();
            assert_eq!(told.recv_timeout(LONG).unwrap(), Ok(4));
        },
    )
}
