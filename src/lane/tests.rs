mod kept;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64 as Counter, Ordering::SeqCst};

use crate::prim::ProcessId;
use crate::shm::Segment;

use super::place::Place;
use super::{CellState, Lane, NotNow, PLAIN_MAX, Shape};

const AREA: usize = 2;

fn lanes(capacity: usize, processes: u32) -> Vec<Lane> {
    lanes_of(capacity, 0, processes)
}

pub fn lanes_of(capacity: usize, plain: usize, processes: u32) -> Vec<Lane> {
    let shape = Shape {
        plain,
        ..Shape::of(capacity, AREA)
    };
    of_shape(shape, processes)
}

fn of_shape(shape: Shape, processes: u32) -> Vec<Lane> {
    let words = shape.words().expect("fits");
    let segment = Segment::create((8192 + words * 8).next_multiple_of(4096)).expect("a segment");
    let first = Lane::create(&segment, 8192, ProcessId(0), shape, 5);
    let attach = |me| Lane::attach(&segment, 8192, words, ProcessId(me)).expect("a lane");
    std::iter::once(first)
        .chain((1..processes).map(attach))
        .collect()
}

pub fn send(lane: &Lane, value: u64) -> Result<(), NotNow> {
    let mine = lane.claim()?;
    lane.write(&mine, 0, [value]);
    let _ = lane.fill(mine);
    Ok(())
}

pub fn receive(lane: &Lane) -> Result<u64, NotNow> {
    let (mine, _) = lane.take()?;
    let value = lane.read(&mine, 0);
    lane.empty(mine);
    Ok(value)
}

#[test]
fn places_follow_each_other() {
    for cells in [1, 2, 3, 1000] {
        let mut place = Place::FIRST;
        for step in 1..=5000 {
            let next = place.next(cells);
            assert!(next.is_after(place) && !place.is_after(next));
            assert_eq!(next.distance(Place::FIRST, cells), step);
            assert_eq!(Place::unpack(next.pack()), next);
            place = next;
        }
    }
    let last = Place::unpack(u64::MAX);
    assert!(last.next(Place::CELLS_MAX).is_after(last), "laps wrap");
}

#[test]
fn as_many_as_fit_in_their_order() {
    for capacity in [1, 2, 3, 7, 64] {
        let lane = &lanes(capacity, 1)[0];
        let mut next = 0;
        for round in 0..200 {
            let count = 1 + round % capacity;
            for value in 0..count as u64 {
                send(lane, next + value).expect("room");
            }
            assert_eq!(lane.len(), count);
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
    }
}

#[test]
fn what_is_written_holds_up_what_is_behind() {
    let lanes = lanes(4, 2);
    let slow = lanes[0].claim().expect("room");
    send(&lanes[1], 2).expect("room");
    assert_eq!(receive(&lanes[1]), Err(NotNow::Soon));
    lanes[0].write(&slow, 0, [1]);
    let _ = lanes[0].fill(slow);
    assert_eq!((receive(&lanes[1]), receive(&lanes[1])), (Ok(1), Ok(2)));
}

/// Every step of a sender and of a receiver, each of which is the last one.
#[test]
fn the_dead_leave_no_place_behind() {
    for capacity in [1, 2, 3] {
        for before in 0..5 {
            let lanes = lanes(capacity, 3);
            let [host, dead, living] = &lanes[..] else {
                unreachable!()
            };
            for value in 0..before {
                send(living, value).expect("room");
                assert_eq!(receive(living), Ok(value));
            }
            let begun = dead.claim().expect("room");
            dead.write(&begun, 0, [7]);
            let begun = std::mem::ManuallyDrop::new(begun);
            host.recover(ProcessId(1), |_| panic!("nobody has taken it"));
            assert_eq!(u64::from(begun.place.cell()), before % capacity as u64);
            assert_eq!(
                receive(living),
                Err(NotNow::Wait),
                "what was not whole never appears"
            );
            send(living, 100).expect("room");

            let taken = std::mem::ManuallyDrop::new(dead.take().expect("a message").0);
            host.recover(ProcessId(2), |_| panic!("another is alive"));
            host.recover(ProcessId(1), |mine| assert_eq!(mine.place, taken.place));
            host.recover(ProcessId(1), |_| panic!("nothing is left"));
            assert_eq!((host.lost(), receive(living)), (1, Err(NotNow::Wait)));
            for value in 0..capacity as u64 {
                send(living, value).expect("room");
            }
            assert_eq!(send(living, 0), Err(NotNow::Wait));
            // What it had sent stays.
            host.recover(ProcessId(2), |_| panic!("nothing was begun"));
            assert_eq!(receive(host), Ok(0));
        }
    }
}

/// A place without a message is no message that must be taken: the next lap begins there.
#[test]
fn a_place_that_is_skipped_takes_no_room() {
    for capacity in [1, 2, 3] {
        let lane = &lanes(capacity, 1)[0];
        let skip = || lane.skip(lane.claim().expect("room"));
        (0..3 * capacity).for_each(|_| skip());
        for value in 0..capacity as u64 {
            send(lane, value).expect("room");
        }
        assert_eq!(send(lane, 9), Err(NotNow::Wait), "{capacity}");
        for value in 0..capacity as u64 {
            assert_eq!(receive(lane), Ok(value));
        }
        assert_eq!(receive(lane), Err(NotNow::Wait));
    }
}

#[test]
fn a_tail_and_a_head_that_are_behind_do_no_harm() {
    let lane = &lanes(3, 1)[0];
    let begin = lane.words[super::TAIL].load(SeqCst);
    for value in 0..20 {
        send(lane, value).expect("room");
        lane.words[super::TAIL].store(begin, SeqCst);
        assert_eq!(receive(lane), Ok(value));
        lane.words[super::HEAD].store(begin, SeqCst);
    }
}

#[test]
fn what_no_correct_process_writes_is_reported() {
    let damaged = |result: Result<u64, NotNow>| matches!(result, Err(NotNow::Damaged(_)));
    for raw in [u64::MAX, 9 << 60, 3 << 60 | 1 << 39, 0] {
        let lane = &lanes(2, 1)[0];
        lane.word(0).store(raw, SeqCst);
        assert!(
            damaged(receive(lane)) || receive(lane) == Err(NotNow::Wait),
            "{raw:x}"
        );
        assert!(damaged(send(lane, 1).map(|()| 0)), "{raw:x}");
    }
    let lane = &lanes(2, 1)[0];
    lane.words[super::TAIL].store(u64::MAX, SeqCst);
    assert!(damaged(send(lane, 1).map(|()| 0)));
    assert_eq!(lane.load(0).0, CellState::Empty);
    let segment = Segment::create(1 << 16).expect("a segment");
    let shape = Shape::of(2, AREA);
    let _ = Lane::create(&segment, 8192, ProcessId(0), shape, 0);
    let words = shape.words().expect("fits");
    let attach = |len| Lane::attach(&segment, 8192, len, ProcessId(1));
    assert!(attach(words - 1).is_none(), "more than the block holds");
    assert_eq!(attach(words).map(|lane| lane.kind()), Some(0));

    // Plain messages that are longer than whoever takes them has room for.
    let area = PLAIN_MAX / 8 + 4;
    let shape = Shape::of(2, area);
    let lane = Lane::create(&segment, 8192, ProcessId(0), shape, 0);
    let words = shape.words().expect("fits");
    for (bytes, fits) in [
        (0, true),
        (PLAIN_MAX, true),
        (PLAIN_MAX + 1, false),
        (usize::MAX, false),
    ] {
        lane.words[super::PLAIN].store(bytes as u64, SeqCst);
        let attached = Lane::attach(&segment, 8192, words, ProcessId(1));
        assert_eq!(attached.is_some(), fits, "{bytes} bytes");
    }
}

/// Each message arrives once, and those of one sender in their order.
#[test]
fn many_send_and_many_receive() {
    many(0, send, receive);
}

pub fn many(
    plain: usize,
    send: impl Fn(&Lane, u64) -> Result<(), NotNow> + Copy + Send,
    receive: impl Fn(&Lane) -> Result<u64, NotNow> + Copy + Send,
) {
    for (senders, receivers, capacity) in [(1, 1, 1), (2, 2, 1), (3, 2, 2), (2, 3, 3), (4, 4, 64)] {
        const EACH: u64 = 3000;
        let lanes = lanes_of(capacity, plain, 8);
        let left = Counter::new(senders * EACH);
        let seen: Vec<Vec<u64>> = std::thread::scope(|scope| {
            for sender in 0..senders {
                let lane = &lanes[sender as usize];
                scope.spawn(move || {
                    for number in 0..EACH {
                        while send(lane, sender << 32 | number).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let receivers: Vec<_> = (0..receivers)
                .map(|number| {
                    let (lane, left) = (&lanes[4 + number], &left);
                    scope.spawn(move || {
                        let mut seen = Vec::new();
                        while left.load(SeqCst) > 0 {
                            match receive(lane) {
                                Ok(value) => {
                                    seen.push(value);
                                    left.fetch_sub(1, SeqCst);
                                }
                                Err(NotNow::Damaged(what)) => panic!("{what}"),
                                Err(_) => std::thread::yield_now(),
                            }
                        }
                        seen
                    })
                })
                .collect();
            receivers
                .into_iter()
                .map(|r| r.join().expect("ends"))
                .collect()
        });
        let mut counts = HashMap::new();
        for seen in &seen {
            for sender in 0..senders {
                let of_one: Vec<u64> = seen.iter().copied().filter(|v| v >> 32 == sender).collect();
                assert!(of_one.is_sorted(), "{senders} to {receivers}, {capacity}");
            }
            for value in seen {
                *counts.entry(*value).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len() as u64, senders * EACH);
        assert!(counts.values().all(|count| *count == 1));
    }
}

/// At every point of any order of steps: what says that there is no message, or no room, is right, and
/// breaks when there is one.
#[test]
fn what_has_not_changed_is_still_so() {
    let mut random = 1_u64;
    for capacity in [1, 2, 3, 8] {
        let both = lanes(capacity, 2);
        let (lane, other) = (&both[0], &both[1]);
        let (mut empty, mut full) = (None, None);
        let (mut writing, mut reading) = (Vec::new(), Vec::new());
        for step in 0..20_000 {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            match (random >> 33) % 6 {
                0 => writing.extend(lane.claim()),
                1 if !writing.is_empty() => {
                    let _ = lane.fill(writing.remove(0));
                }
                2 if !writing.is_empty() => lane.skip(writing.remove(0)),
                3 => reading.extend(other.take().map(|(mine, _)| mine)),
                4 if !reading.is_empty() => other.empty(reading.remove(0)),
                5 => {
                    empty = empty.or_else(|| other.no_message());
                    full = full.or_else(|| lane.no_room());
                }
                _ => {}
            }
            // Who believes it does not look; so there must be nothing to be had.
            if let Some(still) = empty {
                match other.take() {
                    Ok((mine, _)) => {
                        assert!(
                            !still.is_so(),
                            "step {step} of {capacity}: a message is there"
                        );
                        reading.push(mine);
                        empty = None;
                    }
                    Err(_) if !still.is_so() => empty = None,
                    Err(_) => {}
                }
            }
            if let Some(still) = full {
                match lane.claim() {
                    Ok(mine) => {
                        assert!(!still.is_so(), "step {step} of {capacity}: there is room");
                        writing.push(mine);
                        full = None;
                    }
                    Err(_) if !still.is_so() => full = None,
                    Err(_) => {}
                }
            }
        }
    }
}

#[test]
fn what_nobody_takes_is_read_by_all() {
    let both = lanes(3, 2);
    let (lane, other) = (&both[0], &both[1]);
    assert!(!lane.is_new(0) && lane.peek(0).is_none());
    send(lane, 7).expect("room");
    let dies = other.claim().expect("room");
    assert!(lane.is_new(0) && lane.is_new(1) && !lane.is_new(2));
    let place = lane.peek(0).expect("it is there").expect("it is whole");
    assert_eq!(lane.read(&place, 0), 7);
    assert!(lane.peek(1).is_none(), "it is being written");
    send(lane, 8).expect("room");
    drop(dies);
    lane.recover(ProcessId(1), |_| ());
    assert!(matches!(lane.peek(1), Some(None)), "there is none");
    let place = other.peek(2).expect("it is there").expect("it is whole");
    assert_eq!(other.read(&place, 0), 8);
    assert!(
        !lane.is_new(3) && lane.peek(3).is_none(),
        "it has room for three"
    );
}
