use std::sync::atomic::{AtomicBool, Ordering};

use pinfold::channel::{Receiver, Sender};
use pinfold::sync::{LockError, LockFault, RwLock};
use pinfold::{Shutdown, TaskError};

use super::{LONG, SOON, die, holds_in_a_child, nothing_left, runtime};

fn fault<G>(locked: Result<G, LockError<G>>) -> LockFault {
    match locked {
        Err(LockError::Fault(fault)) => fault,
        other => panic!("{:?}", other.map(|_| "a guard")),
    }
}

fn adds((pair, count): (RwLock<[u64; 2]>, u64)) -> bool {
    (0..count).all(|_| {
        let mut pair = pair.write().expect("whole");
        pair[0] += 1;
        pair[1] += 1;
        pair[0] == pair[1]
    })
}

fn looks((pair, count): (RwLock<[u64; 2]>, u64)) -> bool {
    (0..count).all(|_| {
        let pair = pair.read().expect("whole");
        pair[0] == pair[1]
    })
}

#[test]
fn readers_see_what_is_whole_and_writers_are_alone() {
    let rt = runtime(3);
    const EACH: u64 = 5_000;
    let pair = RwLock::new(&rt, [0, 0]).expect("room");
    let writes = rt.spawn(adds, (pair.clone(), EACH));
    let reads = [0; 2].map(|_| rt.spawn(looks, (pair.clone(), EACH)));
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| adds((pair.clone(), EACH)));
        let reads = scope.spawn(|| looks((pair.clone(), EACH)));
        assert!(writes.join().expect("ends") && reads.join().expect("ends"));
    });
    assert_eq!(writes.join(), Ok(true));
    assert!(reads.into_iter().all(|task| task.join() == Ok(true)));
    assert_eq!(*pair.read().expect("whole"), [2 * EACH; 2]);
    drop(pair);
    nothing_left(&rt);
}

/// Whether it takes it to read or to write; says so, and waits until it is told to go on.
fn holds((lock, writes, says, hears): (RwLock<u64>, bool, Sender<()>, Receiver<()>)) -> u64 {
    let wait = || {
        says.send(()).expect("the host hears");
        if hears.recv().is_err() {
            die();
        }
    };
    if writes {
        let mut guard = lock.write().expect("whole");
        *guard += 1;
        wait();
        *guard
    } else {
        let guard = lock.read().expect("whole");
        wait();
        *guard
    }
}

#[test]
fn readers_are_together_and_a_writer_waits_for_them() {
    let rt = runtime(1);
    let lock = RwLock::new(&rt, 4).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let (go_on, waits) = rt.channel(1).expect("room");
    let task = rt.spawn(holds, (lock.clone(), false, says, waits));
    hears.recv().expect("it says so");
    assert_eq!(*lock.try_read().expect("whole"), 4);
    let LockFault::Busy {
        holder: Some(reader),
    } = fault(lock.try_write())
    else {
        panic!("a worker reads");
    };
    assert_eq!((reader.worker, reader.thread), (Some(0), None));
    let late = fault(lock.write_timeout(SOON));
    assert!(
        matches!(&late, LockFault::TimedOut { waited, holder } if *waited >= SOON && *holder == Some(reader)),
        "{late:?}"
    );
    // One that gave up keeps nobody out.
    assert_eq!(*lock.try_read().expect("whole"), 4);
    go_on.send(()).expect("it waits");
    assert_eq!(task.join(), Ok(4));
    *lock.try_write().expect("nobody reads") += 1;
}

#[test]
fn a_writer_that_waits_keeps_new_readers_out() {
    let rt = runtime(1);
    let lock = RwLock::new(&rt, 0).expect("room");
    let reads = lock.read().expect("whole");
    let has_written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *lock.write().expect("whole") += 1;
            // ordering: the other thread only looks.
            has_written.store(true, Ordering::SeqCst);
        });
        // Another thread is refused as soon as the writer is there.
        let refused = scope.spawn(|| {
            while lock.try_read().is_ok() {
                std::thread::yield_now();
            }
            fault(lock.try_read())
        });
        assert!(matches!(
            refused.join().expect("ends"),
            LockFault::Busy { holder: Some(writer) } if writer.worker.is_none()
        ));
        assert!(!has_written.load(Ordering::SeqCst));
        // This one reads already, and may again: it would wait for itself.
        assert_eq!(*lock.read().expect("whole"), 0);
        drop(reads);
    });
    assert_eq!(*lock.read().expect("whole"), 1);
}

#[test]
fn the_same_thread_cannot_wait_for_itself() {
    let rt = runtime(1);
    let lock = RwLock::new(&rt, 0).expect("room");
    let again = lock.clone();
    let reads = lock.read().expect("whole");
    assert_eq!(fault(again.write()), LockFault::Relocked);
    drop(reads);
    let writes = lock.write().expect("whole");
    assert_eq!(fault(again.write_timeout(LONG)), LockFault::Relocked);
    assert_eq!(fault(again.read()), LockFault::Relocked);
    drop(writes);
    assert!(again.try_write().is_ok());
}

#[test]
fn a_dead_reader_is_gone_and_a_dead_writer_is_told() {
    let rt = runtime(1);
    let lock = RwLock::new(&rt, 4).expect("room");
    for writes in [false, true] {
        let (says, hears) = rt.channel(1).expect("room");
        let (go_on, waits) = rt.channel(1).expect("room");
        let task = rt.spawn(holds, (lock.clone(), writes, says, waits));
        hears.recv().expect("it says so");
        std::thread::scope(|scope| {
            let next = scope.spawn(|| match lock.write_timeout(LONG) {
                Ok(guard) => (*guard, false),
                Err(LockError::Poisoned(guard)) => (*guard, true),
                Err(LockError::Fault(fault)) => panic!("{fault}"),
            });
            drop(go_on);
            let expected = if writes { (5, true) } else { (4, false) };
            assert_eq!(next.join().expect("ends"), expected);
        });
        assert!(matches!(task.join(), Err(TaskError::WorkerDied { .. })));
    }
    // Readers are told too, until a writer says that it is whole.
    assert!(matches!(&lock.read(), Err(LockError::Poisoned(guard)) if **guard == 5));
    let is_told = |lock: RwLock<u64>| matches!(lock.read(), Err(LockError::Poisoned(_)));
    assert_eq!(rt.spawn(is_told, lock.clone()).join(), Ok(true));
    drop(lock.write().or_else(|error| error.mend(|n| *n = 6)));
    assert_eq!(rt.spawn(is_told, lock.clone()).join(), Ok(false));
    drop(lock);
    nothing_left(&rt);
}

#[test]
fn slices_children_and_the_end() {
    let rt = runtime(1);
    let row = RwLock::from_slice(&rt, &[1_u16; 500]).expect("room");
    let sum = |row: RwLock<[u16]>| row.read().expect("whole").iter().sum::<u16>();
    assert_eq!(rt.spawn(sum, row.clone()).join(), Ok(500));
    let mut guard = Some(row.read().expect("whole"));
    assert!(holds_in_a_child(|| {
        drop(guard.take());
        matches!(row.try_read(), Err(LockError::Fault(LockFault::Forked)))
    }));
    std::thread::scope(|scope| {
        let is_kept = scope.spawn(|| matches!(fault(row.try_write()), LockFault::Busy { .. }));
        assert!(
            is_kept.join().expect("ends"),
            "the child has given nothing back"
        );
        let waits = scope.spawn(|| fault(row.write()));
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("nothing runs");
        assert_eq!(waits.join().expect("ends"), LockFault::Gone);
    });
    drop(guard);
    assert_eq!(fault(row.read()), LockFault::Gone);
}
