//! Four ways to say how long something may take.

use std::time::Duration;

use pinfold::TaskError;

/// Counts until its time is nearly up, and returns what it has.
fn count_while_there_is_time((): ()) -> u64 {
    let mut count = 0;
    let deadline = pinfold::context().deadline();
    while deadline.is_none_or(|deadline| std::time::Instant::now() < deadline) {
        count += 1;
    }
    count
}

fn hang((): ()) {
    loop {
        std::thread::park();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(1).start()?;

    // Soft: the task looks, and makes do with what it has by then.
    let count = rt
        .task(count_while_there_is_time)
        .soft_deadline(Duration::from_millis(20));
    println!("counted to {}", count.spawn(()).join()?);

    // Hard: whatever it does, it ends; its worker is replaced.
    let stuck = rt.task(hang).hard_deadline(Duration::from_millis(50));
    match stuck.spawn(()).join() {
        Err(error @ TaskError::DeadlineExceeded { begun: true, .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }

    // To start: an answer that comes too late need not be looked for at all.
    let blocker = rt
        .task(hang)
        .hard_deadline(Duration::from_millis(200))
        .spawn(());
    let late = rt
        .task(count_while_there_is_time)
        .start_deadline(Duration::from_millis(10));
    match late.spawn(()).join() {
        Err(error @ TaskError::DeadlineExceeded { begun: false, .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }

    // The caller's patience alone: the task goes on.
    let mut blocker = blocker;
    assert!(blocker.join_timeout(Duration::from_millis(1)).is_none());
    assert!(matches!(
        blocker.join(),
        Err(TaskError::DeadlineExceeded { .. })
    ));
    Ok(())
}
