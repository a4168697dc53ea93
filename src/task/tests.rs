use super::func::{Entry, Run};
use super::*;
use crate::prim::{ExecutorId, Generation};

fn slot() -> Slot {
    // SAFETY: all zero bytes are a valid `Slot` (it lies in fresh shared memory so).
    unsafe { std::mem::zeroed() }
}

const G: Generation = Generation::new(7);
const E: ExecutorId = ExecutorId(3);

#[test]
fn a_task_goes_round_once() {
    let slot = slot();
    let head = Head {
        function: 9,
        outcome: Outcome::None,
        parcels: 0,
        is_labelled: false,
        is_timed: false,
        place: Place::Inline(8),
    };
    slot.write(head, &[42]);
    slot.queue(G);
    assert!(!slot.claim(E, G.next()), "a stale hint takes nothing");
    assert!(slot.claim(E, G));
    assert!(!slot.claim(ExecutorId(4), G), "only one wins");
    assert!(!slot.cancel(G), "too late");
    assert_eq!(slot.read().map(|(h, w)| (h, w[0])), Some((head, 42)));
    slot.finish(E, G);
    let word = slot.word();
    assert_eq!(
        (TaskState::of(word), word.owner),
        (Some(TaskState::Done), 3)
    );
    slot.release(G);
    assert_eq!(slot.word().generation, G.next());
    assert!(!slot.claim(E, G));
}

#[test]
fn cancelled_tasks_are_not_claimed() {
    let slot = slot();
    slot.queue(G);
    assert!(slot.cancel(G));
    assert!(!slot.claim(E, G));
}

fn call(entry: Run, arguments: &[u8]) -> (Outcome, Vec<u8>) {
    let mut result = Payload::new();
    let mut call = Call {
        is_marked: false,
        arguments,
        incoming: &mut Vec::new(),
        result: &mut result,
        pool: None,
        outgoing: &mut Vec::new(),
    };
    let outcome = entry(&mut call);
    (outcome, result.bytes().to_vec())
}

fn entry_for<
    F: Fn(A) -> R + 'static,
    A: serde::de::DeserializeOwned,
    R: serde::Serialize + serde::de::DeserializeOwned,
>(
    _: F,
) -> Entry {
    entry_of::<F, A, R>()
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    let mut payload = Payload::new();
    payload.encode(value).expect("encodes");
    payload.bytes().to_vec()
}

#[test]
fn functions_are_found_by_their_place() {
    let functions = Functions::of_this_program().expect("own program");
    let double = entry_for(|n: u32| n * 2);
    let shout = entry_for(|s: String| s.to_uppercase());
    for (entry, argument, expected) in [
        (double, encoded(&21u32), encoded(&42u32)),
        (shout, encoded(&"hi"), encoded(&"HI")),
    ] {
        let id = functions.id(entry).expect("in this program");
        let found = functions.entry(id).expect("in the code");
        let (outcome, result) = call(found, &argument);
        assert_eq!(outcome, Outcome::Value);
        assert_eq!(result, expected);
    }
    assert!(functions.entry(FunctionId(u32::MAX)).is_none());
}

/// Hunts a spoilt name that leads into the middle of some code: of all names around
/// a real one, only those that are gates themselves lead anywhere.
#[test]
fn spoilt_names_lead_nowhere() {
    let functions = Functions::of_this_program().expect("own program");
    let double = entry_for(|n: u32| n * 2);
    let FunctionId(id) = functions.id(double).expect("in this program");
    let near = id.saturating_sub(100_000)..id + 100_000;
    let gates = near.filter(|id| functions.entry(FunctionId(*id)).is_some());
    let gates: Vec<u32> = gates.collect();
    assert!(gates.contains(&id));
    assert!(gates.len() < 1000, "{} gates", gates.len());
    assert!(functions.init(FunctionId(id)).is_none(), "another kind");
}

#[test]
fn outcomes_tell_what_went_wrong() {
    let fails = entry_for(|n: u8| if n > 0 { Err(n) } else { Ok(()) });
    let functions = Functions::of_this_program().expect("own program");
    let run = |entry| {
        let id = functions.id(entry).expect("in this program");
        functions.entry(id).expect("a gate")
    };
    let fails = run(fails);
    assert_eq!(call(fails, &[1]), (Outcome::ReturnedErr, vec![1, 1]));
    assert_eq!(call(fails, &[0]).0, Outcome::Value);
    let (outcome, message) = call(run(entry_for(|s: String| s)), &[200]);
    assert_eq!(outcome, Outcome::BadArguments);
    assert!(!message.is_empty());
}

#[test]
fn payload_spills_at_its_bound() {
    let mut payload = Payload::new();
    payload.extend(&[1; 47]);
    payload.extend(&[2]);
    assert!(payload.is_inline());
    payload.extend(&[3, 4]);
    assert!(!payload.is_inline());
    let mut expected = vec![1; 47];
    expected.extend([2, 3, 4]);
    assert_eq!(payload.bytes(), expected);
    payload.clear();
    payload.extend(&[5]);
    assert_eq!(payload.bytes(), [5]);
}

const HEAD: Head = Head {
    function: 9,
    outcome: Outcome::None,
    parcels: 0,
    is_labelled: false,
    is_timed: false,
    place: Place::Inline(48),
};

/// What the host looks at after a death, for each step of an executor: only a word
/// that says Running by the dead is its to change, and only a Done one is collected.
#[test]
fn each_step_of_an_executor_leaves_a_word_that_tells_all() {
    let result = Head {
        outcome: Outcome::Value,
        place: Place::Inline(8),
        ..HEAD
    };
    let steps: [fn(&Slot); 4] = [
        |slot| assert!(slot.claim(E, G)),
        // The first words of the result are over the arguments, the head is not.
        |slot| slot.write(HEAD, &[1, 2]),
        |slot| {
            slot.write(
                Head {
                    outcome: Outcome::Value,
                    place: Place::Inline(8),
                    ..HEAD
                },
                &[3],
            )
        },
        |slot| slot.finish(E, G),
    ];
    let arguments = [10, 11, 12, 13, 14, 15];
    for done in 0..=steps.len() {
        let slot = slot();
        slot.write(HEAD, &arguments);
        slot.queue(G);
        steps[..done].iter().for_each(|step| step(&slot));
        let word = slot.word();
        let state = TaskState::of(word).expect("a state");
        let [queued, running, ended] = [TaskState::Queued, TaskState::Running, TaskState::Done];
        let expected = [queued, running, running, running, ended][done];
        assert_eq!(state, expected, "{done} steps");
        if state == TaskState::Done {
            assert_eq!((word.owner, slot.read().map(|r| r.0)), (E.0, Some(result)));
            slot.release(G);
            continue;
        }
        if state == TaskState::Running {
            assert_eq!(word.owner, E.0);
            slot.hold(G);
            assert_eq!(TaskState::of(slot.word()), Some(TaskState::Waiting));
            assert!(!slot.claim(E, G) && !slot.cancel(G), "the host's alone");
            slot.write(HEAD, &arguments);
            slot.queue(G);
        }
        // The second attempt finds the arguments whole, whatever the first wrote.
        assert!(slot.claim(ExecutorId(4), G));
        assert_eq!(slot.read(), Some((HEAD, arguments)), "{done} steps");
        slot.write(result, &[77]);
        slot.finish(ExecutorId(4), G);
        assert_eq!(slot.word().owner, 4);
        assert_eq!(
            slot.read().map(|(head, words)| (head, words[0])),
            Some((result, 77))
        );
        slot.release(G);
        assert!(!slot.claim(E, G), "ended once");
    }
}

/// A result in place of arguments that lay in a block: of the three words that said
/// where, some are overwritten while the head still says block. Nobody reads them as
/// a block: the word says Running, and another attempt writes them anew.
#[test]
fn a_result_half_over_the_place_of_a_block() {
    use crate::prim::BlockIndex;
    let place = Place::Block {
        index: BlockIndex(5),
        generation: G,
        len: 4096,
    };
    let head = Head { place, ..HEAD };
    let inline = Head {
        outcome: Outcome::Value,
        ..HEAD
    };
    for torn in 0..=6 {
        let slot = slot();
        slot.write(head, &[]);
        slot.queue(G);
        assert!(slot.claim(E, G));
        slot.write_torn(&[u64::MAX; 6][..torn]);
        assert_ne!(TaskState::of(slot.word()), Some(TaskState::Done));
        // A wild host that looked all the same would see no block, or the wrong one,
        // which the pool refuses by its generation.
        if let Some((Head { place, .. }, _)) = slot.read() {
            assert!(torn == 0 || place != head.place);
        }
        slot.hold(G);
        slot.write(head, &[0; 6]);
        slot.queue(G);
        assert!(slot.claim(ExecutorId(4), G));
        assert_eq!(slot.read().map(|(head, _)| head), Some(head), "{torn} torn");
        slot.write(inline, &[1, 2, 3, 4, 5, 6]);
        slot.finish(ExecutorId(4), G);
        assert_eq!(slot.read(), Some((inline, [1, 2, 3, 4, 5, 6])));
    }
}

/// Trap 11: a generation of 32 bits comes round in minutes on one hot slot, and then
/// an old hint would take a new task. These are 40 bits wide, in word and hint alike.
#[test]
fn trap_11_a_hint_from_2_to_the_32_tasks_ago_takes_nothing() {
    use crate::prim::{Hint, SlotIndex};
    const { assert!(Generation::BITS >= 40) };
    let slot = slot();
    let now = Generation::new(G.raw() + (1 << 32));
    slot.queue(now);
    for ago in [1 << 31, 1 << 32] {
        let old = Hint {
            slot: SlotIndex(0),
            generation: Generation::new(now.raw() - ago),
        };
        let old = Hint::unpack(old.pack());
        assert!(!slot.claim(E, old.generation));
        assert!(!slot.cancel(old.generation));
    }
    assert!(slot.claim(E, now));
}

/// Pieces of every length at every place are what a plain vector makes of them; so is what
/// is left when the last of them are taken away.
#[test]
fn pieces_of_a_payload_stand_one_behind_the_other() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % bound
    };
    for round in 0..5_000 {
        let (mut payload, mut expected) = (Payload::new(), Vec::<u8>::new());
        for _ in 0..below(20) {
            // Mostly short, as an encoder's are.
            let len = if below(8) == 0 { below(60) } else { below(11) };
            let piece: Vec<u8> = (0..len).map(|_| below(256) as u8).collect();
            payload.extend(&piece);
            expected.extend(&piece);
            assert_eq!(payload.bytes(), expected, "round {round}");
            if below(4) == 0 {
                let (words, len) = ([below(1 << 60) as u64; 3], below(25));
                let fits = expected.len() + len <= INLINE_LEN;
                assert_eq!(payload.extend_by_words(&words, len), fits, "round {round}");
                if fits {
                    expected.extend(&bytemuck::cast_slice(&words)[..len]);
                }
                assert_eq!(payload.bytes(), expected, "round {round}, {len} of words");
            }
            if below(4) == 0 {
                let len = below(expected.len() + 2);
                payload.truncate(len);
                expected.truncate(len);
                assert_eq!(payload.bytes(), expected, "round {round}, cut to {len}");
            }
        }
        if payload.is_inline() {
            let words = payload.words();
            assert_eq!(words.len(), expected.len().div_ceil(8));
            let bytes: &[u8] = bytemuck::cast_slice(words);
            assert_eq!(bytes[..expected.len()], expected);
        }
    }
}
