//! Ranges of blocks and arrays, on their way and at rest.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::pool::array::array;
use crate::pool::{CastError, RangeError};
use crate::prim::SlotIndex;

const SLOT: SlotIndex = SlotIndex(3);

fn numbers(pool: &Pool, len: usize) -> Shared<u32> {
    let mut loan = array::<u32>(len, |len| pool.alloc(len)).expect("room");
    for (n, element) in loan.iter_mut().enumerate() {
        *element = n as u32;
    }
    loan.publish()
}

fn encoded<T: Serialize>(value: T) -> (Vec<u8>, Vec<Transfer>) {
    let (bytes, sent) = encoding(|| postcard::to_stdvec(&value).expect("encodes"));
    drop(value);
    (bytes, sent)
}

fn decoded<T: DeserializeOwned>(bytes: &[u8], mut arrived: Vec<Transfer>) -> T {
    decoding(&mut arrived, || {
        postcard::from_bytes(bytes).expect("decodes")
    })
}

fn as_argument(sent: &[Transfer], from: &Pool, to: &Pool) -> (Vec<Parcel>, Vec<Transfer>) {
    let parcels: Vec<_> = sent
        .iter()
        .map(|t| t.argument(from).expect("own"))
        .collect();
    let accept = |p: &Parcel| to.accept_argument(p, HOST).expect("arrives");
    let arrived = parcels.iter().map(accept).collect();
    (parcels, arrived)
}

fn as_result(sent: Vec<Transfer>, arguments: &[Parcel]) -> Vec<Parcel> {
    let mut parcels = Vec::new();
    let mut sent = sent.into_iter();
    while let Some(one) = sent.next() {
        let parcel = one.into_result_among(SLOT, arguments, &parcels, sent.as_slice());
        parcels.push(parcel.expect("room"));
    }
    parcels
}

#[test]
fn a_range_is_in_a_parcel_whatever_it_is() {
    for start in [0, 1, (1 << 24) - 1, 1 << 24, Parcel::STARTS - 1] {
        for generation in [0, (1 << Generation::BITS) - 1] {
            let parcel = Parcel {
                kind: ParcelKind::Borrowed,
                index: BlockIndex(u32::MAX),
                generation: Generation::new(generation),
                start,
                len: u64::MAX,
            };
            assert_eq!(Parcel::unpack(parcel.pack()), Some(parcel));
        }
    }
}

#[test]
fn a_range_arrives_as_it_is_and_comes_back() {
    let (host, worker) = pools(1 << 20);
    let all = numbers(&host, 1000);
    let part = all.slice(100..110).expect("inside");
    let at = part.as_ptr();
    let none = all.slice(1000..).expect("at the end");
    let (bytes, sent) = encoded((part, none, all));
    assert_eq!(sent.len(), 3);
    let (parcels, arrived) = as_argument(&sent, &host, &worker);
    type Three = (Shared<u32>, Shared<u32>, Shared<u32>);
    let (part, none, all): Three = decoded(&bytes, arrived);
    assert_eq!(part[..], (100..110).collect::<Vec<_>>()[..]);
    assert_eq!((none.len(), none.start(), all.len()), (0, 4000, 1000));
    // A range of the range goes back by reference.
    let (bytes, back) = encoded(part.slice(2..4).expect("inside"));
    let back = as_result(back, &parcels);
    assert_eq!(back[0].kind, ParcelKind::Borrowed);
    let back = host.accept_results(&back, SLOT, &sent).expect("held");
    let back: Shared<u32> = decoded(&bytes, back);
    assert_eq!(back[..], [102, 103]);
    assert_eq!(back.as_ptr(), at.wrapping_add(2), "the same memory");
    drop((part, none, all));
    drop(sent);
    assert_eq!(host.in_use(), [0, 1, 0], "a range keeps it all");
    drop(back);
    check_empty(&host);
}

#[test]
fn ranges_of_a_block_are_handed_over_together() {
    let (host, worker) = pools(1 << 20);
    let all = numbers(&worker, 100);
    let other = numbers(&worker, 5);
    let parts: Vec<_> = all.slices(30).expect("some").collect();
    drop(all);
    let (bytes, sent) = encoded((parts, other.clone(), other));
    assert_eq!(sent.len(), 5, "what is there twice is sent once");
    let parcels = as_result(sent, &[]);
    assert_eq!(host.in_use(), [0, 0, 2]);
    let arrived = host.accept_results(&parcels, SLOT, &[]).expect("carried");
    type Parts = (Vec<Shared<u32>>, Shared<u32>, Shared<u32>);
    let (parts, other, again): Parts = decoded(&bytes, arrived);
    assert_eq!(host.in_use(), [0, 2, 0], "nothing was copied");
    assert!(parts.concat().into_iter().eq(0..100));
    assert_eq!(other, again);
    drop((other, again));
    assert!(host.accept_results(&parcels, SLOT, &[]).is_none(), "once");
    drop(parts);
    check_empty(&host);
}

#[test]
fn of_what_is_held_elsewhere_a_range_is_copied() {
    let (host, worker) = pools(1 << 20);
    let kept = numbers(&worker, 10_000);
    let parts: Vec<_> = kept.slices(3000).expect("some").collect();
    let (bytes, sent) = encoded(parts);
    let parcels = as_result(sent, &[]);
    let arrived = host.accept_results(&parcels, SLOT, &[]).expect("copied");
    let parts: Vec<Shared<u32>> = decoded(&bytes, arrived);
    assert_eq!(parts.concat()[..], kept[..]);
    for part in &parts {
        assert_eq!(part.as_ptr().addr() % 64, 0);
        assert!(part.hold.block().capacity < 15_000, "no more than it is");
    }
    drop((kept, parts));
    check_empty(&host);
}

/// What a process gone wild may have written there.
#[test]
fn what_is_not_in_the_block_is_refused() {
    let (host, worker) = pools(1 << 20);
    let shared = host.alloc(1000).expect("room").publish();
    let capacity = shared.hold.block().capacity as u64;
    let (_, sent) = encoded(shared.clone());
    let good = sent[0].argument(&host).expect("own pool");
    let loan = Transfer::of_loan(host.alloc(1000).expect("room"));
    let loan_parcel = loan.argument(&host).expect("own pool");
    let wrong = [
        (0, capacity + 1),
        (1, capacity),
        (capacity, 1),
        (capacity + 1, 0),
        (Parcel::STARTS - 1, 1000),
        (1000, u64::MAX),
        (1, u64::MAX),
        (0, u64::MAX),
    ];
    for (start, len) in wrong {
        let parcel = Parcel { start, len, ..good };
        assert!(
            worker.accept_argument(&parcel, HOST).is_none(),
            "{parcel:?}"
        );
        let kind = ParcelKind::Borrowed;
        let parcel = Parcel { kind, ..parcel };
        let parcels = [parcel];
        assert!(host.accept_results(&parcels, SLOT, &sent).is_none());
        // Behind a good one, as another range of what that has brought.
        let mine = encoded(worker.alloc(1000).expect("room").publish()).1;
        let carried = as_result(mine, &[])[0];
        let parcels = [
            carried,
            Parcel {
                start,
                len,
                ..carried
            },
        ];
        assert!(host.accept_results(&parcels, SLOT, &[]).is_none());
    }
    for (start, len) in [(0, capacity), (capacity, 0), (capacity - 1, 1)] {
        let parcel = Parcel { start, len, ..good };
        assert!(
            worker.accept_argument(&parcel, HOST).is_some(),
            "{parcel:?}"
        );
    }
    // One of two may be a loan: then it is no range of a shared one.
    let mine = Transfer::of_loan(worker.alloc(1000).expect("room"));
    let carried = mine.into_result(SLOT, &[]).expect("carried");
    let kind = ParcelKind::SharedResult;
    let parcels = [carried, Parcel { kind, ..carried }];
    assert!(host.accept_results(&parcels, SLOT, &[]).is_none());
    let parcel = Parcel {
        start: 8,
        ..loan_parcel
    };
    assert!(
        worker.accept_argument(&parcel, HOST).is_none(),
        "a loan is whole"
    );
    drop((shared, sent, loan));
    check_empty(&host);
}

/// As a task gets it whose argument is of another type than what was sent.
#[test]
fn what_is_no_array_of_the_type_is_not_decoded() {
    let (host, _) = pools(1 << 20);
    let bytes = host.alloc(64).expect("room").publish();
    for (range, expected) in [(1..9, "past a multiple"), (8..20, "no whole number")] {
        let (encoded, mut sent) = encoded(bytes.slice(range).expect("inside"));
        let as_words = decoding(&mut sent, || postcard::from_bytes::<Shared<u64>>(&encoded));
        // The format says no more than that it was refused.
        assert!(as_words.is_err(), "{expected}");
    }
    let error = bytes.slice(1..9).expect("inside").try_cast::<u64>();
    assert_eq!(error, Err(CastError::Alignment { off: 1, align: 8 }));
    let loan = host.alloc(20).expect("room");
    let (encoded, mut sent) = encoded(loan);
    let as_words = decoding(&mut sent, || postcard::from_bytes::<Loan<u64>>(&encoded));
    assert!(as_words.is_err());
    drop((bytes, as_words));
    check_empty(&host);
}

#[test]
fn an_array_begins_at_a_line_whatever_its_length() {
    let (host, worker) = pools(8 << 20);
    for len in (0..600).chain([4096, 100_001, 1 << 20]) {
        let mut others = Vec::new();
        for _ in 0..3 {
            let mut loan = array::<u8>(len, |len| host.alloc(len)).expect("room");
            assert_eq!(loan.as_ptr().addr() % 64, 0, "{len}");
            assert_eq!((loan.len(), loan.iter().any(|b| *b != 0)), (len, false));
            loan.fill(7);
            others.push(loan);
        }
        drop(others);
        // A copy of it as well, be it as an argument or as a result.
        let shared = worker.alloc(len + 3).expect("room").publish();
        let part = shared.slice(3..).expect("inside");
        let parcels = as_result(encoded(part).1, &[]);
        let copy = host.accept_results(&parcels, SLOT, &[]).expect("copied");
        assert_eq!(copy[0].bytes().as_ptr().addr() % 64, 0, "{len}");
        assert_eq!(copy[0].bytes().len(), len);
    }
    check_empty(&host);
}

#[test]
fn an_array_that_is_too_large_is_refused_as_such() {
    let (host, _) = pools(1 << 20);
    let of = |len| array::<u64>(len, |len| host.alloc(len)).map(drop);
    for (len, requested) in [
        (usize::MAX, usize::MAX),
        (usize::MAX / 8 + 1, usize::MAX),
        (usize::MAX / 8, usize::MAX - 7),
        ((1 << 20) / 8 + 1, (1 << 20) + 8),
    ] {
        let capacity = 1 << 20;
        let expected = AllocError::TooLarge {
            requested,
            capacity,
        };
        assert_eq!(of(len), Err(expected), "{len}");
    }
    assert_eq!(of((1 << 20) / 8), Ok(()));
    check_empty(&host);
}

#[test]
fn who_dies_with_ranges_leaves_nothing() {
    let (host, worker) = pools(1 << 20);
    let all = numbers(&host, 1000);
    let parts: Vec<_> = all.slices(100).expect("some").collect();
    let (bytes, sent) = encoded(parts);
    let (_, arrived) = as_argument(&sent, &host, &worker);
    let theirs: Vec<Shared<u32>> = decoded(&bytes, arrived);
    let own = numbers(&worker, 1000).slice(500..).expect("inside");
    let made: Vec<_> = numbers(&worker, 10).slices(3).expect("some").collect();
    let carried = as_result(encoded(made).1, &[]);
    assert_eq!(host.in_use(), [0, 2, 1]);
    std::mem::forget((theirs, own));
    let found = host.recover(WORKER, |_| false, |_| false);
    assert_eq!((found.freed, found.released), (1, 2), "{found:?}");
    assert!(host.accept_results(&carried, SLOT, &[]).is_none());
    assert_eq!(host.in_use(), [0, 1, 0]);
    drop((all, sent));
    check_empty(&host);
}

/// Half-way of a result of several ranges: what was handed over is taken back.
#[test]
fn a_result_of_ranges_is_taken_back() {
    let (host, worker) = pools(1 << 20);
    let parts: Vec<_> = numbers(&worker, 100).slices(30).expect("some").collect();
    let parcels = as_result(encoded(parts).1, &[]);
    for parcel in &parcels {
        drop(worker.accept_result(parcel, SLOT, &[]));
    }
    check_empty(&host);
}

#[test]
fn what_is_no_range_is_refused_with_both_ends() {
    let (host, _) = pools(1 << 20);
    let all = numbers(&host, 10);
    let past = |end| Err(RangeError::PastEnd { end, len: 10 });
    assert_eq!(all.slice(..11).map(drop), past(11));
    assert_eq!(all.slice(..=10).map(drop), past(11));
    assert_eq!(all.slice(11..).map(drop), past(11));
    assert_eq!(all.slice(..=usize::MAX).map(drop), past(usize::MAX));
    assert_eq!(all.slice(usize::MAX..).map(drop), past(usize::MAX));
    let bounds = (
        std::ops::Bound::Excluded(usize::MAX),
        std::ops::Bound::Unbounded,
    );
    assert_eq!(all.slice(bounds).map(drop), past(usize::MAX));
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let reversed = all.slice(7..3).map(drop);
    assert_eq!(reversed, Err(RangeError::Reversed { start: 7, end: 3 }));
    assert_eq!(all.slice_at(11).map(drop), past(11));
    assert!(matches!(
        all.slices(0).map(drop),
        Err(RangeError::Zero { len: 10 })
    ));
    assert_eq!(all.slices(usize::MAX).expect("one").len(), 1);
    assert_eq!(
        all.slice(10..)
            .expect("empty")
            .slices(3)
            .expect("none")
            .len(),
        0
    );
}

proptest! {
    /// A range of a range of a range is what it is of a `Vec`, sent or not.
    #[test]
    fn ranges_are_those_of_a_vec(len in 0_usize..500, cuts in prop::collection::vec((0_usize..520, 0_usize..520, any::<bool>()), 0..8)) {
        let (host, worker) = pools(1 << 20);
        let mut model: Vec<u32> = (0..len as u32).collect();
        let mut shared = numbers(&host, len);
        for (a, b, is_sent) in cuts {
            match shared.slice(a..b) {
                Ok(part) => {
                    model = model[a..b].to_vec();
                    shared = part;
                }
                Err(RangeError::PastEnd { end, len }) => {
                    prop_assert!(a <= b && b == end && len == model.len() && end > len);
                }
                Err(error) => prop_assert_eq!(error, RangeError::Reversed { start: a, end: b }),
            }
            prop_assert_eq!(&shared[..], &model[..]);
            let pieces: Vec<_> = shared.slices(a + 1).expect("some").collect();
            prop_assert!(pieces.iter().map(|piece| &piece[..]).eq(model.chunks(a + 1)));
            if is_sent {
                let (bytes, sent) = encoded(shared);
                let (parcels, arrived) = as_argument(&sent, &host, &worker);
                let there: Shared<u32> = decoded(&bytes, arrived);
                prop_assert_eq!(&there[..], &model[..]);
                let (bytes, back) = encoded(there);
                let back = as_result(back, &parcels);
                shared = decoded(&bytes, host.accept_results(&back, SLOT, &sent).expect("held"));
            }
        }
        prop_assert_eq!(&shared[..], &model[..]);
        drop(shared);
        check_empty(&host);
    }
}
