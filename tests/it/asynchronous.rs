//! Submitting and waiting without blocking a thread, under no executor but these few lines.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use pinfold::{Handle, JoinSet, Limit, Memo, Refusal, Runtime, Shutdown, TaskError, as_completed};

use crate::api::runtime;
use crate::processes::until;
use crate::rng::Rng;
use crate::sets::waits_for;

const LONG: Duration = Duration::from_secs(60);

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    let begin = Instant::now();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        assert!(begin.elapsed() < LONG, "nobody wakes it");
        thread::park_timeout(LONG);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Arc<Count>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(waker));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context))
}

fn same(n: u64) -> u64 {
    n
}

/// One worker, one place; a task holds it until the file is there.
struct Full {
    rt: Runtime,
    folder: tempfile::TempDir,
    busy: Handle<u64>,
}

impl Full {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rt = Runtime::builder()
            .workers(1)
            .queue_capacity(1)
            .memory_cap(64 << 20)
            .start()
            .expect("starts");
        let busy = rt.spawn(waits_for, folder.path().join("open"));
        Full { rt, folder, busy }
    }

    fn door(&self) -> PathBuf {
        self.folder.path().join("open")
    }

    fn open(&self) {
        std::fs::write(self.door(), "").unwrap();
    }
}

#[test]
fn futures_can_be_moved_to_other_threads() {
    fn is_send<T: Send + 'static>(_: T) {}
    let rt: &'static Runtime = Box::leak(Box::new(runtime(1)));
    is_send(rt.spawn_async(same, 1));
    is_send(rt.reserve());
    is_send(rt.map_stream(same, 0..3));
    is_send(rt.task(same).map_unordered_stream(0..3));
    is_send(async {
        let mut set = JoinSet::new();
        set.insert(rt.task(same).named("one").spawn_async(1).await);
        set.join_next_async().await;
        let permit = rt.reserve().await.unwrap();
        permit.spawn(same, 1).unwrap().await
    });
    rt.shutdown(Shutdown::Abort).unwrap();
}

#[test]
fn whoever_came_first_is_served_first() {
    let full = Full::new();
    let (first, second, third) = (Arc::default(), Arc::default(), Arc::default());
    let mut one = full.rt.spawn_async(same, 1);
    let mut two = full.rt.spawn_async(same, 2);
    let mut permit = full.rt.reserve();
    assert!(poll(&mut one, &first).is_pending());
    assert!(poll(&mut two, &second).is_pending());
    assert!(poll(&mut permit, &third).is_pending());
    assert!(
        poll(&mut two, &second).is_pending(),
        "polled again for nothing"
    );
    full.open();
    until("the first is woken", || first.woken() > 0);
    assert_eq!((second.woken(), third.woken()), (0, 0));
    let Poll::Ready(handle) = poll(&mut one, &first) else {
        panic!("it was woken");
    };
    assert_eq!(block_on(handle), Ok(1));
    until("the second is woken", || second.woken() > 0);
    assert_eq!(third.woken(), 0, "the place is the second's");
    // It goes without looking: the next has the place.
    drop(two);
    until("the third is woken", || third.woken() > 0);
    let Poll::Ready(Ok(permit)) = poll(&mut permit, &third) else {
        panic!("it was woken");
    };
    let full_is = Refusal::Full { capacity: 1 };
    assert_eq!(full.rt.try_reserve().map(drop), Err(full_is));
    assert_eq!(
        full.rt.try_spawn(same, 1).map(drop).unwrap_err().refusal,
        full_is
    );
    assert_eq!(permit.spawn(same, 3).unwrap().join(), Ok(3));
    assert_eq!(full.busy.join(), Ok(1));
    assert!(full.rt.audit().orphans.is_empty());
}

#[test]
fn a_place_that_is_given_back_is_somebody_s() {
    let full = Full::new();
    full.open();
    let permit = block_on(full.rt.reserve()).unwrap();
    let woken = Arc::default();
    let mut waits = full.rt.reserve();
    assert!(poll(&mut waits, &woken).is_pending());
    // A thread stands in the same line.
    thread::scope(|threads| {
        let blocked = threads.spawn(|| full.rt.spawn(same, 5).join());
        drop(permit);
        until("it has the place", || woken.woken() > 0);
        let permit = match poll(&mut waits, &woken) {
            Poll::Ready(permit) => permit.unwrap(),
            Poll::Pending => panic!("it was woken"),
        };
        drop(permit);
        assert_eq!(blocked.join().unwrap(), Ok(5));
    });
    let in_time = full.rt.reserve_timeout(LONG).unwrap();
    let late = full.rt.reserve_timeout(Duration::from_millis(1));
    assert_eq!(late.map(drop), Err(Refusal::Full { capacity: 1 }));
    // It does not hold up a shutdown, and is worth nothing then.
    full.rt.shutdown(Shutdown::Drain).unwrap();
    let refused = in_time.spawn(same, 7).map(drop).unwrap_err();
    assert_eq!((refused.refusal, refused.args), (Refusal::Shutdown, 7));
    assert_eq!(
        block_on(full.rt.reserve()).map(drop),
        Err(Refusal::Shutdown)
    );
    assert!(matches!(
        block_on(full.rt.spawn_async(same, 1)).join(),
        Err(TaskError::Shutdown { .. })
    ));
    assert!(full.rt.audit().orphans.is_empty());
}

#[test]
fn who_waits_is_told_of_a_shutdown() {
    let full = Full::new();
    let limit = Limit::new(1);
    thread::scope(|threads| {
        let rt = &full.rt;
        let limited = rt.task(same).limited(&limit, 1);
        let spawned = threads.spawn(|| block_on(rt.spawn_async(same, 1)).join());
        let shares = threads.spawn(move || {
            let held = limited.spawn_async(1);
            let next = limited.spawn_async(1);
            let both = async { (held.await, next.await) };
            let (held, next) = block_on(both);
            (held.join(), next.join())
        });
        let reserved = threads.spawn(|| block_on(rt.reserve()).map(drop));
        thread::sleep(Duration::from_millis(20));
        rt.shutdown(Shutdown::Abort).unwrap();
        assert!(matches!(
            spawned.join().unwrap(),
            Err(TaskError::Shutdown { .. })
        ));
        assert!(matches!(
            shares.join().unwrap(),
            (
                Err(TaskError::Shutdown { .. }),
                Err(TaskError::Shutdown { .. })
            )
        ));
        assert_eq!(reserved.join().unwrap(), Err(Refusal::Shutdown));
    });
    assert_eq!(limit.free(), 1);
}

#[test]
fn shares_of_limits_are_waited_for_and_given_back() {
    let rt = runtime(2);
    let folder = tempfile::tempdir().unwrap();
    let (connections, memory) = (Limit::new(1), Limit::new(10));
    let task = rt
        .task(waits_for)
        .limited(&connections, 1)
        .limited(&memory, 3);
    let busy = task.spawn(folder.path().join("open"));
    let (first, second, other) = (Arc::default(), Arc::default(), Arc::default());
    let mut one = task.spawn_async(folder.path().join("open"));
    let mut two = task.spawn_async(folder.path().join("open"));
    assert!(poll(&mut one, &first).is_pending());
    assert!(poll(&mut two, &second).is_pending());
    assert_eq!(memory.free(), 7, "who waits holds nothing");
    // One that wants others is not held up.
    let light = rt.task(same).limited(&memory, 7);
    let mut light = light.spawn_async(1);
    let Poll::Ready(handle) = poll(&mut light, &other) else {
        panic!("there is enough");
    };
    assert_eq!(handle.join(), Ok(1));
    // A place does not help: that would be to hold one thing and wait for another.
    let permit = rt.try_reserve().unwrap();
    let refused = permit.spawn_task(&task, folder.path().into()).map(drop);
    let refused = refused.unwrap_err();
    assert_eq!(refused.refusal, Refusal::Limited { units: 1, total: 1 });
    assert_eq!(refused.args, folder.path());
    std::fs::write(folder.path().join("open"), "").unwrap();
    assert_eq!(busy.join(), Ok(1));
    until("the first is woken", || first.woken() > 0);
    assert_eq!(
        (second.woken(), connections.free()),
        (0, 0),
        "it has the share"
    );
    drop(one);
    until("the second is woken", || second.woken() > 0);
    assert_eq!(block_on(two).join(), Ok(1));
    assert_eq!((connections.free(), memory.free()), (1, 10));
    // What can never be had is told at once.
    let never = rt.task(same).limited(&connections, 2).spawn_async(1);
    let ended = block_on(never).join();
    assert!(
        matches!(
            ended,
            Err(TaskError::BeyondLimit {
                units: 2,
                total: 1,
                ..
            })
        ),
        "{ended:?}"
    );
}

#[test]
fn long_arguments_wait_for_memory() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(16 << 20)
        .start()
        .expect("starts");
    let folder = tempfile::tempdir().unwrap();
    let busy = rt.spawn(waits_for, folder.path().join("open"));
    let len = |text: String| text.len();
    let long = "x".repeat(6 << 20);
    let mut set = JoinSet::new();
    let mut waiting = Vec::new();
    let woken = Arc::default();
    for _ in 0..6 {
        let mut future = rt.spawn_async(len, long.clone());
        match poll(&mut future, &woken) {
            Poll::Ready(handle) => drop(set.insert(handle)),
            Poll::Pending => waiting.push(future),
        }
    }
    assert!(!waiting.is_empty() && waiting.len() < 6);
    drop(waiting.pop());
    std::fs::write(folder.path().join("open"), "").unwrap();
    for future in waiting {
        set.insert(block_on(future));
    }
    let mut count = 0;
    while let Some((_, outcome)) = set.join_next() {
        assert_eq!(outcome, Ok(6 << 20));
        count += 1;
    }
    assert_eq!(count, 5);
    busy.join().unwrap();
    // What never fits fails.
    let huge = block_on(rt.spawn_async(len, "x".repeat(32 << 20))).join();
    assert!(
        matches!(huge, Err(TaskError::ArgumentsTooLarge { .. })),
        "{huge:?}"
    );
}

#[test]
fn a_call_that_is_remembered_is_run_once() {
    let rt = runtime(1);
    let memo = Memo::new(10);
    let task = rt.task(same).memoized(&memo);
    let three = async {
        let one = task.spawn_async(4).await;
        let joined = task.spawn_async(4).await;
        (one.await, joined.await, task.spawn_async(4).await.await)
    };
    assert_eq!(block_on(three), (Ok(4), Ok(4), Ok(4)));
    assert_eq!((memo.misses(), memo.hits()), (1, 2));
}

#[test]
fn streams_of_outcomes_are_bounded_and_lazy() {
    let rt = runtime(2);
    let pulled = AtomicUsize::new(0);
    let items = (0..100u64).inspect(|_| {
        pulled.fetch_add(1, Ordering::SeqCst);
    });
    let mut squares = rt.task(|n: u64| n * n).in_flight(5).map_stream(items);
    assert_eq!(pulled.load(Ordering::SeqCst), 0);
    assert_eq!(block_on(next(&mut squares)), Some(Ok(0)));
    assert!(pulled.load(Ordering::SeqCst) <= 6);
    for n in 1..100 {
        assert_eq!(block_on(next(&mut squares)), Some(Ok(n * n)));
        assert!(pulled.load(Ordering::SeqCst) <= n as usize + 6);
    }
    assert_eq!(block_on(next(&mut squares)), None);
    // In any order, with numbers; an error is its item's.
    let mut seen = BTreeMap::new();
    let mut quotients = rt.task(|n: u64| 100 / n).map_unordered_stream(0..50);
    while let Some((number, outcome)) = block_on(next(&mut quotients)) {
        assert!(seen.insert(number, outcome).is_none());
    }
    assert_eq!(seen.len(), 50);
    assert!(matches!(seen[&0], Err(TaskError::Panicked { .. })));
    assert!((1..50).all(|n| seen[&(n as usize)] == Ok(100 / n)));
}

#[test]
fn a_stream_that_is_dropped_or_cancelled_leaves_what_was_not_begun() {
    let full = Full::new();
    full.open();
    full.busy.join().unwrap();
    let rt = runtime(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    let paths = || std::iter::repeat(path.clone());
    let woken = Arc::default();
    let mut stream = rt.task(waits_for).in_flight(8).map_stream(paths());
    assert!(poll(&mut Box::pin(next(&mut stream)), &woken).is_pending());
    until("one runs", || {
        rt.stats().workers[0].run == 0 && rt.stats().tasks.in_flight == 8
    });
    drop(stream);
    until("others never begin", || rt.stats().tasks.cancelled >= 7);
    // Cancelled, the outcomes come all the same.
    let mut stream = rt
        .task(waits_for)
        .in_flight(8)
        .map_unordered_stream(paths());
    assert!(poll(&mut Box::pin(next(&mut stream)), &woken).is_pending());
    stream.cancel();
    std::fs::write(&path, "").unwrap();
    let mut outcomes = 0;
    while let Some((_, outcome)) = block_on(next(&mut stream)) {
        assert!(
            outcome == Ok(1)
                || outcome == Ok(0)
                || matches!(outcome, Err(TaskError::Cancelled { .. }))
        );
        outcomes += 1;
    }
    assert_eq!(outcomes, 8);
    // One error says that it was shut down.
    rt.shutdown(Shutdown::Drain).unwrap();
    let mut stream = rt.map_stream(same, 0..);
    let mut errors = 0;
    while let Some(outcome) = block_on(next(&mut stream)) {
        assert!(matches!(outcome, Err(TaskError::Shutdown { .. })));
        errors += 1;
    }
    assert!((1..1000).contains(&errors));
}

#[test]
fn sets_are_streams() {
    let rt = runtime(2);
    let mut set: JoinSet<u64> = (0..200).map(|n| rt.spawn(same, n)).collect();
    let mut sum = 0;
    while let Some((number, outcome)) = block_on(next(&mut set)) {
        assert_eq!(outcome, Ok(number as u64));
        sum += number;
        if number == 3 {
            set.insert(rt.spawn(same, 200));
        }
    }
    assert_eq!(sum, (0..=200).sum::<usize>());
    // One that ends while nobody polls, and a future that is dropped: nothing is lost.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    set.insert(rt.spawn(waits_for, path.clone()));
    let woken = Arc::default();
    let mut dropped = set.join_next_async();
    assert!(poll(&mut dropped, &woken).is_pending());
    drop(dropped);
    let mut polled = set.join_next_async();
    assert!(poll(&mut polled, &woken).is_pending());
    std::fs::write(&path, "").unwrap();
    until("it is woken", || woken.woken() > 0);
    assert_eq!(poll(&mut polled, &woken), Poll::Ready(Some((201, Ok(1)))));
    drop(polled);
    assert_eq!(block_on(set.join_next_async()), None);

    let mut ended = as_completed((0..50).map(|n| rt.spawn(same, n)));
    let mut count = 0;
    while let Some((number, outcome)) = block_on(next(&mut ended)) {
        assert_eq!(outcome, Ok(number as u64));
        count += 1;
    }
    assert_eq!(count, 50);
}

/// Whatever is polled, granted and dropped in whatever order, by threads beside futures:
/// nothing stays taken, and everybody who goes on is served.
#[test]
fn everything_is_given_back_in_any_order() {
    let seed = std::env::var("PINFOLD_SEED");
    let seed = seed.ok().and_then(|seed| seed.parse().ok()).unwrap_or(23);
    println!("seed {seed}");
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(4)
        .memory_cap(64 << 20)
        .start()
        .expect("starts");
    let (narrow, wide) = (Limit::new(2), Limit::new(5));
    let spawned = AtomicUsize::new(0);
    thread::scope(|threads| {
        for stream in 0..3 {
            let (rt, narrow, wide, spawned) = (&rt, &narrow, &wide, &spawned);
            threads.spawn(move || {
                let mut rng = Rng::new(seed, stream);
                let plain = rt.task(same);
                let kinds = [
                    plain.clone(),
                    plain.clone().named("named"),
                    plain.clone().limited(narrow, 1),
                    plain.clone().limited(narrow, 1).limited(wide, 2),
                    plain.clone().limited(wide, 3),
                ];
                let woken = Arc::default();
                let mut set = JoinSet::new();
                let mut futures = Vec::new();
                let mut permits = Vec::new();
                for step in 0..800 {
                    match rng.below(12) {
                        0..=3 if futures.len() < 20 => {
                            futures.push(rng.choose(&kinds).spawn_async(step));
                        }
                        0..=6 if !futures.is_empty() => {
                            let at = rng.below(futures.len() as u64) as usize;
                            if let Poll::Ready(handle) = poll(&mut futures[at], &woken) {
                                set.insert(handle);
                                spawned.fetch_add(1, Ordering::SeqCst);
                                drop(futures.swap_remove(at));
                            }
                        }
                        7 if !futures.is_empty() => {
                            let at = rng.below(futures.len() as u64) as usize;
                            drop(futures.swap_remove(at));
                        }
                        8 => {
                            // Nobody blocks who holds what others wait for.
                            futures.clear();
                            permits.clear();
                            set.insert(rng.choose(&kinds).spawn(step));
                            spawned.fetch_add(1, Ordering::SeqCst);
                        }
                        9 => permits.extend(rt.try_reserve()),
                        10 => {
                            if let Some(permit) = permits.pop()
                                && let Ok(handle) = permit.spawn_task(rng.choose(&kinds), step)
                            {
                                set.insert(handle);
                                spawned.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                        _ => drop(set.try_join_next()),
                    }
                }
                permits.clear();
                // All together: one may wait for what another was granted.
                block_on(poll_fn(|context| {
                    futures.retain_mut(|future| match Pin::new(future).poll(context) {
                        Poll::Ready(handle) => {
                            set.insert(handle);
                            spawned.fetch_add(1, Ordering::SeqCst);
                            false
                        }
                        Poll::Pending => true,
                    });
                    if futures.is_empty() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                }));
                while let Some((_, outcome)) = set.join_next() {
                    assert!(outcome.is_ok(), "{outcome:?}");
                }
            });
        }
    });
    rt.shutdown(Shutdown::Drain).unwrap();
    let tasks = rt.stats().tasks;
    assert_eq!(tasks.completed, spawned.load(Ordering::SeqCst) as u64);
    assert_eq!((narrow.free(), wide.free()), (2, 5));
    assert_eq!(rt.audit().orphans, Vec::<String>::new());
}
