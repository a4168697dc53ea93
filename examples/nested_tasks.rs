//! Tasks that spawn tasks: two halves at a time, many in a scope, and one that is given up.

use std::time::Duration;

use pinfold::TaskError;

/// So few numbers are sorted at once.
const FEW: usize = 1000;

/// The two halves of a list are sorted at the same time, and so are the halves of these.
fn sort(mut numbers: Vec<u32>) -> Vec<u32> {
    if numbers.len() <= FEW {
        numbers.sort_unstable();
        return numbers;
    }
    let right = numbers.split_off(numbers.len() / 2);
    // Another worker may take the right half; if none does, it is sorted here, after the left.
    let (left, right) = pinfold::join(sort, numbers, sort, right);
    match (left, right) {
        (Ok(left), Ok(right)) => merge(left, right),
        (Err(error), _) | (_, Err(error)) => panic!("one half: {error}"),
    }
}

fn merge(left: Vec<u32>, right: Vec<u32>) -> Vec<u32> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        let next = if l <= r { left.next() } else { right.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

fn is_prime(n: u32) -> bool {
    n > 1 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d))
}

/// All children have ended when the scope does; if one fails the others are cancelled.
fn count_primes(below: u32) -> Result<usize, String> {
    let children = pinfold::scope(|s| {
        let starts = (0..below).step_by(FEW);
        let count = |from: u32| (from..from + FEW as u32).filter(|n| is_prime(*n)).count();
        starts.map(|from| s.spawn(count, from)).collect::<Vec<_>>()
    });
    let children = children.map_err(|error| error.to_string())?;
    let counts = pinfold::Child::join_all(children).into_iter();
    counts
        .sum::<Result<usize, TaskError>>()
        .map_err(|error| error.to_string())
}

/// Works with a thread of its own, which hears when the task is to end.
fn endless((): ()) -> Result<(), String> {
    let ctx = pinfold::context().handle();
    let worker = std::thread::spawn(move || {
        while !ctx.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    worker.join().map_err(|_| "the thread panicked")?;
    pinfold::context()
        .check()
        .map_err(|error| error.to_string())
}

/// Waits for a child no longer than it likes.
fn impatient((): ()) -> Result<String, String> {
    let mut child = pinfold::spawn(endless, ());
    // With nothing else to do, another worker begins it; what nobody has begun `join_timeout`
    // would run here.
    std::thread::sleep(Duration::from_millis(100));
    if !child.is_finished() {
        child.cancel();
    }
    match child.join_timeout(Duration::from_secs(10)) {
        Some(outcome) => Ok(format!("the endless one: {outcome:?}")),
        None => Err("it does not listen".to_owned()),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    // A multiplicative generator: the same numbers each time.
    let numbers: Vec<u32> = (0..20_000)
        .scan(1u32, |last, _| {
            *last = last.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(*last)
        })
        .collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();
    assert_eq!(rt.spawn(sort, numbers).join()?, expected);
    println!("{} numbers sorted", expected.len());
    let primes = rt.spawn(count_primes, 20_000).join_flat()?;
    println!("{primes} primes below 20,000");
    assert_eq!(primes, 2262);
    println!("{}", rt.spawn(impatient, ()).join_flat()?);
    Ok(())
}
