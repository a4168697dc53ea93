//! Sides with an owner, in every order of steps. Run by `scripts/models`.

use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::super::model::{LIVING, MORTAL, lanes_of};
use super::super::{Lane, NotNow};
use super::Taken;
use crate::prim::mortal::{explore, explore_deaths, run_mortal};

fn lanes(capacity: usize) -> [Lane; 3] {
    lanes_of(capacity, 8)
}

/// False if there is no room now, or somebody else is inside.
fn send(lane: &Lane, value: u64) -> bool {
    match lane.send_plain(&[value]) {
        Ok(()) => true,
        Err(NotNow::Damaged(what)) => panic!("{what}"),
        Err(_) => false,
    }
}

/// `None` if there is no message now, or somebody else is inside.
fn receive(lane: &Lane) -> Option<u64> {
    let mut words = [0];
    match lane.take_plain(&mut words) {
        Ok(Taken::Plain) => Some(words[0]),
        Ok(Taken::Other(_)) => panic!("all are plain"),
        Err(NotNow::Damaged(what)) => panic!("{what}"),
        Err(_) => None,
    }
}

fn rest(lane: &Lane) -> Vec<u64> {
    std::iter::from_fn(|| receive(lane)).collect()
}

/// One sends three messages through fewer places while the other looks: it sees them in their order,
/// and none that is written meanwhile.
#[test]
fn one_to_one() {
    for capacity in [1, 2] {
        explore("sides: one to one", Some(3), move || {
            let [host, one, _] = lanes(capacity);
            let sender = thread::spawn(move || [1, 2, 3].map(|value| send(&one, value)));
            let seen: Vec<u64> = [receive(&host), receive(&host)]
                .into_iter()
                .flatten()
                .collect();
            let sent = sender.join().expect("ends");
            let all = seen.into_iter().chain(rest(&host)).collect::<Vec<_>>();
            let values = [1, 2, 3].into_iter().zip(sent);
            let expected: Vec<u64> = values.filter(|(_, sent)| *sent).map(|(v, _)| v).collect();
            assert_eq!(all, expected);
        });
    }
}

/// Another one sends while the owner does: it takes the side over. Each message that was sent is
/// received once.
#[test]
fn another_sender() {
    for capacity in [1, 2] {
        explore("sides: another sender", Some(2), move || {
            let [host, one, other] = lanes(capacity);
            let first = thread::spawn(move || [send(&one, 1), send(&one, 2)]);
            let sent_3 = send(&other, 3);
            let [sent_1, sent_2] = first.join().expect("ends");
            let seen = rest(&host);
            let at = |value: u64| seen.iter().position(|v| *v == value);
            for (value, sent) in [(1, sent_1), (2, sent_2), (3, sent_3)] {
                assert_eq!(at(value).is_some(), sent);
            }
            assert!(!(sent_1 && sent_2) || at(1) < at(2));
            assert_eq!(
                seen.len(),
                [sent_1, sent_2, sent_3].iter().filter(|s| **s).count()
            );
        });
    }
}

/// Another one receives while the owner does: each message goes to one of them, and is there again
/// for nobody, though its place is used again.
#[test]
fn another_receiver() {
    for capacity in [1, 2] {
        explore("sides: another receiver", Some(2), move || {
            let [host, one, other] = lanes(capacity);
            assert!(send(&host, 1));
            let first = thread::spawn(move || receive(&one));
            let second = receive(&other);
            let sent = send(&host, 2);
            let mut seen: Vec<u64> = [first.join().expect("ends"), second]
                .into_iter()
                .flatten()
                .collect();
            seen.extend(rest(&host));
            seen.sort_unstable();
            assert_eq!(seen, if sent { vec![1, 2] } else { vec![1] });
        });
    }
}

/// An owner of the senders' side dies before each of its steps, while another sends. After the
/// recovery what was sent is there, once; and all places.
#[test]
fn a_sender_dies() {
    explore_deaths("sides: a sender dies", Some(2), |death, has_died| {
        let [host, mortal, living] = lanes(2);
        let body = thread::spawn(move || run_mortal(death, || send(&mortal, 1)));
        let other = send(&living, 2);
        let sent = body.join().expect("ends");
        has_died.fetch_or(sent.is_none(), SeqCst);
        host.recover(MORTAL, |_| panic!("nobody takes any"));
        let mut seen = rest(&host);
        seen.sort_unstable();
        let is_there = |value: u64| seen.contains(&value);
        assert_eq!(is_there(2), other);
        assert!(sent.is_none() || sent == Some(is_there(1)));
        assert!(seen.len() == usize::from(is_there(1)) + usize::from(is_there(2)));
        assert_eq!(
            [send(&host, 3), send(&host, 4), send(&host, 5)],
            [true, true, false]
        );
        assert_eq!(rest(&host), [3, 4]);
    });
}

/// An owner of the receivers' side dies before each of its steps, while another receives. No message
/// comes twice, and one is missing at most.
#[test]
fn a_receiver_dies() {
    explore_deaths("sides: a receiver dies", Some(2), |death, has_died| {
        let [host, mortal, living] = lanes(2);
        assert!(send(&host, 1) && send(&host, 2));
        let body = thread::spawn(move || run_mortal(death, || receive(&mortal)));
        let other = receive(&living);
        let taken = body.join().expect("ends");
        has_died.fetch_or(taken.is_none(), SeqCst);
        let is_dead = taken.is_none();
        host.recover(MORTAL, |_| panic!("they are plain"));
        let mut seen: Vec<u64> = taken.flatten().into_iter().chain(other).collect();
        seen.extend(rest(&host));
        seen.sort_unstable();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all, "once each");
        // What the dead had taken, and said so, is missing without a word of it: as it would be
        // after its return.
        assert!(all == 2 || (is_dead && all == 1), "{seen:?}");
        assert_eq!(
            [send(&host, 3), send(&host, 4), send(&host, 5)],
            [true, true, false]
        );
        assert_eq!(rest(&host), [3, 4]);
    });
}

/// Whoever puts a message there when nobody will take it lets go of all, or leaves that to another who does so
/// at the same time: nothing stays.
#[test]
fn two_let_go_of_all() {
    explore("sides: two let go of all", Some(2), || {
        let [host, one, other] = lanes(2);
        let first = thread::spawn(move || {
            if send(&one, 1) {
                one.drain(|_| {});
            }
        });
        if send(&other, 2) {
            other.drain(|_| {});
        }
        first.join().expect("ends");
        assert_eq!(rest(&host), []);
    });
}

/// The same of who has given the last receiver back, and of one that gives up the place before.
#[test]
fn all_is_let_go_of_behind_a_place_that_is_given_up() {
    explore("sides: let go of behind what is given up", Some(2), || {
        let [host, one, other] = lanes(2);
        let mine = other.claim().expect("room");
        let first = thread::spawn(move || {
            if send(&one, 1) {
                one.drain(|_| {});
            }
        });
        other.skip(mine);
        other.drain(|_| {});
        first.join().expect("ends");
        assert_eq!(rest(&host), []);
    });
}
