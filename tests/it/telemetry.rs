//! What a running fold tells of itself.

mod records;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pinfold::{Activity, Priority, Runtime, Shutdown, Stats};
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

fn loads() -> Result<(), String> {
    tracing::info!("loading");
    Ok(())
}

fn installs() -> Result<(), String> {
    tracing::info!("installing");
    tracing::subscriber::set_global_default(tracing_subscriber::registry())
        .map_err(|error| error.to_string())
}

#[test]
fn worker_init_logs_too_and_may_install_a_subscriber_of_its_own() {
    for (is_own, message) in [(false, "loading"), (true, "installing")] {
        let capture = Capture::default();
        let subscriber = tracing_subscriber::registry().with(capture.clone());
        let builder = Runtime::builder().workers(1).start_attempts(1).pin(false);
        let builder = if is_own {
            builder.worker_init(installs)
        } else {
            builder.worker_init(loads)
        };
        let rt = tracing::subscriber::with_default(subscriber, || builder.start());
        let rt = rt.expect("starts");
        assert_eq!(rt.spawn(is_heard, ()).join(), Ok((true, false)));
        drop(rt);
        let events = capture.events();
        let said: Vec<_> = events.iter().map(|seen| seen.get("message")).collect();
        let expected = [message, "heard"];
        assert_eq!(said, expected[..if is_own { 1 } else { 2 }]);
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
    assert_eq!(ended, told + stats.tasks.late + stats.tasks.cancelled);
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
        .on_drop(Shutdown::Abort)
        .start()
        .expect("starts");
    is_consistent(&rt.stats());
    let buffers = (
        rt.alloc(100).expect("room"),
        rt.alloc(1 << 20).expect("room"),
    );
    let held: Vec<_> = (0..2).map(|_| rt.spawn(endless, ())).collect();
    until("both are at work", || rt.audit().slots_running == 2);
    let waiting: Vec<_> = (0..98).map(|_| rt.spawn(|(): ()| (), ())).collect();
    assert!(rt.try_spawn(|(): ()| (), ()).is_err());
    assert!(waiting.iter().rev().take(3).all(|handle| handle.cancel()));
    let lane = rt.task(|(): ()| ()).priority(Priority::Low);
    let low: Vec<_> = (0..3).map(|_| lane.spawn(())).collect();
    let is_running = |worker: &pinfold::WorkerStats| worker.state == Activity::Running;
    assert!(rt.stats().workers.iter().all(is_running));
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
    let lanes = stats
        .queues
        .iter()
        .filter_map(|queue| Some((queue.priority?, queue.size)));
    let expected = [
        (Priority::Urgent, 0),
        (Priority::Low, 3),
        (Priority::Background, 0),
    ];
    assert!(lanes.eq(expected), "{:?}", stats.queues);
    let json = serde_json::to_value(&stats).expect("numbers");
    assert_eq!(json["queues"][0]["capacity"], 100);
    assert_eq!(json["workers"][0]["state"], "running");
    assert_eq!(json["queues"][4]["priority"], "low");
    drop(buffers);
    rt.shutdown(Shutdown::Abort).expect("aborted as asked");
    let stats = rt.stats();
    is_consistent(&stats);
    for worker in &stats.workers {
        assert_eq!((worker.pid, worker.resident), (0, 0));
        assert_eq!(worker.state, Activity::Starting, "nobody is at work");
    }
    drop((held, waiting, low));
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

type Known = (Option<String>, Option<String>, Vec<(String, String)>);

/// What the task knows of itself, and what one knows that it spawns.
fn known(argument: String) -> (String, Known, Known) {
    fn mine() -> Known {
        let info = pinfold::task_info().expect("a task");
        assert_eq!(info.traceparent, pinfold::traceparent());
        assert_eq!(
            info.name.as_deref().unwrap_or(info.function),
            pinfold::task_name().unwrap()
        );
        (info.name, info.traceparent, info.tags)
    }
    tracing::info!("here");
    let child = pinfold::spawn(|(): ()| mine(), ());
    let of_child = child.join().expect("runs");
    (argument, mine(), of_child)
}

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    tags.iter().map(owned).collect()
}

#[test]
fn name_tags_and_trace_reach_the_task_and_its_logs() {
    let (rt, capture) = logging(LevelFilter::INFO, 0);
    let none = (None, None, Vec::new());
    // Label and argument: in the slot, in the slot by themselves only, in a block.
    for len in [0, 45, 5000] {
        let argument = "x".repeat(len);
        let (plain, mine, _) = rt.spawn(known, argument.clone()).join().expect("runs");
        assert_eq!((plain, mine), (argument.clone(), none.clone()));
        let named = rt.task(known).named("n");
        let (same, mine, of_child) = named.spawn(argument.clone()).join().expect("runs");
        assert_eq!((same, mine.0.as_deref()), (argument.clone(), Some("n")));
        assert_eq!(of_child, none);
        let full = named.tag("user", "7").tag("why", "a b").traceparent(TRACE);
        let full = full.expect("a trace context");
        let tags = pairs(&[("user", "7"), ("why", "a b")]);
        let expected = (Some("n".to_owned()), Some(TRACE.to_owned()), tags);
        let (same, mine, of_child) = full.spawn(argument.clone()).join().expect("runs");
        assert_eq!(
            (same, mine, of_child),
            (argument.clone(), expected, none.clone())
        );
        for outcome in full.map(vec![argument.clone(); 3]) {
            assert_eq!(outcome.expect("runs").1.0.as_deref(), Some("n"));
        }
    }
    drop(rt);
    let events = capture.events();
    assert_eq!(events.len(), 3 * 6, "{events:?}");
    let [plain, named, full, ..] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(plain.get("task").ends_with("::known") && !plain.fields.contains_key("spans"));
    assert_eq!(
        (named.get("task"), named.get("spans")),
        ("n", r#"task{name="n"}"#)
    );
    let span = format!(r#"task{{name="n" traceparent="{TRACE}" tags="user=7 why=a b"}}"#);
    assert_eq!((full.get("task"), full.get("spans")), ("n", span.as_str()));
}

/// Its first attempt dies with its worker.
fn dies_once(marker: std::path::PathBuf) -> Option<String> {
    match std::fs::File::create_new(&marker) {
        Ok(_) => std::process::abort(),
        Err(_) => pinfold::task_name(),
    }
}

#[test]
fn a_name_outlives_its_worker_and_is_in_errors() {
    let rt = runtime(1);
    let folder = tempfile::tempdir().expect("a folder");
    let task = rt.task(dies_once).named("patient").at_least_once();
    let name = task.spawn(folder.path().join("marker")).join();
    assert_eq!(name, Ok(Some("patient".into())));
    let abort = rt
        .task(|(): ()| -> () { std::process::abort() })
        .named("fatal");
    let text = abort.spawn(()).join().expect_err("dies").to_string();
    assert!(text.contains("`fatal`"), "{text}");
    let poison = abort.safe_to_repeat(2).spawn(()).join().expect_err("dies");
    assert!(poison.to_string().starts_with("`fatal` ("), "{poison}");
    assert_eq!(
        rt.spawn(|(): ()| pinfold::traceparent(), ()).join(),
        Ok(None)
    );
    assert_eq!(pinfold::task_info(), None);
}

#[test]
fn what_is_no_trace_context_is_refused_by_name() {
    let rt = runtime(1);
    let task = rt.task(|(): ()| ());
    for wrong in [
        "",
        "00",
        &TRACE[1..],
        &TRACE.replace('4', "G"),
        &TRACE.replace("00-4", "ff-4"),
    ] {
        let error = task
            .clone()
            .traceparent(wrong)
            .expect_err("no trace context");
        assert_eq!(error.value, wrong);
        assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
    }
    assert!(task.traceparent(TRACE).is_ok());
}

fn naps(ms: u64) -> Result<u64, String> {
    std::thread::sleep(Duration::from_millis(ms));
    if ms == 21 { Err("odd".into()) } else { Ok(ms) }
}

fn works(ms: u64) -> u64 {
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = |t: rustix::time::Timespec| t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
    let (begin, mut steps) = (nanos(cpu()), 0);
    while nanos(cpu()) - begin < ms * 1_000_000 {
        steps += 1;
    }
    steps
}

fn touches(bytes: usize) -> u8 {
    std::hint::black_box(vec![1u8; bytes])[bytes - 1]
}

#[test]
fn a_profile_tells_functions_apart() {
    let rt = Runtime::builder()
        .workers(1)
        .profile(true)
        .start()
        .expect("starts");
    for nap in rt.map(naps, [20, 20, 20, 21]) {
        let returned = nap.expect("a value");
        assert!(returned == Ok(20) || returned == Err("odd".into()));
    }
    rt.spawn(works, 30).join().expect("runs");
    rt.spawn(touches, 64 << 20).join().expect("runs");
    let _ = rt.spawn(|(): ()| -> () { panic!("on purpose") }, ()).join();
    let _ = rt
        .spawn(|(): ()| -> () { std::process::abort() }, ())
        .join();
    let profile = rt.profile();
    let of = |name: &str| {
        let found = profile
            .functions
            .iter()
            .find(|f| f.function.ends_with(name));
        found
            .unwrap_or_else(|| panic!("{name}: {profile:?}"))
            .clone()
    };
    let naps = of("::naps");
    assert_eq!((naps.count, naps.measured), (4, 4));
    assert_eq!((naps.failures, naps.returned_err), (0, 1));
    let millis = |ms: u64| ms * 1_000_000;
    assert!(
        naps.run.p50_ns >= millis(20) && naps.run.p999_ns >= millis(21),
        "{naps:?}"
    );
    assert!(naps.run.longest_ns >= millis(21) && naps.run.total_ns >= millis(81));
    assert!(naps.run.mean_ns >= millis(20) && naps.run.mean_ns <= naps.run.longest_ns);
    // One worker: the last one waited while the others slept.
    assert!(naps.queue.longest_ns >= millis(60), "{naps:?}");
    assert!(
        naps.cpu.total_ns < naps.run.total_ns,
        "asleep is not at work: {naps:?}"
    );
    let works = of("::works");
    assert!(
        works.cpu.p50_ns >= millis(30) && works.run.p50_ns >= millis(30),
        "{works:?}"
    );
    let touches = of("::touches");
    assert!(touches.peak_growth >= 60 << 20, "{touches:?}");
    let closures = of("{{closure}}");
    assert_eq!((closures.count, closures.failures), (2, 2));
    assert_eq!(closures.measured, 1, "the other died with its worker");
    assert!(
        profile
            .functions
            .is_sorted_by_key(|f| std::cmp::Reverse(f.run.total_ns))
    );
    let summary = rt.stats().profile.expect("it is on");
    assert_eq!(summary, profile.summary());
    assert_eq!(
        (summary.functions, summary.count, summary.failures),
        (4, 8, 2)
    );
    let json = serde_json::to_value(&profile).expect("numbers");
    assert_eq!(json["functions"].as_array().map(Vec::len), Some(4));
}

#[test]
fn without_a_profile_nothing_is_measured() {
    let rt = runtime(1);
    rt.spawn(works, 1).join().expect("runs");
    assert_eq!(rt.profile(), pinfold::Profile::default());
    assert_eq!(rt.stats().profile, None);
}
