//! The thread that tells followers of the ends of tasks: see `scheduler/watch.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::scheduler::{News, Scheduler};

/// Starts the attendant of a fold. It ends when the fold has, and all is told.
pub fn attend(scheduler: &Arc<Scheduler>) -> std::io::Result<()> {
    let scheduler = Arc::clone(scheduler);
    std::thread::Builder::new()
        .name("pinfold-attend".into())
        .spawn(move || {
            while let Some(all) = scheduler.attend() {
                all.into_iter().for_each(|news| tell(&scheduler, news));
            }
        })?;
    Ok(())
}

fn tell(scheduler: &Scheduler, news: News) {
    match news {
        News::Ended { outcome, followers } => {
            for follower in followers {
                alone(|| follower(&outcome));
            }
        }
        News::Ready(node) => alone(|| scheduler.go(node)),
        News::Heard(listener) => alone(|| listener()),
        News::ToJudge {
            task,
            ran,
            outcome,
            judge,
        } => {
            let mut has_failed = false;
            alone(|| has_failed = judge(&outcome));
            scheduler.judged(task, ran, outcome, has_failed);
        }
    }
}

/// Whose waker panics, say: the others are told all the same.
fn alone(f: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(f)).is_err() {
        tracing::error!("whoever followed a task panicked");
    }
}
