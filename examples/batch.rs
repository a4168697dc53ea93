//! A batch that can be interrupted: the first Ctrl-C lets what runs go on to its end, begins
//! nothing more, and tells what was done; the second kills what runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pinfold::{Shutdown, TaskError, Termination};

/// One item of the batch.
fn work(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(20));
    n * n
}

/// What became of the items.
#[derive(Debug, Default)]
struct Summary {
    done: usize,
    not_begun: usize,
    failed: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let termination = Termination::new()?;
    let is_interrupted = AtomicBool::new(false);
    // Stands for somebody at the terminal.
    let ctrl_c = format!("sleep 1; kill -INT {}", std::process::id());
    let mut somebody = std::process::Command::new("sh")
        .args(["-c", &ctrl_c])
        .spawn()?;

    let summary = std::thread::scope(|threads| {
        threads.spawn(|| {
            if termination.wait().is_some() {
                // In this order: no more items are pulled, and of those that were none begins.
                is_interrupted.store(true, Ordering::SeqCst);
                rt.cancel_pending();
            }
            if termination.wait().is_some() {
                rt.begin_shutdown(Shutdown::Abort);
            }
        });
        let items = (0..100_000).take_while(|_| !is_interrupted.load(Ordering::SeqCst));
        let mut summary = Summary::default();
        for (item, outcome) in rt.task(work).map_unordered(items) {
            match outcome {
                Ok(_) => summary.done += 1,
                Err(TaskError::Cancelled { .. }) => summary.not_begun += 1,
                Err(error) => {
                    summary.failed += 1;
                    eprintln!("item {item}: {error}");
                }
            }
        }
        // The thread waits for a signal that may never come.
        termination.give_up();
        summary
    });
    somebody.wait()?;
    println!("{summary:?}");
    assert!(summary.done > 0 && summary.not_begun > 0 && summary.failed == 0);
    Ok(())
}
