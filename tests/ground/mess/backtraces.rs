//! How a task came to its panic, if the environment asks for it.

use std::time::Duration;

use libtest_mimic::Trial;
use pinfold::{Runtime, TaskBacktrace, TaskError};

use super::panics::{Log, one_worker};
use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_a_backtrace_if_it_is_asked_for", || {
            asked("no", "0").run().well();
            asked("short", "1").run().well();
            asked("full", "full").run().well();
        }),
        test("mess_a_backtrace_by_all_ways_to_submit", || {
            with("backtrace_ways", "1").run().well();
        }),
        test("mess_a_backtrace_travels", || {
            with("backtrace_travels", "1").run().well();
        }),
        test("mess_a_backtrace_of_worker_init_is_logged", || {
            with("backtrace_init", "1").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("backtrace_asked", is_asked_for),
        ("backtrace_ways", ways),
        ("backtrace_travels", travels),
        ("backtrace_init", init),
    ]
}

fn with(program: &str, style: &str) -> Host {
    let mut host = Host::new(program);
    host.command.env_remove("RUST_LIB_BACKTRACE");
    host.command.env("RUST_BACKTRACE", style);
    host
}

fn asked(what: &str, style: &str) -> Host {
    with("backtrace_asked", style).arg(what)
}

#[inline(never)]
fn far_down(why: u32) -> u32 {
    if why == 7 {
        panic!("far down");
    }
    why
}

#[inline(never)]
fn the_task(why: u32) -> u32 {
    far_down(why) + 1 // so this call is not its last, which would be a jump
}

/// Where a name stands first in a text.
fn at(text: &str, name: &str) -> usize {
    text.find(name)
        .unwrap_or_else(|| panic!("no {name}:\n{text}"))
}

/// From the panic to the task, and nothing of pinfold's own. Names have no paths if the debug
/// information has lines only; without any there are no files.
fn is_short(text: &str) {
    assert!(at(text, "far_down") < at(text, "the_task"));
    for own in [
        "pinfold::",
        "short_backtrace",
        "src/task/",
        "src/worker/",
        "src/runtime/",
    ] {
        assert!(!text.contains(own), "{own}:\n{text}");
    }
    let last = text.lines().last();
    let is_ours = |line: &str| line.contains("backtraces::") || line.contains("backtraces.rs:");
    assert!(last.is_some_and(is_ours), "{text}");
}

fn backtrace_of(error: &TaskError) -> &TaskBacktrace {
    error.backtrace().unwrap_or_else(|| panic!("{error}"))
}

fn is_asked_for(words: &[String]) {
    let log = Log::of_the_program();
    let rt = one_worker();
    let error = rt.spawn(the_task, 7).join().unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    log.await_line("a task panicked");
    if words[0] == "no" {
        assert_eq!(error.backtrace(), None);
        rt.shutdown(pinfold::Shutdown::Drain).expect("in order");
        assert!(!log.text().contains("backtrace of the panic"));
        return;
    }
    log.await_line("backtrace of the panic at");
    log.await_line("far_down");
    let backtrace = backtrace_of(&error);
    let (short, full) = (backtrace.to_string(), format!("{backtrace:#}"));
    at(&full, "__rust_end_short_backtrace");
    assert!(
        full.contains("pinfold::task::func::entry") || full.contains("src/task/func.rs"),
        "{full}"
    );
    if words[0] == "full" {
        assert_eq!(short, full);
    } else {
        is_short(&short);
        assert!(format!("{error:?}").contains(&short));
    }
}

fn fails<T>(outcome: Result<T, TaskError>) {
    match outcome {
        Err(error) => is_short(&backtrace_of(&error).to_string()),
        Ok(_) => panic!("a value"),
    }
}

fn ways(_: &[String]) {
    let rt = Runtime::builder().workers(2).start().expect("starts");
    let one = rt.task(the_task);
    fails(rt.spawn(the_task, 7).join());
    fails(
        one.clone()
            .run_limit(Duration::from_secs(60))
            .spawn(7)
            .join(),
    );
    fails(one.map([1, 7]).find(Result::is_err).expect("one fails"));
    let mut unordered = one.map_unordered([1, 7]).map(|(_, outcome)| outcome);
    fails(unordered.find(Result::is_err).expect("one fails"));
    let mut chunked = one.clone().chunked().map([1, 7, 3]);
    fails(chunked.find(Result::is_err).expect("one fails"));
    let unheard = |n| {
        the_task(n);
    };
    fails(rt.task(unheard).for_each([1, 7]));
    fails(rt.scope(|scope| drop(scope.spawn(the_task, 7))));
    // Of what another depends on.
    let first = rt.spawn(the_task, 7);
    fails(rt.spawn_after(&first, |((), n): ((), u32)| n, ()).join());
    // Of a child: on the spot or elsewhere, by any way to spawn it.
    let child = |(): ()| pinfold::spawn(the_task, 7).join();
    fails(rt.spawn(child, ()).join().expect("a value"));
    let both = |(): ()| pinfold::join(the_task, 1, the_task, 7).1;
    fails(rt.spawn(both, ()).join().expect("a value"));
    let scope = |(): ()| pinfold::scope(|scope| scope.spawn(the_task, 7).join());
    fails(rt.spawn(scope, ()).join().expect("a value"));
    // Of a thread of the task's own, which it throws on.
    let thrown_on = |n: u32| {
        let thread = std::thread::spawn(move || the_task(n));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    };
    let error = rt.spawn(thrown_on, 7).join().unwrap_err();
    at(&backtrace_of(&error).to_string(), "far_down");
    // Nobody has seen where this one began.
    let resumed = |(): ()| -> () { std::panic::resume_unwind(Box::new("resumed")) };
    assert_eq!(rt.spawn(resumed, ()).join().unwrap_err().backtrace(), None);
}

fn travels(_: &[String]) {
    let rt = one_worker();
    let error = rt.spawn(the_task, 7).join().unwrap_err();
    let kept = serde_json::to_string(&error).expect("it can be written");
    let read: TaskError = serde_json::from_str(&kept).expect("it can be read");
    is_short(&backtrace_of(&read).to_string());
    assert_eq!(backtrace_of(&read), backtrace_of(&error));
    // Of another build nothing is guessed.
    let mut other: serde_json::Value = serde_json::from_str(&kept).expect("it is JSON");
    let builds = &mut other["Panicked"]["task"]["backtrace"]["objects"];
    for object in builds.as_array_mut().expect("some") {
        object["build"]["code"] = 12345.into();
    }
    let other: TaskError = serde_json::from_value(other).expect("it can be read");
    let text = backtrace_of(&other).to_string();
    assert!(!text.contains("far_down"), "{text}");
    at(&text, "<unknown> (the program, at 0x");
    // They tell one attempt from another, not one error.
    assert_eq!(other, error);
    assert_ne!(backtrace_of(&other), backtrace_of(&error));
    // One deep in a recursion says that it goes on.
    fn deeper(n: u32) -> u32 {
        std::hint::black_box(if n == 0 {
            the_task(7)
        } else {
            deeper(n - 1) + 1
        })
    }
    let error = rt.spawn(deeper, 1000).join().unwrap_err();
    let text = backtrace_of(&error).to_string();
    assert!(text.ends_with("… what lies deeper was not noted"), "{text}");
}

fn init(_: &[String]) {
    let log = Log::of_the_program();
    let rt = Runtime::builder()
        .workers(1)
        .start_attempts(1)
        .worker_init(|| Ok::<_, String>(the_task(7)))
        .start()
        .expect("starts");
    let error = rt.spawn(|(): ()| (), ()).join().unwrap_err().to_string();
    assert!(error.contains("far down"), "{error}");
    log.await_line("backtrace of the panic at");
    log.await_line("far_down");
}
