//! A pipeline of processes: the host reads lines, workers count their words, the host adds up.
//!
//! One worker crashes on its way; what it had sent stays, and the others go on.

use std::collections::HashMap;

use pinfold::channel::{Receiver, Sender};

type Counts = HashMap<String, u64>;

/// Counts words until there are no more lines.
fn count((lines, counts): (Receiver<String>, Sender<Counts>)) {
    for line in &lines {
        if line.contains("crash") {
            std::process::abort();
        }
        let mut of_line = Counts::new();
        for word in line.split_whitespace() {
            *of_line.entry(word.to_lowercase()).or_default() += 1;
        }
        if counts.send(of_line).is_err() {
            return; // nobody wants them any more
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let (lines, to_count) = rt.channel::<String>(8)?;
    let (counted, counts) = rt.channel::<Counts>(8)?;
    // Each task has a clone of both ends; what is left here is where lines go in, and counts out.
    let tasks: Vec<_> = (0..3)
        .map(|_| rt.spawn(count, (to_count.clone(), counted.clone())))
        .collect();
    drop((to_count, counted));

    for line in [
        "the sheep in the fold",
        "a fold of sheep",
        "crash",
        "the gate of the fold",
    ] {
        lines.send(line.to_owned())?;
    }
    drop(lines); // no more are to come: the tasks end

    let mut all = Counts::new();
    for of_line in &counts {
        for (word, count) in of_line {
            *all.entry(word).or_default() += count;
        }
    }
    let failed = tasks
        .into_iter()
        .filter_map(|task| task.join().err())
        .count();
    println!(
        "fold: {}, sheep: {}, the: {}; {failed} task failed",
        all["fold"], all["sheep"], all["the"]
    );
    assert_eq!((all["fold"], all["the"], failed), (3, 4, 1));
    Ok(())
}
