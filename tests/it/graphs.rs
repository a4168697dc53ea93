//! Random graphs of tasks that fail, die, wait to be cancelled, have priorities and
//! deadlines, and are tried again, against a sequential model: what each of them may end in,
//! given what those ended in that it depends on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pinfold::{Handle, Priority, Retry, Runtime, TaskError};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::api::{endless, runtime};
use crate::processes::{send, until};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(4);

/// What a task does when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Does {
    /// Adds what it gets to its number.
    Adds,
    /// Panics and returns an `Err`, taking turns, the first so many times.
    Fails(u32),
    /// Ends its worker the first so many times.
    Dies(u32),
    /// Waits until it is cancelled, and returns an `Err` then.
    Listens,
    /// Waits until it is cancelled, and adds then.
    Finishes,
    /// Never ends.
    IsDeaf,
}

/// When a task is cancelled, and with what grace.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cancel {
    /// As soon as it is submitted.
    AtOnce(Option<Duration>),
    /// When all are submitted.
    Later(Option<Duration>),
}

#[derive(Clone, Debug)]
struct Node {
    before: Vec<prop::sample::Index>,
    does: Does,
    priority: u8,
    /// Attempts that it has if it fails by itself, and if its worker dies.
    attempts: (u32, u32),
    cancel: Option<Cancel>,
    start: Option<Duration>,
    hard: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Graph {
    nodes: Vec<Node>,
    /// Workers that are killed meanwhile, and how long after each other.
    kills: Vec<u64>,
}

fn node() -> impl Strategy<Value = Node> {
    let does = prop_oneof![
        20 => Just(Does::Adds),
        2 => (1..4u32).prop_map(Does::Fails),
        1 => (1..4u32).prop_map(Does::Dies),
        1 => Just(Does::Listens),
        1 => Just(Does::Finishes),
        1 => Just(Does::IsDeaf),
    ];
    let grace = prop_oneof![
        Just(None),
        (0..4u64).prop_map(|ms| Some(Duration::from_millis(ms)))
    ];
    let cancel = prop_oneof![
        16 => Just(None),
        1 => grace.clone().prop_map(|grace| Some(Cancel::AtOnce(grace))),
        1 => grace.prop_map(|grace| Some(Cancel::Later(grace))),
    ];
    let deadline = || {
        prop_oneof![
            40 => Just(None),
            1 => Just(Some(Duration::ZERO)),
            2 => Just(Some(SHORT)),
            10 => Just(Some(LONG)),
        ]
    };
    let before = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let rest = (0..4u8, (1..4u32, 1..4u32), cancel, deadline(), deadline());
    (before, does, rest).prop_map(|(before, does, rest)| {
        let (priority, attempts, cancel, start, hard) = rest;
        let mut node = Node {
            before,
            does,
            priority,
            attempts,
            cancel,
            start,
            hard,
        };
        node.comes_to_an_end();
        node
    })
}

fn graph() -> impl Strategy<Value = Graph> {
    let kills = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(1..10u64, 1..4),
    ];
    let nodes = prop::collection::vec(node(), 1..60);
    (nodes, kills).prop_map(|(nodes, kills)| Graph { nodes, kills })
}

impl Node {
    /// What would never end is cancelled.
    fn comes_to_an_end(&mut self) {
        let has_grace = matches!(
            self.cancel,
            Some(Cancel::AtOnce(Some(_)) | Cancel::Later(Some(_)))
        );
        let ends = match self.does {
            Does::Adds | Does::Fails(_) | Does::Dies(_) => true,
            Does::Listens | Does::Finishes => self.cancel.is_some(),
            Does::IsDeaf => has_grace,
        };
        if !ends && self.hard.is_none_or(|hard| hard > SHORT) {
            self.cancel = Some(Cancel::Later(Some(SHORT)));
        }
    }

    fn has_passed(&self) -> bool {
        [self.start, self.hard].contains(&Some(Duration::ZERO))
    }

    /// What it does, run so often in a row, if nobody interferes.
    fn ends_by_itself_in(&self, value: u64) -> Kind {
        let (tries, lives) = self.attempts;
        match self.does {
            Does::Fails(times) if times >= tries && tries % 2 == 1 => Kind::Panicked,
            Does::Fails(times) if times >= tries => Kind::Returned,
            Does::Dies(times) if times >= lives => Kind::Died,
            Does::Listens | Does::IsDeaf => Kind::Never,
            Does::Adds | Does::Finishes | Does::Fails(_) | Does::Dies(_) => Kind::Value(value),
        }
    }
}

/// What a task has ended in, or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Value(u64),
    Returned,
    Panicked,
    Died,
    Cancelled,
    Late,
    Unmet,
    Never,
}

type Outcome = Result<Result<u64, String>, TaskError>;

fn kind(outcome: &Outcome) -> Kind {
    match outcome {
        Ok(Ok(value)) => Kind::Value(*value),
        Ok(Err(_)) => Kind::Returned,
        Err(TaskError::Panicked { message, .. }) if message == "on purpose" => Kind::Panicked,
        Err(TaskError::WorkerDied { .. } | TaskError::Poison { .. }) => Kind::Died,
        Err(TaskError::Cancelled { .. }) => Kind::Cancelled,
        Err(TaskError::DeadlineExceeded { .. }) => Kind::Late,
        Err(TaskError::DependencyFailed { .. }) => Kind::Unmet,
        other => panic!("{other:?}"),
    }
}

#[derive(Serialize, Deserialize)]
struct Order {
    own: u64,
    does: Does,
    /// A byte for each run.
    diary: PathBuf,
}

/// Says that the task is run; how often that was by now.
fn begins(diary: &Path) -> u32 {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(diary)
        .expect("a file");
    file.write_all(b".").expect("room");
    runs(diary)
}

fn runs(diary: &Path) -> u32 {
    std::fs::metadata(diary).map_or(0, |file| file.len() as u32)
}

fn sum(own: u64, inputs: impl Iterator<Item = u64>) -> u64 {
    inputs.fold(own, |sum, input| sum.wrapping_mul(31).wrapping_add(input))
}

fn work((order, inputs): (Order, Vec<Result<u64, String>>)) -> Result<u64, String> {
    let run = begins(&order.diary);
    let inputs = inputs
        .into_iter()
        .map(|input| input.expect("an `Err` is no input"));
    let value = sum(order.own, inputs);
    let is_cancelled = || {
        while !pinfold::context().is_cancelled() {
            thread::sleep(Duration::from_micros(200));
        }
    };
    match order.does {
        Does::Fails(times) if run <= times && run % 2 == 1 => panic!("on purpose"),
        Does::Fails(times) if run <= times => return Err("on purpose".into()),
        Does::Dies(times) if run <= times && run % 2 == 1 => std::process::abort(),
        Does::Dies(times) if run <= times => std::process::exit(3),
        Does::Listens => {
            is_cancelled();
            return Err("was asked to end".into());
        }
        Does::Finishes => is_cancelled(),
        Does::IsDeaf => endless(()),
        Does::Adds | Does::Fails(_) | Does::Dies(_) => {}
    }
    Ok(value)
}

fn submit(
    rt: &Runtime,
    node: &Node,
    own: usize,
    before: Vec<&Handle<Result<u64, String>>>,
    diary: PathBuf,
) -> Handle<Result<u64, String>> {
    let ms = Duration::from_millis;
    let (tries, lives) = node.attempts;
    let mut task = rt
        .task(work)
        .priority(Priority::from_level(node.priority).expect("a level"))
        .safe_to_repeat(lives)
        .backoff(ms(1), ms(2));
    if tries > 1 {
        task = task.retry(Retry::exponential(tries, ms(0), ms(2)));
    }
    if let Some(limit) = node.start {
        task = task.start_deadline(limit);
    }
    if let Some(limit) = node.hard {
        task = task.hard_deadline(limit);
    }
    let (own, does) = (own as u64, node.does);
    task.spawn_after(before, Order { own, does, diary })
}

fn cancel(handle: &Handle<Result<u64, String>>, grace: Option<Duration>) {
    match grace {
        Some(grace) => handle.cancel_within(grace),
        None => handle.cancel(),
    };
}

/// Whether a task that depends on one with that outcome may have ended in `own` by it.
fn is_cause(of: &Outcome, own: &TaskError) -> bool {
    let TaskError::DependencyFailed { cause, .. } = own else {
        return false;
    };
    let is_named = |error: &TaskError| {
        let task = error.task();
        task.is_some_and(|task| task.function.ends_with("work"))
    };
    if !is_named(own) || !is_named(cause) {
        return false;
    }
    match of {
        Ok(Ok(_)) => false,
        Ok(Err(_)) => matches!(**cause, TaskError::Returned { .. }),
        // It was not the first.
        Err(TaskError::DependencyFailed { cause: first, .. }) => first == cause,
        Err(first) => **cause == *first,
    }
}

/// Checks what a task has ended in, and how often it was run.
fn check(node: &Node, own: usize, of: &[&Outcome], outcome: &Outcome, runs: u32, is_killed: bool) {
    let told = format!("task {own}, {node:?}, {of:?}: {outcome:?} after {runs} runs");
    let is = kind(outcome);
    let (tries, lives) = node.attempts;
    if node.has_passed() {
        assert_eq!((is, runs), (Kind::Late, 0), "{told}");
        return;
    }
    let is_cancelled = is == Kind::Cancelled && node.cancel.is_some();
    if of.iter().any(|of| !matches!(of, Ok(Ok(_)))) {
        let is_unmet = outcome
            .as_ref()
            .is_err_and(|error| of.iter().any(|of| is_cause(of, error)));
        assert!(runs == 0 && (is_unmet || is_cancelled), "{told}");
        return;
    }
    let inputs = of.iter().map(|of| match of {
        Ok(Ok(value)) => *value,
        other => panic!("{other:?}"),
    });
    let value = sum(own as u64, inputs);
    let natural = node.ends_by_itself_in(value);
    let has_limit = |limit: &Duration| [node.start, node.hard].contains(&Some(*limit));
    let is_allowed = match outcome {
        _ if is == natural || is_cancelled => true,
        Err(TaskError::DeadlineExceeded { limit, .. }) => has_limit(limit),
        // One that is cancelled or late is not tried again: a panic stays one.
        _ if is == Kind::Panicked && (node.cancel.is_some() || node.hard == Some(SHORT)) => {
            matches!(node.does, Does::Fails(_))
        }
        _ if is == Kind::Returned && node.hard == Some(SHORT) => {
            matches!(node.does, Does::Fails(_))
        }
        // Of runs that were cut short some were to fail, and some were not.
        _ if is_killed => {
            let fails = matches!(node.does, Does::Fails(_) | Does::Dies(_));
            is == Kind::Died
                || fails && matches!(is, Kind::Panicked | Kind::Returned)
                || fails && is == Kind::Value(value)
        }
        _ => false,
    };
    assert!(is_allowed, "{told}; by itself: {natural:?}");
    if let Err(TaskError::Poison { attempts, .. }) = outcome {
        assert_eq!(attempts.len() as u32, lives, "{told}");
    }
    let has_run = matches!(
        is,
        Kind::Value(_) | Kind::Returned | Kind::Panicked | Kind::Died
    );
    // One may be killed before it has said that it is run.
    let least = u32::from(has_run && !is_killed);
    assert!((least..tries + lives).contains(&runs), "{told}");
}

fn run(graph: &Graph, tally: &mut BTreeMap<&'static str, u32>) {
    let rt = runtime(2);
    let folder = tempfile::tempdir().expect("a folder");
    let diary = |at: usize| folder.path().join(at.to_string());
    let before = |at: usize| {
        let indices = graph.nodes[at].before.iter();
        let indices = indices.filter(move |_| at > 0).map(move |i| i.index(at));
        indices.collect::<Vec<usize>>()
    };
    let is_killed = !graph.kills.is_empty();
    let outcomes = thread::scope(|scope| {
        scope.spawn(|| {
            for (nth, pause) in graph.kills.iter().enumerate() {
                thread::sleep(Duration::from_millis(*pause));
                let pid = rt.stats().workers[nth % 2].pid;
                if pid > 0 {
                    send(pid as u32, Signal::KILL);
                }
            }
        });
        let mut handles: Vec<Handle<Result<u64, String>>> = Vec::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            let of = before(at).iter().map(|before| &handles[*before]).collect();
            let handle = submit(&rt, node, at, of, diary(at));
            if let Some(Cancel::AtOnce(grace)) = node.cancel {
                cancel(&handle, grace);
            }
            handles.push(handle);
        }
        for (node, handle) in graph.nodes.iter().zip(&handles) {
            if let Some(Cancel::Later(grace)) = node.cancel {
                cancel(handle, grace);
            }
        }
        let ends = |(at, mut handle): (usize, Handle<_>)| {
            handle.join_timeout(LONG).unwrap_or_else(|| {
                let (audit, stats) = (rt.audit(), rt.stats());
                panic!("task {at} does not end: {audit:?}, {stats:?}")
            })
        };
        let handles = handles.into_iter().enumerate();
        handles.map(ends).collect::<Vec<Outcome>>()
    });
    for (at, (node, outcome)) in graph.nodes.iter().zip(&outcomes).enumerate() {
        let of: Vec<&Outcome> = before(at).iter().map(|of| &outcomes[*of]).collect();
        check(node, at, &of, outcome, runs(&diary(at)), is_killed);
        let name = match kind(outcome) {
            Kind::Value(_) => "value",
            Kind::Returned | Kind::Panicked => "failed",
            Kind::Died => "died",
            Kind::Cancelled => "cancelled",
            Kind::Late => "late",
            Kind::Unmet => "unmet",
            Kind::Never => "never",
        };
        *tally.entry(name).or_default() += 1;
    }
    // Nothing is left, and it goes on.
    assert!(rt.map(|n: u64| n, 0..100).eq((0..100).map(Ok)));
    let tasks = rt.stats().tasks;
    let refused = graph.nodes.iter().filter(|node| node.has_passed()).count() as u64;
    let submitted = graph.nodes.len() as u64 + 100 - refused;
    assert_eq!((tasks.submitted, tasks.refused), (submitted, refused));
    let ended = tasks.completed + tasks.panicked + tasks.died + tasks.late + tasks.cancelled;
    assert_eq!(ended + tasks.failed, submitted, "{tasks:?}");
    assert_eq!(tasks.failed, 0, "{tasks:?}");
    until("every slot to be free", || {
        let audit = rt.audit();
        assert_eq!(audit.orphans, Vec::<String>::new());
        audit.slots_queued + audit.slots_running + audit.slots_waiting + audit.slots_done == 0
    });
}

/// `PINFOLD_SEED` and `PINFOLD_CASES` choose others.
#[test]
fn graphs_end_as_a_sequential_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let seed: u64 = number("PINFOLD_SEED").unwrap_or(0x5eed);
    println!("seed {seed}");
    let mut runner = TestRunner::new(Config {
        cases: number("PINFOLD_CASES").unwrap_or(32) as u32,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    });
    let tally = RefCell::new(BTreeMap::new());
    let ran = runner.run(&graph(), |graph| {
        run(&graph, &mut tally.borrow_mut());
        Ok(())
    });
    if let Err(error) = ran {
        panic!("seed {seed}: {error}");
    }
    println!("{tally:?}");
}
