//! A worker gone wild: it writes random bytes over everything that it can write.
//!
//! For each seed a fold is started, tasks are in flight, trees of nested ones among them, and
//! one of them scribbles: a task of the host, or one in the middle of a tree. In half of them shared
//! objects are in use, too, and some scribble just where these lie.
//! The host must live, every handle must end (results may be spoilt), and after that
//! the runtime must go on as if nothing had happened.
//!
//! `scripts/scribble --seeds N` runs many seeds; `cargo test` runs 200.

mod objects;
mod wild;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pinfold::{Handle, Runtime, Shutdown, TaskError};

use wild::{Rng, scribble};

pinfold::test_setup!();

/// No handle may take nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

fn square(n: u64) -> u64 {
    n * n
}

fn text(len: usize) -> String {
    "x".repeat(len)
}

fn share(len: usize) -> Result<pinfold::Shared, String> {
    let loan = pinfold::alloc(len).map_err(|error| error.to_string())?;
    let all = loan.publish();
    let range = all.slice(len / 3..).map_err(|error| error.to_string())?;
    Ok(if len.is_multiple_of(2) { all } else { range })
}

/// A tree of tasks with few and with many bytes of arguments and result, of which each sums up what is below it. What
/// comes back of a spoilt one may be anything, so it is not believed: not its length either.
fn tree((depth, ballast): (u32, Vec<u8>)) -> (u64, Vec<u8>) {
    if depth == 0 {
        return (1, ballast);
    }
    let children = [0, 60].map(|more| {
        let ballast = vec![7; ballast.len() / 2 + more];
        pinfold::spawn(tree, (depth - 1, ballast))
    });
    // One that nobody asks for.
    drop(pinfold::spawn(square, u64::from(depth)));
    let mut sum = 0_u64;
    for child in children {
        if let Ok((below, _)) = child.join() {
            sum = sum.wrapping_add(below);
        }
    }
    (sum, ballast)
}

/// The scribbler in the middle of a tree: its parent waits for it, and its children lie about.
fn wild_parent(seed: u64) -> u64 {
    let children: Vec<_> = (0..4)
        .map(|n| pinfold::spawn(tree, (3, vec![1; 20 * n])))
        .collect();
    let wild = pinfold::spawn(scribble, seed);
    let of_wild = wild.join().is_ok();
    let sums = children.into_iter().map(|child| child.join());
    let sums = sums.map(|outcome| outcome.map_or(0, |(sum, _)| sum));
    sums.fold(u64::from(of_wild), u64::wrapping_add)
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

fn main() -> ExitCode {
    let first = number("PINFOLD_SCRIBBLE_FIRST", 0);
    let seeds = number("PINFOLD_SCRIBBLE_SEEDS", 200);
    println!("seeds {first} to {}", first + seeds - 1);
    let (progress, watched) = mpsc::channel();
    watch(watched);
    let mut totals = BTreeMap::new();
    for seed in first..first + seeds {
        let _ = progress.send(seed);
        let mut count = |what: &'static str, n: u64| *totals.entry(what).or_insert(0u64) += n;
        if let Err(what) = run(seed, &mut count) {
            println!("FAILED: seed {seed}: {what}");
            return ExitCode::FAILURE;
        }
    }
    // Now and then that is so; more often it would be a wake that is lost.
    let stuck = totals.get("waits for what looks right").unwrap_or(&0);
    if *stuck > 2 + seeds / 100 {
        println!("FAILED: in {stuck} of {seeds} seeds somebody waited until the runtime ended");
        return ExitCode::FAILURE;
    }
    let totals: Vec<String> = totals
        .iter()
        .map(|(what, n)| format!("\"{what}\":{n}"))
        .collect();
    println!("{{\"seeds\":{seeds},{},\"failures\":0}}", totals.join(","));
    ExitCode::SUCCESS
}

/// Ends the test when a seed takes too long, and says which.
fn watch(watched: mpsc::Receiver<u64>) {
    std::thread::spawn(move || {
        let mut running = 0;
        loop {
            match watched.recv_timeout(PATIENCE) {
                Ok(seed) => running = seed,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    println!("FAILED: seed {running}: hangs");
                    std::process::exit(1);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}

fn run(seed: u64, count: &mut impl FnMut(&'static str, u64)) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let workers = 1 + rng.below(2) as usize;
    let rt = Runtime::builder()
        .workers(workers)
        .memory_cap(1 << 20)
        .queue_capacity(128)
        .on_drop(Shutdown::Abort)
        .start()
        .map_err(|error| error.to_string())?;
    let with_objects = rng.below(2) == 0;
    let objects = with_objects.then(|| objects::use_all(&rt, &mut rng));
    let kept = rt.alloc(1000).map(pinfold::Loan::publish).ok();
    let mut squares: Vec<Handle<u64>> = (0..rng.below(30)).map(|n| rt.spawn(square, n)).collect();
    let mut shared = Vec::new();
    for _ in 0..rng.below(4) {
        shared.push(rt.spawn(share, 1 + rng.below(60_000) as usize));
    }
    let mut trees: Vec<_> = (0..rng.below(4))
        .map(|n| rt.spawn(tree, (1 + n as u32, vec![3; rng.below(100) as usize])))
        .collect();
    // Now and then its parent is told to end while it scribbles, or its grace is over.
    let nested = rng.below(3) == 0;
    let (wild, wild_tree) = match nested {
        true => (None, Some(rt.spawn(wild_parent, seed))),
        false => (Some(rt.spawn(scribble, seed)), None),
    };
    if let Some(tree) = wild_tree.as_ref().filter(|_| rng.below(2) == 0) {
        tree.cancel_within(Duration::from_millis(rng.below(5)));
    }
    trees.extend((0..rng.below(3)).map(|n| rt.spawn(tree, (n as u32, Vec::new()))));
    let texts: Vec<Handle<String>> = (0..rng.below(10))
        .map(|_| rt.spawn(text, rng.below(5000) as usize))
        .collect();
    squares.extend((0..rng.below(40)).map(|n| rt.spawn(square, n)));

    if let Some(objects) = objects
        && objects.end(&rt, count)?
    {
        return Ok(()); // the runtime has ended, and everybody with it
    }
    // Everything ends; what it ends in is another matter.
    let mut end = |error: Option<TaskError>| match error {
        None => count("values", 1),
        Some(TaskError::Corrupted { .. }) => count("corrupted", 1),
        Some(TaskError::WorkerDied { .. }) => count("died", 1),
        Some(_) => count("other errors", 1),
    };
    wild.into_iter().for_each(|h| end(h.join().err()));
    wild_tree.into_iter().for_each(|h| end(h.join().err()));
    trees.into_iter().for_each(|h| end(h.join().err()));
    squares.into_iter().for_each(|h| end(h.join().err()));
    texts.into_iter().for_each(|h| end(h.join().err()));
    let mut held = Vec::new();
    for handle in shared {
        let outcome = handle.join();
        end(outcome.as_ref().err().cloned());
        held.extend(outcome.ok().and_then(Result::ok));
    }
    // Bytes that may have been written over, but are there.
    let sum: u64 = held
        .iter()
        .chain(&kept)
        .map(|s| s.iter().map(|b| u64::from(*b)).sum::<u64>())
        .sum();
    std::hint::black_box(sum);
    drop((held, kept));

    go_on(&rt, count)?;
    count("rebuilds", rt.stats().rebuilds);
    count("restarts", rt.stats().restarts);
    Ok(())
}

/// Damage that was not found at once may be found now; then all is well again.
fn go_on(rt: &Runtime, count: &mut impl FnMut(&'static str, u64)) -> Result<(), String> {
    let give_up = Instant::now() + PATIENCE / 2;
    let mut in_a_row = 0;
    while in_a_row < 300 {
        if rt.spawn(tree, (4, Vec::new())).join().map(|(sum, _)| sum) != Ok(16) {
            count("spoilt later", 1);
            in_a_row = 0;
        }
        let handles: Vec<_> = (0..100).map(|n| (n, rt.spawn(square, n))).collect();
        for (n, handle) in handles {
            if handle.join() == Ok(n * n) {
                in_a_row += 1;
            } else {
                count("spoilt later", 1);
                in_a_row = 0;
            }
        }
        if Instant::now() > give_up {
            return Err("does not go on".into());
        }
    }
    Ok(())
}
