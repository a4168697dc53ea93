//! The host API, with workers that live.

use std::time::Duration;

use pinfold::{AllocError, Loan, Refusal, Runtime, Shared, Shutdown, StartError, TaskError};

use crate::processes::until;

/// A runtime with small bounds, so that tests meet them.
pub fn runtime(workers: usize) -> Runtime {
    Runtime::builder()
        .workers(workers)
        .memory_cap(64 << 20)
        .start()
        .expect("starts")
}

/// Never ends by itself.
pub fn endless((): ()) {
    loop {
        std::thread::park()
    }
}

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn one_task() {
    let rt = runtime(2);
    assert_eq!(rt.spawn(square, 7).join(), Ok(49));
    let me = std::process::id();
    assert_ne!(rt.spawn(|(): ()| std::process::id(), ()).join(), Ok(me));
}

#[test]
fn many_tasks_more_than_the_queue_holds() {
    let rt = Runtime::builder()
        .workers(2)
        .queue_capacity(100)
        .start()
        .expect("starts");
    let handles: Vec<_> = (0..20_000).map(|n| rt.spawn(square, n)).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join(), Ok((n * n) as u64));
    }
    let stats = rt.stats();
    assert_eq!(stats.tasks.completed, 20_000);
    assert_eq!(stats.tasks.in_flight, 0);
    // An executor counts after it has shown what it has run.
    let run = || rt.stats().workers.iter().map(|w| w.run).sum::<u64>();
    until("all were counted", || run() == 20_000);
}

#[test]
fn map_is_in_order_lazy_and_bounded() {
    let rt = runtime(2);
    let pulled = std::cell::Cell::new(0u64);
    let items = (0..).inspect(|n| pulled.set(*n));
    let mut map = rt.task(square).in_flight(16).map(items);
    for n in 0..1000 {
        assert_eq!(map.next(), Some(Ok(n * n)));
        assert!(pulled.get() <= n + 17, "{} pulled at {n}", pulled.get());
    }
    drop(map);
    assert_eq!(rt.map(square, std::iter::empty()).next(), None);
}

#[test]
fn arguments_and_results_of_any_length() {
    let rt = runtime(2);
    for len in [0, 1, 46, 47, 48, 49, 100, 5_000, 200_000, 3_000_000] {
        let text = "x".repeat(len);
        let echoed = rt.spawn(|s: String| s + "!", text.clone()).join();
        assert_eq!(echoed, Ok(text + "!"), "{len} bytes");
    }
    let stats = rt.stats();
    assert_eq!(
        (
            stats.blocks_loaned,
            stats.blocks_shared,
            stats.blocks_carried
        ),
        (0, 0, 0)
    );
}

fn fill(mut loan: Loan) -> Loan {
    loan.fill(3);
    loan
}

fn make(len: usize) -> Shared {
    let mut loan = pinfold::alloc(len).expect("room");
    loan.fill(4);
    loan.publish()
}

#[test]
fn buffers_travel_without_a_copy() {
    let rt = runtime(2);
    let loan = rt.alloc(1 << 20).expect("room");
    let address = loan.as_ptr() as usize;
    let loan = rt.spawn(fill, loan).join().expect("comes back");
    assert_eq!(loan.as_ptr() as usize, address, "the same memory");
    assert!(loan.iter().all(|b| *b == 3));
    let shared = rt.spawn(|loan: Loan| loan.publish(), loan);
    let shared = shared.join().expect("comes back published");
    assert_eq!(shared.as_ptr() as usize, address, "still the same");
    let sums: Vec<_> = (0..10)
        .map(|_| {
            rt.spawn(
                |s: Shared| s.iter().map(|b| u64::from(*b)).sum::<u64>(),
                shared.clone(),
            )
        })
        .collect();
    for sum in sums {
        assert_eq!(sum.join(), Ok(3 << 20));
    }
    let same = rt
        .spawn(|s: Shared| s, shared.clone())
        .join()
        .expect("comes back");
    assert_eq!(same.as_ptr() as usize, address);
    let made = rt.spawn(make, 1000).join().expect("made");
    assert_eq!(&made[..], [4; 1000]);
    let pair = rt.spawn(
        |(a, b): (Shared, Shared)| (b, a),
        (made.clone(), shared.clone()),
    );
    let (b, a) = pair.join().expect("both");
    assert_eq!((a, b), (made.clone(), shared.clone()));
    drop((made, same, shared));
    let stats = rt.stats();
    assert_eq!(
        (
            stats.blocks_loaned,
            stats.blocks_shared,
            stats.blocks_carried
        ),
        (0, 0, 0),
        "all freed, in whichever process"
    );
}

#[test]
fn a_cap_is_an_error_not_a_signal() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    assert!(matches!(
        rt.alloc(2 << 20),
        Err(AllocError::TooLarge { .. })
    ));
    let whole = rt.alloc(1 << 20).expect("fits");
    assert!(matches!(rt.alloc(100), Err(AllocError::Exhausted { .. })));
    let refused = rt
        .try_spawn(|s: String| s.len(), "y".repeat(100))
        .expect_err("no room");
    assert_eq!(refused.args.len(), 100);
    // Nothing is in flight, so waiting would never end: the task ends with an error.
    let error = rt.spawn(|s: String| s.len(), refused.args).join();
    assert!(
        matches!(error, Err(TaskError::OutOfMemory { .. })),
        "{error:?}"
    );
    drop(whole);
    let too_long = rt.spawn(|n: usize| "z".repeat(n), 2 << 20).join();
    assert!(
        matches!(too_long, Err(TaskError::OutOfMemory { .. })),
        "{too_long:?}"
    );
    let too_much = rt.spawn(|s: String| s.len(), "z".repeat(2 << 20)).join();
    assert!(
        matches!(too_much, Err(TaskError::ArgumentsTooLarge { .. })),
        "{too_much:?}"
    );
    assert_eq!(rt.spawn(square, 2).join(), Ok(4), "and it goes on");
}

#[test]
fn long_arguments_wait_for_memory() {
    let rt = Runtime::builder()
        .workers(2)
        .memory_cap(1 << 20)
        .start()
        .expect("starts");
    let text = "a".repeat(150_000);
    let lengths = rt.map(|s: String| s.len(), std::iter::repeat_n(text, 300));
    for length in lengths {
        assert_eq!(length, Ok(150_000));
    }
}

const BOOM_LINE: u32 = line!() + 3;

fn boom(n: u32) {
    panic!("boom {n}")
}

#[test]
fn errors_are_values() {
    let rt = runtime(2);
    fn fails(n: u32) -> Result<u32, String> {
        if n.is_multiple_of(2) {
            Ok(n)
        } else {
            Err(format!("odd: {n}"))
        }
    }
    assert_eq!(rt.spawn(fails, 2).join(), Ok(Ok(2)));
    assert_eq!(rt.spawn(fails, 3).join(), Ok(Err("odd: 3".into())));
    let returned = rt.spawn(fails, 3).join_flat();
    assert!(matches!(returned, Err(TaskError::Returned { message, .. }) if message == "odd: 3"));
    let panicked = rt.spawn(boom, 5).join();
    match panicked {
        Err(TaskError::Panicked {
            message, location, ..
        }) => {
            assert_eq!(message, "boom 5");
            assert!(
                location.contains(&format!("api.rs:{BOOM_LINE}")),
                "{location}"
            );
        }
        other => panic!("{other:?}"),
    }
    let stats = rt.stats();
    assert_eq!((stats.tasks.returned_err, stats.tasks.panicked), (2, 1));
    assert_eq!(stats.restarts, 0, "a panic does not cost the worker");
}

#[test]
fn a_full_queue_gives_the_arguments_back() {
    let rt = Runtime::builder()
        .workers(1)
        .queue_capacity(2)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("starts");
    let _running: Vec<pinfold::Handle<()>> = (0..2).map(|_| rt.spawn(endless, ())).collect();
    let refused = rt
        .try_spawn(|s: String| s, "mine".to_string())
        .expect_err("full");
    assert_eq!(refused.refusal, Refusal::Full { capacity: 2 });
    assert_eq!(refused.args, "mine");
    assert_eq!(rt.stats().tasks.refused, 1);
}

/// A loan that could not be submitted is as it was.
#[test]
fn a_refused_loan_can_still_be_written() {
    let rt = Runtime::builder()
        .workers(1)
        .queue_capacity(1)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("starts");
    let mut loan = rt.alloc(3).expect("room");
    loan.copy_from_slice(b"abc");
    let _running = rt.spawn(endless, ());
    let mut back = rt.try_spawn(fill, loan).expect_err("full").args;
    assert_eq!(&back[..], b"abc");
    back[0] = b'x';
    assert_eq!(&back.publish()[..], b"xbc");
}

#[test]
fn waits_end_at_their_deadline() {
    let rt = Runtime::builder()
        .workers(1)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("starts");
    let mut stuck = rt.spawn(endless, ());
    assert_eq!(stuck.try_join(), None);
    assert!(!stuck.is_finished());
    assert_eq!(stuck.join_timeout(Duration::from_millis(20)), None);
    rt.shutdown(Shutdown::Abort).expect("aborts");
    assert!(matches!(
        stuck.try_join(),
        Some(Err(TaskError::Shutdown { .. }))
    ));
    assert!(matches!(
        stuck.try_join(),
        Some(Err(TaskError::AlreadyJoined { .. }))
    ));
}

#[test]
fn shutdown_drains_or_aborts() {
    let rt = runtime(2);
    let handles: Vec<_> = (0..1000).map(|n| rt.spawn(square, n)).collect();
    rt.shutdown(Shutdown::Drain).expect("drains");
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join(), Ok((n * n) as u64));
    }
    assert!(matches!(
        rt.spawn(square, 1).join(),
        Err(TaskError::Shutdown { .. })
    ));
    let refused = rt.try_spawn(square, 1).expect_err("shut down");
    assert_eq!(refused.refusal, Refusal::Shutdown);
    rt.shutdown(Shutdown::Drain).expect("twice is once");

    let rt = runtime(1);
    let stuck = rt.spawn(endless, ());
    let late = rt
        .shutdown(Shutdown::DrainFor(Duration::from_millis(20)))
        .expect_err("one was aborted");
    assert_eq!(late.aborted, 1);
    assert!(matches!(stuck.join(), Err(TaskError::Shutdown { .. })));
}

#[test]
fn a_handle_outlives_its_runtime() {
    let rt = runtime(1);
    let done = rt.spawn(square, 3);
    let shared = rt.alloc(10).expect("room").publish();
    drop(rt);
    assert_eq!(done.join(), Ok(9), "dropping drained it");
    assert_eq!(shared.len(), 10, "a buffer keeps its memory");
}

#[test]
fn wrong_use_is_told() {
    let error = |result: Result<Runtime, StartError>| result.expect_err("refused").to_string();
    let message = error(Runtime::builder().workers(0).start());
    assert_eq!(message, "workers is 0, but must be from 1 to 1024");
    let rt = runtime(1);
    let nested = rt.spawn(
        |(): ()| {
            Runtime::builder()
                .workers(1)
                .start()
                .err()
                .map(|e| e.to_string())
        },
        (),
    );
    let told = nested.join().expect("runs").expect("refused");
    assert!(told.contains("inside a worker"), "{told}");
    assert!(matches!(pinfold::alloc(1), Err(AllocError::NoPool)));
    let other = runtime(1);
    let foreign = other.alloc(10).expect("room").publish();
    let error = rt.spawn(|s: Shared| s.len(), foreign).join();
    assert!(
        matches!(&error, Err(TaskError::Arguments { message, .. }) if message.contains("another runtime")),
        "{error:?}"
    );
    let loan = rt.alloc(10).expect("room");
    let error = rt.task(fill).safe_to_repeat(2).spawn(loan).join().map(drop);
    assert!(
        matches!(&error, Err(TaskError::Arguments { message, .. }) if message.contains("repeat")),
        "{error:?}"
    );
}

#[test]
fn many_threads_submit_and_wait() {
    let rt = runtime(2);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let rt = &rt;
            scope.spawn(move || {
                for n in 0..500 {
                    assert_eq!(rt.spawn(square, thread * n).join(), Ok((thread * n).pow(2)));
                }
            });
        }
    });
    assert_eq!(rt.stats().tasks.completed, 4000);
}

#[test]
fn several_threads_in_a_worker() {
    let rt = Runtime::builder()
        .workers(2)
        .threads_per_worker(3)
        .start()
        .expect("starts");
    let results: Result<Vec<u64>, _> = rt.map(square, 0..5000).collect();
    assert_eq!(results.expect("all").len(), 5000);
    assert_eq!(rt.stats().workers[1].cpus.len(), 3);
}

/// Hunts work that stays behind a long task although another executor is idle.
#[test]
fn a_long_task_does_not_hold_up_the_others() {
    let rt = Runtime::builder()
        .workers(2)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("starts");
    // Short tasks first, so that batches grow.
    rt.map(square, 0..2000).for_each(|r| assert!(r.is_ok()));
    let stuck = rt.spawn(endless, ());
    let handles: Vec<_> = (0..2000).map(|n| rt.spawn(square, n)).collect();
    for handle in handles {
        assert!(handle.join().is_ok());
    }
    assert!(!stuck.is_finished());
}

#[test]
fn a_worker_has_no_descriptors_of_the_host() {
    let (reader, writer) = std::io::pipe().expect("pipe");
    let rt = runtime(1);
    let fds = rt.spawn(
        |(): ()| {
            std::fs::read_dir("/proc/self/fd")
                .map(|dir| {
                    dir.filter_map(|e| std::fs::read_link(e.ok()?.path()).ok())
                        .map(|p| p.to_string_lossy().into_owned())
                        .collect::<Vec<_>>()
                })
                .unwrap_or_default()
        },
        (),
    );
    let fds = fds.join().expect("runs");
    drop((reader, writer));
    assert!(!fds.iter().any(|fd| fd.starts_with("socket:")), "{fds:?}");
    assert_eq!(fds[0], "/dev/null", "{fds:?}");
    assert!(std::env::var("PINFOLD_ZYGOTE").is_err());
    let inherited = rt.spawn(|(): ()| std::env::var("PINFOLD_ZYGOTE").is_ok(), ());
    assert_eq!(
        inherited.join(),
        Ok(false),
        "or a task's child becomes a zygote"
    );
}
