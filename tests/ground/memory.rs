//! A pool without room: who waits for some goes on when anybody frees it, and what nobody
//! joins is no reason that there is none.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{AllocError, Memo, Retry, Runtime, Shared, Shutdown, TaskError};

use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "memory/a_waiting_spawn_goes_on_when_the_host_frees",
            of_host,
        ),
        test(
            "memory/a_waiting_spawn_goes_on_when_a_worker_frees",
            of_worker,
        ),
        test("memory/several_that_wait_all_go_on", of_several),
        test("memory/a_waiting_spawn_ends_at_shutdown", at_shutdown),
        test("memory/what_nobody_joins_makes_room_for_tasks", for_tasks),
        test(
            "memory/what_nobody_joins_makes_room_for_results",
            for_results,
        ),
        test("memory/what_nobody_joins_makes_room_for_the_host", for_host),
        test("memory/numbers_of_any_size_are_served_or_refused", numbers),
    ]
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}

const LIMIT: Duration = Duration::from_secs(30);
const MIB: usize = 1 << 20;

/// Waits for an event that leaves a file.
fn wait_for(place: &str, event: &str) {
    let give_up = Instant::now() + LIMIT;
    let file = Path::new(place).join(event);
    while !file.exists() {
        assert!(Instant::now() < give_up, "no {event} after {LIMIT:?}");
        std::thread::sleep(Duration::from_micros(300));
    }
}

fn tell(place: &str, event: &str) {
    std::fs::write(Path::new(place).join(event), "").expect("a place for files");
}

/// Runs until the host says so.
fn until_end(place: String) {
    wait_for(&place, "end");
}

struct World {
    rt: Arc<Runtime>,
    place: tempfile::TempDir,
}

impl World {
    fn new(cap: usize) -> Self {
        let builder = Runtime::builder().workers(2).memory_cap(cap as u64);
        World {
            rt: Arc::new(builder.start().expect("starts")),
            place: tempfile::tempdir().expect("a place for files"),
        }
    }

    fn place(&self) -> String {
        let place = self.place.path().to_str();
        place.expect("it is text").to_owned()
    }

    fn tell(&self, event: &str) {
        tell(&self.place(), event);
    }

    fn wait_for(&self, event: &str) {
        wait_for(&self.place(), event);
    }

    /// All memory, as buffers.
    fn fill(&self) -> Vec<Shared> {
        let next = || self.rt.alloc(100 << 10).ok().map(|loan| loan.publish());
        std::iter::from_fn(next).collect()
    }

    /// Spawns with more arguments than there is room for, on a thread of its own.
    fn spawn_long(&self) -> Receiver<Result<usize, TaskError>> {
        let (tell, told) = channel();
        let rt = Arc::clone(&self.rt);
        std::thread::spawn(move || {
            let long = rt.spawn(|v: Vec<u8>| v.len(), vec![0; MIB]);
            drop(rt);
            let _ = tell.send(long.join());
        });
        // It waits by then, or has not come so far yet: both must end well.
        std::thread::sleep(Duration::from_millis(50));
        told
    }
}

fn of_host() {
    let world = World::new(4 * MIB);
    let running = world.rt.spawn(until_end, world.place());
    let kept = world.fill();
    let told = world.spawn_long();
    assert!(told.try_recv().is_err(), "there is no room");
    drop(kept);
    assert_eq!(told.recv_timeout(LIMIT), Ok(Ok(MIB)));
    assert!(!running.is_finished());
    world.tell("end");
    assert_eq!(running.join(), Ok(()));
}

fn of_several() {
    let world = World::new(4 * MIB);
    let running = world.rt.spawn(until_end, world.place());
    let kept = world.fill();
    let told: Vec<_> = (0..3).map(|_| world.spawn_long()).collect();
    drop(kept);
    for told in told {
        assert_eq!(told.recv_timeout(LIMIT), Ok(Ok(MIB)));
    }
    assert!(!running.is_finished());
    world.tell("end");
    assert_eq!(running.join(), Ok(()));
}

fn of_worker() {
    /// Has all memory until the host says so, and runs on.
    fn hold(place: String) -> usize {
        let next = || pinfold::alloc(100 << 10).ok();
        let all: Vec<_> = std::iter::from_fn(next).collect();
        tell(&place, "full");
        wait_for(&place, "free");
        let count = all.len();
        drop(all);
        until_end(place);
        count
    }
    let world = World::new(4 * MIB);
    let holds = world.rt.spawn(hold, world.place());
    world.wait_for("full");
    let told = world.spawn_long();
    assert!(told.try_recv().is_err(), "there is no room");
    world.tell("free");
    assert_eq!(told.recv_timeout(LIMIT), Ok(Ok(MIB)));
    assert!(!holds.is_finished());
    world.tell("end");
    assert!(holds.join().expect("a value") > 0);
}

fn at_shutdown() {
    let world = World::new(4 * MIB);
    let running = world.rt.spawn(until_end, world.place());
    let kept = world.fill();
    let told = world.spawn_long();
    world.rt.shutdown(Shutdown::Abort).expect("ends");
    let told = told.recv_timeout(LIMIT).expect("the wait ends");
    assert!(matches!(told, Err(TaskError::Shutdown { .. })), "{told:?}");
    assert!(running.join().is_err());
    drop(kept);
}

/// Ends tasks whose results take all memory, and which nobody joins; nothing of the host
/// collects them.
fn leave_results(world: &World, count: usize) {
    fn leave((place, n): (String, usize)) -> Vec<u8> {
        // The mark is left before it ends; whoever looks for room waits a little more.
        tell(&place, &n.to_string());
        vec![1; MIB / 16]
    }
    for n in 0..count {
        drop(world.rt.spawn(leave, (world.place(), n)));
    }
    (0..count).for_each(|n| world.wait_for(&n.to_string()));
}

fn for_tasks() {
    fn probe(place: String) {
        wait_for(&place, "left");
        // More than what was never used.
        let got = pinfold::alloc(2 * MIB).map(drop);
        tell(&place, if got.is_ok() { "room" } else { "no-room" });
    }
    let world = World::new(4 * MIB);
    let probe = world.rt.spawn(probe, world.place());
    leave_results(&world, 60);
    world.tell("left");
    // Nothing of the host looks but who is asked.
    world.wait_for("room");
    assert_eq!(probe.join(), Ok(()));
}

fn for_results() {
    fn big(place: String) -> Vec<u8> {
        wait_for(&place, "left");
        vec![2; 2 * MIB]
    }
    let world = World::new(4 * MIB);
    let big = world.rt.spawn(big, world.place());
    leave_results(&world, 60);
    world.tell("left");
    assert_eq!(big.join().map(|bytes| bytes.len()), Ok(2 * MIB));
}

fn for_host() {
    let world = World::new(4 * MIB);
    leave_results(&world, 60);
    let give_up = Instant::now() + LIMIT;
    // Those that were left last may be about to end.
    while let Err(error) = world.rt.alloc(2 * MIB) {
        assert!(matches!(error, AllocError::Exhausted { .. }), "{error}");
        assert!(Instant::now() < give_up, "{error}");
    }
}

/// Each public number at its ends: it works, or is refused by an error; and memory is for
/// what there is, not for what was asked.
fn numbers() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("its own");
        let of = |line: &str| line.split_whitespace().nth(1)?.parse::<usize>().ok();
        let line = status.lines().find(|line| line.starts_with("VmSize"));
        line.and_then(of).expect("a number") >> 10
    };
    let before = resident();
    let sizes = [0, 1, 2, usize::MAX - 1, usize::MAX];
    let times = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    let memos: Vec<_> = sizes.iter().map(|size| Memo::new(*size)).collect();
    assert!(resident() < before + 64, "MiB for memories of nothing");
    let build = |builder: pinfold::Builder| builder.start().map(drop).map_err(|e| e.to_string());
    for size in sizes.into_iter().skip(3) {
        let builder = Runtime::builder;
        for built in [
            build(builder().workers(size)),
            build(builder().workers(1).threads_per_worker(size)),
            build(builder().workers(1).memory_cap(size as u64)),
            build(builder().workers(1).queue_capacity(size)),
            build(builder().workers(1).spares(size)),
        ] {
            assert!(
                built.as_ref().is_err_and(|why| !why.is_empty()),
                "{built:?}"
            );
        }
    }
    for size in [0, 1] {
        let builder = || Runtime::builder().workers(1);
        // Each is refused, or starts.
        let _ = build(Runtime::builder().workers(size));
        let _ = build(builder().threads_per_worker(size));
        let _ = build(builder().memory_cap(size as u64));
        let _ = build(builder().queue_capacity(size));
        let _ = build(builder().spares(size));
    }
    for time in times {
        let builder = Runtime::builder().workers(1).kill_grace(time);
        let _ = build(builder.start_attempts(0));
        let _ = build(Runtime::builder().workers(1).heartbeat(time));
    }
    let rt = Runtime::builder().workers(1).start().expect("starts");
    let add = rt.task(|n: u64| n + 1);
    for (size, memo) in sizes.into_iter().zip(&memos) {
        let task = add.clone().memoized(memo).in_flight(size);
        assert_eq!(task.spawn(1).join(), Ok(2));
        assert_eq!(task.spawn(1).join(), Ok(2));
        assert!(task.map(0..3).eq((1..=3).map(Ok)), "{size}");
        assert_eq!(task.map_unordered(0..3).count(), 3);
        assert_eq!(task.reduce(0..3, |(a, b)| a + b), Ok(Some(6)));
        assert!(task.chunked().map(0..3).eq((1..=3).map(Ok)));
        let loan = rt.alloc(size).map(|loan| loan.len());
        assert!(
            loan.as_ref().map_or(size > 2, |len| *len == size),
            "{loan:?}"
        );
        let limit = pinfold::Limit::new(size as u64);
        let limited = add.clone().limited(&limit, size as u64).spawn(1).join();
        assert_eq!(limited, Ok(2), "{size}");
        let beyond = add.clone().limited(&limit, u64::MAX);
        assert_eq!(beyond.spawn(1).join().is_ok(), size == usize::MAX);
    }
    for attempts in [0, 1, u32::MAX] {
        for time in times {
            let retry = Retry::exponential(attempts, time, time).with_jitter();
            let task = add.clone().safe_to_repeat(attempts).backoff(time, time);
            assert_eq!(task.retry(retry).spawn(1).join(), Ok(2));
        }
    }
    for time in times.into_iter().skip(2) {
        let task = add
            .clone()
            .hard_deadline(time)
            .start_deadline(time)
            .soft_deadline(time);
        assert_eq!(task.spawn(1).join(), Ok(2));
        let handle = add.spawn_timeout(1, time).map_err(drop).expect("accepted");
        handle.cancel_within(time);
        let mut handle = add.spawn(1);
        assert_eq!(handle.join_timeout(time), Some(Ok(2)));
    }
    let refused = add.clone().hard_deadline(Duration::ZERO).spawn(1).join();
    assert!(
        matches!(refused, Err(TaskError::DeadlineExceeded { .. })),
        "{refused:?}"
    );
}
