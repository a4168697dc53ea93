//! Locks between processes: a worker dies while it takes them, has them, and gives them back.

use std::time::Duration;

use pinfold::sync::{LockFault, Mutex};
use pinfold::{Orphans, Runtime};

use crate::scenario::{self, Deaths, check};

/// Nobody waits so long.
const LONG: Duration = Duration::from_secs(50);
/// Each task adds so often.
const TIMES: u64 = 3;

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

/// Two numbers that are the same when nobody is in between, and how often they were mended.
type Pair = Mutex<[u64; 3]>;

fn mend(pair: &mut [u64; 3]) {
    pair[1] = pair[0];
    pair[2] += 1;
}

/// Adds to both numbers, with steps in between at which it may die.
fn add(pair: &Pair) -> Result<bool, LockFault> {
    let mut pair = pair.lock_timeout(LONG).or_else(|error| error.mend(mend))?;
    let was_whole = pair[0] == pair[1];
    pair[0] += 1;
    let between = Mutex::new(pinfold::context(), 7_u8);
    pair[1] += 1;
    drop(between);
    Ok(was_whole)
}

fn adds(pair: Pair) -> Result<bool, LockFault> {
    (0..TIMES).try_fold(true, |whole, _| Ok(add(&pair)? && whole))
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let pair = Mutex::new(rt, [0; 3]).map_err(|error| text(&error))?;
    let tasks: Vec<_> = (0..4)
        .map(|_| rt.task(adds).at_least_once().spawn(pair.clone()))
        .collect();
    for _ in 0..TIMES {
        let mut pair = pair
            .lock_timeout(LONG)
            .or_else(|error| error.mend(mend))
            .map_err(|fault| text(&fault))?;
        check("whoever is told mends", pair[0] == pair[1])?;
        pair[0] += 1;
        pair[1] += 1;
    }
    for task in tasks {
        let whole = task.join().map_err(|error| text(&error))?;
        check("nobody else is in between", whole == Ok(true))?;
    }
    let last = pair
        .lock_timeout(LONG)
        .or_else(|error| error.mend(mend))
        .map_err(|fault| text(&fault))?;
    check("it was mended", last[0] == last[1])?;
    let least = 5 * TIMES;
    // An attempt that died in between has added, and the next one adds again.
    check("each has added", last[0] >= least)?;
    check("and not more", last[0] <= least + TIMES * 2)?;
    let told = last[2];
    drop(last);
    check("one death is told once to each lock", told <= 1 + deaths.0)
}
