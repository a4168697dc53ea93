//! What tasks log by the crate `log`.

use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter as Most, Log, Metadata, Record};
use pinfold::Runtime;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::{Capture, Seen, logging};
use crate::api::runtime;

fn records(n: u32) -> (String, bool) {
    tracing::info_span!("outer", n).in_scope(|| {
        log::warn!("item {n} is odd");
        tracing::info!("by tracing");
        log::error!(target: "elsewhere", "second");
    });
    log::debug!("unwanted");
    (
        log::max_level().to_string(),
        log::log_enabled!(log::Level::Debug),
    )
}

#[test]
fn records_of_log_arrive_as_events_do() {
    let (rt, capture) = logging(LevelFilter::INFO, 0);
    let task = rt.task(records).named("n");
    assert_eq!(task.spawn(7).join(), Ok(("INFO".into(), false)));
    let too_late = |(): ()| log::set_logger(&Counts).is_err();
    assert_eq!(rt.spawn(too_late, ()).join(), Ok(true));
    let stats = rt.stats().totals;
    drop(rt);
    assert_eq!(stats.logs_dropped, 0);
    let events = capture.events();
    let [warning, event, error] = &events[..] else {
        panic!("{events:?}");
    };
    let texts = |seen: &Seen| ["message", "target", "spans"].map(|f| seen.get(f).to_owned());
    let spans = r#"task{name="n"}:outer{n=7}"#;
    assert_eq!(warning.level, Level::WARN);
    assert_eq!(texts(warning), ["item 7 is odd", module_path!(), spans]);
    assert_eq!(warning.get("task"), "n");
    assert!(!warning.fields.contains_key("fields"), "{warning:?}");
    assert_eq!(texts(event), ["by tracing", module_path!(), spans]);
    assert_eq!(error.level, Level::ERROR);
    assert_eq!(texts(error), ["second", "elsewhere", spans]);
}

#[test]
fn without_a_subscriber_there_is_no_logger() {
    let rt = runtime(1);
    assert_eq!(rt.spawn(records, 1).join(), Ok(("OFF".into(), false)));
}

/// The program's own logger in a worker.
struct Counts;

static COUNTED: AtomicU64 = AtomicU64::new(0);

impl Log for Counts {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &Record<'_>) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

fn sets_a_logger() -> Result<(), String> {
    log::set_logger(&Counts).map_err(|error| error.to_string())?;
    log::set_max_level(Most::Warn);
    Ok(())
}

#[test]
fn a_logger_of_the_programs_own_has_its_records() {
    let capture = Capture::default();
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(capture.clone());
    let builder = Runtime::builder().workers(1).start_attempts(1).pin(false);
    let builder = builder.worker_init(sets_a_logger);
    let rt = tracing::subscriber::with_default(subscriber, || builder.start()).expect("starts");
    assert_eq!(rt.spawn(records, 1).join(), Ok(("WARN".into(), false)));
    let counted = rt.spawn(|(): ()| COUNTED.load(Ordering::Relaxed), ());
    assert_eq!(counted.join(), Ok(2));
    drop(rt);
    let events = capture.events();
    let said: Vec<_> = events.iter().map(|seen| seen.get("message")).collect();
    assert_eq!(said, ["by tracing"]);
}
