//! One array, many tasks: the host fills an array of numbers in shared memory and publishes it.
//! Each task gets a range of it, without a copy; what the tasks return is put together again.

use pinfold::{AllocError, Runtime, Shared};

const LEN: usize = 1_000_000;
const PART: usize = 30_000;

fn sum(part: Shared<f64>) -> f64 {
    part.iter().sum()
}

/// A task allocates with `pinfold::alloc_array`, and returns what it has published.
fn halved(part: Shared<f64>) -> Result<Shared<f64>, AllocError> {
    let mut halves = pinfold::alloc_array(part.len())?;
    for (half, number) in halves.iter_mut().zip(&part[..]) {
        *half = number / 2.0;
    }
    Ok(halves.publish())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = Runtime::builder().workers(2).start()?;

    let mut numbers = rt.alloc_array::<f64>(LEN)?; // all 0
    for (n, number) in numbers.iter_mut().enumerate() {
        *number = n as f64;
    }
    let numbers = numbers.publish(); // read-only from here on

    // Scatter: a range for each task; sum up what comes back.
    let sums = rt.map(sum, numbers.slices(PART)?);
    let total = sums.sum::<Result<f64, _>>()?;
    println!("the sum of {LEN} numbers in {PART}s: {total}");
    assert_eq!(total, (LEN as f64 - 1.0) * LEN as f64 / 2.0);

    // Gather: each part comes back as a buffer of its own; `concat` copies them into one `Vec`.
    let halves = rt.map(halved, numbers.slices(PART)?);
    let halves: Vec<Shared<f64>> = halves
        .map(|half| Ok::<_, Box<dyn std::error::Error>>(half??))
        .collect::<Result<_, _>>()?;
    let halves: Vec<f64> = halves.concat();
    assert!(
        halves
            .iter()
            .zip(&numbers[..])
            .all(|(half, number)| half * 2.0 == *number)
    );
    println!("{} halves in the order of the numbers", halves.len());

    // A range of a range is one too. One past the end is an error.
    let middle = numbers.slice(LEN / 4..)?.slice(..LEN / 2)?;
    assert_eq!(
        rt.spawn(sum, middle).join()?,
        (LEN / 4..LEN * 3 / 4).sum::<usize>() as f64
    );
    let error = numbers.slice(..=LEN).expect_err("there are no more");
    println!("refused: {error}");
    Ok(())
}
