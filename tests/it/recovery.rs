//! What becomes of tasks whose workers die, hang, or cannot be started.

use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use pinfold::{Attempt, Death, Runtime, Shutdown, TaskError};

use crate::api::{endless, runtime};

fn square(n: u64) -> u64 {
    n * n
}

fn exit_with(status: i32) {
    std::process::exit(status)
}

/// A file whose lines count what tasks did, whichever process they ran in.
pub struct Diary(tempfile::NamedTempFile);

impl Diary {
    pub fn new() -> Self {
        Diary(tempfile::NamedTempFile::new().expect("file"))
    }

    pub fn path(&self) -> String {
        self.0.path().to_str().expect("text").to_owned()
    }

    pub fn lines(&self) -> usize {
        std::fs::read_to_string(self.0.path())
            .expect("readable")
            .lines()
            .count()
    }
}

pub fn note(path: &str) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("diary");
    file.write_all(b"ran\n").expect("writes");
}

pub fn is_clean(rt: &Runtime) {
    let audit = rt.audit();
    assert!(audit.orphans.is_empty(), "{:#?}", audit.orphans);
    let used = [
        audit.slots_queued,
        audit.slots_running,
        audit.slots_done,
        audit.slots_waiting,
        audit.blocks_loaned,
        audit.blocks_shared,
        audit.blocks_carried,
    ];
    assert_eq!(used, [0; 7], "{audit:?}");
    assert_eq!(rt.stats().tasks.damage, 0);
}

#[test]
fn poison_is_named_with_what_each_attempt_died_of() {
    let rt = runtime(2);
    let diary = Diary::new();
    fn poison(path: String) {
        note(&path);
        exit_with(7)
    }
    let error = rt.task(poison).at_least_once().spawn(diary.path()).join();
    let Err(TaskError::Poison { task, attempts, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(task.function.ends_with("poison"), "{task}");
    let deaths: Vec<Death> = attempts
        .iter()
        .map(|Attempt { death, .. }| *death)
        .collect();
    assert_eq!(deaths, [Death::Exited { status: 7 }; 3]);
    assert_eq!(diary.lines(), 3, "three attempts, no more");
    assert_eq!(rt.spawn(square, 3).join(), Ok(9), "the pool goes on");
    assert_eq!(rt.stats().restarts, 3);
    is_clean(&rt);
}

#[test]
fn at_most_once_is_never_repeated() {
    let rt = runtime(2);
    let diary = Diary::new();
    fn once(path: String) {
        note(&path);
        exit_with(1)
    }
    let error = rt.spawn(once, diary.path()).join();
    let Err(TaskError::WorkerDied { task, death, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(task.function.ends_with("once"), "{task}");
    assert_eq!(death, Death::Exited { status: 1 });
    assert_eq!(diary.lines(), 1);
    is_clean(&rt);
}

#[test]
fn a_repeated_task_may_succeed_at_last() {
    let rt = runtime(1);
    let diary = Diary::new();
    fn third_time(path: String) -> usize {
        note(&path);
        let ran = std::fs::read_to_string(&path)
            .expect("diary")
            .lines()
            .count();
        if ran < 3 {
            exit_with(2)
        }
        ran
    }
    let ran = rt
        .task(third_time)
        .safe_to_repeat(5)
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .spawn(diary.path())
        .join();
    assert_eq!(ran, Ok(3));
    assert_eq!(rt.stats().tasks.repeated, 2);
    is_clean(&rt);
}

/// Hunts a back-off that a later death cuts short, or that loses the task.
#[test]
fn a_task_that_waits_for_its_next_attempt_survives_other_deaths() {
    let rt = runtime(1);
    let diary = Diary::new();
    fn third_time(path: String) -> bool {
        note(&path);
        let ran = std::fs::read_to_string(&path)
            .expect("diary")
            .lines()
            .count();
        if ran < 3 {
            exit_with(2)
        }
        true
    }
    let patient = rt
        .task(third_time)
        .safe_to_repeat(3)
        .backoff(Duration::from_millis(300), Duration::from_millis(300))
        .spawn(diary.path());
    while diary.lines() < 2 || rt.audit().slots_waiting == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..3 {
        let died = rt.spawn(exit_with, 1).join();
        assert!(
            matches!(died, Err(TaskError::WorkerDied { .. })),
            "{died:?}"
        );
    }
    assert_eq!(patient.join(), Ok(true));
    assert_eq!(diary.lines(), 3);
    is_clean(&rt);
}

#[test]
fn a_hard_deadline_ends_what_runs_and_what_waits() {
    let rt = runtime(1);
    let limit = Duration::from_millis(60);
    let stuck = rt.task(endless).hard_deadline(limit).spawn(());
    // Behind it; it will not have begun by then, if ever.
    let behind = rt
        .task(square)
        .hard_deadline(Duration::from_millis(1))
        .spawn(3);
    let patient = rt.task(square).hard_deadline(Duration::MAX).spawn(4);
    is_late(stuck.join(), limit);
    let behind = behind.join();
    assert!(
        matches!(
            behind,
            Err(TaskError::DeadlineExceeded { begun: false, .. })
        ),
        "{behind:?}"
    );
    assert_eq!(patient.join(), Ok(16));
    let stats = rt.stats();
    assert_eq!((stats.tasks.late, stats.restarts), (2, 1));
    is_clean(&rt);
}

/// Its deadline has come while it ran.
fn is_late<R: std::fmt::Debug>(outcome: Result<R, TaskError>, after: Duration) {
    assert!(
        matches!(
            outcome,
            Err(TaskError::DeadlineExceeded { limit, begun: true, .. })
                if limit == after
        ),
        "{outcome:?}"
    );
}

#[test]
fn a_task_past_its_deadline_is_not_tried_again() {
    let rt = runtime(1);
    let diary = Diary::new();
    fn hang(path: String) {
        note(&path);
        endless(())
    }
    let limit = Duration::from_millis(50);
    let task = rt.task(hang).at_least_once().hard_deadline(limit);
    is_late(task.spawn(diary.path()).join(), limit);
    assert_eq!(diary.lines(), 1);
    is_clean(&rt);
}

extern "C" fn ignore(_: i32) {}

/// Takes SIGTERM without ending.
fn stubborn(millis: u64) -> u64 {
    let action = SigAction::new(
        SigHandler::Handler(ignore),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    #[allow(unsafe_code)]
    let set = unsafe { sigaction(Signal::SIGTERM, &action) };
    set.expect("handler");
    let end = std::time::Instant::now() + Duration::from_millis(millis);
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
    millis
}

#[test]
fn sigterm_is_not_trusted() {
    let rt = Runtime::builder()
        .workers(1)
        .kill_grace(Duration::from_millis(30))
        .start()
        .expect("starts");
    let limit = Duration::from_millis(50);
    // Ignores the signal and goes on: killed after the grace.
    let stuck = rt.task(stubborn).hard_deadline(limit).spawn(600_000);
    is_late(stuck.join(), limit);
    assert_eq!(rt.stats().restarts, 1);
    is_clean(&rt);
}

/// Hunts a kill that hits the task after the one it was meant for: the runtime
/// looks at a worker only while that stands still.
#[test]
fn a_deadline_kills_no_other_task() {
    fn about(micros: u64) {
        let end = std::time::Instant::now() + Duration::from_micros(micros);
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
    }
    let rt = runtime(1);
    let mut late = 0;
    for round in 0..150u64 {
        // Ends about when its deadline comes.
        let micros = 1000 + round % 10 * 20;
        let first = rt
            .task(about)
            .hard_deadline(Duration::from_millis(1))
            .spawn(micros);
        let others: Vec<_> = (0..20).map(|n| rt.spawn(square, n)).collect();
        match first.join() {
            Ok(()) => {}
            Err(TaskError::DeadlineExceeded { .. }) => late += 1,
            other => panic!("{other:?}"),
        }
        for (n, other) in (0..20u64).zip(others) {
            assert_eq!(other.join(), Ok(n * n), "round {round}");
        }
    }
    assert_eq!(rt.stats().tasks.late, late);
    is_clean(&rt);
}

#[test]
fn a_stopped_worker_with_work_is_replaced() {
    let rt = Runtime::builder()
        .workers(1)
        .heartbeat(Duration::from_millis(100))
        .start()
        .expect("starts");
    // Without work it may stand still as long as it likes.
    let pid = Pid::from_raw(rt.stats().workers[0].pid);
    let diary = Diary::new();
    fn wait(path: String) -> u32 {
        note(&path);
        let ran = std::fs::read_to_string(&path)
            .expect("diary")
            .lines()
            .count();
        if ran == 1 {
            endless(())
        }
        std::process::id()
    }
    let once = rt.spawn(wait, diary.path());
    while diary.lines() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    kill(pid, Signal::SIGSTOP).expect("alive");
    let died = once.join();
    assert!(
        matches!(
            died,
            Err(TaskError::WorkerDied {
                death: Death::Unresponsive,
                ..
            })
        ),
        "{died:?}"
    );
    // Stopped before it could take its work: nothing was begun, nothing is lost.
    let pid = rt
        .spawn(|(): ()| std::process::id(), ())
        .join()
        .expect("runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("alive");
    let next = rt.spawn(|(): ()| std::process::id(), ()).join();
    assert!(next.is_ok_and(|next| next != pid));
    is_clean(&rt);
}

#[test]
fn a_long_task_is_not_a_stopped_one() {
    let threshold = Duration::from_millis(20);
    let rt = Runtime::builder()
        .workers(1)
        .heartbeat(threshold)
        .start()
        .expect("starts");
    // A machine that stops the worker for so long would be to blame, not the task;
    // so it may be tried again.
    let long = rt.task(stubborn).safe_to_repeat(100).spawn(400);
    assert_eq!(long.join(), Ok(400));
}

#[test]
fn workers_that_cannot_start_end_everything_with_their_last_words() {
    fn broken() -> Result<(), String> {
        eprintln!("the model is missing");
        std::process::exit(3)
    }
    let rt = Runtime::builder()
        .workers(2)
        .worker_init(broken)
        .start_attempts(3)
        .start()
        .expect("the zygote starts");
    let tasks: Vec<_> = (0..100).map(|n| rt.spawn(square, n)).collect();
    for task in tasks {
        let Err(error @ TaskError::NoWorkers { .. }) = task.join() else {
            panic!("nobody can have run it")
        };
        let said = error.to_string();
        assert!(said.contains("3 times in a row"), "{said}");
        assert!(said.contains("status 3"), "{said}");
        assert!(said.contains("the model is missing"), "{said}");
    }
    rt.shutdown(Shutdown::Drain).expect("nothing to drain");
}

#[test]
fn an_init_that_fails_now_and_then_delays_no_more_than_that() {
    /// The init has no arguments: the file is named after the host.
    fn diary_of(host: i32) -> String {
        let name = format!("pinfold-flaky-{host}");
        std::env::temp_dir()
            .join(name)
            .to_str()
            .expect("text")
            .into()
    }
    fn flaky() -> Result<u64, String> {
        let zygote = nix::unistd::getppid();
        let status = std::fs::read_to_string(format!("/proc/{zygote}/status"));
        let host = status.expect("a zygote").lines().find_map(|line| {
            let parent = line.strip_prefix("PPid:")?;
            parent.trim().parse().ok()
        });
        let path = diary_of(host.expect("a parent"));
        note(&path);
        let starts = std::fs::read_to_string(&path)
            .expect("diary")
            .lines()
            .count();
        if starts < 3 {
            return Err(format!("not yet, at start {starts}"));
        }
        Ok(17)
    }
    let path = diary_of(std::process::id() as i32);
    std::fs::write(&path, "").expect("diary");
    let rt = Runtime::builder()
        .workers(1)
        .worker_init(flaky)
        .start()
        .expect("starts");
    let state = rt.spawn(|(): ()| pinfold::worker_state::<u64>().copied(), ());
    assert_eq!(state.join(), Ok(Some(17)));
    std::fs::remove_file(path).expect("diary");
    assert_eq!(rt.stats().restarts, 2);
    assert_eq!(
        rt.spawn(|(): ()| pinfold::worker_state::<u32>().is_none(), ())
            .join(),
        Ok(true)
    );
    is_clean(&rt);
}

#[test]
fn spares_take_the_place_of_the_dead() {
    let rt = Runtime::builder()
        .workers(2)
        .spares(2)
        .start()
        .expect("starts");
    for round in 0..30 {
        let died = rt.spawn(exit_with, 9).join();
        let Err(TaskError::WorkerDied { death, .. }) = died else {
            panic!("{died:?}")
        };
        assert_eq!(death, Death::Exited { status: 9 }, "round {round}");
        for n in 0..10 {
            assert_eq!(rt.spawn(square, n).join(), Ok(n * n));
        }
    }
    assert_eq!(rt.stats().restarts, 30);
    is_clean(&rt);
}

#[test]
fn an_audit_names_owners() {
    let rt = runtime(1);
    let loan = rt.alloc(1000).expect("room");
    let shared = rt.alloc(500_000).expect("room").publish();
    let also = shared.clone();
    let audit = rt.audit();
    assert_eq!((audit.blocks_loaned, audit.blocks_shared), (1, 1));
    assert_eq!(
        (audit.by_process[0].loaned, audit.by_process[0].shared),
        (1, 1)
    );
    assert!(audit.orphans.is_empty(), "{:?}", audit.orphans);
    drop((shared, also));
    // A loan that is forgotten belongs to nobody; the audit says so.
    std::mem::forget(loan);
    let audit = rt.audit();
    assert_eq!((audit.blocks_loaned, audit.blocks_shared), (1, 0));
    assert!(audit.orphans.is_empty(), "the forgotten value still counts");
}
