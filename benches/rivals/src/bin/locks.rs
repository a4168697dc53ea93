//! Locks between processes: what it costs to take one and to give it back, alone and when another wants
//! it all the time.
//!
//! The rival that does the same is the C library's mutex that processes share and that says so when its
//! holder has died (`PTHREAD_MUTEX_ROBUST`); between two threads of one process, which costs it the
//! same. The mutex of threads, of the standard library, is there to compare.
#![allow(unsafe_code)] // the C library's mutex

use std::mem::MaybeUninit;
use std::sync::Mutex as OfThreads;

use pinfold::Runtime;
use pinfold::sync::{LockFault, Mutex};
use pinfold_rivals::duo::{SharedMemory, now, pin};
use pinfold_rivals::{Against, Bench, Options, Question, Race};

const ROBUST: &str = "robust pthread mutex, shared";
const THREADS: &str = "std::sync::Mutex";

/// ns of each of so many.
fn time(count: u64, mut once: impl FnMut()) -> f64 {
    let start = now();
    for _ in 0..count {
        once();
    }
    (now() - start) as f64 / count as f64
}

/// ns of each of so many, of two threads at once.
fn two(count: u64, once: impl Fn() + Sync) -> f64 {
    let start = now();
    std::thread::scope(|scope| {
        for cpu in 0..2 {
            let once = &once;
            scope.spawn(move || {
                // As workers are: on one CPU nobody would want what another has.
                pin(cpu);
                time(count / 2, once)
            });
        }
    });
    (now() - start) as f64 / count as f64
}

fn add(sum: &Mutex<u64>) -> Result<(), LockFault> {
    *sum.lock().or_else(|error| error.mend(|_| ()))? += 1;
    Ok(())
}

fn adds((sum, count): (Mutex<u64>, u64)) -> Result<(), LockFault> {
    (0..count).try_for_each(|_| add(&sum))
}

/// A mutex of the C library in shared memory, and what it guards behind it.
struct Robust(SharedMemory);

impl Robust {
    fn new() -> Self {
        let robust = Robust(SharedMemory::new(4096));
        let mut attributes = MaybeUninit::uninit();
        let made = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialized before they are set, and so is the mutex, which
        // nobody else has yet and which lies in memory that stays.
        let failed = unsafe {
            libc::pthread_mutexattr_init(made)
                | libc::pthread_mutexattr_setpshared(made, libc::PTHREAD_PROCESS_SHARED)
                | libc::pthread_mutexattr_setrobust(made, libc::PTHREAD_MUTEX_ROBUST)
                | libc::pthread_mutex_init(robust.mutex(), made)
        };
        assert_eq!(failed, 0, "a robust mutex");
        robust
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.0.at(0, size_of::<libc::pthread_mutex_t>()).cast()
    }

    fn add(&self) {
        let sum: *mut u64 = self.0.at(128, 8).cast();
        // SAFETY: the mutex was initialized; the sum is changed by whoever has it.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock(self.mutex()), 0);
            *sum += 1;
            libc::pthread_mutex_unlock(self.mutex());
        }
    }
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("locks", Options::parse_alone());
    let rt = Runtime::builder()
        .workers(2)
        .start()
        .expect("pinfold starts");
    let count = bench.pick(2_000_000, 500_000);
    let rounds = bench.rounds(9, 3);
    let sum = Mutex::new(&rt, 0_u64).expect("room");
    let robust = Robust::new();
    let threads = OfThreads::new(0_u64);

    let question = Question::lower("locks.alone", "lock and unlock, nobody else wants it", "ns");
    let mut race = Race::new([question.bar(Against::Rival(ROBUST), 1.2)]);
    race.ours("sync::Mutex, in the host", || {
        time(count, || add(&sum).expect("the lock"))
    });
    race.rival(ROBUST, || time(count, || robust.add()));
    race.rival(THREADS, || {
        time(count, || *threads.lock().expect("no panic") += 1)
    });
    bench.run(race, rounds);

    let question = Question::lower("locks.two", "the same, and two want it all the time", "ns");
    let mut race = Race::new([question.bar(Against::Rival(ROBUST), 1.2)]);
    let ours = || -> Result<f64, String> {
        let start = now();
        let tasks = [0; 2].map(|_| rt.spawn(adds, (sum.clone(), count / 2)));
        for task in tasks {
            task.join_flat().map_err(|error| error.to_string())?;
        }
        Ok((now() - start) as f64 / count as f64)
    };
    race.ours("sync::Mutex, in two workers", || ours().expect("they live"));
    race.rival(ROBUST, || two(count, || robust.add()));
    race.rival(THREADS, || {
        two(count, || *threads.lock().expect("no panic") += 1)
    });
    bench.run(race, rounds);
    bench.finish();
}
