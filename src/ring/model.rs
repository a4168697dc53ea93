//! The rings' own source in every order of steps. Run by `scripts/models`.

use std::sync::atomic::{AtomicU64 as Counter, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use loom::cell::Cell;
use loom::thread;

use super::{RingView, spsc, steal};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::mortal::{explore, explore_deaths, run_mortal, step};
use crate::shm::Segment;

fn ring(capacity: usize) -> RingView {
    RingView::attach(&Segment::empty(), 0, capacity)
}

/// What the ring's words would point to, a payload for each place. Plain memory:
/// loom fails a read or write that is not ordered behind the other side's.
#[derive(Clone)]
struct Payloads(Arc<[Cell<u64>; 2]>);

impl Payloads {
    fn new() -> Self {
        Payloads(Arc::new([Cell::new(0), Cell::new(0)]))
    }

    fn of(&self, word: u64) -> &Cell<u64> {
        &self.0[word as usize % 2]
    }
}

/// Four words through two places: order, no loss, no repetition; and what a word
/// stands for is ours from `read` until the room is given back.
#[test]
fn spsc_hands_over() {
    explore("spsc hands over", None, || {
        let (ring, payloads) = (ring(2), Payloads::new());
        let mut producer = spsc::Producer::attach(ring.clone());
        let (theirs, mut expected) = (payloads.clone(), 0);
        let writer = thread::spawn(move || {
            for word in 0..4 {
                while !producer.stage(word) {
                    thread::yield_now();
                }
                theirs.of(word).set(word);
                if word != 1 {
                    producer.publish(); // two words at once in the middle
                }
            }
        });
        let mut consumer = spsc::Consumer::attach(ring);
        while expected < 4 {
            let read = consumer.read(u64::MAX, |word| {
                assert_eq!(word, expected, "a word is stale, lost or repeated");
                assert_eq!(payloads.of(word).get(), word);
                expected += 1;
            });
            if read.expect("not damaged") == 0 {
                thread::yield_now();
            }
        }
        writer.join().expect("ends");
    });
}

/// A writer dies at each point; its successor goes on. The reader, who runs all
/// the time, sees what was published and nothing that was only staged.
#[test]
fn spsc_writer_dies() {
    explore_deaths("spsc writer dies", Some(3), |death, has_died| {
        let ring = ring(2);
        let published = Arc::new(Counter::new(0));
        let (theirs, counted) = (ring.clone(), Arc::clone(&published));
        let mortal = thread::spawn(move || {
            run_mortal(death, || {
                let mut producer = spsc::Producer::attach(theirs);
                for word in 1..=2 {
                    producer.stage(word);
                    producer.publish();
                    counted.store(word, SeqCst);
                }
            })
        });
        let view = ring.clone();
        let reader = thread::spawn(move || {
            let (mut seen, mut consumer) = (Vec::new(), spsc::Consumer::attach(view));
            while seen.last() != Some(&100) {
                let read = consumer.read(u64::MAX, |word| seen.push(word));
                if read.expect("not damaged") == 0 {
                    thread::yield_now();
                }
            }
            seen
        });
        has_died.fetch_or(mortal.join().expect("ends").is_none(), SeqCst);
        let mut successor = spsc::Producer::attach(ring);
        while !successor.stage(100) {
            thread::yield_now();
        }
        successor.publish();
        let seen = reader.join().expect("ends");
        let of_the_dead = seen.len() as u64 - 1;
        assert!(
            seen.iter()
                .zip(1..)
                .take(seen.len() - 1)
                .all(|(w, i)| *w == i)
        );
        assert!((published.load(SeqCst)..=2).contains(&of_the_dead));
    });
}

fn take_some(taker: &steal::Taker, tries: usize, half: bool) -> Vec<u64> {
    let (mut all, mut words) = (Vec::new(), [0; 2]);
    for _ in 0..tries {
        let (count, _) = taker.take(&mut words, half, |_| {}).expect("not damaged");
        all.extend_from_slice(&words[..count]);
    }
    all
}

fn assert_each_once(mut words: Vec<u64>, count: u64) {
    words.sort_unstable();
    assert!(words.iter().copied().eq(1..=count), "of {count}: {words:?}");
}

/// Two takers race a writer around a ring of two places, which is full at first.
#[test]
fn steal_takes_each_once() {
    explore("steal takes each once", Some(3), || {
        let ring = ring(2);
        let mut producer = steal::Producer::attach(ring.clone());
        assert!((1..=2).all(|word| producer.stage(word) == Ok(true)));
        producer.publish();
        let takers = [false, true].map(|half| {
            let taker = steal::Taker::attach(ring.clone());
            thread::spawn(move || take_some(&taker, 2, half))
        });
        let mut count = 2;
        for _ in 0..2 {
            if producer.stage(count + 1).expect("not damaged") {
                count += 1;
                producer.publish();
            }
        }
        let rest = steal::Taker::attach(ring);
        let mut taken = take_some(&rest, 1, false);
        for taker in takers {
            taken.extend(taker.join().expect("ends"));
        }
        // Whatever is left now.
        taken.extend(take_some(&rest, 1, false));
        assert_each_once(taken, count);
    });
}

/// A ring that starts empty: what a taker gets has been published whole.
#[test]
fn steal_publishes() {
    explore("steal publishes", None, || {
        let (ring, payloads) = (ring(2), Payloads::new());
        let taker = steal::Taker::attach(ring.clone());
        let theirs = payloads.clone();
        let thief = thread::spawn(move || {
            let mut taken = Vec::new();
            for _ in 0..2 {
                taken.extend(take_some(&taker, 1, true));
            }
            for word in &taken {
                assert_eq!(theirs.of(*word).get(), *word);
            }
            taken
        });
        let mut producer = steal::Producer::attach(ring.clone());
        for word in 1..=2 {
            payloads.of(word).set(word);
            assert_eq!(producer.stage(word), Ok(true));
            producer.publish();
        }
        let mut taken = thief.join().expect("ends");
        taken.extend(take_some(&steal::Taker::attach(ring), 1, false));
        assert_each_once(taken, 2);
    });
}

/// What an executor's record holds of the hints it is about to take; written as
/// `ExecutorRecord::announce` does.
#[derive(Clone, Default)]
struct Announced(Arc<[AtomicU64; 2]>);

impl Announced {
    fn announce(&self, hints: &[u64]) {
        for (to, from) in self.0.iter().zip(hints) {
            to.store(*from, Ordering::Relaxed);
        }
    }

    fn ever(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.0[at].load(Ordering::Relaxed))
    }
}

/// Whoever sees that the head has moved sees what was announced before.
#[test]
fn steal_announces_first() {
    explore("steal announces first", None, || {
        let (ring, announced) = (ring(2), Announced::default());
        let mut producer = steal::Producer::attach(ring.clone());
        assert!((1..=2).all(|word| producer.stage(word) == Ok(true)));
        producer.publish();
        let theirs = announced.clone();
        let taker = thread::spawn(move || {
            let taker = steal::Taker::attach(ring);
            let taken = taker.take(&mut [0; 1], false, |hints| theirs.announce(hints));
            assert_eq!(taken, Ok((1, 1)));
        });
        if producer.refresh() == Ok(1) {
            assert_eq!(announced.ever()[0], 1, "taken, but not announced");
        }
        taker.join().expect("ends");
    });
}

/// A taker dies at each point while another takes: each word is with the living,
/// still in the ring, or announced by the dead; and none is twice with the living.
#[test]
fn steal_taker_dies() {
    explore_deaths("steal taker dies", None, |death, has_died| {
        let (ring, announced) = (ring(4), Announced::default());
        let mut producer = steal::Producer::attach(ring.clone());
        assert!((1..=3).all(|word| producer.stage(word) == Ok(true)));
        producer.publish();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (theirs, says, keeps) = (ring.clone(), announced.clone(), Arc::clone(&kept));
        let mortal = thread::spawn(move || {
            run_mortal(death, || {
                let (taker, mut words) = (steal::Taker::attach(theirs), [0; 2]);
                let taken = taker.take(&mut words, false, |hints| says.announce(hints));
                let (count, _) = taken.expect("not damaged");
                let _ = step(); // or it dies with what it has just taken
                let mut keeps = keeps.lock().expect("not poisoned");
                keeps.extend_from_slice(&words[..count]);
            })
        });
        let mut taken = take_some(&steal::Taker::attach(ring.clone()), 1, true);
        let died = mortal.join().expect("ends").is_none();
        has_died.fetch_or(died, SeqCst);
        for _ in 0..2 {
            taken.extend(take_some(&steal::Taker::attach(ring.clone()), 1, false));
        }
        if !died {
            taken.append(&mut kept.lock().expect("not poisoned"));
            return assert_each_once(taken, 3);
        }
        // The rescue: issue again what was announced and is with nobody. That a
        // living one has it too is what the slot's word finds out.
        let lost = announced.ever().into_iter();
        let again: Vec<_> = lost.filter(|w| *w != 0 && !taken.contains(w)).collect();
        taken.extend(again);
        assert_each_once(taken, 3);
    });
}

/// A writer dies at each point while a taker takes; its successor goes on.
#[test]
fn steal_writer_dies() {
    explore_deaths("steal writer dies", None, |death, has_died| {
        let ring = ring(2);
        let published = Arc::new(Counter::new(0));
        let (theirs, counted) = (ring.clone(), Arc::clone(&published));
        let mortal = thread::spawn(move || {
            run_mortal(death, || {
                let mut producer = steal::Producer::attach(theirs);
                for word in 1..=3 {
                    if producer.stage(word).expect("not damaged") {
                        producer.publish();
                        counted.fetch_or(1 << word, SeqCst);
                    }
                }
            })
        });
        let taker = steal::Taker::attach(ring.clone());
        let mut taken = take_some(&taker, 2, true);
        has_died.fetch_or(mortal.join().expect("ends").is_none(), SeqCst);
        let mut successor = steal::Producer::attach(ring);
        let has_room = successor.stage(9).expect("not damaged");
        successor.publish();
        taken.extend(take_some(&taker, 1, false));
        assert!(taken.is_sorted_by(|a, b| a < b), "twice: {taken:?}");
        assert_eq!(taken.last() == Some(&9), has_room);
        let published = published.load(SeqCst);
        assert!((1..=3).all(|w| published & 1 << w == 0 || taken.contains(&w)));
    });
}
