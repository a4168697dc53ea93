//! No worker is left, and later there is one again: in the same fold.

use crate::error::Refusal;

use super::*;

/// An executor stops after each of its steps, and no successor can be started. Whatever had not
/// ended ends with the cause, nothing of it is left, and what the dead and the former tasks have left in
/// rings harms nobody who comes later.
#[test]
fn what_no_worker_is_left_for_ends_and_the_fold_goes_on() {
    for kind in &KINDS {
        for attempts in [1, 3] {
            if attempts == 1 || kind.may_repeat {
                at_every_step(12, |step| ends_without_workers(kind, attempts, step));
            }
        }
    }
}

fn ends_without_workers(kind: &Kind, attempts: u32, step: u32) -> bool {
    let context = format!("{}, {attempts} attempts, step {step}", kind.name);
    let scheduler = scheduler(2, SLOTS);
    let mut first = (kind.job)(&scheduler);
    first.settings_mut().attempts = attempts;
    let mut tickets = vec![submit(&scheduler, first)];
    tickets.extend((0..2).map(|_| submit(&scheduler, (kind.job)(&scheduler))));
    let died = Hand::new(&scheduler, 0).dies(step);
    scheduler.rescue(0, PID);
    scheduler.rescue(1, PID + 1);

    scheduler.give_up("no luck");
    assert_eq!(
        scheduler.try_reserve(),
        Err(Refusal::NoWorkers),
        "{context}"
    );
    assert_eq!(scheduler.why_no_workers().as_deref(), Some("no luck"));
    assert!(scheduler.is_wanted() && !scheduler.is_wanted(), "{context}");
    let mut failed = 0;
    for ticket in tickets {
        match scheduler.poll(&ticket).expect(&context) {
            Ok(value) => (kind.check)(value),
            Err(error) => {
                let is_told =
                    matches!(&*error, TaskError::NoWorkers { reason, .. } if reason == "no luck");
                assert!(is_told, "{context}: {error}");
                failed += 1;
            }
        }
    }
    scheduler.told(PID, SEGFAULT); // too late, and no matter
    assert_eq!(scheduler.pool.in_use(), [0, 0, 0], "{context}");
    assert_eq!(scheduler.audit().orphans, [""; 0], "{context}");

    scheduler.go_on();
    assert_eq!(scheduler.why_no_workers(), None, "{context}");
    assert_eq!(scheduler.try_reserve(), Ok(()), "{context}");
    for round in 0..2 {
        let tickets: Vec<_> = (0..u64::from(SLOTS))
            .map(|n| submit(&scheduler, job(&scheduler, square, n)))
            .collect();
        Hand::new(&scheduler, round).run_all();
        Hand::new(&scheduler, 1 - round).run_all();
        for (n, ticket) in (0..).zip(tickets) {
            let value = scheduler.poll(&ticket).expect(&context).expect("a value");
            assert_eq!(value.decode::<u64>(), Ok(n * n), "{context}");
        }
    }
    check_not_suspected(&scheduler);
    assert_eq!(scheduler.counters().failed, failed, "{context}");
    assert_eq!(scheduler.counters().in_flight, 0, "{context}");
    assert_eq!(scheduler.audit().orphans, [""; 0], "{context}");
    died
}

/// A shutdown is the last word.
#[test]
fn what_was_shut_down_does_not_go_on() {
    let scheduler = scheduler(1, SLOTS);
    scheduler.give_up("no luck");
    scheduler.close();
    scheduler.go_on();
    assert_eq!(scheduler.try_reserve(), Err(Refusal::Shutdown));
    scheduler.give_up("no luck either");
    assert_eq!(scheduler.try_reserve(), Err(Refusal::Shutdown));
}
