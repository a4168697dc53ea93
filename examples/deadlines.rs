//! Limits on time: on the wait, on how long a task runs, and from when it is submitted.

use std::time::Duration;

use pinfold::{Retry, TaskError};

/// Counts until its time is nearly up, and returns what it has.
fn count_while_there_is_time((): ()) -> u64 {
    let mut count = 0;
    let deadline = pinfold::context().deadline();
    while deadline.is_none_or(|deadline| std::time::Instant::now() < deadline) {
        count += 1;
    }
    count
}

/// Of the pages of a book one cannot be read.
fn read(page: u32) -> u32 {
    if page == 13 {
        hang(())
    }
    std::thread::sleep(Duration::from_millis(5));
    page
}

fn hang((): ()) {
    loop {
        std::thread::park();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(1).start()?;

    // Of running: how long a task waits behind others does not count. One that takes longer ends
    // with its worker, which is replaced; here it may try once more.
    let pages = rt
        .task(read)
        .run_limit(Duration::from_millis(300))
        .retry(Retry::fixed(2, Duration::ZERO))
        .retry_if(|outcome| matches!(outcome, Err(TaskError::DeadlineExceeded { .. })));
    for (page, outcome) in pages.map_unordered(0..100) {
        match outcome {
            Ok(read) => assert_eq!(read as usize, page),
            Err(error @ TaskError::DeadlineExceeded { .. }) => println!("page {page}: {error}"),
            Err(other) => return Err(other.into()),
        }
    }

    // Soft: the task looks, and makes do with what it has by then.
    let count = rt
        .task(count_while_there_is_time)
        .soft_deadline(Duration::from_millis(20));
    println!("counted to {}", count.spawn(()).join()?);

    // Hard: from when it is submitted, whatever happens, it ends.
    let stuck = rt.task(hang).hard_deadline(Duration::from_millis(50));
    match stuck.spawn(()).join() {
        Err(error @ TaskError::DeadlineExceeded { begun: true, .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }

    // To start: an answer that comes too late need not be looked for at all.
    let mut blocker = rt
        .task(hang)
        .run_limit(Duration::from_millis(200))
        .spawn(());
    let late = rt
        .task(count_while_there_is_time)
        .start_deadline(Duration::from_millis(10));
    match late.spawn(()).join() {
        Err(error @ TaskError::DeadlineExceeded { begun: false, .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }

    // The caller's patience alone: the task goes on.
    assert!(blocker.join_timeout(Duration::from_millis(1)).is_none());
    assert!(matches!(
        blocker.join(),
        Err(TaskError::DeadlineExceeded { .. })
    ));
    Ok(())
}
