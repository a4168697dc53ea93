//! Very many tasks that wait for each other: every value is compared with what a
//! sequential program computes, and memory is bounded by how many wait at a time, not by
//! how many there are.
//!
//! ```text
//!   gate 0 ─▶ round 0 ──some──▶ round 1 ──some──▶ round 2 …   each task also depends on
//!             gate 1 ──every──▶ round 1                        earlier ones of its round
//!                               gate 2 ──every──▶ round 2
//! ```
//!
//! A round's gate opens when the next round has been submitted, so that never fewer than a
//! round wait. `cargo test` runs a short form, `scripts/graph` a million tasks. Settings:
//! `PINFOLD_GRAPH_TASKS`, `_PENDING`, `_WORKERS`, `_SEED`. The last line is a JSON object.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pinfold::{Handle, Runtime};
use serde_json::json;

pinfold::test_setup!();

/// No task may take nearly as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the host may take: so much, and so much for each task that waits (two rounds may).
const HOST_BYTES: u64 = 32 << 20;
const HOST_BYTES_EACH: u64 = 1 << 10;
/// What the segment may take: of what waits no more is in it than there are slots for.
const SEGMENT_BYTES: u64 = 32 << 20;

/// Most tasks that one depends on, besides its gate.
const INPUTS_MAX: u64 = 3;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// SplitMix64.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % end
    }
}

/// What a task makes of its number and its inputs: their order matters.
fn combine((own, inputs): (u64, Vec<u64>)) -> u64 {
    inputs.into_iter().fold(mix(own), |sum, input| {
        mix(sum.wrapping_mul(31).wrapping_add(input))
    })
}

/// Its value is 1, when `file` is there.
fn gate(file: PathBuf) -> u64 {
    let give_up = Instant::now() + PATIENCE;
    while !file.exists() && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(1));
    }
    1
}

/// Tasks that were submitted together, and what they should end in.
#[derive(Default)]
struct Round {
    handles: Vec<Handle<u64>>,
    values: Vec<u64>,
}

/// A field of `/proc/self/status`, in bytes.
fn own(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok());
    1024 * kib.unwrap_or(0u64)
}

#[derive(Default)]
struct Seen {
    submitted: u64,
    checked: u64,
    wrong: u64,
    /// Tasks that waited, or had not ended, when a gate was opened: fewest, and most.
    pending: Option<(u64, u64)>,
    segment: u64,
    worker: u64,
    faults: Vec<String>,
}

impl Seen {
    fn look(&mut self, rt: &Runtime) -> u64 {
        let stats = rt.stats();
        self.segment = self.segment.max(stats.memory_resident);
        let most = stats.workers.iter().map(|worker| worker.resident).max();
        self.worker = self.worker.max(most.unwrap_or(0));
        // Each of them ends with a value, or the test fails by that.
        self.submitted - stats.tasks.completed
    }

    /// All of a round have ended as they should.
    fn check(&mut self, round: Round) {
        for (handle, value) in round.handles.into_iter().zip(round.values) {
            let mut handle = handle;
            match handle.join_timeout(PATIENCE) {
                Some(Ok(got)) if got == value => {}
                other => {
                    self.wrong += 1;
                    if self.faults.len() < 10 {
                        self.faults.push(format!("{other:?} instead of {value}"));
                    }
                    if other.is_none() {
                        return; // the others would take as long
                    }
                }
            }
            self.checked += 1;
        }
    }
}

/// Submits `count` tasks that depend on `gate`, on some of `before`, and on each other.
fn submit(
    rt: &Runtime,
    rng: &mut Rng,
    first: u64,
    count: u64,
    door: PathBuf,
    before: &Round,
) -> Round {
    let gate = rt.spawn(gate, door);
    let task = rt.task(combine);
    let mut round = Round::default();
    for own in first..first + count {
        let mut inputs = vec![1];
        let mut after = vec![&gate];
        for _ in 0..rng.below(INPUTS_MAX + 1) {
            let earlier = round.handles.len() as u64;
            let all = before.handles.len() as u64 + earlier;
            if all == 0 {
                break;
            }
            let at = rng.below(all) as usize;
            let (of, at) = match at.checked_sub(before.handles.len()) {
                Some(at) => (&round, at),
                None => (before, at),
            };
            after.push(&of.handles[at]);
            inputs.push(of.values[at]);
        }
        let handle = task.spawn_after(after, own);
        round.handles.push(handle);
        round.values.push(combine((own, inputs)));
    }
    round
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        println!("graph: test");
        return ExitCode::SUCCESS;
    }
    let mut names = words
        .iter()
        .filter(|word| !word.starts_with('-'))
        .peekable();
    if names.peek().is_some() && !names.any(|name| "graph".contains(name.as_str())) {
        return ExitCode::SUCCESS;
    }
    let tasks = number("PINFOLD_GRAPH_TASKS", 100_000);
    let pending = number("PINFOLD_GRAPH_PENDING", 20_000).clamp(1, tasks);
    // One of them waits at a gate.
    let workers = number("PINFOLD_GRAPH_WORKERS", 3);
    let seed = number("PINFOLD_GRAPH_SEED", 0x5eed);
    println!("seed {seed}: {tasks} tasks, {pending} wait at a time");
    let start = Instant::now();
    let seen = run(tasks, pending, workers as usize, seed);
    let host = own("VmHWM");
    let host_bound = HOST_BYTES + 2 * HOST_BYTES_EACH * pending;
    let mut faults = seen.faults;
    let (least, most) = seen.pending.unwrap_or_default();
    for (is_well, fault) in [
        (
            seen.checked == tasks && seen.wrong == 0,
            "some values are wrong or missing",
        ),
        (least >= pending, "fewer tasks waited than were to"),
        (
            host > 0 && host <= host_bound,
            "the host took more memory than its bound",
        ),
        (
            seen.segment > 0 && seen.segment <= SEGMENT_BYTES,
            "the segment took more memory than its bound",
        ),
    ] {
        if !is_well {
            faults.push(fault.into());
        }
    }
    let held = faults.is_empty();
    let summary = json!({
        "held": held, "faults": faults, "seed": seed, "workers": workers,
        "tasks": tasks, "checked": seen.checked, "wrong": seen.wrong,
        "pending_least": least, "pending_most": most,
        "host_peak_bytes": host, "host_bound_bytes": host_bound,
        "segment_peak_bytes": seen.segment, "segment_bound_bytes": SEGMENT_BYTES,
        "worker_peak_bytes": seen.worker,
        "seconds": start.elapsed().as_secs_f64(),
    });
    println!("{summary}");
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(tasks: u64, pending: u64, workers: usize, seed: u64) -> Seen {
    let rt = Runtime::builder().workers(workers).start().expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let door = |first: u64| folder.path().join(first.to_string());
    let mut rng = Rng(seed);
    let mut seen = Seen::default();
    let (mut first, mut waiting) = (0, Round::default());
    let mut opened = None;
    while first < tasks {
        // The last round takes what is left, so that none is smaller.
        let left = tasks - first;
        let count = if left < 2 * pending { left } else { pending };
        let next = submit(&rt, &mut rng, first, count, door(first), &waiting);
        seen.submitted += count + 1;
        let now = seen.look(&rt);
        let (least, most) = seen.pending.unwrap_or((now, now));
        seen.pending = Some((least.min(now), most.max(now)));
        if let Some(shut) = opened.replace(door(first)) {
            std::fs::write(shut, "").expect("a file");
        }
        first += count;
        seen.check(std::mem::replace(&mut waiting, next));
    }
    if let Some(shut) = opened {
        std::fs::write(shut, "").expect("a file");
    }
    seen.check(waiting);
    seen.look(&rt);
    if rt.stats().tasks.submitted != seen.submitted {
        seen.faults.push(format!("{:?}", rt.stats().tasks));
    }
    seen.faults.extend(rt.audit().orphans);
    let goes_on = (0..100).all(|n| rt.spawn(mix, n).join() == Ok(mix(n)));
    if !goes_on {
        seen.faults.push("it does not go on".into());
    }
    seen
}
