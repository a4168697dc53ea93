//! A death at every step.
//!
//! A worker counts its changes of shared memory and kills itself just before the
//! k-th. The same work is done for k = 0, 1, 2, … until the worker lives to its end.
//! After each death every handle must have ended by its policy, nothing may be owned
//! by nobody, and the fold must go on.
//!
//! There are several works: a little of everything, and constants, channels of either sort, selects, locks and collective operations
//! alone, each to the end of that work.
//!
//! `scripts/crash-points` runs all points; `cargo test` every few (the first ones
//! all), because the whole takes some minutes.

mod broadcast;
mod channels;
mod collectives;
mod constants;
mod families;
mod graph;
mod locks;
mod routing;
mod scenario;
mod select;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use pinfold::Orphans;

pinfold::test_setup!();

/// Points that are all visited: the start of a worker, and its first tasks.
const DENSE: u64 = 100;
/// No run takes nearly as long; one that hangs is a failure too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folds in which a worker dies: workers, threads in each, and what becomes of what
/// the dead had spawned.
const SHAPES: [(usize, usize, Orphans); 5] = [
    (1, 1, Orphans::Cancel),
    (2, 1, Orphans::Cancel),
    (2, 2, Orphans::Cancel),
    (1, 1, Orphans::Finish),
    (2, 1, Orphans::Finish),
];

/// The work is done in a fold of some shape while a worker dies before some step; whether one did.
type Run = fn(usize, usize, Orphans, u64) -> Result<bool, String>;

/// The works, and how many of the shapes each is done in.
const SCENARIOS: [(&str, Run, usize); 8] = [
    ("everything", scenario::run, SHAPES.len()),
    ("constants", constants::run, 3),
    ("channels", channels::run, 3),
    ("locks", locks::run, 3),
    ("collectives", collectives::run, 3),
    ("routing", routing::run, 3),
    ("select", select::run, 3),
    ("broadcast", broadcast::run, 2),
];

fn main() -> ExitCode {
    let stride = match std::env::var("PINFOLD_CRASH_STRIDE") {
        Ok(text) => text.parse().expect("PINFOLD_CRASH_STRIDE is a number"),
        Err(_) => 23,
    };
    let only = std::env::var("PINFOLD_CRASH_SCENARIO").ok();
    let (progress, watched) = mpsc::channel::<String>();
    watch(watched);
    let mut points = Vec::new();
    let mut deaths = 0;
    for (scenario, run, shapes) in SCENARIOS {
        if only.as_ref().is_some_and(|only| only != scenario) {
            continue;
        }
        for (workers, threads, orphans) in SHAPES.into_iter().take(shapes) {
            let shape =
                format!("{scenario}, {workers} workers of {threads} threads, orphans: {orphans:?}");
            let mut step = 0;
            let mut untouched = 0;
            loop {
                let name = format!("{shape}, death at step {step}");
                let _ = progress.send(name.clone());
                match run(workers, threads, orphans, step) {
                    Ok(true) => {
                        deaths += 1;
                        untouched = 0;
                    }
                    // How far a worker comes is a matter of chance when there are several.
                    Ok(false) if untouched < 12 * (workers - 1) => untouched += 1,
                    Ok(false) => break,
                    Err(what) => {
                        println!("FAILED: {name}: {what}");
                        return ExitCode::FAILURE;
                    }
                }
                step += if step < DENSE { 1 } else { stride };
            }
            println!("{shape}: {step} steps");
            points.push(step);
        }
    }
    if points.is_empty() {
        println!("FAILED: there is no scenario {only:?}");
        return ExitCode::FAILURE;
    }
    println!(
        "{{\"points\":{},\"steps\":{points:?},\"stride\":{stride},\"deaths\":{deaths},\"failures\":0}}",
        points.iter().sum::<u64>()
    );
    ExitCode::SUCCESS
}

/// Ends the test when a run takes too long, and says which.
fn watch(watched: mpsc::Receiver<String>) {
    std::thread::spawn(move || {
        let mut running = String::new();
        loop {
            match watched.recv_timeout(PATIENCE) {
                Ok(next) => running = next,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    println!("FAILED: {running}: hangs");
                    std::process::exit(1);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}
