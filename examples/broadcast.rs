//! A feed of prices that several workers follow: each hears every price; one that only shows the latest may
//! miss some, and is told how many; one crashes, and holds nobody back.

use std::time::Duration;

use pinfold::broadcast::{Options, RecvError, Subscriber};
use pinfold::channel::Overflow;

fn highest(prices: Subscriber<f64>) -> f64 {
    prices.iter().fold(f64::MIN, f64::max)
}

fn crash(prices: Subscriber<f64>) {
    let _ = prices.recv();
    std::process::abort();
}

/// Looks now and then only.
fn glance(prices: Subscriber<f64>) -> (u64, f64) {
    let (mut missed, mut last) = (0, 0.0);
    loop {
        match prices.recv() {
            Ok(price) => last = price,
            Err(RecvError::Lagged(count)) => missed += count,
            Err(_) => return (missed, last),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(3).start()?;

    // Who sends waits for the slowest of them.
    let prices = rt.broadcast_channel::<f64>(16)?;
    let followers = [prices.subscribe()?, prices.subscribe()?].map(|one| rt.spawn(highest, one));
    let crashes = rt.spawn(crash, prices.subscribe()?);
    for n in 0..1000 {
        prices.send(100.0 + f64::from(n % 371))?;
    }
    drop(prices); // no more are to come
    for follower in followers {
        println!("the highest price was {}", follower.join()?);
    }
    if let Err(error) = crashes.join() {
        println!("one has crashed, and nobody has waited for it: {error}");
    }

    // Who sends waits for nobody.
    let options = Options::new(8).overflow(Overflow::DropOldest);
    let prices = rt.broadcast_channel_with::<f64>(options)?;
    let glances = rt.spawn(glance, prices.subscribe()?);
    for n in 0..1000 {
        prices.send(f64::from(n))?;
    }
    drop(prices);
    let (missed, last) = glances.join()?;
    println!("{missed} prices were missed, the last one was {last}");
    assert_eq!(last, 999.0);
    Ok(())
}
