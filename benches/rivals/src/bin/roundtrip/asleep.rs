//! Each side sleeps until the other has something for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold::bench_internals::{AtomicU64, Doorbell, Segment, View, barrier};
use pinfold_rivals::duo::{
    Gate, Patience, Peer, Pipe, SharedMemory, now, pin, pipe as make_pipe, read_exact, socket_pair,
    unpin, write_all,
};
use pinfold_rivals::median;

/// How one side tells the other: a number that only grows, and what wakes it up.
pub trait Signal {
    /// Says that `number` has come.
    fn notify(&self, number: u64);
    /// Sleeps until `number` has come.
    fn wait(&self, number: u64);
}

/// Microseconds of a round trip in which both sleep; and, the median of `idle` times, from
/// a notification to the end of a sleep that has lasted 1 ms.
pub fn measure<S: Signal>(trips: u64, idle: u64, make: impl Fn() -> (S, S)) -> [f64; 2] {
    [round_trip(trips, make()), wake(idle, make())]
}

fn round_trip<S: Signal>(trips: u64, (there, back): (S, S)) -> f64 {
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        barrier::register();
        gate.ready();
        for number in 1..=trips {
            there.wait(number);
            back.notify(number);
        }
    });
    pin(0);
    gate.wait_ready();
    let start = now();
    for number in 1..=trips {
        there.notify(number);
        back.wait(number);
    }
    let time = now() - start;
    peer.join();
    unpin();
    time as f64 / trips as f64 / 1e3
}

pub fn wake<S: Signal>(times: u64, (there, _back): (S, S)) -> f64 {
    let memory = SharedMemory::new(4096);
    let (awake_at, number_seen) = (memory.word(0), memory.word(8));
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        barrier::register();
        gate.ready();
        for number in 1..=times {
            there.wait(number);
            // Relaxed: the store below publishes it.
            awake_at.store(now(), Ordering::Relaxed);
            // ordering: Release pairs with the Acquire below.
            number_seen.store(number, Ordering::Release);
        }
    });
    pin(0);
    gate.wait_ready();
    let once = |number| {
        std::thread::sleep(Duration::from_millis(1));
        let start = now();
        there.notify(number);
        let mut patience = Patience::default();
        // ordering: Acquire pairs with the Release above.
        while number_seen.load(Ordering::Acquire) != number {
            std::thread::yield_now();
            patience.spin();
        }
        (awake_at.load(Ordering::Relaxed) - start) as f64 / 1e3
    };
    let delays: Vec<f64> = (1..=times).map(once).collect();
    peer.join();
    unpin();
    median(&delays)
}

/// The number is the futex: each notification is one call, each wait another.
pub struct Bare(SharedMemory);

impl Bare {
    fn futex(&self, operation: i32, value: u32) {
        let word: *const std::sync::atomic::AtomicU64 = self.0.word(0);
        futex(word.cast(), operation, value);
    }
}

#[allow(unsafe_code)]
fn futex(word: *const u32, operation: i32, value: u32) {
    let no_time = std::ptr::null::<libc::timespec>();
    // SAFETY: the word lies in memory that is mapped while its owner lives, as the caller
    // does; no time is given.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, no_time) };
}

impl Signal for Bare {
    fn notify(&self, number: u64) {
        // ordering: Release pairs with the Acquire in `wait`.
        self.0.word(0).store(number, Ordering::Release);
        self.futex(libc::FUTEX_WAKE, 1);
    }

    fn wait(&self, number: u64) {
        loop {
            // ordering: Acquire pairs with the Release in `notify`.
            let seen = self.0.word(0).load(Ordering::Acquire);
            if seen >= number {
                return;
            }
            self.futex(libc::FUTEX_WAIT, seen as u32);
        }
    }
}

pub fn bare_pair() -> (Bare, Bare) {
    (Bare(SharedMemory::new(4096)), Bare(SharedMemory::new(4096)))
}

pub fn floor(trips: u64, idle: u64) -> [f64; 2] {
    measure(trips, idle, bare_pair)
}

/// The number lies in the segment, beside the bell.
pub struct Bell {
    bell: View<Doorbell>,
    number: View<AtomicU64>,
}

impl Bell {
    fn has_come(&self, number: u64) -> bool {
        // ordering: Acquire pairs with the Release in `notify`.
        self.number.load(Ordering::Acquire) >= number
    }
}

impl Signal for Bell {
    fn notify(&self, number: u64) {
        // ordering: Release pairs with the Acquire in `has_come`.
        self.number.store(number, Ordering::Release);
        barrier::light();
        self.bell.ring();
    }

    fn wait(&self, number: u64) {
        while !self.has_come(number) {
            let key = self.bell.prepare();
            if self.has_come(number) {
                self.bell.cancel();
                return;
            }
            self.bell.wait(key, None);
        }
    }
}

pub fn bell_pair() -> (Bell, Bell) {
    // As the fold does: every process registers, then wakers do without a fence.
    if barrier::register() {
        barrier::use_asymmetric();
    }
    let segment = Segment::create(8192).expect("a segment");
    let bell = |at| Bell {
        bell: segment.view(at),
        number: segment.view(at + 64),
    };
    (bell(4096), bell(4096 + 128))
}

pub fn ours(trips: u64, idle: u64) -> [f64; 2] {
    measure(trips, idle, bell_pair)
}

/// Eight bytes for each notification.
struct Stream(Pipe);

impl Signal for Stream {
    fn notify(&self, _number: u64) {
        write_all(&self.0.1, &1_u64.to_ne_bytes());
    }

    fn wait(&self, _number: u64) {
        assert!(read_exact(&self.0.0, &mut [0; 8]), "a notification");
    }
}

pub fn eventfd(trips: u64, idle: u64) -> [f64; 2] {
    let make = || {
        let fd = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty());
        let fd = fd.expect("an eventfd");
        let other = fd.try_clone().expect("a descriptor");
        Stream((fd, other))
    };
    measure(trips, idle, || (make(), make()))
}

pub fn pipe(trips: u64, idle: u64) -> [f64; 2] {
    measure(trips, idle, || (Stream(make_pipe()), Stream(make_pipe())))
}

pub fn socket(trips: u64, idle: u64) -> [f64; 2] {
    measure(trips, idle, || {
        (Stream(socket_pair()), Stream(socket_pair()))
    })
}
