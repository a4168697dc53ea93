//! Spawned tasks that are finished although their owner has died.

use crate::prim::SlotIndex;
use crate::task::Orphans;

use crate::scheduler::Reach;

use super::spawned::{spawned, take_hints, word_of};
use super::*;

const DEAD: u32 = 0;
const OTHER: u32 = 1;

fn finishing(workers: u32) -> Scheduler {
    let mut scheduler = scheduler(workers, SLOTS);
    scheduler.orphans = Orphans::Finish;
    scheduler
}

fn cell(scheduler: &Scheduler, hint: Hint) -> &crate::task::Slot {
    &scheduler.fold.slots[hint.slot.at()]
}

fn begin(scheduler: &Scheduler, executor: u32, hint: Hint) -> bool {
    cell(scheduler, hint).claim(ExecutorId(executor), hint.generation)
}

fn end(scheduler: &Scheduler, executor: u32, hint: Hint) {
    let slot = cell(scheduler, hint);
    let (head, _) = slot.read().expect("makes sense");
    let outcome = Ran::Value;
    let (parcels, place) = (0, Place::Inline(1));
    let head = Head {
        outcome,
        parcels,
        place,
        ..head
    };
    slot.write(head, &[1]);
    slot.finish(ExecutorId(executor), hint.generation);
}

/// Nothing is in use but what `expected` names: loaned, shared.
fn blocks(scheduler: &Scheduler, expected: (u64, u64)) {
    let audit = scheduler.audit();
    assert_eq!(audit.orphans, [""; 0]);
    assert_eq!((audit.blocks_loaned, audit.blocks_shared), expected);
}

/// Each state that a spawned task may be in, its owner dead: what was queued is issued
/// again, after each further death too; what was begun is not.
#[test]
fn what_was_queued_waits_again_and_what_was_begun_does_not() {
    let scheduler = finishing(3);
    let queued = spawned(&scheduler, DEAD, 0);
    let [by_owner, by_other, done] = [1, 2, 3].map(|at| spawned(&scheduler, DEAD, at));
    assert!(begin(&scheduler, DEAD, by_owner));
    assert!(begin(&scheduler, OTHER, by_other));
    assert!(begin(&scheduler, OTHER, done));
    end(&scheduler, OTHER, done);
    // The last one is the successor of the first.
    for (death, dies) in [DEAD, DEAD, 2, DEAD].into_iter().enumerate() {
        scheduler.rescue(dies, PID);
        check_not_suspected(&scheduler);
        blocks(&scheduler, (0, 0));
        let states = [queued, by_owner, by_other, done].map(|hint| word_of(&scheduler, hint).0);
        let expected = [
            TaskState::Queued,
            TaskState::Free,
            TaskState::Running,
            TaskState::Done,
        ];
        assert_eq!(states, expected, "death {death}");
        // Whoever had taken the hint has died with it.
        assert_eq!(take_hints(&scheduler), [queued.pack()], "death {death}");
        scheduler.expect(dies);
    }
    assert!(begin(&scheduler, OTHER, queued));
    assert!(!begin(&scheduler, 2, queued), "twice");
    scheduler.rescue(DEAD, PID);
    assert_eq!(take_hints(&scheduler), [0; 0]);
    end(&scheduler, OTHER, queued);
    end(&scheduler, OTHER, by_other);
    scheduler.counters();
    assert!(scheduler.lock().losses.adopted().is_empty());
}

/// The adopter dies of it, or beside it: the task is not begun again, and its slot ends
/// as one of a living owner's does.
#[test]
fn who_runs_an_orphan_may_die_too() {
    let scheduler = finishing(2);
    let hint = spawned(&scheduler, DEAD, 0);
    scheduler.rescue(DEAD, PID);
    scheduler.expect(DEAD);
    assert!(begin(&scheduler, OTHER, hint));
    scheduler.rescue(OTHER, PID + 1);
    assert_eq!(word_of(&scheduler, hint).0, TaskState::Waiting);
    take_hints(&scheduler);
    scheduler.told(PID + 1, KILLED);
    assert_eq!(word_of(&scheduler, hint).0, TaskState::Done);
    let (head, _) = cell(&scheduler, hint).read().expect("makes sense");
    assert_eq!(head.outcome, Ran::Lost);
    scheduler.expect(OTHER);
    scheduler.rescue(OTHER, PID + 2);
    assert_eq!(take_hints(&scheduler), [0; 0]);
    blocks(&scheduler, (0, 0));

    // The adopter is the owner's successor: its death ends it, as that of any owner.
    let hint = spawned(&scheduler, DEAD, 1);
    scheduler.rescue(DEAD, PID + 3);
    scheduler.expect(DEAD);
    assert!(begin(&scheduler, DEAD, hint));
    scheduler.rescue(DEAD, PID + 4);
    assert_eq!(word_of(&scheduler, hint).0, TaskState::Free);
    scheduler.counters();
    assert!(scheduler.lock().losses.adopted().is_empty());
}

/// What the dead has given to a task: a long argument with a loan and a shared buffer.
struct Given {
    hint: Hint,
    /// The dead one's claims, which nobody drops.
    claims: Vec<Transfer>,
    buffers: Vec<Parcel>,
}

fn give(scheduler: &Scheduler, pool: &Pool, at: u32, is_long: bool) -> Given {
    let mut payload = Payload::new();
    let value = (
        pool.alloc(100).expect("room"),
        pool.alloc(50).expect("room"),
    );
    let (encoded, mut claims) = match is_long {
        true => {
            let value = (value.0, value.1.publish(), "x".repeat(77));
            encoding(|| payload.encode(&value))
        }
        // One parcel fits into the slot.
        false => encoding(|| payload.encode(&value.1.publish())),
    };
    encoded.expect("encodes");
    let buffers: Vec<Parcel> = claims
        .iter()
        .map(|claim| claim.argument(pool).expect("of this pool"))
        .collect();
    payload.push_parcels(&buffers);
    let hint = spawned(scheduler, DEAD, at);
    let place = if payload.is_inline() {
        Place::Inline(payload.len())
    } else {
        let mut loan = pool.alloc(payload.len()).expect("room");
        loan.copy_from_slice(payload.bytes());
        let block = Transfer::of_loan(loan);
        let parcel = block.argument(pool).expect("of this pool");
        claims.push(block);
        Place::Block {
            index: parcel.index,
            generation: parcel.generation,
            len: payload.len(),
        }
    };
    assert_eq!(is_long, !payload.is_inline());
    let (head, _) = cell(scheduler, hint).read().expect("makes sense");
    let parcels = buffers.len() as u8;
    let head = Head {
        parcels,
        place,
        ..head
    };
    cell(scheduler, hint).write(head, payload.words());
    Given {
        hint,
        claims,
        buffers,
    }
}

/// A thief has done so much of taking a task's arguments.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Taken {
    NotClaimed,
    Claimed,
    Buffers,
    All,
}

/// The owner dies before each step of a thief that takes the arguments: it finds all of
/// them, and when the task has ended nothing is left.
#[test]
fn arguments_outlive_the_giver_wherever_the_taker_is() {
    for is_long in [true, false] {
        for reached in [
            Taken::NotClaimed,
            Taken::Claimed,
            Taken::Buffers,
            Taken::All,
        ] {
            let scheduler = finishing(2);
            let dead_pool = scheduler.fold.pool(ProcessId::of_worker(DEAD));
            let thief = scheduler.fold.pool(ProcessId::of_worker(OTHER));
            let given = give(&scheduler, &dead_pool, 0, is_long);
            let (head, words) = cell(&scheduler, given.hint).read().expect("makes sense");
            let takes = |parcel: &Parcel| {
                [ProcessId::of_worker(DEAD), ProcessId::HOST]
                    .into_iter()
                    .find_map(|giver| thief.accept_argument(parcel, giver))
            };
            let takes_block = || {
                let Place::Block {
                    index,
                    generation,
                    len,
                } = head.place
                else {
                    return None;
                };
                let block = [ProcessId::of_worker(DEAD), ProcessId::HOST]
                    .into_iter()
                    .find_map(|giver| thief.take_arguments(index, generation, len, giver));
                Some(block.expect("taken"))
            };
            let mut taken = Vec::new();
            let mut goes_on = |step: Taken| match step {
                Taken::NotClaimed => {}
                Taken::Claimed => assert!(begin(&scheduler, OTHER, given.hint)),
                Taken::Buffers => {
                    let parcels = crate::task::parcels_of(&head, words, &thief);
                    assert_eq!(parcels.as_deref(), Some(&given.buffers[..]));
                    taken.extend(given.buffers.iter().map(|p| takes(p).expect("taken")));
                }
                Taken::All => taken.extend(takes_block()),
            };
            let steps = [
                Taken::NotClaimed,
                Taken::Claimed,
                Taken::Buffers,
                Taken::All,
            ];
            steps
                .into_iter()
                .filter(|s| *s <= reached)
                .for_each(&mut goes_on);
            for _ in 0..2 {
                scheduler.rescue(DEAD, PID);
                scheduler.expect(DEAD);
                let loaned = if is_long { 2 } else { 0 };
                blocks(&scheduler, (loaned, 1));
            }
            steps
                .into_iter()
                .filter(|s| *s > reached)
                .for_each(&mut goes_on);
            assert_eq!(taken.len(), if is_long { 3 } else { 1 }, "{reached:?}");
            if let Some(block) = taken.get(2) {
                assert!(block.bytes().ends_with(&given_tail(&given)));
            }
            drop(taken);
            end(&scheduler, OTHER, given.hint);
            blocks(&scheduler, (0, 0));
            // What died is not dropped: its successor has its number.
            std::mem::forget(given.claims);
            std::mem::forget(dead_pool);
        }
    }
}

/// How the block of arguments ends.
fn given_tail(given: &Given) -> Vec<u8> {
    let words = given.buffers.iter().flat_map(|parcel| parcel.pack());
    words.flat_map(u64::to_ne_bytes).collect()
}

/// A slot that is just being overwritten names what it never had: what was inherited by
/// mistake is given back when the task has ended.
#[test]
fn what_a_half_written_result_names_is_given_back() {
    let scheduler = finishing(2);
    let dead_pool = scheduler.fold.pool(ProcessId::of_worker(DEAD));
    let given = give(&scheduler, &dead_pool, 0, false);
    let other = dead_pool.alloc(10).expect("room");
    let claim = Transfer::of_loan(other);
    let foreign = claim.argument(&dead_pool).expect("of this pool");
    assert!(begin(&scheduler, OTHER, given.hint));
    let (head, mut words) = cell(&scheduler, given.hint).read().expect("makes sense");
    // The parcel's words stand behind the number of the buffer, four bytes.
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let parcel: Vec<u8> = foreign
        .pack()
        .into_iter()
        .flat_map(u64::to_ne_bytes)
        .collect();
    bytes[4..28].copy_from_slice(&parcel);
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().expect("eight"));
    }
    cell(&scheduler, given.hint).write(head, &words);
    scheduler.rescue(DEAD, PID);
    assert_eq!(scheduler.lock().losses.adopted()[0].hint, given.hint);
    // The host's for now; the shared one, which nobody names, is gone.
    blocks(&scheduler, (1, 0));
    end(&scheduler, OTHER, given.hint);
    blocks(&scheduler, (0, 0));
    std::mem::forget((claim, given.claims, dead_pool));
}

/// Children of a cancelled parent stay cancelled: it was cancelled before the death, or
/// is while it runs again, or waits to.
#[test]
fn orphans_of_a_cancelled_task_do_not_begin() {
    for is_before in [true, false] {
        let scheduler = finishing(2);
        let mut job = job(&scheduler, square, 3);
        job.settings_mut().attempts = 3;
        let ticket = submit(&scheduler, job);
        let root = hint_of(&scheduler, &ticket);
        assert!(begin(&scheduler, DEAD, root));
        let children = [0, 1].map(|at| spawned(&scheduler, DEAD, at));
        let [of_it, of_another] = children;
        let note = |hint: Hint| &scheduler.fold.notes[hint.slot.at()];
        note(of_it).set_kin(root.pack(), root.pack());
        let slot = SlotIndex(root.slot.0 + 1);
        note(of_another).set_kin(Hint { slot, ..root }.pack(), root.pack());
        if is_before {
            assert!(scheduler.cancel(&ticket, Reach::Running));
        }
        scheduler.rescue(DEAD, PID);
        let expected = if is_before {
            TaskState::Free
        } else {
            TaskState::Queued
        };
        assert_eq!(word_of(&scheduler, of_it).0, expected);
        assert_eq!(scheduler.cancel(&ticket, Reach::Running), !is_before);
        assert_eq!(word_of(&scheduler, of_it).0, TaskState::Free);
        assert_eq!(word_of(&scheduler, of_another).0, TaskState::Queued);
        assert_eq!(scheduler.poll(&ticket).map(|o| o.is_err()), Some(true));
        blocks(&scheduler, (0, 0));
    }
}

/// When everything ends, for there will be no workers or the fold is given up, nothing
/// is held for orphans, and none begins.
#[test]
fn orphans_end_with_everything() {
    let scheduler = finishing(2);
    let dead_pool = scheduler.fold.pool(ProcessId::of_worker(DEAD));
    let given = give(&scheduler, &dead_pool, 0, true);
    scheduler.rescue(DEAD, PID);
    scheduler.give_up("none");
    assert!(!begin(&scheduler, OTHER, given.hint));
    blocks(&scheduler, (0, 0));
    std::mem::forget((given.claims, dead_pool));
}
