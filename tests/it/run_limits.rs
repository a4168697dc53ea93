//! Limits on running time, and trying again what has failed by anything.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pinfold::{Limit, Memo, Retry, Runtime, TaskError, TimeLimit};

use crate::api::{endless, runtime};
use crate::processes::until;
use crate::recovery::{Diary, is_clean, note};

const LIMIT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(600);

fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

/// Hangs, if it is to.
fn maybe(hangs: bool) -> bool {
    if hangs {
        endless(())
    }
    true
}

#[track_caller]
fn is_late<T: std::fmt::Debug>(outcome: Result<T, TaskError>) {
    match outcome {
        Err(TaskError::DeadlineExceeded {
            which,
            limit,
            begun,
            ref task,
        }) => {
            assert_eq!((which, limit, begun), (TimeLimit::Run, LIMIT, true));
            assert!(task.ran.is_some_and(|ran| ran >= limit), "{task:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// As a batch is written: the source is far ahead of the workers, and the limit is much shorter
/// than the whole takes.
#[test]
fn what_waits_in_the_queue_loses_nothing_by_a_run_limit() {
    fn work(n: u64) -> u64 {
        if n == 3 {
            endless(())
        }
        nap(40);
        n
    }
    let rt = runtime(1);
    let limit = Duration::from_secs(1);
    let begin = Instant::now();
    let task = rt.task(work).run_limit(limit);
    let outcomes: Vec<_> = task.map(0..40).collect();
    assert!(begin.elapsed() > 2 * limit, "it is long enough to tell");
    for (n, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(value) => assert_eq!(value, n),
            Err(TaskError::DeadlineExceeded { .. }) => assert_eq!(n, 3),
            other => panic!("{n}: {other:?}"),
        }
    }
    let stats = rt.stats();
    assert_eq!(
        (stats.tasks.late, stats.tasks.died, stats.restarts),
        (1, 0, 1)
    );
    is_clean(&rt);
}

#[test]
fn a_run_limit_holds_however_a_task_is_submitted() {
    let rt = runtime(2);
    let task = rt.task(maybe).run_limit(LIMIT);
    is_late(task.spawn(true).join());
    is_late(task.try_spawn(true).expect("room").join());
    is_late(task.spawn_timeout(true, LONG).expect("room").join());
    let mut outcomes: Vec<_> = task.map([false, true, false]).collect();
    is_late(outcomes.remove(1));
    assert_eq!(outcomes, [Ok(true), Ok(true)]);
    let unordered = task.map_unordered([true, false]);
    let (lost, kept): (Vec<_>, Vec<_>) = unordered.partition(|(n, _)| *n == 0);
    assert_eq!(kept, [(1, Ok(true))]);
    lost.into_iter().for_each(|(_, outcome)| is_late(outcome));
    is_late(task.reduce([false, true], |(a, b)| a && b));
    is_late(
        task.clone()
            .chunked()
            .map([true])
            .next()
            .expect("an outcome"),
    );
    is_late(task.clone().memoized(&Memo::new(2)).spawn(true).join());
    let few = Limit::new(1);
    is_late(task.clone().limited(&few, 1).spawn(true).join());
    assert_eq!(few.free(), 1);
    is_late(task.clone().named("a").tag("b", "c").spawn(true).join());
    let of_scope = rt.scope(|scope| is_late(scope.spawn_task(&task, true).join()));
    assert!(of_scope.is_err(), "it has failed, and the scope says so");
    // It does not count while what it depends on runs.
    let gate = rt.spawn(nap, 3 * LIMIT.as_millis() as u64);
    let after = rt
        .task(|(hangs, _): (bool, u64)| maybe(hangs))
        .run_limit(LIMIT);
    let (well, stuck) = (
        after.spawn_after(&gate, false),
        after.spawn_after(&gate, true),
    );
    assert_eq!(well.join(), Ok(true));
    is_late(stuck.join());
    gate.join().expect("a value");
    let late = rt.stats().tasks.late;
    assert_eq!(
        rt.stats().restarts,
        late,
        "each of them alone has cost a worker"
    );
    is_clean(&rt);
}

#[test]
fn a_run_limit_of_nothing_and_one_without_end() {
    let rt = runtime(1);
    let zero = Duration::ZERO;
    let none = rt.task(maybe).run_limit(zero);
    for outcome in [none.spawn(false).join(), none.map([false]).next().unwrap()] {
        match outcome {
            Err(TaskError::DeadlineExceeded { limit, begun, .. }) => {
                assert_eq!((limit, begun), (zero, false));
            }
            other => panic!("{other:?}"),
        }
    }
    let ever = rt.task(maybe).run_limit(Duration::MAX);
    assert_eq!(ever.spawn(false).join(), Ok(true));
    // The shortest one: a task that is done before anybody has looked is done.
    let shortest = rt.task(maybe).run_limit(Duration::from_nanos(1));
    let outcome = shortest.spawn(false).join();
    let is_late = matches!(outcome, Err(TaskError::DeadlineExceeded { .. }));
    assert!(outcome == Ok(true) || is_late, "{outcome:?}");
    assert!(shortest.spawn(true).join().is_err());
    is_clean(&rt);
}

/// Writes a line, and hangs the first times.
fn hangs_at_first((path, times): (String, usize)) -> (usize, bool) {
    note(&path);
    let lines = std::fs::read_to_string(&path)
        .expect("a diary")
        .lines()
        .count();
    if lines <= times {
        endless(())
    }
    (lines, pinfold::context().is_cancelled())
}

#[test]
fn what_ran_for_too_long_is_repeated_if_the_judge_says_so() {
    let rt = runtime(1);
    let diary = Diary::new();
    let task = rt.task(hangs_at_first).run_limit(LIMIT);
    let safe = task.clone().at_least_once();
    is_late(safe.spawn((diary.path(), 9)).join());
    let retried = task.clone().retry(Retry::fixed(5, Duration::ZERO));
    is_late(retried.spawn((diary.path(), 9)).join());
    assert_eq!(diary.lines(), 2, "neither says so");
    let judged = retried.retry_if(|outcome| outcome.is_err());
    for delay in [Duration::ZERO, Duration::from_millis(20)] {
        let diary = Diary::new();
        let judged = judged.clone().retry(Retry::fixed(5, delay));
        let value = judged.spawn((diary.path(), 2)).join();
        assert_eq!(value, Ok((3, false)), "{delay:?}");
    }
    // Each attempt has the whole limit, and there are no more than was said.
    let diary = Diary::new();
    is_late(judged.spawn((diary.path(), 9)).join());
    assert_eq!(diary.lines(), 5);
    let stats = rt.stats();
    assert_eq!((stats.tasks.late, stats.tasks.repeated), (3, 8));
    assert_eq!(stats.restarts, 11);
    is_clean(&rt);
}

/// With a grace the task hears that its time is over, and ends by itself; the next attempt
/// hears nothing of that.
#[test]
fn a_task_may_use_its_grace() {
    fn listens(path: String) -> Result<usize, String> {
        note(&path);
        let lines = std::fs::read_to_string(&path)
            .expect("a diary")
            .lines()
            .count();
        let context = pinfold::context();
        if lines > 1 {
            return context.check().map(|()| lines).map_err(|e| e.to_string());
        }
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        Err("its time was over".into())
    }
    // It is asked by SIGTERM, which ends whoever does not mind it.
    fn is_deaf_to_sigterm() {
        use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
        let mut term = SigSet::empty();
        term.add(Signal::SIGTERM);
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&term), None).expect("masked");
    }
    fn deaf_and_listens(path: String) -> Result<usize, String> {
        is_deaf_to_sigterm();
        listens(path)
    }
    let rt = Runtime::builder()
        .workers(1)
        .kill_grace(LONG)
        .start()
        .expect("starts");
    let task = rt.task(deaf_and_listens).run_limit(LIMIT);
    let (first, second) = (Diary::new(), Diary::new());
    let outcome = task.spawn(first.path()).join();
    assert_eq!(outcome, Ok(Err("its time was over".into())), "it counts");
    let task = task.retry_if(|outcome| matches!(outcome, Ok(Err(_))));
    assert_eq!(task.spawn(second.path()).join(), Ok(Ok(2)));
    // Its worker has lived through both, or has been ended by the signal since.
    assert_eq!(rt.stats().tasks.late, 0);
    is_clean(&rt);
}

/// What is waited for on the same stack counts, and what runs elsewhere is ended too.
#[test]
fn children_are_part_of_what_is_limited() {
    fn parent(hangs: bool) -> bool {
        let child = pinfold::spawn(maybe, hangs);
        child.join().expect("a value")
    }
    let rt = runtime(2);
    let task = rt.task(parent).run_limit(LIMIT);
    assert_eq!(task.spawn(false).join(), Ok(true));
    for _ in 0..3 {
        is_late(task.spawn(true).join());
    }
    // Everybody is there for others again, soon: also who ran a child of it.
    let all: Vec<_> = (0..2).map(|_| rt.spawn(nap, 5)).collect();
    all.into_iter()
        .for_each(|handle| assert!(handle.join().is_ok()));
    until("the last of them", || rt.audit().slots_running == 0);
}

#[test]
fn a_task_sees_its_run_limit() {
    fn left(_: ()) -> [Duration; 3] {
        let own = pinfold::context().time_left();
        let child = pinfold::spawn(|()| pinfold::context().time_left(), ());
        let handle = pinfold::context().handle();
        let elsewhere = std::thread::spawn(move || handle.time_left()).join();
        let seen = [
            own,
            child.join().expect("a value"),
            elsewhere.expect("a value"),
        ];
        seen.map(|left| left.expect("a limit"))
    }
    let rt = runtime(1);
    let limit = Duration::from_secs(1000);
    let task = rt.task(left).run_limit(limit);
    let gate = rt.spawn(nap, 1500);
    let waited = task.spawn(()).join().expect("a value");
    gate.join().expect("a value");
    let near = limit - Duration::from_secs(1);
    for left in waited {
        assert!(
            left <= limit && left > near,
            "{left:?}: it was in the queue"
        );
    }
    // The nearest counts.
    let task = task.hard_deadline(limit / 2);
    assert!(task.spawn(()).join().expect("a value")[0] <= limit / 2);
    let task = task.hard_deadline(limit * 9).soft_deadline(limit / 4);
    assert!(task.spawn(()).join().expect("a value")[0] <= limit / 4);
    is_clean(&rt);
}

/// Hunts a kill that hits another than it was meant for: tasks that end about when their time
/// is over, and others between them.
#[test]
fn a_run_limit_kills_no_other_task() {
    fn about(micros: u64) {
        let end = Instant::now() + Duration::from_micros(micros);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
    let rt = runtime(2);
    let limit = Duration::from_millis(2);
    let (mut late, mut well) = (0, 0);
    let task = rt.task(about).run_limit(limit);
    for round in 0..20 {
        let firsts: Vec<_> = (0..100u64)
            .map(|n| (task.spawn(1500 + n % 10 * 60), rt.spawn(nap, 0)))
            .collect();
        for (first, other) in firsts {
            match first.join() {
                Ok(()) => well += 1,
                Err(TaskError::DeadlineExceeded { begun: true, .. }) => late += 1,
                other => panic!("{round}: {other:?}"),
            }
            assert_eq!(other.join(), Ok(0), "{round}");
        }
    }
    assert_eq!(well + late, 2000);
    let stats = rt.stats();
    assert_eq!((stats.tasks.late, stats.tasks.died), (late, 0));
    is_clean(&rt);
}

/// What the judge was asked of, in words.
type Asked = Arc<Mutex<Vec<String>>>;

#[test]
fn the_judge_is_asked_of_whatever_ends_an_attempt() {
    fn ends(path: String) -> Result<usize, String> {
        note(&path);
        let lines = std::fs::read_to_string(&path)
            .expect("a diary")
            .lines()
            .count();
        match lines {
            1 => Err("busy".into()),
            2 => panic!("on purpose"),
            3 => std::process::exit(7),
            4 => {
                endless(());
                Ok(0)
            }
            _ => Ok(lines),
        }
    }
    let rt = runtime(1);
    let asked = Asked::default();
    let (told, times) = (Arc::clone(&asked), AtomicU32::new(0));
    let task = rt
        .task(ends)
        .run_limit(LIMIT)
        .retry(Retry::fixed(9, Duration::from_millis(1)))
        .retry_if(move |outcome| {
            times.fetch_add(1, Ordering::Relaxed);
            told.lock().unwrap().push(match outcome {
                Ok(Ok(value)) => format!("value {value}"),
                Ok(Err(why)) => format!("error {why}"),
                Err(TaskError::Panicked { message, .. }) => format!("panic {message}"),
                Err(TaskError::WorkerDied { death, .. }) => format!("death: {death}"),
                Err(TaskError::DeadlineExceeded { which, limit, .. }) => {
                    format!("{which} {limit:?}")
                }
                Err(other) => panic!("{other}"),
            });
            !matches!(outcome, Ok(Ok(_)))
        });
    let diary = Diary::new();
    assert_eq!(task.spawn(diary.path()).join(), Ok(Ok(5)));
    let expected = [
        "error busy",
        "panic on purpose",
        "death: exited with status 7",
        "run limit 150ms",
        "value 5",
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    assert_eq!(rt.stats().tasks.repeated, 4);
    is_clean(&rt);
}

/// An error says which limit it was, how long the task has waited and run, and how the
/// attempts before have ended.
#[test]
fn errors_tell_times_and_attempts() {
    fn ends(path: String) -> u64 {
        note(&path);
        let lines = std::fs::read_to_string(&path)
            .expect("a diary")
            .lines()
            .count();
        match lines {
            1 => panic!("on purpose"),
            2 => {
                nap(20);
                std::process::exit(7)
            }
            _ => {
                endless(());
                0
            }
        }
    }
    let rt = runtime(1);
    let ms = Duration::from_millis;
    let task = rt
        .task(ends)
        .run_limit(LIMIT)
        .retry(Retry::fixed(4, ms(1)))
        .retry_if(|outcome| outcome.is_err());
    let (gate, diary) = (rt.spawn(nap, 50), Diary::new());
    let error = task.spawn(diary.path()).join().expect_err("it hangs");
    gate.join().expect("a value");
    let told = error.task().expect("a task");
    let ended: Vec<&str> = told.attempts.iter().map(|before| &*before.ended).collect();
    assert_eq!(ended.len(), 3, "{ended:?}");
    assert!(ended[0].ends_with("on purpose"), "{ended:?}");
    assert_eq!(ended[1], "its worker exited with status 7");
    assert!(ended[2].starts_with("its run limit of 150ms has passed: it ran for "));
    let ran: Vec<_> = told.attempts.iter().map(|before| before.ran).collect();
    assert!(ran.iter().all(Option::is_some), "{ran:?}");
    assert!(ran[1] >= Some(ms(20)) && ran[2] >= Some(LIMIT), "{ran:?}");
    assert!(told.ran >= Some(LIMIT) && told.waited.is_some(), "{told:?}");
    let words = error.to_string();
    let all = [
        ": its run limit of 150ms",
        "; attempt 1: ",
        "; attempt 3: its run limit",
    ];
    assert!(all.iter().all(|part| words.contains(part)), "{words}");

    // Of a hard deadline: that it counts from the submission, and where the time went.
    let limit = ms(200);
    let gate = rt.spawn(nap, 60);
    let stuck = rt.task(endless).hard_deadline(limit).spawn(());
    let error = stuck.join().expect_err("it hangs");
    gate.join().expect("a value");
    let (task, words) = (error.task().expect("a task"), error.to_string());
    let spent = (task.waited.expect("waited"), task.ran.expect("ran"));
    assert!(spent.0 + spent.1 >= limit, "{spent:?}");
    let begins = ": its hard deadline, 200ms after it was submitted, came when it had run for ";
    assert!(words.contains(begins), "{words}");
    let gate = rt.spawn(nap, 300);
    let behind = rt.task(endless).hard_deadline(ms(20)).spawn(());
    let error = behind.join().expect_err("it waits");
    gate.join().expect("a value");
    let task = error.task().expect("a task");
    assert!(
        task.waited >= Some(ms(20)) && task.ran.is_none(),
        "{task:?}"
    );
    is_clean(&rt);
}

/// Those that are safe to repeat have their attempts first; and the judge has a say of what
/// they have come to.
#[test]
fn safe_attempts_come_before_the_judge() {
    fn dies(path: String) -> u32 {
        note(&path);
        std::process::exit(3)
    }
    let rt = runtime(1);
    let diary = Diary::new();
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    let task = rt
        .task(dies)
        .safe_to_repeat(2)
        .backoff(Duration::ZERO, Duration::ZERO)
        .retry_if(move |outcome| {
            let deaths = match outcome {
                Err(TaskError::Poison { attempts, .. }) => attempts.len(),
                other => panic!("{other:?}"),
            };
            told.lock().unwrap().push(format!("after {deaths}"));
            true
        });
    match task.spawn(diary.path()).join() {
        Err(TaskError::Poison { attempts, .. }) => assert_eq!(attempts.len(), 4),
        other => panic!("{other:?}"),
    }
    assert_eq!(*asked.lock().unwrap(), ["after 2", "after 3"]);
    assert_eq!(diary.lines(), 4, "three by the judge; one of these has two");
    assert_eq!(rt.stats().tasks.died, 1);
    is_clean(&rt);
}

#[test]
fn the_judge_has_no_say_of_what_was_ended_from_outside() {
    let rt = runtime(1);
    let refuses = |_: &Result<(), TaskError>| -> bool { panic!("asked") };
    let task = rt.task(endless).retry_if(refuses);
    let cancelled = task.spawn(());
    cancelled.cancel_within(Duration::ZERO);
    assert!(matches!(cancelled.join(), Err(TaskError::Cancelled { .. })));
    let late = task.clone().hard_deadline(LIMIT).spawn(()).join();
    assert!(
        matches!(late, Err(TaskError::DeadlineExceeded { .. })),
        "{late:?}"
    );
    // Nor while it waits to be judged, or for its next attempt.
    let slow = rt
        .task(|(): ()| Err::<(), String>("no".into()))
        .retry(Retry::fixed(3, LONG))
        .retry_if(|_| true);
    let waits = slow.spawn(());
    until("its first failure", || rt.audit().slots_waiting == 1);
    assert!(waits.cancel());
    assert!(matches!(waits.join(), Err(TaskError::Cancelled { .. })));
    let between = slow
        .hard_deadline(Duration::from_millis(300))
        .spawn(())
        .join();
    assert!(
        matches!(
            between,
            Err(TaskError::DeadlineExceeded { begun: true, .. })
        ),
        "{between:?}"
    );
    let stuck = task.spawn(());
    until("it runs", || rt.audit().slots_running == 1);
    rt.shutdown(pinfold::Shutdown::Abort).expect("is shut down");
    assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
}

#[test]
fn the_judge_is_asked_however_a_task_is_submitted() {
    /// The first time that it gets to a number, its worker dies.
    fn once((path, n): (String, u64)) -> u64 {
        let mark = format!("{path}.{n}");
        if std::fs::File::create_new(&mark).is_ok() {
            std::process::exit(1)
        }
        std::fs::remove_file(&mark).expect("a mark");
        n
    }
    let rt = runtime(2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder
        .path()
        .join("mark")
        .to_str()
        .expect("text")
        .to_owned();
    let item = |n: u64| (path.clone(), n);
    let task = rt.task(once).retry_if(|outcome| outcome.is_err());
    assert_eq!(task.spawn(item(1)).join(), Ok(1));
    assert_eq!(task.try_spawn(item(2)).expect("room").join(), Ok(2));
    let values: Result<Vec<_>, _> = task.map((0..4).map(item)).collect();
    assert_eq!(values, Ok(vec![0, 1, 2, 3]));
    let chunked: Result<Vec<_>, _> = task.clone().chunked().map((0..4).map(item)).collect();
    assert_eq!(chunked, Ok(vec![0, 1, 2, 3]));
    let sum = task.reduce((0..4).map(item), |(a, b)| a + b);
    assert_eq!(sum, Ok(Some(6)));
    let memo = Memo::new(2);
    let known = task.clone().memoized(&memo);
    assert_eq!(
        (known.spawn(item(5)).join(), known.spawn(item(5)).join()),
        (Ok(5), Ok(5))
    );
    rt.scope(|scope| {
        assert_eq!(scope.spawn_task(&task, item(6)).join(), Ok(6));
    })
    .expect("all is well");
    let gate = rt.spawn(nap, 20);
    let after = rt
        .task(|(item, _): ((String, u64), u64)| once(item))
        .retry_if(|outcome| outcome.is_err());
    assert_eq!(after.spawn_after(&gate, item(7)).join(), Ok(7));
    gate.join().expect("a value");
    assert_eq!(rt.stats().tasks.died, 0);
    is_clean(&rt);
}
