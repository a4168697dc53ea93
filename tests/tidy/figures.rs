//! README's figures are those of the last full run, which `docs/BENCHMARKS.md` has.

use crate::Violation;

/// How a row of README's table begins, and the questions of the benchmarks that it tells of.
const ROWS: [(&str, &[&str]); 11] = [
    ("empty tasks with results, one at a time", &["tasks.single"]),
    (
        "the same, submitted by 16 threads at once, 64 in flight each",
        &["submitters.16.64"],
    ),
    ("empty tasks with results, in batches", &["tasks.batch"]),
    ("a task that depends on one", &["tasks.after_pending"]),
    ("fork and join", &["tasks.nested"]),
    (
        "submit to result, hot",
        &["latency.hot.p50", "latency.hot.p99"],
    ),
    ("submit to result, after 1 ms idle", &["latency.idle.p50"]),
    ("two workers against one", &["scaling.50us"]),
    ("kill -9", &["recovery.a.joined", "recovery.a_large.joined"]),
    ("`pinfold index`", &["index.files"]),
    ("an idle worker", &["memory.worker"]),
];

/// From the unit of a result to README's: the same, ms of µs, MiB of KiB.
const FACTORS: [f64; 3] = [1.0, 1e-3, 1.0 / 1024.0];

/// Figures of README's table `Numbers` that the results do not have, and rows that are not in [`ROWS`].
pub fn are_of_the_last_run(readme: &str, benchmarks: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut rows = 0;
    let numbers = readme
        .lines()
        .enumerate()
        .skip_while(|(_, line)| *line != "## Numbers");
    let numbers = numbers
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "));
    for (index, line) in numbers.filter(|(_, line)| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let mut wrong = |what: String| found.push(Violation::new("README.md", index + 1, what));
        let Some((_, ids)) = ROWS
            .iter()
            .find(|(begin, _)| cells[0].starts_with(&format!("| {begin}")))
        else {
            wrong(format!(
                "tests/tidy/figures.rs does not say of what `{}` tells",
                cells[0]
            ));
            continue;
        };
        rows += 1;
        let results = benchmarks
            .lines()
            .map(|line| line.split(" | ").collect::<Vec<_>>());
        let results: Vec<Vec<&str>> = results
            .filter(|row| row.len() > 6 && ids.iter().any(|id| row[0] == format!("| {id}")))
            .collect();
        // Columns of the results: 3 the floor, 4 pinfold, 5 the rivals.
        for (cell, columns) in [(1, 4..5), (2, 3..6)] {
            let results = results.iter().flat_map(|row| &row[columns.clone()]);
            let results: Vec<f64> = results
                .flat_map(|text| text.split("<br>").filter_map(result))
                .collect();
            // How much memory the worker had is no result, and `p99` is a name.
            let cell = cells[cell].replace("256 MiB", "").replace("p99", "");
            for (figure, step) in figures(&cell) {
                let mut results = results
                    .iter()
                    .flat_map(|result| FACTORS.map(|factor| result * factor));
                // Half a step is rounding, and the results are rounded themselves.
                if !results.any(|result| (result - figure).abs() <= step * 0.51) {
                    wrong(format!(
                        "{figure} is no result of {} in docs/BENCHMARKS.md",
                        ids.join(", ")
                    ));
                }
            }
        }
    }
    if rows != ROWS.len() {
        let what = format!("{rows} of the {} rows of figures are there", ROWS.len());
        found.push(Violation::new("README.md", 1, what));
    }
    found
}

/// The value of a contestant, of "its name 1.234 ± 5 %".
fn result(text: &str) -> Option<f64> {
    text.split(" ±").next()?.rsplit(' ').next()?.parse().ok()
}

/// The numbers in a text, each with the step of its last digit that counts: 0.1 of "14.9", 1000 of "157,000".
fn figures(text: &str) -> impl Iterator<Item = (f64, f64)> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    words.filter_map(|word| {
        let digits = word.trim_end_matches(['.', ',']).replace(',', "");
        let step = match digits.split_once('.') {
            Some((_, behind)) => 0.1_f64.powi(behind.len() as i32),
            None => 10_f64.powi((digits.len() - digits.trim_end_matches('0').len()) as i32),
        };
        Some((digits.parse().ok()?, step))
    })
}

#[test]
fn a_figure_of_another_run_is_found() {
    let results = "| tasks.single | one | M/s | – | 14.85 ± 8 % | a 0.00836 ± 8 %<br>b – | x |\n\
                   | index.files | all | files/s | – | 157060 ± 2 % | rayon 170770 ± 2 % | y |";
    let found = |row: &str| {
        let readme =
            format!("## Numbers\n\n| what | pinfold | others |\n| --- | --- | --- |\n{row}\n");
        let found = are_of_the_last_run(&readme, results);
        // One of them is always that the other rows are missing.
        found.len() - 1
    };
    assert_eq!(
        found("| empty tasks with results, one at a time | 14.9 M/s | a 0.01 |"),
        0
    );
    assert_eq!(
        found("| empty tasks with results, one at a time | 15.1 M/s | a 0.02 |"),
        2
    );
    assert_eq!(
        found("| `pinfold index` of some files | 157,000 files/s | rayon 171,000 |"),
        0
    );
    assert_eq!(
        found("| `pinfold index` of some files | 171,000 files/s | rayon 171,000 |"),
        1
    );
    assert_eq!(found("| something else | 1 | 2 |"), 1);
}
