//! Routers: a worker dies while it receives from one, while it sends through one, and while it hands
//! on what another receiver has left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, Router};
use pinfold::{Orphans, Runtime};

use crate::scenario::{self, Deaths, check};

/// No message takes as long.
const LONG: Duration = Duration::from_secs(50);
const COUNT: u64 = 12;
/// Ends a receiver.
const END: u64 = u64::MAX;

type Parcel = (u64, Vec<u8>);

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

/// Some are short, some in a block.
fn parcel(n: u64) -> Parcel {
    (n, vec![n as u8; (n as usize % 4) * 100])
}

/// Takes all until it is told to end: which they were.
fn take(parcels: Receiver<Parcel>) -> Vec<u64> {
    let numbers = parcels.iter().map(|(n, bytes)| {
        assert!(bytes.iter().all(|byte| *byte == n as u8));
        n
    });
    numbers.take_while(|n| *n != END).collect()
}

/// Sends some, by key and otherwise; hands on what is left by others.
fn send(router: Router<Parcel>) -> u64 {
    let send = |n| match n % 2 {
        0 => router.send_by_key(&n, parcel(n)),
        _ => router.balance(parcel(n)),
    };
    let sent = (100..100 + COUNT).take_while(|n| send(*n).is_ok());
    sent.count() as u64
}

fn work(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    a_receiver_in_a_worker(rt, deaths)?;
    a_sender_in_a_worker(rt, deaths)
}

fn a_receiver_in_a_worker(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let (router, mut receivers) = rt.router(2, 4).map_err(|error| error.to_string())?;
    let own = receivers.remove(1);
    let there = rt.spawn(take, receivers.remove(0));
    let (there, here) = std::thread::scope(|scope| {
        let here = scope.spawn(move || take(own));
        let sent = (0..COUNT).try_for_each(|n| router.send_by_key(&n, parcel(n)));
        // The task may be gone: then it is told so.
        let _ = router.route(0, (END, Vec::new()));
        let there = deaths.once("a receiver", there);
        let give_up = Instant::now() + LONG;
        while router.living() != [1] && Instant::now() < give_up {
            std::thread::yield_now();
        }
        let handed_on = router.hand_on();
        let _ = router.route(1, (END, Vec::new()));
        drop(router);
        let here = here.join().expect("no panic");
        let sent = sent.and(handed_on).map_err(|error| error.to_string());
        sent.and_then(|_| Ok((there?, here)))
    })?;
    let seen: BTreeSet<u64> = here.iter().copied().collect();
    check("none comes twice", seen.len() == here.len())?;
    check(
        "they were sent",
        seen.iter().all(|n| *n < COUNT || *n == END),
    )?;
    let Some(there) = there else {
        return Ok(()); // what it had taken is gone with it
    };
    let all = seen.into_iter().chain(there).collect::<BTreeSet<u64>>();
    let all = all.into_iter().filter(|n| *n != END);
    check("all come, if nobody dies", all.eq(0..COUNT))
}

fn a_sender_in_a_worker(rt: &Runtime, deaths: &mut Deaths) -> Result<(), String> {
    let (router, mut receivers) = rt.router(2, 64).map_err(|error| error.to_string())?;
    for n in 0..COUNT {
        let sent = router.route(0, parcel(n));
        sent.map_err(|error| error.to_string())?;
    }
    drop(receivers.remove(0));
    let own = receivers.remove(0);
    let sent = deaths.once("a sender", rt.spawn(send, router.clone()))?;
    let handed_on = router.hand_on();
    handed_on.map_err(|error| error.to_string())?;
    drop(router);
    let here = take(own);
    let seen: BTreeSet<u64> = here.iter().copied().collect();
    check("none comes twice", seen.len() == here.len())?;
    let left = seen.range(..COUNT).count() as u64;
    match sent {
        Some(sent) => check("all come", sent == COUNT && seen.len() as u64 == 2 * COUNT),
        None => check("one is lost over it at most", left >= COUNT - 1),
    }
}
