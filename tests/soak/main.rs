//! Hours in the life of a service, in seconds: tasks of all kinds while workers and the
//! zygote are killed at random, and many restarts in a row.
//!
//! `scripts/soak` runs it for longer. It reads its settings from the environment:
//! `PINFOLD_SOAK_SECONDS`, `_WORKERS`, `_SEED`, `_RESTARTS`, `_ZYGOTES`. The last line it prints is a
//! JSON object. A program of its own, so that all threads and descriptors are known.

// Before `main`: the standard library's handler, which main's start installs, would take
// a worker's first SIGSEGV from outside for a mistake, and let it live.
pinfold::test_setup!();

mod faults;
mod host;
mod killer;
mod load;
mod objects;
mod pending;
mod record;
mod restarts;
mod rng;
mod submit;
mod tasks;
mod zygotes;

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};

/// A case: what it is called, and what it does.
type Case = (String, Box<dyn Fn() -> Value>);

fn main() {
    // A worker that is made to crash is no news to whoever collects core files.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).expect("a lower limit");

    let (words, options): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| !arg.starts_with('-'));
    // As the usual harness: no words are all cases, else those whose name holds one.
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let seed = setting("SEED").unwrap_or_else(fresh_seed);
    let mut cases = cases(seed);
    cases.retain(|(name, _)| is_chosen(name));
    if options.iter().any(|option| option == "--list") {
        cases.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    if cases.is_empty() {
        return;
    }
    println!("seed {seed}");
    let mut all = Vec::new();
    let mut is_well = true;
    for (name, run) in cases {
        let mut summary = run();
        summary["case"] = json!(name);
        let faults = summary["faults"].as_array();
        let held = faults.is_some_and(Vec::is_empty);
        println!("{name}: {}", if held { "held" } else { "FAILED" });
        is_well &= held;
        all.push(summary);
    }
    let failed = all
        .iter()
        .filter_map(|case| case["faults"].as_array().map(|faults| (case, faults)));
    let failed: Vec<String> = failed
        .flat_map(|(case, faults)| {
            faults
                .iter()
                .map(|fault| format!("{}: {fault}", case["case"]))
        })
        .collect();
    println!("{}", json!({ "held": is_well, "seed": seed, "cases": all }));
    // Once more, at the end, where who reads a long log looks.
    failed.iter().for_each(|fault| eprintln!("FAILED {fault}"));
    std::process::exit(if is_well { 0 } else { 1 });
}

/// The short form, unless settings ask for one thing alone.
fn cases(seed: u64) -> Vec<Case> {
    let seconds = setting("SECONDS");
    let (restarts, zygotes) = (setting("RESTARTS"), setting("ZYGOTES"));
    let is_short = seconds.is_none() && restarts.is_none() && zygotes.is_none();
    let workers = setting("WORKERS").map(|workers| vec![workers as usize]);
    let mut cases: Vec<Case> = Vec::new();
    if seconds.is_some() || is_short {
        let seconds = seconds.unwrap_or(15);
        for workers in workers.unwrap_or_else(|| vec![2, 5]) {
            let run = move || load::soak(seconds, workers, seed);
            cases.push((format!("soak_{workers}_workers"), Box::new(run)));
        }
    }
    if restarts.is_some() || is_short {
        let restarts = restarts.unwrap_or(500);
        for (spares, logs) in [(0, false), (1, false), (1, true)] {
            let run = move || restarts::restarts(restarts, spares, logs);
            let logs = if logs { "_logging" } else { "" };
            cases.push((format!("restarts_{spares}_spares{logs}"), Box::new(run)));
        }
    }
    if zygotes.is_some() || is_short {
        let rounds = zygotes.unwrap_or(100);
        for spares in [0, 1] {
            let run = move || zygotes::zygotes(rounds, spares, seed);
            cases.push((format!("zygotes_{spares}_spares"), Box::new(run)));
        }
    }
    cases
}

fn setting(name: &str) -> Option<u64> {
    let name = format!("PINFOLD_SOAK_{name}");
    let value = std::env::var(&name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is {value:?}, not a number")))
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Short enough to be typed.
    rng::mix(since.map_or(0, |since| since.as_nanos() as u64)) % 1_000_000_000
}
