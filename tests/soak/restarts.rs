//! Many restarts in a row: what host and zygote hold must not grow with them.

use std::time::Instant;

use pinfold::{Runtime, Shutdown, TaskError};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::faults::Watch;
use crate::host::{Holdings, Process, children, soon, stat};

/// So many restarts until everything that is made once has been made.
const WARM_UP: u64 = 100;

const QUEUE: usize = 64;

/// How much memory may differ besides 2%: the kernel keeps a process's pages in counters
/// per CPU and adds them up roughly (off by up to 128 KiB for each CPU that runs it), and
/// an allocator keeps what was freed.
const SLACK_KIB: u64 = 512;

fn exits((): ()) {
    tracing::info!("exits");
    std::process::exit(9)
}

fn pid((): ()) -> i32 {
    tracing::info!("asked");
    std::process::id() as i32
}

/// Restarts workers `count` times, with so many `spares`, and compares before and after.
pub fn restarts(count: u64, spares: usize, logs: bool) -> Value {
    let what = format!("{count} restarts with {spares} spares, logs {logs}");
    println!("{what}");
    let watch = Watch::default();
    let builder = Runtime::builder()
        .workers(2)
        .spares(spares)
        // Short rings: the warm-up has been round them, so every page has been touched.
        .queue_capacity(QUEUE);
    let rt = if logs {
        let nowhere = tracing_subscriber::fmt()
            .with_writer(std::io::sink)
            .finish();
        tracing::subscriber::with_default(nowhere, || builder.start())
    } else {
        builder.start()
    };
    let rt = rt.expect("starts");
    let begin = Instant::now();
    let (before, after, seconds) = std::thread::scope(|scope| {
        let (rt, watch) = (&rt, &watch);
        scope.spawn(move || watch.guard(rt, &what));
        run(rt, watch, WARM_UP);
        let before = held(rt, watch, spares);
        let middle = Instant::now();
        run(rt, watch, count);
        let seconds = middle.elapsed().as_secs_f64();
        // A zygote that has just forked a worker has descriptors for it for a moment.
        let mut after = held(rt, watch, spares);
        let flat = soon(|| {
            after = held(rt, watch, spares);
            is_flat(before, after)
        });
        watch.check(flat, || format!("before {before:?}, after {after:?}"));
        // Each round runs two tasks that log; what they wrote may still be on its way.
        let heard = || {
            let stats = rt.stats();
            stats.logs.received + stats.totals.logs_dropped
        };
        let expected = if logs { 2 * (WARM_UP + count) } else { 0 };
        let all_heard = soon(|| heard() >= expected) && (heard() > 0) == logs;
        watch.check(all_heard, || {
            format!("{} log events, not {expected}", heard())
        });
        let stats = rt.stats();
        watch.check(stats.restarts == WARM_UP + count, || {
            format!("{} restarts were caused: {stats:?}", WARM_UP + count)
        });
        let audit = rt.audit();
        let orphans = &audit.orphans;
        watch.check(orphans.is_empty(), || format!("orphans: {orphans:?}"));
        rt.shutdown(Shutdown::Drain).expect("nothing in flight");
        watch.done();
        (before, after, seconds)
    });
    let left = children();
    watch.check(left.is_empty(), || format!("processes left: {left:?}"));
    let named = |held: [Holdings; 2]| json!({ "host": held[0], "zygote": held[1] });
    json!({
        "restarts": count, "spares": spares, "logs": logs, "seconds": seconds,
        "all_seconds": begin.elapsed().as_secs_f64(),
        "before": named(before), "after": named(after), "faults": watch.faults(),
    })
}

/// Every other worker ends by what it runs, every other by a signal.
fn run(rt: &Runtime, watch: &Watch, count: u64) {
    for round in 0..count {
        if watch.is_closing() {
            return;
        }
        let before = rt.stats().restarts;
        if round % 2 == 0 {
            let ended = rt.spawn(exits, ()).join();
            let died = matches!(ended, Err(TaskError::WorkerDied { .. }));
            watch.check(died, || format!("round {round}: {ended:?}"));
        } else {
            let pid = rt.task(pid).at_least_once().spawn(()).join();
            let worker = pid.ok().and_then(Process::worker);
            let killed = worker.is_some_and(|(worker, _)| worker.send(Signal::KILL));
            watch.check(killed, || format!("round {round}: no worker"));
        }
        // The new one has begun when it answers; only then may it end too.
        let is_back = soon(|| rt.stats().restarts == before + 1);
        watch.check(is_back, || format!("round {round}: no restart"));
        let value = rt.task(pid).at_least_once().spawn(()).join();
        watch.check(value.is_ok(), || format!("round {round}: {value:?}"));
        watch.moved();
    }
}

/// What the host and its zygote hold, when each knows all workers and spares and no more.
fn held(rt: &Runtime, watch: &Watch, spares: usize) -> [Holdings; 2] {
    let me = std::process::id();
    let mut zygote = None;
    let settled = soon(|| {
        zygote = children().first().map(|pid| *pid as u32);
        let living = rt.stats().workers.len() + spares;
        // Not one that has ended and was not closed yet, in place of one that is to come.
        let watches = |pid, count: usize| watched(pid) == vec![true; count];
        zygote.is_some_and(|zygote| watches(me, living + 1) && watches(zygote, living + 1))
    });
    watch.check(settled, || {
        "there are not all workers and spares".to_owned()
    });
    let zygote = zygote.map(Holdings::of);
    [Holdings::of(me), zygote.unwrap_or_default()]
}

/// Of each process that a process watches, whether it lives. Host and zygote watch each other, too.
fn watched(pid: u32) -> Vec<bool> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten();
    let infos = open.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let pids = infos.filter_map(|info| {
        let mut lines = info.lines();
        let pid = lines.find_map(|line| line.strip_prefix("Pid:"))?;
        pid.trim().parse::<i32>().ok()
    });
    // -1: it has ended, and its parent knows.
    pids.map(|pid| stat(pid).is_some_and(|stat| stat.state != 'Z'))
        .collect()
}

fn is_flat(before: [Holdings; 2], after: [Holdings; 2]) -> bool {
    before.iter().zip(&after).all(|(before, after)| {
        let descriptors = after.descriptors <= before.descriptors;
        let threads = after.threads <= before.threads;
        let mappings = before.mappings.abs_diff(after.mappings) * 50 <= before.mappings;
        let differ = before.resident_kib.abs_diff(after.resident_kib);
        let resident = differ <= (before.resident_kib / 50).max(SLACK_KIB);
        descriptors && threads && mappings && resident
    })
}
