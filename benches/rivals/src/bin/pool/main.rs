//! A block of memory, taken and given back: how long?
//!
//! Serves the decision how buffers come by their memory. Every block is written by who
//! allocates it. In one thread, 32 blocks are allocated and then freed, in turn; across,
//! one side allocates and the other frees, with a ring between them that carries 32 at a
//! time. pinfold, iceoryx2 and Boost do so between processes; an allocator of one process
//! between its threads.

#[cfg(feature = "rivals")]
mod rivals;

use std::alloc::{GlobalAlloc, Layout};

use pinfold::bench_internals::{Parcel, Pool, PoolBed, SlotIndex, Transfer};
use pinfold_rivals::duo::{Gate, Peer, RingMemory, guarded, now, pin, sum_of_all, unpin};
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race};

/// Blocks of a turn.
pub const BATCH: u64 = 32;
const POOL: usize = 64 << 20;
const SLOTS: u64 = 1024;

fn main() {
    let mut bench = Bench::new("pool", Options::parse_alone());
    for size in [64, 4096] {
        same(&mut bench, size);
    }
    for size in [64, 4096] {
        across(&mut bench, size);
    }
    bench.finish();
}

fn same(bench: &mut Bench, size: usize) {
    let count = bench.pick(400_000, 100_000) / BATCH * BATCH;
    let question = Question::lower(
        &format!("pool.same.{size}b"),
        &format!("allocate and free {size} B, in one thread"),
        "ns",
    )
    .bar(Against::Rival("mimalloc"), 1.2);
    let bed = PoolBed::new(POOL, 2);
    let pool = bed.attach(0);
    let mut race = Race::new([question]);
    race.ours("Pool::alloc, drop", || {
        in_turns(
            count,
            |number| {
                let mut loan = pool.alloc(size).expect("room");
                loan[..8].copy_from_slice(&number.to_ne_bytes());
                loan
            },
            drop,
        )
    });
    race.rival("glibc malloc", || {
        of_allocator(&std::alloc::System, size, count)
    });
    #[cfg(feature = "rivals")]
    rivals::same(&mut race, size, count);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["mimalloc", "jemalloc", "iceoryx2 loan"]);
    let mut boost = Program::native("boost_pool", &[]);
    race.rival("boost.interprocess", move || {
        boost.ask(&format!("same {size} {}", count / 4 / BATCH * BATCH))
    });
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

fn across(bench: &mut Bench, size: usize) {
    let count = bench.pick(100_000, 25_000) / BATCH * BATCH;
    let question = Question::lower(
        &format!("pool.across.{size}b"),
        &format!("allocate {size} B here, free them there"),
        "ns",
    )
    .bar(Against::EveryRival, 1.0)
    .note("the time of the slower side: allocating, handing over and freeing overlap");
    let mut race = Race::new([question]);
    race.ours("Loan, carried to another process", move || {
        ours(size, count)
    });
    race.rival("glibc malloc", move || {
        guarded(|| rivals_across(&std::alloc::System, size, count))
    });
    #[cfg(feature = "rivals")]
    rivals::across(&mut race, size, count);
    #[cfg(not(feature = "rivals"))]
    missing(&mut race, &["mimalloc", "jemalloc", "iceoryx2 loan"]);
    let mut boost = Program::native("boost_pool", &[]);
    race.rival("boost.interprocess", move || {
        boost.ask(&format!("across {size} {}", count / 4 / BATCH * BATCH))
    });
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}

#[cfg(not(feature = "rivals"))]
fn missing(race: &mut Race<'_>, names: &[&str]) {
    for name in names {
        race.missing(name, "built without the feature `rivals`");
    }
}

/// Nanoseconds for each block: [`BATCH`] are allocated, then freed, and again.
pub fn in_turns<B>(count: u64, mut alloc: impl FnMut(u64) -> B, mut free: impl FnMut(B)) -> f64 {
    pin(0);
    let mut blocks = Vec::with_capacity(BATCH as usize);
    let start = now();
    for turn in 0..count / BATCH {
        for number in 0..BATCH {
            blocks.push(alloc(turn * BATCH + number));
        }
        blocks.drain(..).for_each(&mut free);
    }
    let time = now() - start;
    unpin();
    time as f64 / count as f64
}

/// Nanoseconds for each block of an allocator of this process.
pub fn of_allocator(allocator: &impl GlobalAlloc, size: usize, count: u64) -> f64 {
    let blocks = Blocks(allocator, layout(size));
    in_turns(
        count,
        |n| blocks.alloc(n),
        |at| {
            blocks.free(at);
        },
    )
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).expect("a layout")
}

/// Blocks whose first word is a number.
struct Blocks<'a, A>(&'a A, Layout);

#[allow(unsafe_code)]
impl<A: GlobalAlloc> Blocks<'_, A> {
    fn alloc(&self, number: u64) -> u64 {
        // SAFETY: the layout is not empty; the block is checked before it is written, and
        // large enough for a word.
        unsafe {
            let at = self.0.alloc(self.1);
            assert!(!at.is_null(), "memory");
            at.cast::<u64>().write_volatile(number);
            at as u64
        }
    }

    fn free(&self, at: u64) -> u64 {
        // SAFETY: `at` is from `alloc`, with this layout, and comes here once.
        unsafe {
            let number = (at as *const u64).read_volatile();
            self.0.dealloc(at as *mut u8, self.1);
            number
        }
    }
}

/// A carried loan, in three words.
fn ours(size: usize, count: u64) -> f64 {
    const SLOT: SlotIndex = SlotIndex(0);
    let bed = PoolBed::new(POOL, 2);
    let ring = RingMemory::<3>::new(SLOTS);
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        let pool: Pool = bed.attach(1);
        let mut receiver = ring.receiver();
        let (mut got, mut sum) = (0, 0_u64);
        gate.ready();
        while got < count {
            got += receiver.receive(|parcels| {
                for parcel in parcels {
                    let parcel = Parcel::unpack(*parcel).expect("a parcel");
                    let transfer = pool.accept_result(&parcel, SLOT, &[]);
                    let transfer = transfer.expect("the block that was carried");
                    let word = transfer.bytes().first_chunk::<8>().expect("a word");
                    sum = sum.wrapping_add(u64::from_ne_bytes(*word));
                }
            });
        }
        assert_eq!(sum, sum_of_all::<1>(count), "every block, once");
    });
    let pool = bed.attach(0);
    pin(0);
    gate.wait_ready();
    let mut sender = ring.sender();
    let start = now();
    for number in 0..count {
        let mut loan = pool.alloc(size).expect("room");
        loan[..8].copy_from_slice(&number.to_ne_bytes());
        let parcel = Transfer::of_loan(loan).into_result(SLOT, &[]);
        let parcel = parcel.expect("carried").pack();
        sender.stage(1, |_| parcel);
        // Before the ring is full: it has room for a multiple of this.
        if (number + 1).is_multiple_of(BATCH) {
            sender.publish();
        }
    }
    peer.join();
    let time = now() - start;
    unpin();
    time as f64 / count as f64
}

/// Nanoseconds for each block: this thread allocates, another frees.
pub fn rivals_across(allocator: &(impl GlobalAlloc + Sync), size: usize, count: u64) -> f64 {
    let ring = RingMemory::<1>::new(SLOTS);
    let blocks = Blocks(allocator, layout(size));
    let mut sender = ring.sender();
    let ready = std::sync::Barrier::new(2);
    let start = std::thread::scope(|scope| {
        let (blocks, ready, ring) = (&blocks, &ready, &ring);
        let free = scope.spawn(move || {
            pin(1);
            let mut receiver = ring.receiver();
            ready.wait();
            let (mut got, mut sum) = (0, 0_u64);
            while got < count {
                got += receiver.receive(|some| {
                    for [at] in some {
                        sum = sum.wrapping_add(blocks.free(*at));
                    }
                });
            }
            assert_eq!(sum, sum_of_all::<1>(count), "every block, once");
        });
        pin(0);
        ready.wait();
        let start = now();
        for number in 0..count {
            let block = blocks.alloc(number);
            sender.stage(1, |_| [block]);
            if (number + 1).is_multiple_of(BATCH) {
                sender.publish();
            }
        }
        free.join().expect("the other thread");
        start
    });
    let time = now() - start;
    unpin();
    time as f64 / count as f64
}
