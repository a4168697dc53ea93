//! A small graph: three parts are made side by side, joined when all are there, and
//! checked. Nobody waits in between, and what fails ends what depends on it.

use pinfold::{Shared, TaskError};

const PART: usize = 1 << 20;

/// A part's bytes, in shared memory: whoever depends on it reads them in place.
fn make(part: u8) -> Shared {
    let mut loan = pinfold::alloc(PART).expect("room");
    loan.fill(part);
    loan.publish()
}

fn sum((scale, parts): (u64, Vec<Shared>)) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    scale * bytes.map(|byte| u64::from(*byte)).sum::<u64>()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    let parts: Vec<_> = (1..=3).map(|part| rt.spawn(make, part)).collect();
    let total = rt.spawn_after(parts.iter().collect::<Vec<_>>(), sum, 10);
    let text = rt.spawn_after(
        (&total, &parts[0]),
        |((), (total, first)): ((), (u64, Shared))| {
            format!("{total}, {} bytes a part", first.len())
        },
        (),
    );
    let text = text.join()?;
    println!("{text}");
    assert_eq!(text, format!("{}, {PART} bytes a part", 60 * PART));

    let broken = rt.spawn(|n: u32| 1 / n, 0);
    let never = rt.spawn_after(&broken, |((), _): ((), u32)| println!("never"), ());
    match never.join() {
        Err(error @ TaskError::DependencyFailed { .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}
