//! How many system calls: `strace` counts those of this program, run once more.
//!
//! The same run with no round at all is taken off, so that only the rounds count.

use std::process::Command;
use std::sync::atomic::Ordering;

use pinfold::bench_internals::barrier;
use pinfold_rivals::duo::{Patience, Peer, SharedMemory};
use pinfold_rivals::{Against, Bench, Question, Race};

use crate::asleep::{Signal, bare_pair, bell_pair, wake};

const COUNTED: &str = "counted";

/// Whether this is such a run; then it is over now.
pub fn is_counted() -> bool {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, what, rounds] = &words[..] else {
        return false;
    };
    if first != COUNTED {
        return false;
    }
    let rounds = rounds.parse().expect("a number");
    match what.as_str() {
        "floor-asleep" => drop(wake(rounds, bare_pair())),
        "asleep" => drop(wake(rounds, bell_pair())),
        "floor-awake" => awake(rounds, bare_pair().0),
        "awake" => awake(rounds, bell_pair().0),
        _ => panic!("{what}"),
    }
    true
}

/// One process notifies the other, which never sleeps: it spins on an answer's word until
/// the number that `wait` looks for has come.
fn awake(rounds: u64, signal: impl Signal) {
    let memory = SharedMemory::new(4096);
    let (ping, pong) = (memory.word(0), memory.word(128));
    let spin_until = |word: &std::sync::atomic::AtomicU64, number| {
        let mut patience = Patience::default();
        // ordering: Acquire pairs with the Release of the other side.
        while word.load(Ordering::Acquire) != number {
            patience.spin();
        }
    };
    let peer = Peer::fork(|| {
        barrier::register();
        for number in 1..=rounds {
            spin_until(ping, number);
            signal.wait(number);
            // ordering: Release pairs with the Acquire in `spin_until`.
            pong.store(number, Ordering::Release);
        }
    });
    for number in 1..=rounds {
        signal.notify(number);
        // ordering: as above.
        ping.store(number, Ordering::Release);
        spin_until(pong, number);
    }
    peer.join();
}

/// Rounds that are not counted: a bell's first sleep passes a barrier, later ones do not
/// while it does nothing but sleep.
const FIRST: u64 = 8;

/// System calls for each notify and wait, after the first ones.
fn counted(what: &str, rounds: u64) -> Result<f64, String> {
    let calls = |rounds: u64| {
        let out = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
        let me = std::env::current_exe().map_err(|e| e.to_string())?;
        let status = Command::new("strace")
            .args(["-f", "-c", "-o"])
            .arg(out.path())
            .arg(me)
            .args([COUNTED, what, &rounds.to_string()])
            .status()
            .map_err(|e| format!("strace cannot be started: {e}"))?;
        if !status.success() {
            return Err(format!("strace: {status}"));
        }
        total(&std::fs::read_to_string(out.path()).map_err(|e| e.to_string())?)
    };
    let (first, all) = (calls(FIRST)?, calls(FIRST + rounds)?);
    Ok((all - first) / rounds as f64)
}

/// Only those calls that the rounds make; others depend on chance.
fn total(table: &str) -> Result<f64, String> {
    const OF_ROUNDS: [&str; 2] = ["futex", "membarrier"];
    let mut sum = 0.0;
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let (Some(name), Some(calls)) = (words.last(), words.get(3))
            && OF_ROUNDS.contains(name)
        {
            sum += calls.parse::<f64>().map_err(|e| format!("{line}: {e}"))?;
        }
    }
    Ok(sum)
}

pub fn rows(bench: &mut Bench) {
    let question = Question::lower(
        "roundtrip.calls_asleep",
        "system calls for each notify and wait, the peer has slept 1 ms",
        "calls",
    )
    .bar(Against::Value("two calls", 2.0), 1.0)
    .note("futex and membarrier, as strace counts them, after the first 8 rounds");
    let mut race = Race::new([question]);
    race.floor("bare futex", || counted("floor-asleep", 300));
    race.ours("notify::Doorbell", || counted("asleep", 300));
    bench.run(race, 1);

    let question = Question::higher(
        "roundtrip.no_calls_awake",
        "share of notify and wait that need no system call, the peer is awake",
        "share",
    )
    .bar(Against::Value("all of them", 1.0), 1.0)
    .note("1 - calls for each; futex and membarrier, as strace counts them");
    let mut race = Race::new([question]);
    race.floor("bare futex", || {
        counted("floor-awake", 500).map(|c| 1.0 - c)
    });
    race.ours("notify::Doorbell", || {
        counted("awake", 500).map(|c| 1.0 - c)
    });
    bench.run(race, 1);
}
