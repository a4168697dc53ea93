use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Damaged, RingView, spsc, steal};
use crate::shm::Segment;

fn ring(capacity: usize) -> (Segment, RingView) {
    let segment = Segment::create(1 << 20).expect("segment");
    let view = RingView::attach(&segment, 4096, capacity);
    (segment, view)
}

#[test]
fn spsc_keeps_order_and_bounds() {
    let (_segment, view) = ring(4);
    let mut producer = spsc::Producer::attach(view.clone());
    let mut consumer = spsc::Consumer::attach(view);
    assert!((0..4).all(|i| producer.stage(i)));
    assert!(!producer.stage(4), "full");
    assert!(!consumer.has_more(), "staged words do not show");
    producer.publish();
    let mut seen = Vec::new();
    assert_eq!(consumer.read(u64::MAX, |w| seen.push(w)), Ok(4));
    assert_eq!(seen, [0, 1, 2, 3]);
    assert!(producer.stage(4), "room again");
}

#[test]
fn spsc_reads_in_portions() {
    let (_segment, view) = ring(8);
    let mut producer = spsc::Producer::attach(view.clone());
    let mut consumer = spsc::Consumer::attach(view);
    let (mut sent, mut seen) = (0, Vec::new());
    while seen.len() < 40 {
        while sent < 40 && producer.stage(sent) {
            sent += 1;
        }
        producer.publish();
        let before = seen.len();
        let read = consumer.read(3, |word| seen.push(word));
        assert_eq!(read, Ok((seen.len() - before) as u64));
        assert!(seen.len() - before <= 3, "as many as were asked for");
        assert_eq!(consumer.check(), Ok(()));
    }
    assert_eq!(seen, (0..40).collect::<Vec<u64>>());
}

#[test]
fn spsc_stages_many_or_none() {
    let (_segment, view) = ring(8);
    let mut producer = spsc::Producer::attach(view.clone());
    let mut consumer = spsc::Consumer::attach(view);
    let (mut sent, mut seen) = (0, Vec::new());
    // Seven do not divide eight: so they lie across the end in every way.
    for _ in 0..20 {
        assert!(producer.stage_many(5, |at| sent + at as u64));
        assert!(!producer.stage_many(4, |_| panic!("no room for all")));
        assert!(producer.stage_many(2, |at| sent + 5 + at as u64));
        assert!(!producer.stage_many(9, |_| panic!("never")));
        sent += 7;
        producer.publish();
        assert_eq!(consumer.read(u64::MAX, |word| seen.push(word)), Ok(7));
    }
    assert_eq!(seen, (0..sent).collect::<Vec<u64>>());
}

#[test]
fn spsc_successor_forgets_what_was_only_staged() {
    let (_segment, view) = ring(4);
    let mut dead = spsc::Producer::attach(view.clone());
    dead.stage(1);
    dead.publish();
    dead.stage(2);
    drop(dead);
    let mut next = spsc::Producer::attach(view.clone());
    next.stage(3);
    next.publish();
    let mut seen = Vec::new();
    assert_eq!(
        spsc::Consumer::attach(view).read(u64::MAX, |w| seen.push(w)),
        Ok(2)
    );
    assert_eq!(seen, [1, 3]);
}

/// The writer stops after each step: of what it staged nothing shows until it is
/// published, and then all of it. The ring has wrapped.
#[test]
fn spsc_writer_stops_after_each_step() {
    for (published, staged) in (0..=4).flat_map(|p| (0..=4 - p).map(move |s| (p, s))) {
        let (_segment, view) = ring(4);
        let mut reader = spsc::Consumer::attach(view.clone());
        let mut dead = spsc::Producer::attach(view.clone());
        for word in 0..7 {
            assert!(dead.stage(word));
            dead.publish();
            assert_eq!(reader.read(u64::MAX, |_| ()), Ok(1));
        }
        assert!((0..published).all(|word| dead.stage(10 + word)));
        dead.publish();
        assert!((0..staged).all(|word| dead.stage(20 + word)));
        drop(dead);
        let mut next = spsc::Producer::attach(view);
        let room = (0..).take_while(|word| next.stage(30 + word)).count() as u64;
        assert_eq!(room, 4 - published, "only what was published takes room");
        assert_eq!(reader.check(), Ok(()));
        next.publish();
        let mut seen = Vec::new();
        assert_eq!(reader.read(u64::MAX, |word| seen.push(word)), Ok(4));
        let expected = (10..10 + published).chain(30..30 + room);
        assert!(seen.into_iter().eq(expected), "{published}, {staged}");
    }
}

/// A taker stops before the announcement, between announcement and take, and after
/// the take. In the first case the ring has all, in the second the ring has what is
/// announced too, in the third only the announcement does: nothing is lost.
#[test]
fn steal_taker_stops_between_announcing_and_taking() {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    for (stop, half) in (0..3).flat_map(|stop| [(stop, false), (stop, true)]) {
        let (_segment, view) = ring(16);
        let mut producer = steal::Producer::attach(view.clone());
        assert!((0..5).all(|word| producer.stage(word) == Ok(true)));
        producer.publish();
        let mut announced = Vec::new();
        let dying = steal::Taker::attach(view.clone());
        let _ = catch_unwind(AssertUnwindSafe(|| {
            dying.take(&mut [0; 4], half, |words| {
                if stop > 0 {
                    announced = words.to_vec();
                }
                if stop < 2 {
                    resume_unwind(Box::new(()));
                }
            })
        }));
        assert_eq!(producer.check(), Ok(()));
        let share = if half { 3 } else { 4 };
        assert_eq!(announced.len(), if stop > 0 { share } else { 0 });
        // The rescuer issues what was announced again.
        for word in &announced {
            assert_eq!(producer.stage(*word), Ok(true));
        }
        producer.publish();
        let mut found = [0; 16];
        let other = steal::Taker::attach(view);
        let (count, left) = other.take(&mut found, false, |_| {}).expect("whole");
        assert_eq!(left, 0);
        let mut found = found[..count].to_vec();
        let twice = if stop == 1 { share } else { 0 };
        assert_eq!(count, 5 + twice);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [0, 1, 2, 3, 4]);
    }
}

/// Trap 12: hunts a tail that a wild writer moved out of bounds: it must be an error,
/// not a read of a thousand stale words.
#[test]
fn trap_12_impossible_indices_are_damage() {
    let (_segment, view) = ring(4);
    view.tail.store(1000, Ordering::Relaxed);
    let damage = Damaged {
        head: 0,
        tail: 1000,
        capacity: 4,
    };
    assert_eq!(
        spsc::Consumer::attach(view.clone()).read(u64::MAX, |_| panic!("nothing to read")),
        Err(damage)
    );
    let taker = steal::Taker::attach(view);
    assert_eq!(taker.take(&mut [0; 8], false, |_| {}), Err(damage));
    assert_eq!(taker.backlog(), 0);
}

#[test]
fn steal_writer_sees_a_wild_head() {
    let (_segment, view) = ring(4);
    let mut producer = steal::Producer::attach(view.clone());
    view.head.store(77, Ordering::Relaxed);
    assert!(producer.refresh().is_err());
    view.head.store(0, Ordering::Relaxed);
    assert_eq!(producer.check(), Ok(()));
    view.tail.store(1, Ordering::Relaxed);
    assert!(producer.check().is_err(), "nobody else moves the tail");
}

#[test]
fn spsc_reader_sees_wild_indices() {
    let (_segment, view) = ring(4);
    let consumer = spsc::Consumer::attach(view.clone());
    assert_eq!(consumer.check(), Ok(()));
    view.head.store(1, Ordering::Relaxed);
    assert!(consumer.check().is_err(), "nobody else moves the head");
    view.head.store(0, Ordering::Relaxed);
    view.tail.store(5, Ordering::Relaxed);
    assert!(consumer.check().is_err(), "more than fits");
}

#[test]
fn steal_takes_batches_and_halves() {
    let (_segment, view) = ring(8);
    let mut producer = steal::Producer::attach(view.clone());
    let taker = steal::Taker::attach(view);
    for i in 0..7 {
        assert_eq!(producer.stage(i), Ok(true));
    }
    producer.publish();
    let mut words = [0; 8];
    let mut announced = Vec::new();
    let taken = taker.take(&mut words, true, |w| announced = w.to_vec());
    assert_eq!(taken, Ok((4, 3)), "half of seven, rounded up");
    assert_eq!(announced, [0, 1, 2, 3]);
    assert_eq!(taker.take(&mut words[..2], false, |_| {}), Ok((2, 1)));
    assert_eq!(words[..2], [4, 5]);
    assert_eq!(producer.refresh(), Ok(1));
}

/// Trap 4: a dying writer's tail may lie behind the head; its successor goes on from
/// the greater of the two.
#[test]
fn trap_4_a_tail_behind_the_head_is_repaired_by_the_successor() {
    let (_segment, view) = ring(8);
    view.head.store(5, Ordering::Relaxed);
    view.tail.store(4, Ordering::Relaxed);
    let mut producer = steal::Producer::attach(view.clone());
    assert_eq!(producer.stage(42), Ok(true));
    producer.publish();
    let mut words = [0; 8];
    let taker = steal::Taker::attach(view);
    assert_eq!(taker.take(&mut words, false, |_| {}), Ok((1, 0)));
    assert_eq!(words[0], 42);
}

/// Hunts a word taken twice or never, with three takers racing one writer over a
/// ring that wraps many times.
#[test]
fn steal_every_word_once() {
    const WORDS: u64 = 200_000;
    let (_segment, view) = ring(64);
    let taken = Arc::new((0..WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
    let total = Arc::new(AtomicU64::new(0));
    let takers: Vec<_> = (1..=3usize)
        .map(|batch| {
            let (view, taken, total) = (view.clone(), Arc::clone(&taken), Arc::clone(&total));
            std::thread::spawn(move || {
                let taker = steal::Taker::attach(view);
                let mut words = [0; 8];
                while total.load(Ordering::Relaxed) < WORDS {
                    let (count, _) = taker
                        .take(&mut words[..batch * 2], batch == 2, |_| {})
                        .expect("whole");
                    for word in &words[..count] {
                        taken[*word as usize].fetch_add(1, Ordering::Relaxed);
                    }
                    total.fetch_add(count as u64, Ordering::Relaxed);
                    if count == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut producer = steal::Producer::attach(view);
    let mut next = 0;
    while next < WORDS {
        if producer.stage(next).expect("whole") {
            next += 1;
        } else {
            std::thread::yield_now();
        }
        producer.publish();
    }
    for taker in takers {
        taker.join().expect("taker");
    }
    assert!(taken.iter().all(|n| n.load(Ordering::Relaxed) == 1));
}
