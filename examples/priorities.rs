//! What is urgent goes first, and nothing is left alone for ever.
//!
//! A worker is busy while tasks of all levels are submitted, the lowest first: it then
//! runs them by level, and those of a level in their order. After that, a background
//! task behind a thousand urgent ones has its turn long before they are all done.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pinfold::Priority;

/// How many tasks this worker has run: a static of its process.
static RUN: AtomicU32 = AtomicU32::new(0);

fn nap(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Says how many tasks were run before it.
fn place((): ()) -> u32 {
    RUN.fetch_add(1, Ordering::Relaxed)
}

fn busy((): ()) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(100) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(1).start()?;

    let busy_for_now = rt.spawn(nap, 100);
    let mut handles = Vec::new();
    for level in 0..4 {
        let task = rt.task(place).priority(Priority::from_level(level)?);
        handles.extend((1..=3).map(|n| (level, n, task.spawn(()))));
    }
    busy_for_now.join()?;
    let mut order = Vec::new();
    for (level, n, handle) in handles {
        order.push((handle.join()?, Priority::from_level(level)?, n));
    }
    order.sort_unstable();
    for (place, level, n) in order {
        println!("{place:2}: {level:?} {n}");
    }

    let urgent = rt.task(busy).priority(Priority::Urgent);
    let load: Vec<_> = (0..1000).map(|_| urgent.spawn(())).collect();
    let behind = rt.task(busy).priority(Priority::Background).spawn(());
    behind.join()?;
    let waiting = load.iter().filter(|task| !task.is_finished()).count();
    println!("the background task is done; {waiting} of 1000 urgent ones are not");
    for task in load {
        task.join()?;
    }

    println!("{}", Priority::from_level(4).unwrap_err());
    Ok(())
}
