//! A hard deadline that comes while a task is in each of its states, its worker
//! alive, dead and not yet recovered, recovered, and accounted for.

use std::time::Instant;

use super::*;

/// When the deadline comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// Before the rescue; the supervisor finds the worker alive still, and stops it.
    Struck,
    /// Before the rescue; the worker ends by itself before the supervisor stops it.
    NotStruck,
    AfterRescue,
    AfterStatus,
    /// When another executor has taken it up.
    AfterClaim,
}

const COMES: [Comes; 5] = [
    Comes::Struck,
    Comes::NotStruck,
    Comes::AfterRescue,
    Comes::AfterStatus,
    Comes::AfterClaim,
];

/// The task ends once; a result that was written counts, and after the deadline no
/// attempt is begun.
#[test]
fn a_deadline_comes_in_each_state() {
    for kind in &KINDS {
        for (attempts, backoff) in [(1, Duration::ZERO), (3, Duration::ZERO), (3, HOUR)] {
            if attempts > 1 && !kind.may_repeat {
                continue;
            }
            for comes in COMES {
                at_every_step(12, |step| comes_at(kind, (attempts, backoff), comes, step));
            }
        }
    }
}

fn comes_at(kind: &Kind, (attempts, backoff): (u32, Duration), comes: Comes, step: u32) -> bool {
    let context = format!("{}, {attempts} attempts, {comes:?}, step {step}", kind.name);
    let scheduler = scheduler(3, SLOTS);
    let limit = Duration::from_secs(60);
    let mut job = (kind.job)(&scheduler);
    (job.settings_mut().attempts, job.settings_mut().deadline) = (attempts, Some(limit));
    (
        job.settings_mut().backoff.first,
        job.settings_mut().backoff.longest,
    ) = (backoff, backoff);
    let ticket = submit(&scheduler, job);
    let late = Instant::now() + 2 * limit;
    RUNS.set(0);

    // With a wait between attempts it is the second that this is about.
    let mut corpses = Vec::new();
    if !backoff.is_zero() {
        let mut first = Hand::new(&scheduler, 2);
        assert!(first.dies(CLAIMED), "{context}");
        assert_eq!(scheduler.rescue(2, PID + 2), 1, "{context}");
        corpses.push(first);
    }
    let mut dead = Hand::new(&scheduler, 0);
    let died = dead.dies(step);
    let state = state_of(&scheduler, &ticket);
    let was_running = state == Some(TaskState::Running);
    let was_done = state == Some(TaskState::Done);

    if let Comes::Struck | Comes::NotStruck = comes {
        let overdue = scheduler.tick(late);
        assert_eq!(overdue.len(), usize::from(was_running), "{context}");
        if comes == Comes::Struck {
            for overdue in &overdue {
                assert!(scheduler.strike(overdue, None), "{context}");
            }
        }
    }
    scheduler.rescue(0, PID);
    if comes == Comes::AfterRescue {
        assert!(scheduler.tick(late).is_empty(), "{context}");
    }
    scheduler.told(PID, SEGFAULT);
    if comes == Comes::AfterStatus {
        assert!(scheduler.tick(late).is_empty(), "{context}");
    }
    let begun = RUNS.get();
    let mut second = Hand::new(&scheduler, 1);
    if comes == Comes::AfterClaim {
        // Just after the claim, if there is anything to claim.
        second.dies(CLAIMED);
        let runs = state_of(&scheduler, &ticket) == Some(TaskState::Running);
        let overdue = scheduler.tick(late);
        assert_eq!(overdue.len(), usize::from(runs), "{context}");
        for overdue in &overdue {
            assert!(scheduler.strike(overdue, None), "{context}");
        }
        scheduler.rescue(1, PID + 1);
        scheduler.told(PID + 1, KILLED);
    }
    // Long after, when everything has come that was ever to come.
    scheduler.tick(late + 3 * HOUR);
    Hand::new(&scheduler, 1).run_all();
    assert_eq!(RUNS.get(), begun, "{context}: begun after the deadline");

    let outcome = scheduler.poll(&ticket).expect(&context);
    let had_begun = !backoff.is_zero() || was_running;
    let status_first = matches!(comes, Comes::AfterStatus | Comes::AfterClaim);
    if was_done {
        (kind.check)(outcome.expect(&context));
    } else if was_running && attempts == 1 && status_first {
        assert_eq!(died_of(outcome), Some(SEGFAULT), "{context}");
    } else {
        let error = outcome.map(drop).expect_err(&context);
        // How an attempt before it has ended, if that was told: a matter of `tests/ground`.
        let TaskError::DeadlineExceeded {
            limit: of, begun, ..
        } = *error
        else {
            panic!("{context}: {error}");
        };
        let expected = (limit, had_begun || comes == Comes::AfterClaim);
        assert_eq!((of, begun), expected, "{context}");
    }
    check_not_suspected(&scheduler);
    scheduler.told(PID + 2, SEGFAULT);
    check_whole(&scheduler);
    drop((dead, second, corpses));
    died
}
