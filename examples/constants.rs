//! What a closure would capture, and cannot: it may run in another process. Small values go
//! with the arguments, in a tuple; what is large, and the same for many tasks, is a constant.
//!
//! The dictionary below is encoded once. Each worker decodes it once, when its first task looks
//! at it; a worker that dies takes its copy along, and its successor decodes anew.

use std::collections::HashMap;

use pinfold::{Constant, TaskError};

type Dictionary = HashMap<String, u64>;

fn score((words, weight, line): (Constant<Dictionary>, u64, String)) -> u64 {
    let of = |word: &str| words.get(word).copied().unwrap_or(0);
    weight * line.split_whitespace().map(of).sum::<u64>()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    let words: Dictionary = (0..50_000).map(|n| (format!("word{n}"), n)).collect();
    let words = rt.constant(words)?;
    println!("{} words, known to all tasks", words.len()); // it derefs to the value, here too

    // Threads would have `move |line| score(&words, weight, line)`. Here all three are arguments:
    // a clone of the constant costs next to nothing.
    let weight = 2;
    let lines = (0..1000).map(|n| format!("word{n} is followed by word{}", n + 1));
    let items = lines.map(|line| (words.clone(), weight, line));
    let total: u64 = rt.map(score, items).sum::<Result<u64, TaskError>>()?;
    println!("score of 1,000 lines: {total}");
    assert_eq!(total, 2 * (0..1000).map(|n| 2 * n + 1).sum::<u64>());

    // A task may pass it on, and return it.
    let count = |words: Constant<Dictionary>| {
        let child = pinfold::spawn(|words: Constant<Dictionary>| words.len(), words.clone());
        (child.join().unwrap_or(0), words)
    };
    let (len, same) = rt.spawn(count, words.clone()).join()?;
    assert_eq!((len, same.len()), (50_000, 50_000));

    // Gone with the last that has it: here, in shared memory, and in each worker.
    drop((words, same));
    assert_eq!(rt.audit().blocks_shared, 0);
    Ok(())
}
