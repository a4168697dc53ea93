//! What is passed and taken at random, and by several threads at once.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What happens to one of some blocks, in one of some processes.
#[derive(Clone, Copy, Debug)]
enum Act {
    Clone(usize),
    Drop(usize),
    Pass(usize, bool),
    Hold(usize),
    Take(usize),
    End(usize),
    /// One process dies; a new one takes its place.
    Die,
}

fn act() -> impl Strategy<Value = Act> {
    let at = 0..1000usize;
    prop_oneof![
        2 => at.clone().prop_map(Act::Clone),
        6 => at.clone().prop_map(Act::Drop),
        6 => (at.clone(), any::<bool>()).prop_map(|(at, held)| Act::Pass(at, held)),
        3 => at.clone().prop_map(Act::Hold),
        4 => at.clone().prop_map(Act::Take),
        3 => at.prop_map(Act::End),
        1 => Just(Act::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A block is there as long as somebody holds it, or a message keeps it, and no longer.
    #[test]
    fn a_block_lives_as_long_as_it_is_held(
        acts in prop::collection::vec((0..4usize, act()), 1..120),
        far in any::<bool>(),
    ) {
        // With several words of holders, or one.
        let numbers = if far { [0, 1, 70, 129] } else { [0, 1, 2, 3] };
        let mut pools: Vec<Pool> = sides(8, numbers[3] as usize + 1, numbers.map(ProcessId)).into();
        // By process: what it holds, each with the block's mark.
        let mut held: Vec<Vec<(u8, Transfer)>> = (0..4).map(|_| Vec::new()).collect();
        let mut messages: Vec<(u8, Parcel)> = Vec::new();
        for mark in 0..6 {
            let shared = published(&pools[mark % 4], &[mark as u8; 64]);
            held[mark % 4].push((mark as u8, transfer(&shared)));
        }
        for (who, act) in acts {
            let (mine, pool) = (&mut held[who], &pools[who]);
            let one = |at: usize, of: usize| (of > 0).then(|| at % of);
            match act {
                Act::Clone(at) => if let Some(at) = one(at, mine.len()) {
                    let copy = (mine[at].0, mine[at].1.share());
                    mine.push(copy);
                }
                Act::Drop(at) => if let Some(at) = one(at, mine.len()) {
                    mine.swap_remove(at);
                }
                Act::Pass(at, keep) => if let Some(at) = one(at, mine.len()) {
                    let going = if keep { mine[at].1.share() } else { mine.swap_remove(at).1 };
                    let mark = going.bytes()[0];
                    messages.push((mark, going.pass(pool, no_copy).expect("room")));
                }
                Act::Hold(at) => if let Some(at) = one(at, messages.len()) {
                    let (mark, parcel) = messages[at];
                    if let Some(now) = pool.hold_passing(&parcel) {
                        mine.push((mark, now));
                    } else {
                        prop_assert_eq!(parcel.kind, ParcelKind::SharedMessage);
                    }
                }
                Act::Take(at) => if let Some(at) = one(at, messages.len()) {
                    let (mark, parcel) = messages.swap_remove(at);
                    mine.push((mark, pool.take_passing(&parcel).expect("there")));
                }
                Act::End(at) => if let Some(at) = one(at, messages.len()) {
                    prop_assert!(pool.end_passing(&messages.swap_remove(at).1));
                }
                Act::Die if who > 0 => {
                    std::mem::forget(std::mem::take(mine));
                    let named: Vec<_> = messages.iter().filter_map(|m| m.1.passage()).collect();
                    let dead = ProcessId(numbers[who]);
                    pools[0].recover(dead, |_| false, |passage| named.contains(&passage));
                    let (segment, plan) = (Arc::clone(&pools[0].0.segment), pools[0].0.plan.clone());
                    let fresh = Pool::attach(&segment, &plan, dead);
                    std::mem::forget(std::mem::replace(&mut pools[who], fresh));
                }
                Act::Die => {}
            }
            let mut alive: HashMap<u8, bool> = HashMap::new();
            for (mark, transfer) in held.iter().flatten() {
                prop_assert!(transfer.bytes().iter().all(|byte| byte == mark));
                alive.insert(*mark, true);
            }
            alive.extend(messages.iter().map(|(mark, _)| (*mark, true)));
            prop_assert_eq!(pools[0].in_use().iter().sum::<usize>(), alive.len());
            let passing = messages.iter().filter(|m| m.1.kind == ParcelKind::Passing).count();
            prop_assert_eq!(pools[0].0.passages_made().count(), passing);
            prop_assert!(messages.iter().all(|(_, parcel)| pools[0].is_passing(parcel)));
        }
        drop(held);
        for (_, parcel) in &messages {
            prop_assert!(pools[0].end_passing(parcel));
        }
        check_done(&pools[0]);
    }
}

/// Threads of three processes send each other two blocks, over and over, and let go of them: each
/// has its bytes as long as anybody has it, and is free afterwards.
#[test]
fn blocks_go_round_between_processes() {
    let pools = sides(SPANS, 130, [HOST, WORKER, ProcessId(100)]);
    let ends: Vec<_> = (0..3)
        .map(|_| std::sync::mpsc::channel::<(u8, Parcel)>())
        .collect();
    let senders: Vec<_> = ends.iter().map(|(sender, _)| sender.clone()).collect();
    for mark in 1..=2 {
        let shared = published(&pools[0], &[mark; 300]);
        for round in 0..9 {
            let parcel = transfer(&shared).pass(&pools[0], no_copy).expect("room");
            senders[round % 3].send((mark, parcel)).expect("open");
        }
    }
    let left: Vec<Parcel> = std::thread::scope(|scope| {
        let ends = ends.into_iter().zip(&pools).enumerate();
        let threads: Vec<_> = ends
            .map(|(me, ((_, receiver), pool))| {
                let senders = senders.clone();
                scope.spawn(move || {
                    let mut latest = None;
                    for round in 0..3000usize {
                        let Ok((mark, parcel)) = receiver.try_recv() else {
                            std::thread::yield_now();
                            continue;
                        };
                        let taken = pool.take_passing(&parcel).expect("there");
                        assert!(taken.bytes().iter().all(|byte| *byte == mark));
                        let next = taken.share().pass(pool, no_copy).expect("room");
                        senders[(me + round) % 3].send((mark, next)).expect("open");
                        latest = Some(taken).filter(|_| round % 2 == 0);
                    }
                    drop(latest);
                    receiver
                })
            })
            .collect();
        let receivers: Vec<_> = threads
            .into_iter()
            .map(|t| t.join().expect("ends"))
            .collect();
        let all = receivers.iter().flat_map(|receiver| receiver.try_iter());
        all.map(|(_, parcel)| parcel).collect()
    });
    assert_eq!(left.len(), 18);
    assert!(left.iter().all(|parcel| pools[1].end_passing(parcel)));
    check_done(&pools[0]);
}
