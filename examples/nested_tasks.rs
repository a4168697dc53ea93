//! Tasks that spawn tasks: the two halves of a list are sorted at the same time, and so
//! are the halves of these.

/// So few numbers are sorted at once.
const FEW: usize = 1000;

fn sort(mut numbers: Vec<u32>) -> Vec<u32> {
    if numbers.len() <= FEW {
        numbers.sort_unstable();
        return numbers;
    }
    let right = numbers.split_off(numbers.len() / 2);
    // Another worker may take it; if none does, `join` runs it here.
    let right = pinfold::spawn(sort, right);
    let left = sort(numbers);
    match right.join() {
        Ok(right) => merge(left, right),
        Err(error) => panic!("the right half: {error}"),
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
    Ok(())
}
