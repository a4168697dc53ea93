use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use crate::prim::ProcessId;
use crate::shm::Segment;

use super::{Damaged, Feed, KEEPS, LOW, Next, NotNow, Place, Seat, Shape, TAIL};

/// A feed as several processes see it, and which values are kept by messages.
struct World {
    feeds: Vec<Feed>,
    kept: Mutex<HashSet<u64>>,
}

fn world(capacity: usize, seats: usize) -> World {
    let shape = Shape {
        capacity,
        area: 2,
        seats,
    };
    let words = Feed::words_for(shape).expect("fits");
    let segment = Segment::create((8192 + words * 8).next_multiple_of(4096)).expect("a segment");
    let first = Feed::create(&segment, 8192, ProcessId(0), shape, 7);
    let attached = Feed::attach(&segment, 8192, words, ProcessId(1)).expect("a feed");
    assert_eq!((attached.kind(), attached.seats()), (7, seats));
    assert!(Feed::attach(&segment, 8192, words - 1, ProcessId(1)).is_none());
    let third = first.of(ProcessId(2));
    World {
        feeds: vec![first, attached, third],
        kept: Mutex::default(),
    }
}

impl World {
    fn let_go(&self, place: Place) {
        let value = self.feeds[0].read(place, 0);
        self.kept.lock().expect("no panic").remove(&value);
    }

    fn kept(&self) -> Vec<u64> {
        let mut kept: Vec<u64> = self
            .kept
            .lock()
            .expect("no panic")
            .iter()
            .copied()
            .collect();
        kept.sort_unstable();
        kept
    }

    fn send_from(&self, process: usize, value: u64, overwrites: bool) -> Result<(), NotNow> {
        let feed = &self.feeds[process];
        let mine = feed.claim(overwrites, &|place| self.let_go(place))?;
        self.kept.lock().expect("no panic").insert(value);
        feed.write(&mine, 0, [value]);
        feed.set_header(&mine, KEEPS);
        feed.fill(mine);
        Ok(())
    }

    fn send(&self, value: u64) -> Result<(), NotNow> {
        self.send_from(0, value, false)
    }

    fn subscribe(&self) -> Seat {
        let seat = self.feeds[0].join().expect("a seat");
        let _ = self.feeds[0]
            .start(seat, &|place| self.let_go(place))
            .expect("no damage");
        seat
    }

    fn receive(&self, seat: Seat) -> Result<u64, NotNow> {
        let feed = &self.feeds[1];
        match feed.next(seat)? {
            Next::Lagged(count) => panic!("{count} lost"),
            Next::Message(found) => {
                let value = feed.read(found.place(), 0);
                assert!(feed.take(seat, found) && !feed.take(seat, found));
                feed.taken(found, true, &|place| self.let_go(place));
                Ok(value)
            }
        }
    }

    fn leave(&self, seat: Seat) {
        let feed = &self.feeds[2];
        feed.leave(seat);
        let tail = feed.tail().expect("no damage");
        feed.advance(tail, &|place| self.let_go(place));
    }

    fn recover(&self, dead: u32) {
        self.feeds[0].recover(ProcessId(dead), &|place| self.let_go(place));
    }
}

#[test]
fn each_sees_what_comes_after_it_and_the_slowest_holds_back() {
    for capacity in [1, 2, 8] {
        let world = world(capacity, 3);
        let first = world.subscribe();
        for value in 0..capacity as u64 {
            world.send(value).expect("room");
        }
        assert_eq!(world.send(99), Err(NotNow::Wait));
        let second = world.subscribe();
        assert_eq!(world.receive(second), Err(NotNow::Wait));
        for value in 0..50 {
            assert_eq!(world.receive(first), Ok(value));
            world.send(value + capacity as u64).expect("room for one");
            if value + 1 >= capacity as u64 {
                assert_eq!(world.receive(second), Ok(value + 1));
            }
            if value + 2 >= capacity as u64 {
                assert_eq!(world.feeds[0].waiting(first), capacity);
            }
        }
        assert_eq!(world.kept().len(), capacity, "what not all have read");
        world.leave(first);
        assert_eq!(world.kept().len(), world.feeds[0].waiting(second));
        world.leave(second);
        assert!(world.kept().is_empty() && !world.feeds[0].has_subscribers());
        let third = world.subscribe();
        assert_eq!(world.receive(third), Err(NotNow::Wait));
        world.send(7).expect("room");
        assert_eq!(world.receive(third), Ok(7));
    }
}

#[test]
fn who_is_overtaken_is_told_by_how_many() {
    for capacity in [1, 4] {
        let world = world(capacity, 2);
        let (slow, quick) = (world.subscribe(), world.subscribe());
        for value in 0..3 * capacity as u64 {
            world
                .send_from(2, value, true)
                .expect("it waits for nobody");
            assert_eq!(world.receive(quick), Ok(value));
        }
        let lost = 2 * capacity as u64;
        assert_eq!(world.feeds[1].next(slow), Ok(Next::Lagged(lost)));
        for value in lost..lost + capacity as u64 {
            assert_eq!(world.receive(slow), Ok(value));
        }
        assert_eq!(world.receive(slow), Err(NotNow::Wait));
        assert_eq!(
            (world.feeds[0].lagged(slow), world.feeds[0].lagged(quick)),
            (lost, 0)
        );
        assert!(world.kept().is_empty());
    }
}

/// What was found is not taken for whole when something else is there by the time it was read.
#[test]
fn what_is_overwritten_while_it_is_read_is_not_taken() {
    let world = world(2, 1);
    let (feed, seat) = (&world.feeds[1], world.subscribe());
    world.send(1).expect("room");
    let Ok(Next::Message(found)) = feed.next(seat) else {
        panic!("no message");
    };
    world.send(2).expect("room");
    assert!(feed.is_still(found));
    world.send_from(0, 3, true).expect("it overwrites");
    assert!(!feed.is_still(found) && !feed.take(seat, found));
    assert_eq!(feed.next(seat), Ok(Next::Lagged(1)));
    assert_eq!((world.receive(seat), world.receive(seat)), (Ok(2), Ok(3)));
}

#[test]
fn two_with_one_seat_share_the_messages() {
    let world = world(2, 1);
    let (one, other, seat) = (&world.feeds[1], &world.feeds[2], world.subscribe());
    world.send(1).expect("room");
    let (Ok(Next::Message(found)), Ok(Next::Message(same))) = (one.next(seat), other.next(seat))
    else {
        panic!("no message");
    };
    assert!(one.take(seat, found) && !other.take(seat, same));
    assert_eq!(other.next(seat), Err(NotNow::Wait));
}

/// A place that a dead publisher has left holds up no other publisher, though no subscriber has come and
/// passed it, and is no message that anybody has lost.
#[test]
fn a_place_without_a_message_is_passed_for_those_that_do_not_come() {
    for capacity in [1, 2] {
        let world = world(capacity, 2);
        let seats = [world.subscribe(), world.subscribe()];
        let _begun = world.feeds[1].claim(false, &|_| ()).expect("room");
        world.recover(1);
        let values: Vec<u64> = (1..=capacity as u64).collect();
        for value in &values {
            world.send(*value).expect("room");
        }
        assert_eq!(world.send(9), Err(NotNow::Wait), "nobody has read");
        for seat in seats {
            let came: Vec<u64> = std::iter::from_fn(|| world.receive(seat).ok()).collect();
            assert_eq!(came, values);
        }
    }
}

/// Every state in which a death may leave a place or a seat.
#[test]
fn the_dead_hold_up_nobody() {
    for capacity in [1, 4] {
        let world = world(capacity, 2);
        let [host, dead, _] = &world.feeds[..] else {
            unreachable!()
        };
        let seat = world.subscribe();
        // A place that was being written.
        let _begun = dead.claim(false, &|_| ()).expect("room");
        assert_eq!(world.receive(seat), Err(NotNow::Soon));
        world.recover(2);
        assert_eq!(world.receive(seat), Err(NotNow::Soon), "another is alive");
        world.recover(1);
        assert_eq!(world.receive(seat), Err(NotNow::Wait), "there is none");
        world.send(1).expect("room");
        assert_eq!(world.receive(seat), Ok(1));
        // One that was being cleared, to be written over.
        for value in 2..2 + capacity as u64 {
            world.send(value).expect("room");
        }
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = dead.claim(true, &|_| std::panic::resume_unwind(Box::new(())));
        }));
        assert!(died.is_err() && world.kept().len() == capacity);
        assert_eq!(world.send(50), Err(NotNow::Soon));
        world.recover(1);
        assert_eq!(world.kept().len(), capacity - 1);
        assert_eq!(host.next(seat), Ok(Next::Lagged(1)));
        assert_eq!(
            std::iter::from_fn(|| world.receive(seat).ok()).count(),
            capacity - 1
        );
        // Low was raised, and nothing let go of.
        world.send(60).expect("room");
        host.words[LOW].store(host.tail().expect("no damage"), SeqCst);
        assert_eq!(world.kept(), [60]);
        world.recover(1);
        assert!(world.kept().is_empty());
        // A seat that was being taken.
        let joining = dead.join().expect("a seat");
        assert!(host.join().is_none());
        world.recover(1);
        let again = host.join().expect("it is free");
        assert_eq!(again.number, joining.number);
        host.leave(again);
        host.give_up(again);
        host.leave(again);
        assert_eq!(host.subscribers(), 1);
    }
}

#[test]
fn to_leave_twice_does_nothing_to_the_next_one() {
    let world = world(2, 1);
    let first = world.subscribe();
    world.leave(first);
    let second = world.subscribe();
    world.leave(first);
    assert_eq!(world.feeds[0].subscribers(), 1);
    world.send(1).expect("room");
    assert_eq!(world.receive(second), Ok(1));
}

#[test]
fn what_no_correct_process_writes_is_reported() {
    let is_damaged = |result: Result<u64, NotNow>| matches!(result, Err(NotNow::Damaged(_)));
    for raw in [u64::MAX, 9 << 60, 2 << 60 | 1 << 39 | 1, 1] {
        let world = world(2, 1);
        let seat = world.subscribe();
        world.feeds[0].word(2).store(raw, SeqCst);
        assert!(is_damaged(world.receive(seat)), "{raw:x}");
        assert!(is_damaged(world.send(1).map(|()| 0)), "{raw:x}");
        world.recover(1);
        world.feeds[0].clear(&|place| world.let_go(place));
    }
    let world = world(2, 1);
    let seat = world.subscribe();
    world.feeds[0].words[TAIL].store(0, SeqCst);
    let Damaged { place, .. } = world.feeds[0].tail().expect_err("it is none");
    assert_eq!(place, 0);
    world.feeds[0].seat(0)[super::CURSOR].store(u64::MAX, SeqCst);
    assert!(matches!(
        world.feeds[1].next(seat),
        Err(NotNow::Damaged(_) | NotNow::Wait)
    ));
}

/// Many publishers and subscribers at once, with and without overwriting.
#[test]
fn many_publish_and_many_read() {
    for (publishers, subscribers, capacity, overwrites) in [
        (1, 3, 1, false),
        (3, 2, 4, false),
        (2, 3, 64, false),
        (2, 3, 4, true),
    ] {
        const EACH: u64 = 2000;
        let world = world(capacity, 8);
        let seats: Vec<Seat> = (0..subscribers).map(|_| world.subscribe()).collect();
        std::thread::scope(|scope| {
            for publisher in 0..publishers {
                let world = &world;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let value = publisher << 32 | number;
                        while world
                            .send_from(publisher as usize % 3, value, overwrites)
                            .is_err()
                        {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            for seat in seats {
                let world = &world;
                scope.spawn(move || {
                    let feed = &world.feeds[1];
                    let (mut seen, mut lost) = (Vec::new(), 0);
                    while seen.len() as u64 + lost < publishers * EACH {
                        match feed.next(seat) {
                            Ok(Next::Lagged(count)) => lost += count,
                            Ok(Next::Message(found)) => {
                                let value = feed.read(found.place(), 0);
                                if feed.take(seat, found) {
                                    feed.taken(found, true, &|place| world.let_go(place));
                                    seen.push(value);
                                }
                            }
                            Err(NotNow::Damaged(what)) => panic!("{what}"),
                            Err(_) => std::thread::yield_now(),
                        }
                    }
                    assert!(overwrites || lost == 0);
                    for publisher in 0..publishers {
                        let of_one = seen.iter().filter(|value| **value >> 32 == publisher);
                        assert!(of_one.is_sorted_by(|a, b| a < b));
                    }
                });
            }
        });
        assert!(
            world.kept().is_empty(),
            "{publishers} to {subscribers}, {capacity}"
        );
    }
}
