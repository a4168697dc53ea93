//! What a crash costs: one attempt at one task.
//!
//! Every tenth task kills its own worker process, as a bug in a C library would.
//! At most once: those tasks end with an error that says how the worker ended,
//! all others with their value. Declared safe to repeat, a task that crashes only
//! the first time gets its value after all.

use pinfold::TaskError;

fn fragile(n: u32) -> u32 {
    if n.is_multiple_of(10) {
        std::process::abort();
    }
    n * 2
}

/// Crashes unless the marker file is there, and leaves it.
fn crashes_once(marker: String) -> String {
    match std::fs::File::create_new(&marker) {
        Ok(_) => std::process::abort(),
        Err(_) => "second time lucky".into(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    let (mut done, mut lost) = (0, 0);
    for (n, outcome) in rt.map(fragile, 0..100).enumerate() {
        match outcome {
            Ok(value) => {
                assert_eq!(value, n as u32 * 2);
                done += 1;
            }
            Err(TaskError::WorkerDied { death, .. }) => {
                lost += 1;
                if lost == 1 {
                    println!("task {n}: its worker {death}");
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    println!("{done} tasks done, {lost} lost with their worker");
    assert_eq!((done, lost), (90, 10));

    let marker = std::env::temp_dir().join(format!("pinfold-example-{}", std::process::id()));
    let task = rt.task(crashes_once).safe_to_repeat(3);
    let outcome = task.spawn(marker.to_string_lossy().into_owned()).join();
    std::fs::remove_file(&marker)?;
    println!("repeatable: {}", outcome?);

    println!("workers replaced: {}", rt.stats().restarts);
    Ok(())
}
