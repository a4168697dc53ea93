//! Progress, cancelling, and time limits: of a task that checks, and of one that does not.

use std::time::Duration;

use pinfold::TaskError;

/// Works in steps, says how far it is, and stops when it is asked to.
fn steps(count: u32) -> Result<u32, String> {
    let ctx = pinfold::context();
    for step in 0..count {
        ctx.check().map_err(|cancelled| cancelled.to_string())?;
        let done = f64::from(step) / f64::from(count);
        ctx.report_progress(done, "working")
            .map_err(|e| e.to_string())?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(count)
}

/// Listens to nobody: a loop in a C library, say.
fn deaf(_: ()) {
    loop {
        std::hint::spin_loop();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    let task = rt.spawn(steps, 50);
    task.on_progress(|progress| {
        println!("{:3.0}% {}", 100.0 * progress.fraction, progress.message)
    })?;
    println!("done: {:?}", task.join()?);

    // One that listens ends by itself, and its worker goes on.
    let task = rt.spawn(steps, u32::MAX);
    task.cancel();
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));

    // One that does not is ended with its worker, which is replaced.
    let task = rt.spawn(deaf, ());
    task.cancel_within(Duration::from_millis(20));
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));

    // The same by itself, after a time.
    let limit = Duration::from_millis(20);
    match rt.task(deaf).hard_deadline(limit).spawn(()).join() {
        Err(TaskError::DeadlineExceeded { .. }) => {}
        other => panic!("{other:?}"),
    }
    println!("workers replaced: {}", rt.stats().restarts);
    Ok(())
}
