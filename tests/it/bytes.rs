//! Plain data of any length: bytes, numbers and texts go in and out as they are, whether they
//! fit into a slot, lie in a block, or find no room in one.

use std::time::Duration;

use crate::processes::until;
use nix::sys::resource::{Resource, setrlimit};
use pinfold::{Loan, Runtime, Shared, TaskError};
use serde::de::DeserializeOwned;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

const MIB: usize = 1 << 20;

fn same<T>(value: T) -> T {
    value
}

fn start(cap: usize) -> Runtime {
    let builder = Runtime::builder().workers(1).memory_cap(cap as u64);
    builder.start().expect("start")
}

fn goes_round<T>(rt: &Runtime, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Clone + Send + 'static,
{
    let came = rt.spawn(same::<T>, value.clone()).join();
    assert!(came.expect("comes") == *value);
}

fn is_clean(rt: &Runtime) {
    // Who follows a task (a memory) lets go of its value a moment after it has ended.
    until("no block is held", || {
        let audit = rt.audit();
        audit.blocks_loaned + audit.blocks_shared == 0
    });
    let audit = rt.audit();
    assert_eq!(audit.orphans, Vec::<String>::new());
    assert_eq!(audit.blocks_loaned + audit.blocks_shared, 0);
    assert_eq!(audit.blocks_carried, 0);
}

fn until_finished<R>(handles: &[pinfold::Handle<R>]) {
    while !handles.iter().all(pinfold::Handle::is_finished) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn pattern(len: usize) -> Vec<u8> {
    let some: Vec<u8> = (0..100_003.min(len))
        .map(|n| (n * 31 + n / 251) as u8)
        .collect();
    let mut all = some.repeat(len / 100_003 + 1);
    all.truncate(len);
    all
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    name: String,
    pixels: Vec<u8>,
    weights: Vec<f64>,
    flags: Option<Vec<bool>>,
    text: String,
    rows: Vec<Vec<u16>>,
    last: u8,
}

fn report(len: usize) -> Report {
    Report {
        name: "report".into(),
        pixels: pattern(len),
        weights: (0..len / 8).map(|n| n as f64 / 3.0).collect(),
        flags: Some((0..len / 4).map(|n| n % 3 == 0).collect()),
        text: "ünïcode ".repeat(len / 10),
        rows: vec![(0..2000).collect(); len / 8000],
        last: 7,
    }
}

#[test]
fn plain_data_of_every_length_goes_round() {
    let rt = start(256 * MIB);
    for len in [
        0,
        40,
        48,
        49,
        1023,
        65_500,
        65_536,
        70_000,
        131_072,
        3 * MIB,
    ] {
        goes_round(&rt, &pattern(len));
        goes_round(&rt, &"x".repeat(len));
        goes_round(&rt, &report(len));
    }
    is_clean(&rt);
}

#[test]
fn arguments_and_results_of_64_mib_go_round() {
    let rt = start(384 * MIB);
    let bytes = pattern(64 * MIB);
    goes_round(&rt, &bytes);
    goes_round(&rt, &vec![0.5_f64; 8 * MIB]);
    goes_round(&rt, &(bytes[..32 * MIB].to_vec(), vec![7_u32; 8 * MIB]));
    // Several that are not asked for lie there, or in the heap: others find room.
    let waiting: Vec<_> = (0..2).map(|_| rt.spawn(same, bytes.clone())).collect();
    until_finished(&waiting);
    goes_round(&rt, &bytes);
    for handle in waiting {
        assert!(handle.join().expect("comes") == bytes);
    }
    is_clean(&rt);
}

/// Argument, result, and one copy of each in shared memory, one after the other.
#[test]
fn arguments_and_results_of_1_gib_go_round() {
    let len = 1 << 30;
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemAvailable"))?;
            line.split_whitespace().nth(1)?.parse::<usize>().ok()
        });
    if available.is_none_or(|kib| kib / 1024 / 1024 < 8) {
        eprintln!("SKIPPED: less than 8 GiB of memory are available");
        return;
    }
    let rt = start(4 * len + 64 * MIB);
    let bytes = vec![0xa5_u8; len];
    let came = rt.spawn(same::<Vec<u8>>, bytes).join().expect("comes");
    assert_eq!(came.len(), len);
    let some = vec![0xa5_u8; MIB];
    assert!(came.chunks(MIB).all(|part| part == some));
    is_clean(&rt);
}

/// Too much for the pool now: it waits; for good: an error that says so.
#[test]
fn without_room_they_wait_or_fail() {
    let rt = start(8 * MIB);
    let bytes = pattern(3 * MIB);
    let results = rt.map(same::<Vec<u8>>, vec![bytes.clone(); 6]);
    for result in results {
        match result {
            Ok(came) => assert!(came == bytes),
            // Others' arguments have it all when it ends.
            Err(TaskError::OutOfMemory { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let error = rt.spawn(same, pattern(9 * MIB)).join().expect_err("room");
    assert!(
        matches!(error, TaskError::ArgumentsTooLarge { .. }),
        "{error:?}"
    );
    let refused = rt
        .task(same)
        .spawn_timeout(pattern(9 * MIB), Duration::from_secs(60));
    let error = refused.expect("taken").join().expect_err("room");
    assert!(
        matches!(error, TaskError::ArgumentsTooLarge { .. }),
        "{error:?}"
    );
    let long = rt.spawn(|len: usize| vec![1_u8; len], 9 * MIB).join();
    assert!(
        matches!(long, Err(TaskError::OutOfMemory { .. })),
        "{long:?}"
    );
    is_clean(&rt);
}

#[derive(Serialize, Deserialize)]
struct WithBuffers {
    before: Vec<u8>,
    shared: Shared,
    loan: Loan,
    after: Vec<u32>,
}

fn adds_up(mut with: WithBuffers) -> (WithBuffers, u64) {
    let sum = with
        .before
        .iter()
        .chain(&with.shared[..])
        .chain(&with.loan[..]);
    let sum = sum.map(|n| u64::from(*n)).sum::<u64>();
    let after: u64 = with.after.iter().map(|n| u64::from(*n)).sum();
    with.loan.fill(9);
    (with, sum + after)
}

/// A long value is written more than once: its buffers are sent once.
#[test]
fn long_values_have_buffers_among_them() {
    let rt = start(64 * MIB);
    let (mut shared, mut loan) = (rt.alloc(100).expect("room"), rt.alloc(10).expect("room"));
    shared.fill(1);
    loan.fill(2);
    let with = WithBuffers {
        before: vec![1; 100_000],
        shared: shared.publish(),
        loan,
        after: vec![1; 100_000],
    };
    let (back, sum) = rt.spawn(adds_up, with).join().expect("comes");
    assert_eq!(sum, 200_120);
    assert_eq!(&back.loan[..], [9; 10]);
    assert_eq!((back.before.len(), back.after.len()), (100_000, 100_000));
    drop(back);
    is_clean(&rt);
}

/// Writes what it likes: hides errors, and is of another length each time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Wayward {
    bytes: Vec<u8>,
}

impl Serialize for Wayward {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: a counter.
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let bytes = pattern(self.bytes.len() + call % 5 * 1000);
        let mut outer = s.serialize_seq(Some(1))?;
        // It does not want to know.
        let _ = outer.serialize_element(&bytes);
        outer.end()
    }
}

#[test]
fn whatever_a_type_writes_it_comes_or_is_refused() {
    let rt = start(64 * MIB);
    for len in [10, 60_000, 64_000, 70_000, 200_000] {
        let wayward = Wayward {
            bytes: pattern(len),
        };
        match rt.spawn(same, wayward).join() {
            Ok(Wayward { bytes }) => assert!(bytes == pattern(bytes.len())),
            Err(TaskError::Arguments { .. } | TaskError::Result { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    is_clean(&rt);
}

/// The named form, and values within tasks, and what is remembered.
#[test]
fn other_ways_for_long_values() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        report: Report,
        z: u8,
    }
    fn nested(bytes: Vec<u8>) -> Vec<u8> {
        let child = pinfold::spawn(same::<Vec<u8>>, bytes.clone());
        let came = child.join().expect("a child's value");
        assert!(came == bytes);
        came
    }
    let rt = start(256 * MIB);
    goes_round(
        &rt,
        &Flat {
            report: report(200_000),
            z: 1,
        },
    );
    let bytes = pattern(5 * MIB);
    assert!(rt.spawn(nested, bytes.clone()).join().expect("comes") == bytes);
    let first = rt.spawn(same, bytes.clone());
    let second = rt.spawn_after(&first, |(n, bytes): (u8, Vec<u8>)| (n, bytes), 3);
    assert!(second.join().expect("comes") == (3, bytes.clone()));
    assert!(first.join().expect("comes") == bytes);
    let memo = pinfold::Memo::new(4);
    let task = rt.task(same::<Vec<u8>>).memoized(&memo);
    for _ in 0..2 {
        assert!(task.spawn(bytes.clone()).join().expect("comes") == bytes);
    }
    drop((task, memo));
    is_clean(&rt);
}

/// Who asked for nothing leaves nothing behind.
#[test]
fn results_that_nobody_takes_are_freed() {
    let rt = start(128 * MIB);
    let kept: Vec<_> = (0..3).map(|_| rt.spawn(same, pattern(MIB))).collect();
    until_finished(&kept);
    drop(kept);
    let panicked = rt.spawn(|_: Vec<u8>| -> Vec<u8> { panic!("no") }, pattern(MIB));
    assert!(panicked.join().is_err());
    goes_round(&rt, &1_u8);
    is_clean(&rt);
}

/// Results that nobody has taken stay where they are, but not all of them: they are copied out of
/// the memory before they take more than a quarter of it.
#[test]
fn results_that_wait_leave_most_of_the_memory_to_others() {
    let rt = start(64 * MIB);
    let long = |n: u8| vec![n; 4 * MIB];
    let waiting: Vec<_> = (0..12).map(|n| rt.spawn(long, n)).collect();
    until_finished(&waiting);
    let others: Result<Vec<_>, _> = (0..8).map(|_| rt.alloc(4 * MIB)).collect();
    assert!(others.is_ok(), "{others:?}");
    drop(others);
    for (n, handle) in waiting.into_iter().enumerate() {
        assert!(handle.join().expect("a value") == vec![n as u8; 4 * MIB]);
    }
    is_clean(&rt);
}

/// Leaves this process 32 MiB more of addresses than it has.
fn has_few_addresses() -> Result<(), String> {
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(|e| e.to_string())?;
    let pages: u64 = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .ok_or("no number")?;
    let most = pages * 4096 + 32 * MIB as u64;
    setrlimit(Resource::RLIMIT_AS, most, most).map_err(|e| e.to_string())
}

/// It is an error of this task, and its worker lives.
#[test]
fn an_argument_that_finds_no_memory_where_it_is_decoded_is_an_error() {
    let builder = Runtime::builder()
        .workers(1)
        .memory_cap(256 * MIB as u64)
        .start_attempts(1)
        .worker_init(has_few_addresses);
    let rt = builder.start().expect("start");
    let error = rt
        .spawn(|bytes: Vec<u8>| bytes.len(), vec![1; 100 * MIB])
        .join();
    assert!(
        matches!(error, Err(TaskError::Arguments { .. })),
        "{error:?}"
    );
    let error = rt
        .spawn(|floats: Vec<f64>| floats.len(), vec![1.0; 10 * MIB])
        .join();
    assert!(
        matches!(error, Err(TaskError::Arguments { .. })),
        "{error:?}"
    );
    goes_round(&rt, &pattern(MIB));
    assert_eq!(rt.stats().restarts, 0);
    is_clean(&rt);
}
