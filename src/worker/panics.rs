//! The message and the source location of a panic.
//!
//! The message is in the panic's payload. Only the hook knows the location; and the hook may see other panics
//! (those that a task has caught itself), or not see this one (`resume_unwind`, a hook of the program). So the
//! location that the hook has seen is believed only for a panic with the same message, in the same task.
//!
//! ```text
//!   panic! ──▶ hook: where, by whom ──▶ kept for this task
//!     │                                        │ the same words?
//!     └──▶ catch_unwind: the words ────────────┴──▶ the task's error
//! ```
//!
//! A panic on a thread that the program has started ends no task, unless it is rethrown in one (as rayon
//! does). It is counted, logged, and reported by the program's former hook.

use std::any::{Any, TypeId};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::background::{NOT_TEXT, discard, text_in};
use crate::error::TaskBacktrace;
use crate::layout::{ExecutorRecord, Fold};
use crate::prim::atomic::Ordering;
use crate::sys::frames::return_addresses;
use crate::sys::signals::start_thread;
use crate::sys::{Home, overflow};

/// How many panics of other threads are kept, in case one of them is thrown on.
const ELSEWHERE_MAX: usize = 8;

thread_local! {
    static EXECUTOR: Cell<Option<usize>> = const { Cell::new(None) };
    /// What the hook saw last on this thread.
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// The executors of this process.
static OURS: OnceLock<Range<usize>> = OnceLock::new();
/// What the hook has seen on threads that are no executors'.
static ELSEWHERE: Mutex<VecDeque<Seen>> = Mutex::new(VecDeque::new());

/// What is told of a panic.
#[derive(Debug, Default)]
pub struct Said {
    /// Its words; never empty, unless it was raised with empty ones.
    pub message: String,
    /// `file:line:column`; empty if nobody has seen where.
    pub location: String,
    /// How it came there, if `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<TaskBacktrace>,
}

/// A panic, as the hook saw it.
#[derive(Debug)]
struct Seen {
    /// The tasks that it may belong to.
    tasks: Vec<u64>,
    kind: TypeId,
    text: Option<String>,
    location: String,
    /// The return addresses of its thread, if `RUST_BACKTRACE` asks for them.
    addresses: Vec<usize>,
}

/// Whether somebody wants to know how a panic came about.
fn are_backtraces_wanted() -> bool {
    static ARE: OnceLock<bool> = OnceLock::new();
    *ARE.get_or_init(|| Backtrace::capture().status() == BacktraceStatus::Captured)
}

impl Seen {
    fn new(info: &PanicHookInfo<'_>, tasks: Vec<u64>) -> Self {
        Seen {
            tasks,
            kind: info.payload().type_id(),
            text: info.payload_as_str().map(str::to_owned),
            location: info
                .location()
                .map_or_else(String::new, ToString::to_string),
            addresses: match are_backtraces_wanted() {
                true => return_addresses(),
                false => Vec::new(),
            },
        }
    }

    /// Whether this may be what has brought `payload`, to a task of hint `task`.
    fn is(&self, payload: &(dyn Any + Send), text: Option<&str>, task: u64) -> bool {
        self.tasks.contains(&task)
            && self.kind == payload.type_id()
            && self.text.as_deref().is_none_or(|seen| Some(seen) == text)
    }

    fn tell(self, message: String) -> Said {
        let is_known = !self.addresses.is_empty();
        Said {
            message,
            location: self.location,
            backtrace: is_known.then(|| TaskBacktrace::of(&self.addresses)),
        }
    }
}

impl Said {
    /// Tells the log: perhaps nobody has the task's handle.
    pub fn log(&self) {
        // The subscriber may be the program's own, and panic itself.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.log_to_whoever())) {
            discard(panic);
        }
    }

    fn log_to_whoever(&self) {
        let (location, panic) = (&self.location, &self.message);
        tracing::error!(location, panic, "a task panicked");
        let backtrace = self.backtrace.clone();
        let Some(backtrace) = backtrace.filter(|_| tracing::enabled!(tracing::Level::ERROR)) else {
            return;
        };
        // To find the names takes a good part of a second, the first time: the task does not wait.
        let title = self.title();
        let begun = start_thread("pinfold-names", move || {
            tracing::error!("{title}\n{backtrace}");
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "no thread for a backtrace");
        }
    }

    /// Tells the log of the backtrace before the process ends.
    pub fn log_backtrace_now(&self) {
        let tell = || {
            if let Some(backtrace) = &self.backtrace {
                tracing::error!("{}\n{backtrace}", self.title());
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(tell)) {
            discard(panic);
        }
    }

    fn title(&self) -> String {
        let Said {
            message, location, ..
        } = self;
        format!("backtrace of the panic at {location}: {message}")
    }
}

/// From now on a panic of an executor prints nothing: its words go to the executor's
/// record, from where the host reads them if the process aborts, and to the task's error.
pub fn install(fold: Fold) {
    let (home, before) = (Home::here(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if !home.is_here() {
            return before(info); // what a task has forked says it as any program does
        }
        let record = executor().and_then(|number| fold.executors.get(number));
        let Some(record) = record else {
            seen_elsewhere(&fold, info);
            before(info);
            return;
        };
        let task = doing(record);
        let seen = Seen::new(info, vec![task]);
        let text = seen.text.as_deref().unwrap_or(NOT_TEXT);
        let words = format!("panicked at {}: {text}", seen.location);
        record.last_words.write(task, &words);
        // Not while it is looked at, and not after the thread's end.
        let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(seen)));
    }));
}

/// Where it is told that a stack has overflowed, and in which words.
static OVERFLOW: OnceLock<(Home, Fold, String)> = OnceLock::new();

/// From now on an executor's record says so if its stack, of `size` bytes, overflows.
pub fn tell_overflows(fold: &Fold, size: u64) {
    let words = format!("overflowed its stack of {size} bytes (`Builder::stack_size`)");
    let _ = OVERFLOW.set((Home::here(), fold.clone(), words));
    overflow::listen(|| {
        if let Some((home, fold, words)) = OVERFLOW.get()
            && home.is_here()
            && let Some(record) = executor().and_then(|number| fold.executors.get(number))
        {
            record.last_words.write(doing(record), words);
        }
    });
}

/// The hint of the task on top of an executor's stack, or of the last one that it ran.
fn doing(record: &ExecutorRecord) -> u64 {
    // Relaxed: this process's own words.
    match record.doing.top.load(Ordering::Relaxed) {
        0 => record.doing.current.load(Ordering::Relaxed),
        top => top,
    }
}

fn seen_elsewhere(fold: &Fold, info: &PanicHookInfo<'_>) {
    let Some(ours) = OURS.get() else { return };
    let records = fold.executors.get(ours.clone()).unwrap_or_default();
    let seen = Seen::new(info, records.iter().map(doing).collect());
    if let Some(first) = records.first() {
        // Relaxed: a counter, of any thread.
        let panics = &first.status.thread_panics;
        panics.fetch_add(1, Ordering::Relaxed);
    }
    tracing::error!(
        thread = std::thread::current().name(),
        location = seen.location,
        panic = seen.text.as_deref().unwrap_or(NOT_TEXT),
        "a thread of a worker panicked"
    );
    let mut elsewhere = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
    if elsewhere.len() == ELSEWHERE_MAX {
        elsewhere.pop_front();
    }
    elsewhere.push_back(seen);
}

/// Which executors this process has.
pub fn set_ours(executors: Range<usize>) {
    let _ = OURS.set(executors);
}

/// Names the executor of this thread.
pub fn belongs_to(executor: usize) {
    EXECUTOR.set(Some(executor));
}

/// The executor of this thread, if it is one's.
pub fn executor() -> Option<usize> {
    EXECUTOR.try_with(Cell::get).ok().flatten()
}

/// What the panic said that was just caught on this thread, an executor's with this record,
/// and carried `payload`.
pub fn said(payload: &(dyn Any + Send), record: &ExecutorRecord) -> Said {
    let task = doing(record);
    // Before the user's code is asked for its words, which may panic.
    let here = LAST.take();
    let text = text_in(payload);
    let is_it = |seen: &Seen| seen.is(payload, text.as_deref(), task);
    let seen = here.filter(is_it).or_else(|| {
        let mut elsewhere = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
        let at = elsewhere.iter().rposition(is_it)?;
        elsewhere.remove(at)
    });
    let message = text.unwrap_or_else(|| NOT_TEXT.to_owned());
    match seen {
        Some(seen) => seen.tell(message),
        None => Said {
            message,
            ..Said::default()
        },
    }
}
