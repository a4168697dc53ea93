//! What a running fold tells of itself.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pinfold::{Activity, Runtime, Shutdown, Stats};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::api::{endless, runtime};

const SOON: Duration = Duration::from_secs(60);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < give_up, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An event as the host's subscriber gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    level: Level,
    target: String,
    fields: BTreeMap<String, String>,
}

impl Seen {
    fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields
            .insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().into(), value.into());
    }
}

/// Keeps the events that come from workers, and takes them only while it is open.
#[derive(Clone, Default)]
struct Capture(Arc<(Mutex<Captured>, Condvar)>);

#[derive(Default)]
struct Captured {
    events: Vec<Seen>,
    is_closed: bool,
}

impl Capture {
    fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
    }

    fn open(&self) {
        self.0.0.lock().unwrap().is_closed = false;
        self.0.1.notify_all();
    }

    fn events(&self) -> Vec<Seen> {
        self.0.0.lock().unwrap().events.clone()
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "pinfold::worker" {
            return;
        }
        let mut seen = Seen {
            level: *event.metadata().level(),
            target: event.metadata().target().into(),
            fields: BTreeMap::new(),
        };
        event.record(&mut seen);
        let (captured, opened) = &*self.0;
        let captured = captured.lock().unwrap();
        let mut captured = opened.wait_while(captured, |c| c.is_closed).unwrap();
        captured.events.push(seen);
    }
}

/// A runtime whose workers log to the capture, up to `level`.
fn logging(level: LevelFilter, spares: usize) -> (Runtime, Capture) {
    let capture = Capture::default();
    let subscriber = tracing_subscriber::registry()
        .with(level)
        .with(capture.clone());
    let rt = tracing::subscriber::with_default(subscriber, || {
        let builder = Runtime::builder().workers(2).pin(false).spares(spares);
        builder.start().expect("starts")
    });
    (rt, capture)
}

fn logs(n: u32) -> (u32, bool, bool) {
    let span = tracing::info_span!("outer", n);
    let _outer = span.enter();
    let hidden = tracing::trace_span!("hidden");
    let _hidden = hidden.enter();
    tracing::info_span!("inner", kind = "small").in_scope(|| {
        tracing::warn!(n, name = "a b", size = ?Some(3), "item {n} is {}", "odd");
    });
    tracing::error!("second");
    tracing::debug!("unwanted");
    let is_current = tracing::Span::current().metadata().map(|m| m.name()) == Some("outer");
    (
        std::process::id(),
        tracing::enabled!(Level::DEBUG),
        is_current,
    )
}

#[test]
fn what_a_task_logs_arrives_in_the_host() {
    let (rt, capture) = logging(LevelFilter::INFO, 0);
    let (pid, debug_is_on, span_is_current) = rt.spawn(logs, 7).join().expect("runs");
    assert!(!debug_is_on, "what the host does not want is not even made");
    assert!(span_is_current);
    let workers = rt.stats().workers;
    let worker = workers.iter().position(|w| w.pid as u32 == pid);
    drop(rt); // passes on what is under way
    let events = capture.events();
    let [warning, error] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((warning.level, error.level), (Level::WARN, Level::ERROR));
    assert_eq!(warning.get("message"), "item 7 is odd");
    assert_eq!(warning.get("fields"), r#"n=7 name="a b" size=Some(3)"#);
    assert_eq!(warning.get("spans"), r#"outer{n=7}:inner{kind="small"}"#);
    assert_eq!(warning.get("target"), module_path!());
    assert_eq!(warning.get("task"), format!("{}::logs", module_path!()));
    let worker = worker.expect("one of them").to_string();
    assert_eq!(warning.get("worker"), worker);
    assert_eq!(error.get("message"), "second");
    assert_eq!(error.get("spans"), "outer{n=7}");
    assert!(!error.fields.contains_key("fields"), "{error:?}");
}

fn is_heard((): ()) -> (bool, bool) {
    tracing::error!("heard");
    let has_none =
        tracing::dispatcher::get_default(|d| d.is::<tracing::subscriber::NoSubscriber>());
    (tracing::enabled!(Level::ERROR), has_none)
}

#[test]
fn without_a_subscriber_nothing_is_installed() {
    let rt = runtime(1);
    assert_eq!(rt.spawn(is_heard, ()).join(), Ok((false, true)));
    assert_eq!(rt.stats().logs, pinfold::LogStats::default());
}

#[test]
fn workers_that_follow_others_log_too() {
    for spares in [0, 1] {
        let (rt, capture) = logging(LevelFilter::ERROR, spares);
        for _ in 0..4 {
            let died = rt
                .spawn(|(): ()| -> () { std::process::abort() }, ())
                .join();
            assert!(died.is_err());
            assert_eq!(rt.spawn(is_heard, ()).join(), Ok((true, false)));
        }
        drop(rt);
        let heard = |seen: &Seen| seen.get("message") == "heard";
        let events = capture.events();
        assert_eq!(events.iter().filter(|e| heard(e)).count(), 4, "{events:?}");
    }
}

fn floods(count: u32) -> u32 {
    for n in 0..count {
        tracing::info!(n, "{}", "x".repeat(100));
    }
    count
}

#[test]
fn a_flood_of_logs_blocks_nobody_and_is_counted() {
    let (rt, capture) = logging(LevelFilter::INFO, 0);
    capture.close(); // the host takes nothing now
    let tasks: Vec<_> = (0..4).map(|_| rt.spawn(floods, 5000)).collect();
    for task in tasks {
        assert_eq!(
            task.join(),
            Ok(5000),
            "the task has not waited for the host"
        );
    }
    let dropped = rt.stats().totals.logs_dropped;
    assert!(dropped > 0);
    capture.open();
    rt.shutdown(Shutdown::Drain).expect("nothing in flight");
    let stats = rt.stats();
    assert_eq!(stats.totals.logs_dropped, dropped);
    assert_eq!(stats.logs.received + dropped, 20_000);
    assert_eq!(stats.logs.invalid, 0);
    assert_eq!(capture.events().len() as u64, stats.logs.received);
}

fn is_consistent(stats: &Stats) {
    let sum = |of: fn(&pinfold::WorkerStats) -> u64| stats.workers.iter().map(of).sum::<u64>();
    assert_eq!(stats.totals.run, sum(|w| w.run));
    assert_eq!(stats.totals.stolen, sum(|w| w.stolen));
    assert_eq!(stats.totals.queued, sum(|w| w.queued.iter().sum()));
    assert_eq!(stats.totals.resident, sum(|w| w.resident));
    let queue = &stats.queues[0];
    assert_eq!((queue.executor, queue.dropped), (None, 0));
    assert_eq!(queue.size, stats.tasks.in_flight);
    assert!(queue.size <= queue.capacity);
    let ended = stats.tasks.submitted - stats.tasks.in_flight;
    let told = stats.tasks.completed + stats.tasks.panicked + stats.tasks.died + stats.tasks.failed;
    assert_eq!(ended, told + stats.tasks.late);
    for (worker, queues) in stats.workers.iter().zip(stats.queues[1..].chunks(1)) {
        assert_eq!(worker.queued, [queues[0].size]);
    }
    let used: u64 = stats.pool.iter().map(|class| class.in_use).sum();
    let by_state = stats.blocks_loaned + stats.blocks_shared + stats.blocks_carried;
    assert_eq!(used, by_state);
    assert!(stats.pool.iter().all(|class| class.in_use <= class.blocks));
}

#[test]
fn a_snapshot_agrees_with_itself() {
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(100)
        .memory_cap(64 << 20)
        .start()
        .expect("starts");
    is_consistent(&rt.stats());
    let buffers = (
        rt.alloc(100).expect("room"),
        rt.alloc(1 << 20).expect("room"),
    );
    let held: Vec<_> = (0..2).map(|_| rt.spawn(endless, ())).collect();
    let waiting: Vec<_> = (0..98).map(|_| rt.spawn(|(): ()| (), ())).collect();
    assert!(rt.try_spawn(|(): ()| (), ()).is_err());
    until("both are at work", || {
        let workers = rt.stats().workers;
        workers.iter().all(|w| w.state == Activity::Running)
    });
    let stats = rt.stats();
    is_consistent(&stats);
    assert_eq!((stats.queues[0].size, stats.queues[0].capacity), (100, 100));
    assert_eq!(stats.queues[0].refused, 1);
    assert!(stats.totals.queued > 0 && stats.totals.queued <= 98);
    let sizes: Vec<_> = stats
        .pool
        .iter()
        .map(|c| (c.block_bytes, c.in_use))
        .collect();
    assert_eq!(sizes, [(Some(112), 1), (None, 1)]);
    for worker in &stats.workers {
        assert!(worker.pid > 0 && worker.resident > 100_000, "{worker:?}");
        assert_eq!(worker.pinned, worker.cpus.iter().all(Option::is_some));
    }
    let json = serde_json::to_value(&stats).expect("numbers");
    assert_eq!(json["queues"][0]["capacity"], 100);
    assert_eq!(json["workers"][0]["state"], "running");
    drop(buffers);
    rt.shutdown(Shutdown::Abort).expect("aborted as asked");
    let stats = rt.stats();
    is_consistent(&stats);
    for worker in &stats.workers {
        assert_eq!((worker.pid, worker.resident), (0, 0));
        assert_eq!(worker.state, Activity::Starting, "nobody is at work");
    }
    drop((held, waiting));
}
