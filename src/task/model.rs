//! The task slot's own source in every order of steps. Run by `scripts/models`.
//!
//! Payload words are relaxed atomics, so a transition that does not publish what
//! it should shows as a stale value.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Head, Outcome, Place, Slot, TaskState};
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::prim::{ExecutorId, Generation, Word};

const G: Generation = Generation::new(7);
const ARGUMENT: u64 = 20;

fn head(outcome: Outcome) -> Head {
    Head {
        function: 1,
        outcome,
        parcels: 0,
        is_labelled: false,
        place: Place::Inline(8),
    }
}

fn submit(slot: &Slot, generation: Generation, argument: u64) {
    slot.write(head(Outcome::None), &[argument]);
    slot.queue(generation);
}

/// What an executor does with a hint: true if it was the one.
fn run(slot: &Slot, me: ExecutorId, generation: Generation) -> bool {
    if !slot.claim(me, generation) {
        return false;
    }
    let (found, words) = slot.read().expect("makes sense");
    assert_eq!(found, head(Outcome::None), "claimed, but not the arguments");
    slot.write(head(Outcome::Value), &[words[0] + 1 + u64::from(me.0)]);
    slot.finish(me, generation);
    true
}

/// What the host does when it looks at a word: the owner and value of a result.
fn collect(slot: &Slot, generation: Generation) -> Option<(u32, u64)> {
    let word = slot.word();
    assert_eq!(word.generation, generation, "only the host moves it on");
    if TaskState::of(word) != Some(TaskState::Done) {
        return None;
    }
    let (found, words) = slot.read().expect("makes sense");
    assert_eq!(found, head(Outcome::Value), "done, but not the result");
    slot.release(generation);
    Some((word.owner, words[0]))
}

fn wait_for(slot: &Slot, generation: Generation) -> (u32, u64) {
    loop {
        if let Some(ended) = collect(slot, generation) {
            return ended;
        }
        thread::yield_now();
    }
}

fn executor(slot: &Arc<Slot>, me: u32, generation: Generation) -> thread::JoinHandle<bool> {
    let slot = Arc::clone(slot);
    thread::spawn(move || run(&slot, ExecutorId(me), generation))
}

/// Two executors have a hint before the task is queued or after; one at most runs
/// it, and what it was given and what it returns are seen whole.
#[test]
fn one_claims_and_the_host_collects() {
    explore("slot: two claim", None, || {
        let slot = Arc::new(Slot::default());
        let others = [1, 2].map(|me| executor(&slot, me, G));
        submit(&slot, G, ARGUMENT);
        let late = run(&slot, ExecutorId(3), G);
        let claims = others.map(|thread| thread.join().expect("ends"));
        assert_eq!(
            claims.iter().filter(|won| **won).count(),
            usize::from(!late)
        );
        let (owner, value) = collect(&slot, G).expect("somebody ran it");
        assert_eq!(value, ARGUMENT + 1 + u64::from(owner));
    });
}

/// The host polls while the task runs, and uses the slot again at once. A hint of
/// the former generation takes nothing of the next.
#[test]
fn the_next_generation_is_another_task() {
    explore("slot: used twice", Some(3), || {
        let slot = Arc::new(Slot::default());
        submit(&slot, G, ARGUMENT);
        let winner = executor(&slot, 1, G);
        let late = executor(&slot, 2, G);
        let (owner, value) = wait_for(&slot, G);
        assert_eq!(value, ARGUMENT + 1 + u64::from(owner));
        submit(&slot, G.next(), 50);
        assert!(run(&slot, ExecutorId(0), G.next()), "nobody else knows it");
        assert_eq!(collect(&slot, G.next()), Some((0, 51)));
        let won = [winner, late].map(|thread| thread.join().expect("ends"));
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
    });
}

/// Either it runs, or it is cancelled; after cancelling, the slot is the host's.
#[test]
fn cancelled_or_run() {
    explore("slot: cancel", None, || {
        let slot = Arc::new(Slot::default());
        submit(&slot, G, ARGUMENT);
        let other = executor(&slot, 1, G);
        if slot.cancel(G) {
            submit(&slot, G.next(), 50);
            assert!(run(&slot, ExecutorId(2), G.next()));
            assert_eq!(collect(&slot, G.next()), Some((2, 53)));
            assert!(!other.join().expect("ends"), "ran although cancelled");
        } else {
            assert_eq!(wait_for(&slot, G), (1, ARGUMENT + 2));
            assert!(other.join().expect("ends"));
        }
    });
}

/// An executor dies at each point while another has the same hint. The host does
/// what `Scheduler::rescue` does: collect what is done, queue again what the dead
/// was running, issue the hint again. The task ends exactly once.
#[test]
fn executor_dies() {
    explore_deaths("slot: executor dies", None, |death, has_died| {
        const DEAD: ExecutorId = ExecutorId(1);
        let slot = Arc::new(Slot::default());
        submit(&slot, G, ARGUMENT);
        let dying = Arc::clone(&slot);
        let mortal = thread::spawn(move || run_mortal(death, || run(&dying, DEAD, G)));
        let other = executor(&slot, 2, G);
        let died = mortal.join().expect("ends").is_none();
        has_died.fetch_or(died, SeqCst);

        let mut ended = Vec::from_iter(collect(&slot, G));
        if ended.is_empty() {
            let word = slot.word();
            if TaskState::of(word) == Some(TaskState::Running) && word.owner == DEAD.0 {
                assert!(died, "the living finish what they claim");
                submit(&slot, G, ARGUMENT);
            }
            // The hint issued again; with whom it collides does not matter.
            run(&slot, ExecutorId(3), G);
            other.join().expect("ends");
            ended.extend(collect(&slot, G));
        } else {
            other.join().expect("ends");
        }
        let [(owner, value)] = ended[..] else {
            panic!("ended {} times", ended.len());
        };
        assert_eq!(value, ARGUMENT + 1 + u64::from(owner));
        let free = Word::new(TaskState::Free as u8, 0, G.next());
        assert_eq!(slot.word(), free);
    });
}

/// The same for a task that may run once only: what the dead was running ends as
/// failed, and nobody runs it again, whatever hints are still about.
#[test]
fn executor_dies_at_most_once() {
    explore_deaths(
        "slot: executor dies, one attempt",
        None,
        |death, has_died| {
            const DEAD: ExecutorId = ExecutorId(1);
            let slot = Arc::new(Slot::default());
            submit(&slot, G, ARGUMENT);
            let dying = Arc::clone(&slot);
            let mortal = thread::spawn(move || run_mortal(death, || run(&dying, DEAD, G)));
            let other = executor(&slot, 2, G);
            has_died.fetch_or(mortal.join().expect("ends").is_none(), SeqCst);
            let word = slot.word();
            let was_running = TaskState::of(word) == Some(TaskState::Running);
            if was_running && word.owner == DEAD.0 {
                slot.release(G);
                assert!(!other.join().expect("ends"), "run a second time");
                assert!(!run(&slot, ExecutorId(3), G), "run a second time");
                return;
            }
            run(&slot, ExecutorId(3), G);
            other.join().expect("ends");
            assert!(collect(&slot, G).is_some(), "lost");
        },
    );
}
