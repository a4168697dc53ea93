//! Channels: a worker dies while it sends, receives, and passes ends on, while it has the last of them,
//! and while it gives them back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pinfold::channel::{Delivery, Options, Receiver, RecvError, SendFault, Sender};
use pinfold::{Handle, Loan, Orphans, Runtime, Shared};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scenario::{self, Deaths, check};

/// No message takes as long.
const LONG: Duration = Duration::from_secs(50);

/// A number, and what takes the different ways: in the cell, alone in its block, held by others too.
type Parcel = (u64, Option<Loan>, Option<Shared>, Vec<u8>);

fn parcel(n: u64, loan: impl Fn(usize) -> Loan, held: &Shared) -> Parcel {
    let buffer = (n % 3 == 1).then(|| {
        let mut loan = loan(600);
        loan.fill(n as u8);
        loan
    });
    let shared = (n % 4 == 2).then(|| held.clone());
    (n, buffer, shared, vec![n as u8; (n as usize % 5) * 60])
}

fn is_whole((n, loan, shared, bytes): &Parcel) -> bool {
    loan.as_ref()
        .is_none_or(|loan| loan.iter().all(|byte| *byte == *n as u8))
        && shared
            .as_ref()
            .is_none_or(|shared| shared.iter().all(|byte| *byte == 9))
        && bytes.iter().all(|byte| *byte == *n as u8)
}

/// Sends on what it receives.
fn echo((from, to): (Receiver<Parcel>, Sender<Parcel>)) {
    for parcel in &from {
        assert!(is_whole(&parcel));
        if to.send(parcel).is_err() {
            return;
        }
    }
}

/// What has no header in its cell.
type Plain = [u64; 3];

/// Sends on what it receives.
fn echo_plain((from, to): (Receiver<Plain>, Sender<Plain>)) {
    for message in &from {
        if to.send(message).is_err() {
            return;
        }
    }
}

/// Makes a channel, puts some into it, and returns its receiver, with one end of another that
/// nobody uses, and one that stays behind.
fn make(count: u64) -> Result<(Receiver<Parcel>, Sender<u8>), String> {
    let (sender, receiver) = pinfold::channel(8).map_err(|error| error.to_string())?;
    let (unused, other) = pinfold::channel(1).map_err(|error| error.to_string())?;
    let alloc = |len| pinfold::alloc(len).expect("room");
    let mut held = alloc(200);
    held.fill(9);
    let held = held.publish();
    for n in 0..count {
        let sent = sender.send(parcel(n, alloc, &held));
        sent.map_err(|error| error.to_string())?;
    }
    let _ = other.try_recv();
    Ok((receiver, unused))
}

/// Both ends of a channel, and a sender of another that it drops as soon as it has passed one on to a child.
type Own = (Sender<u64>, Receiver<u64>, Sender<u8>);

/// Its ends are its own: it hears that it has dropped the last sender.
fn own_ends((sender, receiver, seen): Own) -> Result<u64, String> {
    let child = pinfold::spawn(|to: Sender<u64>| to.send(2).is_ok(), sender.clone());
    drop(seen);
    sender.send(1).map_err(|error| error.to_string())?;
    drop(sender);
    // Its worker may die.
    let _ = child.join();
    let mut sum = 0;
    loop {
        match receiver.recv_timeout(LONG) {
            Ok(number) => sum += number,
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(sum)
}

/// A number, a buffer that the message keeps, and bytes that may need a block.
type Job = (u64, Option<Shared>, Vec<u8>);

/// Says which jobs it had, in messages that weigh something, and acknowledges them; some are given
/// back the first time.
fn deal((jobs, done): (Receiver<Delivery<Job>>, Sender<Vec<u8>>)) {
    for job in &jobs {
        let (number, held, bytes) = &*job;
        assert!(bytes.iter().all(|byte| *byte == *number as u8));
        assert!(held.iter().all(|held| held.iter().all(|byte| *byte == 9)));
        if job.attempt() == 1 && number % 3 == 1 {
            continue;
        }
        if done.send(vec![*number as u8; 90]).is_err() {
            return;
        }
        job.ack();
    }
}

/// Jobs are acknowledged: whatever the worker dies over, each is done, and one twice at most.
fn acknowledged(rt: &Runtime, capacity: usize, held: &Shared) -> Result<(), String> {
    const COUNT: u64 = 6;
    let options = match capacity {
        0 => Options::new(0),
        _ => Options::new(capacity).bytes(700),
    };
    let (there, jobs) = rt
        .acked_channel::<Job>(options)
        .map_err(|e| e.to_string())?;
    let (done, dones) = rt
        .channel_with::<Vec<u8>>(Options::new(4).bytes(200))
        .map_err(|e| e.to_string())?;
    let task = rt.task(deal).at_least_once().spawn((jobs, done));
    let (sent, seen) = std::thread::scope(|scope| {
        let sends = scope.spawn(move || {
            (0..COUNT).try_for_each(|n| {
                let held = (n % 2 == 1).then(|| held.clone());
                let job = (n, held, vec![n as u8; (n as usize % 4) * 100]);
                there.send_timeout(job, LONG).map_err(|error| error.fault)
            })
        });
        let mut seen: BTreeMap<u8, u32> = BTreeMap::new();
        let ended = loop {
            match dones.recv_timeout(LONG) {
                Ok(number) => *seen.entry(number[0]).or_default() += 1,
                Err(RecvError::Disconnected) => break Ok(seen),
                Err(error) => break Err(error.to_string()),
            }
        };
        (sends.join().expect("no panic"), ended)
    });
    sent.map_err(|fault| format!("acknowledged, capacity {capacity}: {fault}"))?;
    let seen = seen.map_err(|what| format!("acknowledged, capacity {capacity}: {what}"))?;
    check("each job is done", seen.len() as u64 == COUNT)?;
    let times: u32 = seen.values().sum();
    check("one is done twice at most", u64::from(times) <= COUNT + 1)?;
    check("the task that deals ends", task.join().is_ok())
}

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

/// A task that is run once has the ends that it was given, and nobody else has them.
fn handed_over(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let failed = |error: pinfold::AllocError| error.to_string();
    let (sender, receiver) = rt.channel(4).map_err(failed)?;
    let (seen, sees) = rt.channel::<u8>(1).map_err(failed)?;
    let watches = receiver.clone();
    let task = rt.spawn(own_ends, (sender, receiver, seen));
    let gone = sees.recv_timeout(LONG) == Err(RecvError::Disconnected);
    check("an end that a task has dropped is gone", gone)?;
    match deaths.once("own ends", task)? {
        // The child's message goes with its worker.
        Some(sum) => check(
            "what a task sends to itself",
            sum? == 3 || rt.stats().restarts > 0,
        )?,
        None => {
            let left = (0..3).find_map(|_| watches.recv_timeout(LONG).err());
            let is_over = left == Some(RecvError::Disconnected);
            check("nothing is left of its ends", is_over)?;
        }
    }
    Ok(())
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    handed_over(rt, deaths)?;
    let alloc = |len| rt.alloc(len).expect("room");
    let mut held = alloc(200);
    held.fill(9);
    let held = held.publish();
    for capacity in [0, 1, 4] {
        let number = |parcel: &Parcel| is_whole(parcel).then_some(parcel.0);
        let start = |ends| rt.task(echo).at_least_once().spawn(ends);
        there_and_back(rt, capacity, &|n| parcel(n, alloc, &held), number, start)?;
    }
    for capacity in [1, 4] {
        let number = |[a, b, c]: &Plain| (*b == a * 3 && *c == !a).then_some(*a);
        let start = |ends| rt.task(echo_plain).at_least_once().spawn(ends);
        there_and_back(rt, capacity, &|n| [n, n * 3, !n], number, start)?;
    }
    for capacity in [0, 2] {
        acknowledged(rt, capacity, &held)?;
    }
    let made = rt.task(make).at_least_once().spawn(6).join();
    let (receiver, _unused) = made.map_err(|error| format!("made: {error}"))??;
    let numbers: Vec<u64> = receiver
        .iter()
        .filter(is_whole)
        .map(|parcel| parcel.0)
        .collect();
    check(
        "what a task has left in a channel",
        numbers == [0, 1, 2, 3, 4, 5],
    )?;
    // An end in a message, and messages that nobody takes.
    let (sender, receiver) = rt.channel(2).map_err(|error| error.to_string())?;
    let (inner, inner_receiver) = rt.channel(2).map_err(|error| error.to_string())?;
    inner
        .send(parcel(1, alloc, &held))
        .map_err(|error| error.to_string())?;
    sender
        .send((inner, inner_receiver))
        .map_err(|error| error.to_string())?;
    let keeps = |ends: Receiver<(Sender<Parcel>, Receiver<Parcel>)>| ends.len();
    let kept = rt.task(keeps).at_least_once().spawn(receiver);
    check("an end that a task has", kept.join() == Ok(1))?;
    check("it was the last", sender.is_disconnected())
}

/// Messages go to a task and come back from it; its worker dies meanwhile, and loses one at most.
/// `number` says which one it is, if it is as it was sent.
fn there_and_back<T>(
    rt: &Runtime,
    capacity: usize,
    make: &(dyn Fn(u64) -> T + Sync),
    number: impl Fn(&T) -> Option<u64>,
    start: impl FnOnce((Receiver<T>, Sender<T>)) -> Handle<()>,
) -> Result<(), String>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    const COUNT: u64 = 8;
    let channel = || rt.channel::<T>(capacity).map_err(|error| error.to_string());
    let ((there, to_task), (to_host, here)) = (channel()?, channel()?);
    let task = start((to_task, to_host));
    let (sent, back) = std::thread::scope(|scope| {
        let sends = scope.spawn(move || {
            (0..COUNT).try_for_each(|n| {
                there
                    .send_timeout(make(n), LONG)
                    .map_err(|error| error.fault)
            })
        });
        let mut back = Vec::new();
        let ended = loop {
            match here.recv_timeout(LONG) {
                Ok(message) => match number(&message) {
                    Some(number) => back.push(number),
                    None => break Err("a message is not what was sent".to_owned()),
                },
                Err(RecvError::Disconnected) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        let sent: Result<(), SendFault> = sends.join().expect("no panic");
        (sent, ended.map(|()| back))
    });
    sent.map_err(|fault| format!("capacity {capacity}: {fault}"))?;
    let back = back.map_err(|what| format!("capacity {capacity}: {what}"))?;
    check("each comes once, in order", back.is_sorted_by(|a, b| a < b))?;
    let lost = COUNT - back.len() as u64;
    check("one is lost at most", lost <= 1)?;
    let give_up = Instant::now() + LONG;
    while lost > 0 && rt.stats().restarts == 0 {
        check("it was lost by a death", Instant::now() < give_up)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    check("the task ends", task.join().is_ok())
}
