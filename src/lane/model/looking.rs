//! Looking without taking: what a select knows of a lane by one word, and what a process has seen of a lane
//! of which nobody takes anything.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{HOST, LIVING, MORTAL, lanes, lanes_of, send};
use crate::lane::{Board, Lane, Mine, Still, Taken};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};

/// How much was done, as whoever does it says.
#[derive(Clone)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn new() -> Self {
        Count(Arc::new(AtomicU64::new(0)))
    }

    fn add(&self) {
        // ordering: Release pairs with the Acquire in `get`.
        self.0.fetch_add(1, Ordering::Release);
    }

    fn get(&self) -> u64 {
        // ordering: see `add`.
        self.0.load(Ordering::Acquire)
    }
}

/// Looks twice while `count` grows: when it is more than `most`, nothing says any more that there is
/// nothing, whether it was had before or after.
fn is_never_still<'a>(count: &Count, most: u64, still: impl Fn() -> Option<Still<'a>>) {
    for _ in 0..2 {
        let before = still();
        let is_there = count.get() > most;
        let after = still();
        for still in [before, after].into_iter().flatten() {
            assert!(!is_there || !still.is_so());
        }
    }
}

fn put(lane: &Lane, is_plain: bool, value: u64) -> bool {
    match is_plain {
        true => lane.send_plain(&[value]).is_ok(),
        false => send(lane, value),
    }
}

fn take(lane: &Lane) -> bool {
    match lane.take_plain(&mut [0]) {
        Ok(Taken::Plain) => true,
        Ok(Taken::Other(mine)) => {
            lane.empty(mine);
            true
        }
        Err(_) => false,
    }
}

/// While two are sent, and another takes one of them: who looks by one word is not told that there is
/// none when there is one. With headers, and plain, as long as each side is one thread's.
#[test]
fn what_is_there_is_seen() {
    newest(|| {
        for (capacity, plain) in [(1, 0), (2, 0), (1, 8), (2, 8)] {
            explore("still: a message", Some(2), move || {
                let [host, one, other] = lanes_of(capacity, plain);
                let sent = Count::new();
                let counts = sent.clone();
                let sends = thread::spawn(move || {
                    for value in 0..2 {
                        if put(&one, plain > 0, value) {
                            counts.add();
                        }
                    }
                });
                let takes = thread::spawn(move || take(&other));
                is_never_still(&sent, 1, || host.no_message());
                sends.join().expect("ends");
                takes.join().expect("ends");
            });
        }
    });
}

/// The same of room, while two are taken from a lane that was full, and another sends one; it has been
/// through a lap before.
#[test]
fn what_is_free_is_seen() {
    newest(|| {
        for (capacity, plain) in [(2, 0), (2, 8)] {
            explore("still: room", Some(2), move || {
                let [host, one, other] = lanes_of(capacity, plain);
                let (sender, receiver) = (other, one);
                for _ in 0..2 {
                    assert!(put(&sender, plain > 0, 1));
                }
                assert!(take(&receiver) && put(&sender, plain > 0, 2));
                let taken = Count::new();
                let counts = taken.clone();
                let takes = thread::spawn(move || {
                    for _ in 0..2 {
                        if take(&receiver) {
                            counts.add();
                        }
                    }
                });
                let sends = thread::spawn(move || put(&sender, plain > 0, 3));
                is_never_still(&taken, 1, || host.no_room());
                takes.join().expect("ends");
                sends.join().expect("ends");
            });
        }
    });
}

/// All that is on a board that is to be seen, with its numbers.
fn all(board: &Board<u64>, lane: &Lane) -> Vec<(usize, u64)> {
    let read = |place: &Mine| Some(lane.read(place, 0));
    let places = board.look(lane, read);
    let seen = board.seen(places).map(|(number, item)| (number, *item));
    seen.collect()
}

/// Two put something on a board while two threads of a process look: each number is the same for all,
/// who was told of something sees it, and what one has seen the other has.
#[test]
fn a_board_is_the_same_for_all() {
    newest(|| {
        explore("board: the same for all", Some(2), || {
            let [host, one, other] = lanes(2);
            let (put, board) = (Count::new(), Arc::new(Board::new(2)));
            let puts = |lane: Lane, value| {
                let put = put.clone();
                thread::spawn(move || {
                    assert!(send(&lane, value));
                    put.add();
                })
            };
            let both = [puts(one, 1), puts(other, 2)];
            let (same, there) = (Arc::clone(&board), host.of(HOST));
            let looks = thread::spawn(move || all(&same, &there));
            let is_there = put.get() as usize;
            let seen = all(&board, &host);
            // One that is being written holds up those behind it, and was begun before.
            assert!(is_there < 2 || seen.len() == 2);
            let others = looks.join().expect("ends");
            for puts in both {
                puts.join().expect("ends");
            }
            let whole = all(&Board::new(2), &host);
            assert_eq!(all(&board, &host), whole);
            assert_eq!(whole.len(), 2);
            assert!(whole.starts_with(&seen) && whole.starts_with(&others));
        });
    });
}

/// One that puts something there dies before each of its steps: what the other has put there is seen by
/// all under the same number.
#[test]
fn who_puts_something_on_a_board_dies() {
    newest(|| {
        explore_deaths("board: who puts dies", Some(2), |death, has_died| {
            let [host, mortal, living] = lanes(2);
            let board = Board::new(2);
            let body = thread::spawn(move || run_mortal(death, || send(&mortal, 1)).is_some());
            let other = thread::spawn(move || send(&living, 2));
            let early = all(&board, &host);
            let sent = body.join().expect("ends");
            has_died.fetch_or(!sent, SeqCst);
            assert!(other.join().expect("ends"));
            host.recover(MORTAL, |_| ());
            let (seen, whole) = (all(&board, &host), all(&Board::new(2), &host.of(LIVING)));
            assert_eq!(seen, whole);
            assert!(whole.starts_with(&early));
            let values: Vec<u64> = whole.iter().map(|(_, value)| *value).collect();
            assert!(values.contains(&2) && (!sent || values.contains(&1)));
        });
    });
}
