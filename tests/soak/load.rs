//! One run of the load under fire, and everything that must hold afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::{Audit, Runtime, Shutdown};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::faults::Watch;
use crate::host::{Holdings, Process, children, names, processes, soon, stat};
use crate::killer::Killer;
use crate::objects::Stage;
use crate::pending::Fate;
use crate::record::Record;
use crate::rng::Rng;
use crate::submit::{Submitted, Submitter};

const SUBMITTERS: u64 = 2;
/// Room in the record; far more than can be run.
const TASKS_A_SECOND: u64 = 1_000_000;
const MEMORY: u64 = 1 << 30;

/// Runs the load for `seconds` on `workers` workers. The summary says under `faults`
/// what did not hold.
pub fn soak(seconds: u64, workers: usize, seed: u64) -> Value {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let len = Record::len_for((seconds + 60) * TASKS_A_SECOND);
    file.as_file().set_len(len).expect("a sparse file");
    let path = file.path().to_str().expect("text").to_owned();
    let record = Record::open(&path);
    let shm = names("/dev/shm");
    // The first runtime of a process makes threads that stay, for callbacks and the like.
    drop(Runtime::builder().workers(1).start().expect("starts"));
    let before = Holdings::of(std::process::id());

    let mut rng = Rng::new(seed, 0);
    let threads = *rng.choose(&[1, 1, 1, 2]);
    let spares = rng.below(3) as usize;
    let capacity = *rng.choose(&[64, 500, 8192]);
    let ends_calmly = rng.once_in(2);
    let what = format!(
        "seed {seed}, {workers} workers of {threads} threads, {spares} spares, \
         queue of {capacity}, ends calmly: {ends_calmly}"
    );
    println!("soak for {seconds} s: {what}");
    let rt = Runtime::builder()
        .workers(workers)
        .threads_per_worker(threads)
        .spares(spares)
        .queue_capacity(capacity)
        .memory_cap(MEMORY)
        // Random kills hit workers that have not begun, too.
        .start_attempts(1000)
        .start()
        .expect("starts");

    let watch = Watch::default();
    let begin = Instant::now();
    let until = begin + Duration::from_secs(seconds);
    let (submitted, rounds, sent, counts) = std::thread::scope(|scope| {
        scope.spawn(|| watch.guard(&rt, &what));
        let killer = Killer::new(&rt, &watch, Rng::new(seed, 1));
        let killer = scope.spawn(move || killer.run(ends_calmly));
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|number| {
                let rng = Rng::new(seed, 2 + number);
                let (rt, watch, record, path) = (&rt, &watch, &record, &path);
                scope.spawn(move || {
                    Submitter::new(rt, watch, record, path, rng, number, SUBMITTERS, until).run()
                })
            })
            .collect();
        let executors = (workers * threads) as u64;
        let stage = Stage::new(&rt, &watch, Rng::new(seed, 100), executors);
        let stage = scope.spawn(move || stage.run(until));
        let submitted: Vec<Submitted> = submitters
            .into_iter()
            .map(|submitter| submitter.join().expect("a submitter"))
            .collect();
        let (of_objects, rounds) = stage.join().expect("the stage");
        // Those that nobody joins end too.
        while rt.stats().tasks.in_flight > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        watch.moved();
        watch.over();
        let sent = killer.join().expect("the killer");
        let counts = check_fold(&rt, &watch, &submitted, of_objects);
        watch.moved();
        rt.shutdown(Shutdown::Drain).expect("nothing in flight");
        watch.done();
        (submitted, rounds, sent, counts)
    });
    let seconds = begin.elapsed().as_secs_f64();
    let left = processes_left(&sent.sessions);
    watch.check(left.is_empty(), || format!("processes left: {left:?}"));
    drop(rt);
    let fates = check_runs(&watch, &record, &submitted);
    check_host(&watch, before, &shm);
    json!({
        "seed": seed, "workers": workers, "threads": threads, "spares": spares,
        "queue": capacity, "ends_calmly": ends_calmly, "seconds": seconds, "sent": sent, "stats": counts,
        "handles": fates, "rounds_of_objects": rounds, "faults": watch.faults(),
    })
}

/// What audit and counters must say when all has ended.
fn check_fold(rt: &Runtime, watch: &Watch, submitted: &[Submitted], of_objects: u64) -> Value {
    // Tasks of tasks that nobody waits for may end a little after their parents, and
    // their slots are free when the executors find time for it.
    let is_at_rest = |audit: &Audit| {
        let host = &audit.by_process[0];
        let owns_nothing = host.running == 0 && host.loaned == 0 && host.shared == 0;
        owns_nothing && audit.blocks_carried == 0 && slots_in_use(audit) == 0
    };
    let at_rest = soon(|| is_at_rest(&rt.audit()));
    watch.check(at_rest, || {
        format!("the host still owns something: {:?}", rt.audit())
    });
    let orphans = rt.audit().orphans;
    watch.check(orphans.is_empty(), || format!("orphans: {orphans:#?}"));

    let stats = rt.stats();
    let tasks = stats.tasks;
    let all = submitted.iter().flat_map(Submitted::all);
    let of_load = all.filter(|(_, fate)| *fate != Fate::Refused).count() as u64;
    let accepted = of_load + of_objects;
    watch.check(tasks.submitted == accepted, || {
        format!("{accepted} tasks were submitted: {tasks:?}")
    });
    let ended =
        tasks.completed + tasks.panicked + tasks.died + tasks.late + tasks.cancelled + tasks.failed;
    watch.check(tasks.submitted == ended && tasks.in_flight == 0, || {
        format!("{ended} tasks have ended: {tasks:?}")
    });
    let unexpected = [tasks.late, tasks.failed, tasks.damage, stats.rebuilds];
    watch.check(unexpected == [0; 4], || {
        format!("nothing was late, failed or damaged: {stats:?}")
    });

    // What tasks keep in their workers goes with these.
    for worker in rt.stats().workers {
        if let Some((worker, _)) = Process::worker(worker.pid) {
            worker.send(Signal::KILL);
        }
    }
    let is_empty = |audit: &Audit| {
        let blocks = audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried;
        blocks + audit.blocks_lanes + audit.blocks_passing + slots_in_use(audit) == 0
    };
    let emptied = soon(|| is_empty(&rt.audit()));
    watch.check(emptied, || format!("blocks stay in use: {:#?}", rt.audit()));
    json!({
        "tasks": tasks,
        "restarts": stats.restarts,
        "rebuilds": stats.rebuilds,
        "memory_resident": stats.memory_resident,
    })
}

fn slots_in_use(audit: &Audit) -> u64 {
    audit.slots_queued + audit.slots_running + audit.slots_done + audit.slots_waiting
}

/// How often each task has run, now that none will run any more.
fn check_runs(watch: &Watch, record: &Record, submitted: &[Submitted]) -> Value {
    let (mut runs, mut repeated, mut unrun) = (0u64, 0u64, 0u64);
    let mut counts = [0u64; 9];
    for (id, fate) in submitted.iter().flat_map(Submitted::all) {
        let ran = record.runs(id);
        watch.check(fate.allows(ran), || {
            format!("task {id}, {fate:?}, ran {ran} times")
        });
        counts[fate as usize] += 1;
        runs += u64::from(ran);
        repeated += u64::from(ran > 1);
        unrun += u64::from(ran == 0);
    }
    let [
        refused,
        _,
        once,
        died,
        once_detached,
        at_least,
        repeated_detached,
        once_cancelled,
        repeated_cancelled,
    ] = counts;
    json!({
        "once_ended": once, "once_died": died, "once_detached": once_detached,
        "at_least_once_ended": at_least, "at_least_once_detached": repeated_detached,
        "cancelled_or_unmet": once_cancelled + repeated_cancelled,
        "refused": refused, "runs": runs, "tasks_run_again": repeated, "tasks_never_run": unrun,
    })
}

/// Children of ours, and whoever still runs in a session that a zygote had opened. Those
/// whose zygote was killed are not our children; whose duty it is to reap them, is init.
fn processes_left(sessions: &BTreeSet<i32>) -> Vec<i32> {
    let ours = std::fs::read_link("/proc/self/exe").ok();
    let is_ours = |pid: i32| std::fs::read_link(format!("/proc/{pid}/exe")).ok() == ours;
    let others = processes().into_iter().filter(|pid| {
        stat(*pid).is_some_and(|s| s.state != 'Z' && sessions.contains(&s.session)) && is_ours(*pid)
    });
    children().into_iter().chain(others).collect()
}

/// The host is as it was before its runtime.
fn check_host(watch: &Watch, before: Holdings, shm: &[String]) {
    let now = || Holdings::of(std::process::id());
    // The first runtime's last threads may just have been ending when they were counted.
    let is_same =
        |now: Holdings| now.descriptors == before.descriptors && now.threads <= before.threads;
    let same = soon(|| is_same(now()));
    watch.check(same, || {
        format!("descriptors or threads stay: {before:?}, now {:?}", now())
    });
    let new = || -> Vec<String> {
        let all = names("/dev/shm").into_iter();
        all.filter(|name| !shm.contains(name)).collect()
    };
    // Others may put something there for a moment; what is ours would stay.
    let same = soon(|| new().is_empty());
    watch.check(same, || format!("new in /dev/shm: {:?}", new()));
}
