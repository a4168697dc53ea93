//! Messages that keep their places, and lanes that are bounded by weight.

use super::*;
use crate::lane::{BACK, HEAD, TAIL};

fn acked(capacity: usize, behind: usize, processes: u32) -> Vec<Lane> {
    let shape = Shape {
        behind,
        ..Shape::of(capacity, AREA)
    };
    of_shape(shape, processes)
}

fn send_within(lane: &Lane, weight: u64) -> Result<(), NotNow> {
    let mine = lane.claim_within(weight)?;
    lane.write(&mine, 0, [weight]);
    lane.set_header(&mine, 0);
    let _ = lane.fill(mine);
    Ok(())
}

/// What was taken keeps its place, and takes no room as long as there are cells behind.
#[test]
fn what_is_not_acknowledged_keeps_its_place() {
    for (capacity, behind) in [(1, 1), (1, 4), (3, 3), (2, 5)] {
        let lane = &acked(capacity, behind, 1)[0];
        for round in 0..4 {
            let mut kept = Vec::new();
            for value in 0..(capacity + behind) as u64 {
                send_within(lane, value).expect("room");
                kept.push(lane.take().expect("a message").0);
                assert_eq!(lane.read(kept.last().expect("one"), 0), value);
            }
            assert_eq!(send_within(lane, 9), Err(NotNow::Kept), "round {round}");
            assert_eq!(lane.unacknowledged(), (capacity + behind, 0));
            // The oldest first: else its place stays in the way.
            let last = kept.pop().expect("some");
            lane.acknowledge(&last);
            lane.empty(last);
            assert_eq!(send_within(lane, 9), Err(NotNow::Kept));
            for mine in kept {
                lane.acknowledge(&mine);
                lane.empty(mine);
            }
            for value in 0..capacity as u64 {
                send_within(lane, value).expect("room");
            }
            assert_eq!(
                send_within(lane, 9),
                Err(NotNow::Wait),
                "as many as may wait"
            );
            assert_eq!((lane.len(), lane.capacity()), (capacity, capacity));
            for value in 0..capacity as u64 {
                assert_eq!(receive(lane), Ok(value));
            }
        }
    }
}

#[test]
fn what_is_given_back_comes_first_and_in_its_order() {
    let lane = &acked(4, 4, 1)[0];
    (0..4).for_each(|value| send_within(lane, value).expect("room"));
    let taken: Vec<_> = (0..3).map(|_| lane.take().expect("a message").0).collect();
    assert!(lane.take_returned().is_none());
    for mine in taken.into_iter().rev() {
        assert_eq!(lane.returns(&mine), 0);
        lane.give_back(mine);
    }
    assert_eq!(lane.unacknowledged(), (0, 3));
    for value in 0..3 {
        let mine = lane.take_returned().expect("given back");
        assert_eq!((lane.read(&mine, 0), lane.returns(&mine)), (value, 1));
        lane.acknowledge(&mine);
        lane.empty(mine);
    }
    assert!(lane.take_returned().is_none());
    assert_eq!(receive(lane), Ok(3));
    // So often that it is not counted any more.
    send_within(lane, 7).expect("room");
    let mut mine = lane.take().expect("a message").0;
    for _ in 0..40_000 {
        lane.give_back(mine);
        mine = lane.take_returned().expect("given back");
    }
    assert_eq!((lane.returns(&mine), lane.read(&mine, 0)), (32_767, 7));
}

/// Every half state that a death can leave.
#[test]
fn the_dead_hand_on_what_they_have_not_acknowledged() {
    let recover = |host: &Lane, let_go: &mut Vec<u64>| {
        host.give_back_all(ProcessId(1));
        host.recover(ProcessId(1), |mine| let_go.push(host.read(mine, 0)));
    };
    for capacity in [1, 2, 3] {
        let lanes = acked(capacity, 3, 3);
        let [host, dead, living] = &lanes[..] else {
            unreachable!()
        };
        for round in 0..10 {
            let mut let_go = Vec::new();
            let send = |value| send_within(living, value).expect("room");
            // It had taken the message.
            send(round);
            let _ = dead.take().expect("a message");
            recover(host, &mut let_go);
            recover(host, &mut let_go);
            let mine = living.take_returned().expect("handed on");
            assert_eq!((living.read(&mine, 0), living.returns(&mine)), (round, 1));
            // It was living's meanwhile: nothing of it is touched.
            recover(host, &mut let_go);
            living.give_back(mine);
            // It had cleared the word, and nothing else.
            dead.words[BACK].store(0, SeqCst);
            assert!(living.take_returned().is_none());
            recover(host, &mut let_go);
            // It had said `Back`, or only counted it.
            let mine = dead.take_returned().expect("handed on");
            dead.words[BACK].store(0, SeqCst);
            let counted = dead.header(&mine) + (1 << 49);
            dead.set_header(&mine, counted);
            recover(host, &mut let_go);
            let mine = living.take_returned().expect("handed on");
            assert_eq!((living.read(&mine, 0), living.returns(&mine)), (round, 4));
            living.acknowledge(&mine);
            living.empty(mine);
            assert_eq!((let_go.len(), host.lost()), (0, 0));
            // It had begun to let go of it.
            send(round);
            dead.acknowledge(&dead.take().expect("a message").0);
            recover(host, &mut let_go);
            assert_eq!((&let_go[..], host.lost()), (&[round][..], 0));
            assert!(living.take_returned().is_none());
            assert_eq!(living.unacknowledged(), (0, 0));
        }
    }
}

#[test]
fn nobody_waits_for_itself() {
    let lanes = acked(2, 2, 2);
    let [one, other] = &lanes[..] else {
        unreachable!()
    };
    send_within(one, 1).expect("room");
    send_within(one, 2).expect("room");
    assert!(!one.may_come_back());
    let first = one.take().expect("a message").0;
    assert!(!one.may_come_back() && other.may_come_back());
    let second = other.take().expect("a message").0;
    assert!(
        !one.may_come_back() && !other.may_come_back(),
        "both would wait"
    );
    one.give_back(first);
    assert!(
        one.may_come_back() && other.may_come_back(),
        "it is there again"
    );
    other.acknowledge(&second);
    assert!(one.may_come_back());
}

fn weighed(capacity: usize, weight: u64, processes: u32) -> Vec<Lane> {
    let shape = Shape {
        weight,
        ..Shape::of(capacity, AREA)
    };
    of_shape(shape, processes)
}

/// Against a list of what waits: for many laps, with places that are given up.
#[test]
fn what_waits_weighs_what_is_sent_less_what_is_taken() {
    for (capacity, most) in [(1, 5), (2, 7), (5, 20), (16, 30)] {
        let lane = &weighed(capacity, most, 1)[0];
        let mut waits = std::collections::VecDeque::new();
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            let weight = (random >> 33) % most + 1;
            if random >> 63 == 0 {
                let fits = waits.iter().sum::<u64>() + weight <= most && waits.len() < capacity;
                assert_eq!(lane.has_room(weight), Ok(fits));
                assert_eq!(
                    send_within(lane, weight).is_ok(),
                    fits,
                    "{waits:?}, {weight}"
                );
                if fits {
                    waits.push_back(weight);
                }
            } else if random >> 60 & 7 == 1 && waits.is_empty() {
                lane.skip(lane.claim_within(weight).expect("room"));
            } else {
                assert_eq!(receive(lane).ok(), waits.pop_front());
            }
        }
    }
}

/// Who has claimed a place writes the tail after that: whoever dies before, or is slower than the next one, leaves a
/// tail that is behind.
#[test]
fn room_is_seen_though_the_tail_is_behind() {
    for capacity in [2, 3, 5] {
        let lane = &weighed(capacity, 100, 1)[0];
        let tail = lane.words[TAIL].load(SeqCst);
        for _ in 0..capacity {
            assert_eq!(lane.has_room(1), Ok(true));
            send_within(lane, 1).expect("room");
        }
        lane.words[TAIL].store(tail, SeqCst);
        assert_eq!(lane.has_room(1), Ok(false));
        assert!(receive(lane).is_ok());
        assert_eq!(lane.has_room(99), Ok(capacity == 2)); // of 100
        assert_eq!(lane.has_room(1), Ok(true));
    }
}

#[test]
fn a_dead_sender_leaves_no_weight() {
    for capacity in [1, 2, 3] {
        for before in 0..5 {
            let lanes = weighed(capacity, 10, 3);
            let [host, dead, living] = &lanes[..] else {
                unreachable!()
            };
            for _ in 0..before {
                send_within(living, 4).expect("room");
                assert_eq!(receive(living), Ok(4));
            }
            // It had claimed the place, and had not written its sum.
            let claimed = dead.claim_if(|_| Ok(())).expect("room");
            if capacity > 1 {
                assert_eq!(send_within(living, 1), Err(NotNow::Soon));
            }
            host.recover(ProcessId(1), |_| panic!("nobody has taken it"));
            assert_eq!(
                u64::from(claimed.place.cell()),
                before % (capacity as u64 + 1)
            );
            send_within(living, 10).expect("all room is there");
            assert_eq!(receive(living), Ok(10));
            // It had.
            let _ = dead.claim_within(9).expect("room");
            if capacity > 1 {
                assert_eq!(send_within(living, 2), Err(NotNow::Wait));
            }
            host.recover(ProcessId(1), |_| panic!("nobody has taken it"));
            send_within(living, 10).expect("all room is there");
            assert_eq!(receive(living), Ok(10));
            // A receiver dies before it has moved the head on.
            send_within(living, 10).expect("room");
            let head = living.words[HEAD].load(SeqCst);
            let _ = dead.take().expect("a message");
            living.words[HEAD].store(head, SeqCst);
            send_within(living, 10).expect("it was taken");
            host.recover(ProcessId(1), |_| ());
            assert_eq!((receive(living), host.lost()), (Ok(10), 1));
        }
    }
}

/// Those that send at the same moment do not exceed it either.
#[test]
fn many_send_within_a_weight() {
    const EACH: u64 = 600;
    let lanes = weighed(16, 12, 4);
    let waiting = Counter::new(0);
    std::thread::scope(|scope| {
        for lane in &lanes[..3] {
            let waiting = &waiting;
            scope.spawn(move || {
                for number in 0..EACH {
                    let weight = 1 + number % 12;
                    loop {
                        if let Ok(mine) = lane.claim_within(weight) {
                            // Counted before it can be taken, and after it was let in.
                            waiting.fetch_add(weight, SeqCst);
                            lane.write(&mine, 0, [weight]);
                            let _ = lane.fill(mine);
                            break;
                        }
                        std::thread::yield_now();
                    }
                }
            });
        }
        let lane = &lanes[3];
        for _ in 0..3 * EACH {
            loop {
                // Taken later than it is counted here: so it may be 12 more, of who has just begun.
                if let Ok((mine, _)) = lane.take() {
                    let weight = lane.read(&mine, 0);
                    let before = waiting.fetch_sub(weight, SeqCst);
                    assert!(before <= 12 + 12, "{before}");
                    lane.empty(mine);
                    break;
                }
                std::thread::yield_now();
            }
        }
    });
    assert_eq!(waiting.load(SeqCst), 0);
}

#[test]
fn a_spoilt_shape_is_no_lane() {
    let segment = Segment::create(1 << 16).expect("a segment");
    let shape = Shape {
        behind: 3,
        weight: 9,
        ..Shape::of(2, AREA)
    };
    let words = shape.words().expect("fits");
    let lane = Lane::create(&segment, 8192, ProcessId(0), shape, 0);
    for at in [0, 1, 3] {
        for spoilt in [u64::MAX, 1 << 40, 1 << 24, 5] {
            let was = lane.words[at].swap(spoilt, SeqCst);
            let attached = Lane::attach(&segment, 8192, words, ProcessId(1));
            assert!(attached.is_none(), "word {at} is {spoilt:x}");
            lane.words[at].store(was, SeqCst);
        }
    }
    assert!(Lane::attach(&segment, 8192, words, ProcessId(1)).is_some());
    assert!(Shape::of(0, AREA).words().is_none());
    assert!(Shape::of(1 << 24, AREA).words().is_none());
}
