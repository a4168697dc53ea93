//! The runtime is called from every place at which the user's code is called: nothing of it is
//! called inside a lock, or on a thread that must not wait.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use pinfold::{Limit, Memo, Retry, Runtime, Shutdown};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::closing::block_on;
use super::{add_one, nap, until};
use crate::Program;

pub fn programs() -> Vec<Program> {
    vec![
        ("the_runtime_is_called_from_everywhere", everywhere),
        ("a_task_is_spawned_from_everywhere_in_a_worker", in_a_worker),
    ]
}

static RT: OnceLock<Runtime> = OnceLock::new();
static SEEN: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
/// Only then is the runtime called.
static IS_ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// What is called calls the runtime, and not itself again.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Calls all of the runtime, at a place of the user's code in the host.
fn call_all(place: &'static str) {
    let Some(rt) = RT.get().filter(|_| IS_ON.load(Ordering::SeqCst)) else {
        return;
    };
    if IS_INSIDE.replace(true) {
        return;
    }
    assert_eq!(rt.spawn(add_one, 1).join(), Ok(2));
    let first = rt.spawn(add_one, 1);
    let after = rt.spawn_after(&first, |((), n): ((), u64)| n, ());
    let long = rt.task(|(v, n): (Vec<u8>, u64)| n + v.len() as u64);
    let long = long.spawn_after(&first, vec![1; 1000]);
    assert_eq!((after.join(), long.join()), (Ok(2), Ok(1002)));
    let tried = rt.try_spawn(add_one, 1).map(|handle| handle.join());
    assert!(tried.is_ok(), "{tried:?}");
    let _ = rt.spawn(nap, 1).cancel();
    let _ = rt.spawn(nap, 1).canceller().cancel();
    let mut set = pinfold::JoinSet::new();
    set.spawn(rt, add_one, 1);
    assert_eq!(set.join_next(), Some((0, Ok(2))));
    let ended = pinfold::as_completed([rt.spawn(add_one, 1)]);
    assert_eq!(ended.count(), 1);
    drop(rt.try_reserve().map(|permit| permit.spawn(add_one, 1)));
    assert_eq!(block_on(block_on(rt.spawn_async(add_one, 1))), Ok(2));
    drop(rt.spawn(nap, 1).abort_on_drop());
    drop(rt.alloc(100_000));
    assert!(rt.stats().tasks.submitted > 0);
    drop((rt.profile(), rt.audit()));
    rt.trim_memory();
    assert_eq!(rt.map(add_one, 0..10).filter(Result::is_ok).count(), 10);
    assert!(rt.scope(|scope| drop(scope.spawn(add_one, 1))).is_ok());
    SEEN.lock().expect("no panic").insert(place);
    IS_INSIDE.set(false);
}

/// Calls the runtime of the host wherever it is encoded, decoded or dropped there.
#[derive(Debug)]
struct Calls(u64);

fn is_host() -> bool {
    RT.get().is_some()
}

impl Serialize for Calls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if is_host() {
            call_all("Serialize");
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if is_host() {
            call_all("Deserialize");
        }
        u64::deserialize(deserializer).map(Calls)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if is_host() {
            call_all("Drop of a value");
        }
    }
}

/// Calls the runtime when it is dropped.
struct Held(&'static str);

impl Drop for Held {
    fn drop(&mut self) {
        call_all(self.0);
    }
}

struct Subscriber;

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let of_workers = event.metadata().target() == "pinfold::worker";
        let is_damage = event
            .metadata()
            .module_path()
            .is_some_and(|path| path.contains("inspect"));
        call_all(match (of_workers, is_damage) {
            (true, _) => "event of a worker",
            (_, true) => "event of damage",
            _ => "event",
        });
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Wakes(&'static str);

impl Wakes {
    fn waker(place: &'static str) -> Waker {
        Arc::new(Wakes(place)).into()
    }
}

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        call_all(self.0);
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        call_all("Drop of a waker");
    }
}

fn logs(n: u64) -> u64 {
    tracing::info!(n, "an event");
    n
}

/// Overwrites the head of the shared memory, and dies.
fn scribbles(_: ()) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it is there");
    let of_segment = |line: &&str| line.contains("memfd:pinfold") && line.contains("rw-s");
    let line = maps.lines().find(of_segment).expect("it is mapped");
    let begin = line.split('-').next().expect("an address");
    let begin = usize::from_str_radix(begin, 16).expect("a number");
    let mut memory = std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")
        .expect("own");
    std::io::Seek::seek(&mut memory, std::io::SeekFrom::Start(begin as u64)).expect("there");
    memory.write_all(&[0xAA; 200]).expect("writable");
    std::process::abort();
}

fn everywhere(_: &[String]) {
    tracing::subscriber::set_global_default(Subscriber).expect("the first");
    let builder = Runtime::builder()
        .workers(2)
        .profile(true)
        .memory_cap(64 << 20);
    let _ = RT.set(builder.start().expect("starts"));
    let rt = RT.get().expect("it was set");
    IS_ON.store(true, Ordering::SeqCst);

    // Values: encoded and dropped when they are sent, decoded when they come back.
    let pass = |calls: Calls| Calls(calls.0 + 1);
    assert_eq!(rt.spawn(pass, Calls(1)).join().expect("a value").0, 2);
    let memo = Memo::new(10);
    let limit = Limit::new(100);
    let task = rt.task(pass).named("it").limited(&limit, 1).memoized(&memo);
    for _ in 0..3 {
        assert_eq!(task.spawn(Calls(1)).join().expect("a value").0, 2);
    }
    assert_eq!(
        rt.task(pass)
            .try_spawn(Calls(1))
            .expect("room")
            .join()
            .expect("a value")
            .0,
        2
    );
    // With a buffer among them they are put behind the arguments in the host.
    let buffer = rt.alloc(10).expect("memory").publish();
    let first = rt.spawn(pass, Calls(1));
    let after = |((calls, buffer), more): ((Calls, pinfold::Shared), Calls)| {
        Calls(calls.0 + more.0 + buffer.len() as u64)
    };
    let after = rt.spawn_after(&first, after, (Calls(5), buffer.clone()));
    assert_eq!(after.join().expect("a value").0, 17);
    // And dropped there, if it comes to nothing.
    let fails = rt.spawn(|_: ()| -> u64 { panic!("on purpose") }, ());
    let never = rt.spawn_after(
        &fails,
        |((c, _), n): ((Calls, pinfold::Shared), u64)| c.0 + n,
        (Calls(1), buffer),
    );
    assert!(never.join().is_err());

    // Callbacks, and what they hold.
    let held = Held("Drop of what a callback holds");
    let task = rt.spawn(pass, Calls(1));
    task.on_complete(move |value| {
        let _ = (&held, value);
        call_all("on_complete");
    })
    .expect("set");
    let failing = rt.spawn(|_: ()| -> u64 { panic!("on purpose") }, ());
    failing.on_error(|_| call_all("on_error")).expect("set");
    let says = |_: ()| {
        for n in 0..20 {
            let _ = pinfold::context().report_progress(f64::from(n) / 20.0, "on");
            nap(10);
        }
    };
    let held = Held("Drop of what on_progress holds");
    let saying = rt.spawn(says, ());
    saying
        .on_progress(move |_| {
            let _ = &held;
            call_all("on_progress");
        })
        .expect("set");
    let panicking = rt.spawn(add_one, 1);
    panicking
        .on_complete(|_| std::panic::panic_any(Held("Drop of a panic's payload")))
        .expect("set");

    // Wakers and judges.
    let mut polled = rt.spawn(nap, 50);
    let poll_by = |polled: &mut (dyn Future<Output = _> + Unpin), place| {
        let waker = Wakes::waker(place);
        let mut context = Context::from_waker(&waker);
        Pin::new(polled).poll(&mut context).is_pending()
    };
    let is_pending = poll_by(&mut polled, "waker");
    let mut set: pinfold::JoinSet<u64> = [rt.spawn(nap, 50)].into_iter().collect();
    let polled_set = set.poll_join_next(&mut Context::from_waker(&Wakes::waker("another waker")));
    let polled_set = polled_set.is_pending()
        && set
            .poll_join_next(&mut Context::from_waker(&Wakes::waker("waker of a set")))
            .is_pending();
    let one = Limit::new(1);
    let narrow = rt.task(nap).limited(&one, 1);
    let holds = narrow.spawn(50);
    let mut in_line = narrow.spawn_async(1);
    let polled_line = Pin::new(&mut in_line)
        .poll(&mut Context::from_waker(&Wakes::waker("waker of a line")))
        .is_pending();
    let stream = rt.map_stream(add_one, (0..20).inspect(|_| call_all("source of a stream")));
    let mut stream = std::pin::pin!(stream);
    let next =
        std::future::poll_fn(|context| futures_core::Stream::poll_next(stream.as_mut(), context));
    assert_eq!(block_on(next), Some(Ok(1)));
    assert!(is_pending || block_on(rt.spawn(nap, 1)).is_ok());
    let judged = rt
        .task(pass)
        .retry(Retry::fixed(2, Duration::ZERO))
        .retry_if(|_| {
            call_all("judge");
            true
        });
    assert_eq!(judged.spawn(Calls(1)).join().expect("a value").0, 2);

    // Sources, and what hears of items.
    let source = || (0..20).inspect(|_| call_all("source"));
    assert_eq!(rt.map(add_one, source()).filter(Result::is_ok).count(), 20);
    let task = rt.task(add_one).limited(&limit, 1);
    assert_eq!(task.map_unordered(source()).count(), 20);
    assert_eq!(rt.task(add_one).chunked().map(source()).count(), 20);
    assert_eq!(
        rt.task(add_one).reduce(source(), |(a, b)| a + b),
        Ok(Some(210))
    );
    assert_eq!(
        rt.task(add_one)
            .execute_all(source(), |_, _| call_all("progress of all"))
            .len(),
        20
    );
    let calls = rt.map(pass, (0..20).map(Calls));
    assert_eq!(calls.filter(Result::is_ok).count(), 20);
    let sum = rt
        .task(|c: Calls| c)
        .reduce((0..20).map(Calls), |(a, b)| Calls(a.0 + b.0));
    assert_eq!(sum.expect("a value").expect("items").0, 190);
    assert!(
        rt.scope(|scope| (call_all("scope"), drop(scope.spawn(pass, Calls(1)))))
            .is_ok()
    );

    // Events: of workers, of deaths, of damage.
    assert_eq!(rt.spawn(logs, 1).join(), Ok(1));
    assert!(
        rt.spawn(|_: ()| -> () { std::process::abort() }, ())
            .join()
            .is_err()
    );
    until(|| SEEN.lock().expect("no panic").contains("event"));
    until(|| !polled_set || SEEN.lock().expect("no panic").contains("waker of a set"));
    until(|| !polled_line || SEEN.lock().expect("no panic").contains("waker of a line"));
    drop((task, failing, saying, polled, set, holds, in_line));
    until(|| rt.stats().tasks.in_flight == 0);
    let everything = [
        "Deserialize",
        "Drop of a value",
        "Drop of a waker",
        "Drop of what a callback holds",
        "Drop of what on_progress holds",
        "Serialize",
        "event",
        "event of a worker",
        "judge",
        "on_complete",
        "on_error",
        "on_progress",
        "progress of all",
        "scope",
        "source",
        "source of a stream",
    ];
    until(|| {
        everything
            .iter()
            .all(|place| SEEN.lock().expect("no panic").contains(place))
    });
    until(|| !is_pending || SEEN.lock().expect("no panic").contains("waker"));
    // What was called meanwhile may end by it.
    IS_ON.store(false, Ordering::SeqCst);
    nap(100);
    damage(rt);
    rt.shutdown(Shutdown::Drain).expect("drained");
}

/// The subscriber looks at a runtime whose memory is damaged.
fn damage(rt: &Runtime) {
    IS_ON.store(true, Ordering::SeqCst);
    assert!(rt.spawn(scribbles, ()).join().is_err());
    until(|| SEEN.lock().expect("no panic").contains("event of damage"));
    assert_eq!(rt.stats().rebuilds, 1);
    IS_ON.store(false, Ordering::SeqCst);
}

/// Spawns from a worker, wherever the user's code is called there.
fn spawn_and_join() -> bool {
    if IS_INSIDE.replace(true) {
        return true;
    }
    let child = pinfold::spawn(add_one, 1);
    let is_well = child.join() == Ok(2);
    drop((pinfold::spawn(add_one, 1), pinfold::alloc(1000)));
    let _ = pinfold::context().is_cancelled();
    IS_INSIDE.set(false);
    is_well
}

#[derive(Debug)]
struct InWorker(u64);

impl Serialize for InWorker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_well = is_in_host() || spawn_and_join();
        (self.0 + u64::from(!is_well) * 1000).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for InWorker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_well = is_in_host() || spawn_and_join();
        u64::deserialize(deserializer).map(|n| InWorker(n + u64::from(!is_well) * 1000))
    }
}

impl Drop for InWorker {
    fn drop(&mut self) {
        let _ = is_in_host() || spawn_and_join();
    }
}

static IN_HOST: AtomicBool = AtomicBool::new(false);

fn is_in_host() -> bool {
    IN_HOST.load(Ordering::SeqCst)
}

fn in_a_worker(_: &[String]) {
    IN_HOST.store(true, Ordering::SeqCst);
    let rt = super::runtime(2);
    for n in 0..50 {
        let value = rt.spawn(|value: InWorker| InWorker(value.0 + 1), InWorker(n));
        assert_eq!(value.join().expect("a value").0, n + 1);
    }
    let combine = |(a, b): (InWorker, InWorker)| InWorker(a.0 + b.0 + u64::from(!spawn_and_join()));
    let sum = rt
        .task(|n: InWorker| InWorker(n.0))
        .reduce((0..50).map(InWorker), combine);
    assert_eq!(sum.expect("a value").expect("items").0, 1225);
    let nested = |n: u64| {
        let child = pinfold::spawn(|value: InWorker| InWorker(value.0 + 1), InWorker(n));
        child
            .join()
            .map(|value| value.0)
            .map_err(|error| error.to_string())
    };
    assert_eq!(rt.spawn(nested, 7).join(), Ok(Ok(8)));
    let panics = |_: ()| -> u64 { std::panic::panic_any(InWorkerPayload(InWorker(1))) };
    assert!(rt.spawn(panics, ()).join().is_err());
    assert_eq!(rt.audit().orphans, [""; 0]);
}

struct InWorkerPayload(#[allow(dead_code, reason = "dropped by whoever catches it")] InWorker);
