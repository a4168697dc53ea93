//! What a service sees of its tasks: their logs in its own subscriber, with the name and
//! the trace of each; a profile by function; and a snapshot of everything.

use tracing_subscriber::filter::LevelFilter;

fn resize(width: u32) -> Result<u32, String> {
    tracing::info!(width, "resizing");
    if width > 4000 {
        tracing::warn!(width, limit = 4000, "too large");
        return Err(format!("{width} pixels are too many"));
    }
    Ok(width / 2)
}

fn digest(text: String) -> u64 {
    let step = |sum: u64, byte| sum.rotate_left(5) ^ u64::from(byte);
    (0..1000).fold(0, |sum, _| text.bytes().fold(sum, step))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    // As ever; but before the runtime starts, which looks what the subscriber wants.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .init();
    let rt = pinfold::Runtime::builder()
        .workers(2)
        .profile(true)
        .start()?;

    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let task = rt.task(resize).named("thumbnail").tag("user", "7");
    let task = task.traceparent(context)?;
    for outcome in task.map([800, 5000]) {
        match outcome? {
            Ok(width) => println!("now {width} pixels wide"),
            Err(error) => println!("refused: {error}"),
        }
    }
    let texts = (0..200).map(|n| "text ".repeat(n));
    let digests: Result<Vec<u64>, _> = rt.map(digest, texts).collect();
    println!("{} digests", digests?.len());

    for function in &rt.profile().functions {
        let millis = |ns: u64| ns as f64 / 1e6;
        println!(
            "{}: {} tasks, {} of them returned an error; half of them took at most {:.3} ms, 99% {:.3} ms",
            function.function,
            function.count,
            function.returned_err,
            millis(function.run.p50_ns),
            millis(function.run.p99_ns),
        );
    }
    rt.shutdown(pinfold::Shutdown::Drain)?; // what is logged has arrived when it returns
    let stats = rt.stats();
    println!(
        "{} tasks run, {} log events received, {} dropped",
        stats.totals.run, stats.logs.received, stats.totals.logs_dropped,
    );
    assert_eq!((stats.tasks.completed, stats.totals.run), (202, 202));
    assert!(stats.logs.received + stats.totals.logs_dropped >= 3);
    println!("{}", serde_json::to_string(&stats.totals)?);
    Ok(())
}
