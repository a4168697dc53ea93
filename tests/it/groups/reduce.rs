//! Combining in workers.

use pinfold::TaskError;

use super::*;
use crate::api::runtime;

/// Associative, not commutative: a text of numbers.
fn text(n: u64) -> String {
    format!("{n} ")
}

fn join((mut a, b): (String, String)) -> String {
    a.push_str(&b);
    a
}

#[test]
fn the_order_is_kept() {
    let rt = runtime(2);
    for count in [0, 1, 2, 3, 5, 7, 8, 63, 64, 65, 1000, 20_000] {
        let reduced = rt.task(text).reduce(0..count, join);
        let expected: String = (0..count).map(text).collect();
        let expected = (count > 0).then_some(expected);
        assert_eq!(reduced, Ok(expected), "{count} items");
    }
    is_whole(&rt);
}

/// What is combined with what, as a text.
fn bracket((a, b): (String, String)) -> String {
    format!("({a}{b})")
}

/// Blocks of a power of two; what is left over from the right.
fn tree(from: u64, to: u64) -> String {
    fn block(from: u64, len: u64) -> String {
        match len {
            1 => text(from),
            _ => bracket((block(from, len / 2), block(from + len / 2, len / 2))),
        }
    }
    let len = 1 << (to - from).ilog2();
    let first = block(from, len);
    if from + len == to {
        return first;
    }
    bracket((first, tree(from + len, to)))
}

/// The grouping is that of the numbers of the items, however many travel together.
#[test]
fn the_grouping_depends_on_nothing_but_the_number_of_items() {
    let rt = runtime(2);
    fn slow(n: u64) -> String {
        std::thread::sleep(std::time::Duration::from_micros(n % 7 * 50));
        text(n)
    }
    for count in [1, 2, 3, 6, 7, 100, 1000, 1023, 1025] {
        let expected = Ok(Some(tree(0, count)));
        let quick = rt.task(text).reduce(0..count, bracket);
        assert!(quick == expected, "{count} items");
        let single = rt.task(text).in_flight(1).reduce(0..count, bracket);
        assert!(single == expected, "{count} items, one in flight");
        let slow = rt.task(slow).reduce(0..count, bracket);
        assert!(slow == expected, "{count} slow items");
    }
    is_whole(&rt);
}

#[test]
fn many_items() {
    let rt = runtime(2);
    let sum = rt.task(|n: u64| n).reduce(0..100_000, |(a, b)| a + b);
    assert_eq!(sum, Ok(Some(99_999 * 50_000)));
    let chunks = rt.stats().tasks.submitted;
    assert!(chunks < 100_000 / 4, "{chunks} tasks");
    is_whole(&rt);
}

#[test]
fn an_error_ends_it() {
    let rt = runtime(2);
    // Endless, but for the error.
    let fell = rt
        .task(|n: u64| if n < 3000 { 1 } else { fussy(3 * n) })
        .reduce(1.., |(a, b)| a + b);
    assert!(matches!(fell, Err(TaskError::Panicked { .. })), "{fell:?}");
    let combined = rt.task(square).reduce(0.., |(a, b): (u64, u64)| {
        assert!(a + b < 1_000_000, "too much");
        a + b
    });
    let Err(TaskError::Panicked { message, .. }) = combined else {
        panic!("{combined:?}");
    };
    assert!(message.contains("too much"), "{message}");
    let died = rt.task(deadly).reduce(1.., |(a, b)| a + b);
    assert!(
        matches!(died, Err(TaskError::WorkerDied { .. })),
        "{died:?}"
    );
    is_whole(&rt);
}

#[test]
fn deaths_do_not_matter_if_it_may_be_repeated() {
    let rt = runtime(2);
    let door = Door::new();
    fn dies_once((n, marks): (u64, PathBuf)) -> String {
        if n.is_multiple_of(500) && std::fs::File::create_new(marks.join(n.to_string())).is_ok() {
            deadly(0);
        }
        text(n)
    }
    let items = (0..3000).map(|n| (n, door.0.path().to_owned()));
    let reduced = rt.task(dies_once).safe_to_repeat(10).reduce(items, join);
    assert_eq!(reduced, Ok(Some((0..3000).map(text).collect())));
    assert!(rt.stats().restarts >= 1);
    is_whole(&rt);
}
