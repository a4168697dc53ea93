//! Tasks that spawn tasks.

use std::time::{Duration, Instant};

use pinfold::{Loan, Runtime, Shared, TaskError};

use crate::api::runtime;

/// Nothing is in use, nothing is nobody's. A task that was forsaken may still be on
/// its way out: looks again for a while.
pub(crate) fn becomes_clean(rt: &Runtime) {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
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
        if used == [0; 7] {
            break;
        }
        assert!(Instant::now() < give_up, "{audit:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rt.stats().tasks.damage, 0);
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let other = pinfold::spawn(fib, n - 1);
    fib(n - 2) + other.join().expect("a number")
}

#[test]
fn fork_and_join() {
    for workers in [1, 2, 3] {
        let rt = runtime(workers);
        let fibs: Vec<_> = (0..16).map(|n| rt.spawn(fib, n)).collect();
        let values: Result<Vec<u64>, _> = fibs.into_iter().map(|f| f.join()).collect();
        let expected = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610];
        assert_eq!(values.expect("all"), expected);
        becomes_clean(&rt);
    }
}

#[test]
fn deep_recursion_neither_hangs_nor_overflows() {
    fn depth(left: u32) -> u32 {
        match left {
            0 => 0,
            _ => 1 + pinfold::spawn(depth, left - 1).join().expect("returns"),
        }
    }
    for workers in [1, 2] {
        let rt = runtime(workers);
        assert_eq!(rt.spawn(depth, 10_000).join(), Ok(10_000));
        becomes_clean(&rt);
    }
}

#[test]
fn more_children_than_slots() {
    fn sum(n: u64) -> u64 {
        let children: Vec<_> = (0..n).map(|i| pinfold::spawn(|i: u64| i * 2, i)).collect();
        children
            .into_iter()
            .map(|c| c.join().expect("doubled"))
            .sum()
    }
    let rt = runtime(2);
    for n in [0, 1, 255, 256, 257, 5000] {
        assert_eq!(rt.spawn(sum, n).join(), Ok(n * n.saturating_sub(1)));
    }
    becomes_clean(&rt);
}

#[test]
fn buffers_and_long_values_travel_between_tasks() {
    fn text(len: usize) -> String {
        "y".repeat(len)
    }
    fn total(s: Shared) -> u64 {
        s.iter().map(|b| u64::from(*b)).sum()
    }
    fn fill(mut loan: Loan) -> Loan {
        loan.fill(2);
        loan
    }
    fn same(s: Shared) -> Shared {
        s
    }
    fn parent(data: Shared) -> Result<(u64, Shared), String> {
        let told = |error: TaskError| error.to_string();
        let texts = [10, 1000, 200_000].map(|len| (len, pinfold::spawn(text, len)));
        let long = pinfold::spawn(|s: String| s.len(), "z".repeat(100_000));
        let sums = [0; 5].map(|_| pinfold::spawn(total, data.clone()));
        let loan = pinfold::alloc(5000).map_err(|e| e.to_string())?;
        let filled = pinfold::spawn(fill, loan);
        let back = pinfold::spawn(same, data.clone());
        for (len, text) in texts {
            assert_eq!(text.join().map_err(told)?.len(), len);
        }
        assert_eq!(long.join().map_err(told)?, 100_000);
        let mut all = 0;
        for sum in sums {
            all += sum.join().map_err(told)?;
        }
        let filled = filled.join().map_err(told)?;
        all += filled.iter().map(|b| u64::from(*b)).sum::<u64>();
        assert!(back.join().map_err(told)? == data);
        Ok((all, filled.publish()))
    }
    let rt = runtime(2);
    for _ in 0..20 {
        let mut loan = rt.alloc(1000).expect("room");
        loan.fill(1);
        let (all, filled) = rt
            .spawn(parent, loan.publish())
            .join()
            .expect("runs")
            .expect("works");
        assert_eq!(all, 5 * 1000 + 2 * 5000);
        assert!(filled.iter().all(|b| *b == 2));
    }
    becomes_clean(&rt);
}

#[test]
fn a_childs_failure_is_the_parents_to_see() {
    fn fails(n: u32) -> u32 {
        assert!(n > 5, "{n} is too small");
        n
    }
    fn parent(n: u32) -> String {
        match pinfold::spawn(fails, n).join() {
            Ok(n) => n.to_string(),
            Err(TaskError::Panicked { message, .. }) => message,
            Err(other) => panic!("{other}"),
        }
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, 7).join().as_deref(), Ok("7"));
    assert_eq!(rt.spawn(parent, 3).join().as_deref(), Ok("3 is too small"));
    becomes_clean(&rt);
}

#[test]
fn outside_of_a_task_it_is_an_error() {
    let child = pinfold::spawn(|n: u32| n, 1);
    assert_eq!(child.join(), Err(TaskError::NotInTask));
}

#[test]
fn nobody_waits_for_a_detached_child() {
    fn parent(n: u64) -> u64 {
        for i in 0..n {
            drop(pinfold::spawn(|i: u64| vec![i; 100], i));
        }
        n
    }
    let rt = runtime(2);
    for n in [1, 100, 1000] {
        assert_eq!(rt.spawn(parent, n).join(), Ok(n));
    }
    becomes_clean(&rt);
}

fn kill_me_if_stolen(parent: u32) -> u32 {
    if std::process::id() != parent {
        std::process::exit(5);
    }
    parent
}

/// Its child is run by another worker, which dies of it.
fn parent_of_the_stolen((): ()) -> Result<u32, TaskErrorText> {
    let child = pinfold::spawn(kill_me_if_stolen, std::process::id());
    // Time for somebody to take it.
    std::thread::sleep(Duration::from_millis(20));
    child.join().map_err(|error| error.to_string())
}

type TaskErrorText = String;

#[test]
fn a_child_that_is_lost_elsewhere_is_told_to_its_parent() {
    let rt = runtime(2);
    let mut lost = 0;
    for _ in 0..20 {
        match rt.spawn(parent_of_the_stolen, ()).join().expect("lives") {
            Ok(_) => {}
            Err(error) => {
                assert!(error.contains("exited with status 5"), "{error}");
                assert!(error.contains("kill_me_if_stolen"), "{error}");
                lost += 1;
            }
        }
    }
    assert!(lost > 0, "nobody ever stole it");
    assert_eq!(rt.stats().restarts, lost);
    becomes_clean(&rt);
}

#[test]
fn children_of_the_dead_are_cancelled() {
    fn slow(ms: u64) -> Vec<u8> {
        std::thread::sleep(Duration::from_millis(ms));
        vec![0; 5000]
    }
    fn dies(n: u64) {
        let children: Vec<_> = (0..n)
            .map(|i| {
                (
                    pinfold::spawn(slow, i % 3),
                    pinfold::spawn(|s: String| s, "w".repeat(900)),
                )
            })
            .collect();
        std::thread::sleep(Duration::from_millis(n % 4));
        std::mem::forget(children);
        std::process::abort();
    }
    let rt = runtime(2);
    for n in 0..40 {
        let died = rt.spawn(dies, n).join();
        assert!(
            matches!(died, Err(TaskError::WorkerDied { .. })),
            "{died:?}"
        );
        assert_eq!(rt.spawn(fib, 10).join(), Ok(55));
    }
    becomes_clean(&rt);
}

/// The task at the bottom of the stack is not charged for what was on top of it.
#[test]
fn only_the_top_of_a_stack_is_to_blame() {
    fn parent(rounds: u32) -> u32 {
        for _ in 0..rounds {
            // Run on the spot by nobody but this process: poison of its own.
            let child = pinfold::spawn(|ms: u64| std::thread::sleep(Duration::from_millis(ms)), 1);
            child.join().expect("sleeps");
        }
        rounds
    }
    fn bomb(parent: u32) {
        if std::process::id() != parent {
            std::process::abort();
        }
    }
    fn bomber(bombs: u32) {
        for _ in 0..bombs {
            let child = pinfold::spawn(bomb, std::process::id());
            std::thread::sleep(Duration::from_millis(1));
            let _ = child.join();
        }
    }
    let rt = runtime(2);
    // Both run side by side; what the one spawns may be run while the other waits.
    let innocent = rt.task(parent).safe_to_repeat(2).spawn(40);
    let bombs = rt.task(bomber).safe_to_repeat(1).spawn(30);
    bombs.join().expect("lives on");
    let outcome = innocent.join();
    assert!(outcome == Ok(40), "{outcome:?}");
    becomes_clean(&rt);
}

/// What each task of a test has found, in the order in which they ran; they share a worker.
static FOUND: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn find(what: String) {
    FOUND.lock().expect("whole").push(what);
}

fn heir(who: String) {
    let info = pinfold::task_info().expect("a task");
    assert_eq!((info.name, info.traceparent), (None, None));
    assert_eq!(info.tags, []);
    let left = pinfold::context().time_left().expect("the root's");
    assert!(left > Duration::from_secs(3000));
    find(who);
}

/// One is run on the spot, one after its parent has ended; that waits for `release`.
fn leaves(release: std::path::PathBuf) {
    pinfold::spawn(heir, "joined".into()).join().expect("ends");
    drop(pinfold::spawn(|()| find("detached".into()), ()));
    std::fs::write(release.with_extension("ready"), b"").expect("writes");
    while !release.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A child has the deadline and the cancellation of its root, and nothing else.
#[test]
fn what_a_child_has_of_its_parent() {
    let rt = runtime(1);
    let dir = tempfile::tempdir().expect("a directory");
    let release = dir.path().join("release");
    let limit = pinfold::Limit::new(1);
    let root = rt
        .task(leaves)
        .named("root")
        .tag("a", "b")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .expect("well formed")
        .priority(pinfold::Priority::Background)
        .limited(&limit, 1)
        .soft_deadline(Duration::from_secs(3600))
        .spawn(release.clone());
    let give_up = Instant::now() + Duration::from_secs(60);
    while !release.with_extension("ready").exists() {
        assert!(Instant::now() < give_up, "the root does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    // At a level above that of the root: its child would be later if it had the root's.
    let low = rt.task(|()| find("low".into()));
    let low = low.priority(pinfold::Priority::Low).spawn(());
    std::fs::write(release, b"").expect("writes");
    root.join().expect("ends");
    // The share is the root's, and came back with it.
    let next = rt.task(|()| ()).limited(&limit, 1).try_spawn(());
    next.expect("the limit is free").join().expect("ends");
    low.join().expect("ends");
    let found = rt.spawn(|()| FOUND.lock().expect("whole").clone(), ());
    assert_eq!(found.join().expect("ends"), ["joined", "detached", "low"]);
    becomes_clean(&rt);
}
