//! Callbacks when there are no threads, or very many that never return; and subscribers that
//! are slow, or stuck.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pinfold::{Runtime, Shutdown, TaskError};

use super::closing::block_on;
use super::{add_one, nap, runtime};
use crate::Program;

pub fn programs() -> Vec<Program> {
    vec![
        ("callbacks_without_threads", without_threads),
        ("callbacks_that_never_return", never_return),
        ("on_complete_of_a_value_that_panics", panics_in_decoding),
        ("a_subscriber_that_is_stuck", stuck_subscriber),
        ("a_subscriber_that_is_slow", slow_subscriber),
    ]
}

/// This process' address space, in bytes.
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("it is there");
    let pages = pages.split(' ').next().and_then(|pages| pages.parse().ok());
    4096 * pages.unwrap_or(u64::MAX / 4096)
}

fn limit(bytes: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_AS).expect("there is one");
    setrlimit(Resource::RLIMIT_AS, bytes.min(most), most).expect("it is lower");
}

fn cpu() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let used = getrusage(UsageWho::RUSAGE_SELF).expect("it is known");
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros((1_000_000 * time.tv_sec() + time.tv_usec()) as u64)
    };
    of(used.user_time()) + of(used.system_time())
}

/// No stack fits into the address space that is left.
fn without_threads(_: &[String]) {
    let rt = runtime(2);
    limit(address_space() + (1 << 20));
    // Stacks of threads that have ended are used again.
    while thread::Builder::new().spawn(thread::park).is_ok() {}
    let (tell, told) = mpsc::channel();
    for n in 0..20 {
        let task = rt.spawn(nap, n % 3);
        let tell = tell.clone();
        task.on_complete(move |outcome| drop(tell.send(outcome)))
            .expect("set");
    }
    for _ in 0..20 {
        told.recv().expect("each is called").expect("a value");
    }
    assert_eq!(block_on(rt.spawn(nap, 50)), Ok(50));
    let large = rt.spawn(|ms: u64| vec![nap(ms) as u8; 1000], 50);
    let after = rt.spawn_after(&large, |((), v): ((), Vec<u8>)| v.len(), ());
    assert_eq!(block_on(after), Ok(1000));

    // One that does not return has the only thread: the others wait, and nothing spins.
    let (go_on, wait) = mpsc::channel::<()>();
    let stuck = rt.spawn(add_one, 1);
    stuck
        .on_complete(move |_| {
            let _ = wait.recv();
        })
        .expect("set");
    let task = rt.spawn(add_one, 2);
    let (tell, told) = mpsc::channel();
    task.on_complete(move |outcome| drop(tell.send(outcome)))
        .expect("set");
    let before = cpu();
    thread::sleep(Duration::from_secs(1));
    assert!(cpu() - before < Duration::from_millis(500), "it spins");
    // Until there is a thread to be had.
    limit(u64::MAX);
    assert_eq!(told.recv().expect("called"), Ok(3));
    drop(go_on);
}

/// More than any fixed number of threads would serve; as many threads are needed.
fn never_return(_: &[String]) {
    let rt = runtime(1);
    let stuck = std::env::args()
        .nth(3)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1200);
    for n in 0..stuck {
        let task = rt.spawn(add_one, n);
        task.on_complete(|_| {
            loop {
                thread::park();
            }
        })
        .expect("set");
    }
    let (tell, told) = mpsc::channel();
    let task = rt.spawn(add_one, 1);
    task.on_complete(move |outcome| drop(tell.send(outcome)))
        .expect("set");
    assert_eq!(told.recv().expect("called"), Ok(2));
    // And everything else goes on.
    let large = rt.spawn(|ms: u64| vec![nap(ms) as u8; 1000], 10);
    let after = rt.spawn_after(&large, |((), v): ((), Vec<u8>)| v.len(), ());
    assert_eq!(block_on(after), Ok(1000));
}

#[derive(Debug, serde::Serialize)]
struct Undecodable(u64);

impl<'de> serde::Deserialize<'de> for Undecodable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("not this one");
    }
}

fn panics_in_decoding(_: &[String]) {
    let rt = runtime(1);
    let (tell, told) = mpsc::channel();
    let task = rt.spawn(|n: u64| Undecodable(n), 1);
    task.on_complete(move |outcome| drop(tell.send(outcome)))
        .expect("set");
    match told.recv().expect("it is called") {
        Err(TaskError::Result { message, .. }) => {
            assert!(message.contains("not this one"), "{message}")
        }
        other => panic!("{other:?}"),
    }
}

/// A subscriber that does this with each event.
struct Subscriber(fn());

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        (self.0)();
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn logs(events: u64) {
    for n in 0..events {
        tracing::info!(n, "an event");
    }
}

/// It never returns, from the first event on. Tasks, deaths and shutdown do not notice.
fn stuck_subscriber(_: &[String]) {
    let stuck = Subscriber(|| {
        loop {
            thread::park();
        }
    });
    tracing::subscriber::set_global_default(stuck).expect("the first");
    for _ in 0..2 {
        let rt = Runtime::builder().workers(2).start().expect("starts");
        rt.spawn(logs, 100).join().expect("a value");
        assert!(
            rt.spawn(|_: ()| -> () { std::process::abort() }, ())
                .join()
                .is_err()
        );
        assert_eq!(rt.spawn(add_one, 1).join(), Ok(2));
        rt.shutdown(Shutdown::Drain).expect("drained");
    }
}

/// All its events would take 100 s.
fn slow_subscriber(_: &[String]) {
    let slow = Subscriber(|| thread::sleep(Duration::from_millis(10)));
    tracing::subscriber::set_global_default(slow).expect("the first");
    let rt = Runtime::builder().workers(1).start().expect("starts");
    rt.spawn(logs, 10_000).join().expect("a value");
    rt.shutdown(Shutdown::Drain).expect("drained");
}
