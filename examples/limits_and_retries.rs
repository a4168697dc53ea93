//! A service that may be asked by two at a time, fails now and then, and always gives the
//! same answer to the same question.

use std::time::Duration;

use pinfold::{Limit, Memo, Refusal, Retry};

/// Fails in one of three calls of this worker.
fn ask(question: u32) -> Result<u32, String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    std::thread::sleep(Duration::from_millis(1));
    match CALLS.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Err("busy".into()),
        _ => Ok(question * question),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(4).start()?;
    let connections = Limit::new(2);
    let answers = Memo::new(1000);
    let ask = rt
        .task(ask)
        .limited(&connections, 1)
        .memoized(&answers)
        .retry(
            Retry::exponential(10, Duration::from_millis(1), Duration::from_millis(8))
                .with_jitter(),
        )
        .retry_if(|outcome| matches!(outcome, Ok(Err(why)) if why == "busy"));

    for round in 0..2 {
        let handles: Vec<_> = (0..20).map(|question| ask.spawn(question)).collect();
        for (question, handle) in (0..).zip(handles) {
            assert_eq!(handle.join()?, Ok(question * question));
        }
        println!(
            "round {round}: {} asked, {} known",
            answers.misses(),
            answers.hits()
        );
    }
    println!("tried again: {}", rt.stats().tasks.repeated);

    // Who does not want to wait is told, and gets the arguments back.
    let nap = rt.task(|ms| std::thread::sleep(Duration::from_millis(ms)));
    let nap = nap.limited(&connections, 2);
    let first = nap.spawn(50);
    match nap.try_spawn(50) {
        Err(refused) => assert_eq!(refused.refusal, Refusal::Limited { units: 2, total: 2 }),
        Ok(_) => panic!("both are taken"),
    }
    first.join()?;
    Ok(())
}
