//! A death at every step of an executor's life, for every kind of task.

use super::*;

/// When the status of the dead is told.
#[derive(Clone, Copy, Debug)]
enum Telling {
    BeforeOthersRun,
    AfterOthersRan,
    Never,
}

const TELLINGS: [Telling; 3] = [
    Telling::BeforeOthersRun,
    Telling::AfterOthersRan,
    Telling::Never,
];

/// Every kind of task, at most once and repeatable: the executor stops after each
/// step, the host recovers (once, or twice in a row), another executor goes on. The
/// task ends once, by its policy, and nothing of it is left.
#[test]
fn an_executor_dies_at_each_step() {
    for kind in &KINDS {
        for attempts in [1, 3] {
            if attempts > 1 && !kind.may_repeat {
                continue;
            }
            for telling in TELLINGS {
                for rescues in 1..=2 {
                    at_every_step(12, |step| dies_once(kind, attempts, telling, rescues, step));
                }
            }
        }
    }
}

fn dies_once(kind: &Kind, attempts: u32, telling: Telling, rescues: u32, step: u32) -> bool {
    let context = format!(
        "{}, {attempts} attempts, {telling:?}, step {step}",
        kind.name
    );
    let scheduler = scheduler(2, SLOTS);
    let mut job = (kind.job)(&scheduler);
    job.settings_mut().attempts = attempts;
    let ticket = submit(&scheduler, job);
    RUNS.set(0);
    let mut dead = Hand::new(&scheduler, 0);
    let died = dead.dies(step);
    let was_running = state_of(&scheduler, &ticket) == Some(TaskState::Running);
    check_not_suspected(&scheduler);

    let moved = scheduler.rescue(0, PID);
    assert_eq!(moved, usize::from(was_running), "{context}");
    for _ in 1..rescues {
        assert_eq!(scheduler.rescue(0, PID), 0, "{context}");
    }
    check_not_suspected(&scheduler);
    assert_eq!(scheduler.audit().orphans, [""; 0], "{context}");
    if let Telling::BeforeOthersRun = telling {
        scheduler.told(PID, SEGFAULT);
    }
    Hand::new(&scheduler, 1).run_all();
    let cause = match telling {
        Telling::BeforeOthersRun => SEGFAULT,
        Telling::AfterOthersRan => {
            scheduler.told(PID, SEGFAULT);
            SEGFAULT
        }
        Telling::Never => {
            let is_held = was_running && attempts == 1;
            let state = state_of(&scheduler, &ticket);
            assert_eq!(
                state == Some(TaskState::Waiting),
                is_held,
                "{context}: ends only when told"
            );
            assert_eq!(scheduler.audit().orphans, [""; 0], "{context}");
            // What the supervisor says when its patience has ended.
            scheduler.told(PID, Death::Unknown);
            Death::Unknown
        }
    };
    let outcome = scheduler.poll(&ticket).expect(&context);
    if was_running && attempts == 1 {
        assert_eq!(died_of(outcome), Some(cause), "{context}");
    } else {
        (kind.check)(outcome.expect(&context));
    }
    let again = scheduler.poll(&ticket).expect(&context).map(drop);
    let error = again.expect_err(&context);
    assert!(
        matches!(*error, TaskError::AlreadyJoined { .. }),
        "{context}: once"
    );
    let counters = scheduler.counters();
    let repeated = u64::from(was_running && attempts > 1);
    assert_eq!(counters.repeated, repeated, "{context}");
    assert!(u64::from(RUNS.get()) <= 1 + repeated, "{context}");
    // Nothing comes of hearing it again.
    scheduler.told(PID, KILLED);
    check_whole(&scheduler);
    drop(dead);
    died
}

/// Trap 2: a hint that only the dead knew would be a task lost. Several tasks in one
/// batch, a death at each step: those not begun are run by others, once.
#[test]
fn trap_2_hints_taken_by_the_dead_are_not_lost() {
    at_every_step(30, |step| {
        let scheduler = scheduler(3, SLOTS);
        let tickets: Vec<_> = (0..u64::from(SLOTS))
            .map(|n| submit(&scheduler, job(&scheduler, square, n)))
            .collect();
        RUNS.set(0);
        let mut dead = Hand::new(&scheduler, 0);
        let died = dead.dies(step);
        let of_the_dead = |ticket| state_of(&scheduler, ticket) == Some(TaskState::Running);
        let running: Vec<bool> = tickets.iter().map(of_the_dead).collect();
        check_not_suspected(&scheduler);
        let moved = scheduler.rescue(0, PID);
        assert_eq!(moved, running.iter().filter(|was| **was).count());
        assert!(moved <= 1, "the others are announced only");
        check_not_suspected(&scheduler);
        Hand::new(&scheduler, 2).run_all();
        Hand::new(&scheduler, 1).run_all();
        scheduler.told(PID, SEGFAULT);
        for ((n, ticket), was_running) in (0..).zip(&tickets).zip(running) {
            let outcome = scheduler.poll(ticket).expect("ended");
            if was_running {
                assert_eq!(died_of(outcome), Some(SEGFAULT));
            } else {
                let value = outcome.expect("a value").decode::<u64>();
                assert_eq!(value, Ok(n * n), "step {step}");
            }
        }
        assert!(RUNS.get() <= SLOTS, "each once at most");
        check_whole(&scheduler);
        died
    });
}

/// A second executor takes the task over, and dies too, at each of its steps; the
/// first one's status comes before or after. The third one does it.
#[test]
fn two_die_of_it_one_after_the_other() {
    for kind in KINDS.iter().filter(|kind| kind.may_repeat) {
        at_every_step(12, |first| {
            let mut first_died = false;
            at_every_step(0, |second| {
                let second_died;
                [first_died, second_died] = dies_twice(kind, first, second);
                second_died
            });
            first_died
        });
    }
}

fn dies_twice(kind: &Kind, first: u32, second: u32) -> [bool; 2] {
    let context = format!("{}, steps {first} and {second}", kind.name);
    let scheduler = scheduler(3, SLOTS);
    let mut job = (kind.job)(&scheduler);
    (
        job.settings_mut().attempts,
        job.settings_mut().backoff.first,
    ) = (3, Duration::ZERO);
    let ticket = submit(&scheduler, job);
    let mut dead = [Hand::new(&scheduler, 0), Hand::new(&scheduler, 1)];
    let first_died = dead[0].dies(first);
    scheduler.rescue(0, PID);
    let second_died = dead[1].dies(second);
    scheduler.rescue(1, PID + 1);
    scheduler.told(PID + 1, KILLED);
    check_not_suspected(&scheduler);
    scheduler.tick(std::time::Instant::now() + HOUR);
    Hand::new(&scheduler, 2).run_all();
    scheduler.told(PID, SEGFAULT);
    let outcome = scheduler.poll(&ticket).expect(&context);
    (kind.check)(outcome.expect(&context));
    check_whole(&scheduler);
    drop(dead);
    [first_died, second_died]
}

/// Trap 5: a completion hint that is read only after recovery has collected its task
/// frees nothing a second time: freeing has changed the word.
#[test]
fn trap_5_a_stale_completion_frees_no_slot_twice() {
    let scheduler = scheduler(1, SLOTS);
    let ticket = submit(&scheduler, job(&scheduler, square, 3));
    let stale = hint_of(&scheduler, &ticket);
    Hand::new(&scheduler, 0).run_all();
    // The host has looked at the word before it read the ring.
    scheduler.collect_all(&mut scheduler.lock());
    let outcome = scheduler.lock().tickets.take(ticket.id());
    assert_eq!(outcome.expect("ended").expect("9").decode(), Ok(9u64));
    let next = submit(&scheduler, job(&scheduler, square, 4));
    assert_eq!(
        hint_of(&scheduler, &next).slot,
        stale.slot,
        "the same slot again"
    );
    assert_ne!(hint_of(&scheduler, &next).generation, stale.generation);
    assert!(scheduler.lock().completions.has_more(0));
    assert_eq!(scheduler.rescue(0, PID), 0, "reads it");
    assert!(!scheduler.lock().completions.has_more(0));
    assert_eq!(scheduler.counters().stale, 1);
    assert!(scheduler.poll(&next).is_none(), "not begun");

    // The same of a task that is tried again: its generation fits, its word does not.
    let mut wild = spsc::Producer::attach(scheduler.fold.completions(0));
    assert!(wild.stage(hint_of(&scheduler, &next).pack()));
    wild.publish();
    assert!(scheduler.poll(&next).is_none());
    Hand::new(&scheduler, 0).run_all();
    let value = scheduler.poll(&next).expect("ended").expect("16");
    assert_eq!(value.decode(), Ok(16u64));
    check_whole(&scheduler);
}

/// Trap 8: `Done` is a plain store, so nobody may change a running task's word while
/// its owner lives: not the recovery of another worker, not a deadline.
#[test]
fn trap_8_a_running_word_is_its_owners_while_that_lives() {
    let scheduler = scheduler(2, SLOTS);
    let mut job = job(&scheduler, square, 5);
    job.settings_mut().deadline = Some(Duration::from_secs(1));
    let ticket = submit(&scheduler, job);
    let hint = hint_of(&scheduler, &ticket);
    let slot = &scheduler.fold.slots[hint.slot.at()];
    assert!(slot.claim(ExecutorId(0), hint.generation));
    let running = slot.word();

    assert_eq!(scheduler.rescue(1, PID), 0);
    scheduler.told(PID, SEGFAULT);
    let overdue = scheduler.tick(std::time::Instant::now() + HOUR);
    assert_eq!(overdue.len(), 1, "asked of the supervisor instead");
    assert!(scheduler.strike(&overdue[0], Some(HOUR)));
    assert_eq!(slot.word(), running);

    // It ends in time after all.
    let (head, _) = slot.read().expect("makes sense");
    let outcome = Ran::Value;
    slot.write(Head { outcome, ..head }, &[25]);
    slot.finish(ExecutorId(0), hint.generation);
    let value = scheduler.poll(&ticket).expect("ended").expect("25");
    assert_eq!(value.decode(), Ok(25u64));
    check_whole(&scheduler);
}
