//! Priorities: what is taken first, in which order, and what is never left alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinfold::{Handle, Priority, Runtime};

use crate::api::runtime;

/// The highest first.
const LEVELS: [Priority; 4] = [
    Priority::Urgent,
    Priority::Normal,
    Priority::Low,
    Priority::Background,
];

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(60);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs until the file is there.
fn gate(file: PathBuf) {
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps every worker of a runtime busy until it is opened.
struct Gate {
    file: tempfile::TempPath,
    path: PathBuf,
    tasks: Vec<Handle<()>>,
}

impl Gate {
    fn closed(rt: &Runtime, workers: u64) -> Self {
        let file = tempfile::NamedTempFile::new().expect("file");
        let file = file.into_temp_path();
        let path = file.with_extension("open");
        let tasks: Vec<_> = (0..workers).map(|_| rt.spawn(gate, path.clone())).collect();
        until("gates are begun", || rt.audit().slots_running == workers);
        Gate { file, path, tasks }
    }

    fn open(self) {
        std::fs::write(&self.path, []).expect("writes");
        for task in self.tasks {
            task.join().expect("ends");
        }
        std::fs::remove_file(&self.path).expect("is there");
        drop(self.file);
    }
}

/// Adds its number to the diary, in one write.
fn note((diary, number): (PathBuf, u8)) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().append(true).open(diary);
    file.expect("diary").write_all(&[number]).expect("writes");
}

fn diary() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().expect("file")
}

fn read(diary: &Path) -> Vec<u8> {
    std::fs::read(diary).expect("diary")
}

/// Six of each level, the lowest submitted first.
fn submit_mixed(rt: &Runtime, diary: &Path) -> Vec<Handle<()>> {
    let mut handles = Vec::new();
    for round in 0..6u8 {
        for level in LEVELS.into_iter().rev() {
            let number = level.level() * 16 + round;
            let task = rt.task(note).priority(level);
            handles.push(task.spawn((diary.to_owned(), number)));
        }
    }
    handles
}

fn by_level() -> Vec<u8> {
    let levels = LEVELS.iter().map(|level| level.level());
    levels
        .flat_map(|level| (0..6).map(move |round| level * 16 + round))
        .collect()
}

/// One worker: by level, and within a level in the order of submission.
#[test]
fn a_higher_level_comes_first_and_each_in_its_order() {
    let rt = runtime(1);
    for _ in 0..3 {
        let diary = diary();
        let gate = Gate::closed(&rt, 1);
        let handles = submit_mixed(&rt, diary.path());
        gate.open();
        for handle in handles {
            handle.join().expect("runs");
        }
        assert_eq!(read(diary.path()), by_level());
    }
}

/// The same of a map.
#[test]
fn a_map_has_a_priority_too() {
    let rt = runtime(1);
    let diary = diary();
    let gate = Gate::closed(&rt, 1);
    std::thread::scope(|scope| {
        let low = rt.task(note).priority(Priority::Low);
        let urgent = rt.task(note).priority(Priority::Urgent);
        let path = diary.path().to_owned();
        let items = move |first: u8| {
            let path = path.clone();
            (first..first + 8).map(move |n| (path.clone(), n))
        };
        let (later, first) = (items(100), items(0));
        let later = scope.spawn(move || low.map(later).all(|r| r.is_ok()));
        until("submitted", || rt.audit().slots_queued == 8);
        let first = scope.spawn(move || urgent.map(first).all(|r| r.is_ok()));
        until("submitted", || rt.audit().slots_queued == 16);
        gate.open();
        assert!(later.join().expect("no panic") && first.join().expect("no panic"));
    });
    assert!(read(diary.path()).into_iter().eq((0..8).chain(100..108)));
}

/// What is urgent waits for the task that runs, and not for the batch that was taken
/// along with it because tasks were short before.
#[test]
fn a_batch_that_was_begun_lets_urgent_tasks_pass() {
    let rt = runtime(1);
    let worker = Pid::from_raw(rt.stats().workers[0].pid);
    assert!(rt.map(|n: u64| n, 0..20_000).all(|n| n.is_ok()));
    let (open, diary) = (diary(), diary());
    let path = open.path().with_extension("open");
    // It finds the gate and what is behind it at once, and takes them in one batch.
    kill(worker, Signal::SIGSTOP).expect("alive");
    let gate = rt.spawn(gate, path.clone());
    let mut handles: Vec<_> = (1..20)
        .map(|n| rt.spawn(note, (diary.path().to_owned(), n)))
        .collect();
    kill(worker, Signal::SIGCONT).expect("alive");
    until("the gate is begun", || rt.audit().slots_running == 1);
    let urgent = rt.task(note).priority(Priority::Urgent);
    handles.push(urgent.spawn((diary.path().to_owned(), 0)));
    std::fs::write(&path, []).expect("writes");
    for handle in handles {
        handle.join().expect("runs");
    }
    gate.join().expect("ends");
    std::fs::remove_file(&path).expect("is there");
    assert!(read(diary.path()).into_iter().eq(0..20));
}

/// Two workers: nobody begins a task while one of a higher level waits, whoever's it is.
/// What one of them has just taken, the other may overtake: one task.
#[test]
fn thieves_take_the_higher_level_first() {
    let rt = runtime(2);
    let diary = diary();
    let gate = Gate::closed(&rt, 2);
    let handles = submit_mixed(&rt, diary.path());
    gate.open();
    for handle in handles {
        handle.join().expect("runs");
    }
    let ran = read(diary.path());
    let mut sorted = ran.clone();
    sorted.sort_unstable();
    let mut all = by_level();
    all.sort_unstable();
    assert_eq!(sorted, all, "each once");
    for level in LEVELS.iter().map(|level| level.level()) {
        let mut after_lower = ran.iter().skip_while(|ran| **ran / 16 >= level);
        let late = after_lower.by_ref().filter(|ran| **ran / 16 == level);
        assert!(late.count() <= 1, "level {level}: {ran:?}");
    }
}

/// An executor that has nothing of its own sleeps; each level wakes it.
#[test]
fn each_level_wakes_who_sleeps() {
    let rt = runtime(2);
    for round in 0..20 {
        for level in LEVELS {
            // Sleeping, or about to: either must do.
            std::thread::sleep(Duration::from_millis(round % 3));
            let task = rt.task(|n: u64| n + 1).priority(level);
            assert_eq!(task.spawn(round).join(), Ok(round + 1), "{level:?}");
        }
    }
}

/// Longer than it takes to submit one more.
fn busy(n: u64) -> u64 {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(200) {
        std::hint::spin_loop();
    }
    n
}

/// Ends a load when its test ends, in whatever way.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// While thousands of urgent tasks wait at any time, those of every other level end.
#[test]
fn no_level_starves() {
    let rt = runtime(2);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let endless = (0..).take_while(|_| !is_over.load(Ordering::Relaxed));
            let urgent = rt.task(busy).priority(Priority::Urgent).in_flight(4000);
            urgent.map(endless).filter(Result::is_ok).count()
        });
        let ends = Ends(&is_over);
        // So many that it does not end while whoever submits it has to wait for a CPU.
        until("load", || rt.stats().tasks.in_flight > 3500);
        for level in LEVELS {
            let handles: Vec<_> = (0..10)
                .map(|n| rt.task(busy).priority(level).spawn(n))
                .collect();
            for (n, mut handle) in (0..).zip(handles) {
                let value = handle.join_timeout(SOON);
                assert_eq!(value.expect("starves"), Ok(n), "{level:?}");
            }
            assert!(rt.audit().slots_queued > 100, "{level:?}: no load");
        }
        drop(ends);
        assert!(load.join().expect("no panic") > 1000);
    });
}

/// Workers die all the time: each task ends once, whatever its level, and is not left in
/// any lane.
#[test]
fn all_levels_survive_constant_killing() {
    let rt = Runtime::builder()
        .workers(2)
        .memory_cap(64 << 20)
        .start_attempts(1000)
        .start()
        .expect("starts");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 0;
            while !is_over.load(Ordering::Relaxed) {
                let workers = rt.stats().workers;
                next = (next + 1) % workers.len();
                if workers[next].pid > 0 {
                    let _ = kill(Pid::from_raw(workers[next].pid), Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let ends = Ends(&is_over);
        let mut handles = Vec::new();
        for n in 0..4000u64 {
            let task = rt.task(|n: u64| n * 3).safe_to_repeat(1000);
            let task = task.backoff(Duration::ZERO, Duration::ZERO);
            handles.push(task.priority(LEVELS[n as usize % 4]).spawn(n));
            if n % 40 == 39 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.join(), Ok(n * 3));
        }
        drop(ends);
    });
    assert!(rt.stats().restarts > 0);
    assert_eq!(rt.audit().orphans, [""; 0]);
    assert_eq!(rt.stats().tasks.damage, 0);
}

/// One worker, and tasks long enough to be taken one by one: of any 32 that it begins, one
/// is of each level at which tasks wait.
#[test]
fn each_level_has_the_share_that_is_documented() {
    fn long_note(entry: (PathBuf, u8)) {
        note(entry);
        busy(0);
    }
    let rt = runtime(1);
    // It knows how long they take.
    let warm = diary();
    assert!(
        rt.task(long_note)
            .map((0..50).map(|_| (warm.path().to_owned(), 0)))
            .all(|outcome| outcome.is_ok())
    );
    let diary = diary();
    let gate = Gate::closed(&rt, 1);
    let counts = [(0, 4u8), (1, 4), (2, 4), (3, 200)];
    let mut handles = Vec::new();
    for (level, count) in counts {
        let task = rt.task(long_note);
        let task = task.priority(Priority::from_level(level).expect("a level"));
        handles.extend((0..count).map(|_| task.spawn((diary.path().to_owned(), level))));
    }
    gate.open();
    for handle in handles {
        handle.join().expect("runs");
    }
    let ran = read(diary.path());
    for (level, count) in &counts[..3] {
        let mut at: Vec<usize> = vec![0];
        at.extend(
            (1..)
                .zip(&ran)
                .filter(|(_, ran)| *ran == level)
                .map(|(nth, _)| nth),
        );
        assert_eq!(at.len(), usize::from(*count) + 1);
        let gaps = at.windows(2).map(|two| two[1] - two[0]);
        assert!(gaps.max() <= Some(32), "level {level} at {at:?}");
    }
}
