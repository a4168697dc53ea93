//! Large data without a copy: the host fills a buffer in shared memory, every
//! worker reads its part of the same bytes, and one of them returns a buffer of
//! its own making.

use pinfold::{AllocError, Shared};

const PARTS: usize = 16;

fn sum_part((data, part): (Shared, usize)) -> u64 {
    let len = data.len() / PARTS;
    data[part * len..][..len]
        .iter()
        .map(|b| u64::from(*b))
        .sum()
}

fn inverted(data: Shared) -> Result<Shared, String> {
    let message = |error: AllocError| error.to_string();
    let mut loan = pinfold::alloc(data.len()).map_err(message)?;
    for (to, from) in loan.iter_mut().zip(data.iter()) {
        *to = !from;
    }
    Ok(loan.publish())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    let mut loan = rt.alloc(16 << 20)?;
    for (i, byte) in loan.iter_mut().enumerate() {
        *byte = i as u8;
    }
    let data = loan.publish(); // read-only from here on, shared by all

    let parts = (0..PARTS).map(|part| (data.clone(), part));
    let sum: u64 = rt.map(sum_part, parts).sum::<Result<u64, _>>()?;
    println!("sum of 16 MiB: {sum}");
    assert_eq!(sum, (16 << 20) / 256 * (255 * 256 / 2));

    let inverse = rt.spawn(inverted, data.clone()).join()??;
    assert!(inverse.iter().zip(data.iter()).all(|(a, b)| a ^ b == 255));
    println!("the inverse came back without a copy");
    Ok(())
}
