//! Several tasks as one: a scope, a race, a gathering, a reduction.

use std::time::Duration;

use pinfold::{gather, join_any, on_error};

fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

fn invert(n: u32) -> u32 {
    1000 / n
}

/// How many letters of each kind; a very short function.
fn letters(text: String) -> (usize, usize) {
    let vowels = text.chars().filter(|c| "aeiou".contains(*c)).count();
    (vowels, text.len() - vowels)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;

    // All tasks of a scope have ended when it returns.
    let sum = rt.scope(|s| {
        let handles = [10, 20].map(|n| s.spawn(invert, n));
        handles
            .into_iter()
            .map(|h| h.join())
            .sum::<Result<u32, _>>()
    })??;
    println!("scope: {sum}");
    assert_eq!(sum, 150);

    // The first error cancels the rest, and is what the scope returns.
    let failed = rt.scope(|s| (0..100).for_each(|n| drop(s.spawn(invert, n))));
    println!("a scope with an error: {}", failed.unwrap_err());

    // The first value wins.
    let (winner, ms) = join_any([rt.spawn(nap, 5000), rt.spawn(nap, 1)])
        .map_err(|errors| format!("nobody won: {errors:?}"))?;
    println!("race: number {winner}, after {ms} ms");
    assert_eq!(winner, 1);

    // What has no value is left out.
    let values = gather((0..5).map(|n| rt.spawn(invert, n)), on_error::Skip);
    println!("gathered: {values:?}");
    assert_eq!(values, [1000, 500, 333, 250]);

    // Combined in the workers; several short items travel in one task.
    let words = (0..10_000).map(|n| format!("word number {n}"));
    let total = rt
        .task(letters)
        .reduce(words, |((a, b), (c, d))| (a + c, b + d))?;
    println!(
        "reduced: {total:?} vowels and others, {} tasks so far",
        rt.stats().tasks.submitted
    );

    let outcomes = rt.task(nap).execute_all([1; 20], |done, total| {
        if done % 10 == 0 {
            println!("{done} of {total}");
        }
    });
    assert!(outcomes.iter().all(Result::is_ok));
    Ok(())
}
