use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;

use crate::prim::ProcessId;

use super::super::tests::{lanes_of, many, send as send_any};
use super::super::{DONE, HEAD, Lane, NotNow, TAIL};
use super::{Entry, GRANTS, INSIDE, IS_INSIDE, KEY, OWNER, PROCESS_SHIFT, SETTLED, Taken};

const PLAIN: usize = 8;

fn send(lane: &Lane, value: u64) -> Result<(), NotNow> {
    lane.send_plain(&[value])
}

fn receive(lane: &Lane) -> Result<u64, NotNow> {
    let mut words = [0];
    match lane.take_plain(&mut words)? {
        Taken::Plain => Ok(words[0]),
        Taken::Other(mine) => {
            let value = lane.read(&mine, 0);
            lane.empty(mine);
            Ok(value)
        }
    }
}

fn owner(lane: &Lane, side: usize) -> u64 {
    lane.words[side + OWNER].load(SeqCst)
}

#[test]
fn as_many_as_fit_in_their_order() {
    for capacity in [1, 2, 3, 7, 64] {
        let lane = &lanes_of(capacity, PLAIN, 1)[0];
        let mut next = 0;
        for round in 0..200 {
            let count = 1 + round % capacity;
            for value in 0..count as u64 {
                // With a header, now and then.
                match (next + value) % 5 {
                    0 => send_any(lane, next + value).expect("room"),
                    _ => send(lane, next + value).expect("room"),
                }
            }
            assert_eq!(lane.len(), count);
            assert_eq!(lane.numbers(), (next + count as u64, next));
            for value in 0..count as u64 {
                assert_eq!(receive(lane), Ok(next + value));
            }
            assert_eq!(receive(lane), Err(NotNow::Wait));
            next += count as u64;
        }
        for value in 0..capacity as u64 {
            send(lane, value).expect("room");
        }
        assert_eq!(send(lane, 0), Err(NotNow::Wait));
        assert_eq!((lane.len(), lane.capacity()), (capacity, capacity));
        assert_ne!((owner(lane, TAIL), owner(lane, HEAD)), (SETTLED, SETTLED));
    }
}

/// The messages of a lane, and places without one.
struct Expected(usize, VecDeque<Option<u64>>);

impl Expected {
    fn push(&mut self, value: Option<u64>) -> bool {
        // A place without a message is used again though nobody has passed it.
        if self.1.len() == self.0 && self.1.front() == Some(&None) {
            self.1.pop_front();
        }
        let has_room = self.1.len() < self.0;
        if has_room {
            self.1.push_back(value);
        }
        has_room
    }

    fn pop(&mut self) -> Result<u64, NotNow> {
        std::iter::from_fn(|| self.1.pop_front())
            .find_map(|place| place)
            .ok_or(NotNow::Wait)
    }
}

/// Whatever is sent and received by whom, in whatever turn.
#[test]
fn sides_go_from_hand_to_hand() {
    for capacity in [1, 2, 3, 5] {
        for seed in 0..40_u64 {
            let lanes = lanes_of(capacity, PLAIN, 5);
            let mut expected = Expected(capacity, VecDeque::new());
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut dice = |sides: u64| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice % sides
            };
            for step in 0..300 {
                // Few at first: each grant is to be in use for a while.
                let lane = &lanes[dice(1 + step / 40).min(4) as usize];
                match dice(6) {
                    0 | 1 => assert_eq!(send(lane, step).is_ok(), expected.push(Some(step))),
                    2 => assert_eq!(send_any(lane, step).is_ok(), expected.push(Some(step))),
                    3 => {
                        let claimed = lane.claim();
                        assert_eq!(claimed.is_ok(), expected.push(None));
                        if let Ok(mine) = claimed {
                            lane.skip(mine);
                        }
                    }
                    _ => assert_eq!(receive(lane), expected.pop()),
                }
            }
        }
    }
}

#[test]
fn who_comes_after_the_last_grant_makes_the_side_common() {
    let lanes = lanes_of(4, PLAIN, 8);
    for (turn, lane) in lanes.iter().enumerate() {
        send(lane, turn as u64).expect("room");
        assert_eq!(receive(lane), Ok(turn as u64));
        let is_common = turn >= GRANTS as usize;
        assert_eq!(owner(lane, TAIL) == SETTLED, is_common);
        assert_eq!(owner(lane, HEAD) == SETTLED, is_common);
    }
    send(&lanes[0], 7).expect("room");
    assert_eq!(receive(&lanes[1]), Ok(7));
}

/// Nobody goes on while an owner before is inside; when that one is dead, the host lets others go on.
#[test]
fn who_is_inside_holds_up_the_next() {
    for side in [TAIL, HEAD] {
        let lanes = lanes_of(2, PLAIN, 3);
        let [host, dead, living] = &lanes[..] else {
            unreachable!()
        };
        send(dead, 1).expect("room");
        assert!(matches!(dead.enter(side), Entry::Sole(0)));
        let act = |lane: &Lane| match side {
            TAIL => send(lane, 2),
            _ => receive(lane).map(|_| ()),
        };
        assert_eq!(act(living), Err(NotNow::Soon));
        assert_eq!(act(host), Err(NotNow::Soon), "nor when another waits");
        host.recover(ProcessId(2), |_| panic!("nothing was begun"));
        assert_eq!(act(host), Err(NotNow::Soon), "another was dead");
        host.recover(ProcessId(1), |_| panic!("nothing was begun"));
        assert_eq!(act(host), Ok(()));
        // It comes back too late.
        dead.leave(side, 0);
        let left = match side {
            TAIL => Ok(1),
            _ => Err(NotNow::Wait),
        };
        assert_eq!(receive(living), left);
    }
}

/// The words as a death between two steps leaves them.
#[test]
fn half_done_by_an_owner() {
    let lanes = lanes_of(2, PLAIN, 3);
    let [host, dead, living] = &lanes[..] else {
        unreachable!()
    };
    // The message is whole, and the tail behind.
    let before = host.words[TAIL].load(SeqCst);
    send(dead, 1).expect("room");
    host.words[TAIL].store(before, SeqCst);
    // It was written, and not shown.
    host.put_plain(super::Place::FIRST.next(2), &[9]);
    host.recover(ProcessId(1), |_| panic!("it is no place's"));
    send(living, 2).expect("room");
    assert_eq!(send(living, 3), Err(NotNow::Wait));
    // The message was read, and not counted as done: it stays.
    let before = host.words[DONE].load(SeqCst);
    assert_eq!(receive(dead), Ok(1));
    host.words[DONE].store(before, SeqCst);
    host.recover(ProcessId(1), |_| panic!("it is no place's"));
    assert_eq!((receive(living), receive(living)), (Ok(1), Ok(2)));
    assert_eq!(host.lost(), 0);
    // One with a header was begun: it is lost.
    send_any(host, 3).expect("room");
    host.recover(ProcessId(2), |_| panic!("nothing was begun"));
    let taken = std::mem::ManuallyDrop::new(dead.take().expect("a message").0);
    assert!(!taken.is_plain());
    let mut told = 0;
    host.recover(ProcessId(1), |_| told += 1);
    assert_eq!((told, host.lost()), (1, 1));
    for value in 4..40 {
        send(host, value).expect("room");
        assert_eq!(receive(living), Ok(value));
    }
}

#[test]
fn words_of_a_side_that_nobody_writes_are_no_way_in() {
    for raw in [u64::MAX, 200 << 56, 2 << 56 | 1 << 36, 3 << 56 | 5] {
        let lanes = lanes_of(2, PLAIN, 2);
        for side in [TAIL, HEAD] {
            lanes[0].words[side + OWNER].store(raw, SeqCst);
        }
        send(&lanes[0], 1).expect("room");
        assert_eq!(receive(&lanes[1]), Ok(1), "{raw:x}");
    }
    let lane = &lanes_of(2, PLAIN, 1)[0];
    send(lane, 1).expect("room");
    lane.words[DONE].store(u64::MAX, SeqCst);
    assert!(matches!(receive(lane), Err(NotNow::Damaged(_))));
    lane.words[TAIL].store(u64::MAX, SeqCst);
    assert!(matches!(send(lane, 1), Err(NotNow::Damaged(_))));
    // All is said to be read, though it was not written yet.
    let lanes = lanes_of(2, PLAIN, 2);
    send(&lanes[0], 1).expect("room");
    send(&lanes[0], 2).expect("room");
    let beyond = super::Place::FIRST.next(2).next(2).next(2);
    lanes[0].words[DONE].store(beyond.pack(), SeqCst);
    assert!(matches!(send(&lanes[0], 3), Err(NotNow::Damaged(_))));
    // Somebody is inside who cannot be there; whoever can is believed.
    for side in [TAIL, HEAD] {
        let act = |lane: &Lane| match side {
            TAIL => send(lane, 2),
            _ => receive(lane).map(|_| ()),
        };
        let lanes = lanes_of(2, PLAIN, 2);
        send(&lanes[0], 1).expect("room");
        assert!(matches!(lanes[0].enter(side), Entry::Sole(0)));
        for nobody in [IS_INSIDE, IS_INSIDE | KEY, IS_INSIDE | 1 << PROCESS_SHIFT] {
            lanes[0].words[side + INSIDE].store(nobody, SeqCst);
            assert!(
                matches!(act(&lanes[1]), Err(NotNow::Damaged(_))),
                "{nobody:x}"
            );
        }
        let somebody = IS_INSIDE | 1 << PROCESS_SHIFT | 1;
        lanes[0].words[side + INSIDE].store(somebody, SeqCst);
        assert_eq!(act(&lanes[1]), Err(NotNow::Soon));
    }
}

#[test]
fn many_send_and_many_receive() {
    many(PLAIN, send, receive);
}
