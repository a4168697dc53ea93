//! The work in which a worker dies: a little of everything.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{families, graph};
use pinfold::{Handle, Loan, Orphans, Priority, Runtime, Shared, Shutdown, TaskError};

/// No run takes as long.
const LONG: Duration = Duration::from_secs(600);

/// What a task of at most once leaves behind: one byte in the file, its number.
#[derive(serde::Serialize, serde::Deserialize)]
struct Once {
    diary: String,
    number: u8,
}

fn once(Once { diary, number }: Once) -> u8 {
    let file = std::fs::OpenOptions::new().append(true).open(diary);
    file.expect("diary").write_all(&[number]).expect("writes");
    number
}

fn double(n: u64) -> u64 {
    n * 2
}

fn slow(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(1));
    n
}

pub fn text(len: usize) -> String {
    "x".repeat(len)
}

fn fill(mut loan: Loan) -> Loan {
    loan.fill(7);
    loan
}

fn make(len: usize) -> Shared {
    let kept = pinfold::alloc(100).expect("room");
    let mut made = pinfold::alloc(len + 8).expect("room");
    made.fill(kept.len() as u8);
    made.publish().slice(8..).expect("inside")
}

/// Spawns; what is lost with another worker it does itself.
fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let child = pinfold::spawn(fib, n - 1);
    let rest = fib(n - 2);
    match child.join() {
        Ok(value) => value + rest,
        Err(TaskError::WorkerDied { .. }) => fib(n - 1) + rest,
        Err(other) => panic!("{other}"),
    }
}

/// Spawns tasks with buffers and long values, joins one and leaves the others.
fn spawns(shared: Shared) -> usize {
    let texts: Vec<_> = (0..3).map(|_| pinfold::spawn(text, 2000)).collect();
    let long = pinfold::spawn(|s: String| s.len(), text(3000));
    let kept = pinfold::spawn(keep, shared.clone());
    let rest = shared.slice(1..).expect("inside");
    drop(pinfold::spawn(both, (rest, shared)));
    drop(texts);
    let len = match long.join() {
        Ok(len) => len,
        Err(TaskError::WorkerDied { .. }) => 3000,
        Err(other) => panic!("{other}"),
    };
    drop(kept);
    len
}

fn both((a, b): (Shared, Shared)) -> (Shared, Shared, usize) {
    let len = a.len() + b.len();
    (b, a, len)
}

pub fn keep(shared: Shared) -> u64 {
    let more = shared.clone();
    more.iter().map(|byte| u64::from(*byte)).sum()
}

/// Called with what it depends on: numbers, and a buffer.
fn sum_up((n, (parts, shared)): (u64, (Vec<u64>, Shared))) -> u64 {
    n + parts.iter().sum::<u64>() + shared.len() as u64
}

fn shared_made(rt: &Runtime) -> Handle<Shared> {
    rt.task(make).at_least_once().spawn(1000)
}

fn fail(n: u64) {
    panic!("on purpose {n}")
}

/// Ends by its policy: the right value, or the death of its worker, once at most.
#[derive(Default)]
pub struct Deaths(pub u64);

impl Deaths {
    pub fn once<R>(&mut self, what: &str, handle: Handle<R>) -> Result<Option<R>, String>
    where
        R: serde::de::DeserializeOwned,
    {
        match handle.join() {
            Ok(value) => Ok(Some(value)),
            Err(TaskError::WorkerDied { .. }) => {
                self.0 += 1;
                Ok(None)
            }
            Err(error) => Err(format!("{what}: {error}")),
        }
    }
}

pub fn check(what: &str, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(what.to_owned()) }
}

/// Does the work, while the first process of worker 0 dies before its change `step`
/// of shared memory. Says whether it did die.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    run_with(workers, threads, orphans, step, work).map(|died| died.ever)
}

/// Whether the worker has died.
pub struct Died {
    /// Before the work was done.
    pub in_it: bool,
    /// Then, or in what came after it.
    pub ever: bool,
}

/// The same of other work.
pub fn run_with(
    workers: usize,
    threads: usize,
    orphans: Orphans,
    step: u64,
    work: fn(&Runtime, &mut Deaths) -> Result<(), String>,
) -> Result<Died, String> {
    let rt = Runtime::builder()
        .workers(workers)
        .threads_per_worker(threads)
        .memory_cap(8 << 20)
        .queue_capacity(256)
        .orphans(orphans)
        .crash_at(step)
        .start()
        .map_err(|error| error.to_string())?;
    let mut deaths = Deaths::default();
    work(&rt, &mut deaths)?;
    let in_it = rt.stats().restarts > 0;
    check("deaths without a death", in_it || deaths.0 == 0)?;
    check(
        "more tasks lost than threads died",
        deaths.0 <= threads as u64,
    )?;
    // Detached tasks too end by themselves.
    while rt.stats().tasks.in_flight > 0 {
        std::thread::yield_now();
    }
    // It goes on.
    for (n, doubled) in (0..1000).zip(rt.map(double, 0..1000)) {
        check(
            "a later task is wrong",
            doubled == Ok(n * 2) || died_late(&doubled),
        )?;
    }
    // Tasks that were left by those that had spawned them are still on their way out;
    // or wait to hear how the worker has ended that ran them.
    let mut audit = rt.audit();
    let give_up = Instant::now() + Duration::from_secs(30);
    let slots = |audit: &pinfold::Audit| {
        audit.slots_queued + audit.slots_running + audit.slots_done + audit.slots_waiting
    };
    // So is, a moment longer, what the host has inherited for them.
    let blocks = |audit: &pinfold::Audit| {
        let of_tasks = audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried;
        of_tasks + audit.blocks_lanes
    };
    while blocks(&audit) + slots(&audit) > 0 && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(1));
        audit = rt.audit();
    }
    check(
        &format!("owned by nobody: {:?}", audit.orphans),
        audit.orphans.is_empty(),
    )?;
    let in_use = [
        audit.slots_queued,
        audit.slots_running,
        audit.slots_done,
        audit.slots_waiting,
        audit.blocks_loaned,
        audit.blocks_shared,
        audit.blocks_carried,
        audit.blocks_lanes,
    ];
    check(&format!("still in use: {in_use:?}"), in_use == [0; 8])?;
    let tasks = rt.stats().tasks;
    check(&format!("damage: {tasks:?}"), tasks.damage == 0)?;
    let ended = tasks.completed + tasks.panicked + tasks.died + tasks.failed + tasks.cancelled;
    check(&format!("sums: {tasks:?}"), ended == tasks.submitted)?;
    let ever = rt.stats().restarts > 0;
    rt.shutdown(Shutdown::Drain)
        .map_err(|error| error.to_string())?;
    Ok(Died { in_it, ever })
}

/// The step may come only now.
fn died_late(result: &Result<u64, TaskError>) -> bool {
    matches!(result, Err(TaskError::WorkerDied { .. }))
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let diary = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let path = diary.path().to_str().expect("text").to_owned();
    // One that is long, so that what is behind it is stolen.
    let long = rt.task(slow).at_least_once().spawn(9);
    let batch: Vec<_> = rt.task(double).at_least_once().map(0..40).collect();
    let once: Vec<Handle<u8>> = (0..20)
        .map(|number| {
            let diary = path.clone();
            rt.spawn(once, Once { diary, number })
        })
        .collect();
    let texts: Vec<_> = [100, 5_000, 300_000]
        .map(|len| (len, rt.task(text).at_least_once().spawn(len)))
        .into();
    let loan = rt.alloc(2000).map_err(|e| e.to_string())?;
    let filled = rt.spawn(fill, loan);
    let shared = rt.alloc(200_000).map_err(|e| e.to_string())?.publish();
    let sums: Vec<_> = (0..3)
        .map(|_| rt.task(keep).at_least_once().spawn(shared.clone()))
        .collect();
    // These say when they begin and end; and these are judged when their worker dies.
    let limited: Vec<_> = (0..4)
        .map(|n| rt.task(slow).at_least_once().run_limit(LONG).spawn(n))
        .collect();
    let judged: Vec<_> = (0..4)
        .map(|n| {
            let task = rt.task(slow).run_limit(LONG);
            task.retry_if(|outcome| outcome.is_err()).spawn(n)
        })
        .collect();
    let made = [50, 3_000, 150_000].map(|len| (len, rt.task(make).at_least_once().spawn(len)));
    let tree = rt.task(fib).at_least_once().spawn(7);
    let spawned = rt.task(spawns).at_least_once().spawn(shared.clone());
    let families = families::submit(rt, &shared);
    let graph_diary = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let graph = graph::submit(rt, graph_diary.path().to_str().expect("text"));
    let panicked = rt.spawn(fail, 3);
    let lanes = || (0..16).map(|n| (n, Priority::from_level(n as u8 % 4).expect("a level")));
    let levels: Vec<_> = lanes()
        .map(|(n, level)| rt.task(double).at_least_once().priority(level).spawn(n))
        .collect();
    let once_at_levels: Vec<Handle<u64>> = lanes()
        .map(|(n, level)| rt.task(double).priority(level).spawn(n))
        .collect();
    let sums_after: Vec<_> = (0..4)
        .map(|n| {
            let parts: Vec<_> = (0..3)
                .map(|m| rt.task(double).at_least_once().spawn(n + m))
                .collect();
            let sum = rt.task(sum_up).at_least_once();
            let after = sum.spawn_after((parts.iter().collect::<Vec<_>>(), &shared_made(rt)), n);
            (n, after)
        })
        .collect();
    let never = rt.spawn_after(&panicked, |(n, ()): (u64, ())| n, 1);
    let cancelled: Vec<_> = (0..4)
        .map(|n| rt.task(slow).at_least_once().spawn(n))
        .collect();
    for handle in cancelled.iter().rev() {
        handle.cancel();
    }
    // Nobody will ask for these.
    for n in 0..5 {
        drop(rt.task(double).at_least_once().spawn(n));
        let lazy = rt.task(text).priority(Priority::Background);
        drop(lazy.at_least_once().spawn(1000));
    }

    for (n, doubled) in (0..40).zip(batch) {
        check("a batch's result is wrong", doubled == Ok(n * 2))?;
    }
    for (n, handle) in (0..).zip(levels) {
        check("of any level", handle.join() == Ok(n * 2))?;
    }
    for (n, handle) in (0..).zip(once_at_levels) {
        let value = deaths.once("at most once, of any level", handle)?;
        check("its value", value.is_none_or(|value| value == n * 2))?;
    }
    for (n, handle) in (0..4).chain(0..4).zip(limited.into_iter().chain(judged)) {
        check("with a limit", handle.join() == Ok(n))?;
    }
    check("the long one", long.join() == Ok(9))?;
    for (n, after) in sums_after {
        let expected = n + 2 * (n + n + 1 + n + 2) + 1000;
        check("what depends on others", after.join() == Ok(expected))?;
    }
    let unmet = matches!(never.join(), Err(TaskError::DependencyFailed { .. }));
    check("what depends on a failure", unmet)?;
    for (n, handle) in (0..).zip(cancelled) {
        let ended = handle.join();
        let is_allowed = ended == Ok(n) || matches!(ended, Err(TaskError::Cancelled { .. }));
        check("what was cancelled", is_allowed)?;
    }
    let mut told = Vec::new();
    for (number, handle) in (0..20).zip(once) {
        let value = deaths.once("at most once", handle)?;
        check("its value", value.is_none_or(|value| value == number))?;
        told.push(value.is_some());
    }
    let ran = std::fs::read(diary.path()).map_err(|e| e.to_string())?;
    for (number, told) in (0..20u8).zip(told) {
        let times = ran.iter().filter(|byte| **byte == number).count();
        check("ran twice", times <= 1)?;
        check("has a value, and did not run", times == 1 || !told)?;
    }
    for (len, text) in texts {
        let text = text.join().map_err(|error| format!("text: {error}"))?;
        check("a text's length", text.len() == len)?;
    }
    if let Some(loan) = deaths.once("loan", filled)? {
        check("a loan's bytes", loan.iter().all(|byte| *byte == 7))?;
    }
    for sum in sums {
        sum.join().map_err(|error| format!("sum: {error}"))?;
    }
    graph(deaths)?;
    check("fork and join", tree.join() == Ok(13))?;
    check("spawned", spawned.join() == Ok(3000))?;
    families()?;
    let mut buffers = Vec::new();
    for (len, made) in made {
        let made = made.join().map_err(|error| format!("made: {error}"))?;
        check("a buffer's bytes", made[..] == vec![100; len])?;
        buffers.push(made);
    }
    let pair = (buffers[0].clone(), shared.clone());
    let pair = rt.task(both).at_least_once().spawn(pair).join();
    let (b, a, len) = pair.map_err(|error| format!("both: {error}"))?;
    check("both", b == shared && a == buffers[0] && len == 200_050)?;
    match panicked.join() {
        Err(TaskError::Panicked { .. }) => Ok(()),
        Err(TaskError::WorkerDied { .. }) => {
            deaths.0 += 1;
            Ok(())
        }
        other => Err(format!("panic: {other:?}")),
    }
}
