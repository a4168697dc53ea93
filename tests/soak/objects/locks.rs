//! Rounds of locks, and of what is counted.

use std::time::Duration;

use pinfold::sync::{
    Barrier, CountDown, Latch, LockFault, Member, Mutex, OnceLock, RwLock, Semaphore, WaitFault,
    WaitGroup,
};

use super::{LONG, Stage, check, ended, text};
use crate::host::soon;

type Pair = Mutex<[u64; 2]>;
type Table = RwLock<[u64; 2]>;
type All = (Pair, Table, Semaphore, OnceLock<u64>);

fn mend(pair: &mut [u64; 2]) {
    pair[1] = pair[0];
}

/// Long enough for a kill now and then.
fn between(n: u64) {
    for _ in 0..n % 300 {
        std::hint::spin_loop();
    }
}

/// Adds to both numbers of each so often; nobody who is not told sees them differ.
fn adds(((pair, table, limit, seed), times): (All, u64)) -> Result<u64, String> {
    for n in 0..times {
        let permit = limit.acquire_timeout(LONG).map_err(text)?;
        let mut both = pair
            .lock_timeout(LONG)
            .or_else(|e| e.mend(mend))
            .map_err(text)?;
        check(both[0] == both[1], || {
            "the mutex's are half changed".to_owned()
        })?;
        both[0] += 1;
        between(n * 77);
        both[1] += 1;
        drop(both);
        let is_whole = match table.read_timeout(LONG) {
            Ok(table) => table[0] == table[1],
            Err(error) => match error.fault() {
                None => true,
                Some(fault) => return Err(format!("to read: {fault}")),
            },
        };
        check(is_whole, || "the table's are half changed".to_owned())?;
        let table = match n % 3 {
            0 => table.write_timeout(LONG),
            _ => table.try_write(),
        };
        match table.or_else(|e| e.mend(mend)) {
            Ok(mut table) => {
                check(table[0] == table[1], || {
                    "the table's are half written".to_owned()
                })?;
                table[0] += 1;
                between(n * 31);
                table[1] += 1;
            }
            Err(LockFault::Busy { .. }) => {}
            Err(error) => return Err(format!("to write: {error}")),
        }
        drop(permit);
        let value = seed.get_or_init(|| 41).map_err(text)?;
        check(*value == 41, || format!("it is {value}"))?;
    }
    Ok(times)
}

pub fn locks(stage: &mut Stage<'_>) -> Result<(), String> {
    let pair = Mutex::new(stage.rt, [0; 2]).map_err(text)?;
    let table = RwLock::new(stage.rt, [0; 2]).map_err(text)?;
    let permits = 1 + stage.rng.below(3) as usize;
    let limit = Semaphore::new(stage.rt, permits).map_err(text)?;
    let seed = OnceLock::new(stage.rt).map_err(text)?;
    let all = || (pair.clone(), table.clone(), limit.clone(), seed.clone());
    let times = stage.rng.below(200);
    let is_repeated = stage.rng.once_in(2);
    let tasks: Vec<_> = (0..1 + stage.rng.below(stage.executors.min(4)))
        .map(|_| stage.spawn(adds, (all(), times), is_repeated))
        .collect();
    let mut least = adds((all(), times))?;
    for task in tasks {
        least += ended(task, is_repeated)?.unwrap_or(0);
    }
    let last = pair
        .lock_timeout(LONG)
        .or_else(|e| e.mend(mend))
        .map_err(text)?;
    check(last[0] == last[1] && last[0] >= least, || {
        format!("{last:?}, of {least} at least")
    })?;
    check(soon(|| limit.available() == permits), || {
        format!("{} of {permits} permits are back", limit.available())
    })
}

fn counts((counts, member, at): (CountDown, Member, Option<Barrier>)) -> Result<(), String> {
    counts.count_down();
    drop(member);
    let Some(at) = at else {
        return Ok(());
    };
    for _ in 0..20 {
        match at.wait_timeout(LONG) {
            Ok(()) => {}
            Err(WaitFault::Broken { .. }) => return Ok(()),
            Err(error) => return Err(format!("at the barrier: {error}")),
        }
    }
    Ok(())
}

pub fn counts_down(stage: &mut Stage<'_>) -> Result<(), String> {
    let tasks = 1 + stage.rng.below(stage.executors.min(4)) as usize;
    let is_repeated = stage.rng.once_in(2);
    let what = format!("{tasks} tasks, repeated: {is_repeated}");
    let context = |error: String| format!("{error}; {what}");
    let (latch, counter) = Latch::new(stage.rt, tasks).map_err(text)?;
    let (group, member) = WaitGroup::new(stage.rt).map_err(text)?;
    let meets = stage.rng.once_in(2);
    let mut barriers = match meets {
        true => Barrier::new(stage.rt, tasks + 1).map_err(text)?,
        false => Vec::new(),
    };
    let own = barriers.pop();
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let args = (counter.clone(), member.clone(), barriers.pop());
            stage.spawn(counts, args, is_repeated)
        })
        .collect();
    drop((counter, member));
    if let Some(own) = &own {
        for _ in 0..20 {
            match own.wait_timeout(LONG) {
                Ok(()) => std::thread::sleep(Duration::from_micros(stage.rng.below(300))),
                Err(WaitFault::Broken { .. }) => break,
                Err(error) => return Err(context(format!("the host, at the barrier: {error}"))),
            }
        }
    }
    drop(own);
    let (counted, done) = (latch.wait_timeout(LONG), group.wait_timeout(LONG));
    let mut died = 0;
    for handle in handles {
        died += u64::from(ended(handle, is_repeated).map_err(context)?.is_none());
    }
    let is_allowed = match &counted {
        Ok(()) => true,
        Err(WaitFault::Abandoned { .. } | WaitFault::Died { .. }) => died > 0,
        Err(_) => false,
    };
    check(is_allowed, || context(format!("the latch: {counted:?}")))?;
    let is_allowed = matches!(done, Ok(()) | Err(WaitFault::Died { .. }));
    check(is_allowed, || context(format!("the wait group: {done:?}")))
}
