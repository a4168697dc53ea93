//! A value that many tasks have in common: encoded once, decoded once in each worker, and gone
//! when nobody needs it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinfold::{Constant, ConstantError, Runtime, Shutdown, TaskError};
use serde::{Deserialize, Deserializer, Serialize};

/// Tells by files in a directory what becomes of it, in whatever process.
#[derive(Debug, Serialize)]
struct Witness {
    directory: PathBuf,
    payload: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(rename = "Witness")]
struct Plain {
    directory: PathBuf,
    payload: Vec<u64>,
}

impl<'de> Deserialize<'de> for Witness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain { directory, payload } = Plain::deserialize(deserializer)?;
        note(&directory, "decoded");
        Ok(Witness { directory, payload })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        note(&self.directory, "dropped");
    }
}

fn note(directory: &Path, what: &str) {
    let pid = std::process::id();
    (0..)
        .map(|n| directory.join(format!("{what}-{pid}-{n}")))
        .find(|path| {
            let mut options = std::fs::OpenOptions::new();
            let opened = options.write(true).create_new(true).open(path);
            !opened.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists)
        });
}

/// In how many files, and processes, that was noted, but for this one's.
fn noted(directory: &Path, what: &str) -> (usize, usize) {
    let own = format!("{what}-{}-", std::process::id());
    let names = std::fs::read_dir(directory).unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        (name.starts_with(what) && !name.starts_with(&own)).then_some(name)
    });
    let names: Vec<String> = names.collect();
    let pids: BTreeSet<&str> = names.iter().filter_map(|n| n.split('-').nth(1)).collect();
    (names.len(), pids.len())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn blocks(rt: &Runtime) -> u64 {
    rt.audit().blocks_shared
}

fn witness(directory: &Path) -> Witness {
    Witness {
        directory: directory.to_owned(),
        payload: (0..1000).collect(),
    }
}

fn sum((witness, n): (Constant<Witness>, u64)) -> u64 {
    witness.payload.iter().sum::<u64>() + n
}

/// Two executors of a worker share what was decoded; so do all tasks, one after the other.
#[test]
fn each_worker_decodes_it_once_and_drops_it_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let rt = Runtime::builder()
        .workers(2)
        .threads_per_worker(2)
        .start()
        .unwrap();
    let constant = rt.constant(witness(directory.path())).unwrap();
    let handles: Vec<_> = (0..200)
        .map(|n| rt.spawn(sum, (constant.clone(), n)))
        .collect();
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.join().unwrap(), 499_500 + n);
    }
    // And later, when nobody has it meanwhile.
    assert_eq!(
        rt.spawn(sum, (constant.clone(), 1)).join().unwrap(),
        499_501
    );
    let (decoded, in_processes) = noted(directory.path(), "decoded");
    assert!((1..=2).contains(&decoded), "{decoded}");
    assert_eq!(decoded, in_processes, "one each");
    assert_eq!(noted(directory.path(), "dropped"), (0, 0), "it is needed");

    assert_eq!(blocks(&rt), 1);
    drop(constant);
    // The workers sleep: they are woken for it.
    until("dropped everywhere", || {
        noted(directory.path(), "dropped") == (decoded, in_processes)
    });
    until("freed", || blocks(&rt) == 0);
    rt.shutdown(Shutdown::Drain).unwrap();
}

/// What waits and runs has it, whatever the host has dropped; and so have children, dependents
/// and retries. What comes back is the host's own value.
#[test]
fn whoever_carries_it_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let rt = Runtime::builder().workers(2).start().unwrap();
    let constant = rt.constant(witness(directory.path())).unwrap();
    let address = std::ptr::from_ref::<Witness>(&constant).addr();

    let back = |(constant, is_child): (Constant<Witness>, bool)| match is_child {
        true => pinfold::spawn(|c: Constant<Witness>| c, constant)
            .join()
            .unwrap(),
        false => constant,
    };
    for is_child in [false, true] {
        let back = rt.spawn(back, (constant.clone(), is_child)).join().unwrap();
        assert_eq!(std::ptr::from_ref::<Witness>(&back).addr(), address);
    }

    let nap = rt.spawn(|ms| std::thread::sleep(Duration::from_millis(ms)), 100);
    let after = |(constant, ()): (Constant<Witness>, ())| constant.payload.len();
    let waits = rt.spawn_after(
        &nap,
        |(constant, ()): (Constant<Witness>, ())| constant,
        constant.clone(),
    );
    let too = rt.spawn_after(&nap, after, constant.clone());
    drop(constant);
    assert_eq!(too.join().unwrap(), 1000);
    // Now the value is what was decoded of what came back.
    let back = waits.join().unwrap();
    assert_eq!(Constant::get(&back).unwrap().payload.len(), 1000);
    assert_eq!(rt.spawn(sum, (back, 0)).join().unwrap(), 499_500);
    until("freed", || blocks(&rt) == 0);
}

/// A death takes what its worker had decoded along, and nothing else.
#[test]
fn a_worker_that_dies_leaves_it_to_its_successor() {
    fn dies_once((witness, path): (Constant<Witness>, PathBuf)) -> usize {
        let len = witness.payload.len();
        if std::fs::File::create_new(path).is_ok() {
            std::process::abort();
        }
        len
    }
    let directory = tempfile::tempdir().unwrap();
    let rt = Runtime::builder().workers(1).start().unwrap();
    let constant = rt.constant(witness(directory.path())).unwrap();
    for attempt in 0..3 {
        let path = directory.path().join(format!("death-{attempt}"));
        let task = rt.task(dies_once).safe_to_repeat(2);
        assert_eq!(task.spawn((constant.clone(), path)).join().unwrap(), 1000);
    }
    let (decoded, in_processes) = noted(directory.path(), "decoded");
    assert_eq!((decoded, in_processes), (4, 4));
    assert!(rt.audit().orphans.is_empty());
    drop(constant);
    until("freed", || blocks(&rt) == 0);
    until("dropped", || noted(directory.path(), "dropped") == (1, 1));
}

/// Every way to submit takes it.
#[test]
fn constants_go_with_every_way_to_submit() {
    type Pair = (Constant<Vec<u64>>, u64);
    fn add((table, n): Pair) -> u64 {
        table[n as usize] + 1
    }
    let rt = Runtime::builder().workers(2).start().unwrap();
    let table = rt.constant((0..1000).collect::<Vec<u64>>()).unwrap();
    let items = || (0..1000).map(|n| (table.clone(), n));
    let expected: Vec<u64> = (1..=1000).collect();
    let task = rt.task(add);
    let in_order = |values: Vec<Result<u64, TaskError>>| {
        values.into_iter().collect::<Result<Vec<_>, _>>().unwrap()
    };
    assert_eq!(in_order(task.map(items()).collect()), expected);
    assert_eq!(
        in_order(task.clone().chunked().map(items()).collect()),
        expected
    );
    let before = rt.stats().tasks.submitted;
    let chunked = task.clone().chunked().chunk_size(400);
    assert_eq!(in_order(chunked.map(items()).collect()), expected);
    let tasks = rt.stats().tasks.submitted - before;
    assert_eq!(tasks, 3, "the items of a chunk have it in common");
    let mut sorted: Vec<u64> = task
        .map_unordered(items())
        .map(|(_, v)| v.unwrap())
        .collect();
    sorted.sort();
    assert_eq!(sorted, expected);
    let sum = task.reduce(items(), |(a, b)| a + b).unwrap();
    assert_eq!(sum, Some(500_500));
    assert_eq!(
        task.try_spawn((table.clone(), 1)).unwrap().join().unwrap(),
        2
    );
    let handles = rt
        .scope(|s| [1, 2].map(|n| s.spawn(add, (table.clone(), n))))
        .unwrap();
    assert_eq!(handles.map(|handle| handle.join().unwrap()), [2, 3]);
    let memo = pinfold::Memo::new(10);
    let remembered = rt.task(add).memoized(&memo);
    assert_eq!(remembered.spawn((table.clone(), 4)).join().unwrap(), 5);
    drop(table);
    until("freed", || blocks(&rt) == 0);
}

/// Buffers and constants may be in a constant; a buffer with one owner may not.
#[test]
fn what_may_be_in_a_constant() {
    type Inner = (pinfold::Shared, Constant<String>);
    let rt = Runtime::builder().workers(1).start().unwrap();
    let mut loan = rt.alloc(1000).unwrap();
    loan.fill(3);
    let name = rt.constant("name".to_owned()).unwrap();
    let outer = rt.constant((loan.publish(), name)).unwrap();
    let read = |outer: Constant<Inner>| -> (u64, String) {
        let (bytes, name) = &*outer;
        (
            bytes.iter().map(|b| u64::from(*b)).sum(),
            String::clone(name),
        )
    };
    for _ in 0..3 {
        let read = rt.spawn(read, outer.clone()).join().unwrap();
        assert_eq!(read, (3000, "name".to_owned()));
    }
    drop(outer);
    until("freed", || blocks(&rt) == 0);

    let error = rt.constant(rt.alloc(1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("has one owner"), "{error}");
    let other = Runtime::builder().workers(1).start().unwrap();
    let foreign = other.constant(1u64).unwrap();
    let error = rt.spawn(|n: Constant<u64>| *n, foreign).join().unwrap_err();
    assert!(error.to_string().contains("another runtime"), "{error}");
}

/// Its type does not like it in a worker.
#[derive(Debug, Serialize)]
struct Picky(u64);

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Picky")]
        struct Plain(u64);
        let Plain(n) = Plain::deserialize(deserializer)?;
        if pinfold::current_task().is_some() {
            return Err(serde::de::Error::custom("not in a task"));
        }
        Ok(Picky(n))
    }
}

#[test]
fn one_that_cannot_be_read_is_the_tasks_error() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let picky = rt.constant(Picky(1)).unwrap();
    let unasked = rt.spawn(|_: Constant<Picky>| 7, picky.clone());
    assert_eq!(unasked.join().unwrap(), 7, "nobody looks at it");
    for _ in 0..2 {
        let panicked = rt.spawn(|picky: Constant<Picky>| picky.0, picky.clone());
        let error = panicked.join().unwrap_err();
        assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
        let words = error.to_string();
        assert!(
            words.contains("Picky") && words.contains("not in a task"),
            "{words}"
        );
    }
    let asked = |picky: Constant<Picky>| {
        Constant::get(&picky)
            .map(|p| p.0)
            .map_err(|e| e.to_string())
    };
    let words = rt.spawn(asked, picky.clone()).join().unwrap().unwrap_err();
    assert!(words.contains("not in a task"), "{words}");
    assert_eq!(picky.0, 1, "the host has it");
}

/// It outlives its runtime as a value; there is none without room.
#[test]
fn without_a_runtime_or_room() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .unwrap();
    let error = rt.constant(vec![1u64; 1 << 20]).unwrap_err();
    assert!(matches!(error, ConstantError::Alloc(_)), "{error}");
    let few = rt.constant(vec![1u64; 10]).unwrap();
    assert_eq!(few.len(), 10);
    rt.shutdown(Shutdown::Drain).unwrap();
    let after = rt.spawn(|few: Constant<Vec<u64>>| few.len(), few.clone());
    assert!(matches!(after.join(), Err(TaskError::Shutdown { .. })));
    drop(rt);
    assert_eq!(few.len(), 10);
}

/// New memory, new workers: it is encoded once more, by the next task that takes it.
#[test]
fn a_fold_that_is_built_anew_has_it_again() {
    let cap = 1 << 20;
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(cap as u64)
        .start()
        .unwrap();
    let numbers = rt.constant((0..1000).collect::<Vec<u64>>()).unwrap();
    let sum = |(numbers, n): (Constant<Vec<u64>>, u64)| numbers.iter().sum::<u64>() + n;
    let back = |numbers: Constant<Vec<u64>>| numbers;
    let numbers_back = rt.spawn(back, numbers.clone()).join().unwrap();
    for round in 1..=2 {
        assert_eq!(rt.spawn(sum, (numbers.clone(), 1)).join().unwrap(), 499_501);
        assert!(rt.spawn(super::hunted::wreck, cap).join().is_err());
        until("rebuilt", || {
            // Those that meet the damage end with it; none with another error.
            let summed = rt.spawn(sum, (numbers.clone(), 2)).join();
            assert!(
                matches!(&summed, Ok(499_502) | Err(TaskError::Corrupted { .. })),
                "{summed:?}"
            );
            rt.stats().rebuilds == round && summed.is_ok()
        });
        assert_eq!(
            rt.spawn(sum, (numbers_back.clone(), 3)).join().unwrap(),
            499_503
        );
        assert_eq!(blocks(&rt), 1, "encoded once more");
    }
}
