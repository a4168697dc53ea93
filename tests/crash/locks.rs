//! Locks between processes: a worker dies while it takes them, has them, and gives them back.

use std::time::Duration;

use pinfold::sync::{
    Barrier, CountDown, Latch, LockFault, Member, Mutex, OnceLock, RwLock, Semaphore, WaitFault,
    WaitGroup,
};
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

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    a_pair(rt, deaths)?;
    a_table(rt)?;
    counts_and_members(rt)?;
    meetings(rt)
}

/// Reads, writes, has a permit, and asks for a value that is made once.
fn visits((table, limit, seed): (Table, Semaphore, OnceLock<u64>)) -> Result<u64, LockFault> {
    let _permit = limit.acquire_timeout(LONG)?;
    let mend = |table: &mut [u64; 2]| table[1] = table[0];
    for _ in 0..2 {
        let is_whole = match table.read_timeout(LONG) {
            Ok(table) => table[0] == table[1],
            Err(error) => error.fault().is_none(),
        };
        assert!(is_whole, "whoever is not told sees what is whole");
        let mut table = table
            .write_timeout(LONG)
            .or_else(|error| error.mend(mend))?;
        assert_eq!(table[0], table[1]);
        table[0] += 1;
        let between = Mutex::new(pinfold::context(), 7_u8);
        table[1] += 1;
        drop(between);
    }
    seed.get_or_init(|| 41).map(|seed| seed + 1)
}

type Table = RwLock<[u64; 2]>;

fn a_table(rt: &Runtime) -> Result<(), String> {
    let table = RwLock::new(rt, [0; 2]).map_err(text)?;
    let limit = Semaphore::new(rt, 1).map_err(text)?;
    let seed = OnceLock::new(rt).map_err(text)?;
    let all = || (table.clone(), limit.clone(), seed.clone());
    let tasks: Vec<_> = (0..2)
        .map(|_| rt.task(visits).at_least_once().spawn(all()))
        .collect();
    check("here, too", visits(all()) == Ok(42))?;
    for task in tasks {
        check("a visit", task.join() == Ok(Ok(42)))?;
    }
    check("all permits are back", limit.available() == 1)?;
    check("made once", seed.get() == Some(&41))
}

fn counts((counts, member): (CountDown, Member)) -> bool {
    let is_counted = counts.count_down();
    drop(member);
    is_counted
}

fn counts_and_members(rt: &Runtime) -> Result<(), String> {
    let (latch, counter) = Latch::new(rt, 3).map_err(text)?;
    let (group, member) = WaitGroup::new(rt).map_err(text)?;
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let task = rt.task(counts).at_least_once();
            task.spawn((counter.clone(), member.clone()))
        })
        .collect();
    drop((counter, member));
    // One that is tried again counts twice, if it had counted before.
    check("all is counted", latch.wait_timeout(LONG).is_ok())?;
    let ended = group.wait_timeout(LONG);
    let is_allowed = matches!(ended, Ok(()) | Err(WaitFault::Died { .. }));
    check(&format!("all are done: {ended:?}"), is_allowed)?;
    for task in tasks {
        task.join().map_err(text)?;
    }
    Ok(())
}

fn meets(barrier: Barrier) -> Result<usize, WaitFault> {
    barrier.wait_timeout(LONG)?;
    Ok(barrier.number())
}

/// A member that is tried again comes; one that is not is named.
fn meetings(rt: &Runtime) -> Result<(), String> {
    for is_again in [true, false] {
        let mut members = Barrier::new(rt, 2).map_err(text)?;
        let other = members.pop().ok_or("two")?;
        let task = rt.task(meets);
        let task = if is_again { task.at_least_once() } else { task };
        let task = task.spawn(other);
        let here = members[0].wait_timeout(LONG);
        // It may have died when it had arrived: the next attempt has a round to go, alone.
        drop(members);
        let there = task.join();
        let is_allowed = match (&here, &there) {
            (Ok(()), Ok(Ok(1) | Err(WaitFault::Broken { member: 0, .. }))) => true,
            (Ok(()) | Err(WaitFault::Broken { member: 1, .. }), Err(_)) => !is_again,
            _ => false,
        };
        check(&format!("{is_again}: {here:?}, {there:?}"), is_allowed)?;
    }
    Ok(())
}

fn a_pair(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let pair = Mutex::new(rt, [0; 3]).map_err(text)?;
    let tasks: Vec<_> = (0..4)
        .map(|_| rt.task(adds).at_least_once().spawn(pair.clone()))
        .collect();
    for _ in 0..TIMES {
        let mut pair = pair
            .lock_timeout(LONG)
            .or_else(|error| error.mend(mend))
            .map_err(text)?;
        check("whoever is told mends", pair[0] == pair[1])?;
        pair[0] += 1;
        pair[1] += 1;
    }
    for task in tasks {
        let whole = task.join().map_err(text)?;
        check("nobody else is in between", whole == Ok(true))?;
    }
    let last = pair
        .lock_timeout(LONG)
        .or_else(|error| error.mend(mend))
        .map_err(text)?;
    check("it was mended", last[0] == last[1])?;
    let least = 5 * TIMES;
    // An attempt that died in between has added, and the next one adds again.
    check("each has added", last[0] >= least)?;
    check("and not more", last[0] <= least + TIMES * 2)?;
    let told = last[2];
    drop(last);
    check("one death is told once to each lock", told <= 1 + deaths.0)
}
