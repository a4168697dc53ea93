//! Shutting down: made more urgent, beside others, by `Drop`; and what each wait does then.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use pinfold::{Handle, Limit, Memo, Refusal, Runtime, Shutdown, TaskError, on_error};
use tracing_subscriber::fmt::MakeWriter;

use super::{LONG, add_one, endless, nap, runtime, until};
use crate::host::Host;
use crate::{Program, test};

const NEVER: Duration = Duration::from_secs(86_400);

pub fn programs() -> Vec<Program> {
    vec![
        ("a_drain_is_made_more_urgent", escalated),
        ("a_drain_is_made_graceful", made_graceful),
        ("a_less_urgent_shutdown_waits", less_urgent),
        ("abort_while_workers_start", abort_in_init),
        ("abort_while_workers_leave", abort_while_leaving),
        ("each_wait_ends_at_abort", each_wait),
        ("waits_host_panics", panics),
        ("waits_host_errs", errs),
    ]
}

pub fn tests() -> Vec<Trial> {
    vec![
        test("waits/a_panic_does_not_wait_for_tasks", || {
            let ended = Host::new("waits_host_panics").within(LONG).run();
            assert_eq!(ended.status, 101, "{ended:?}");
            assert!(
                ended.stderr.contains("the program's own panic"),
                "{ended:?}"
            );
        }),
        test("waits/an_error_of_main_is_not_kept_back", || {
            let ended = Host::new("waits_host_errs").within(LONG).run();
            assert_eq!(ended.status, 1, "{ended:?}");
            assert!(
                ended.stdout.contains("a dropped runtime waits"),
                "{ended:?}"
            );
            assert!(
                ended.stdout.contains("a dropped runtime aborted"),
                "{ended:?}"
            );
            // It was 30 s; 5 are what it waits.
            assert!(ended.took < Duration::from_secs(25), "{ended:?}");
        }),
    ]
}

fn is_closed(rt: &Runtime) -> bool {
    let refused = rt.try_spawn(add_one, 1).map(|handle| handle.cancel());
    refused.is_err_and(|error| error.refusal == Refusal::Shutdown)
}

fn escalated(_: &[String]) {
    let rt = runtime(1);
    let stuck = rt.spawn(endless, ());
    thread::scope(|scope| {
        let drain = scope.spawn(|| rt.shutdown(Shutdown::Drain));
        until(|| is_closed(&rt));
        let graceful = scope.spawn(|| {
            rt.shutdown(Shutdown::Graceful {
                drain: NEVER,
                grace: NEVER,
            })
        });
        let also = scope.spawn(|| rt.shutdown(Shutdown::DrainFor(NEVER)));
        assert!(!stuck.is_finished());
        rt.shutdown(Shutdown::Abort).expect("as asked");
        assert!(stuck.is_finished());
        let drain = drain
            .join()
            .expect("no panic")
            .expect_err("it was cut short");
        assert_eq!((drain.aborted, drain.cut_short), (1, true));
        assert!(drain.to_string().contains("more urgent"), "{drain}");
        // These two may have come when it was over.
        for other in [graceful, also] {
            if let Err(error) = other.join().expect("no panic") {
                assert_eq!((error.aborted, error.cut_short), (1, true));
            }
        }
    });
    assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
    rt.shutdown(Shutdown::Drain).expect("it is over");
}

fn listens(_: ()) -> Result<(), String> {
    while !pinfold::context().is_cancelled() {
        nap(1);
    }
    Err("cancelled".into())
}

fn made_graceful(_: &[String]) {
    let rt = runtime(1);
    let task = rt.spawn(listens, ());
    until(|| rt.audit().slots_running == 1);
    thread::scope(|scope| {
        let drain = scope.spawn(|| rt.shutdown(Shutdown::Drain));
        until(|| is_closed(&rt));
        let graceful = Shutdown::Graceful {
            drain: Duration::ZERO,
            grace: NEVER,
        };
        rt.shutdown(graceful).expect("it has listened");
        let drain = drain
            .join()
            .expect("no panic")
            .expect_err("it was cut short");
        assert_eq!((drain.aborted, drain.cut_short), (1, true));
    });
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
}

fn less_urgent(_: &[String]) {
    let rt = runtime(1);
    let task = rt.spawn(nap, 300);
    thread::scope(|scope| {
        let first = scope.spawn(|| rt.shutdown(Shutdown::DrainFor(NEVER)));
        let second = scope.spawn(|| rt.shutdown(Shutdown::Drain));
        first.join().expect("no panic").expect("drained");
        second.join().expect("no panic").expect("drained");
        assert!(task.is_finished());
    });
    assert_eq!(task.join(), Ok(300));
}

fn hanging_init() -> Result<(), String> {
    loop {
        thread::park();
    }
}

/// Six times five seconds are more than it may take.
fn abort_in_init(_: &[String]) {
    let begin = std::time::Instant::now();
    for _ in 0..6 {
        let builder = Runtime::builder().workers(2).worker_init(hanging_init);
        let rt = builder.start().expect("starts");
        rt.shutdown(Shutdown::Abort).expect("as asked");
    }
    assert!(begin.elapsed() < Duration::from_secs(25));
}

/// Nothing is in flight, so they are told to leave, and do not.
fn abort_while_leaving(_: &[String]) {
    let begin = std::time::Instant::now();
    for _ in 0..6 {
        let builder = Runtime::builder().workers(1).worker_init(hanging_init);
        let rt = builder.start().expect("starts");
        thread::scope(|scope| {
            let drain = scope.spawn(|| rt.shutdown(Shutdown::Drain));
            until(|| is_closed(&rt));
            rt.shutdown(Shutdown::Abort).expect("as asked");
            drain
                .join()
                .expect("no panic")
                .expect("nothing was in flight");
        });
    }
    assert!(begin.elapsed() < Duration::from_secs(25));
}

fn panics(_: &[String]) {
    let builder = Runtime::builder().workers(1);
    let rt = builder
        .on_drop(Shutdown::DrainFor(NEVER))
        .start()
        .expect("starts");
    let _stuck = rt.spawn(endless, ());
    until(|| rt.audit().slots_running == 1);
    panic!("the program's own panic");
}

/// A writer to standard output, for events.
struct Stdout;

impl MakeWriter<'_> for Stdout {
    type Writer = io::Stdout;

    fn make_writer(&self) -> io::Stdout {
        io::stdout()
    }
}

/// As a `main` that returns an error: what it has is dropped first.
fn errs(_: &[String]) {
    fn main() -> Result<(), Box<dyn std::error::Error>> {
        let rt = Runtime::builder().workers(1).start()?;
        let _stuck = rt.spawn(endless, ());
        Err("the error's own text".into())
    }
    tracing_subscriber::fmt().with_writer(Stdout).init();
    if let Err(error) = main() {
        eprintln!("{error}");
        std::process::exit(i32::from(ExitCode::FAILURE == ExitCode::from(1)));
    }
}

type Wait = (&'static str, fn(&Runtime, &Begun));

/// Whoever waits says when it is about to.
struct Begun(AtomicBool);

impl Begun {
    fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Fills all places of the queue (4) with tasks that do not end.
fn fill(rt: &Runtime) -> Vec<Handle<u64>> {
    (0..4).map(|_| rt.spawn(endless, ())).collect()
}

fn is_over<T: std::fmt::Debug>(outcome: Result<T, TaskError>) {
    assert!(matches!(
        outcome.map(|_| ()),
        Err(TaskError::Shutdown { .. })
    ));
}

fn gone(_: &[String]) -> Vec<u64> {
    vec![1, 2, 3, 4, 5, 6, 7, 8]
}

/// All public calls that wait, but for those of the table's last rows: `docs/AROUND.md`.
const WAITS: &[Wait] = &[
    ("join", |rt, begun| {
        let handle = rt.spawn(endless, ());
        begun.now();
        is_over(handle.join());
    }),
    ("join_timeout", |rt, begun| {
        let mut handle = rt.spawn(endless, ());
        begun.now();
        is_over(handle.join_timeout(NEVER).expect("it has ended"));
    }),
    ("join_flat", |rt, begun| {
        let handle = rt.spawn(|_: ()| -> Result<u64, String> { Ok(endless(())) }, ());
        begun.now();
        is_over(handle.join_flat());
    }),
    ("await", |rt, begun| {
        let handle = rt.spawn(endless, ());
        begun.now();
        is_over(block_on(handle));
    }),
    ("spawn", |rt, begun| {
        let _full = fill(rt);
        begun.now();
        is_over(rt.spawn(add_one, 1).join());
    }),
    ("spawn with long arguments", |rt, begun| {
        let _busy = rt.spawn(endless, ());
        let mut kept = Vec::new();
        while let Ok(buffer) = rt.alloc(1 << 20) {
            kept.push(buffer);
        }
        begun.now();
        is_over(rt.spawn(|v: Vec<u8>| v.len(), vec![1; 2 << 20]).join());
    }),
    ("spawn with a limit", |rt, begun| {
        let limit = Limit::new(1);
        let task = rt.task(endless).limited(&limit, 1);
        let _first = task.spawn(());
        begun.now();
        is_over(task.spawn(()).join());
    }),
    ("spawn_timeout", |rt, begun| {
        let _full = fill(rt);
        begun.now();
        match rt.task(add_one).spawn_timeout(1, NEVER) {
            Ok(handle) => is_over(handle.join()),
            Err(refused) => assert_eq!(refused.refusal, Refusal::Shutdown),
        }
    }),
    ("spawn_after", |rt, begun| {
        let first = rt.spawn(endless, ());
        let after = rt.spawn_after(&first, |((), n): ((), u64)| n, ());
        begun.now();
        assert!(after.join().is_err());
    }),
    ("memoized", |rt, begun| {
        let memo = Memo::new(1);
        let task = rt.task(endless).memoized(&memo);
        let (_first, joined) = (task.spawn(()), task.spawn(()));
        begun.now();
        is_over(joined.join());
    }),
    ("map", |rt, begun| {
        begun.now();
        assert!(
            rt.map(|_: u64| endless(()), 0..100)
                .all(|outcome| outcome.is_err())
        );
    }),
    ("map_unordered", |rt, begun| {
        let task = rt.task(|_: u64| endless(()));
        begun.now();
        assert!(
            task.map_unordered(0..100)
                .all(|(_, outcome)| outcome.is_err())
        );
    }),
    ("chunked", |rt, begun| {
        let task = rt.task(|_: u64| endless(())).chunked();
        begun.now();
        assert!(task.map(0..100).all(|outcome| outcome.is_err()));
        assert!(
            task.map_unordered(0..100)
                .all(|(_, outcome)| outcome.is_err())
        );
    }),
    ("for_each", |rt, begun| {
        begun.now();
        is_over(
            rt.task(|_: u64| while endless(()) > 0 {})
                .for_each(gone(&[])),
        );
    }),
    ("try_for_each", |rt, begun| {
        let task = rt.task(|_: u64| -> Result<(), String> { Err(endless(()).to_string()) });
        begun.now();
        is_over(task.try_for_each(gone(&[])));
    }),
    ("reduce", |rt, begun| {
        begun.now();
        is_over(
            rt.task(|_: u64| endless(()))
                .reduce(gone(&[]), |(a, b)| a + b),
        );
    }),
    ("execute_all", |rt, begun| {
        begun.now();
        let all = rt
            .task(|_: u64| endless(()))
            .execute_all(gone(&[]), |_, _| ());
        assert!(all.into_iter().all(|outcome| outcome.is_err()));
    }),
    ("scope", |rt, begun| {
        is_over(rt.scope(|scope| {
            drop(scope.spawn(endless, ()));
            begun.now();
        }));
    }),
    ("scope_collect", |rt, begun| {
        let ((), errors) = rt.scope_collect(|scope| {
            drop(scope.spawn(endless, ()));
            begun.now();
        });
        assert_eq!(errors.len(), 1);
    }),
    ("join_all", |rt, begun| {
        let all = fill(rt);
        begun.now();
        pinfold::join_all(all).into_iter().for_each(is_over);
    }),
    ("join_any", |rt, begun| {
        let all = fill(rt);
        begun.now();
        assert_eq!(
            pinfold::join_any(all).map_err(|errors| errors.len()),
            Err(4)
        );
    }),
    ("join_any of two runtimes", |rt, begun| {
        let other = runtime(1);
        let all = [rt.spawn(endless, ()), other.spawn(endless, ())];
        begun.now();
        thread::scope(|scope| {
            let any = scope.spawn(|| pinfold::join_any(all));
            until(|| is_closed(rt));
            other.shutdown(Shutdown::Abort).expect("as asked");
            assert!(any.join().expect("no panic").is_err());
        });
    }),
    ("gather", |rt, begun| {
        let all = fill(rt);
        begun.now();
        is_over(pinfold::gather(all, on_error::Raise));
    }),
    ("shutdown", |rt, begun| {
        let _busy = rt.spawn(endless, ());
        begun.now();
        // It may come when all is over.
        let _ = rt.shutdown(Shutdown::Drain);
    }),
];

fn each_wait(_: &[String]) {
    for (name, wait) in WAITS {
        let builder = Runtime::builder().workers(1).queue_capacity(4);
        let rt = builder.memory_cap(4 << 20).start().expect("starts");
        let rt = Arc::new(rt);
        let begun = Arc::new(Begun(AtomicBool::new(false)));
        let (tell, told) = mpsc::channel();
        let waits = {
            let (rt, begun) = (Arc::clone(&rt), Arc::clone(&begun));
            thread::spawn(move || {
                wait(&rt, &begun);
                let _ = tell.send(());
            })
        };
        until(|| begun.0.load(Ordering::SeqCst));
        // So that it mostly does wait by then; it has to end in either case.
        nap(20);
        rt.shutdown(Shutdown::Abort).expect("as asked");
        assert!(told.recv_timeout(LONG / 2).is_ok(), "{name}");
        waits.join().expect("no panic");
    }
}

/// The simplest of executors.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(Mutex<thread::Thread>);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.lock().expect("no panic").unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(Mutex::new(thread::current()))));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}
