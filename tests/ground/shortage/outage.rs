//! No worker can be started for a while: who is told what, and that it ends.

use std::path::PathBuf;
use std::time::Instant;

use libtest_mimic::Trial;
use pinfold::{Refusal, Runtime, Shutdown, TaskError};

use super::{cause, kill, ms, same, until, works, zygote};
use crate::Program;
use crate::host::Host;

pub fn tests() -> Vec<Trial> {
    let mut tests = vec![
        crate::test(
            "shortage/whatever_is_submitted_without_workers_is_told_the_cause",
            || {
                let dir = tempfile::tempdir().expect("a directory");
                let path = dir.path().join("model");
                let mut host = Host::new("outage.init");
                host.command.env(MODEL, &path);
                host.run().well();
            },
        ),
        crate::test(
            "shortage/a_program_that_was_touched_or_replaced_goes_on",
            || {
                for how in ["touch", "replace"] {
                    let dir = tempfile::tempdir().expect("a directory");
                    let copy = dir.path().join("program");
                    let me = std::env::current_exe().expect("this program has a path");
                    std::fs::copy(me, &copy).expect("room for a copy");
                    let host = Host::of(&copy).arg("host").arg("outage.touched");
                    host.arg(copy.display()).arg(how).run().well();
                }
            },
        ),
    ];
    let others = [
        ("words_are_not_nested_in_words", "outage.words"),
        ("an_init_that_hangs_is_told_as_such", "outage.hangs"),
        ("abort_does_not_wait_for_an_init", "outage.abort"),
    ];
    tests.extend(others.map(|(test, program)| {
        crate::test(&format!("shortage/{test}"), move || {
            Host::new(program).run().well();
        })
    }));
    tests
}

pub fn programs() -> Vec<Program> {
    vec![
        ("outage.init", init),
        ("outage.touched", touched),
        ("outage.words", words),
        ("outage.hangs", hangs),
        ("outage.abort", abort),
    ]
}

const MODEL: &str = "PINFOLD_TEST_MODEL";

fn load() -> Result<(), String> {
    let path = std::env::var_os(MODEL)
        .map(PathBuf::from)
        .expect("it is set");
    match path.exists() {
        true => Ok(()),
        false => Err("no model here".into()),
    }
}

fn init(_: &[String]) {
    let path = std::env::var_os(MODEL)
        .map(PathBuf::from)
        .expect("it is set");
    let builder = Runtime::builder()
        .workers(3)
        .worker_init(load)
        .start_attempts(3);
    let rt = builder.start().expect("a runtime");
    let told = |why: String| {
        assert!(why.contains("no model here"), "{why}");
        assert_eq!(why.matches("last words").count(), 1, "{why}");
    };
    // Those that wait, and what depends on them.
    let first = rt.spawn(same, 1);
    let after = rt
        .task(|((), (n,)): ((), (u64,))| n)
        .spawn_after((&first,), ());
    told(cause(first.join()));
    match after.join() {
        Err(TaskError::DependencyFailed { cause: why, .. }) => told(cause(Err::<(), _>(*why))),
        Err(TaskError::NoWorkers { reason, .. }) => told(reason),
        other => panic!("{other:?}"),
    }
    // And those that come, in every way.
    told(cause(rt.spawn(same, 1).join()));
    told(cause(
        rt.spawn(|v: Vec<u8>| v.len(), vec![0; 100_000]).join(),
    ));
    assert_eq!(
        rt.try_spawn(same, 1).unwrap_err().refusal,
        Refusal::NoWorkers
    );
    let timed = rt.task(same).spawn_timeout(1, ms(10_000)).unwrap_err();
    assert_eq!(timed.refusal, Refusal::NoWorkers);
    let outcomes: Vec<_> = rt.map(same, 0..5).collect();
    assert_eq!(outcomes.len(), 5, "one for each item");
    outcomes.into_iter().for_each(|ended| told(cause(ended)));
    let outcomes: Vec<_> = rt
        .task(same)
        .map_unordered(0..5)
        .map(|(_, ended)| ended)
        .collect();
    assert_eq!(outcomes.len(), 5, "one for each item");
    outcomes.into_iter().for_each(|ended| told(cause(ended)));
    let limit = pinfold::Limit::new(1);
    told(cause(rt.task(same).limited(&limit, 1).spawn(1).join()));
    let never = rt.spawn(same, 1);
    told(cause(
        rt.task(|((), (n,)): ((), (u64,))| n)
            .spawn_after((&never,), ())
            .join()
            .map_err(|error| match error {
                TaskError::DependencyFailed { cause, .. } => *cause,
                error => error,
            }),
    ));
    assert!(rt.stats().no_workers.is_some());
    // Until it can be started.
    std::fs::write(&path, "").expect("a file");
    works(&rt);
    until("all work", || {
        rt.stats()
            .workers
            .iter()
            .all(|w| w.state != pinfold::Activity::Starting)
    });
    // Once more, all at once.
    std::fs::remove_file(&path).expect("it is there");
    kill(zygote(&rt));
    told(cause(loop {
        let ended = rt.task(same).at_least_once().spawn(1).join();
        if ended != Ok(1) {
            break ended;
        }
    }));
    std::fs::write(&path, "").expect("a file");
    works(&rt);
    rt.shutdown(Shutdown::Drain).expect("nothing is left");
}

fn touched(arguments: &[String]) {
    let [copy, how] = arguments else {
        panic!("{arguments:?}")
    };
    let rt = Runtime::builder().workers(1).start().expect("a runtime");
    match how.as_str() {
        "touch" => {
            let file = std::fs::File::open(copy).expect("it is there");
            let long_ago = std::time::SystemTime::UNIX_EPOCH + ms(1_000_000);
            file.set_modified(long_ago).expect("it is ours");
        }
        _ => {
            let other = format!("{copy}.new");
            std::fs::copy("/bin/true", &other).expect("a program");
            std::fs::rename(&other, copy).expect("the same directory");
        }
    }
    kill(zygote(&rt));
    works(&rt);
}

fn words(_: &[String]) {
    fn exits() -> Result<(), String> {
        std::process::exit(3)
    }
    fn speaks_and_dies() -> Result<(), String> {
        eprintln!("my last words");
        std::process::abort()
    }
    let rt = Runtime::builder()
        .workers(2)
        .worker_init(exits)
        .start_attempts(4)
        .start();
    let rt = rt.expect("a runtime");
    let why = cause(rt.spawn(same, 1).join());
    assert!(why.ends_with("the last one exited with status 3"), "{why}");
    drop(rt);
    let builder = Runtime::builder()
        .workers(1)
        .worker_init(speaks_and_dies)
        .start_attempts(4);
    let rt = builder.start().expect("a runtime");
    let why = cause(rt.spawn(same, 1).join());
    assert!(
        why.contains("SIGABRT") && why.ends_with("; its last words: my last words"),
        "{why}"
    );
    assert_eq!(why.matches("last words").count(), 2, "{why}");
}

fn hang() -> Result<(), String> {
    eprintln!("still loading");
    loop {
        std::thread::park();
    }
}

fn hangs(_: &[String]) {
    let builder = Runtime::builder()
        .workers(2)
        .worker_init(hang)
        .start_attempts(2);
    let rt = builder
        .worker_init_timeout(ms(100))
        .start()
        .expect("a runtime");
    let why = cause(rt.spawn(same, 1).join());
    assert!(
        why.contains("within 100ms") && why.contains("worker_init"),
        "{why}"
    );
    assert!(why.ends_with("still loading"), "{why}");
}

fn abort(_: &[String]) {
    let rt = Runtime::builder()
        .workers(2)
        .worker_init(hang)
        .start()
        .expect("a runtime");
    let begun = Instant::now();
    rt.shutdown(Shutdown::Abort).expect("nothing is in flight");
    // It would be 5 s if they were waited for.
    assert!(begun.elapsed() < ms(4000), "{:?}", begun.elapsed());
}
