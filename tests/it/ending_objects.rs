//! Every wait for a shared object ends when its runtime does, however that ends, whether the thread sleeps or is just about
//! to.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use pinfold::channel::{Options, Select};
use pinfold::sync::{Barrier, Latch, Mutex, RwLock, Semaphore, Ticker, WaitGroup};
use pinfold::{Runtime, Shutdown};

use crate::asynchronous::block_on;

const LONG: Duration = Duration::from_secs(60);

/// A wait that nobody ends but the runtime; whether it said that something is gone.
type Wait = Box<dyn FnOnce() -> Result<(), String> + Send>;

fn wait<T, E: std::fmt::Display>(wait: impl FnOnce() -> Result<T, E> + Send + 'static) -> Wait {
    Box::new(move || match wait() {
        Ok(_) => Err("it has ended well".into()),
        Err(error) if error.to_string().contains("gone") => Ok(()),
        Err(error) => Err(error.to_string()),
    })
}

/// Whoever has taken it has it for ever: a thread that has ended without giving it back.
fn leaked(take: impl FnOnce() + Send + 'static) {
    std::thread::spawn(take).join().expect("no panic");
}

fn of_channels(rt: &Runtime, all: &mut BTreeMap<&'static str, Wait>) {
    let (sender, receiver) = rt.channel::<u64>(1).expect("room");
    let (to_full, of_full) = rt.channel::<u64>(1).expect("room");
    to_full.send(1).expect("room");
    let ends = (sender.clone(), receiver.clone());
    all.insert("recv", wait(move || (ends.1.recv(), ends.0).0));
    let ends = (sender.clone(), receiver.clone());
    all.insert(
        "recv async",
        wait(move || (block_on(ends.1.recv_async()), ends.0).0),
    );
    let ends = (to_full.clone(), of_full.clone());
    all.insert("send", wait(move || (ends.0.send(2), ends.1).0));
    let ends = (to_full.clone(), of_full.clone());
    all.insert(
        "send async",
        wait(move || (block_on(ends.0.send_async(2)), ends.1).0),
    );
    all.insert(
        "select",
        wait(move || {
            let mut select = Select::new();
            let room = select.send(&to_full);
            select.recv(&receiver);
            let chosen = select.wait().map_err(text)?;
            // It is chosen because it has ended.
            let told = match chosen.index() == room {
                true => chosen.send(&to_full, 3).map_err(text),
                false => chosen.recv(&receiver).map(drop).map_err(text),
            };
            (told, sender.clone(), of_full.clone()).0
        }),
    );
    let ends = rt.channel::<u64>(0).expect("room");
    all.insert("hand over", wait(move || (ends.0.send(2), ends.1).0));
    let ends = rt
        .channel_with::<Vec<u8>>(Options::new(9).bytes(100))
        .expect("room");
    ends.0.send(vec![0; 60]).expect("room");
    all.insert(
        "send bytes",
        wait(move || (ends.0.send(vec![0; 60]), ends.1).0),
    );
    let ends = rt.acked_channel::<u64>(Options::new(1)).expect("room");
    all.insert("recv acknowledged", wait(move || (ends.1.recv(), ends.0).0));
    let (router, receivers) = rt.router::<u64>(2, 1).expect("room");
    (0..2).for_each(|number| router.route(number, 1).expect("room"));
    let ends = (router.clone(), receivers.clone());
    all.insert("balance", wait(move || (ends.0.balance(3), ends.1).0));
    all.insert(
        "by key",
        wait(move || (router.send_by_key("key", 3), receivers).0),
    );
    let publisher = rt.broadcast_channel::<u64>(2).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    all.insert("hear", wait(move || (subscriber.recv(), publisher).0));
    let publisher = rt.broadcast_channel::<u64>(2).expect("room");
    let subscriber = publisher.subscribe().expect("room");
    (0..2).for_each(|n| publisher.send(n).expect("room"));
    all.insert("publish", wait(move || (publisher.send(3), subscriber).0));
}

fn of_others(rt: &Runtime, all: &mut BTreeMap<&'static str, Wait>) {
    for (name, shrinks) in [("meet", false), ("shrink", true)] {
        let mut members = rt.collective(2).expect("room");
        let meet = wait(move || match shrinks {
            true => members[0].shrink(),
            false => members[0].barrier(),
        });
        all.insert(name, meet);
    }
    let mutex = Mutex::new(rt, 0_u64).expect("room");
    let held = mutex.clone();
    leaked(move || std::mem::forget(held.lock().expect("free")));
    all.insert("lock", wait(move || mutex.lock().map(drop).map_err(text)));
    let table = RwLock::new(rt, 0_u64).expect("room");
    let (held, read) = (table.clone(), table.clone());
    leaked(move || std::mem::forget(held.write().expect("free")));
    all.insert("read", wait(move || read.read().map(drop).map_err(text)));
    all.insert("write", wait(move || table.write().map(drop).map_err(text)));
    let permits = Semaphore::new(rt, 1).expect("room");
    std::mem::forget(permits.acquire().expect("free"));
    all.insert("permit", wait(move || permits.acquire()));
    let latch = Latch::new(rt, 1).expect("room");
    all.insert("latch", wait(move || (latch.0.wait(), latch.1).0));
    let group = WaitGroup::new(rt).expect("room");
    all.insert("wait group", wait(move || (group.0.wait(), group.1).0));
    let barrier = Barrier::new(rt, 2).expect("room");
    all.insert("barrier", wait(move || barrier[0].wait()));
    let ticker = Ticker::new(rt, Duration::from_secs(86_400)).expect("room");
    all.insert("tick", wait(move || ticker.wait()));
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[test]
fn every_wait_ends_with_its_runtime() {
    for round in 0..6 {
        let builder = Runtime::builder().workers(1).memory_cap(64 << 20);
        let rt = builder.on_drop(Shutdown::Abort).start().expect("starts");
        let mut all = BTreeMap::new();
        of_channels(&rt, &mut all);
        of_others(&rt, &mut all);
        let count = all.len();
        let (tell, told) = mpsc::channel();
        for (name, wait) in all {
            let tell = tell.clone();
            std::thread::spawn(move || tell.send((name, wait())));
        }
        // Once they sleep, nearly all of them, and once whatever they do.
        while round % 2 == 0 && rt.stats().waits.len() < count - 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        match round / 2 {
            0 => rt.shutdown(Shutdown::Abort).expect("as asked"),
            1 => rt.shutdown(Shutdown::Drain).expect("nothing runs"),
            _ => drop(rt),
        }
        let mut ended = Vec::new();
        for _ in 0..count {
            let (name, how) = told.recv_timeout(LONG).unwrap_or_else(|_| {
                panic!("round {round}: of {count} only these have ended: {ended:?}")
            });
            assert_eq!(how, Ok(()), "{name}");
            ended.push(name);
        }
    }
}
