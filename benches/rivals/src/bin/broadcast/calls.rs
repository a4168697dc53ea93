//! How many calls of the futex it takes to wake all that sleep: `strace` counts those of the sending
//! thread, in this program run once more.

use std::process::Command;

use pinfold::Runtime;
use pinfold_rivals::{Against, Bench, Question, Race};

use crate::to_sleepers;

const COUNTED: &str = "counted";

/// Whether this is such a run; then it is over now.
pub fn is_counted() -> bool {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, messages] = &words[..] else {
        return false;
    };
    if first != COUNTED {
        return false;
    }
    let rt = Runtime::builder().workers(64).start();
    let messages = messages.parse().expect("a number");
    to_sleepers(&rt.expect("pinfold starts"), 64, messages);
    true
}

/// Of the main thread, which sends so many messages.
fn calls(messages: usize) -> Result<f64, String> {
    let out = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let status = Command::new("strace")
        .args(["-e", "trace=futex", "-o"])
        .arg(out.path())
        .arg(me)
        .args([COUNTED, &messages.to_string()])
        .status()
        .map_err(|e| format!("strace cannot be started: {e}"))?;
    if !status.success() {
        return Err(format!("strace: {status}"));
    }
    let lines = std::fs::read_to_string(out.path()).map_err(|e| e.to_string())?;
    // Wakes alone: how often it waits for workers at its start and end depends on chance.
    let wakes = lines.lines().filter(|line| line.contains("FUTEX_WAKE"));
    Ok(wakes.count() as f64)
}

pub fn row(bench: &mut Bench) {
    let question = Question::lower(
        "broadcast.calls64",
        "calls of the futex by who sends to 64 who all sleep, each message",
        "calls",
    )
    .bar(Against::Value("one call", 1.0), 1.0)
    .note("as strace counts them, after the first messages");
    let mut race = Race::new([question]);
    let counted = || Ok::<f64, String>((calls(60)? - calls(10)?) / 50.0);
    race.ours("broadcast_channel, each in a worker", counted);
    bench.run(race, 1);
}
