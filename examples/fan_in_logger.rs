//! Many tasks log into a few writers: each line goes by its source to the writer that has it, so
//! that lines of one source stay in order. One writer crashes; the others get what is left in its
//! queue, which may be behind what comes later from its sources.

use std::collections::BTreeMap;

use pinfold::channel::{Receiver, Router};

type Line = (u32, u32, String);

/// The writer with a bug.
const CRASHES: usize = 1;

/// Writes lines; one writer has a bug, and crashes at a certain line.
fn write((lines, has_bug): (Receiver<Line>, bool)) -> BTreeMap<u32, Vec<u32>> {
    let mut written: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (source, number, text) in &lines {
        if has_bug && number == 20 {
            std::process::abort();
        }
        // … a file would be written here
        assert!(text.starts_with("line"));
        written.entry(source).or_default().push(number);
    }
    written
}

/// Logs something, from whatever process it runs in.
fn work((source, log): (u32, Router<Line>)) -> u32 {
    const LINES: u32 = 100;
    (0..LINES)
        .filter(|number| {
            let line = (source, *number, format!("line {number} of source {source}"));
            log.send_by_key(&source, line).is_ok()
        })
        .count() as u32
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    // Writers wait for lines, so each has an executor; what logs runs on the others.
    let rt = pinfold::Runtime::builder().workers(5).start()?;
    let (log, queues) = rt.router::<Line>(3, 16)?;
    let writers: Vec<_> = queues
        .into_iter()
        .enumerate()
        .map(|(number, queue)| rt.spawn(write, (queue, number == CRASHES)))
        .collect();

    let moves = |source: &u32| log.receiver_of(source) == Some(CRASHES);
    let moved: Vec<u32> = (0..12).filter(moves).collect();
    let sources: Vec<_> = (0..12)
        .map(|source| rt.spawn(work, (source, log.clone())))
        .collect();
    for source in sources {
        assert_eq!(source.join()?, 100);
    }
    log.hand_on()?; // if it was the last to go
    drop(log); // no more are to come

    let mut written = BTreeMap::new();
    let mut crashed = 0;
    for writer in writers {
        match writer.join() {
            Ok(lines) => written.extend(lines),
            Err(error) => {
                eprintln!("{error}");
                crashed += 1;
            }
        }
    }
    println!("{crashed} writer crashed: what it had taken is gone, what was in its queue is not");
    for (source, numbers) in &written {
        println!("source {source:2}: {} lines", numbers.len());
        assert!(moved.contains(source) || numbers.is_sorted_by(|a, b| a < b));
    }
    assert_eq!(written.len(), 12);
    Ok(())
}
