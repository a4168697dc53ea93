use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{ALL, AWAITED, FRESH, Gate, SETTLED, take_at_any, wait_any};
use crate::prim::atomic::Ordering;
use crate::sys::{barrier, futex};

const LONG: Duration = Duration::from_secs(30);

fn word(gate: &Gate) -> u32 {
    gate.word.load(Ordering::SeqCst)
}

/// Waits for something that other threads do; says whether it came.
fn comes(what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + LONG;
    while !what() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

#[test]
fn opening_where_nobody_waits_changes_nothing() {
    let gate = Gate::default();
    gate.open_one();
    gate.open_all();
    assert_eq!(word(&gate), 0);
}

#[test]
fn a_wait_that_has_not_begun_when_the_gate_opens_ends_at_once() {
    let gate = Gate::default();
    let (first, second) = (gate.prepare(), gate.prepare());
    assert!(!gate.has_opened(first));
    gate.open_one(); // the kernel finds nobody
    assert!(gate.has_opened(first) && gate.has_opened(second));
    assert!(gate.wait(first, None) && gate.wait(second, None));
    assert!(!gate.is_awaited(), "a vain wake clears the mark");
    let key = gate.prepare();
    gate.force();
    assert!(gate.wait(key, None));
    assert!(gate.is_awaited(), "it may be of somebody else");
    gate.open_one();
    assert!(!gate.is_awaited());
}

/// Between a vain wake and the clearing of the mark another one announces itself, and
/// may be asleep already: its mark stays.
#[test]
fn who_has_announced_itself_since_the_wake_keeps_its_mark() {
    let gate = Gate::default();
    let _gone = gate.prepare();
    // As `open`, up to its last step.
    let made = word(&gate).wrapping_add(super::EPOCH) & !FRESH;
    gate.word.store(made, Ordering::SeqCst);
    assert_eq!(futex::wake(&gate.word, ALL), 0);
    let key = gate.prepare();
    assert_ne!(key.0, made);
    let cleared = made & !(AWAITED | SETTLED);
    let relaxed = Ordering::Relaxed;
    let last = (gate.word).compare_exchange(made, cleared, relaxed, relaxed);
    assert!(last.is_err() && gate.is_awaited());
    gate.open_one();
    assert!(gate.wait(key, None));
}

#[test]
fn the_barrier_is_passed_once_while_the_mark_stays() {
    let gate = Gate::default();
    let first = gate.prepare();
    assert_eq!(word(&gate), AWAITED | FRESH | SETTLED);
    assert_eq!(gate.prepare().0, first.0, "announced already");
    gate.force();
    let third = gate.prepare();
    assert!(!gate.has_opened(third));
    assert_eq!(third.0, word(&gate));
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let (one, two) = (Gate::default(), Gate::default());
    let check = |wait: &dyn Fn(Option<Instant>) -> bool| {
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(!wait(Some(deadline)));
        assert!(Instant::now() >= deadline);
        assert!(!wait(Some(deadline)), "over already");
    };
    let keys = [(&one, one.prepare()), (&two, two.prepare())];
    check(&|deadline| one.wait(keys[0].1, deadline));
    check(&|deadline| wait_any(&keys, deadline));
    check(&|deadline| wait_any(&[], deadline));
    futex::tests::as_if_refused(|| check(&|deadline| wait_any(&keys, deadline)));
    assert!(!wait_any(&[], None), "for nothing at all nobody waits");
}

/// A thread that waits at all of `count` gates is woken by the last one.
fn is_woken_by_the_last_of(count: usize) {
    let gates: Arc<Vec<Gate>> = Arc::new((0..count).map(|_| Gate::default()).collect());
    let theirs = Arc::clone(&gates);
    let sleeper = std::thread::spawn(move || {
        let keys: Vec<_> = theirs.iter().map(|gate| (gate, gate.prepare())).collect();
        wait_any(&keys, Some(Instant::now() + LONG))
            && keys[count - 1].0.has_opened(keys[count - 1].1)
    });
    let last = &gates[count - 1];
    assert!(comes(|| last.is_awaited()));
    last.open_one();
    assert!(sleeper.join().expect("no panic"), "{count}");
}

#[test]
fn who_waits_at_many_gates_is_woken_by_any() {
    for count in [1, 2, 128, 129, 500] {
        is_woken_by_the_last_of(count);
    }
    futex::tests::as_if_refused(|| {
        [1, 2, 129]
            .map(is_woken_by_the_last_of)
            .into_iter()
            .collect()
    });
}

/// A process that sleeps at a gate in shared memory is woken from another; one that is killed
/// in its sleep harms nobody, and one whose waker died is woken by `force`.
#[test]
fn processes_sleep_and_die_at_one_gate() {
    let segment = crate::shm::Segment::create(1 << 16).expect("segment");
    let gate = segment.view::<Gate>(4096);
    let words = segment.views::<crate::prim::atomic::AtomicU64>(8192, 2);
    let (there, taken) = (&words[0], &words[1]);
    // Takes one and ends; makes system calls and touches shared words, nothing else.
    let sleep_and_take = || -> i32 {
        loop {
            let key = gate.prepare();
            let before = there.load(Ordering::SeqCst);
            let (new, seq_cst) = (before.saturating_sub(1), Ordering::SeqCst);
            if before > 0 && (there.compare_exchange(before, new, seq_cst, seq_cst)).is_ok() {
                taken.fetch_add(1, Ordering::SeqCst);
                return 0;
            }
            gate.wait(key, None);
        }
    };
    let start = || futex::tests::fork(&sleep_and_take);
    let is_asleep = |child: i32| {
        comes(|| {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" S"))
        })
    };
    let end = |child: i32, signal: Option<Signal>| {
        let child = Pid::from_raw(child);
        if signal.is_some() {
            kill(child, signal).expect("a child of this test, not waited for yet");
        }
        waitpid(child, None).expect("as above")
    };
    let publish = |count| {
        there.fetch_add(count, Ordering::SeqCst);
        barrier::light();
    };

    let children = [(); 3].map(|()| start());
    assert!(children.into_iter().all(is_asleep) && gate.is_awaited());
    end(children[0], Some(Signal::SIGKILL));
    publish(1);
    gate.open_one();
    assert!(comes(|| taken.load(Ordering::SeqCst) == 1), "one of two");
    assert!(comes(|| there.load(Ordering::SeqCst) == 0));
    publish(1);
    // A rescuer that knows nothing of how far anybody came.
    gate.force();
    assert!(comes(|| taken.load(Ordering::SeqCst) == 2), "the other");
    for child in &children[1..] {
        let exited = WaitStatus::Exited(Pid::from_raw(*child), 0);
        assert_eq!(end(*child, None), exited);
    }
    gate.open_one();
    assert!(!gate.is_awaited(), "what the dead have left");
}

/// A sequence of numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

/// Two gates with things to take; each visitor waits at one or both, with or without a
/// deadline, and takes one thing at most each time.
#[derive(Default)]
struct Market {
    gates: [Gate; 2],
    there: [AtomicU64; 2],
    is_over: AtomicBool,
}

impl Market {
    fn take(&self, at: usize) -> bool {
        let took = self.there[at].fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1));
        if took.is_ok_and(|before| before > 1) {
            self.gates[at].open_one();
        }
        took.is_ok()
    }

    fn visit(&self, stalls: &[usize], mut dice: Dice) {
        while !self.is_over.load(SeqCst) {
            let deadline = (dice.below(4) == 0)
                .then(|| Instant::now() + Duration::from_micros(dice.below(200)));
            let keys: Vec<_> = stalls
                .iter()
                .map(|at| (&self.gates[*at], self.gates[*at].prepare()))
                .collect();
            let mut found = stalls.iter().position(|at| self.take(*at));
            if found.is_none() && !self.is_over.load(SeqCst) {
                wait_any(&keys, deadline);
                // Some leave without another look.
                if dice.below(4) > 0 {
                    found = stalls.iter().position(|at| self.take(*at));
                }
            }
            for (at, (gate, key)) in keys.into_iter().enumerate() {
                if found != Some(at) {
                    gate.pass_on(key);
                }
            }
        }
    }
}

/// Hunts the lost wake: what is published is taken, however many sleep, leave and come.
/// Each round waits until all is taken; if a wake were lost, one would sleep beside it.
#[test]
fn what_is_published_is_taken() {
    let end = Instant::now() + Duration::from_secs(2);
    for seed in 1.. {
        if Instant::now() >= end {
            break;
        }
        let market = Arc::new(Market::default());
        let mut dice = Dice(seed);
        // Each always comes back to the same: none is left without anybody.
        let stalls: [&[usize]; 6] = [&[0], &[0], &[1], &[1], &[0, 1], &[1, 0]];
        let visitors: Vec<_> = (0..)
            .zip(stalls)
            .map(|(visitor, stalls)| {
                let market = Arc::clone(&market);
                std::thread::spawn(move || market.visit(stalls, Dice(seed * 1000 + visitor)))
            })
            .collect();
        for round in 0..200 {
            for at in [0, 1] {
                market.there[at].fetch_add(dice.below(4), SeqCst);
                barrier::light();
                for _ in 0..=dice.below(2) {
                    market.gates[at].open_one();
                }
            }
            let is_taken = comes(|| market.there.iter().all(|there| there.load(SeqCst) == 0));
            assert!(is_taken, "seed {seed}, round {round}: {:?}", market.there);
        }
        market.is_over.store(true, SeqCst);
        barrier::light();
        market.gates.iter().for_each(Gate::open_all);
        for visitor in visitors {
            visitor.join().expect("ends");
        }
    }
}

#[test]
fn who_is_woken_at_one_of_several_is_told_at_which() {
    let gates: [Gate; 3] = Default::default();
    let mut told = Vec::new();
    let look = |opened: Option<usize>| {
        told.push(opened);
        Some((opened?, "it"))
    };
    let taken = take_at_any(&gates.each_ref(), look, |_| {
        gates[1].open_one();
        false
    });
    assert_eq!((taken, told), (Some("it"), vec![None, Some(1)]));
}
