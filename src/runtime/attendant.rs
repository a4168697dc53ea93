//! The thread that tells followers of the ends of tasks: see `scheduler/watch.rs`.

use std::sync::Arc;

use crate::scheduler::{News, Scheduler};
use crate::sys::signals::start_thread;

use super::callbacks::{Log, caught};

/// Starts the attendant of a fold. It ends when the fold has, and all is told.
pub fn attend(scheduler: &Arc<Scheduler>) -> std::io::Result<()> {
    let scheduler = Arc::clone(scheduler);
    let log = Log::of_this_thread();
    start_thread("pinfold-attend", move || {
        while let Some(all) = scheduler.attend() {
            all.into_iter()
                .for_each(|news| tell(&scheduler, news, &log));
        }
    })?;
    Ok(())
}

fn tell(scheduler: &Scheduler, news: News, log: &Log) {
    match news {
        News::Ended { outcome, followers } => {
            for follower in followers {
                alone(log, "a follower", "", || follower(&outcome));
            }
        }
        News::Ready(node) => alone(log, "spawn_after", "", || scheduler.go(node)),
        News::Gone(it) => alone(log, "a drop", "", || drop(it)),
        News::Heard(listener) => alone(log, "a listener", "", || listener()),
        News::ToJudge {
            task,
            name,
            ran,
            mut outcome,
            judge,
        } => {
            let mut has_failed = false;
            alone(log, "retry_when", name(), || {
                has_failed = judge(&mut outcome)
            });
            scheduler.judged(task, ran, outcome, has_failed);
        }
    }
}

/// Whose waker panics, say: the others are told all the same.
fn alone(log: &Log, which: &str, task: &str, f: impl FnOnce()) {
    if let Err(panic) = caught(f) {
        log.with(|| tracing::error!(which, task, panic, "whoever followed a task panicked"));
    }
}
