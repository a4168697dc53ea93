//! Who waits does not look all the time, and who submits on does not collect all at once.

use std::time::{Duration, Instant};

use crate::scheduler::collect::completions::PORTION;
use crate::scheduler::waiting::sleepers::Awaited;

use super::{Hand, SLOTS, job, scheduler, square, submit};

const US: Duration = Duration::from_micros(1);

#[test]
fn a_nap_is_half_of_the_time_that_what_is_ahead_takes() {
    let scheduler = scheduler(2, SLOTS);
    let nap = |behind: usize, grain_ns: u64| {
        let mut state = scheduler.lock();
        state.choice.note_all_tasks_ns(grain_ns);
        scheduler.nap_for(&state, behind)
    };
    assert_eq!(nap(1000, 0), None, "nothing is known");
    assert_eq!(nap(7, 1_000_000), None, "it may be the next");
    assert_eq!(nap(8, 100_000), Some(200 * US));
    assert_eq!(nap(1000, 1_000), Some(250 * US));
    assert_eq!(nap(1000, 399), None, "too short to be worth it");
    assert_eq!(nap(1_000_000, 1_000_000), Some(1000 * US), "not too long");
}

#[test]
fn who_waits_for_one_of_many_naps_if_that_makes_nothing_late() {
    let scheduler = scheduler(2, SLOTS);
    let nap = |grain_ns: u64, deadline: Option<Duration>| {
        let mut state = scheduler.lock();
        state.choice.note_all_tasks_ns(grain_ns);
        let deadline = deadline.map(|within| Instant::now() + within);
        scheduler.worthwhile_nap(&state, 10_000, deadline)
    };
    assert_eq!(nap(200, None), Some(500 * US));
    assert_eq!(nap(149, None), None, "executors wait for who submits");
    assert_eq!(nap(200, Some(400 * US)), None, "beyond the deadline");
    assert_eq!(nap(200, Some(Duration::from_secs(60))), Some(500 * US));
}

/// With CPUs to spare it looks.
#[test]
fn nobody_naps_who_has_a_cpu_of_its_own() {
    let mut scheduler = scheduler(2, SLOTS);
    scheduler.allowed_cpus = 3;
    scheduler.lock().choice.note_all_tasks_ns(1_000);
    assert_eq!(scheduler.nap_for(&scheduler.lock(), 10_000), None);
}

#[test]
fn who_submits_on_collects_in_portions() {
    let tasks = 4 * PORTION as u32;
    let scheduler = scheduler(1, tasks);
    let tickets: Vec<_> = (0..tasks)
        .map(|n| submit(&scheduler, job(&scheduler, square, u64::from(n))))
        .collect();
    Hand::new(&scheduler, 0).run_all();
    let mut left = tasks as usize;
    assert_eq!(scheduler.lock().slots.in_flight(), left);
    // What it asks for, and a portion of what came before.
    assert!(scheduler.poll(&tickets[tasks as usize - 1]).is_some());
    left -= PORTION as usize + 1;
    assert_eq!(scheduler.lock().slots.in_flight(), left);
    // Its own is among what was collected.
    assert!(scheduler.poll(&tickets[0]).is_some());
    assert_eq!(scheduler.lock().slots.in_flight(), left);
    assert!(scheduler.poll(&tickets[PORTION as usize]).is_some());
    assert!(scheduler.lock().slots.in_flight() < left);
}

/// Whoever is called under the lock is unparked by whoever gives it up, on every way out.
#[test]
fn who_is_called_under_the_lock_is_unparked_when_it_is_free() {
    let scheduler = scheduler(1, SLOTS);
    let me = std::thread::current();
    for as_favourite in [false, true] {
        // A favourite comes often in a row.
        let comes = if as_favourite { 1000 } else { 1 };
        (0..comes).for_each(|_| drop(scheduler.lock()));
        let mut state = scheduler.lock();
        state.waiting.enter(me.clone(), Awaited::Any);
        state.unpark_all();
        drop(state);
        // Returns at once.
        std::thread::park_timeout(Duration::from_secs(3600));
        scheduler.lock().waiting.leave(me.id());
        assert!(!scheduler.lock().waiting.has_called());
    }
}
