//! Groups: who is told of which end, and what is left of them.

use crate::scheduler::{Ended, Group, Reach};

use super::*;

fn tags(scheduler: &Scheduler, group: &Group) -> Vec<u32> {
    let mut ended = Vec::new();
    scheduler.take_ended(group, &mut ended);
    let tags = ended.iter().map(|Ended { tag, .. }| *tag);
    tags.collect()
}

fn submit_all(scheduler: &Scheduler, count: u64) -> Vec<Ticket> {
    (0..count)
        .map(|n| submit(scheduler, job(scheduler, square, n)))
        .collect()
}

fn enrol(scheduler: &Scheduler, group: &Group, tickets: &[Ticket]) {
    scheduler.enrol(group, (0..).zip(tickets));
}

#[test]
fn both_groups_are_told_once() {
    let scheduler = scheduler(1, SLOTS);
    let tickets = submit_all(&scheduler, 4);
    let (scope, race) = (scheduler.open_group(), scheduler.open_group());
    enrol(&scheduler, &scope, &tickets);
    enrol(&scheduler, &race, &tickets[2..]);
    assert!(scheduler.cancel(&tickets[3], Reach::Running));
    // Told all the same: nobody will ask for its outcome.
    scheduler.detach(&tickets[0]);
    Hand::new(&scheduler, 0).run_all();
    assert_eq!(tags(&scheduler, &scope), [3, 0, 1, 2]);
    assert_eq!(tags(&scheduler, &race), [1, 0]);
    assert_eq!(tags(&scheduler, &scope), [0; 0]);
    // What has ended is told at once.
    let late = scheduler.open_group();
    enrol(&scheduler, &late, &tickets[1..2]);
    assert_eq!(tags(&scheduler, &late), [0]);
    for group in [scope, race, late] {
        scheduler.close_group(group);
    }
    for ticket in &tickets[1..] {
        assert!(scheduler.poll(ticket).is_some());
    }
    check_whole(&scheduler);
}

#[test]
fn an_error_is_told_with_the_end() {
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 1));
    let group = scheduler.open_group();
    enrol(&scheduler, &group, std::slice::from_ref(&ticket));
    scheduler.cancel_group(&group, Reach::Running);
    let mut ended = Vec::new();
    scheduler.take_ended(&group, &mut ended);
    let error = ended.pop().expect("told").error.expect("an error");
    assert!(matches!(*error, TaskError::Cancelled { .. }));
    scheduler.close_group(group);
    assert!(scheduler.poll(&ticket).is_some());
    check_whole(&scheduler);
}

/// A group that is closed is told nothing, and its number is used again only when
/// no ticket names it any more.
#[test]
fn a_closed_group_is_told_nothing() {
    let scheduler = scheduler(1, SLOTS);
    let tickets = submit_all(&scheduler, 2);
    let first = scheduler.open_group();
    enrol(&scheduler, &first, &tickets);
    scheduler.close_group(first);
    let second = scheduler.open_group();
    enrol(&scheduler, &second, &tickets[..1]);
    scheduler.cancel_group(&second, Reach::Running);
    assert_eq!(scheduler.counters().cancelled, 1, "only its own");
    Hand::new(&scheduler, 0).run_all();
    assert_eq!(tags(&scheduler, &second), [0]);
    scheduler.close_group(second);
    // However often: their places are used again.
    for _ in 0..100 {
        let group = scheduler.open_group();
        enrol(&scheduler, &group, &tickets);
        assert_eq!(tags(&scheduler, &group), [0, 1]);
        scheduler.close_group(group);
    }
    assert!(scheduler.lock().tickets.groups.len() <= 2);
    for ticket in &tickets {
        assert!(scheduler.poll(ticket).is_some());
    }
    check_whole(&scheduler);
}

/// One waits as leader, others follow; each is woken by an end of its own group, and
/// by a poke.
#[test]
fn waiters_of_groups_are_woken() {
    let scheduler = scheduler(1, SLOTS);
    for _ in 0..200 {
        let tickets = submit_all(&scheduler, 3);
        let groups = [(); 4].map(|()| scheduler.open_group());
        for (group, ticket) in groups.iter().zip(&tickets) {
            enrol(&scheduler, group, std::slice::from_ref(ticket));
        }
        std::thread::scope(|threads| {
            for group in &groups {
                let scheduler = &scheduler;
                threads.spawn(move || scheduler.wait_for_group(group, None));
            }
            scheduler.poke(&groups[3]);
            scheduler.cancel(&tickets[0], Reach::Running);
            Hand::new(&scheduler, 0).run_all();
        });
        for group in groups {
            scheduler.close_group(group);
        }
        for ticket in &tickets {
            assert!(scheduler.poll(ticket).is_some());
        }
    }
    check_whole(&scheduler);
}
