use std::time::Instant;

use pinfold::channel::{Receiver, Sender};
use pinfold::sync::{LockError, LockFault, Mutex, MutexGuard};
use pinfold::{Shutdown, TaskError};

use super::{LONG, SOON, die, holds_in_a_child, nothing_left, runtime};

type Locked<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// What whoever is told makes whole: both are the same when nobody is in between.
fn mended<T: pinfold::sync::Data + ?Sized>(
    locked: Locked<'_, T>,
    mend: impl FnOnce(&mut T),
) -> MutexGuard<'_, T> {
    locked
        .or_else(|error| error.mend(mend))
        .expect("the lock is had")
}

fn fault<T: pinfold::sync::Data + ?Sized>(locked: Locked<'_, T>) -> LockFault {
    match locked {
        Err(LockError::Fault(fault)) => fault,
        other => panic!("{:?}", other.map(|_| "a guard")),
    }
}

fn adds((pair, count): (Mutex<[u64; 2]>, u64)) {
    for _ in 0..count {
        let mut pair = pair.lock().expect("whole");
        pair[0] += 1;
        pair[1] += 1;
    }
}

#[test]
fn one_at_a_time_wherever_they_are() {
    let rt = runtime(3);
    const EACH: u64 = 20_000;
    let pair = Mutex::new(&rt, [0, 0]).expect("room");
    let tasks: Vec<_> = (0..3)
        .map(|_| rt.spawn(adds, (pair.clone(), EACH)))
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| adds((pair.clone(), EACH)));
        }
    });
    for task in tasks {
        task.join().expect("runs");
    }
    assert_eq!(*pair.lock().expect("whole"), [5 * EACH; 2]);
    drop(pair);
    nothing_left(&rt);
}

/// Locks, says so, and waits until it is told to go on.
fn holds((lock, says, hears): (Mutex<u64>, Sender<u32>, Receiver<u32>)) -> Result<u32, LockFault> {
    let mut guard = lock.lock().or_else(|error| error.mend(|_| ()))?;
    *guard += 1;
    let thread = nix::unistd::gettid().as_raw();
    says.send(thread.unsigned_abs()).expect("the host hears");
    match hears.recv() {
        Ok(what) => Ok(what),
        Err(_) => die(),
    }
}

#[test]
fn who_holds_it_is_named() {
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 0).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let (go_on, waits) = rt.channel(1).expect("room");
    let task = rt.spawn(holds, (lock.clone(), says, waits));
    let thread = hears.recv().expect("it says so");
    let LockFault::Busy { holder: Some(now) } = fault(lock.try_lock()) else {
        panic!("it has it");
    };
    assert_eq!((now.worker, now.thread), (Some(0), Some(thread)));
    assert_eq!(now.task, task.id());
    let begin = Instant::now();
    let late = fault(lock.lock_timeout(SOON));
    assert!(begin.elapsed() >= SOON);
    assert!(
        matches!(&late, LockFault::TimedOut { waited, holder } if *waited >= SOON && *holder == Some(now)),
        "{late:?}"
    );
    let id = task.id().expect("a task");
    let said = late.to_string();
    assert!(
        said.ends_with(&format!("by worker 0, thread {thread}, task {id}")),
        "{said}"
    );
    go_on.send(3).expect("it waits");
    assert_eq!(task.join_flat(), Ok(3));
    assert_eq!(*lock.try_lock().expect("whole"), 1);
    assert_eq!(lock.holder(), None);
}

#[test]
fn the_next_one_is_told_that_the_holder_died() {
    let rt = runtime(2);
    let lock = Mutex::new(&rt, 0).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let (go_on, waits) = rt.channel::<u32>(1).expect("room");
    let task = rt.spawn(holds, (lock.clone(), says, waits));
    hears.recv().expect("it says so");
    let told = std::thread::scope(|scope| {
        let waits = scope.spawn(|| match lock.lock_timeout(LONG) {
            Err(LockError::Poisoned(guard)) => *guard,
            other => panic!("{:?}", other.map(|guard| *guard)),
        });
        drop(go_on);
        waits.join().expect("ends")
    });
    assert_eq!(told, 1, "what the dead has stored is seen");
    assert!(matches!(task.join(), Err(TaskError::WorkerDied { .. })));
    // Each next one is told, in a worker too, until one says that it is whole.
    assert!(matches!(lock.try_lock(), Err(LockError::Poisoned(_))));
    let is_told = |lock: Mutex<u64>| matches!(lock.lock(), Err(LockError::Poisoned(_)));
    assert_eq!(rt.spawn(is_told, lock.clone()).join(), Ok(true));
    *mended(lock.lock(), |n| *n = 10) += 1;
    assert_eq!(rt.spawn(is_told, lock.clone()).join(), Ok(false));
    assert_eq!(*lock.lock().expect("whole"), 11);
    drop((lock, hears));
    nothing_left(&rt);
}

#[test]
fn a_panic_inside_is_told_too() {
    fn panics(lock: Mutex<u64>) {
        let mut guard = lock.lock().expect("whole");
        *guard = 5;
        panic!("in between");
    }
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 0).expect("room");
    let ended = rt.spawn(panics, lock.clone()).join();
    assert!(
        matches!(ended, Err(TaskError::Panicked { .. })),
        "{ended:?}"
    );
    assert!(matches!(&lock.lock(), Err(LockError::Poisoned(guard)) if **guard == 5));
    drop(mended(lock.lock(), |_| ()));
    assert_eq!(*lock.lock().expect("whole"), 5);
}

#[test]
fn the_same_thread_cannot_wait_for_itself() {
    fn of_a_task(lock: Mutex<u64>) -> (Option<LockFault>, u64) {
        let mut guard = lock.lock().expect("whole");
        // A child that runs on top of it, on the same thread.
        let child = pinfold::spawn(
            |lock: Mutex<u64>| fault(lock.lock()) == LockFault::Relocked,
            lock.clone(),
        );
        let is_told = child.join().expect("runs");
        *guard += u64::from(is_told);
        (Some(fault(lock.lock_timeout(LONG))), *guard)
    }
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 0).expect("room");
    assert_eq!(rt.spawn(of_a_task_said, lock.clone()).join(), Ok((true, 1)));
    fn of_a_task_said(lock: Mutex<u64>) -> (bool, u64) {
        let (fault, sum) = of_a_task(lock);
        (fault == Some(LockFault::Relocked), sum)
    }
    let again = lock.clone();
    let guard = lock.lock().expect("whole");
    assert_eq!(fault(again.lock()), LockFault::Relocked);
    assert_eq!(fault(again.try_lock()), LockFault::Relocked);
    // Another thread waits.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| fault(again.lock_timeout(SOON)));
        assert!(matches!(other.join(), Ok(LockFault::TimedOut { .. })));
    });
    drop(guard);
    assert_eq!(*again.lock().expect("whole"), 1);
}

#[test]
fn a_leaked_guard_is_waited_for_until_its_process_ends() {
    fn leaks(lock: Mutex<u64>) {
        std::mem::forget(lock.lock().expect("whole"));
    }
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 0).expect("room");
    rt.spawn(leaks, lock.clone()).join().expect("runs");
    assert!(matches!(
        fault(lock.lock_timeout(SOON)),
        LockFault::TimedOut { .. }
    ));
    assert!(rt.spawn(|()| -> () { die() }, ()).join().is_err());
    let told = lock.lock_timeout(LONG);
    assert!(matches!(told, Err(LockError::Poisoned(_))));
}

#[test]
fn slices_and_other_data() {
    #[derive(Clone, Copy, pinfold::bytemuck::Pod, pinfold::bytemuck::Zeroable)]
    #[bytemuck(crate = "pinfold::bytemuck")]
    #[repr(C, align(64))]
    struct Wide([u64; 8]);

    fn doubles(row: Mutex<[u32]>) -> usize {
        let mut row = row.lock().expect("whole");
        row.iter_mut().for_each(|n| *n *= 2);
        row.len()
    }
    let rt = runtime(1);
    for len in [0, 1, 2, 7, 1000, 100_000] {
        let numbers: Vec<u32> = (0..len).collect();
        let row = Mutex::from_slice(&rt, &numbers).expect("room");
        assert_eq!(rt.spawn(doubles, row.clone()).join(), Ok(len as usize));
        let doubled: Vec<u32> = (0..len).map(|n| 2 * n).collect();
        assert_eq!(row.lock().expect("whole")[..], doubled);
    }
    let wide = Mutex::new(&rt, Wide([3; 8])).expect("room");
    assert!(std::ptr::from_ref(&*wide.lock().expect("whole")).is_aligned());
    let nothing = Mutex::new(&rt, ()).expect("room");
    drop(nothing.lock().expect("whole"));
    drop((wide, nothing));
    nothing_left(&rt);
}

/// Arguments whose reader expects something else.
struct ReadAsAnother(Mutex<u64>);

impl serde::Serialize for ReadAsAnother {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for ReadAsAnother {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Mutex::<[u8; 3]>::deserialize(deserializer).map(|_| unreachable!())
    }
}

#[test]
fn what_is_no_mutex_of_this_type_is_an_error() {
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 0_u64).expect("room");
    let (sent, taken) = rt.channel::<Mutex<u64>>(1).expect("room");
    sent.send(lock.clone()).expect("room");
    assert_eq!(*taken.recv().expect("a lock").lock().expect("whole"), 0);
    let read = rt.spawn(
        |ReadAsAnother(lock)| *lock.lock().expect("whole"),
        ReadAsAnother(lock),
    );
    let error = read.join().expect_err("of another size").to_string();
    assert!(error.contains("it is no mutex of this type"), "{error}");
    let takes_row = |row: Mutex<[u8; 3]>| *row.lock().expect("whole");
    let other = runtime(1);
    let foreign = Mutex::new(&other, [0_u8; 3]).expect("room");
    let error = rt
        .spawn(takes_row, foreign)
        .join()
        .expect_err("of another runtime");
    assert!(error.to_string().contains("another runtime"), "{error}");
    assert!(matches!(error, TaskError::Arguments { .. }));
    let outside = Mutex::new(pinfold::context(), 0_u8).expect_err("no task");
    assert_eq!(outside, pinfold::AllocError::NoPool);
    let huge = vec![0_u8; 65 << 20];
    assert!(Mutex::from_slice(&rt, &huge).is_err(), "more than there is");
}

#[test]
fn a_forked_child_has_no_lock() {
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 1).expect("room");
    // The child drops its copy of the guard; this process keeps its own.
    let mut guard = Some(lock.lock().expect("whole"));
    assert!(holds_in_a_child(|| {
        drop(guard.take());
        matches!(lock.try_lock(), Err(LockError::Fault(LockFault::Forked)))
    }));
    assert!(guard.is_some() && lock.holder().is_some());
    drop(guard);
    assert_eq!(lock.holder(), None);
}

#[test]
fn a_task_that_waits_hears_its_cancel() {
    fn waits((lock, says): (Mutex<u64>, Sender<()>)) -> LockFault {
        says.send(()).expect("the host hears");
        fault(lock.lock())
    }
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 1).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let guard = lock.lock().expect("whole");
    let task = rt.spawn(waits, (lock.clone(), says));
    hears.recv().expect("it says so");
    task.cancel();
    assert_eq!(task.join(), Ok(LockFault::Cancelled));
    drop(guard);
}

#[test]
fn waits_end_with_the_runtime() {
    let rt = runtime(1);
    let lock = Mutex::new(&rt, 1).expect("room");
    std::thread::scope(|scope| {
        let guard = lock.lock().expect("whole");
        let waits = scope.spawn(|| fault(lock.lock()));
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("nothing runs");
        assert_eq!(waits.join().expect("ends"), LockFault::Gone);
        drop(guard);
    });
    assert_eq!(fault(lock.lock()), LockFault::Gone);
}

/// Random holders are killed: what the others add, and mend when they are told, is what there is.
#[test]
fn a_sum_is_right_though_holders_are_killed() {
    /// A number that each attempt adds to twice: before the second it may be killed.
    fn adds_or_dies((state, seed): (Mutex<[u64; 3]>, u64)) -> bool {
        let mend = |state: &mut [u64; 3]| {
            // What is half done is taken back.
            state[0] = state[1];
            state[2] += 1;
        };
        for round in 0..20 {
            let mut state = mended(state.lock_timeout(LONG), mend);
            assert_eq!(state[0], state[1], "nobody is in between who is alive");
            state[0] += 1;
            if (seed + round) % 17 == 3 {
                let pid = nix::unistd::Pid::this();
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("sent");
                loop {
                    std::thread::park();
                }
            }
            state[1] += 1;
        }
        true
    }
    let rt = runtime(3);
    let state = Mutex::new(&rt, [0; 3]).expect("room");
    let tasks: Vec<_> = (0..24)
        .map(|n| rt.spawn(adds_or_dies, (state.clone(), n * 5)))
        .collect();
    let whole = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..500 {
                let mut state = mended(state.lock_timeout(LONG), |state| {
                    state[0] = state[1];
                    state[2] += 1;
                });
                state[0] += 1;
                state[1] += 1;
            }
        });
        tasks
            .into_iter()
            .filter_map(|task| task.join().ok())
            .count()
    });
    let killed = 24 - whole as u64;
    let state = mended(state.lock_timeout(LONG), |state| {
        state[0] = state[1];
        state[2] += 1;
    });
    let of_killed: u64 = (0..24)
        .filter_map(|n| (0..20).find(|round| (n * 5 + round) % 17 == 3))
        .sum();
    assert_eq!(state[0], 500 + 20 * whole as u64 + of_killed);
    assert_eq!(
        (state[0], state[2]),
        (state[1], killed),
        "each death was told once"
    );
}
