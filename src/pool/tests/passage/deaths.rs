//! Who passes a buffer dies, or who takes it, after each step.

use super::*;

/// Recovers twice, as after two deaths in a row.
fn recover(host: &Pool, named: &[&Parcel]) {
    let named: Vec<_> = named.iter().filter_map(|p| p.passage()).collect();
    for _ in 0..2 {
        host.recover(WORKER, |_| false, |passage| named.contains(&passage));
    }
}

/// The maker dies after each step; a message names the passage only if all are done. Others hold
/// the block, or nobody else.
#[test]
fn a_maker_dies_after_each_step() {
    for (steps, named) in [(0, false), (1, false), (2, false), (2, true)] {
        for others in [false, true] {
            let [host, dead, living] = three();
            let shared = published(&dead, b"block");
            let index = shared.hold.block().index;
            let generation = shared.hold.block().generation;
            let parcel = match steps {
                0 => None,
                1 => {
                    // The entry is there, and the block does not say so yet.
                    let made = passed(&dead, &shared);
                    dead.0.last_holders(index).store(1 << WORKER.0, Relaxed);
                    Some(made)
                }
                _ => Some(passed(&dead, &shared)),
            };
            let held = others.then(|| living.accept(index, generation, None).expect("alive"));
            std::mem::forget(shared);
            let message: Vec<_> = parcel.iter().filter(|_| named).collect();
            recover(&host, &message);
            assert_eq!(host.in_use(), [0, usize::from(others || named), 0]);
            assert_eq!(living.0.passages_made().count(), usize::from(named));
            if let Some(parcel) = parcel {
                assert_eq!(is_in_transit(&host, &parcel), named);
                let said = living.0.passages_made().next();
                assert_eq!(
                    said.map(|(_, said)| said.maker),
                    named.then_some(Some(HOST))
                );
                let taken = living.take_passing(&parcel);
                assert_eq!(taken.is_some(), named);
            }
            drop(held);
            check_done(&host);
        }
    }
}

/// Who takes a message dies after each step. Its cell is being read by the dead: the channel
/// ends it, or gives it to another.
#[test]
fn a_taker_dies_after_each_step() {
    for step in 0..=4 {
        for others in [false, true] {
            let [host, dead, living] = three();
            let shared = published(&host, b"block");
            let parcel = passed(&host, &shared);
            let kept = others.then(|| passed(&host, &shared));
            drop(shared);
            let (index, entry) = (parcel.index, entry(&parcel));
            if step >= 1 {
                std::mem::forget(dead.hold_passing(&parcel).expect("there"));
            }
            if step >= 2 {
                // The entry is ended; the block still says that it is in transit.
                let said = Said {
                    maker: None,
                    tells: false,
                    sequence: entry.sequence + 1,
                    block: BlockIndex(0),
                };
                dead.0.passages[entry.at as usize].store(said.pack(), Relaxed);
            }
            if step >= 3 {
                dead.0.settle(index);
            }
            if step >= 4 {
                // It has dropped it, and was about to look whether anybody holds it.
                assert!(dead.0.forget_holder(index, WORKER));
            }
            let is_there = living.is_passing(&parcel);
            assert_eq!(is_there, step < 2);
            assert_eq!(living.end_passing(&parcel), is_there);
            recover(&host, &[]);
            assert_eq!(host.in_use(), [0, usize::from(others), 0], "{step}");
            if let Some(kept) = kept {
                assert_eq!(living.take_passing(&kept).expect("there").bytes(), b"block");
            }
            check_done(&host);
        }
    }
}

/// The one that has died over a message had it in its hands; whoever is given it next takes it.
#[test]
fn a_message_of_a_dead_taker_is_handed_on() {
    let [host, dead, living] = three();
    let shared = published(&host, b"block");
    let parcel = passed(&host, &shared);
    drop(shared);
    std::mem::forget(dead.hold_passing(&parcel).expect("there"));
    recover(&host, &[]);
    assert_eq!(host.in_use(), [0, 1, 0]);
    assert_eq!(
        living.take_passing(&parcel).expect("there").bytes(),
        b"block"
    );
    check_done(&host);
}

/// `Carried` by a message of the dead; and taken by the dead.
#[test]
fn what_is_carried_is_recovered() {
    for (shared, named) in [(false, false), (false, true), (true, false), (true, true)] {
        for len in [100, RUN] {
            let [host, dead, living] = three();
            let loan = dead.alloc(len).expect("room");
            let going = match shared {
                true => transfer(&loan.publish()),
                false => Transfer::of_loan(loan),
            };
            let parcel = going.pass(&dead, no_copy).expect("alone");
            // Of one that lives nothing is asked.
            let own = Transfer::of_loan(living.alloc(len).expect("room"));
            let own = own.pass(&living, no_copy).expect("alone");
            let message = [&parcel];
            recover(&host, if named { &message } else { &[] });
            assert_eq!(host.in_use(), [0, 0, 1 + usize::from(named)]);
            assert_eq!(living.is_passing(&parcel), named);
            // It is the host's now, which does not die.
            host.recover(WORKER, |_| false, |_| false);
            assert_eq!(living.take_passing(&parcel).is_some(), named);
            // Who takes it dies.
            std::mem::forget(dead.take_passing(&own).expect("there"));
            recover(&host, &[&own]);
            check_done(&host);
        }
    }
}

/// The last holder was freeing the block when it died, and *in transit* was left over.
#[test]
fn what_two_deaths_left_is_freed() {
    let [host, dead, _] = three();
    let shared = published(&dead, b"block");
    let index = shared.hold.block().index;
    dead.0.last_holders(index).fetch_or(IN_TRANSIT, Relaxed);
    assert!(dead.0.forget_holder(index, WORKER));
    let word = dead.0.load(index);
    let ours = Word::new(BlockState::Loaned as u8, WORKER.0, word.generation);
    assert!(dead.0.change(index, word, ours));
    std::mem::forget(shared);
    recover(&host, &[]);
    check_done(&host);
}

/// What the living are in the middle of stays.
#[test]
fn recovery_leaves_passages_of_the_living_alone() {
    let [host, _, living] = three();
    let shared = published(&living, b"block");
    let made = passed(&living, &shared);
    recover(&host, &[]);
    assert!(host.is_passing(&made) && is_in_transit(&host, &made));
    // The entry is made, and the block does not say so yet.
    let bits = living.0.last_holders(made.index);
    bits.fetch_and(!IN_TRANSIT, Relaxed);
    recover(&host, &[]);
    assert!(host.is_passing(&made));
    bits.fetch_add(IN_TRANSIT + ONE_VERSION, Relaxed);
    drop(shared);
    drop(host.take_passing(&made).expect("there"));
    check_done(&host);
}
