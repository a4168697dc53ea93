//! The `tracing` subscriber of a worker, and its logger: every event goes to the host.
//!
//! ```text
//!   tracing::warn!(…)  ──▶ level, target, message, fields, spans, task
//!                              │ one datagram, without waiting
//!                              ▼
//!                          the host's subscriber      no room: dropped and counted
//! ```
//!
//! Events that nobody wants are not even formatted: the host has told the worker the most detailed level that
//! anybody reads.

mod records;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_core::span::Current;

use crate::layout::Fold;
use crate::process::{LogEvent, LogWriter, number_of};
use crate::sys::Home;

use super::{info, panics};

pub use records::take_records;

/// The longest of each text, in bytes; together they fit into one datagram.
const NAME_MAX: usize = 256;
const MESSAGE_MAX: usize = 4096;
const FIELDS_MAX: usize = 2048;
const SPANS_MAX: usize = 1024;

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// What sends the events of this process, which is worker `worker`, to the host.
pub fn to_host(writer: LogWriter, fold: &Fold, worker: u32) -> Dispatch {
    Dispatch::new(Forward {
        writer,
        home: Home::here(),
        fold: fold.clone(),
        worker,
        spans: Mutex::default(),
        next_span: AtomicU64::new(1),
    })
}

struct Forward {
    writer: LogWriter,
    home: Home,
    fold: Fold,
    worker: u32,
    spans: Mutex<HashMap<u64, Span>>,
    next_span: AtomicU64,
}

struct Span {
    /// Its name and fields, after those of the spans around it.
    path: Text,
    metadata: &'static Metadata<'static>,
    handles: usize,
}

impl Forward {
    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, span: Option<u64>) -> Text {
        let path = span.and_then(|id| self.spans().get(&id).map(|span| span.path.clone()));
        path.unwrap_or_else(|| Text::new(SPANS_MAX))
    }

    /// Sends what belongs to the task that this thread is in.
    fn tell(&self, level: u8, target: &str, message: &str, fields: &str, spans: &str) {
        let mut task = Text::new(NAME_MAX);
        if let Some(name) = info::task_name() {
            task.add(format_args!("{name}"));
        }
        let sent = self.writer.send(&LogEvent {
            worker: self.worker,
            level,
            task: &task.text,
            target,
            message,
            fields,
            spans,
        });
        if !sent {
            self.count_dropped();
        }
    }

    /// Counts an event for which there was no room.
    fn count_dropped(&self) {
        // A thread of the task's own counts for the worker's first executor.
        let threads = self.fold.plan.shape.threads as usize;
        let executor = panics::executor().unwrap_or(self.worker as usize * threads);
        if let Some(record) = self.fold.executors.get(executor) {
            // Relaxed: a counter; of several threads at times.
            let dropped = &record.status.logs_dropped;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.writer.level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.writer.level().into())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let around = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => entered(),
            None => None,
        };
        let mut path = self.path(around);
        if !path.text.is_empty() {
            path.add(format_args!(":"));
        }
        path.add(format_args!("{}", attributes.metadata().name()));
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if !fields.others.text.is_empty() {
            path.add(format_args!("{{{}}}", fields.others.text));
        }
        // Relaxed: only that no two are the same.
        let id = self.next_span.fetch_add(1, Ordering::Relaxed).max(1);
        let span = Span {
            path,
            metadata: attributes.metadata(),
            handles: 1,
        };
        self.spans().insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = self.spans().get_mut(&span.into_u64()) {
            span.path.add(format_args!("{{{}}}", fields.others.text));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if !self.home.is_here() {
            return; // what a task has forked is no worker
        }
        let around = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_contextual() => entered(),
            None => None,
        };
        let spans = self.path(around);
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut target = Text::new(NAME_MAX);
        target.add(format_args!("{}", event.metadata().target()));
        let level = number_of((*event.metadata().level()).into());
        let Fields { message, others } = fields;
        self.tell(
            level,
            &target.text,
            &message.text,
            &others.text,
            &spans.text,
        );
    }

    fn enter(&self, span: &Id) {
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            // They may be left in another order than they were entered.
            if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.get_mut(&id.into_u64()) else {
            return false;
        };
        span.handles = span.handles.saturating_sub(1);
        let is_last = span.handles == 0;
        if is_last {
            spans.remove(&id.into_u64());
        }
        is_last
    }

    fn current_span(&self) -> Current {
        let current = entered().and_then(|id| Some((id, self.spans().get(&id)?.metadata)));
        match current {
            Some((id, metadata)) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }
}

/// The span that this thread is in. A thread that is about to end is in none.
fn entered() -> Option<u64> {
    let last = ENTERED.try_with(|entered| entered.borrow().last().copied());
    last.ok().flatten()
}

/// A text that is cut when it is full.
#[derive(Clone)]
struct Text {
    text: String,
    room: usize,
}

impl Text {
    fn new(room: usize) -> Self {
        let text = String::new();
        Text { text, room }
    }

    fn add(&mut self, arguments: fmt::Arguments<'_>) {
        // An error says that a value could not be shown: the rest is there.
        let _ = self.write_fmt(arguments);
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut end = more.len().min(self.room);
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&more[..end]);
        // Nothing follows what was cut.
        self.room = if end < more.len() { 0 } else { self.room - end };
        Ok(())
    }
}

/// The fields of an event or a span.
struct Fields {
    message: Text,
    others: Text,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            message: Text::new(MESSAGE_MAX),
            others: Text::new(FIELDS_MAX),
        }
    }
}

impl Fields {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            self.message.add(value);
            return;
        }
        let gap = if self.others.text.is_empty() { "" } else { " " };
        self.others
            .add(format_args!("{gap}{}={value}", field.name()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.add(field, format_args!("{value}"));
        } else {
            self.add(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character_and_stay_cut() {
        let mut text = Text::new(5);
        text.add(format_args!("{}", "éé"));
        assert_eq!(text.text, "éé");
        text.add(format_args!("é"));
        text.add(format_args!("x"));
        assert_eq!(
            text.text, "éé",
            "one byte is no room for it, and nothing follows"
        );
    }

    #[test]
    fn everything_that_is_longest_fits_into_one_datagram() {
        let all = 2 * NAME_MAX + MESSAGE_MAX + FIELDS_MAX + SPANS_MAX;
        let (mut reader, writer) = crate::process::log_channel(tracing::Level::INFO).expect("pair");
        let text = "x".repeat(all);
        let event = LogEvent {
            worker: u32::MAX - 1,
            level: 1,
            task: &text[..NAME_MAX],
            target: &text[..NAME_MAX],
            message: &text[..MESSAGE_MAX],
            fields: &text[..FIELDS_MAX],
            spans: &text[..SPANS_MAX],
        };
        assert!(writer.send(&event));
        let read = reader.next(u32::MAX);
        assert_eq!(
            read,
            crate::process::LogRead::Event(event, tracing::Level::ERROR)
        );
    }
}
