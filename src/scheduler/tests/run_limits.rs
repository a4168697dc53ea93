//! A limit on running time that passes while a task is in each of its states, its worker
//! alive, dead and not yet recovered, recovered; and what executors say of when it began.

use std::time::Instant;

use crate::scheduler::followers::news::News;
use crate::scheduler::terms::retry::Retry;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// When the limit passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// Before the rescue; the supervisor finds the worker alive still, and stops it.
    Struck,
    /// The same, and it is given a grace.
    Asked,
    /// Before the rescue; the worker ends by itself before the supervisor stops it.
    NotStruck,
    AfterRescue,
}

const PASSES: [Passes; 4] = [
    Passes::Struck,
    Passes::Asked,
    Passes::NotStruck,
    Passes::AfterRescue,
];

fn limited(scheduler: &Scheduler, kind: &Kind, attempts: u32) -> Job {
    let mut job = (kind.job)(scheduler);
    let settings = job.settings_mut();
    (settings.attempts, settings.run_limit) = (attempts, Some(LIMIT));
    settings.backoff.first = Duration::ZERO;
    job
}

/// Whoever takes everything for a failure.
fn tries_again(job: &mut Job, attempts: u32) {
    job.settings_mut().retry = Some(Retry::fixed(attempts, Duration::ZERO));
    job.settings_mut().judge = Some(Arc::new(|_| true));
}

/// Collects, and has judged what is to be; how much that was.
fn judge(scheduler: &Scheduler) -> usize {
    let news = {
        let mut state = scheduler.lock();
        scheduler.collect_all(&mut state);
        std::mem::take(&mut state.tickets.news)
    };
    let count = news.len();
    for news in news {
        if let News::ToJudge {
            task,
            end,
            mut outcome,
            judge,
            ..
        } = news
        {
            let has_failed = judge(&mut outcome);
            scheduler.judged(task, end, outcome, has_failed);
        }
    }
    count
}

#[track_caller]
fn is_late(outcome: Outcome, context: &str) {
    match outcome.map_err(|error| *error) {
        Err(TaskError::DeadlineExceeded { limit, begun, .. }) => {
            assert_eq!((limit, begun), (LIMIT, true), "{context}");
        }
        other => panic!("{context}: {other:?}"),
    }
}

/// The task ends once; a result that was written counts; one that has run for too long does
/// not run again because it is safe to repeat, and does if the judge says so.
#[test]
fn a_run_limit_passes_in_each_state() {
    for kind in &KINDS {
        for (attempts, is_judged) in [(1, false), (3, false), (1, true)] {
            if (attempts > 1 || is_judged) && !kind.may_repeat {
                continue;
            }
            for passes in PASSES {
                at_every_step(12, |step| {
                    passes_at(kind, (attempts, is_judged), passes, step)
                });
            }
        }
    }
}

fn passes_at(kind: &Kind, (attempts, is_judged): (u32, bool), passes: Passes, step: u32) -> bool {
    let context = format!(
        "{}, {attempts} attempts, judged: {is_judged}, {passes:?}, step {step}",
        kind.name
    );
    let scheduler = scheduler(2, SLOTS);
    let mut job = limited(&scheduler, kind, attempts);
    if is_judged {
        tries_again(&mut job, 2);
    }
    let ticket = submit(&scheduler, job);
    let slot = hint_of(&scheduler, &ticket).slot.at();
    let late = Instant::now() + 2 * LIMIT;

    let mut dead = Hand::new(&scheduler, 0);
    let died = dead.dies(step);
    let state = state_of(&scheduler, &ticket);
    let (was_running, was_done) = (
        state == Some(TaskState::Running),
        state == Some(TaskState::Done),
    );
    let has_stamp = scheduler.fold.measures[slot].stamps().began.is_some();
    let mut is_over = false;
    if passes != Passes::AfterRescue {
        let overdue = scheduler.tick(late);
        // Without a stamp it has only just begun.
        is_over = was_running && has_stamp;
        assert_eq!(overdue.len(), usize::from(is_over), "{context}");
        let grace = (passes == Passes::Asked).then_some(LIMIT);
        for overdue in overdue.iter().filter(|_| passes != Passes::NotStruck) {
            assert!(scheduler.strike(overdue, grace), "{context}");
            let graces = scheduler.tick(Instant::now() + 2 * LIMIT);
            assert_eq!(graces.len(), usize::from(grace.is_some()), "{context}");
            assert!(graces.iter().all(|again| again.was_asked), "{context}");
        }
    }
    scheduler.rescue(0, PID);
    if passes == Passes::AfterRescue {
        assert!(scheduler.tick(late).is_empty(), "{context}");
    }
    scheduler.told(PID, SEGFAULT);
    let judged = judge(&scheduler);
    let mut second = Hand::new(&scheduler, 1);
    second.run_all();
    // With no attempt left it is not asked any more.
    assert_eq!(
        judge(&scheduler),
        usize::from(is_judged && judged == 0),
        "{context}"
    );
    second.run_all();

    let outcome = scheduler.poll(&ticket).expect(&context);
    let has_ended_by_it = was_running && !is_judged;
    if is_over && has_ended_by_it {
        is_late(outcome, &context);
        assert_eq!(scheduler.counters().late, 1, "{context}");
    } else if has_ended_by_it && attempts == 1 {
        assert_eq!(died_of(outcome), Some(SEGFAULT), "{context}");
    } else {
        (kind.check)(outcome.expect(&context));
        let repeated = scheduler.counters().repeated;
        // The judge is never content.
        let expected = is_judged || (was_running && attempts > 1);
        assert_eq!(repeated, u64::from(expected), "{context}, {was_done}");
    }
    check_not_suspected(&scheduler);
    scheduler.tick(late + 3 * HOUR);
    scheduler.tick(late + 6 * HOUR);
    assert_eq!(
        scheduler.next_timer(),
        None,
        "{context}: nobody is looked at"
    );
    check_whole(&scheduler);
    drop((dead, second));
    died
}

fn fails(_: u64) -> Result<u64, String> {
    Err("always".into())
}

/// The attempt that had run for too long ends before its worker is stopped, and the same worker
/// begins the next one: that is as innocent as another task.
#[test]
fn another_attempt_is_not_struck_for_the_last_one() {
    let scheduler = scheduler(1, SLOTS);
    let mut job = job(&scheduler, fails, 1);
    job.settings_mut().run_limit = Some(LIMIT);
    job.settings_mut().retry = Some(Retry::fixed(3, Duration::ZERO));
    let ticket = submit(&scheduler, job);
    let hint = hint_of(&scheduler, &ticket);
    let (fold, me) = (scheduler.fold.clone(), ExecutorId(0));
    let (slot, line) = (&fold.slots[hint.slot.at()], &fold.measures[hint.slot.at()]);
    let claim = || {
        let current = &fold.executors[0].doing.current;
        current.store(hint.pack(), Ordering::Relaxed);
        assert!(slot.claim(me, hint.generation));
        line.begins(clock::now());
    };
    claim();
    let overdue = scheduler.tick(Instant::now() + 2 * LIMIT);
    let [overdue] = overdue[..] else {
        panic!("{overdue:?}")
    };
    // With a grace that it uses well.
    assert!(scheduler.strike(&overdue, Some(LIMIT)));
    let note = &fold.notes[hint.slot.at()];
    assert!(note.is_cancelled(hint.generation));
    let end = |scheduler: &Scheduler| {
        let mut payload = Payload::new();
        payload.encode(&fails(1)).expect("encodes");
        let head = Head {
            outcome: Ran::ReturnedErr,
            ..Head::of_arguments(0, payload.len())
        };
        slot.write(head, payload.words());
        slot.finish(me, hint.generation);
        let mut state = scheduler.lock();
        scheduler.collect_all(&mut state);
    };
    end(&scheduler);
    assert_eq!(state_of(&scheduler, &ticket), Some(TaskState::Queued));
    assert!(!note.is_cancelled(hint.generation), "that was the last one");
    assert_eq!(line.stamps().began, None);
    claim();
    assert!(!scheduler.strike(&overdue, None));
    // Nor by the grace of the last one, nor by the next look.
    assert_eq!(scheduler.tick(Instant::now() + LIMIT / 2), []);
    assert!(!scheduler.strike(&overdue, None));
    end(&scheduler);
    claim();
    end(&scheduler);
    let value = scheduler.poll(&ticket).expect("ended").expect("a value");
    assert_eq!(value.decode::<Result<u64, String>>(), Ok(fails(1)));
    assert_eq!(scheduler.counters().late, 0);
}

/// A worker that lies about when it began can neither end its task before its time nor keep
/// it for ever.
#[test]
fn a_stamp_is_believed_within_bounds() {
    for (lie, then) in [
        (1, 1),
        (u64::MAX, u64::MAX),
        (0, 0),
        (u64::MAX / 2, 1),
        (0, u64::MAX),
    ] {
        let scheduler = scheduler(1, SLOTS);
        let before = Instant::now();
        let ticket = submit(&scheduler, limited(&scheduler, &KINDS[0], 1));
        let line = &scheduler.fold.measures[hint_of(&scheduler, &ticket).slot.at()];
        let mut hand = Hand::new(&scheduler, 0);
        assert!(hand.dies(CLAIMED));
        line.begins(lie);
        let first = scheduler.next_timer().expect("a look");
        assert!(first >= before + LIMIT && first <= Instant::now() + LIMIT);
        assert_eq!(scheduler.tick(before + LIMIT), [], "{lie}: before its time");
        let seen = scheduler.tick(first + Duration::from_secs(1));
        line.begins(then);
        let later = scheduler.tick(first + 2 * LIMIT);
        assert_eq!(seen.len() + later.len(), 1, "{lie}, {then}");
        // A lie of the past is as good as the truth: it was queued then.
        assert_eq!(seen.len(), usize::from(lie == 1), "{lie}, {then}");
        scheduler.rescue(0, PID);
        scheduler.told(PID, KILLED);
        is_late(scheduler.poll(&ticket).expect("ended"), "a lie");
        drop(hand);
    }
}

/// While no such task is queued or runs nobody looks: not when all have ended, nor between
/// two attempts.
#[test]
fn nobody_looks_for_nothing() {
    let scheduler = scheduler(2, SLOTS);
    assert_eq!(scheduler.next_timer(), None);
    let mut job = limited(&scheduler, &KINDS[0], 2);
    job.settings_mut().backoff = super::super::Backoff {
        first: 1000 * HOUR,
        longest: 1000 * HOUR,
    };
    tries_again(&mut job, 2);
    job.settings_mut().retry = Some(Retry::fixed(2, HOUR * 10));
    let ticket = submit(&scheduler, job);
    assert!(scheduler.next_timer().is_some());
    Hand::new(&scheduler, 0).run_all();
    assert_eq!(judge(&scheduler), 1, "to be tried again in ten hours");
    scheduler.tick(Instant::now() + HOUR);
    let next = scheduler.next_timer().expect("the next attempt");
    assert!(next > Instant::now() + 5 * HOUR, "and no look before");
    scheduler.tick(Instant::now() + 30 * HOUR);
    assert!(scheduler.next_timer().is_some());
    Hand::new(&scheduler, 1).run_all();
    let value = scheduler.poll(&ticket).expect("ended").expect("a value");
    assert_eq!(value.decode::<u64>(), Ok(49));
    scheduler.tick(Instant::now() + 60 * HOUR);
    assert_eq!(scheduler.next_timer(), None);
    check_whole(&scheduler);
}

/// What is to wait for others, or is queued for hours, has no timer of its own and is not ended by it.
#[test]
fn waiting_does_not_count() {
    let scheduler = scheduler(1, SLOTS);
    let tickets: Vec<_> = (0..3)
        .map(|_| submit(&scheduler, limited(&scheduler, &KINDS[0], 1)))
        .collect();
    let mut now = Instant::now();
    for _ in 0..100 {
        now += LIMIT;
        assert_eq!(scheduler.tick(now), []);
    }
    assert!(scheduler.lock().timers.next().is_none());
    Hand::new(&scheduler, 0).run_all();
    for ticket in tickets {
        (KINDS[0].check)(scheduler.poll(&ticket).expect("ended").expect("a value"));
    }
    check_whole(&scheduler);
}
