//! Arrays, and ranges of shared buffers: whatever way they go, they arrive as they are, and
//! nothing is copied.

use pinfold::bytemuck::{Pod, Zeroable};
use pinfold::{AllocError, Constant, Loan, RangeError, Runtime, Shared, TaskError};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::api::runtime;
use crate::processes::{send, until};

const LEN: usize = 10_000;

/// Some with a meaning of each byte, and an alignment that is not that of a block by chance.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[bytemuck(crate = "pinfold::bytemuck")]
#[repr(C, align(64))]
struct Cell {
    number: u64,
    rest: [u32; 14],
}

fn array(rt: &Runtime, len: usize) -> Shared<u32> {
    let mut loan = rt.alloc_array::<u32>(len).expect("room");
    assert!(loan.iter().all(|n| *n == 0));
    for (n, element) in loan.iter_mut().enumerate() {
        *element = n as u32;
    }
    loan.publish()
}

/// Ranges where something may go wrong: all of it, none of it, one element, an end missing.
fn ranges(array: &Shared<u32>) -> Vec<Shared<u32>> {
    let len = array.len();
    let middle = len / 2;
    let mut all = Vec::new();
    for (start, end) in [
        (0, len),
        (0, 0),
        (middle, middle),
        (len, len),
        (0, 1.min(len)),
        (len.saturating_sub(1), len),
        (1.min(len), len),
        (0, len.saturating_sub(1)),
        (len / 3, middle.max(len / 3)),
    ] {
        all.push(array.slice(start..end).expect("inside"));
    }
    all
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Nested {
    Pair {
        name: String,
        pair: (Shared<u32>, Option<Shared<u32>>),
    },
    List(Vec<Nested>),
}

fn same<T>(value: T) -> T {
    value
}

fn sum(range: Shared<u32>) -> u64 {
    range.iter().map(|n| u64::from(*n)).sum()
}

fn sum_of(numbers: &[u32]) -> u64 {
    numbers.iter().map(|n| u64::from(*n)).sum()
}

fn by_child(range: Shared<u32>) -> Result<Shared<u32>, TaskError> {
    let part = range.slice(range.len() / 2..).expect("inside");
    let child = pinfold::spawn(
        |(all, part): (Shared<u32>, Shared<u32>)| {
            assert_eq!(all[all.len() / 2..], part[..]);
            (part, all)
        },
        (range, part),
    );
    child.join().map(|(_, all)| all)
}

fn is_clean(rt: &Runtime) {
    until("no block is held", || {
        let audit = rt.audit();
        audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried == 0
    });
    assert_eq!(rt.audit().orphans, Vec::<String>::new());
}

/// Lengths around those at which blocks are of another size, or arguments go another way.
#[test]
fn a_range_goes_every_way_as_it_is() {
    let rt = runtime(2);
    for len in [
        0, 1, 2, 15, 16, 17, 64, 1000, 16_384, 16_385, 32_768, 32_769, 200_000,
    ] {
        let all = array(&rt, len);
        for range in ranges(&all) {
            let expected = sum_of(&range);
            let at = range.as_ptr();
            let came = |back: Shared<u32>| {
                assert_eq!(back, range);
                assert_eq!(back.as_ptr(), at, "the very same memory");
            };
            came(rt.spawn(same, range.clone()).join().expect("comes"));
            came(
                rt.try_spawn(same, range.clone())
                    .expect("room")
                    .join()
                    .expect("comes"),
            );
            came(
                rt.spawn(by_child, range.clone())
                    .join_flat()
                    .expect("comes"),
            );
            let first = rt.spawn(same::<Shared<u32>>, range.clone());
            let after = rt.spawn_after(&first, |((), range): ((), Shared<u32>)| range, ());
            came(first.join().expect("comes"));
            came(after.join().expect("comes"));
            let nested = Nested::List(vec![Nested::Pair {
                name: "n".repeat(len.min(100)),
                pair: (range.clone(), Some(all.clone())),
            }]);
            assert_eq!(rt.spawn(same, nested.clone()).join(), Ok(nested));
            let constant = rt.constant((range.clone(), all.clone())).expect("room");
            let seen = |c: Constant<(Shared<u32>, Shared<u32>)>| (sum(c.0.clone()), c.0.clone());
            let (total, back) = rt.spawn(seen, constant.clone()).join().expect("comes");
            assert_eq!(total, expected);
            came(back);
        }
        let ranges = ranges(&all);
        let sums: Vec<u64> = ranges.iter().map(|range| sum_of(range)).collect();
        let mapped = rt.map(sum, ranges.clone()).collect::<Result<Vec<u64>, _>>();
        assert_eq!(mapped.as_ref(), Ok(&sums));
        let chunked = rt.task(sum).chunked().chunk_size(4).map(ranges.clone());
        assert_eq!(chunked.collect::<Result<Vec<u64>, _>>().as_ref(), Ok(&sums));
        assert_eq!(rt.spawn(same, ranges.clone()).join(), Ok(ranges));
    }
    is_clean(&rt);
}

#[test]
fn a_scattered_array_is_one_block() {
    let rt = runtime(2);
    let all = array(&rt, LEN);
    let total = sum_of(&all);
    let parts = all.slices(300).expect("some");
    assert_eq!((parts.len(), rt.audit().blocks_shared), (34, 1));
    drop(all);
    let sums = rt.map(sum, parts).collect::<Result<Vec<u64>, _>>();
    assert_eq!(sums.expect("all").iter().sum::<u64>(), total);
    is_clean(&rt);
}

#[test]
fn ranges_of_what_a_task_has_made_come_without_a_copy() {
    let rt = runtime(1);
    let make = |len: usize| -> Result<Vec<Shared<u64>>, AllocError> {
        let mut loan = pinfold::alloc_array::<u64>(len)?;
        for (n, element) in loan.iter_mut().enumerate() {
            *element = n as u64;
        }
        Ok(loan.publish().slices(1000).into_iter().flatten().collect())
    };
    let parts = rt.spawn(make, LEN).join_flat().expect("comes");
    assert_eq!((parts.len(), rt.audit().blocks_shared), (10, 1));
    assert!(parts.concat().into_iter().eq(0..LEN as u64));
    let (first, last) = (parts[0].clone(), parts[9].clone());
    drop(parts);
    assert_eq!((first[999], last[999]), (999, 9999), "a range keeps it all");
    drop((first, last));
    // What is kept where it was made is copied: as much of it as is returned.
    thread_local! {
        static KEPT: std::cell::RefCell<Option<Shared<u64>>> = const { std::cell::RefCell::new(None) };
    }
    let part = rt.spawn(
        |len: usize| -> Result<Shared<u64>, AllocError> {
            let all = pinfold::alloc_array::<u64>(len)?.publish();
            let part = all.slice(len - 10..).expect("inside");
            KEPT.set(Some(all));
            Ok(part)
        },
        LEN,
    );
    assert_eq!(part.join_flat().expect("comes")[..], [0; 10]);
    let free = rt.spawn(|()| drop(KEPT.take()), ());
    free.join().expect("comes");
    is_clean(&rt);
}

#[test]
fn an_array_that_is_written_changes_hands() {
    let rt = runtime(1);
    let mut loan = rt.alloc_array::<Cell>(3).expect("room");
    assert_eq!((loan.len(), loan.as_ptr().addr() % 64), (3, 0));
    assert!(loan.capacity() >= 3);
    loan[1].number = 5;
    let at = loan.as_ptr();
    let write = |mut loan: Loan<Cell>| {
        loan[2].rest[13] = loan[1].number as u32 + 1;
        loan.truncate(3);
        loan
    };
    let loan = rt.spawn(write, loan).join().expect("comes");
    assert_eq!((loan[2].rest[13], loan.as_ptr()), (6, at));
    let shared = loan.publish();
    let bytes = shared.try_cast::<u8>().expect("bytes are anything");
    assert_eq!(
        (bytes.len(), &bytes[64..72]),
        (192, &5_u64.to_ne_bytes()[..])
    );
    assert_eq!(bytes.try_cast::<Cell>().as_ref(), Ok(&shared));
    drop((shared, bytes));
    is_clean(&rt);
}

#[test]
fn what_cannot_be_an_array_is_refused() {
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(1 << 20)
        .start()
        .expect("start");
    let capacity = 1 << 20;
    for (len, requested) in [
        (usize::MAX, usize::MAX),
        (usize::MAX / 8, usize::MAX - 7),
        (1 << 18, 1 << 21),
    ] {
        let error = rt.alloc_array::<f64>(len).map(drop).expect_err("too much");
        assert_eq!(
            error,
            AllocError::TooLarge {
                requested,
                capacity
            }
        );
    }
    let much = rt.alloc_array::<u8>(900_000).expect("room");
    let error = rt
        .alloc_array::<f64>(100_000)
        .map(drop)
        .expect_err("no room");
    assert_eq!(
        error,
        AllocError::Exhausted {
            requested: 800_000,
            capacity
        }
    );
    drop(much);
    assert_eq!(rt.alloc_array::<f64>(0).expect("none is enough").len(), 0);
    let outside = pinfold::alloc_array::<f64>(1).map(drop);
    assert_eq!(outside, Err(AllocError::NoPool));
    is_clean(&rt);
}

/// As a task says it who passes a range on.
#[test]
fn a_range_past_the_end_says_both_ends() {
    let rt = runtime(1);
    let cut = |(all, start, end): (Shared<u32>, usize, usize)| all.slice(start..end);
    let all = array(&rt, 10);
    for (start, end, message) in [
        (3, 11, "the range ends at 11, and the buffer at 10"),
        (11, 11, "the range ends at 11, and the buffer at 10"),
        (7, 3, "the range begins at 7, and ends before that, at 3"),
    ] {
        let refused = rt
            .spawn(cut, (all.clone(), start, end))
            .join()
            .expect("comes");
        assert_eq!(
            refused.map_err(|error: RangeError| error.to_string()),
            Err(message.into())
        );
    }
    drop(all);
    is_clean(&rt);
}

#[test]
fn more_than_255_ranges_in_an_argument_or_a_result_are_refused() {
    let rt = runtime(1);
    let all = array(&rt, 300);
    let parts: Vec<_> = all.slices(1).expect("some").collect();
    let most = parts[..255].to_vec();
    assert_eq!(rt.spawn(same, most.clone()).join(), Ok(most));
    match rt.spawn(same, parts).join() {
        Err(TaskError::Arguments { message, .. }) => assert!(message.contains("255"), "{message}"),
        other => panic!("{other:?}"),
    }
    let cut = |all: Shared<u32>| all.slices(1).into_iter().flatten().collect::<Vec<_>>();
    match rt.spawn(cut, all).join() {
        Err(TaskError::Result { message, .. }) => assert!(message.contains("255"), "{message}"),
        other => panic!("{other:?}"),
    }
    is_clean(&rt);
}

/// Workers die with ranges that came to them, that they have made, and that they return.
#[test]
fn who_dies_with_ranges_leaves_nothing() {
    let rt = runtime(2);
    let all = array(&rt, LEN);
    let parts: Vec<_> = all.slices(1000).expect("some").collect();
    let die = |part: Shared<u32>| -> Shared<u32> {
        let mine = pinfold::alloc_array::<u32>(part.len())
            .expect("room")
            .publish();
        let half = mine.slice(..part.len() / 2).expect("inside");
        let one = part.slice(1..2).expect("inside");
        std::mem::forget((part, mine, half, one.clone()));
        if one[0] % 2000 == 1 {
            std::process::abort();
        }
        one
    };
    let handles: Vec<_> = parts
        .iter()
        .map(|part| rt.spawn(die, part.clone()))
        .collect();
    for (handle, part) in handles.into_iter().zip(&parts) {
        match handle.join() {
            Ok(one) => assert_eq!(one[..], part[1..2]),
            Err(TaskError::WorkerDied { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // The others forgot theirs: they live in the workers, which go now.
    for worker in rt.stats().workers {
        send(worker.pid as u32, Signal::KILL);
    }
    drop((all, parts));
    is_clean(&rt);
    let all = array(&rt, LEN);
    let part = all.slice(5..8).expect("inside");
    assert_eq!(rt.spawn(sum, part).join(), Ok(18), "and it goes on");
}
