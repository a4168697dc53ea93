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
        arguments,
        incoming: Vec::new(),
        result: &mut result,
        outgoing: Vec::new(),
    };
    let outcome = entry(&mut call);
    (outcome, result.bytes().to_vec())
}

fn entry_for<F: Fn(A) -> R + 'static, A: serde::de::DeserializeOwned, R: serde::Serialize>(
    _: F,
) -> Entry {
    entry_of::<F, A, R>()
}

#[test]
fn functions_are_found_by_their_place() {
    let functions = Functions::of_this_program().expect("own program");
    let double = entry_for(|n: u32| n * 2);
    let shout = entry_for(|s: String| s.to_uppercase());
    for (entry, argument, expected) in [
        (
            double,
            postcard::to_stdvec(&21u32),
            postcard::to_stdvec(&42u32),
        ),
        (shout, postcard::to_stdvec("hi"), postcard::to_stdvec("HI")),
    ] {
        let id = functions.id(entry).expect("in this program");
        let found = functions.entry(id).expect("in the code");
        let (outcome, result) = call(found, &argument.expect("encodes"));
        assert_eq!(outcome, Outcome::Value);
        assert_eq!(result, expected.expect("encodes"));
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
