//! What the library has to say, for the program's own log.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::config::unknown;
use crate::error::{Failure, c_text};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldLevel {
    /// Something is wrong.
    Error = 1,
    /// Something may be wrong: a worker died, a task failed and nobody was told.
    Warn = 2,
    /// What an operator may want to know.
    Info = 3,
    /// What a developer may want to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Takes one event: a `pinfold_level`, where it comes from (`pinfold::…` is the library), and what
/// it says, with its fields as `name=value`.
///
/// It is called on the thread that has something to say, one of the library's or of the program's,
/// and several may at once. The texts are there until it returns. It must not unwind, and should
/// not take long. What is said while it runs, on the same thread, is dropped.
pub type PinfoldLog = Option<
    unsafe extern "C" fn(
        level: i32,
        target: *const c_char,
        message: *const c_char,
        user: *mut c_void,
    ),
>;

/// The one subscriber.
struct Taker {
    log: unsafe extern "C" fn(i32, *const c_char, *const c_char, *mut c_void),
    user: *mut c_void,
    most: Level,
}

// SAFETY: the user was told that it is called on any thread.
unsafe impl Send for Taker {}
// SAFETY: as above; several at once.
unsafe impl Sync for Taker {}

/// An event's message, and its fields behind that.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        // To write to a text does not fail, unless the value does.
        let _ = written;
    }
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

fn number(level: Level) -> PinfoldLevel {
    match level {
        Level::ERROR => PinfoldLevel::Error,
        Level::WARN => PinfoldLevel::Warn,
        Level::INFO => PinfoldLevel::Info,
        Level::DEBUG => PinfoldLevel::Debug,
        Level::TRACE => PinfoldLevel::Trace,
    }
}

impl Subscriber for Taker {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.most))
    }

    fn event(&self, event: &Event<'_>) {
        if BUSY.replace(true) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let text = match line.message.is_empty() {
            true => line.fields.trim_start().to_owned(),
            false => line.message + &line.fields,
        };
        let (target, text): (CString, CString) = (c_text(event.metadata().target()), c_text(text));
        let level = number(*event.metadata().level()) as i32;
        // SAFETY: who gave it promised that it may be called so; the texts are there meanwhile.
        unsafe { (self.log)(level, target.as_ptr(), text.as_ptr(), self.user) };
        BUSY.set(false);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn set(log: PinfoldLog, user: *mut c_void, level: i32) -> Result<(), Failure> {
    let log = log.ok_or_else(|| Failure::null("log"))?;
    let most = match level {
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        5 => Level::TRACE,
        other => return Err(unknown("level", other, "pinfold_level")),
    };
    let taker = Taker { log, user, most };
    tracing::subscriber::set_global_default(taker).map_err(|_| {
        let message = "there is a log already: it can be set once";
        Failure::new(PinfoldStatus::TooLate, message)
    })
}

/// Has the library's log events passed to `log`, with `user`: those up to `level`, a
/// `pinfold_level`. Without this nobody hears them.
///
/// Call it after `pinfold_init`: then it is the program that hears them, and those of its workers
/// too. (If it is called before, each worker process calls `log` itself.) It stays for as long
/// as the process lives.
///
/// Fails with `PINFOLD_STATUS_TOO_LATE` if it was set before, here or by Rust code of the same
/// process, with `PINFOLD_STATUS_INVALID_ARGUMENT` for an unknown level, and with
/// `PINFOLD_STATUS_NULL_ARGUMENT`.
///
/// Any thread.
///
/// # Safety
///
/// `log` may be called with `user` by any thread, as long as the process lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_log_set(
    log: PinfoldLog,
    user: *mut c_void,
    level: i32,
) -> PinfoldStatus {
    guard(|| set(log, user, level))
}
