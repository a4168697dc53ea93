//! Who sends to many that sleep makes one call of the futex at most for each message, and wakes them all.

use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use pinfold::Runtime;
use pinfold::broadcast::Subscriber;
use pinfold::channel::Sender;

use super::LONG;
use crate::host::Host;
use crate::{Program, test};

const SUBSCRIBERS: usize = 24;

pub fn programs() -> Vec<Program> {
    vec![("waits_host_wakes", wakes)]
}

pub fn tests() -> Vec<Trial> {
    vec![test("waits/one_call_wakes_all_subscribers", || {
        let (Some(none), Some(all)) = (calls(0), calls(20)) else {
            println!("not tested: there is no strace, or it may not trace");
            return;
        };
        // What comes before and after has a few more or less each time.
        assert!(
            all <= none + 20 + 4,
            "{all} calls for 20 messages, {none} for none"
        );
    })]
}

/// How often the main thread of `wakes` wakes somebody by the futex.
fn calls(messages: usize) -> Option<usize> {
    let scratch = tempfile::tempdir().expect("a directory");
    let (out, me) = (scratch.path().join("calls"), std::env::current_exe());
    std::process::Command::new("strace")
        .arg("-V")
        .output()
        .ok()?;
    let words = ["-e", "trace=futex", "-o"];
    let host = words.into_iter().fold(Host::of("strace"), Host::arg);
    let host = host.arg(out.display()).arg(me.expect("a path").display());
    let host = host.arg("host").arg("waits_host_wakes").arg(messages);
    let ended = host.within(LONG).run();
    if ended.stderr.contains("Operation not permitted") {
        return None;
    }
    ended.well();
    let lines = std::fs::read_to_string(out).expect("strace has written it");
    Some(
        lines
            .lines()
            .filter(|line| line.contains("FUTEX_WAKE"))
            .count(),
    )
}

fn hears((numbers, ready): (Subscriber<u64>, Sender<()>)) -> u64 {
    ready.send(()).expect("the host");
    numbers.iter().sum()
}

/// Sends so many messages; all subscribers sleep, as far as a pause can see to it, before each.
fn wakes(words: &[String]) {
    let messages = words.first().and_then(|word| word.parse().ok());
    let messages: u64 = messages.expect("a number");
    let builder = Runtime::builder().workers(2);
    let rt = builder.threads_per_worker(SUBSCRIBERS / 2).start();
    let rt = rt.expect("starts");
    let numbers = rt.broadcast_channel(64).expect("room");
    let (ready, are_ready) = rt.channel(SUBSCRIBERS).expect("room");
    let tasks: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| rt.spawn(hears, (numbers.subscribe().expect("a seat"), ready.clone())))
        .collect();
    for _ in &tasks {
        are_ready.recv().expect("they live");
    }
    for number in 0..messages {
        thread::sleep(Duration::from_millis(10));
        numbers.send(number).expect("room");
    }
    drop(numbers);
    for task in tasks {
        assert_eq!(task.join().expect("it lives"), (0..messages).sum::<u64>());
    }
}
