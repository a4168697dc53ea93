//! What the comparisons share: interleaved rounds, medians, a table.

use std::time::Instant;

/// The middle value; the mean of the two middle ones for an even count.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The value below which the given share of the values lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// One contestant's rounds.
#[derive(Debug)]
pub struct Rounds {
    /// Who.
    pub name: &'static str,
    /// One value per round.
    pub values: Vec<f64>,
}

/// A contestant: its name, and what measures one round.
pub type Contestant<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// Runs the contestants in turn, A B C A B C …, after one round that is not counted.
pub fn interleave(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Vec<Rounds> {
    let mut results: Vec<Rounds> = contestants
        .iter()
        .map(|(name, _)| Rounds {
            name,
            values: Vec::new(),
        })
        .collect();
    for round in 0..=rounds {
        for ((_, run), result) in contestants.iter_mut().zip(&mut results) {
            let value = run();
            if round > 0 {
                result.values.push(value);
            }
        }
    }
    results
}

/// Prints a question's table: median, spread, and the ratio of the first
/// contestant to each.
pub fn print(question: &str, unit: &str, results: &[Rounds]) {
    println!("{question} [{unit}]");
    let ours = results.first().map_or(f64::NAN, |r| median(&r.values));
    for result in results {
        let m = median(&result.values);
        let low = result.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = result.values.iter().copied().fold(0.0, f64::max);
        println!(
            "  {:<28} {m:>10.3}   [{low:.3} … {high:.3}]   ours/this {:>7.2}",
            result.name,
            ours / m
        );
    }
}

/// How long `run` takes, in seconds.
pub fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}
