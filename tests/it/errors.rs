//! Each error of a task says which task that is, however it was submitted and however it ended;
//! once, in front, whole. And it can travel.

use std::sync::mpsc::channel;
use std::time::Duration;

use pinfold::{
    Attempt, Death, FailedTask, Handle, Limit, Memo, Refusal, Runtime, Shutdown, TaskError,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::processes::until;

const NAME: &str = "nightly";
const LONG: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    let builder = Runtime::builder().workers(1).memory_cap(8 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// How a task is to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum How {
    Panic,
    Err,
    Exit,
    Result,
    Undecodable,
    Arguments,
}

const ALL: [How; 6] = [
    How::Panic,
    How::Err,
    How::Exit,
    How::Result,
    How::Undecodable,
    How::Arguments,
];

/// What is told of it.
impl How {
    fn fits(self, error: &TaskError) -> bool {
        let (error, how) = (error, self);
        matches!(
            (how, error),
            (How::Panic, TaskError::Panicked { .. })
                | (How::Err, TaskError::Returned { .. })
                | (How::Exit, TaskError::WorkerDied { .. })
                | (How::Result | How::Undecodable, TaskError::Result { .. })
                | (How::Arguments, TaskError::Arguments { .. })
        )
    }
}

/// Arguments that may refuse to be sent.
#[derive(Clone, Debug)]
struct Asked(How);

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == How::Arguments {
            return Err(serde::ser::Error::custom("they stay here"));
        }
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        How::deserialize(from).map(Asked)
    }
}

/// A value that may refuse to be sent, or to be read.
#[derive(Debug)]
struct Answer(How);

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == How::Result {
            return Err(serde::ser::Error::custom("it stays here"));
        }
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match How::deserialize(from)? {
            How::Undecodable if pinfold::current_task().is_none() => {
                Err(serde::de::Error::custom("unreadable, but in a task"))
            }
            how => Ok(Answer(how)),
        }
    }
}

fn ends(Asked(how): Asked) -> Result<Answer, String> {
    match how {
        How::Panic => panic!("as it was told"),
        How::Err => Err("as it was told".into()),
        How::Exit => std::process::exit(3),
        how => Ok(Answer(how)),
    }
}

/// The error names the task of `function` once, in front.
fn is_named(error: &TaskError, function: &str, name: Option<&str>, item: Option<usize>) {
    let task = error.task().expect("it is a task's");
    assert!(task.function.ends_with(function), "{error:?}");
    assert_eq!((task.name.as_deref(), task.item), (name, item), "{error:?}");
    let text = error.to_string();
    let own = match name {
        Some(name) => format!("`{name}` ({})", task.function),
        None => task.function.to_string(),
    };
    assert!(text.starts_with(&own), "{text}");
    assert!(text[own.len()..].contains(": "), "{text}");
    assert_eq!(text.matches(&*task.function).count(), 1, "{text}");
}

fn is_ours(how: How, error: &TaskError, item: Option<usize>) {
    assert!(how.fits(error), "{how:?}: {error:?}");
    // A handle whose value cannot be read knows the function.
    let name = (how != How::Undecodable || item.is_some()).then_some(NAME);
    is_named(error, "ends", name, item);
}

#[test]
fn every_error_names_its_task() {
    let rt = runtime();
    let task = rt.task(ends).named(NAME);
    let flat = |handle: Handle<Result<Answer, String>>| handle.join_flat().map(drop);
    for how in ALL {
        let ask = || Asked(how);
        let spawned = task.spawn(ask());
        let id = spawned.id();
        let error = flat(spawned).expect_err("no value");
        is_ours(how, &error, None);
        // That of which the handle's value is made in the host has no slot any more.
        if !matches!(how, How::Undecodable | How::Arguments) {
            assert_eq!(error.task().and_then(|task| task.id), id, "{error:?}");
        }
        let tried = task.try_spawn(ask()).expect("room");
        is_ours(how, &flat(tried).expect_err("no value"), None);
        let patient = task.spawn_timeout(ask(), LONG).expect("room");
        is_ours(how, &flat(patient).expect_err("no value"), None);
        let scoped = rt.scope_collect(|scope| flat(scope.spawn_task(&task, ask())));
        is_ours(how, &scoped.0.expect_err("no value"), None);
        if how == How::Err {
            continue; // a value for all others
        }
        for (item, outcome) in task.map([ask(), ask()]).enumerate() {
            // The second one is not pulled when the first cannot be sent.
            is_ours(how, &outcome.map(drop).expect_err("no value"), Some(item));
        }
        for (item, outcome) in task.map_unordered([ask(), ask()]) {
            is_ours(how, &outcome.map(drop).expect_err("no value"), Some(item));
        }
        for (item, outcome) in (0..).zip(task.execute_all([ask()], |_, _| ())) {
            is_ours(how, &outcome.map(drop).expect_err("no value"), Some(item));
        }
        for (item, outcome) in (0..).zip(task.clone().chunked().map([ask(), ask()])) {
            is_ours(how, &outcome.map(drop).expect_err("no value"), Some(item));
        }
        let reduced = task.reduce([ask()], |(a, _)| a).map(drop);
        is_ours(how, &reduced.expect_err("no value"), Some(0));
        let (tell, told) = channel();
        let handle = task.spawn(ask());
        let told_all =
            handle.on_complete(move |outcome| tell.send(outcome.map(drop)).expect("a test"));
        told_all.expect("the first callback");
        let error = told
            .recv_timeout(LONG)
            .expect("told")
            .expect_err("no value");
        assert!(how.fits(&error), "{error:?}");
        is_named(
            &error,
            "ends",
            error.task().and_then(|t| t.name.as_deref()),
            None,
        );
        drop(handle);
    }
    let each = |asked: Asked| ends(asked).map(drop);
    let error = rt.task(each).named(NAME).try_for_each([Asked(How::Err)]);
    is_named(&error.expect_err("one"), "{{closure}}", Some(NAME), Some(0));
}

/// Those that wait for others say who they are, and who has failed first.
#[test]
fn dependents_name_themselves_and_the_cause() {
    fn next((_, _): (u8, Result<Answer, String>)) -> u8 {
        0
    }
    fn last((_, n): (u8, u8)) -> u8 {
        n
    }
    let rt = runtime();
    // To tasks all that is sent is readable.
    for how in ALL.into_iter().filter(|how| *how != How::Undecodable) {
        let first = rt.task(ends).named(NAME).spawn(Asked(how));
        let plain = rt.spawn_after(&first, next, 0);
        let named = rt.task(next).named("next").spawn_after(&first, 0);
        let after_it = rt.spawn_after(&plain, last, 0);
        for (error, function, name) in [
            (plain.join().expect_err("no value"), "next", None),
            (named.join().expect_err("no value"), "next", Some("next")),
            (after_it.join().expect_err("no value"), "last", None),
        ] {
            is_named(&error, function, name, None);
            let TaskError::DependencyFailed { cause, .. } = &error else {
                panic!("{error:?}");
            };
            is_ours(how, cause, None);
        }
    }
}

#[test]
fn what_is_refused_or_ended_early_names_its_task() {
    let rt = Runtime::builder().workers(1).memory_cap(1 << 20);
    let rt = rt.on_drop(Shutdown::Abort).start().expect("starts");
    let wait = |_: String| -> () {
        loop {
            std::thread::park();
        }
    };
    let task = rt.task(wait).named(NAME);
    let is_ours = |outcome: Result<(), TaskError>| {
        let error = outcome.expect_err("no value");
        is_named(&error, "{{closure}}", Some(NAME), None);
        error
    };
    let text = String::new;
    let late = task.clone().hard_deadline(Duration::ZERO).spawn(text());
    is_ours(late.join());
    let beyond = task.clone().limited(&Limit::new(1), 2).spawn(text());
    is_ours(beyond.join());
    is_ours(task.spawn("x".repeat(2 << 20)).join());
    let running = task.spawn(text());
    let late = task
        .clone()
        .hard_deadline(Duration::from_millis(1))
        .spawn(text());
    is_ours(late.join());
    let queued = task.spawn(text());
    assert!(queued.cancel());
    is_ours(queued.join());
    until("it runs", || rt.stats().tasks.in_flight == 1);
    assert!(running.cancel_within(Duration::from_millis(1)));
    is_ours(running.join());
    let cancelled = rt.scope(|scope| {
        scope.cancel();
        scope.spawn_task(&task, text()).join()
    });
    is_ours(cancelled.expect("no other error"));
    let memo = Memo::new(1);
    let memoized = task.clone().memoized(&memo);
    let (first, joined) = (memoized.spawn(text()), memoized.spawn(text()));
    let mut taken = rt.task(|n: u8| n).named(NAME).spawn(1);
    let pending = rt
        .task(|_: ((), ())| ())
        .named(NAME)
        .spawn_after(&first, ());
    rt.shutdown(Shutdown::Abort).expect("ends");
    is_ours(first.join());
    is_named(
        &joined.join().expect_err("no value"),
        "{{closure}}",
        None,
        None,
    );
    is_ours(pending.join());
    is_ours(task.spawn(text()).join());
    assert!(matches!(
        taken.try_join(),
        Some(Err(TaskError::Shutdown { .. }))
    ));
    let again = taken.try_join().expect("ended").expect_err("taken");
    is_named(&again, "{{closure}}", None, None);
    let refused = task.try_spawn(text()).map(drop).expect_err("shut down");
    assert_eq!(refused.refusal, Refusal::Shutdown);
}

/// A chunk's error is that of each of its items, and says which they are.
#[test]
fn a_chunk_says_which_items_it_had() {
    let rt = runtime();
    let task = rt.task(|n: u64| assert_ne!(n, 9_999)).chunked();
    let mut failed = task
        .map(0..20_000)
        .enumerate()
        .filter_map(|(item, outcome)| {
            let error = outcome.err()?;
            let task = error.task().expect("a task's").clone();
            assert_eq!(task.item, Some(item), "{error}");
            Some(task)
        });
    let first: FailedTask = failed.next().expect("one has failed");
    let items = first.items.clone().unwrap_or(9_999..10_000);
    assert!(items.contains(&9_999) && items.start == first.item.expect("an item"));
    assert_eq!(failed.count(), items.len() - 1);
}

/// So a task may return what its child has ended with.
#[test]
fn an_error_travels() {
    fn child(asked: Asked) -> Result<Answer, String> {
        ends(asked)
    }
    fn parent(asked: Asked) -> Result<u32, TaskError> {
        let child = pinfold::spawn(child, asked);
        child.join().map(|_| 1)
    }
    let rt = runtime();
    for how in [How::Panic, How::Result] {
        let told: Result<u32, TaskError> = rt.spawn(parent, Asked(how)).join().expect("a value");
        let error = told.expect_err("no value");
        assert!(how.fits(&error), "{error:?}");
        is_named(&error, "child", None, None);
        assert!(error.task().is_some_and(|task| task.id.is_some()));
        // There and back.
        let back = rt.spawn(|error: TaskError| error, error.clone()).join();
        assert_eq!(back, Ok(error));
    }
    let rest = rt
        .task(ends)
        .named(NAME)
        .safe_to_repeat(2)
        .spawn(Asked(How::Exit));
    let poison = rest.join().map(drop).expect_err("poison");
    let TaskError::Poison { attempts, .. } = &poison else {
        panic!("{poison:?}");
    };
    assert_eq!(attempts[0].death, Death::Exited { status: 3 });
    let wrapped = TaskError::DependencyFailed {
        task: Box::new(FailedTask::default()),
        cause: Box::new(poison),
    };
    type All = (TaskError, Vec<Attempt>);
    let sent: All = (wrapped, vec![]);
    assert_eq!(rt.spawn(|all: All| all, sent.clone()).join(), Ok(sent));
    let unnamed = TaskError::Cancelled {
        task: Box::default(),
    };
    assert_eq!(unnamed.to_string(), "a task: it was cancelled");
}

/// Settings by item: each holds for its item, in every way to run through them.
#[test]
fn an_item_may_have_settings_of_its_own() {
    type Seen = (Option<String>, Vec<(String, String)>);
    fn seen(n: u64) -> Seen {
        assert!(n != 2, "two");
        if n == 3 {
            loop {
                std::thread::park();
            }
        }
        let info = pinfold::task_info().expect("in a task");
        (info.name, info.tags)
    }
    let rt = runtime();
    let limit = Duration::from_millis(20);
    let base = rt.task(seen).named("base").tag("all", "yes");
    let limited = base.per_item(move |task, number, n| match *n {
        0 => task,
        3 => task.named("late").run_limit(limit),
        4 => task.named("refused").start_deadline(Duration::ZERO),
        n => task.named(format!("{number}: {n}")).tag("n", n.to_string()),
    });
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let is_right = |number: usize, outcome: Result<Seen, TaskError>| match (number, outcome) {
        (0, Ok((name, tags))) => {
            assert_eq!(
                (name.as_deref(), tags),
                (Some("base"), vec![pair("all", "yes")])
            );
        }
        (1, Ok((name, tags))) => {
            let own = vec![pair("all", "yes"), pair("n", "1")];
            assert_eq!((name.as_deref(), tags), (Some("1: 1"), own));
        }
        (2, Err(error @ TaskError::Panicked { .. })) => {
            is_named(&error, "seen", Some("2: 2"), Some(2));
        }
        (3, Err(error @ TaskError::DeadlineExceeded { begun: true, .. })) => {
            is_named(&error, "seen", Some("late"), Some(3));
        }
        (4, Err(error @ TaskError::DeadlineExceeded { begun: false, .. })) => {
            is_named(&error, "seen", Some("refused"), Some(4));
        }
        (5, Ok((name, _))) => assert_eq!(name.as_deref(), Some("5: 5")),
        (number, outcome) => panic!("{number}: {outcome:?}"),
    };
    let mut all = 0;
    for (number, outcome) in limited.map(0..6).enumerate() {
        is_right(number, outcome);
        all += 1;
    }
    for (number, outcome) in limited.map_unordered(0..6) {
        is_right(number, outcome);
        all += 1;
    }
    for (number, outcome) in (0..).zip(limited.execute_all(0..6, |_, _| ())) {
        is_right(number, outcome);
        all += 1;
    }
    assert_eq!(all, 18);
    // Retries, too; and the settings of one item are not those of the next.
    fn twice((n, path): (u64, std::path::PathBuf)) -> Result<(), String> {
        let begun = std::fs::read(&path).unwrap_or_default().len();
        std::fs::write(&path, vec![0; begun + 1]).map_err(|error| error.to_string())?;
        (n == 0 || begun > 0)
            .then_some(())
            .ok_or_else(|| format!("{n}"))
    }
    let folder = tempfile::tempdir().expect("a folder");
    let items = |last| (0..=last).map(|n: u64| (n, folder.path().join(n.to_string())));
    let patient = rt.task(twice).per_item(|task, _, (n, _)| match n {
        1 => task.retry(pinfold::Retry::fixed(2, Duration::ZERO)),
        _ => task,
    });
    assert_eq!(patient.try_for_each(items(1)), Ok(()));
    let error = patient.try_for_each(items(2)).expect_err("not tried again");
    assert!(matches!(&error, TaskError::Returned { message, .. } if message == "2"));
    is_named(&error, "twice", None, Some(2));
}

/// What fails when nobody is told is counted; what somebody is told of, or has asked for, is not.
#[test]
fn failures_that_nobody_is_told_of_are_counted() {
    fn late((how, gate): (How, std::path::PathBuf)) -> Result<Answer, String> {
        while !gate.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        ends(Asked(how))
    }
    let rt = runtime();
    let unobserved = || rt.stats().tasks.unobserved;
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = 0;
    for (number, how) in [How::Panic, How::Err, How::Exit, How::Result]
        .into_iter()
        .enumerate()
    {
        // Dropped before the end.
        let gate = folder.path().join(number.to_string());
        drop(rt.spawn(late, (how, gate.clone())));
        std::fs::write(&gate, "").expect("a gate");
        expected += 1;
        until("it is counted", || unobserved() == expected);
        // And after.
        let ended = rt.task(late).named(NAME).spawn((how, gate.clone()));
        until("it has ended", || ended.is_finished());
        drop(ended);
        expected += 1;
        assert_eq!(unobserved(), expected, "{how:?}");
        // Told in one of many ways.
        let again = || (how, gate.clone());
        assert!(rt.spawn(late, again()).join_flat().is_err());
        let _ = rt.task(late).map([again(), again()]).count();
        let scoped = rt.scope_collect(|scope| drop(scope.spawn(late, again())));
        assert_eq!(scoped.1.is_empty(), how == How::Err);
        let (tell, told) = channel();
        let called = rt.spawn(late, again());
        let set = called.on_complete(move |outcome| tell.send(outcome.is_ok()).expect("a test"));
        set.expect("the first callback");
        drop(called);
        assert_eq!(told.recv_timeout(LONG), Ok(how == How::Err));
        let first = rt.spawn(late, again());
        let next = rt.spawn_after(&first, |(_, _): ((), Result<Answer, String>)| (), ());
        drop(first);
        assert!(next.join().is_err());
        assert_eq!(unobserved(), expected, "{how:?}");
    }
    let gate = folder.path().join("never");
    let running = rt.spawn(late, (How::Panic, gate.clone()));
    let queued = rt.spawn(late, (How::Panic, gate));
    assert!(queued.cancel() && running.cancel_within(Duration::ZERO));
    drop(queued);
    until("it is killed", || running.is_finished());
    drop(running);
    drop(rt.spawn(|n: u64| n, 1));
    rt.shutdown(Shutdown::Drain).expect("ends");
    assert_eq!(unobserved(), expected);
}
