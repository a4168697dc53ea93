//! Messages that are handed over, and selects: who waits at the gates of lanes for whom. A wake that is
//! lost ends as a deadlock.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use super::{HOST, LIVING, MORTAL, lanes};
use crate::lane::{Lane, NotNow, Sent};
use crate::notify::{Gate, take_at_any, wait_any};
use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal};

/// As `object::wait` does, for as long as it takes.
fn wait<T>(gate: &Gate, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        let key = gate.prepare();
        if let Some(found) = look() {
            return found;
        }
        gate.wait(key, None);
    }
}

/// Puts a message into the place that was claimed, for whoever waits.
fn put(lane: &Lane, mine: crate::lane::Mine, value: u64) -> Sent {
    lane.pass_room_on();
    lane.write(&mine, 0, [value]);
    let sent = lane.fill(mine);
    lane.tell_message();
    sent
}

fn await_taken(lane: &Lane, sent: Sent) {
    wait(lane.for_room(), || (!lane.waits(sent)).then_some(()));
}

/// A `send` into a channel of capacity 0.
fn hand_over(lane: &Lane, value: u64) {
    let mine = wait(lane.for_room(), || lane.claim().ok());
    let sent = put(lane, mine, value);
    await_taken(lane, sent);
}

/// One look of a receiver.
fn look(lane: &Lane, hands_over: bool) -> Option<u64> {
    try_look(lane, hands_over).ok()
}

fn try_look(lane: &Lane, hands_over: bool) -> Result<u64, NotNow> {
    let taken = lane.take().inspect_err(|_| {
        if hands_over {
            lane.tell_wanted();
        }
    });
    let (mine, _) = taken?;
    let value = lane.read(&mine, 0);
    lane.empty(mine);
    lane.tell_room(hands_over);
    lane.pass_messages_on();
    Ok(value)
}

fn receive(lane: &Lane) -> u64 {
    wait(lane.for_message(), || look(lane, true))
}

/// Whether more may come; who waits for a message is told.
#[derive(Clone)]
struct Over(Arc<AtomicU64>);

impl Over {
    fn new() -> Self {
        Over(Arc::new(AtomicU64::new(0)))
    }

    fn set(&self, lane: &Lane) {
        // Relaxed: the barriers order it.
        self.0.store(1, Relaxed);
        lane.tell_end();
    }

    /// All that come, until none will.
    fn receive_all(&self, lane: &Lane, hands_over: bool) -> Vec<u64> {
        let next = || {
            wait(lane.for_message(), || {
                // Relaxed: as above. In this order: what was sent before is received.
                let is_over = self.0.load(Relaxed) == 1;
                match try_look(lane, hands_over) {
                    Ok(found) => Some(Some(found)),
                    Err(NotNow::Wait) if is_over => Some(None),
                    Err(_) => None,
                }
            })
        };
        std::iter::from_fn(next).collect()
    }
}

fn recover(lanes: &[&Lane]) {
    for lane in lanes {
        lane.recover(MORTAL, |_| ());
        lane.for_message().force();
        lane.for_room().force();
    }
}

/// Of two messages none comes twice, and none is missing but for `most`, which the dead had received
/// when it died, or was just taking.
fn only_one_went_along(mut seen: Vec<u64>, lost: u64, most: u64) {
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "{seen:?}");
    let missing = 2 - count as u64;
    assert!(missing <= most && lost <= missing, "{seen:?}, {lost} lost");
}

/// Two hand over, one takes both: each goes on when its message is taken.
#[test]
fn two_hand_over() {
    newest(|| {
        explore("lane: two hand over", Some(1), || {
            let [host, one, other] = lanes(1);
            let first = thread::spawn(move || hand_over(&one, 1));
            let second = thread::spawn(move || hand_over(&other, 2));
            let mut seen = [receive(&host), receive(&host)];
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
            first.join().expect("ends");
            second.join().expect("ends");
        });
    });
}

/// Who hands over takes its message back, just when somebody takes it: one of them has it.
#[test]
fn it_is_taken_or_taken_back() {
    explore("lane: taken or taken back", None, || {
        let [host, one, other] = lanes(1);
        let sender = thread::spawn(move || {
            let sent = put(&one, one.claim().expect("room"), 1);
            let back = one.take_back(sent);
            back.map(|mine| {
                one.empty(mine);
                one.tell_room(true);
            })
        });
        let receiver = thread::spawn(move || look(&other, true));
        let (back, taken) = (sender.join().expect("ends"), receiver.join().expect("ends"));
        let left = look(&host, true);
        assert_eq!(
            usize::from(back.is_some()) + usize::from(taken.is_some()),
            1,
            "{left:?}"
        );
        let next = host.claim().expect("the place is free");
        host.skip(next);
    });
}

/// Who hands over dies before each of its steps: who receives goes on, and another hands over.
#[test]
fn who_hands_over_dies() {
    newest(|| {
        explore_deaths("lane: who hands over dies", Some(1), |death, has_died| {
            let [host, mortal, living] = lanes(1);
            let over = Over::new();
            let body = thread::spawn(move || run_mortal(death, || hand_over(&mortal, 1)).is_some());
            let (receiver, is_over) = (host.of(HOST), over.clone());
            let receives = thread::spawn(move || is_over.receive_all(&receiver, true));
            let sent = body.join().expect("ends");
            has_died.fetch_or(!sent, SeqCst);
            recover(&[&host]);
            hand_over(&living, 2);
            over.set(&host);
            let seen = receives.join().expect("ends");
            assert!(seen == [1, 2] || (!sent && seen == [2]), "{seen:?}");
        });
    });
}

/// Who receives dies before each of its steps: who hands over goes on; one message is lost at most,
/// and counted.
#[test]
fn who_is_handed_it_dies() {
    newest(|| {
        explore_deaths("lane: who is handed it dies", Some(1), |death, has_died| {
            let [host, mortal, living] = lanes(1);
            let (rescuer, over) = (host.of(HOST), Over::new());
            let body = thread::spawn(move || {
                let taken = run_mortal(death, || look(&mortal, true));
                recover(&[&rescuer]);
                taken
            });
            let (receiver, is_over) = (host.of(LIVING), over.clone());
            let receives = thread::spawn(move || is_over.receive_all(&receiver, true));
            hand_over(&living, 1);
            hand_over(&living, 2);
            let taken = body.join().expect("ends");
            has_died.fetch_or(taken.is_none(), SeqCst);
            over.set(&host);
            let seen = receives.join().expect("ends");
            let most = u64::from(taken.is_none());
            let all = seen.into_iter().chain(taken.flatten()).collect();
            only_one_went_along(all, host.lost(), most);
        });
    });
}

/// One look of a select that would send into a channel of capacity 0.
fn look_for_wanted(lane: &Lane) -> Option<(usize, crate::lane::Mine)> {
    if !lane.is_wanted() {
        return None;
    }
    lane.claim().ok().map(|mine| (0, mine))
}

/// A select that would send, and who receives: one of them sees the other.
#[test]
fn a_select_that_sends_meets_who_receives() {
    newest(|| {
        explore("lane: a select that sends", Some(3), || {
            let [host, one, _] = lanes(1);
            let sends = thread::spawn(move || {
                let gates = [one.for_room()];
                let mine = take_at_any(
                    &gates,
                    |_| look_for_wanted(&one),
                    |keys| {
                        wait_any(keys, None);
                        true
                    },
                );
                let sent = put(&one, mine.expect("somebody receives"), 7);
                await_taken(&one, sent);
            });
            assert_eq!(receive(&host), 7);
            sends.join().expect("ends");
        });
    });
}

/// What a select has taken of two lanes.
fn select(lanes: &[Lane; 2]) -> u64 {
    let gates = [lanes[0].for_message(), lanes[1].for_message()];
    let taken = take_at_any(
        &gates,
        |opened| {
            let mut all = opened.into_iter().chain(0..lanes.len());
            all.find_map(|at| Some((at, look(&lanes[at], false)?)))
        },
        |keys| {
            wait_any(keys, None);
            true
        },
    );
    taken.expect("it goes on until then")
}

fn send(lane: &Lane, value: u64) {
    let mine = lane.claim().expect("room");
    put(lane, mine, value);
}

/// A select takes one of each of two lanes, into which others send meanwhile.
#[test]
fn a_select_takes_from_both() {
    newest(|| {
        explore("lane: a select of two", Some(2), || {
            let [a, to_a, _] = lanes(1);
            let [b, to_b, _] = lanes(1);
            let first = thread::spawn(move || send(&to_a, 1));
            let second = thread::spawn(move || send(&to_b, 2));
            let both = [a, b];
            let mut seen = [select(&both), select(&both)];
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
            first.join().expect("ends");
            second.join().expect("ends");
        });
    });
}

/// A select of two lanes and a receiver of one of them: the one that is chosen for the other's
/// message passes the wake on.
#[test]
fn a_select_beside_a_receiver_keeps_no_wake() {
    newest(|| {
        explore("lane: a select beside a receiver", Some(2), || {
            let [a, to_a, at_a] = lanes(2);
            let [b, to_b, _] = lanes(2);
            let receives = thread::spawn(move || wait(at_a.for_message(), || look(&at_a, false)));
            let sends = thread::spawn(move || {
                send(&to_b, 2);
                send(&to_a, 1);
            });
            // If this takes both, there is one for the other afterwards.
            let both = [a.clone(), b];
            let first = select(&both);
            if first == 1 {
                send(&a, 1);
            }
            assert_eq!(receives.join().expect("ends"), 1);
            sends.join().expect("ends");
        });
    });
}

/// A select dies before each of its steps: who receives from one of its lanes gets what is there.
#[test]
fn a_select_dies() {
    newest(|| {
        explore_deaths("lane: a select dies", Some(1), |death, has_died| {
            let [a, mortal_a, to_a] = lanes(1);
            let [b, mortal_b, to_b] = lanes(1);
            let over = Over::new();
            let both = [mortal_a, mortal_b];
            let body = thread::spawn(move || run_mortal(death, || select(&both)));
            let (receiver, is_over) = (a.of(HOST), over.clone());
            let receives = thread::spawn(move || is_over.receive_all(&receiver, false));
            send(&to_a, 1);
            send(&to_b, 2);
            let taken = body.join().expect("ends");
            has_died.fetch_or(taken.is_none(), SeqCst);
            recover(&[&a, &b]);
            over.set(&a);
            let mut seen = receives.join().expect("ends");
            seen.extend(look(&b, false));
            let most = u64::from(taken.is_none());
            seen.extend(taken);
            only_one_went_along(seen, a.lost() + b.lost(), most);
        });
    });
}

/// Two send while two receive, one message each: none sleeps beside a message, though who claims first
/// may move the tail last.
#[test]
fn each_of_two_receivers_is_told() {
    newest(|| {
        explore("lane: two receivers are told", Some(2), || {
            let [host, one, other] = lanes(2);
            let takes =
                |lane: Lane| thread::spawn(move || wait(lane.for_message(), || look(&lane, false)));
            let receivers = [takes(one.clone()), takes(other)];
            let sends = thread::spawn(move || send(&one, 1));
            send(&host, 2);
            sends.join().expect("ends");
            let mut seen = receivers.map(|receiver| receiver.join().expect("ends"));
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
        });
    });
}

/// Two receive what is there, and do not come again, while two wait for room: none sleeps beside it,
/// though who takes first may move the head last.
#[test]
fn each_of_two_senders_is_told() {
    newest(|| {
        explore("lane: two senders are told", Some(2), || {
            let [host, one, other] = lanes(2);
            send(&host, 1);
            send(&host, 2);
            let sends = |lane: Lane| {
                thread::spawn(move || {
                    let mine = wait(lane.for_room(), || lane.claim().ok());
                    put(&lane, mine, 3);
                })
            };
            let senders = [sends(one.clone()), sends(other)];
            let takes = thread::spawn(move || look(&one, false));
            let seen = [look(&host, false), takes.join().expect("ends")];
            assert!(seen.iter().all(Option::is_some), "{seen:?}");
            for sender in senders {
                sender.join().expect("ends");
            }
        });
    });
}

/// One sends just when it becomes over, while two wait: both hear of it, though both may have found the
/// message being written, and one only has it.
#[test]
fn all_hear_that_it_is_over_though_one_still_sends() {
    newest(|| {
        explore("lane: it is over while one sends", Some(2), || {
            let [host, one, other] = lanes(1);
            let over = Over::new();
            let receives = |lane: Lane, over: Over| {
                thread::spawn(move || over.receive_all(&lane, false).len())
            };
            let receivers = [
                receives(one.clone(), over.clone()),
                receives(other, over.clone()),
            ];
            let is_over = over.clone();
            let sends = thread::spawn(move || {
                let mine = one.claim().expect("room");
                one.write(&mine, 0, [1]);
                let _ = one.fill(mine);
                // Relaxed: the barriers order it.
                one.tell_message_or_end(|| is_over.0.load(Relaxed) == 1);
            });
            over.set(&host);
            sends.join().expect("ends");
            let seen: usize = receivers
                .map(|each| each.join().expect("ends"))
                .iter()
                .sum();
            assert!(seen <= 1);
        });
    });
}
