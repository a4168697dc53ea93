//! The task slot's own source in every order of steps. Run by `scripts/models`.
//!
//! Payload words are relaxed atomics, so a transition that does not publish what
//! it should shows as a stale value.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Arrived, Edge, Edges, Head, Outcome, Place, Slot, TaskState};
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::prim::{ExecutorId, Generation, Hint, SlotIndex, Word};

const G: Generation = Generation::new(7);
const ARGUMENT: u64 = 20;

fn head(outcome: Outcome) -> Head {
    Head {
        function: 1,
        outcome,
        parcels: 0,
        is_labelled: false,
        is_timed: false,
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

/// A pending task with two inputs, and what lies beside it.
#[derive(Default)]
struct Pending {
    slot: Slot,
    edges: Edges,
}

const INPUTS: [u64; 2] = [100, 3000];

impl Pending {
    fn new() -> Arc<Self> {
        let pending = Self::default();
        pending.slot.write(head(Outcome::None), &[ARGUMENT]);
        pending.edges.open(G, 0b11, 0);
        pending.slot.pend(G);
        Arc::new(pending)
    }

    fn edge(input: usize) -> Edge {
        let to = Hint {
            slot: SlotIndex(1),
            generation: G,
        };
        Edge::new(to, input, INPUTS.len())
    }

    /// Brings an input: true if that has made the task ready.
    fn tell(&self, input: usize) -> bool {
        let words = [INPUTS[input], 0, 0];
        let arrived = self.edges.arrive(Self::edge(input), 8, &words);
        arrived == Arrived::Complete && self.slot.make_ready(G)
    }

    /// What an executor does with its hint.
    fn run(&self, me: u32) -> bool {
        if !self.slot.claim(ExecutorId(me), G) {
            return false;
        }
        for (at, input) in INPUTS.into_iter().enumerate() {
            let (len, words) = self.edges.input(at, INPUTS.len());
            assert_eq!((len, words[0]), (8, input), "ready, but not the inputs");
        }
        self.slot.write(head(Outcome::Value), &[u64::from(me)]);
        self.slot.finish(ExecutorId(me), G);
        true
    }

    /// Brings an input, and runs the task if it was the last.
    fn tell_and_run(&self, input: usize, me: u32) -> bool {
        self.tell(input) && self.run(me)
    }
}

/// Two bring an input each: one of them makes the task ready, and both inputs are seen.
#[test]
fn the_last_input_makes_it_ready() {
    explore("edges: two inputs", None, || {
        let task = Pending::new();
        let other = Arc::clone(&task);
        let other = thread::spawn(move || other.tell_and_run(0, 1));
        let mine = task.tell_and_run(1, 2);
        assert!(mine != other.join().expect("ends"), "one runs it");
        assert!(collect(&task.slot, G).is_some());
    });
}

/// Who brings an input dies at each point, while another brings the other. The host does
/// what it does after a death: tells again, and gives whatever is queued a hint.
#[test]
fn who_tells_dies() {
    explore_deaths("edges: who tells dies", None, |death, has_died| {
        const DEAD: u32 = 1;
        let task = Pending::new();
        let dying = Arc::clone(&task);
        let mortal = thread::spawn(move || run_mortal(death, || dying.tell_and_run(0, DEAD)));
        let other = Arc::clone(&task);
        let other = thread::spawn(move || other.tell_and_run(1, 2));
        let died = mortal.join().expect("ends").is_none();
        has_died.fetch_or(died, SeqCst);
        if died {
            // Whether it is queued by this or was before: below it has a hint.
            task.tell(0);
        }
        other.join().expect("ends");
        let word = task.slot.word();
        if TaskState::of(word) == Some(TaskState::Running) {
            assert!(died && word.owner == DEAD, "the living finish");
            return; // it ends by that
        }
        task.run(3);
        assert!(collect(&task.slot, G).is_some(), "lost");
    });
}

/// The host ends a pending task while its last input comes: it is run, or it is not.
#[test]
fn withdrawn_or_ready() {
    explore("edges: withdraw", None, || {
        let task = Pending::new();
        assert!(!task.tell(0));
        let other = Arc::clone(&task);
        let other = thread::spawn(move || other.tell_and_run(1, 1));
        let is_withdrawn = task.slot.withdraw(G);
        let has_run = other.join().expect("ends");
        assert!(is_withdrawn != has_run);
        assert_eq!(collect_if(&task.slot, has_run), has_run);
    });
}

fn collect_if(slot: &Slot, is_there: bool) -> bool {
    is_there && collect(slot, G).is_some()
}

/// The host lays edges while the task runs that they begin at. What its executor says that
/// it has told are the first so many of them, and none of the slot's last task.
#[test]
fn edges_are_laid_while_it_ends() {
    explore("edges: laid late", Some(3), || {
        let from = Arc::new(Pending::default());
        let edge = |slot| Edge {
            to: Hint {
                slot: SlotIndex(slot),
                generation: G,
            },
            input: 0,
            is_narrow: false,
        };
        // What the last task has left.
        (0..3).for_each(|at| from.edges.add(at, edge(90)));
        submit(&from.slot, G, ARGUMENT);
        let executor = Arc::clone(&from);
        let executor = thread::spawn(move || {
            assert!(executor.slot.claim(ExecutorId(1), G));
            let (is_followed, _) = executor.slot.wishes();
            executor.slot.write(head(Outcome::Value), &[1]);
            let mut told = Vec::new();
            if is_followed {
                executor.slot.begin_to_finish(ExecutorId(1), G);
                told.extend(executor.edges.dependents().map(|edge| edge.to.slot.0));
                executor.slot.set_edges(told.len());
            }
            executor.slot.finish(ExecutorId(1), G);
            told
        });
        from.edges.add(0, edge(10));
        from.slot.follow();
        from.edges.add(1, edge(11));
        let told = executor.join().expect("ends");
        assert_eq!(told, [10, 11][..told.len()]);
        let done = Word::new(TaskState::Done as u8, 1, G);
        assert_eq!(from.slot.word(), done);
        assert_eq!(from.slot.edges(), told.len());
    });
}

/// Who sleeps until a pending task ends, and was told in time that it is pending, is seen
/// by whoever runs it.
#[test]
fn who_awaits_a_pending_task_is_seen() {
    explore("edges: awaited", None, || {
        let task = Pending::new();
        assert!(!task.tell(0));
        let executor = Arc::clone(&task);
        let executor = thread::spawn(move || {
            assert!(executor.tell(1) && executor.slot.claim(ExecutorId(1), G));
            executor.slot.wishes().1
        });
        let is_pending = task.slot.awaits(G);
        let is_seen = executor.join().expect("ends");
        assert!(is_seen || !is_pending, "nobody would ring");
    });
}
