//! Map and reduce by collective operations: one array, a range of it for each member, and what they
//! find brought together. Nothing of the array is copied.
//!
//! Then a member crashes, and the others go on without it.

use pinfold::Shared;
use pinfold::collective::{CollectiveError, Member};

const BINS: usize = 10;

/// How often the numbers of the array fall into each tenth of 0 to 1, and the largest of all.
fn histogram(
    (mut member, numbers): (Member, Option<Shared<f64>>),
) -> Result<Option<(Vec<u64>, f64)>, CollectiveError> {
    let part = member.scatter(0, numbers)?; // map: each has its range
    let mut counts = [0_u64; BINS];
    for number in &part[..] {
        counts[((number * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let largest = part.iter().copied().fold(0.0, f64::max);

    // reduce: to all, in place; and to the first one alone
    member.all_reduce_slice(&mut counts, |a, b| a + b)?;
    let largest = member.reduce(0, largest, f64::max)?;
    Ok(largest.map(|largest| (counts.to_vec(), largest)))
}

/// Adds up in rounds. One member crashes; those that are left shrink the group and go on.
fn rounds((mut member, crashes): (Member, bool)) -> Result<(usize, u64), CollectiveError> {
    let mut sum = 0;
    for round in 0..10 {
        if crashes && round == 5 {
            std::process::abort();
        }
        match member.all_reduce(1_u64, |a, b| a + b) {
            Ok(ones) => sum += ones,
            Err(CollectiveError::MemberDied { rank, worker }) => {
                eprintln!("member {rank} died with worker {worker}");
                member.shrink()?;
            }
            Err(CollectiveError::Shrinking { .. }) => member.shrink()?, // others knew before
            Err(other) => return Err(other),
        }
    }
    Ok((member.size(), sum))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(3).start()?;

    let mut numbers = rt.alloc_array::<f64>(1_000_000)?;
    for (n, number) in numbers.iter_mut().enumerate() {
        *number = (n as f64 * 0.618_033_988_75).fract();
    }
    let numbers = numbers.publish();
    let tasks = rt.spawn_group(histogram, [Some(numbers), None, None])?;
    let mut found = pinfold::join_all(tasks).into_iter();
    let (counts, largest) = found.next().expect("three")??.expect("the first has it");
    println!("{counts:?}, the largest is {largest:.6}");
    assert_eq!(counts.iter().sum::<u64>(), 1_000_000);
    assert!(counts.iter().all(|count| count.abs_diff(100_000) < 10));

    let told = pinfold::join_all(rt.spawn_group(rounds, [false, true, false])?);
    assert!(told[1].is_err());
    for living in [&told[0], &told[2]] {
        // Five rounds of three, one in which they were told, four of two.
        assert_eq!(living, &Ok(Ok((2, 5 * 3 + 4 * 2))));
    }
    println!("two of three members went on");
    Ok(())
}
