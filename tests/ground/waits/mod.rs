//! Every wait ends, and nothing of the user's is called where it could stop others.
//!
//! Each case is a host program of its own: what hangs is killed, and has failed.

mod attendant;
mod closing;
mod everywhere;
mod limits;
mod threads;
mod wakes;

use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, Shutdown};

use crate::host::Host;
use crate::{Program, test};

/// No case takes so long, however busy the machine.
const LONG: Duration = Duration::from_secs(40);

pub fn tests() -> Vec<Trial> {
    let alone = programs()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("waits_host_"));
    let alone = alone.map(|(name, _)| {
        test(&format!("waits/{name}"), move || {
            Host::new(name).within(LONG).run().well();
        })
    });
    alone
        .chain(closing::tests())
        .chain(wakes::tests())
        .collect()
}

pub fn programs() -> Vec<Program> {
    [
        attendant::programs(),
        closing::programs(),
        everywhere::programs(),
        limits::programs(),
        threads::programs(),
        wakes::programs(),
    ]
    .concat()
}

/// Dropped only when all has ended, however long that takes.
fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Drain).start().expect("starts")
}

fn nap(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

fn endless(_: ()) -> u64 {
    loop {
        thread::park();
    }
}

fn add_one(n: u64) -> u64 {
    n + 1
}

/// Waits until `is` is true, or the host is killed.
fn until(mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < LONG, "it does not happen");
        thread::sleep(Duration::from_millis(1));
    }
}
