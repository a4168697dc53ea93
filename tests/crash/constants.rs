//! Constants: a worker dies while it decodes one for the first time, while tasks have it, while
//! it passes it on, and while it drops what nobody has any more.
//!
//! This is all that happens in the fold, so that each step of a worker is one of these.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pinfold::{Constant, Handle, Orphans, Runtime, Shared, TaskError};
use serde::{Deserialize, Deserializer, Serialize};

use crate::scenario::{self, Deaths, check};

/// How many of this process are not dropped yet.
static ALIVE: AtomicI64 = AtomicI64::new(0);

/// What the constants hold: numbers, and a buffer.
#[derive(Serialize)]
struct Table {
    numbers: Vec<u64>,
    shared: Shared,
}

#[derive(Deserialize)]
#[serde(rename = "Table")]
struct Plain {
    numbers: Vec<u64>,
    shared: Shared,
}

impl Table {
    fn new(first: u64, shared: Shared) -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Table {
            numbers: (first..first + 1000).collect(),
            shared,
        }
    }

    fn sum(&self) -> u64 {
        let bytes = self.shared.iter().map(|byte| u64::from(*byte));
        self.numbers.iter().sum::<u64>() + bytes.sum::<u64>()
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain { numbers, shared } = Plain::deserialize(deserializer)?;
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Table { numbers, shared })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

type Kept = Constant<Table>;

fn look((table, n): (Kept, u64)) -> u64 {
    table.sum() + n
}

/// Some that are the parent's, one that is looked at by a child, one that comes back from it.
fn pass(table: Kept) -> Result<u64, String> {
    let child = pinfold::spawn(look, (table.clone(), 1));
    let back = pinfold::spawn(|table: Kept| table, table.clone());
    let (child, back) = (child.join(), back.join());
    let told = |error: TaskError| match error {
        TaskError::WorkerDied { .. } => Ok(table.clone()),
        other => Err(other.to_string()),
    };
    let back = back.or_else(told)?;
    let child = child.or_else(|error| told(error).map(|table| table.sum() + 1))?;
    Ok(child + back.sum())
}

fn after((n, (table, other)): (u64, (Kept, u64))) -> u64 {
    table.sum() + other + n
}

fn alive(_: u64) -> i64 {
    ALIVE.load(Ordering::Relaxed)
}

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    for round in [1, 1000] {
        all_ways(rt, deaths, round)?;
        // Nobody has it: whoever has decoded it drops that when it next looks for work, and
        // here it does so while there is some.
        let lost =
            |alive: &Result<i64, TaskError>| matches!(alive, Err(TaskError::WorkerDied { .. }));
        let give_up = Instant::now() + Duration::from_secs(30);
        let is_left = || {
            let mut all = rt.task(alive).at_least_once().map(0..8);
            all.any(|alive| alive != Ok(0) && !lost(&alive))
        };
        while is_left() {
            check("what was decoded is dropped", Instant::now() < give_up)?;
        }
    }
    check(
        "the host's own are dropped",
        ALIVE.load(Ordering::Relaxed) == 0,
    )
}

/// A constant that is passed in all ways, and dropped while tasks have it.
fn all_ways(rt: &Runtime, deaths: &mut Deaths, first: u64) -> Result<(), String> {
    let mut buffer = rt.alloc(3000).map_err(|error| error.to_string())?;
    buffer.fill(1);
    let table = Table::new(first, buffer.publish());
    let sum = table.sum();
    let table = rt.constant(table).map_err(|error| error.to_string())?;
    let many: Vec<_> = (0..10)
        .map(|n| rt.task(look).at_least_once().spawn((table.clone(), n)))
        .collect();
    let once: Vec<Handle<u64>> = (0..5).map(|n| rt.spawn(look, (table.clone(), n))).collect();
    let back = rt
        .task(|table: Kept| table)
        .at_least_once()
        .spawn(table.clone());
    let number = rt.task(|n: u64| n).at_least_once().spawn(7);
    let waits = rt
        .task(after)
        .at_least_once()
        .spawn_after((&back, &number), 2);
    let passed = rt.task(pass).at_least_once().spawn(table.clone());
    let dropped = rt.task(look).at_least_once().spawn((table.clone(), 0));
    drop(dropped);
    drop(table);
    for (n, handle) in (0..).zip(many) {
        check("a sum of a constant", handle.join() == Ok(sum + n))?;
    }
    for (n, handle) in (0..).zip(once) {
        let value = deaths.once("at most once", handle)?;
        check("its value", value.is_none_or(|value| value == sum + n))?;
    }
    check("what waits for it", waits.join() == Ok(sum + 7 + 2))?;
    check("passed on", passed.join() == Ok(Ok(2 * sum + 1)))?;
    let back = back.join().map_err(|error| format!("back: {error}"))?;
    check("it comes back", back.sum() == sum)
}
