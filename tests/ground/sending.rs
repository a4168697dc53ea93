//! Who owns what is sent, in every way to submit it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Handle, Limit, Loan, Retry, Runtime, Shared, TaskError};
use serde::{Deserialize, Serialize};

use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "sending/long_arguments_last_until_the_last_attempt",
            retries,
        ),
        test(
            "sending/a_slice_does_not_change_when_its_loan_is_sent",
            slice,
        ),
        test("sending/a_sent_loan_publishes_nothing", publish),
        test(
            "sending/a_refused_submission_recalls_nothing_of_another",
            recall,
        ),
        test("sending/one_loan_twice_is_a_mistake_and_no_damage", twice),
        test(
            "sending/neither_is_one_in_a_process_of_two_executors",
            nested,
        ),
        test("sending/a_refused_loan_is_as_it_was", refused),
        test(
            "sending/a_loan_comes_back_from_try_spawn_uncopied",
            uncopied,
        ),
        test("sending/a_cached_loan_is_returned_again_and_again", cached),
        test("sending/on_error_is_not_for_values", on_error),
        test("sending/a_judge_sees_a_loan", judged),
        test("sending/each_item_is_tried_again_by_itself", each_item),
    ]
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}

/// A loan that may have several owners where it is made, as serde's `rc` has it.
#[derive(Clone)]
struct W(Arc<Loan>);

impl Serialize for W {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for W {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Loan::deserialize(deserializer).map(|loan| W(Arc::new(loan)))
    }
}

impl W {
    fn own(self) -> Loan {
        Arc::try_unwrap(self.0).expect("the only one")
    }
}

/// A runtime with a task beside, which must not notice anything.
struct World {
    rt: Runtime,
    bystander: Handle<u32>,
}

impl World {
    fn new(workers: usize, threads: usize) -> Self {
        let rt = Runtime::builder()
            .workers(workers)
            .threads_per_worker(threads)
            .start()
            .expect("starts");
        fn nap(n: u32) -> u32 {
            std::thread::sleep(Duration::from_millis(150));
            n
        }
        let bystander = rt.spawn(nap, 7);
        World { rt, bystander }
    }

    /// Nothing is damaged, and nothing left.
    #[track_caller]
    fn ends_well(self) {
        assert_eq!(self.bystander.join(), Ok(7));
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            let audit = self.rt.audit();
            assert!(audit.orphans.is_empty(), "{:#?}", audit.orphans);
            let used = audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried;
            if used + audit.slots_queued + audit.slots_running + audit.slots_done == 0 {
                break;
            }
            assert!(Instant::now() < give_up, "{audit:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.rt.stats().tasks.damage, 0);
    }

    fn loan(&self, byte: u8) -> Loan {
        let mut loan = self.rt.alloc(4096).expect("room");
        loan.fill(byte);
        loan
    }

    fn shared(&self, byte: u8) -> Shared {
        self.loan(byte).publish()
    }
}

/// How often this task was run on this worker: there is only one.
fn fails_twice<T>(value: T) -> Result<T, String> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    match CALLS.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Err("not yet".into()),
        1 => panic!("nor now"),
        _ => Ok(value),
    }
}

fn retries() {
    let world = World::new(1, 1);
    let rt = &world.rt;
    let retry = Retry::fixed(3, Duration::from_millis(1));
    for len in [0, 46, 47, 48, 49, 100, 100_000] {
        let task = rt.task(|v: Vec<u8>| fails_twice(v.len())).retry(retry);
        assert_eq!(task.spawn(vec![1; len]).join(), Ok(Ok(len)), "{len}");
        let judged = task
            .retry_if(|outcome| !matches!(outcome, Ok(Ok(_))))
            .named("a name")
            .tag("a", "b");
        assert_eq!(judged.spawn(vec![1; len]).join(), Ok(Ok(len)), "{len}");
    }
    let sum = |all: Vec<Shared>| fails_twice(all.iter().map(|s| u64::from(s[4095])).sum::<u64>());
    for count in 0..4 {
        let all = (0..count).map(|n| world.shared(n)).collect();
        let expected = (0..u64::from(count)).sum();
        assert_eq!(
            rt.task(sum).retry(retry).spawn(all).join(),
            Ok(Ok(expected))
        );
    }
    let name = "a name of some forty-five characters, say, or so";
    let named = rt.task(|n: u32| fails_twice(n)).named(name).retry(retry);
    assert_eq!(named.spawn(3).join(), Ok(Ok(3)));
    // The buffer among the arguments comes back, by reference.
    let same = rt
        .task(|(s, _): (Shared, [u64; 9])| fails_twice(s))
        .retry(retry);
    let shared = world.shared(9);
    let back = same
        .spawn((shared.clone(), [1; 9]))
        .join()
        .expect("a value");
    assert_eq!(back.expect("at last").as_ptr(), shared.as_ptr());
    drop(shared);
    world.ends_well();
}

/// Writes into it for a while.
fn scribble(w: W) -> usize {
    let mut loan = w.own();
    for n in 0..100_u8 {
        loan.fill(n);
        std::thread::sleep(Duration::from_millis(1));
    }
    loan.len()
}

/// Which values are seen at the first byte while `task` runs.
fn seen<R: serde::de::DeserializeOwned>(view: &[u8], task: &Handle<R>) -> BTreeSet<u8> {
    let mut seen = BTreeSet::new();
    while !task.is_finished() {
        seen.extend(std::hint::black_box(view).first());
        std::thread::sleep(Duration::from_micros(200));
    }
    seen
}

fn slice() {
    let world = World::new(2, 1);
    for way in 0..3 {
        let kept = W(Arc::new(world.loan(0xAA)));
        let view: &[u8] = &kept.0[..];
        let task = world.rt.task(scribble);
        let sent = kept.clone();
        let run = match way {
            0 => task.spawn(sent),
            1 => task.try_spawn(sent).map_err(drop).expect("accepted"),
            _ => task
                .spawn_timeout(sent, Duration::from_secs(9))
                .map_err(drop)
                .expect("accepted"),
        };
        assert_eq!(seen(view, &run), BTreeSet::from([0xAA]), "way {way}");
        assert_eq!(run.join(), Ok(4096));
        assert!(kept.0.is_empty(), "it was sent");
    }
    // Long arguments around it, in each way that gives them back.
    let kept = W(Arc::new(world.loan(3)));
    let long = |(text, w, more): (String, W, Shared)| (text.len(), w.0[4095], more[4095]);
    let sent = ("x".repeat(100), kept.clone(), world.shared(4));
    let run = world.rt.task(long).try_spawn(sent).map_err(drop);
    assert_eq!(run.expect("accepted").join(), Ok((100, 3, 4)));
    let mapped = world.rt.map(scribble, [W(Arc::new(world.loan(1)))]);
    assert_eq!(mapped.collect::<Vec<_>>(), [Ok(4096)]);
    drop(kept);
    world.ends_well();
}

fn publish() {
    let world = World::new(1, 1);
    let kept = W(Arc::new(world.loan(0xAA)));
    let run = world.rt.spawn(scribble, kept.clone());
    let shared = kept.own().publish();
    assert!(shared.is_empty());
    assert_eq!(seen(&shared, &run), BTreeSet::new());
    assert_eq!(run.join(), Ok(4096));
    let passed_on = world.rt.spawn(|s: Shared| s.len(), shared).join();
    assert!(
        matches!(passed_on, Err(TaskError::Arguments { .. })),
        "{passed_on:?}"
    );
    world.ends_well();
}

fn recall() {
    let world = World::new(2, 1);
    let kept = W(Arc::new(world.loan(0xAA)));
    let run = world.rt.spawn(scribble, kept.clone());
    let limit = Limit::new(1);
    let refused = world
        .rt
        .task(scribble)
        .limited(&limit, 2)
        .try_spawn(kept.clone());
    drop(refused.expect_err("more than there is"));
    let mut loan = kept.own();
    assert!(loan.is_empty() && loan.as_mut().is_empty(), "it was sent");
    assert_eq!(run.join(), Ok(4096));
    drop(loan);
    world.ends_well();
}

fn twice() {
    let world = World::new(2, 1);
    let rt = &world.rt;
    let is_mistake = |outcome: &Result<usize, TaskError>| matches!(outcome, Err(TaskError::Arguments { message, .. }) if message.contains("Loan"));
    let one = W(Arc::new(world.loan(1)));
    let both = rt.spawn(|(v, w): (W, W)| v.0.len() + w.0.len(), (one.clone(), one));
    let both = both.join();
    assert!(is_mistake(&both), "{both:?}");
    let one = W(Arc::new(world.loan(1)));
    let first = rt.spawn(|w: W| w.0.len(), one.clone());
    let second = rt.spawn(|w: W| w.0.len(), one.clone());
    let third = rt.try_spawn(|w: W| w.0.len(), one).map_err(drop);
    assert_eq!(first.join(), Ok(4096));
    for late in [second, third.expect("not refused, but failed")] {
        let late = late.join();
        assert!(is_mistake(&late), "{late:?}");
    }
    // In one go, and from a task.
    let one = W(Arc::new(world.loan(1)));
    let all: Vec<_> = rt.map(|w: W| w.0.len(), [one.clone(), one]).collect();
    assert!(all[0] == Ok(4096) && is_mistake(&all[1]), "{all:?}");
    fn parent((): ()) -> (usize, bool) {
        let one = W(Arc::new(pinfold::alloc(100).expect("room")));
        let first = pinfold::spawn(|w: W| w.0.len(), one.clone());
        let second = pinfold::spawn(|w: W| w.0.len(), one).join();
        let is_mistake = matches!(second, Err(TaskError::Arguments { .. }));
        (first.join().expect("a value"), is_mistake)
    }
    assert_eq!(rt.spawn(parent, ()).join(), Ok((100, true)));
    world.ends_well();
}

fn nested() {
    /// What the parent sees, and what the child has written at last.
    fn parent((): ()) -> (Vec<u8>, usize) {
        let mut loan = pinfold::alloc(4096).expect("room");
        loan.fill(0xAA);
        let kept = W(Arc::new(loan));
        let view: &[u8] = &kept.0[..];
        let child = pinfold::spawn(scribble, kept.clone());
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            seen.extend(std::hint::black_box(view).first());
            std::thread::sleep(Duration::from_millis(1));
        }
        (seen.into_iter().collect(), child.join().expect("a value"))
    }
    /// A child whose loan is its own gets it without a copy, also when it is run in place.
    fn is_uncopied((): ()) -> bool {
        let loan = pinfold::alloc(4096).expect("room");
        let at = loan.as_ptr().addr() as u64;
        let child = pinfold::spawn(|l: Loan| l.as_ptr().addr() as u64, loan);
        child.join().expect("a value") == at
    }
    let world = World::new(1, 2);
    let outcome = world.rt.spawn(parent, ()).join();
    assert_eq!(outcome, Ok((vec![0xAA], 4096)));
    assert_eq!(world.rt.spawn(is_uncopied, ()).join(), Ok(true));
    world.ends_well();
}

fn refused() {
    let world = World::new(1, 1);
    let limit = Limit::new(1);
    let task = world.rt.task(|l: Loan| l[0]).limited(&limit, 2);
    let back = task.try_spawn(world.loan(5)).expect_err("too much").args;
    let mut back = task
        .spawn_timeout(back, Duration::from_millis(1))
        .expect_err("too much")
        .args;
    back[0] += 1;
    assert_eq!(world.rt.spawn(|l: Loan| l[0], back).join(), Ok(6));
    world.ends_well();
}

fn uncopied() {
    let world = World::new(1, 1);
    let loan = world.loan(5);
    let at = loan.as_ptr();
    let run = world.rt.try_spawn(|l: Loan| l, loan).map_err(drop);
    let back = run.expect("accepted").join().expect("a value");
    assert_eq!((back.as_ptr(), back[4095]), (at, 5));
    drop(back);
    world.ends_well();
}

fn cached() {
    fn cache(byte: u8) -> W {
        static KEPT: std::sync::OnceLock<W> = std::sync::OnceLock::new();
        let make = || {
            let mut loan = pinfold::alloc(4096).expect("room");
            loan.fill(byte);
            W(Arc::new(loan))
        };
        KEPT.get_or_init(make).clone()
    }
    let world = World::new(1, 1);
    for _ in 0..3 {
        let mut got = world.rt.spawn(cache, 7).join().expect("a value").own();
        assert_eq!(got[..], [7; 4096]);
        got.fill(8);
    }
    assert_eq!(world.bystander.join(), Ok(7));
    assert_eq!(world.rt.stats().tasks.damage, 0);
}

fn make_loan(byte: u8) -> Result<Loan, Loan> {
    let mut loan = pinfold::alloc(100).expect("room");
    loan.fill(byte);
    if byte == 0 { Err(loan) } else { Ok(loan) }
}

fn on_error() {
    let world = World::new(1, 1);
    for byte in [0, 1] {
        // Followed, and shared when it had ended; a value in both cases.
        let mut early = world.rt.spawn(make_loan, byte);
        let mut late = world.rt.spawn(make_loan, byte);
        while !late.is_finished() {
            std::thread::yield_now();
        }
        for handle in [&mut early, &mut late] {
            let (tell, told) = std::sync::mpsc::channel();
            let tell_error = move |error| tell.send(error).expect("it is waited for");
            handle.on_error(tell_error).expect("the first");
            let told = told.recv_timeout(Duration::from_secs(20));
            // The callback is dropped, and was not called.
            assert_eq!(told, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
            let (tell, told) = std::sync::mpsc::channel();
            let complete = move |outcome: Result<Result<Loan, Loan>, _>| {
                tell.send(outcome.map(drop)).expect("it is waited for");
            };
            handle.on_complete(complete).expect("the first");
            let told = told.recv_timeout(Duration::from_secs(20)).expect("told");
            assert!(matches!(told, Err(TaskError::Result { .. })), "{told:?}");
        }
        for handle in [early, late] {
            let loan = handle.join().expect("a value");
            assert_eq!(loan.unwrap_or_else(|loan| loan)[99], byte);
        }
    }
    world.ends_well();
}

fn judged() {
    let world = World::new(1, 1);
    let retry = Retry::fixed(3, Duration::ZERO);
    let task = world.rt.task(make_loan).retry(retry);
    let all_fail = task
        .clone()
        .retry_if(|outcome| matches!(outcome, Ok(Ok(loan)) if loan[99] == 7));
    let last = all_fail.spawn(7).join().expect("a value").expect("Ok");
    assert_eq!((last[99], world.rt.stats().tasks.repeated), (7, 2));
    let kept = all_fail.spawn(8).join().expect("a value").expect("Ok");
    assert_eq!((kept[99], world.rt.stats().tasks.repeated), (8, 2));
    let own_judge_panics = task.retry_if(|_| panic!("on purpose"));
    let kept_too = own_judge_panics
        .spawn(9)
        .join()
        .expect("a value")
        .expect("Ok");
    assert_eq!((kept_too[99], world.rt.stats().tasks.repeated), (9, 2));
    drop((last, kept, kept_too));
    world.ends_well();
}

fn each_item() {
    /// Each of the two fails at first.
    fn each(n: u64) -> Result<u64, String> {
        static CALLS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
        match CALLS[n as usize].fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Err("first".into()),
            _ => Ok(n),
        }
    }
    let world = World::new(1, 1);
    let task = world.rt.task(each).retry(Retry::fixed(3, Duration::ZERO));
    let both = [Ok(Ok(0)), Ok(Ok(1))];
    assert!(task.map(0..2).eq(both.clone()));
    let chunked = task.clone().chunked();
    assert!(chunked.map(0..2).eq(both.clone()));
    let mut all: Vec<_> = chunked.map_unordered(0..2).collect();
    all.sort_by_key(|(n, _)| *n);
    assert!(all.into_iter().map(|(_, outcome)| outcome).eq(both));
    type Sum = Result<u64, String>;
    let sum = task.reduce(0..2, |(a, b): (Sum, Sum)| Ok(a? + b?));
    assert_eq!(sum, Ok(Some(Ok(1))));
    assert_eq!(world.rt.stats().tasks.repeated, 8, "two items in four ways");
    world.ends_well();
}
