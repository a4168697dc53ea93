//! Tasks of tasks, when their parents, roots or workers end. The tests are named by the cells of the table in
//! docs/PROTOCOLS.md ("Children of what ends early").

mod tasks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Handle, Orphans, Runtime, Shutdown, TaskError};

use crate::host::Host;
use crate::{Program, test};

use tasks::{Work, has, mark, wait_for};

/// What ends, and where its child is then; the host programs are called by both.
const CELLS: &[(&str, &str)] = &[
    ("root_cancelled", "polite_on_another_worker"),
    ("root_cancelled", "deaf_on_another_worker"),
    ("root_cancelled", "polite_on_another_thread"),
    ("root_cancelled", "deaf_on_another_thread"),
    ("root_cancelled", "on_the_same_stack"),
    ("root_cancelled", "not_begun"),
    ("root_cancelled", "done"),
    ("root_cancelled", "detached"),
    ("root_cancelled_within", "polite_on_another_worker"),
    ("root_cancelled_within", "deaf_on_another_worker"),
    ("root_cancelled_within", "deaf_on_another_thread"),
    ("root_cancelled_within", "deaf_on_the_same_stack"),
    ("root_late", "polite_on_another_worker"),
    ("root_late", "deaf_on_another_worker"),
    ("root_late", "deaf_on_the_same_stack"),
    ("root_late", "not_begun"),
    ("root_dies", "polite_on_another_worker"),
    ("root_dies", "deaf_on_another_worker"),
    ("root_dies", "deaf_on_another_thread"),
    ("root_dies", "not_begun"),
    ("root_dies", "done"),
    ("root_dies", "detached"),
    ("parent_dies", "polite_on_another_worker"),
    ("parent_dies", "deaf_on_another_worker"),
    ("orphans_finish", "runs_on"),
    ("orphans_finish", "not_begun"),
    ("orphans_finish", "cancelled_later"),
    ("root_ends_in_order", "detached"),
    ("shutdown_graceful", "polite_on_another_worker"),
    ("shutdown_graceful", "detached"),
    ("shutdown_abort", "deaf_on_another_worker"),
    ("shutdown_drain", "detached"),
    ("shutdown_drain", "deaf_of_one_that_was_late"),
    ("rebuilt_after_damage", "deaf_on_another_worker"),
];

pub fn tests() -> Vec<Trial> {
    let cell = |(ends, place): &(&'static str, &'static str)| {
        let (ends, place) = (*ends, *place);
        test(&format!("children_{ends}_{place}"), move || {
            Host::new("children").arg(ends).arg(place).run().well();
        })
    };
    let mut all: Vec<Trial> = CELLS.iter().map(cell).collect();
    all.push(test(
        "children_a_parent_asleep_in_join_is_woken_to_help",
        || {
            Host::new("children_help").run().well();
        },
    ));
    all
}

pub fn programs() -> Vec<Program> {
    vec![("children", run), ("children_help", help)]
}

/// Who waits for a child that runs elsewhere wakes when something is offered that it can do. If it were not woken it
/// would sleep for a second each time, and so for half a minute.
fn help(_: &[String]) {
    let case = Case::new(2, 1, Duration::ZERO, Orphans::Cancel);
    let start = Instant::now();
    let root = case.rt.spawn(tasks::helps, case.dir.clone());
    assert_eq!(root.join(), Ok(Ok(())));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    case.becomes_clean();
}

/// A directory in which host and tasks tell each other how far they are, and a runtime.
struct Case {
    dir: PathBuf,
    rt: Runtime,
    executors: usize,
    _kept: tempfile::TempDir,
}

/// How long a polite child may take to look: it does so when the slot of its root is used again.
const LONG: Duration = Duration::from_secs(40);

impl Case {
    fn new(workers: usize, threads: usize, grace: Duration, orphans: Orphans) -> Self {
        let kept = tempfile::tempdir().expect("a directory");
        let rt = Runtime::builder()
            .workers(workers)
            .threads_per_worker(threads)
            .kill_grace(grace)
            .orphans(orphans)
            .on_drop(Shutdown::Abort)
            .start()
            .expect("starts");
        Case {
            dir: kept.path().into(),
            rt,
            executors: workers * threads,
            _kept: kept,
        }
    }

    fn work(&self, name: &str) -> Work {
        (self.dir.clone(), name.to_owned())
    }

    /// The slot of a task that has ended is used by others, each with a note of its own.
    fn use_slots_again(&self) {
        for _ in 0..3 {
            let next = self.rt.task(tasks::nothing).hard_deadline(10 * LONG);
            next.spawn(()).join().expect("a value");
        }
    }

    /// All executors are to be had: as many tasks as there are meet.
    fn all_meet(&self, occasion: &str) {
        let count = self.executors;
        let all: Vec<Handle<()>> = (0..count)
            .map(|n| {
                let args = (self.dir.clone(), occasion.to_owned(), n, count);
                // What shares a worker with one that must be killed dies along.
                self.rt.task(tasks::meet).safe_to_repeat(9).spawn(args)
            })
            .collect();
        for handle in all {
            assert_eq!(handle.join(), Ok(()), "{occasion}");
        }
    }

    /// Nothing is left of anything.
    fn becomes_clean(&self) {
        self.all_meet("at the end");
        let give_up = Instant::now() + LONG;
        loop {
            let audit = self.rt.audit();
            assert_eq!(audit.orphans, [""; 0]);
            let used = [
                audit.slots_queued,
                audit.slots_running,
                audit.slots_done,
                audit.slots_waiting,
                audit.blocks_loaned,
                audit.blocks_shared,
                audit.blocks_carried,
            ];
            if used == [0; 7] {
                break;
            }
            assert!(Instant::now() < give_up, "{audit:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(self.rt.stats().tasks.damage, 0);
    }

    /// The child may look now, and has heard.
    fn is_told(&self) {
        self.use_slots_again();
        mark(&self.dir, "look");
        wait_for(&self.dir, "told");
    }
}

fn run(arguments: &[String]) {
    let [ends, place] = arguments else {
        panic!("what ends, and where the child is");
    };
    let is_polite = place.starts_with("polite") || place == "on_the_same_stack";
    let grace = if is_polite { LONG } else { Duration::ZERO };
    let (workers, threads) = match &**place {
        "polite_on_another_thread" | "deaf_on_another_thread" => (1, 2),
        "on_the_same_stack" | "deaf_on_the_same_stack" => (1, 1),
        _ if ends == "parent_dies" => (3, 1),
        _ => (2, 1),
    };
    let orphans = match &**ends {
        "orphans_finish" => Orphans::Finish,
        _ => Orphans::Cancel,
    };
    let case = Case::new(workers, threads, grace, orphans);
    match (&**ends, &**place) {
        ("orphans_finish", "runs_on") => orphan_runs_on(&case),
        ("orphans_finish", "cancelled_later") => orphan_is_cancelled_later(&case),
        ("root_ends_in_order", _) => detached_in_order(&case),
        ("shutdown_graceful", "detached") => graceful_tells_the_detached(&case),
        ("shutdown_drain", "detached") => drain_tells_the_detached(&case),
        ("shutdown_drain", _) => drain_after_a_late_one(&case),
        ("shutdown_graceful" | "shutdown_abort", _) => shuts_down(&case, ends),
        ("rebuilt_after_damage", _) => rebuilt(&case),
        ("parent_dies", _) => parent_dies(&case, is_polite),
        (_, "not_begun") => not_begun(&case, ends),
        (_, "on_the_same_stack" | "deaf_on_the_same_stack") => same_stack(&case, ends, is_polite),
        (_, "done" | "detached") => done_or_detached(&case, ends, place),
        _ => elsewhere(&case, ends, is_polite),
    }
}

/// How a root is submitted that ends so; what it does until then is its own.
fn submit(case: &Case, ends: &str, kind: &str) -> Handle<Ended> {
    let task = case.rt.task(tasks::root);
    match ends {
        "root_late" => task.hard_deadline(Duration::from_secs(3)),
        _ => task,
    }
    .spawn((case.work(ends), kind.to_owned()))
}

type Ended = Result<(), String>;

/// The root ends as the first word of the cell says.
fn end(case: &Case, ends: &str, root: Handle<Ended>) {
    match ends {
        "root_cancelled" => {
            assert!(root.cancel());
            assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
        }
        "root_cancelled_within" => {
            assert!(root.cancel_within(Duration::from_millis(10)));
            assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
        }
        "root_late" => {
            let outcome = root.join();
            assert!(
                matches!(outcome, Err(TaskError::DeadlineExceeded { .. })),
                "{outcome:?}"
            );
        }
        _ => {
            mark(&case.dir, "die");
            let outcome = root.join();
            assert!(
                matches!(outcome, Err(TaskError::WorkerDied { .. })),
                "{outcome:?}"
            );
        }
    }
}

fn elsewhere(case: &Case, ends: &str, is_polite: bool) {
    let root = if is_polite { "of_polite" } else { "of_deaf" };
    let root = submit(case, ends, root);
    wait_for(&case.dir, "begun");
    end(case, ends, root);
    if is_polite {
        case.is_told();
    }
    case.becomes_clean();
}

fn same_stack(case: &Case, ends: &str, is_polite: bool) {
    let root = if is_polite {
        "joins_polite"
    } else {
        "joins_deaf"
    };
    let root = submit(case, ends, root);
    wait_for(&case.dir, "begun");
    if is_polite {
        assert!(root.cancel());
        mark(&case.dir, "look");
        wait_for(&case.dir, "told");
        assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
    } else {
        end(case, ends, root);
    }
    case.becomes_clean();
}

/// Both executors are busy, so the child waits in its parent's ring.
fn not_begun(case: &Case, ends: &str) {
    let busy = case.rt.spawn(tasks::wait_for_leave, case.work(""));
    wait_for(&case.dir, "busy");
    let root = submit(case, ends, "of_quick");
    wait_for(&case.dir, "spawned");
    if ends == "root_late" {
        end(case, ends, root);
    } else {
        end(
            case,
            if ends == "orphans_finish" {
                "root_dies"
            } else {
                ends
            },
            root,
        );
    }
    mark(&case.dir, "leave");
    busy.join().expect("a value");
    if ends == "orphans_finish" {
        wait_for(&case.dir, "ran");
    }
    case.becomes_clean();
    assert_eq!(has(&case.dir, "ran"), ends == "orphans_finish");
}

fn done_or_detached(case: &Case, ends: &str, place: &str) {
    let root = if place == "done" {
        "of_done"
    } else {
        "detaches_deaf"
    };
    let root = submit(case, ends, root);
    wait_for(&case.dir, "begun");
    end(case, ends, root);
    case.becomes_clean();
}

/// The root lives, and its child, in the middle, dies: what that has spawned hears so.
fn parent_dies(case: &Case, is_polite: bool) {
    let root = if is_polite {
        "of_middle_of_polite"
    } else {
        "of_middle_of_deaf"
    };
    let root = submit(case, "", root);
    wait_for(&case.dir, "begun");
    mark(&case.dir, "die");
    wait_for(&case.dir, "middle is lost");
    if is_polite {
        case.is_told();
    }
    // Two of the three, for the root is there still.
    mark(&case.dir, "end");
    assert_eq!(root.join(), Ok(Ok(())));
    case.becomes_clean();
}

/// What its root has detached before it ended in order goes on, whatever happens to the slot of the root, to what
/// uses it next, and to the worker on which the root was.
fn detached_in_order(case: &Case) {
    let root = submit(case, "", "detaches_listening");
    assert_eq!(root.join(), Ok(Ok(())));
    let next = case.rt.spawn(tasks::heeds, case.work("next"));
    wait_for(&case.dir, "next");
    assert!(next.cancel());
    assert!(matches!(next.join(), Err(TaskError::Cancelled { .. })));
    let dies = case.rt.spawn(tasks::dies, ());
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    mark(&case.dir, "look");
    wait_for(&case.dir, "was not told");
    case.becomes_clean();
}

/// With `Orphans::Finish`, who runs goes on, and is not told.
fn orphan_runs_on(case: &Case) {
    let root = submit(case, "", "of_listening");
    wait_for(&case.dir, "begun");
    end(case, "root_dies", root);
    // Longer than one that was told could have lived.
    std::thread::sleep(Duration::from_millis(1200));
    mark(&case.dir, "look");
    wait_for(&case.dir, "was not told");
    case.becomes_clean();
}

/// The task is tried again, and cancelled then: its first attempt's orphans hear so.
fn orphan_is_cancelled_later(case: &Case) {
    let task = case.rt.task(tasks::of_deaf_then_heeds).safe_to_repeat(2);
    let root = task.spawn(case.work(""));
    wait_for(&case.dir, "begun");
    mark(&case.dir, "die");
    wait_for(&case.dir, "second attempt");
    assert!(root.cancel());
    assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
    case.becomes_clean();
}

fn graceful() -> Shutdown {
    Shutdown::Graceful {
        drain: Duration::ZERO,
        grace: LONG,
    }
}

fn shuts_down(case: &Case, ends: &str) {
    let is_graceful = ends == "shutdown_graceful";
    let kind = if is_graceful { "of_polite" } else { "of_deaf" };
    let root = submit(case, "root_cancelled", kind);
    wait_for(&case.dir, "begun");
    mark(&case.dir, "look");
    if is_graceful {
        case.rt.shutdown(graceful()).expect("in order");
        assert!(matches!(root.join(), Err(TaskError::Cancelled { .. })));
        assert!(has(&case.dir, "told"));
    } else {
        case.rt.shutdown(Shutdown::Abort).expect("aborts");
        assert!(matches!(root.join(), Err(TaskError::Shutdown { .. })));
    }
}

fn graceful_tells_the_detached(case: &Case) {
    let root = submit(case, "", "detaches_polite");
    assert_eq!(root.join(), Ok(Ok(())));
    // Something must keep it from draining at once.
    let next = case.rt.spawn(tasks::heeds, case.work("next"));
    wait_for(&case.dir, "next");
    mark(&case.dir, "look");
    case.rt.shutdown(graceful()).expect("in order");
    assert!(matches!(next.join(), Err(TaskError::Cancelled { .. })));
    assert!(has(&case.dir, "told"));
}

fn drain_tells_the_detached(case: &Case) {
    let root = submit(case, "", "detaches_polite");
    assert_eq!(root.join(), Ok(Ok(())));
    mark(&case.dir, "look");
    case.rt.shutdown(Shutdown::Drain).expect("drains");
    assert!(has(&case.dir, "told"));
}

/// A deaf child of one that was late is gone long before a shutdown would lose its patience.
fn drain_after_a_late_one(case: &Case) {
    let root = submit(case, "root_late", "of_deaf");
    wait_for(&case.dir, "begun");
    end(case, "root_late", root);
    let start = Instant::now();
    case.rt.shutdown(Shutdown::Drain).expect("drains");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

/// The fold is given up while the child runs, and another takes its place.
fn rebuilt(case: &Case) {
    let root = case.rt.spawn(tasks::spoils, case.work(""));
    wait_for(&case.dir, "begun");
    mark(&case.dir, "die");
    assert!(root.join().is_err());
    let give_up = Instant::now() + LONG;
    while case.rt.stats().rebuilds == 0 {
        assert!(Instant::now() < give_up);
        std::thread::sleep(Duration::from_millis(1));
    }
    case.all_meet("in the new one");
    assert_eq!(case.rt.audit().orphans, [""; 0]);
}
