//! The records of the crate `log`: they go to the host as the events of `tracing` do.
//!
//! A program has one logger, for good. So ours is set after `worker_init`, which may have
//! set the program's own.

use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use tracing::{Dispatch, dispatcher};

use crate::process::number_of;

use super::{Forward, MESSAGE_MAX, NAME_MAX, Text, entered};

/// The target of the event that shows whether `tracing` tells `log` of its events.
const PROBE: &str = "pinfold::probe";

/// Where `tracing` tells `log` of its spans.
const OF_SPANS: [&str; 2] = ["tracing::span", "tracing::span::active"];

/// The logger of a worker: passes everything to what [`to_host`](super::to_host) has made.
struct Records {
    forward: Dispatch,
    /// Each event of `tracing` is a record too: its feature `log-always`.
    are_events_too: AtomicBool,
}

/// From now on the records of this process go to the host, by `forward`, unless the program
/// has a logger.
pub fn take_records(forward: Dispatch) {
    let Some(level) = forward.downcast_ref::<Forward>().map(level_of) else {
        return;
    };
    // A logger is for ever.
    let records: &'static Records = Box::leak(Box::new(Records {
        forward,
        are_events_too: AtomicBool::new(false),
    }));
    if log::set_logger(records).is_ok() {
        log::set_max_level(level);
        // Of `tracing` nobody hears it.
        dispatcher::with_default(&Dispatch::none(), || {
            tracing::error!(target: PROBE, "is this a record too?");
        });
    }
}

/// The most detailed records that the host wants.
fn level_of(forward: &Forward) -> LevelFilter {
    let number = number_of(forward.writer.level().into());
    LevelFilter::iter()
        .nth(number.into())
        .unwrap_or(LevelFilter::Off)
}

impl Records {
    /// Whether this is an event of `tracing`, which has been told as such. The macros of `log`
    /// say where they are by a static text, and `tracing` by a borrowed one.
    fn is_told(&self, record: &Record<'_>) -> bool {
        // Relaxed: set before any task runs.
        self.are_events_too.load(Ordering::Relaxed)
            && record.file().is_some()
            && record.file_static().is_none()
    }
}

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.forward
            .downcast_ref::<Forward>()
            .is_some_and(|forward| metadata.level() <= level_of(forward))
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == PROBE {
            // Relaxed: the same thread reads it, or one that is started later.
            self.are_events_too.store(true, Ordering::Relaxed);
            return;
        }
        if !self.enabled(record.metadata()) || self.is_told(record) {
            return;
        }
        if OF_SPANS.contains(&record.target()) {
            return;
        }
        let forward = self.forward.downcast_ref::<Forward>();
        // What a task has forked is no worker.
        let Some(forward) = forward.filter(|forward| forward.home.is_here()) else {
            return;
        };
        let mut message = Text::new(MESSAGE_MAX);
        message.add(*record.args());
        let mut target = Text::new(NAME_MAX);
        target.add(format_args!("{}", record.target()));
        let spans = forward.path(entered());
        // From 1, an error, to 5, a trace: in `log` too.
        let level = record.level() as u8;
        forward.tell(level, &target.text, &message.text, "", &spans.text);
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(are_events_too: bool) -> Records {
        Records {
            forward: Dispatch::none(),
            are_events_too: AtomicBool::new(are_events_too),
        }
    }

    #[test]
    fn what_tracing_has_made_of_an_event_is_not_told_again() {
        let mut record = Record::builder();
        let as_tracing_does = record.file(Some("src/main.rs")).build();
        assert!(records(true).is_told(&as_tracing_does));
        assert!(!records(false).is_told(&as_tracing_does));
        let mut record = Record::builder();
        let as_log_does = record.file_static(Some("src/main.rs")).build();
        assert!(!records(true).is_told(&as_log_does));
        let without_a_place = Record::builder().build();
        assert!(!records(true).is_told(&without_a_place));
    }

    #[test]
    fn levels_have_the_same_numbers() {
        use tracing::Level;
        let ours = [
            Level::ERROR,
            Level::WARN,
            Level::INFO,
            Level::DEBUG,
            Level::TRACE,
        ];
        for (level, ours) in log::Level::iter().zip(ours) {
            assert_eq!(level.to_string(), ours.to_string());
            assert_eq!(level as u8, number_of(ours.into()));
            let most = LevelFilter::iter().nth(level as usize);
            assert_eq!(most, Some(level.to_level_filter()));
        }
    }
}
