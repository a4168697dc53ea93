//! Lanes: tasks in them survive every death, at their level, and are never forgotten.

use std::time::Instant;

use crate::scheduler::recover::inspect::Suspects;

use super::*;

fn at(level: Priority, mut job: Job) -> Job {
    job.settings_mut().priority = level;
    job
}

fn lane(scheduler: &Scheduler, level: Priority) -> steal::Taker {
    let lane = level.lane().expect("has a lane");
    steal::Taker::attach(scheduler.fold.lane(lane))
}

/// How many hints wait at each level, the highest first.
fn waiting(scheduler: &Scheduler) -> [u64; 4] {
    let executors = scheduler.fold.plan.shape.executors();
    Priority::ALL.map(|level| match level.lane() {
        Some(_) => lane(scheduler, level).backlog(),
        None => (0..executors)
            .map(|e| steal::Taker::attach(scheduler.fold.inbox(e)).backlog())
            .sum(),
    })
}

/// A death at each step of a life in which tasks of all levels are run: after each
/// announcement, take, claim. Those not begun are run by others, once.
#[test]
fn an_executor_dies_with_tasks_of_each_level() {
    at_every_step(40, |step| {
        let scheduler = scheduler(2, SLOTS);
        let tickets = Priority::ALL.map(|level| {
            let n = u64::from(level.level());
            let ticket = submit(&scheduler, at(level, job(&scheduler, square, n)));
            (n, ticket)
        });
        assert_eq!(waiting(&scheduler), [1; 4]);
        RUNS.set(0);
        let mut dead = Hand::new(&scheduler, 0);
        let died = dead.dies(step);
        let of_the_dead = |ticket| state_of(&scheduler, ticket) == Some(TaskState::Running);
        let running = tickets.iter().map(|(_, ticket)| of_the_dead(ticket));
        let running: Vec<bool> = running.collect();
        check_not_suspected(&scheduler);
        for rescue in 0..2 {
            let moved = scheduler.rescue(0, PID);
            assert!(moved <= usize::from(rescue == 0), "step {step}");
            check_not_suspected(&scheduler);
        }
        Hand::new(&scheduler, 1).run_all();
        scheduler.told(PID, SEGFAULT);
        for ((n, ticket), was_running) in tickets.iter().zip(running) {
            let outcome = scheduler.poll(ticket).expect("ended");
            if was_running {
                assert_eq!(died_of(outcome), Some(SEGFAULT), "step {step}");
            } else {
                let value = outcome.expect("a value").decode::<u64>();
                assert_eq!(value, Ok(n * n), "step {step}");
            }
        }
        assert!(RUNS.get() <= 4, "each once at most");
        check_whole(&scheduler);
        died
    });
}

/// What the dead had taken and not begun, and what it ran and may be run again, waits at
/// its level once more; at no other, and the former once for each rescue.
#[test]
fn what_is_issued_again_keeps_its_level() {
    for (place, level) in Priority::ALL.into_iter().enumerate() {
        for (step, is_begun) in [(1, false), (2, false), (3, false), (CLAIMED, true)] {
            let scheduler = scheduler(2, SLOTS);
            let mut job = at(level, job(&scheduler, square, 6));
            job.settings_mut().attempts = 2;
            let ticket = submit(&scheduler, job);
            let mut dead = Hand::new(&scheduler, 0);
            assert!(dead.dies(step));
            let is_taken = step > 1;
            let mut expected = [0; 4];
            expected[place] = u64::from(!is_taken);
            assert_eq!(waiting(&scheduler), expected, "{level:?}, step {step}");
            assert_eq!(scheduler.rescue(0, PID), usize::from(is_begun));
            // Tried again, and as announced: one of the two will be stale.
            expected[place] = if is_begun {
                2
            } else {
                u64::from(!is_taken) + 1
            };
            assert_eq!(waiting(&scheduler), expected, "{level:?}, step {step}");
            scheduler.told(PID, KILLED);
            RUNS.set(0);
            Hand::new(&scheduler, 1).run_all();
            assert_eq!(RUNS.get(), 1);
            let value = scheduler.poll(&ticket).expect("ended").expect("36");
            assert_eq!(value.decode(), Ok(36u64));
            check_whole(&scheduler);
        }
    }
}

/// An attempt that has had to wait comes at its level too.
#[test]
fn a_later_attempt_keeps_its_level() {
    let scheduler = scheduler(1, SLOTS);
    let mut job = at(Priority::Background, job(&scheduler, square, 6));
    job.settings_mut().attempts = 3;
    let ticket = submit(&scheduler, job);
    for attempt in 0..2 {
        let mut dead = Hand::new(&scheduler, 0);
        assert!(dead.dies(CLAIMED));
        scheduler.rescue(0, PID + attempt);
        scheduler.told(PID + attempt, KILLED);
    }
    let stale = waiting(&scheduler);
    assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Waiting));
    scheduler.tick(Instant::now() + HOUR);
    let mut expected = stale;
    expected[3] += 1;
    assert_eq!(waiting(&scheduler), expected);
    Hand::new(&scheduler, 0).run_all();
    let value = scheduler.poll(&ticket).expect("ended").expect("36");
    assert_eq!(value.decode(), Ok(36u64));
    check_whole(&scheduler);
}

/// Trap 3, for a lane: hints for which it has no room wait for it, and go nowhere else.
#[test]
fn a_lane_without_room_keeps_its_tasks() {
    let scheduler = scheduler(1, SLOTS);
    let capacity = scheduler.fold.plan.shape.ring_capacity() as u64;
    let first = submit(&scheduler, at(Priority::Low, job(&scheduler, square, 1)));
    {
        let mut state = scheduler.lock();
        while !state.queues.has_aside() {
            scheduler.place(&mut state, hint_of(&scheduler, &first).pack());
        }
        scheduler.publish(&mut state);
    }
    let second = submit(&scheduler, at(Priority::Low, job(&scheduler, square, 2)));
    assert_eq!(waiting(&scheduler), [0, 0, capacity, 0]);
    check_not_suspected(&scheduler);
    let mut hand = Hand::new(&scheduler, 0);
    while scheduler.counters().in_flight > 0 {
        assert!(hand.run_all() > 0, "those without room were forgotten");
    }
    for (n, ticket) in [(1u64, first), (2, second)] {
        let value = scheduler.poll(&ticket).expect("ended").expect("a value");
        assert_eq!(value.decode::<u64>(), Ok(n * n));
    }
    check_whole(&scheduler);
}

/// A task whose hint was taken out of a lane by nobody that lives is found, and what
/// waits in one is not taken for such.
#[test]
fn a_task_whose_lane_lost_its_hint_is_found() {
    for level in Priority::LANES {
        let scheduler = scheduler(1, SLOTS);
        let ticket = submit(&scheduler, at(level, job(&scheduler, square, 1)));
        check_not_suspected(&scheduler);
        let mut gone = [0];
        let taken = lane(&scheduler, level).take(&mut gone, false, |_| ());
        assert_eq!(taken, Ok((1, 0)));
        let mut suspects = Suspects::new();
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
        assert!(scheduler.is_condemned());
        assert!(scheduler.poll(&ticket).expect("ended").is_err());
    }
}

/// Lanes are looked at for damage as inboxes are, and named.
#[test]
fn a_damaged_lane_is_found() {
    for level in Priority::LANES {
        let scheduler = scheduler(1, SLOTS);
        let lane = scheduler.fold.lane(level.lane().expect("has a lane"));
        let mut wild = steal::Producer::attach(lane);
        for _ in 0..3 {
            assert_eq!(wild.stage(7), Ok(true));
        }
        wild.publish();
        scheduler.inspect(&mut scheduler.lock());
        assert!(scheduler.is_condemned(), "{level:?}");
    }
}

/// Work in a lane is everybody's: each worker has something to do, and a sleeper is
/// woken for it.
#[test]
fn what_waits_in_a_lane_is_everybodys() {
    for level in Priority::LANES {
        let scheduler = scheduler(3, SLOTS);
        let crowd = &scheduler.fold.crowd;
        assert!(!(0..3).any(|worker| scheduler.has_work(worker)));
        crowd.sleeping.insert(2);
        let ticket = submit(&scheduler, at(level, job(&scheduler, square, 3)));
        assert!(!crowd.sleeping.contains(2), "{level:?}: woken");
        assert!(crowd.searching.contains(2));
        assert!((0..3).all(|worker| scheduler.has_work(worker)));
        // It was stopped at once; another sleeps meanwhile.
        crowd.sleeping.insert(1);
        let again = submit(&scheduler, at(level, job(&scheduler, square, 4)));
        assert!(crowd.sleeping.contains(1), "one is searching already");
        scheduler.tick(Instant::now() + HOUR);
        scheduler.tick(Instant::now() + HOUR);
        assert!(!crowd.sleeping.contains(1), "{level:?}: looked after");
        Hand::new(&scheduler, 0).run_all();
        assert!(!(0..3).any(|worker| scheduler.has_work(worker)));
        for (n, ticket) in [(3u64, ticket), (4, again)] {
            let value = scheduler.poll(&ticket).expect("ended").expect("a value");
            assert_eq!(value.decode::<u64>(), Ok(n * n));
        }
        check_whole(&scheduler);
    }
}
