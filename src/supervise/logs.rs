//! The host thread that passes the workers' log events to the host's subscriber; in a program
//! that has none, to its logger of the crate `log`.
//!
//! A thread of its own, because a subscriber may take its time: it writes to a terminal,
//! say. No repair waits for that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level, dispatcher};

use crate::background::discard;
use crate::process::{LogEvent, LogRead, LogReader, LogWriter, level_of, log_channel};
use crate::sys::signals::start_thread;
use crate::sys::{Bell, wait_any_of_ours};

use super::commands::Commands;

/// How long events are still passed on at the end, and how many at most: what a task has
/// forked may write for ever, and a subscriber may be slow.
const LAST_FOR: Duration = Duration::from_secs(1);
const LAST_MAX: usize = 100_000;

/// The thread; dropping it passes on what has been written by then, and ends it.
#[derive(Debug)]
pub struct LogThread {
    writer: LogWriter,
    stop: Arc<Stop>,
    /// Hears of the thread's end.
    ended: Receiver<()>,
}

#[derive(Debug)]
struct Stop {
    bell: Bell,
    is_wanted: AtomicBool,
    /// When it was wanted.
    since: OnceLock<Instant>,
}

impl Stop {
    fn is_late(&self) -> bool {
        self.since
            .get()
            .is_some_and(|since| since.elapsed() > LAST_FOR)
    }
}

impl LogThread {
    /// Starts it for a fold of `workers` workers, if the caller has a subscriber that
    /// wants any events, or no subscriber and a logger: they go to that one.
    pub fn start(workers: u32, commands: &Arc<Commands>) -> std::io::Result<Option<Self>> {
        let subscriber = dispatcher::get_default(Clone::clone);
        let (level, listener) = if subscriber.is::<NoSubscriber>() {
            // From 1, an error, to 5, a trace: in `log` too.
            (level_of(log::max_level() as u8), Listener::Logger)
        } else {
            let level = tracing::level_filters::LevelFilter::current().into_level();
            (level, Listener::Subscriber(subscriber))
        };
        let Some(level) = level else {
            return Ok(None);
        };
        let (reader, writer) = log_channel(level)?;
        let stop = Arc::new(Stop {
            bell: Bell::new()?,
            is_wanted: AtomicBool::new(false),
            since: OnceLock::new(),
        });
        let reading = Reading {
            reader,
            workers,
            stop: Arc::clone(&stop),
            commands: Arc::clone(commands),
        };
        let (ends, ended) = channel();
        start_thread("pinfold-logs", move || {
            match listener {
                Listener::Subscriber(subscriber) => {
                    dispatcher::with_default(&subscriber, || reading.run(emit));
                }
                Listener::Logger => reading.run(record),
            }
            drop(ends);
        })?;
        Ok(Some(LogThread {
            writer,
            stop,
            ended,
        }))
    }

    /// The end that workers get.
    pub fn writer(&self) -> &LogWriter {
        &self.writer
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        let _ = self.stop.since.set(Instant::now());
        // ordering: Release pairs with the Acquire in `run`.
        self.stop.is_wanted.store(true, Ordering::Release);
        self.stop.bell.ring();
        // One that is stuck in a subscriber is left alone.
        let _ = self.ended.recv_timeout(LAST_FOR + LAST_FOR);
    }
}

/// Who hears of the events.
enum Listener {
    Subscriber(Dispatch),
    Logger,
}

struct Reading {
    reader: LogReader,
    workers: u32,
    stop: Arc<Stop>,
    commands: Arc<Commands>,
}

impl Reading {
    fn run(mut self, tell: fn(&LogEvent<'_>, Level)) {
        loop {
            // ordering: Acquire pairs with the Release in `drop`: what was written
            // before that is read below.
            let is_last = self.stop.is_wanted.load(Ordering::Acquire);
            let mut passed_on = 0;
            while self.pass_on(tell) {
                passed_on += 1;
                if passed_on == LAST_MAX || self.stop.is_late() {
                    break;
                }
            }
            if is_last {
                return;
            }
            let bell = self.stop.bell.ends();
            let polled = [(*bell).as_ref(), self.reader.as_ref()];
            let are_ours = || !bell.are_lost() && self.reader.is_ours();
            if !matches!(wait_any_of_ours(&polled, None, are_ours), Ok(Some(_))) {
                return; // the workers drop their events from here on
            }
        }
    }

    /// Passes one event on; false if there is none.
    fn pass_on(&mut self, tell: fn(&LogEvent<'_>, Level)) -> bool {
        let counts = self.commands.logs();
        let count = match self.reader.next(self.workers) {
            LogRead::Event(event, level) => {
                // A subscriber's panic is its own; the next event may do better.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&event, level))) {
                    discard(panic);
                }
                &counts.received
            }
            LogRead::Invalid => &counts.invalid,
            LogRead::Nothing => return false,
        };
        // Relaxed: counters.
        count.fetch_add(1, Ordering::Relaxed);
        true
    }
}

fn emit(event: &LogEvent<'_>, level: Level) {
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(
                target: "pinfold::worker",
                $level,
                worker = event.worker,
                task = said(event.task),
                target = event.target,
                fields = said(event.fields),
                spans = said(event.spans),
                "{}",
                event.message
            )
        };
    }
    // The level belongs to the place in the code, so there is one place for each.
    match level {
        Level::ERROR => at!(Level::ERROR),
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        Level::DEBUG => at!(Level::DEBUG),
        Level::TRACE => at!(Level::TRACE),
    }
}

/// The same as a record of the crate `log`: of the target that it has in the worker, by which
/// loggers choose, and with all else in the text, as `tracing` itself does it.
fn record(event: &LogEvent<'_>, level: Level) {
    let level = match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    };
    if level > log::max_level() {
        return; // it was changed meanwhile
    }
    let (
        LogEvent {
            worker, message, ..
        },
        mut rest,
    ) = (event, String::new());
    for (name, text) in [
        ("", event.fields),
        ("task=", event.task),
        ("spans=", event.spans),
    ] {
        if let Some(text) = said(text) {
            rest = format!("{rest} {name}{text}");
        }
    }
    log::logger().log(
        &log::Record::builder()
            .level(level)
            .target(event.target)
            .args(format_args!("{message}{rest} worker={worker}"))
            .build(),
    );
}

/// An empty field is left out.
fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
