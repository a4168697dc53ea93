//! Who waits, for what, since when: so that who is stuck can be named.
//!
//! Before it sleeps, a thread leaves a note: an executor in its record in shared memory, a thread of
//! the host in a list of the process ([`show_here`]). Nothing of it is touched by who does not sleep.
//! The notes are shown, never believed. Who has slept for long says so itself, once, in the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::pool::{Doing, End, LaneBlock, Pool, has_repeated_end};
use crate::prim::{Hint, TaskId};
use crate::sys::clock;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// Something of a shared object.
    #[default]
    Object = 1,
    Message = 2,
    Room = 3,
    /// That its message is taken.
    Taken = 4,
    /// The first of several.
    Any = 5,
}

impl What {
    /// What a note says; `None` if it says nothing.
    pub fn of(number: u64) -> Option<Self> {
        let all = [
            What::Object,
            What::Message,
            What::Room,
            What::Taken,
            What::Any,
        ];
        all.into_iter().find(|what| *what as u64 == number)
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Object => "a shared object",
            What::Message => "a message",
            What::Room => "room in a channel",
            What::Taken => "its message to be taken",
            What::Any => "the first of several things",
        }
    }
}

/// A wait, as it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    pub what: What,
    /// The block of the object, plus one; 0: not said.
    pub block: u32,
    /// Which side of a pool it is of; 0: not said. Tells pools of this process apart.
    pub pool: usize,
    /// In ns of the monotonic clock.
    pub since: u64,
}

impl Wait {
    /// For something of this lane.
    pub fn of(what: What, pool: &Pool, lane: Option<LaneBlock>) -> Self {
        Wait {
            what,
            block: lane.map_or(0, |lane| lane.number() + 1),
            pool: pool.identity(),
            since: 0,
        }
    }

    /// Says that it lasts; `task` is the word of the one that waits, or 0.
    #[cold]
    pub(super) fn tell(&self, waited: Duration, task: u64) {
        let (what, object) = (self.what.as_str(), self.block.checked_sub(1));
        let task = (task != 0).then_some(task);
        let waited_ms = waited.as_millis() as u64;
        if object.is_some_and(has_repeated_end) {
            let message = "a wait takes long; the arguments of its own task, which may be run again, keep an end until it has ended";
            tracing::warn!(what, object, task, waited_ms, "{message}");
        } else {
            tracing::warn!(what, object, task, waited_ms, "a wait takes long");
        }
    }
}

/// Who has this end of a lane, and what each does, in words.
pub fn who_has(pool: &Pool, lane: LaneBlock, end: End) -> Vec<String> {
    let (processes, is_on_its_way) = pool.who_has(lane, end);
    let mut all: Vec<String> = (processes.into_iter())
        .map(|process| match process.worker() {
            None => "the host (or among a task's arguments)".to_owned(),
            Some(worker) => {
                let doing = pool.observe(process);
                let doing: Vec<String> = doing.into_iter().filter_map(in_words).collect();
                match doing[..] {
                    [] => format!("worker {worker}, which runs no task"),
                    _ => format!("worker {worker}, which runs {}", doing.join(", and ")),
                }
            }
        })
        .collect();
    if all.is_empty() && is_on_its_way {
        all.push("a message, or a task that has not begun".to_owned());
    }
    all
}

fn in_words((task, [what, block, since]): Doing) -> Option<String> {
    if task == 0 {
        return None;
    }
    let task = TaskId::of(Hint::unpack(task));
    let Some(what) = What::of(what) else {
        return Some(format!("task {task}"));
    };
    let ms = clock::now().saturating_sub(since) / 1_000_000;
    let (what, object) = (what.as_str(), block.checked_sub(1));
    let of = object.map_or(String::new(), |number| format!(" (object {number})"));
    Some(format!(
        "task {task}, which has waited {ms} ms for {what}{of}"
    ))
}

/// In ms; 0: never.
static STUCK_AFTER: AtomicU64 = AtomicU64::new(10_000);

/// How long a wait lasts before it is told, in this process.
pub fn set_stuck_after(ms: u64) {
    // Relaxed: a plain number.
    STUCK_AFTER.store(ms, Ordering::Relaxed);
}

pub(super) fn stuck_after() -> Option<Duration> {
    // Relaxed: as above.
    match STUCK_AFTER.load(Ordering::Relaxed) {
        0 => None,
        ms => Some(Duration::from_millis(ms)),
    }
}

/// A thread of this process that waits, or has waited.
#[derive(Debug)]
struct Slot {
    name: String,
    wait: Mutex<Option<Wait>>,
}

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

thread_local! {
    static SLOT: Arc<Slot> = {
        let thread = std::thread::current();
        let slot = Arc::new(Slot {
            name: thread.name().unwrap_or_default().to_owned(),
            wait: Mutex::new(None),
        });
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(&slot));
        slot
    };
}

/// This thread is about to sleep for this, or does not wait any more.
pub fn show_here(wait: Option<Wait>) {
    let _ = SLOT.try_with(|slot| {
        *slot.wait.lock().unwrap_or_else(PoisonError::into_inner) = wait;
    });
}

/// The threads of this process that wait now, and what for.
pub fn shown() -> Vec<(String, Wait)> {
    let slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let slots = slots.iter().filter_map(Weak::upgrade);
    let waits = slots.filter_map(|slot| {
        let wait = *slot.wait.lock().unwrap_or_else(PoisonError::into_inner);
        Some((slot.name.clone(), wait?))
    });
    waits.collect()
}
