//! The lanes' own source in every order of steps. Run by `scripts/models`.

mod handing;
mod looking;

use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{Lane, Mine, NotNow, Shape};
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
    of_shape(Shape {
        plain,
        ..Shape::of(capacity, AREA)
    })
}

fn of_shape(shape: Shape) -> [Lane; 3] {
    let segment = Segment::empty();
    let host = Lane::create(&segment, 0, HOST, shape, 0);
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

/// One whose messages are acknowledged: two wait, or one and one that is kept.
fn acked_lanes() -> [Lane; 3] {
    of_shape(Shape {
        behind: 1,
        ..Shape::of(2, AREA)
    })
}

fn take_any(lane: &Lane) -> Option<(u64, Mine)> {
    let mine = match lane.take_returned() {
        Some(mine) => mine,
        None => lane.take().ok()?.0,
    };
    Some((lane.read(&mine, 0), mine))
}

/// Receives one and acknowledges it, when `reads` has seen it.
fn receive_acked(lane: &Lane, reads: impl FnOnce(u64)) -> Option<u64> {
    let (value, mine) = take_any(lane)?;
    reads(value);
    lane.acknowledge(&mine);
    lane.empty(mine);
    Some(value)
}

fn rest_acked(lane: &Lane) -> Vec<u64> {
    std::iter::from_fn(|| receive_acked(lane, |_| ())).collect()
}

/// After the death of the mortal.
fn hand_on(host: &Lane) {
    host.give_back_all(MORTAL);
    host.recover(MORTAL, |_| ());
}

/// A receiver dies before each of its steps, while another receives: what it had not begun to
/// acknowledge comes to another, once.
#[test]
fn a_receiver_that_acknowledges_dies() {
    explore_deaths(
        "lane: one that acknowledges dies",
        Some(2),
        |death, has_died| {
            let [host, mortal, living] = acked_lanes();
            for value in [1, 2] {
                assert!(
                    host.claim_within(0)
                        .map(|mine| fill(&host, mine, value))
                        .is_ok()
                );
            }
            let dealt = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let deals = std::sync::Arc::clone(&dealt);
            let body = thread::spawn(move || {
                run_mortal(death, || {
                    receive_acked(&mortal, |value| deals.store(value, SeqCst))
                })
            });
            let other = thread::spawn(move || receive_acked(&living, |_| ()));
            let ended = body.join().expect("ends");
            has_died.fetch_or(ended.is_none(), SeqCst);
            let mut seen: Vec<u64> = other.join().expect("ends").into_iter().collect();
            hand_on(&host);
            seen.extend(rest_acked(&host));
            seen.sort_unstable();
            let dealt = dealt.load(SeqCst);
            // What the dead had read it may have acknowledged, or not.
            assert!(
                seen == [1, 2] || (dealt > 0 && seen == [3 - dealt]),
                "{seen:?}, {dealt}"
            );
            assert!(ended.is_none() || seen.len() == 1, "it was acknowledged");
            assert_eq!(host.lost(), 0);
            let sent =
                [3, 4, 5].map(|value| host.claim_within(0).map(|mine| fill(&host, mine, value)));
            assert_eq!(sent.map(|sent| sent.is_ok()), [true, true, false]);
        },
    );
}

fn fill(lane: &Lane, mine: Mine, value: u64) {
    lane.write(&mine, 0, [value]);
    lane.set_header(&mine, 0);
    let _ = lane.fill(mine);
}

/// A receiver gives back what it has taken, and dies before each of its steps, while another looks for
/// what was given back: nothing is lost, and whoever looks next finds it.
#[test]
fn what_is_given_back_is_found() {
    explore_deaths(
        "lane: one that gives back dies",
        Some(2),
        |death, has_died| {
            let [host, mortal, living] = acked_lanes();
            for value in [1, 2] {
                assert!(
                    host.claim_within(0)
                        .map(|mine| fill(&host, mine, value))
                        .is_ok()
                );
            }
            let body = thread::spawn(move || {
                let gives_back = || {
                    if let Some((_, mine)) = take_any(&mortal) {
                        mortal.give_back(mine);
                    }
                    // It may take away the sign of another's.
                    if let Some((_, mine)) = take_any(&mortal) {
                        mortal.give_back(mine);
                    }
                };
                run_mortal(death, gives_back).is_some()
            });
            let other = thread::spawn(move || {
                if let Some((_, mine)) = take_any(&living) {
                    living.give_back(mine);
                }
                receive_acked(&living, |_| ())
            });
            let lives = body.join().expect("ends");
            has_died.fetch_or(!lives, SeqCst);
            let mut seen: Vec<u64> = other.join().expect("ends").into_iter().collect();
            if !lives {
                hand_on(&host);
            }
            seen.extend(rest_acked(&host));
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
            assert_eq!(host.unacknowledged(), (0, 0));
        },
    );
}

/// Two senders of a lane that is bounded by weight, one of which dies before each of its steps, while
/// a receiver takes: what waits is never too heavy, and all room is there again.
#[test]
fn what_waits_is_not_too_heavy() {
    explore_deaths("lane: a weighed sender dies", Some(2), |death, has_died| {
        let [host, mortal, living] = of_shape(Shape {
            weight: 3,
            ..Shape::of(2, AREA)
        });
        let send = |lane: &Lane, weight| match lane.claim_within(weight) {
            Ok(mine) => {
                lane.write(&mine, 0, [weight]);
                let _ = lane.fill(mine);
                true
            }
            Err(NotNow::Damaged(what)) => panic!("{what}"),
            Err(_) => false,
        };
        assert!(send(&host, 1));
        let body = thread::spawn(move || run_mortal(death, || send(&mortal, 2)));
        let other = thread::spawn(move || send(&living, 2));
        let taken = receive(&host);
        let ended = body.join().expect("ends");
        has_died.fetch_or(ended.is_none(), SeqCst);
        let sent = other.join().expect("ends");
        host.recover(MORTAL, |_| ());
        let waits = rest(&host);
        assert!(waits.iter().sum::<u64>() <= 3, "{waits:?}");
        let count = waits.len() + usize::from(taken.is_some());
        let whole = usize::from(ended == Some(true)) + usize::from(sent) + 1;
        assert!(count == whole || (ended.is_none() && count == whole + 1));
        assert!(send(&host, 3), "all is taken");
        assert!(!send(&host, 1), "and no more fits");
        assert_eq!(receive(&host), Some(3));
    });
}
