//! Broadcast channels: a worker dies while it subscribes, reads, sends, overwrites, and gives
//! subscriptions back.

use std::time::Duration;

use pinfold::broadcast::{Options, Publisher, RecvError, Subscriber};
use pinfold::channel::Overflow;
use pinfold::{Orphans, Runtime, Shared};

use crate::scenario::{self, Deaths, check};

/// No message takes as long.
const LONG: Duration = Duration::from_secs(50);
const COUNT: u64 = 12;

/// A number, and what takes the different ways: in the cell, in a block, held by others too.
type Item = (u64, Option<Shared>, Vec<u8>);

fn item(n: u64, held: &Shared) -> Item {
    let shared = (n % 3 == 1).then(|| held.clone());
    (n, shared, vec![n as u8; (n as usize % 4) * 60])
}

fn is_whole((n, shared, bytes): &Item) -> bool {
    shared
        .as_ref()
        .is_none_or(|shared| shared.iter().all(|byte| *byte == 9))
        && bytes.iter().all(|byte| *byte == *n as u8)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Sends on what it reads, to whom it has told that it is there.
fn echo((from, to): (Subscriber<Item>, Publisher<Item>)) -> Result<(), String> {
    let more = from.subscribe().map_err(text)?;
    for item in &from {
        check("an item is whole", is_whole(&item))?;
        to.send(item).map_err(text)?;
        let _ = more.try_recv();
    }
    Ok(())
}

/// Makes a channel, puts some into it and returns its subscriber, and one that stays behind.
fn make(count: u64) -> Result<(Subscriber<Item>, Publisher<Item>), String> {
    let unused = pinfold::broadcast_channel::<Item>(1).map_err(text)?;
    let publisher = pinfold::broadcast_channel::<Item>(8).map_err(text)?;
    let (first, other) = (
        publisher.subscribe().map_err(text)?,
        publisher.subscribe().map_err(text)?,
    );
    let mut held = pinfold::alloc(200).map_err(text)?;
    held.fill(9);
    let held = held.publish();
    for n in 0..count {
        publisher.send(item(n, &held)).map_err(text)?;
        let _ = other.try_recv();
    }
    Ok((first, unused))
}

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

fn work(rt: &Runtime, _: &mut Deaths) -> Result<(), String> {
    let mut held = rt.alloc(200).map_err(text)?;
    held.fill(9);
    let held = held.publish();
    for overflow in [Overflow::Block, Overflow::DropOldest] {
        there_and_back(rt, overflow, &held)?;
    }
    let made = rt.task(make).at_least_once().spawn(6).join();
    let (subscriber, unused) = made.map_err(|error| format!("made: {error}"))??;
    let numbers: Vec<u64> = subscriber
        .iter()
        .filter(is_whole)
        .map(|item| item.0)
        .collect();
    check("what a task has left", numbers == [0, 1, 2, 3, 4, 5])?;
    let keeps = |publisher: Publisher<Item>| publisher.subscribers();
    let kept = rt.task(keeps).at_least_once().spawn(unused);
    check("a publisher that a task has", kept.join() == Ok(0))
}

/// Messages go to a task and come back from it; its worker dies meanwhile. What it had read by then, and
/// not sent on, is lost: one at most.
fn there_and_back(rt: &Runtime, overflow: Overflow, held: &Shared) -> Result<(), String> {
    let options = Options::new(2).overflow(overflow);
    let there = rt.broadcast_channel_with::<Item>(options).map_err(text)?;
    let back = rt.broadcast_channel::<Item>(4).map_err(text)?;
    let (here, also) = (
        back.subscribe().map_err(text)?,
        there.subscribe().map_err(text)?,
    );
    let to_task = there.subscribe().map_err(text)?;
    let task = rt.task(echo).at_least_once().spawn((to_task, back));
    let (sent, seen, numbers) = std::thread::scope(|scope| {
        let sends = scope.spawn(|| {
            let sent = (0..COUNT).try_for_each(|n| there.send_timeout(item(n, held), LONG));
            there.close();
            sent.map_err(|error| error.fault)
        });
        let seen = scope.spawn(|| also.iter().filter(is_whole).map(|item| item.0).collect());
        let mut numbers = Vec::new();
        let ended = loop {
            match here.recv_timeout(LONG) {
                Ok(item) if is_whole(&item) => numbers.push(item.0),
                Ok(_) => break Err("a message is not what was sent".to_owned()),
                Err(RecvError::Disconnected) => break Ok(numbers),
                Err(error) => break Err(error.to_string()),
            }
        };
        let seen: Vec<u64> = seen.join().expect("no panic");
        (sends.join().expect("no panic"), seen, ended)
    });
    sent.map_err(|fault| format!("{overflow:?}: {fault}"))?;
    let numbers = numbers.map_err(|what| format!("{overflow:?}: {what}"))?;
    check(
        "each comes once, in order",
        numbers.is_sorted_by(|a, b| a < b),
    )?;
    check(
        "another sees them in order",
        seen.is_sorted_by(|a, b| a < b),
    )?;
    if overflow == Overflow::Block {
        check("another sees all", seen.len() as u64 == COUNT)?;
        check("one is lost at most", COUNT - numbers.len() as u64 <= 1)?;
    }
    check("the task ends", matches!(task.join(), Ok(Ok(()))))?;
    check("it has left", there.subscribers() == 1)
}
