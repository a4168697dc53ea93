//! The words of panics, who hears of them, and what they leave.

use std::panic::{catch_unwind, panic_any, resume_unwind, set_hook};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, TaskError};
use tracing_subscriber::fmt::MakeWriter;

use super::kilobytes;
use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_panic_words_are_the_panics_own", || {
            Host::new("panic_words").run().well();
        }),
        test("mess_panic_words_under_a_hook_of_the_program", || {
            Host::new("panic_hook").run().well();
        }),
        test("mess_panics_of_threads_are_seen", || {
            let ended = Host::new("panic_threads").run().well();
            let said = ended.stderr.matches("said by a thread").count();
            assert_eq!(said, 3, "{ended:#?}");
        }),
        test("mess_panics_that_nobody_asks_for_are_logged", || {
            Host::new("panic_unseen").run().well();
        }),
        test(
            "mess_a_death_is_not_told_in_the_words_of_another_task",
            || {
                Host::new("panic_last_words").run().well();
            },
        ),
        test("mess_panics_of_tasks_leave_no_memory", || {
            Host::new("panic_leak").run().well();
        }),
        test("mess_panics_of_callbacks_leave_no_memory", || {
            Host::new("panic_leak_host").run().well();
        }),
        test("mess_worker_init_that_panics_says_why", || {
            Host::new("panic_init").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("panic_words", words),
        ("panic_hook", hook),
        ("panic_threads", threads),
        ("panic_unseen", unseen),
        ("panic_last_words", last_words),
        ("panic_leak", leak),
        ("panic_leak_host", leak_host),
        ("panic_init", init),
    ]
}

pub(super) fn one_worker() -> Runtime {
    Runtime::builder().workers(1).start().expect("starts")
}

/// What the task said, and whether it is known where.
fn said(rt: &Runtime, f: impl Fn(()) + Copy + Send + 'static) -> (String, bool) {
    match rt.spawn(f, ()).join() {
        Err(TaskError::Panicked {
            message, location, ..
        }) => (message, location.contains("mess/panics.rs")),
        other => panic!("{other:?}"),
    }
}

/// Runs `f` on a thread, and throws on what it panics with; as rayon does.
fn thrown_on(f: fn()) {
    if let Err(payload) = std::thread::spawn(f).join() {
        resume_unwind(payload);
    }
}

struct Odd;
impl Drop for Odd {
    fn drop(&mut self) {
        panic!("while it was dropped");
    }
}

fn words(_: &[String]) {
    let rt = one_worker();
    let known = |text: &str| (text.to_owned(), true);
    let unknown = |text: &str| (text.to_owned(), false);
    let caught = |(): ()| {
        let _ = catch_unwind(|| panic!("caught by its own task"));
    };
    assert_eq!(said(&rt, |()| panic!("plain")), known("plain"));
    assert_eq!(said(&rt, |()| panic!("of {}", 2)), known("of 2"));
    rt.spawn(caught, ()).join().expect("a value");
    let resumed = |()| resume_unwind(Box::new("resumed"));
    assert_eq!(said(&rt, resumed), unknown("resumed"));
    let after_another = |()| {
        let _ = catch_unwind(|| panic!("the first"));
        resume_unwind(Box::new("the second".to_owned()));
    };
    assert_eq!(said(&rt, after_another), unknown("the second"));
    let again = |()| {
        let payload = catch_unwind(|| panic!("caught and thrown on")).unwrap_err();
        let _ = catch_unwind(|| panic!("another"));
        resume_unwind(payload);
    };
    assert_eq!(said(&rt, again), unknown("caught and thrown on"));
    let on_a_thread = |()| thrown_on(|| panic!("on a thread"));
    assert_eq!(said(&rt, on_a_thread), known("on a thread"));
    // The same words by a task that has no such thread.
    let the_same = |()| resume_unwind(Box::new("on a thread"));
    assert_eq!(said(&rt, the_same), unknown("on a thread"));
    let error = |()| panic_any(Box::<dyn std::error::Error + Send + Sync>::from("an error"));
    assert_eq!(said(&rt, error), known("an error"));
    assert_eq!(
        said(&rt, |()| panic_any(7_u8)),
        known("a payload that is not text")
    );
    assert_eq!(
        said(&rt, |()| panic_any(Odd)),
        known("a payload that is not text")
    );
    assert_eq!(said(&rt, |()| panic!("after it")), known("after it"));
    let child = |()| {
        let child = pinfold::spawn(
            |(): ()| -> () { resume_unwind(Box::new("of the child")) },
            (),
        );
        let _ = catch_unwind(|| panic!("of the parent"));
        if let Err(error) = child.join() {
            let said = error.to_string();
            let (_, why) = said.split_once("}}: ").expect("its function, and why");
            resume_unwind(Box::new(why.to_owned()));
        }
    };
    assert_eq!(said(&rt, child), unknown("panicked: of the child"));
    assert_eq!(rt.stats().restarts, 0);
}

fn hook(_: &[String]) {
    let rt = Runtime::builder()
        .workers(1)
        .worker_init(|| -> Result<(), String> {
            set_hook(Box::new(|_| {}));
            Ok(())
        })
        .start()
        .expect("starts");
    let spot = (String::from("x marks the spot"), false);
    assert_eq!(said(&rt, |()| panic!("x marks the spot")), spot);
    let rt = one_worker();
    rt.spawn(|(): ()| set_hook(Box::new(|_| {})), ())
        .join()
        .expect("a value");
    assert_eq!(said(&rt, |()| panic!("x marks the spot")), spot);
}

fn threads(_: &[String]) {
    let rt = one_worker();
    let forgotten = |(): ()| {
        let thread = std::thread::spawn(|| panic!("said by a thread, forgotten"));
        while !thread.is_finished() {
            std::thread::yield_now();
        }
    };
    rt.spawn(forgotten, ()).join().expect("a value");
    let unwrapped = |()| {
        std::thread::spawn(|| panic!("said by a thread, unwrapped"))
            .join()
            .unwrap();
    };
    assert!(said(&rt, unwrapped).0.contains("Any"));
    let scoped = |()| {
        std::thread::scope(|scope| {
            scope.spawn(|| panic!("said by a thread in a scope"));
        });
    };
    assert_eq!(said(&rt, scoped).0, "a scoped thread panicked");
    let totals = rt.stats().totals;
    assert_eq!((totals.thread_panics, totals.task_panics), (3, 2));
}

/// What a subscriber of the host was told.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl Log {
    /// From now on the program's events go there.
    pub(super) fn of_the_program() -> Self {
        let log = Log::default();
        let to = tracing_subscriber::fmt().with_writer(log.clone());
        to.with_ansi(false).init();
        log
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }

    /// Waits until it has told this.
    pub(super) fn await_line(&self, what: &str) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(30) {
            if self.text().contains(what) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{what:?} was not logged: {:?}", self.0);
    }
}

fn unseen(_: &[String]) {
    let log = Log::of_the_program();
    let rt = one_worker();
    drop(rt.spawn(
        |(): ()| -> () { panic!("its handle was dropped before") },
        (),
    ));
    log.await_line("its handle was dropped before");
    let late = rt.spawn(|(): ()| -> () { panic!("its handle was dropped late") }, ());
    while !late.is_finished() {
        std::thread::yield_now();
    }
    drop(late);
    log.await_line("its handle was dropped late");
    // Both have been collected by now.
    log.await_line("a task has failed that nobody waits for");
    rt.spawn(
        |(): ()| {
            drop(pinfold::spawn(
                |(): ()| -> () { panic!("a child that was dropped") },
                (),
            ))
        },
        (),
    )
    .join()
    .expect("a value");
    log.await_line("a child that was dropped");
    rt.spawn(
        |(): ()| {
            let thread = std::thread::spawn(|| panic!("a thread that was dropped"));
            while !thread.is_finished() {
                std::thread::yield_now();
            }
        },
        (),
    )
    .join()
    .expect("a value");
    log.await_line("a thread that was dropped");
    let totals = rt.stats().totals;
    assert_eq!((totals.task_panics, totals.thread_panics), (3, 1));
}

fn last_words(_: &[String]) {
    let rt = one_worker();
    let caught = |(): ()| {
        let _ = catch_unwind(|| panic!("the secret of another"));
    };
    rt.spawn(caught, ()).join().expect("a value");
    let killed = rt
        .spawn(|(): ()| -> () { std::process::abort() }, ())
        .join();
    let Err(TaskError::WorkerDied { last_words, .. }) = killed else {
        panic!("{killed:?}");
    };
    assert_eq!(last_words, None);
    let aborts = rt.spawn(
        |(): ()| {
            extern "C" fn cannot_unwind() {
                panic!("its own words");
            }
            cannot_unwind();
        },
        (),
    );
    let Err(TaskError::WorkerDied { last_words, .. }) = aborts.join() else {
        panic!("it lives");
    };
    assert!(last_words.is_some_and(|words| words.contains("panicked at")));
}

/// Enough to be told from noise, of a build without optimization.
const GROWTH_MAX_KB: u64 = 8 << 10;

fn leak(_: &[String]) {
    let rt = one_worker();
    let pid = rt
        .spawn(|(): ()| std::process::id(), ())
        .join()
        .expect("a value");
    let long = |_: u32| -> () { panic!("{}", "x".repeat(2000)) };
    let large = |_: u32| -> () { panic_any(vec![1_u8; 1 << 20]) };
    let caught = |_: u32| -> () {
        let _ = catch_unwind(|| panic!("{}", "x".repeat(2000)));
    };
    rt.map(long, 0..500).for_each(drop);
    let before = kilobytes(pid, "RssAnon");
    assert!(rt.map(long, 0..10_000).all(|outcome| outcome.is_err()));
    assert!(rt.map(large, 0..50).all(|outcome| outcome.is_err()));
    assert!(rt.map(caught, 0..10_000).all(|outcome| outcome.is_ok()));
    let after = kilobytes(pid, "RssAnon");
    assert!(
        after < before + GROWTH_MAX_KB,
        "{before} kB, then {after} kB"
    );
    assert_eq!(rt.stats().restarts, 0);
}

fn leak_host(_: &[String]) {
    set_hook(Box::new(|_| {}));
    let rt = one_worker();
    let run = |count: u32| {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        for n in 0..count {
            let tell = tell.clone();
            let task = rt.spawn(|n: u32| n, n);
            task.on_complete(move |_| {
                drop(tell);
                panic!("{}", "x".repeat(2000));
            })
            .expect("the first one");
        }
        drop(tell);
        while told.recv().is_ok() {}
    };
    run(500);
    let before = kilobytes(std::process::id(), "RssAnon");
    (0..20).for_each(|_| run(500));
    let after = kilobytes(std::process::id(), "RssAnon");
    assert!(
        after < before + GROWTH_MAX_KB,
        "{before} kB, then {after} kB"
    );
}

fn init(_: &[String]) {
    let rt = Runtime::builder()
        .workers(1)
        .start_attempts(1)
        .worker_init(|| -> Result<(), String> {
            let _ = catch_unwind(|| panic!("caught in init"));
            thrown_on(|| panic!("no model here"));
            Ok(())
        })
        .start()
        .expect("starts");
    let error = rt.spawn(|(): ()| (), ()).join().unwrap_err().to_string();
    assert!(error.contains("no model here"), "{error}");
    assert!(!error.contains("caught in init"), "{error}");
}
