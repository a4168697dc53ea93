//! The feeds' own source in every order of steps. Run by `scripts/models`.

use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64 as Kept;
use loom::thread;

use super::{Feed, KEEPS, Next, NotNow, Place, Seat, Shape};
use crate::prim::ProcessId;
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::shm::Segment;
use crate::sys::barrier;

const HOST: ProcessId = ProcessId(0);
const MORTAL: ProcessId = ProcessId(1);
const LIVING: ProcessId = ProcessId(2);

/// What messages keep: a bit for each that was not let go of. Ending a passage twice does nothing, as
/// with the pool's.
#[derive(Clone)]
struct Memory(Arc<Kept>);

impl Memory {
    fn new() -> Self {
        Memory(Arc::new(Kept::new(0)))
    }

    fn keep(&self, value: u64) {
        self.0.fetch_or(1 << value, SeqCst);
    }

    fn is_kept(&self, value: u64) -> bool {
        self.0.load(SeqCst) >> value & 1 == 1
    }

    fn let_go(&self, feed: &Feed, place: Place) {
        self.0.fetch_and(!(1 << feed.read(place, 0)), SeqCst);
    }
}

fn feeds(capacity: usize) -> ([Feed; 3], Memory) {
    let shape = Shape {
        capacity,
        area: 1,
        seats: 2,
    };
    let host = Feed::create(&Segment::empty(), 0, HOST, shape, 0);
    let others = [MORTAL, LIVING].map(|me| host.of(me));
    let [mortal, living] = others;
    ([host, mortal, living], Memory::new())
}

fn subscribe(feed: &Feed) -> Seat {
    let seat = feed.join().expect("a seat");
    let has_more = feed.start(seat, &|_| ()).expect("no damage");
    if has_more {
        barrier::light();
        feed.for_room().open_one();
    }
    seat
}

fn send(feed: &Feed, memory: &Memory, value: u64, overwrites: bool) -> bool {
    memory.keep(value);
    match feed.claim(overwrites, &|place| memory.let_go(feed, place)) {
        Ok(mine) => {
            feed.write(&mine, 0, [value]);
            feed.set_header(&mine, KEEPS | value << 1);
            feed.fill(mine);
            true
        }
        Err(NotNow::Damaged(what)) => panic!("{what}"),
        Err(_) => {
            memory.0.fetch_and(!(1 << value), SeqCst);
            false
        }
    }
}

/// The next message, and how many were lost before it; `None` if there is none now.
fn receive(feed: &Feed, memory: &Memory, seat: Seat) -> Option<Result<u64, u64>> {
    loop {
        match feed.next(seat) {
            Ok(Next::Message(found)) => {
                let (value, header) = (feed.read(found.place(), 0), feed.header(found.place()));
                let is_kept = memory.is_kept(value);
                if feed.is_still(found) {
                    assert!(is_kept, "what is whole is kept");
                    assert_eq!(header, KEEPS | value << 1, "half of two messages");
                }
                if feed.take(seat, found) {
                    feed.taken(found, true, &|place| memory.let_go(feed, place));
                    return Some(Ok(value));
                }
            }
            Ok(Next::Lagged(count)) => return Some(Err(count)),
            Err(NotNow::Damaged(what)) => panic!("{what}"),
            Err(_) => return None,
        }
    }
}

fn rest(feed: &Feed, memory: &Memory, seat: Seat) -> Vec<u64> {
    std::iter::from_fn(|| receive(feed, memory, seat))
        .map(|one| one.expect("nothing is overwritten"))
        .collect()
}

/// One sends while two read: each sees all that was sent, in order; and what both have read is let
/// go of. In feeds that wrap meanwhile.
#[test]
fn two_subscribers() {
    for capacity in [1, 2] {
        explore("feed: two subscribers", Some(2), move || {
            let ([host, one, other], memory) = feeds(capacity);
            let seats = [subscribe(&host), subscribe(&host)];
            assert!(send(&host, &memory, 1, false));
            let reads = [(one, seats[0]), (other, seats[1])].map(|(feed, seat)| {
                let memory = memory.clone();
                thread::spawn(move || receive(&feed, &memory, seat).expect("a message"))
            });
            let sent = send(&host, &memory, 2, false);
            let first = reads.map(|read| read.join().expect("ends"));
            assert_eq!(first, [Ok(1), Ok(1)]);
            for seat in seats {
                let rest = rest(&host, &memory, seat);
                assert_eq!(rest, if sent { vec![2] } else { vec![] });
            }
            assert_eq!(memory.0.load(SeqCst), 0, "all was read by all");
            assert!(send(&host, &memory, 3, false));
        });
    }
}

/// One sends what overwrites, while another reads: what it gets is whole, in order, and it is told how
/// many it has lost.
#[test]
fn overwritten() {
    for capacity in [1, 2] {
        explore("feed: overwritten", Some(2), move || {
            let ([host, reader, _], memory) = feeds(capacity);
            let seat = subscribe(&host);
            assert!(send(&host, &memory, 1, true));
            let of_reader = memory.clone();
            let read = thread::spawn(move || [(); 2].map(|()| receive(&reader, &of_reader, seat)));
            // Not if what is in its place is being let go of just now.
            let sent = [2, 3].map(|value| (value, send(&host, &memory, value, true)));
            let sent = sent.into_iter().filter(|one| one.1).map(|one| one.0);
            let sent: Vec<u64> = std::iter::once(1).chain(sent).collect();
            let read = read.join().expect("ends");
            let mut next = 0;
            let rest = std::iter::from_fn(|| receive(&host, &memory, seat));
            for one in read.into_iter().flatten().chain(rest) {
                match one {
                    Ok(value) => {
                        assert_eq!(value, sent[next]);
                        next += 1;
                    }
                    Err(lost) => next += lost as usize,
                }
            }
            assert_eq!((next, memory.0.load(SeqCst)), (sent.len(), 0));
        });
    }
}

/// Two publishers: all arrives once, what one has sent in its order.
#[test]
fn two_publishers() {
    for capacity in [1, 2] {
        explore("feed: two publishers", Some(2), move || {
            let ([host, one, other], memory) = feeds(capacity);
            let seat = subscribe(&host);
            let memories = [memory.clone(), memory.clone()];
            let [of_one, of_other] = memories;
            let first =
                thread::spawn(move || [1, 2].map(|value| send(&one, &of_one, value, false)));
            let second = thread::spawn(move || send(&other, &of_other, 3, false));
            let mut seen: Vec<_> = receive(&host, &memory, seat).into_iter().collect();
            let [sent_1, sent_2] = first.join().expect("ends");
            let sent_3 = second.join().expect("ends");
            seen.extend(rest(&host, &memory, seat).into_iter().map(Ok));
            let seen: Vec<u64> = seen.into_iter().map(|one| one.expect("whole")).collect();
            let of_first: Vec<u64> = seen.iter().copied().filter(|value| *value != 3).collect();
            let expected = [(1, sent_1), (2, sent_2)].into_iter();
            let expected: Vec<u64> = expected.filter(|one| one.1).map(|one| one.0).collect();
            assert_eq!(of_first, expected);
            assert_eq!(seen.contains(&3), sent_3);
            assert_eq!(memory.0.load(SeqCst), 0);
        });
    }
}

/// One subscribes, and another leaves, while messages are sent: who is there from some message on misses none
/// behind it.
#[test]
fn comes_and_goes() {
    for capacity in [1, 2] {
        explore("feed: comes and goes", Some(2), move || {
            let ([host, comes, goes], memory) = feeds(capacity);
            let first = subscribe(&host);
            assert!(send(&host, &memory, 1, false));
            let of_comes = memory.clone();
            let came = thread::spawn(move || {
                let seat = subscribe(&comes);
                (seat, receive(&comes, &of_comes, seat))
            });
            let left = thread::spawn(move || goes.leave(first));
            let sent = [2, 3].map(|value| send(&host, &memory, value, false));
            left.join().expect("ends");
            let (seat, read) = came.join().expect("ends");
            let tail = host.tail().expect("no damage");
            host.advance(tail, &|place| memory.let_go(&host, place));
            let mut seen: Vec<u64> = read
                .into_iter()
                .map(|one| one.expect("none lost"))
                .collect();
            seen.extend(rest(&host, &memory, seat));
            let all = [(1, true), (2, sent[0]), (3, sent[1])].into_iter();
            let all: Vec<u64> = all.filter(|one| one.1).map(|one| one.0).collect();
            assert!(all.ends_with(&seen), "{seen:?} of {all:?}");
            assert_eq!(memory.0.load(SeqCst), 0);
        });
    }
}

/// One subscribes while a publisher looks for room, and sleeps if there is none: though the new one holds it
/// back for a moment, it does not sleep for ever.
#[test]
fn sleeps_while_another_subscribes() {
    explore("feed: sleeps while another subscribes", Some(3), || {
        let ([host, comes, _], memory) = feeds(1);
        let first = subscribe(&host);
        assert!(send(&host, &memory, 1, false));
        // As of a message without memory: who needs its place makes room.
        assert!(matches!(host.next(first), Ok(Next::Message(found)) if host.take(first, found)));
        let came = thread::spawn(move || subscribe(&comes));
        loop {
            if send(&host, &memory, 2, false) {
                break;
            }
            let key = host.for_room().prepare();
            if send(&host, &memory, 2, false) {
                break;
            }
            host.for_room().wait(key, None);
        }
        came.join().expect("ends");
    });
}

/// A publisher dies before each of its steps, while another sends and one reads.
#[test]
fn a_publisher_dies() {
    for overwrites in [false, true] {
        explore_deaths("feed: a publisher dies", Some(1), move |death, has_died| {
            let ([host, mortal, living], memory) = feeds(1);
            let seat = subscribe(&host);
            assert!(send(&host, &memory, 1, false));
            if !overwrites {
                assert_eq!(rest(&host, &memory, seat), [1]);
            }
            let memories = [memory.clone(), memory.clone()];
            let [of_mortal, of_living] = memories;
            let body = thread::spawn(move || {
                run_mortal(death, || send(&mortal, &of_mortal, 2, overwrites)).is_some()
            });
            let other = thread::spawn(move || send(&living, &of_living, 3, overwrites));
            let lived = body.join().expect("ends");
            has_died.fetch_or(!lived, SeqCst);
            let _ = other.join().expect("ends");
            host.recover(MORTAL, &|place| memory.let_go(&host, place));
            // Into the place that the dead one had left: nothing was there that could be lost.
            let _ = !overwrites && send(&host, &memory, 1, false);
            let all = std::iter::from_fn(|| receive(&host, &memory, seat));
            let all: Vec<_> = all.collect();
            assert!(overwrites || all.iter().all(Result::is_ok), "{all:?}");
            let seen: Vec<u64> = all.into_iter().flatten().collect();
            assert!(seen.is_empty() || seen.iter().all(|value| (1..4).contains(value)));
            // What was half sent, and is in no message, is the pool's to free.
            assert_eq!(memory.0.load(SeqCst) & !(1 << 2), 0);
            for value in [4, 5] {
                assert!(send(&host, &memory, value, false));
                assert_eq!(rest(&host, &memory, seat), [value]);
            }
        });
    }
}

/// A reader dies before each of its steps, while another reads and one sends; its seat is given back
/// then, and all it kept.
#[test]
fn a_reader_dies() {
    explore_deaths("feed: a reader dies", Some(1), |death, has_died| {
        let ([host, mortal, living], memory) = feeds(1);
        let seats = [subscribe(&host), subscribe(&host)];
        assert!(send(&host, &memory, 1, false));
        let memories = [memory.clone(), memory.clone()];
        let [of_mortal, of_living] = memories;
        let body = thread::spawn(move || {
            run_mortal(death, || receive(&mortal, &of_mortal, seats[0])).is_some()
        });
        let other = thread::spawn(move || receive(&living, &of_living, seats[1]));
        let lived = body.join().expect("ends");
        has_died.fetch_or(!lived, SeqCst);
        assert_eq!(other.join().expect("ends"), Some(Ok(1)));
        host.recover(MORTAL, &|place| memory.let_go(&host, place));
        host.leave(seats[0]);
        let tail = host.tail().expect("no damage");
        host.advance(tail, &|place| memory.let_go(&host, place));
        host.recover(MORTAL, &|place| memory.let_go(&host, place));
        assert_eq!(memory.0.load(SeqCst), 0);
        for value in [4, 5] {
            assert!(send(&host, &memory, value, false));
            assert_eq!(rest(&host, &memory, seats[1]), [value]);
        }
    });
}

/// Who subscribes dies before each of its steps, while one sends: its seat is free again.
#[test]
fn who_subscribes_dies() {
    explore_deaths("feed: who subscribes dies", Some(1), |death, has_died| {
        let ([host, mortal, _], memory) = feeds(1);
        let body = thread::spawn(move || run_mortal(death, || subscribe(&mortal)));
        let sent = [1, 2].map(|value| send(&host, &memory, value, false));
        let seat = body.join().expect("ends");
        has_died.fetch_or(seat.is_none(), SeqCst);
        host.recover(MORTAL, &|place| memory.let_go(&host, place));
        // What its subscription says, which is there if the seat is taken.
        let first = Seat {
            number: 0,
            generation: crate::prim::Generation::new(0),
        };
        if let Some(seat) = seat {
            assert_eq!(seat, first);
            let seen = rest(&host, &memory, seat);
            assert!(seen.len() <= 1 || sent == [true, true]);
        }
        host.leave(first);
        host.leave(first);
        let tail = host.tail().expect("no damage");
        host.advance(tail, &|place| memory.let_go(&host, place));
        assert_eq!((host.subscribers(), memory.0.load(SeqCst)), (0, 0));
        let seats = [subscribe(&host), subscribe(&host)];
        assert!(host.join().is_none() && send(&host, &memory, 3, false));
        for seat in seats {
            assert_eq!(rest(&host, &memory, seat), [3]);
        }
    });
}
