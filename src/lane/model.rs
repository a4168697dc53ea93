//! The lanes' own source in every order of steps. Run by `scripts/models`.

mod handing;
mod looking;

use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Lane, NotNow, Size};
use crate::prim::ProcessId;
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::shm::Segment;

const AREA: usize = 1;
pub const HOST: ProcessId = ProcessId(0);
pub const MORTAL: ProcessId = ProcessId(1);
pub const LIVING: ProcessId = ProcessId(2);

fn lanes(capacity: usize) -> [Lane; 3] {
    lanes_of(capacity, 0)
}

/// The same lane as three processes see it; its plain messages have so many bytes.
pub fn lanes_of(capacity: usize, plain: usize) -> [Lane; 3] {
    let segment = Segment::empty();
    let size = Size {
        capacity,
        area: AREA,
        plain,
    };
    let host = Lane::create(&segment, 0, HOST, size, 0);
    [host.clone(), host.of(MORTAL), host.of(LIVING)]
}

/// False if there is no room now.
fn send(lane: &Lane, value: u64) -> bool {
    match lane.claim() {
        Ok(mine) => {
            lane.write(&mine, 0, [value]);
            let _ = lane.fill(mine);
            true
        }
        Err(NotNow::Damaged(what)) => panic!("{what}"),
        Err(_) => false,
    }
}

/// `None` if there is no message now.
fn receive(lane: &Lane) -> Option<u64> {
    match lane.take() {
        Ok((mine, _)) => {
            let value = lane.read(&mine, 0);
            lane.empty(mine);
            Some(value)
        }
        Err(NotNow::Damaged(what)) => panic!("{what}"),
        Err(_) => None,
    }
}

fn rest(lane: &Lane) -> Vec<u64> {
    std::iter::from_fn(|| receive(lane)).collect()
}

/// Two senders, one of which sends twice, while a receiver looks twice: nothing is lost or
/// comes twice, and what one has sent comes in its order; in lanes that wrap meanwhile.
#[test]
fn two_senders() {
    for capacity in [1, 2] {
        explore("lane: two senders", Some(2), move || {
            let [host, one, other] = lanes(capacity);
            let first = thread::spawn(move || [send(&one, 1), send(&one, 2)]);
            let second = thread::spawn(move || send(&other, 3));
            let mut seen: Vec<u64> = [receive(&host), receive(&host)]
                .into_iter()
                .flatten()
                .collect();
            let [sent_1, sent_2] = first.join().expect("ends");
            let sent_3 = second.join().expect("ends");
            seen.extend(rest(&host));
            let at = |value: u64| seen.iter().position(|v| *v == value);
            let sent = [(1, sent_1), (2, sent_2), (3, sent_3)];
            assert!(
                sent.iter()
                    .all(|(value, sent)| at(*value).is_some() == *sent)
            );
            assert!(!(sent_1 && sent_2) || at(1) < at(2));
            assert_eq!(seen.len(), sent.iter().filter(|(_, sent)| *sent).count());
        });
    }
}

/// Two receivers share what one sender sends meanwhile.
#[test]
fn two_receivers() {
    for capacity in [1, 2] {
        explore("lane: two receivers", Some(2), move || {
            let [host, one, other] = lanes(capacity);
            assert!(send(&host, 1));
            let first = thread::spawn(move || receive(&one));
            let second = thread::spawn(move || receive(&other));
            let sent = send(&host, 2);
            let mut seen: Vec<u64> = [first.join().expect("ends"), second.join().expect("ends")]
                .into_iter()
                .flatten()
                .collect();
            seen.extend(rest(&host));
            seen.sort_unstable();
            assert_eq!(seen, if sent { vec![1, 2] } else { vec![1] });
        });
    }
}

/// A sender dies before each of its steps, while another sends; after the recovery what the
/// other has sent is there, and of the dead's what was whole.
#[test]
fn a_sender_dies() {
    explore_deaths("lane: a sender dies", Some(2), |death, has_died| {
        let [host, mortal, living] = lanes(2);
        let body = thread::spawn(move || run_mortal(death, || send(&mortal, 1)).is_some());
        let other = thread::spawn(move || send(&living, 2));
        let sent = body.join().expect("ends");
        has_died.fetch_or(!sent, SeqCst);
        assert!(other.join().expect("ends"), "there is room for both");
        host.recover(MORTAL, |_| ());
        let mut seen = rest(&host);
        seen.sort_unstable();
        assert!(seen == [1, 2] || (!sent && seen == [2]), "{seen:?}");
        // All places are there again.
        assert_eq!(
            [send(&host, 3), send(&host, 4), send(&host, 5)],
            [true, true, false]
        );
    });
}

/// A receiver dies before each of its steps, while another receives: no message comes twice,
/// and one is lost at most, which is counted.
#[test]
fn a_receiver_dies() {
    explore_deaths("lane: a receiver dies", Some(2), |death, has_died| {
        let [host, mortal, living] = lanes(2);
        assert!(send(&host, 1) && send(&host, 2));
        let body = thread::spawn(move || run_mortal(death, || receive(&mortal)));
        let other = thread::spawn(move || receive(&living));
        let taken = body.join().expect("ends");
        has_died.fetch_or(taken.is_none(), SeqCst);
        let other = other.join().expect("ends");
        let mut seen: Vec<u64> = taken.flatten().into_iter().chain(other).collect();
        host.recover(MORTAL, |_| ());
        seen.extend(rest(&host));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() as u64 + host.lost(), 2);
        assert_eq!(
            [send(&host, 3), send(&host, 4), send(&host, 5)],
            [true, true, false]
        );
    });
}
