//! Cancelling a task in each of its states, its worker alive or dead.

use crate::scheduler::Reach;

use super::*;

fn is_cancelled(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Err(error)) if matches!(*error, TaskError::Cancelled { .. }))
}

/// Cancelled before it is begun it never runs; afterwards it is asked, and goes on.
#[test]
fn only_what_was_not_begun_is_cancelled() {
    for kind in &KINDS {
        let scheduler = scheduler(1, SLOTS);
        let ticket = submit(&scheduler, (kind.job)(&scheduler));
        assert!(scheduler.cancel(&ticket, Reach::Running), "{}", kind.name);
        assert!(
            !scheduler.cancel(&ticket, Reach::Running),
            "{}: it has ended",
            kind.name
        );
        assert!(is_cancelled(scheduler.poll(&ticket)), "{}", kind.name);
        RUNS.set(0);
        Hand::new(&scheduler, 0).run_all();
        assert_eq!(RUNS.get(), 0, "{}", kind.name);
        check_whole(&scheduler);
    }
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 7));
    let hint = hint_of(&scheduler, &ticket);
    let slot = &scheduler.fold.slots[hint.slot.at()];
    assert!(slot.claim(ExecutorId(0), hint.generation));
    assert!(
        scheduler.cancel(&ticket, Reach::Running),
        "it is asked to end"
    );
    assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Running));
}

/// An executor dies at each of its steps, and is recovered; then the task is
/// cancelled. It ends once, with the truth, and a late cause is no matter.
#[test]
fn a_task_is_cancelled_after_a_death() {
    for kind in &KINDS {
        for (attempts, backoff) in [(1, Duration::ZERO), (3, Duration::ZERO), (3, HOUR)] {
            if attempts > 1 && !kind.may_repeat {
                continue;
            }
            at_every_step(10, |step| {
                let context = format!("{}, {attempts} attempts, step {step}", kind.name);
                let scheduler = scheduler(2, SLOTS);
                let mut job = (kind.job)(&scheduler);
                job.settings_mut().attempts = attempts;
                (
                    job.settings_mut().backoff.first,
                    job.settings_mut().backoff.longest,
                ) = (backoff, backoff);
                let ticket = submit(&scheduler, job);
                let mut dead = Hand::new(&scheduler, 0);
                POOL.set(Some(dead.pool.clone()));
                let has_died = dead.dies(step);
                scheduler.rescue(0, PID);
                let before = state_of(&scheduler, &ticket);
                let says = scheduler.cancel(&ticket, Reach::Running);
                scheduler.told(PID, KILLED);
                let outcome = scheduler.poll(&ticket).expect(&context);
                match outcome {
                    Ok(value) => {
                        assert!(!says, "{context}");
                        (kind.check)(value);
                    }
                    Err(error) if matches!(*error, TaskError::Cancelled { .. }) => {
                        assert!(says, "{context}");
                        assert_ne!(before, None, "{context}");
                    }
                    Err(error) => {
                        assert!(!says && attempts == 1, "{context}: {error}");
                        assert_eq!(died_of(Err(error)), Some(KILLED), "{context}");
                    }
                }
                POOL.set(None);
                check_whole(&scheduler);
                has_died
            });
        }
    }
}
