//! Scopes that wait for whatever their tasks have spawned, in tasks and in the host.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pinfold::TaskError;

use crate::api::runtime;
use crate::children::{directory, listens, mark, wait_for};
use crate::nested::becomes_clean;

static LEAVES: AtomicU32 = AtomicU32::new(0);

/// Detaches two of its own kind, unless it is a leaf; the last ones end late.
fn tree((depth, leaves): (u32, PathBuf)) {
    if depth == 0 {
        std::thread::sleep(Duration::from_millis(2));
        let number = LEAVES.fetch_add(1, Ordering::SeqCst);
        return mark(&leaves, &format!("{} {number}", std::process::id()));
    }
    for _ in 0..2 {
        drop(pinfold::spawn(tree, (depth - 1, leaves.clone())));
    }
}

fn leaves(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("a directory").count()
}

#[test]
fn a_scope_waits_for_descendants_if_it_is_to() {
    fn parent(dir: PathBuf) -> usize {
        let scoped = pinfold::scope(|s| {
            s.and_descendants();
            drop(s.spawn(tree, (3, dir.clone())));
            // Detached by a call on the spot, and by a task that is joined.
            let mixed = |dir: PathBuf| -> u32 {
                tree((2, dir.clone()));
                pinfold::join(tree, (1, dir.clone()), tree, (1, dir))
                    .1
                    .expect("runs");
                7
            };
            s.spawn(mixed, dir.clone())
        });
        let seen = leaves(&dir);
        assert_eq!(scoped.expect("no error").join(), Ok(7));
        seen
    }
    for workers in [1, 2, 3] {
        let (rt, dir) = (runtime(workers), directory());
        assert_eq!(rt.spawn(parent, dir.path().into()).join(), Ok(16));
        becomes_clean(&rt);
    }
}

/// Then some are run without a slot, in the middle of being spawned.
#[test]
fn a_scope_waits_for_descendants_also_if_there_are_no_slots() {
    fn parent((count, dir): (usize, PathBuf)) -> usize {
        let scoped = pinfold::scope(|s| {
            s.and_descendants();
            for _ in 0..count {
                drop(s.spawn(tree, (1, dir.clone())));
            }
        });
        scoped.expect("no error");
        leaves(&dir)
    }
    for workers in [1, 2] {
        let (rt, dir) = (runtime(workers), directory());
        assert_eq!(rt.spawn(parent, (300, dir.path().into())).join(), Ok(600));
        becomes_clean(&rt);
    }
}

#[test]
fn a_scope_of_the_host_waits_for_descendants_if_it_is_to() {
    for workers in [1, 3] {
        let (rt, dir) = (runtime(workers), directory());
        let after = |(dir, _): (PathBuf, ())| tree((2, dir));
        let scoped = rt.scope(|s| {
            s.and_descendants();
            let first = s.spawn(tree, (4, dir.path().into()));
            drop(s.spawn_after(&first, after, dir.path().into()));
            let again = rt.task(tree).safe_to_repeat(2).named("again");
            drop(s.spawn_task(&again, (1, dir.path().into())));
        });
        assert_eq!((scoped, leaves(dir.path())), (Ok(()), 16 + 4 + 2));
        becomes_clean(&rt);
    }
}

#[test]
fn descendants_of_a_cancelled_scope_are_told() {
    fn middle(dir: PathBuf) {
        drop(pinfold::spawn(listens, dir));
    }
    fn parent(dir: PathBuf) -> bool {
        let scoped = pinfold::scope(|s| {
            s.and_descendants();
            let middle = s.spawn(middle, dir.clone());
            wait_for(&dir, "begun");
            assert!(!middle.is_finished());
            s.cancel();
        });
        scoped.is_ok() && dir.join("told").exists()
    }
    let (rt, dir) = (runtime(3), directory());
    assert_eq!(rt.spawn(parent, dir.path().into()).join(), Ok(true));
    becomes_clean(&rt);
}

/// What a task leaves behind that dies is told, and not waited for.
#[test]
fn a_scope_with_descendants_survives_the_death_of_one_of_its_tasks() {
    fn middle(dir: PathBuf) {
        drop(pinfold::spawn(listens, dir.clone()));
        wait_for(&dir, "begun");
        wait_for(&dir, "die");
        std::process::abort();
    }
    fn parent(dir: PathBuf) -> bool {
        let scoped = pinfold::scope(|s| {
            s.and_descendants();
            drop(s.spawn(middle, dir.clone()));
            wait_for(&dir, "begun");
            mark(&dir, "die");
        });
        matches!(scoped, Err(TaskError::WorkerDied { .. }))
    }
    let (rt, dir) = (runtime(3), directory());
    assert_eq!(rt.spawn(parent, dir.path().into()).join(), Ok(true));
    wait_for(dir.path(), "told");
    let host = rt.scope(|s| {
        s.and_descendants();
        let _ = s.spawn(|(): ()| -> () { std::process::abort() }, ()).join();
    });
    assert!(matches!(host, Err(TaskError::WorkerDied { .. })));
    becomes_clean(&rt);
}
