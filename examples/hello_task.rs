//! The first minute: one task, many tasks, and an error that is a value.

fn square(n: u64) -> u64 {
    n * n
}

fn divide((a, b): (u64, u64)) -> u64 {
    a / b
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init(); // first thing in main; in a worker process it never returns

    let rt = pinfold::Runtime::builder().workers(2).start()?;

    println!("7² = {}", rt.spawn(square, 7).join()?);

    let sum: u64 = rt.map(square, 1..=1000).sum::<Result<u64, _>>()?;
    println!("1² + … + 1000² = {sum}");

    match rt.spawn(divide, (1, 0)).join() {
        Ok(quotient) => println!("1 / 0 = {quotient}"),
        Err(error) => println!("1 / 0: {error}"),
    }
    Ok(())
}
