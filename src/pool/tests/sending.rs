//! Each step of a loan that others may refer to, on its way into a task or out of one.

use std::sync::Arc;

use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};

use super::*;
use crate::prim::SlotIndex;

const SLOT: SlotIndex = SlotIndex(3);

/// As serde's `rc` has it.
struct Rc(Arc<Loan>);

impl Serialize for Rc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn loan(pool: &Pool) -> Arc<Loan> {
    let mut loan = pool.alloc(5).expect("room");
    loan.copy_from_slice(b"bytes");
    Arc::new(loan)
}

/// The transfer of a value that is gone but for what others have of it.
fn encoded(loan: &Arc<Loan>) -> Transfer {
    all_encoded(vec![Rc(Arc::clone(loan))]).remove(0)
}

fn all_encoded<T: Serialize>(value: T) -> Vec<Transfer> {
    encoding(|| postcard::to_stdvec(&value).expect("encodes")).1
}

fn own(loan: Arc<Loan>) -> Loan {
    Arc::try_unwrap(loan).expect("the only one")
}

/// Whether it can be read, and written.
fn access(loan: &mut Arc<Loan>) -> (bool, bool) {
    let reads = loan[..] == b"bytes"[..];
    let bytes: &mut [u8] = Arc::get_mut(loan).expect("the only one");
    (reads, !bytes.is_empty())
}

#[test]
fn a_loan_of_one_owner_changes_hands() {
    let (host, _) = pools(1 << 20);
    let loan = pool_loan(&host);
    let at = loan.as_ptr();
    let mut going = all_encoded(loan).remove(0);
    assert_eq!(going.refusal(), None);
    assert_eq!(going.part(|_| Err(())), Ok(false), "no copy");
    assert_eq!(going.bytes().as_ptr(), at);
    going.accepted();
    drop(going);
    check_empty(&host);
}

fn pool_loan(pool: &Pool) -> Loan {
    own(loan(pool))
}

#[test]
fn while_it_goes_it_is_read_but_not_written() {
    let (host, _) = pools(1 << 20);
    let mut kept = loan(&host);
    let going = encoded(&kept);
    assert_eq!(access(&mut kept), (true, false));
    drop(going);
    assert_eq!(access(&mut kept), (true, true), "at home again");
}

#[test]
fn one_that_others_have_is_copied_and_was_sent() {
    let (host, _) = pools(1 << 20);
    let mut kept = loan(&host);
    let mut going = encoded(&kept);
    assert_eq!(going.part(|_| Err("no room")), Err("no room"));
    assert_eq!(access(&mut kept), (true, false), "it still goes");
    assert_eq!(going.part(|len| host.alloc(len)), Ok(true));
    assert_ne!(going.bytes().as_ptr(), kept.hold.at().as_ptr().cast_const());
    assert_eq!(going.bytes(), b"bytes");
    assert_eq!(access(&mut kept), (false, false), "sent");
    drop(going);
    assert_eq!(access(&mut kept), (false, false), "for ever");
    let again = encoded(&kept);
    assert!(again.refusal().is_some() && again.why_gone().is_some());
    drop(again);
    drop(kept);
    check_empty(&host);
}

/// Whoever is refused brings home what is his, and nothing of another's.
#[test]
fn a_second_sender_is_refused_and_changes_nothing() {
    let (host, _) = pools(1 << 20);
    let mut kept = loan(&host);
    let mut first = encoded(&kept);
    let second = encoded(&kept);
    assert!(first.refusal().is_none());
    assert!(second.refusal().is_some() && second.why_gone().is_none());
    drop(second);
    assert_eq!(access(&mut kept), (true, false), "it goes by the first");
    first.part(|len| host.alloc(len)).expect("room");
    first.accepted();
    drop(encoded(&kept));
    assert_eq!(access(&mut kept), (false, false), "sent");
}

#[test]
fn twice_in_one_argument_is_refused() {
    let (host, _) = pools(1 << 20);
    let one = loan(&host);
    let both = all_encoded((Rc(one.clone()), Rc(one)));
    let refused: Vec<_> = both.iter().map(|t| t.refusal().is_some()).collect();
    assert_eq!(refused, [false, true]);
    drop(both);
    check_empty(&host);
}

#[test]
fn twice_in_one_result_is_two() {
    let (host, worker) = pools(1 << 20);
    let one = loan(&worker);
    let both = all_encoded((Rc(one.clone()), Rc(one)));
    let parcels: Vec<_> = both
        .into_iter()
        .map(|t| t.into_result(SLOT, &[]).expect("room"))
        .collect();
    assert_ne!(parcels[0].index, parcels[1].index);
    for parcel in &parcels {
        let arrived = host.accept_result(parcel, SLOT, &[]).expect("carried");
        assert_eq!(arrived.bytes(), b"bytes");
    }
    check_empty(&host);
}

/// A cache may return the same again and again.
#[test]
fn a_result_that_others_have_stays_at_home() {
    let (host, worker) = pools(1 << 20);
    let mut kept = loan(&worker);
    for _ in 0..2 {
        let parcel = encoded(&kept).into_result(SLOT, &[]).expect("room");
        let arrived = host.accept_result(&parcel, SLOT, &[]).expect("carried");
        assert_eq!(arrived.bytes(), b"bytes");
        assert_eq!(access(&mut kept), (true, true));
    }
    // The same where parent and child are one process.
    let apart = encoded(&kept).alone().expect("room");
    assert_ne!(apart.bytes().as_ptr(), kept.as_ptr());
    assert_eq!(access(&mut kept), (true, true));
}

#[test]
fn an_error_or_a_panic_brings_it_home() {
    let (host, _) = pools(1 << 20);
    let mut kept = loan(&host);
    struct Bad(Rc, bool);
    impl Serialize for Bad {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)?;
            assert!(!self.1, "as it is asked to");
            Err(serde::ser::Error::custom("bad"))
        }
    }
    for panics in [false, true] {
        let bad = Bad(Rc(Arc::clone(&kept)), panics);
        let met = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            encoding(|| postcard::to_stdvec(&bad).is_err())
        }));
        assert!(met.is_err() == panics && met.is_ok_and(|(is_err, _)| is_err) != panics);
        drop(bad);
        assert_eq!(access(&mut kept), (true, true));
    }
}

/// `publish` looks before it touches the holders' words.
#[test]
fn nothing_is_published_of_what_is_another_s() {
    let (host, worker) = pools(1 << 20);
    // Going: it may be copied just now.
    let kept = loan(&host);
    let going = encoded(&kept);
    let empty = own(kept).publish();
    assert_eq!(empty.len(), 0);
    let (encoded_again, _) = encoding(|| postcard::to_stdvec(&empty));
    assert!(encoded_again.is_err(), "nor is it passed on");
    drop((going, empty));
    check_empty(&host);
    // Sent: the taker's own is not touched.
    let kept = loan(&host);
    let mut going = encoded(&kept);
    going.part(|len| host.alloc(len)).expect("room");
    let parcel = going.argument(&host).expect("own pool");
    let there = worker.accept_argument(&parcel, HOST).expect("arrives");
    let theirs = Loan::of(there.hold, there.len).publish();
    assert_eq!(own(kept).publish().len(), 0);
    drop(going);
    host.recover(ProcessId(7), |_| true, |_| false);
    assert_eq!(theirs[..], b"bytes"[..]);
    drop(theirs);
    check_empty(&host);
}

/// What is decoded where it was encoded is at home again.
#[test]
fn a_round_trip_in_one_process_is_none() {
    let (host, _) = pools(1 << 20);
    let loan = pool_loan(&host);
    let (bytes, sent) = encoding(|| postcard::to_stdvec(&loan).expect("encodes"));
    drop(loan);
    let mut back: Loan = decoding(&mut { sent }, || {
        postcard::from_bytes(&bytes).expect("is there")
    });
    back.fill(7);
    assert_eq!(back.publish()[..], [7; 5]);
    check_empty(&host);
}

/// A value whose encoding encodes or decodes others has its buffers apart from theirs.
#[test]
fn values_inside_of_values_have_lists_of_their_own() {
    struct Around<'a>(&'a Shared, &'a dyn Fn(), &'a Shared);
    impl Serialize for Around<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut both = serializer.serialize_tuple(2)?;
            both.serialize_element(self.0)?;
            (self.1)();
            both.serialize_element(self.2)?;
            both.end()
        }
    }
    let (host, _) = pools(1 << 20);
    let [first, inner, last] = [(); 3].map(|()| own(loan(&host)).publish());
    let encodes = || {
        let (bytes, met) = encoding(|| postcard::to_stdvec(&inner).expect("encodes"));
        assert_eq!(bytes, [0], "it is the first of its own");
        assert_eq!(met.len(), 1);
        assert_eq!(met[0].bytes().as_ptr(), inner.as_ptr());
    };
    let panics = || {
        let bad = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            encoding(|| {
                postcard::to_stdvec(&inner).expect("encodes");
                panic!("as it is asked to")
            })
        }));
        assert!(bad.is_err());
    };
    let decodes = || decoding(&mut Vec::new(), encodes);
    for inside in [&encodes as &dyn Fn(), &panics, &decodes] {
        let around = Around(&first, inside, &last);
        let (bytes, met) = encoding(|| postcard::to_stdvec(&around).expect("encodes"));
        assert_eq!(bytes, [0, 1]);
        let met: Vec<_> = met.iter().map(|met| met.bytes().as_ptr()).collect();
        assert_eq!(met, [first.as_ptr(), last.as_ptr()]);
    }
    drop((first, inner, last));
    check_empty(&host);
}
