//! `JoinHandle`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake};

use pinfold::{TaskError, gather, on_error};

use crate::habit::{HANDLE, Habit, SETTINGS, TASK_ERROR, differs, habits, same};
use crate::stage::*;

pub fn habits() -> Vec<(&'static str, Habit)> {
    habits![
        await_a_handle,
        await_two_after_each_other,
        a_handle_that_is_never_polled,
        a_handle_that_is_dropped,
        a_handle_is_woken_once,
        a_panic_is_a_join_error,
        an_error_is_the_value,
        the_id_of_an_error,
        abort_what_is_queued,
        abort_what_runs,
        abort_what_has_ended,
        abort_while_it_is_awaited,
        a_handle_that_is_polled_again,
        is_finished,
        ids,
        select_drops_the_loser,
        select_cancels_the_loser,
        timeout_lets_go,
        timeout_of_no_time,
        timeout_that_ends_the_work,
        try_join_of_two,
        a_cancellation_token,
        a_child_token,
        a_token_on_another_thread,
        names_of_tasks,
        a_task_that_reports,
    ]
}

fn await_a_handle() -> Habit {
    same(
        "`spawn_blocking(f).await?`",
        "`rt.spawn(f, args).await?`",
        || assert_eq!(block_on(two().spawn(double, 4)), Ok(8)),
    )
}

fn await_two_after_each_other() -> Habit {
    same(
        "two spawned tasks run side by side, though they are awaited one after the other",
        "so they do",
        || {
            let (rt, door) = (two(), Door::new());
            let both = async {
                // Each waits for the other's mark.
                let ((a, _), (b, _)) = (door.at(0), door.at(1));
                let (first, second) = (
                    rt.spawn(wait_at, (a.clone(), b.clone())),
                    rt.spawn(wait_at, (b, a)),
                );
                (first.await, second.await)
            };
            assert!(matches!(block_on(both), (Ok(_), Ok(_))));
        },
    )
}

fn a_handle_that_is_never_polled() -> Habit {
    same(
        "a spawned task runs, whether its handle is polled or not",
        "so it does",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(pass, door.at("it"));
            door.wait_for("it");
            drop(handle);
        },
    )
}

fn a_handle_that_is_dropped() -> Habit {
    same(
        "dropping a `JoinHandle` detaches the task",
        "dropping a `Handle` does",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            drop(rt.spawn(pass, door.at("it")));
            door.open();
            assert!(busy.join().is_ok());
            door.wait_for("it");
        },
    )
}

struct Counts(AtomicU32);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        // Relaxed: only the number matters.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn a_handle_is_woken_once() -> Habit {
    same(
        "a pending handle wakes whoever has polled it last, when the task has ended",
        "so it does",
        || {
            let (rt, door) = (two(), Door::new());
            let counts = Arc::new(Counts(AtomicU32::new(0)));
            let waker = Arc::clone(&counts).into();
            let mut handle = rt.spawn(wait_at, door.at("it"));
            let mut poll = || Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(poll().is_pending() && poll().is_pending());
            assert_eq!(counts.0.load(Ordering::Relaxed), 0);
            door.open();
            until("it is woken", || counts.0.load(Ordering::Relaxed) > 0);
            assert!(matches!(poll(), Poll::Ready(Ok(_))));
        },
    )
}

fn a_panic_is_a_join_error() -> Habit {
    same(
        "a panic is a `JoinError` whose `is_panic()` is true; nobody else notices",
        "`TaskError::Panicked`, with its words and its place",
        || {
            let rt = two();
            let outcome = block_on(rt.spawn(inverse, 0));
            assert_eq!(panic_of(&outcome), "attempt to divide by zero");
            assert_eq!(block_on(rt.spawn(double, 4)), Ok(8));
        },
    )
}

fn an_error_is_the_value() -> Habit {
    same(
        "a task that returns `Result` is awaited with `??`",
        "so it is; `join_flat` makes one `?` of it",
        || {
            let work =
                async |n| Ok::<u64, Box<dyn std::error::Error>>(two().spawn(half, n).await??);
            assert_eq!(block_on(work(4)).ok(), Some(2));
            assert_eq!(block_on(work(5)).unwrap_err().to_string(), "5 is odd");
        },
    )
}

fn the_id_of_an_error() -> Habit {
    same(
        "`JoinError::id()`",
        "`error.task()`: its id, its function, its name, its item",
        || {
            let (rt, door) = (two(), Door::new());
            let fails = |place: Place| {
                wait_at(place);
                panic!("in vain");
            };
            let handle = rt.task(fails).named("nightly").spawn(door.at("it"));
            let id = handle.id();
            door.open();
            let error = handle.join().map(|(): ()| ()).unwrap_err();
            let task = error.task().unwrap();
            assert!(id.is_some() && task.id == id);
            assert_eq!(task.name.as_deref(), Some("nightly"));
        },
    )
}

fn abort_what_is_queued() -> Habit {
    same(
        "`abort()` of a blocking task that nobody has begun: it never runs, and `is_cancelled()` is true",
        "`cancel()`, and `TaskError::Cancelled`",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let queued = rt.spawn(pass, door.at("queued"));
            queued.cancel();
            assert!(is_cancelled(&block_on(queued)));
            door.open();
            assert!(busy.join().is_ok());
            assert!(!door.has_come("queued"));
        },
    )
}

fn abort_what_runs() -> Habit {
    differs(
        "`abort()` of a blocking task that runs has no effect",
        "it is asked to end; after the grace of `cancel_within` its worker is killed",
        (
            HANDLE,
            "if the task still runs after `grace`, its worker is killed (and replaced)",
        ),
        || {
            let rt = two();
            let runs = rt.spawn(deaf, ());
            runs.cancel_within(ms(10));
            assert!(is_cancelled(&block_on(runs)));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn abort_what_has_ended() -> Habit {
    same(
        "`abort()` of what has ended does nothing",
        "nor does `cancel()`",
        || {
            let handle = two().spawn(double, 4);
            until("it has ended", || handle.is_finished());
            handle.cancel();
            assert_eq!(block_on(handle), Ok(8));
        },
    )
}

fn abort_while_it_is_awaited() -> Habit {
    same(
        "an aborted task's `await` ends",
        "so it does, at once if the task had not begun",
        || {
            let (rt, door) = (one(), Door::new());
            let busy = rt.spawn(wait_at, door.at("busy"));
            door.wait_for("busy");
            let counts = Arc::new(Counts(AtomicU32::new(0)));
            let waker = Arc::clone(&counts).into();
            let mut queued = rt.spawn(double, 1);
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut queued).poll(&mut context).is_pending());
            queued.cancel();
            until("it is woken", || counts.0.load(Ordering::Relaxed) > 0);
            assert!(is_cancelled(&block_on(queued)));
            door.open();
            assert!(busy.join().is_ok());
        },
    )
}

fn a_handle_that_is_polled_again() -> Habit {
    differs(
        "to poll a `JoinHandle` again that was ready panics",
        "it is ready again, with `TaskError::AlreadyJoined`",
        (TASK_ERROR, "The outcome was taken before, by"),
        || {
            let mut handle = two().spawn(double, 4);
            assert_eq!(block_on(&mut handle), Ok(8));
            let again = block_on(&mut handle);
            assert!(matches!(again, Err(TaskError::AlreadyJoined { .. })));
        },
    )
}

fn is_finished() -> Habit {
    same("`is_finished()`", "`is_finished()`", || {
        let (rt, door) = (two(), Door::new());
        let handle = rt.spawn(wait_at, door.at("it"));
        assert!(!handle.is_finished());
        door.open();
        until("it has ended", || handle.is_finished());
    })
}

fn ids() -> Habit {
    same(
        "`JoinHandle::id()`, and `task::id()` in the task",
        "`Handle::id()` and `pinfold::current_task()`, both while it has not ended",
        || {
            let (rt, door) = (two(), Door::new());
            let waits = |place: Place| {
                wait_at(place);
                pinfold::current_task().map(|id| id.to_string())
            };
            let (a, b) = (rt.spawn(waits, door.at(0)), rt.spawn(waits, door.at(1)));
            let ids = [a.id().unwrap(), b.id().unwrap()];
            assert_ne!(ids[0], ids[1]);
            door.open();
            assert_eq!(a.join(), Ok(Some(ids[0].to_string())));
            assert_eq!(b.join(), Ok(Some(ids[1].to_string())));
        },
    )
}

/// The value of whichever is ready first, as `select!` has it; both are dropped then.
async fn select<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> T {
    let (mut a, mut b) = (pin!(a), pin!(b));
    std::future::poll_fn(|context| match a.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(value),
        Poll::Pending => b.as_mut().poll(context),
    })
    .await
}

fn select_drops_the_loser() -> Habit {
    same(
        "`select!` over handles drops the loser's: its task goes on",
        "so it does",
        || {
            let (rt, door) = (two(), Door::new());
            let loser = rt.spawn(wait_at, door.at("loser"));
            door.wait_for("loser");
            let winner = rt.spawn(pass, door.at("winner"));
            assert!(block_on(select(loser, winner)).is_ok());
            let cancelled = rt.stats().tasks.cancelled;
            door.open();
            until("it ends", || rt.stats().queues[0].size == 0);
            assert_eq!(rt.stats().tasks.cancelled, cancelled);
        },
    )
}

fn select_cancels_the_loser() -> Habit {
    same(
        "`AbortOnDropHandle` (tokio-util): dropping it aborts the task",
        "`handle.abort_on_drop()`",
        || {
            let (rt, door) = (two(), Door::new());
            let before = rt.stats().tasks.cancelled;
            let loser = rt.spawn(listen_at, door.at("loser")).abort_on_drop();
            door.wait_for("loser");
            let loser = async { loser.await.map(|pid| pid.unwrap_or_default()) };
            assert!(block_on(select(loser, rt.spawn(pass, door.at("winner")))).is_ok());
            until("it is cancelled", || {
                rt.stats().tasks.cancelled == before + 1
            });
        },
    )
}

fn timeout_lets_go() -> Habit {
    same(
        "`timeout(d, handle)` gives up waiting; the task goes on",
        "`join_timeout(d)`; `timeout` of tokio works on a `Handle`, too",
        || {
            let (rt, door) = (two(), Door::new());
            let mut handle = rt.spawn(wait_at, door.at("it"));
            door.wait_for("it");
            assert!(handle.join_timeout(ms(1)).is_none());
            assert!(!handle.is_finished());
            door.open();
            assert!(handle.join().is_ok());
        },
    )
}

fn timeout_of_no_time() -> Habit {
    same(
        "`timeout(0, handle)` gives a value that is there",
        "`try_join()`, and `join_timeout(0)`",
        || {
            let mut handle = two().spawn(double, 4);
            until("it has ended", || handle.is_finished());
            assert_eq!(handle.join_timeout(ms(0)), Some(Ok(8)));
        },
    )
}

fn timeout_that_ends_the_work() -> Habit {
    differs(
        "a timeout cannot end a blocking task",
        "`run_limit` can: the worker is killed, and replaced",
        (SETTINGS, "One that runs for longer ends with"),
        || {
            let rt = one();
            let late = rt.task(deaf).run_limit(ms(50)).spawn(());
            assert!(is_late(&block_on(late)));
            assert_eq!(rt.spawn(double, 4).join(), Ok(8));
        },
    )
}

fn try_join_of_two() -> Habit {
    differs(
        "`try_join!` returns the first error at once; the others' tasks go on",
        "`gather(handles, on_error::Raise)` does, and cancels the others",
        (
            "src/runtime/gather.rs",
            "the first one ends it, and the rest is cancelled",
        ),
        || {
            let (rt, door) = (two(), Door::new());
            let before = rt.stats().tasks.cancelled;
            let waits = |place: Option<Place>| {
                let place = place.unwrap_or_else(|| panic!("at once"));
                listen_at(place)
            };
            let other = rt.spawn(waits, Some(door.at("other")));
            door.wait_for("other");
            let first = gather([other, rt.spawn(waits, None)], on_error::Raise);
            assert_eq!(panic_of(&first), "at once");
            until("the other is cancelled", || {
                rt.stats().tasks.cancelled == before + 1
            });
        },
    )
}

fn a_cancellation_token() -> Habit {
    same(
        "a `CancellationToken` that the blocking closure looks at",
        "`pinfold::context().check()?` in the task, `cancel()` on the handle",
        || {
            let (rt, door) = (two(), Door::new());
            let handle = rt.spawn(listen_at, door.at("it"));
            door.wait_for("it");
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
        },
    )
}

fn a_child_token() -> Habit {
    same(
        "a child token is cancelled with its parent",
        "what a task has spawned hears that the task is cancelled",
        || {
            let (rt, door) = (two(), Door::new());
            let parent = |(place, own): (Place, Place)| {
                let child = pinfold::spawn(listen_at, place);
                let ended = listen_at(own);
                child.join().map_err(|it| it.to_string()).and(ended)
            };
            let handle = rt.spawn(parent, (door.at("child"), door.at("parent")));
            door.wait_for("child");
            door.wait_for("parent");
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
        },
    )
}

fn a_token_on_another_thread() -> Habit {
    same(
        "a clone of the token on another thread",
        "`context().handle()` on threads that the task has started",
        || {
            let (rt, door) = (two(), Door::new());
            let parent = |place: Place| {
                pass(place);
                let context = pinfold::context().handle();
                let hears = std::thread::spawn(move || {
                    while !context.is_cancelled() {
                        std::thread::sleep(ms(1));
                    }
                });
                hears.join().map_err(|_| "panicked".to_owned())?;
                Err::<(), _>("it was cancelled".to_owned())
            };
            let handle = rt.spawn(parent, door.at("it"));
            door.wait_for("it");
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
        },
    )
}

fn names_of_tasks() -> Habit {
    same(
        "`task::Builder::name(…)`, for the console",
        "`rt.task(f).named(…)`: in logs, in errors, for the task itself",
        || {
            let rt = two();
            let named = rt.task(|(): ()| pinfold::task_name()).named("resize");
            assert_eq!(named.spawn(()).join(), Ok(Some("resize".into())));
        },
    )
}

fn a_task_that_reports() -> Habit {
    same(
        "a blocking task reports through a `watch` channel",
        "`context().report_progress(…)`; `handle.progress()`, `on_progress`",
        || {
            let (rt, door) = (two(), Door::new());
            let reports = |place: Place| {
                pinfold::context().report_progress(0.5, "half").unwrap();
                wait_at(place)
            };
            let handle = rt.spawn(reports, door.at("it"));
            door.wait_for("it");
            let progress = handle.progress().unwrap();
            assert_eq!((progress.fraction, &*progress.message), (0.5, "half"));
            door.open();
            assert!(handle.join().is_ok());
        },
    )
}
