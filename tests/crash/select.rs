//! Selects: a worker dies while it looks at several channels, announces itself at all of them, sleeps, has
//! chosen, and sends where there is room; the host selects at the other ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, RecvError, Select, SendFault, Sender};
use pinfold::{Orphans, Runtime};

use crate::scenario::{self, Deaths, check};

/// No message takes as long.
const LONG: Duration = Duration::from_secs(50);
const COUNT: u64 = 8;

/// A number, and bytes: some are in a block.
type Parcel = (u64, Vec<u8>);

fn parcel(n: u64) -> Parcel {
    (n, vec![n as u8; (n as usize % 3) * 150])
}

fn is_whole((n, bytes): &Parcel) -> bool {
    bytes.iter().all(|byte| *byte == *n as u8)
}

/// Sends it where there is room first: into which of these.
fn send_to_any(all: &[Sender<Parcel>], mut parcel: Parcel) -> Result<usize, String> {
    let give_up = Instant::now() + LONG;
    let mut select = Select::new();
    for to in all {
        select.send(to);
    }
    loop {
        let chosen = select.wait_timeout(LONG);
        let chosen = chosen.map_err(|error| format!("to send: {error}"))?;
        let index = chosen.index();
        let error = match chosen.send(&all[index], parcel) {
            Ok(()) => return Ok(index),
            Err(error) => error,
        };
        // Into one of capacity 0, when who waited has left: or has died.
        let is_left = error.fault == SendFault::Full && Instant::now() < give_up;
        check(&format!("a selected send: {error}"), is_left)?;
        parcel = error
            .into_value()
            .ok_or("what is not sent does not come back")?;
    }
}

/// Sends on what comes by any of these.
fn mixes((all, to): (Vec<Receiver<Parcel>>, Sender<Parcel>)) -> Result<(), String> {
    let to = [to];
    let mut left = all.len();
    let mut select = Select::new();
    for from in &all {
        select.recv(from);
    }
    select.every(LONG);
    while left > 0 {
        let chosen = select.wait_timeout(LONG);
        let chosen = chosen.map_err(|error| format!("to receive: {error}"))?;
        let index = chosen.index();
        check("no time has passed", index < all.len())?;
        match chosen.recv(&all[index]) {
            Ok(parcel) => {
                check("a selected message", is_whole(&parcel))?;
                send_to_any(&to, parcel)?;
            }
            Err(RecvError::Disconnected) => {
                select.remove(index);
                left -= 1;
            }
            Err(error) => return Err(format!("selected: {error}")),
        }
    }
    Ok(())
}

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

fn work(rt: &Runtime, _: &mut Deaths) -> Result<(), String> {
    for capacities in [[0, 0], [0, 2], [1, 4]] {
        there_and_back(rt, capacities).map_err(|what| format!("{what}; {capacities:?}"))?;
    }
    Ok(())
}

fn there_and_back(rt: &Runtime, capacities: [usize; 2]) -> Result<(), String> {
    let channel = |capacity| {
        rt.channel::<Parcel>(capacity)
            .map_err(|error| error.to_string())
    };
    let ends = [channel(capacities[0])?, channel(capacities[1])?];
    let (there, to_task): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let (to_host, here) = channel(capacities[0])?;
    let task = rt.task(mixes).at_least_once().spawn((to_task, to_host));
    let (sent, came) = std::thread::scope(|scope| {
        let sends = scope.spawn(move || {
            let sent = (0..COUNT).map(|n| send_to_any(&there, parcel(n)));
            sent.collect::<Result<Vec<usize>, String>>()
        });
        let came = takes_all(rt, &here, &task);
        (sends.join().expect("no panic"), came)
    });
    let (sent, came) = (sent?, came?);
    let seen: BTreeSet<u64> = came.iter().copied().collect();
    check("none comes twice", seen.len() == came.len())?;
    check("they were sent", seen.iter().all(|n| *n < COUNT))?;
    for channel in 0..2 {
        let of_it = came.iter().filter(|n| sent[**n as usize] == channel);
        check("in the order of each channel", of_it.is_sorted())?;
    }
    let lost = COUNT - seen.len() as u64;
    check("one is lost at most", lost <= 1)?;
    let give_up = Instant::now() + LONG;
    while lost > 0 && rt.stats().restarts == 0 {
        check("it was lost by a death", Instant::now() < give_up)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    match task.join() {
        Ok(told) => told,
        Err(error) => Err(format!("the task: {error}")),
    }
}

/// Until nobody sends any more, and the task has ended.
fn takes_all(
    rt: &Runtime,
    here: &Receiver<Parcel>,
    task: &pinfold::Handle<Result<(), String>>,
) -> Result<Vec<u64>, String> {
    let mut all = Vec::new();
    let mut select = Select::new();
    let message = select.recv(here);
    select.handle(task);
    let mut left = 2;
    while left > 0 {
        let chosen = select.wait_timeout(LONG);
        let chosen = chosen.map_err(|error| format!("here: {error}, {:?}", rt.stats().waits))?;
        if chosen.index() != message {
            chosen.remove();
            left -= 1;
            continue;
        }
        match chosen.recv(here) {
            Ok(parcel) => {
                check("a message that comes back", is_whole(&parcel))?;
                all.push(parcel.0);
            }
            Err(RecvError::Disconnected) => {
                select.remove(message);
                left -= 1;
            }
            Err(error) => return Err(format!("here: {error}")),
        }
    }
    Ok(all)
}
