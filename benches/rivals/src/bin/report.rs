//! Makes one result of the files that the benchmarks have written.
//!
//! ```text
//! report --out target/bench target/bench/parts/*.json   # results.json, plots, table
//! report --last target/bench/results.json --check       # without a new run
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use pinfold_rivals::machine::Machine;
use pinfold_rivals::results::{Results, changes_text, check, markdown, summary};
use pinfold_rivals::{Part, chart};
use serde::de::DeserializeOwned;

/// Merge the files of the benchmarks, and judge the result
#[derive(Parser)]
struct Args {
    /// Files that the benchmarks wrote with --json
    #[arg(required_unless_present = "last", conflicts_with = "last")]
    parts: Vec<PathBuf>,
    /// Where to write results.json and the plots
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// An earlier results.json, instead of files of benchmarks
    #[arg(long, value_name = "FILE")]
    last: Option<PathBuf>,
    /// Print the bars that are not met; exit with status 1 if there are any
    #[arg(long)]
    check: bool,
    /// Print the changes against this earlier results.json
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print the table as Markdown, and nothing else
    #[arg(long)]
    markdown: bool,
    /// Put that table into this file, in place of what is between its lines
    /// `<!-- results -->` and `<!-- end of results -->`
    #[arg(long, value_name = "FILE")]
    fill: Option<PathBuf>,
}

fn main() -> ExitCode {
    match report(&Args::parse()) {
        Ok(is_well) if is_well => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(why) => {
            eprintln!("report: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing that was asked for is amiss.
fn report(args: &Args) -> Result<bool, String> {
    // Read first: it may be the very file that is written below.
    let before: Option<Results> = args.against.as_deref().map(read).transpose()?;
    let results = match &args.last {
        Some(path) => read(path)?,
        None => merge(args)?,
    };
    if args.markdown {
        print!("{}", markdown(&results));
        return Ok(true);
    }
    if let Some(path) = &args.fill {
        fill(path, &markdown(&results))?;
    }
    println!("{}\n\n{}", results.machine.text(), summary(&results.rows));
    if let Some(before) = before {
        let (text, regressions) = changes_text(&before, &results);
        println!("{text}\nregressions: {regressions}\n");
    }
    let verdict = check(&results.rows);
    let (not_met, not_judged) = (verdict.not_met.len(), verdict.not_judged.len());
    println!(
        "bars: {} met, {not_met} not met, {not_judged} not judged",
        verdict.met
    );
    if args.check {
        verdict.not_met.iter().for_each(|line| println!("  {line}"));
        verdict
            .not_judged
            .iter()
            .for_each(|line| println!("  {line}"));
    }
    Ok(!args.check || not_met == 0)
}

/// Merges the parts, and writes result and plots.
fn merge(args: &Args) -> Result<Results, String> {
    let parts: Vec<Part> = args
        .parts
        .iter()
        .map(|p| read(p))
        .collect::<Result<_, _>>()?;
    let results = Results {
        machine: Machine::read(parts.iter().any(|part| part.quick)),
        rows: parts.iter().flat_map(|part| part.rows.clone()).collect(),
    };
    std::fs::create_dir_all(&args.out).map_err(|e| e.to_string())?;
    let text = serde_json::to_string_pretty(&results).map_err(|e| e.to_string())?;
    let path = args.out.join("results.json");
    std::fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    for plot in parts.iter().flat_map(|part| &part.plots) {
        let path = args.out.join(format!("{}.svg", plot.id));
        match chart::draw(plot, &path) {
            Ok(()) => println!("drawn: {}", path.display()),
            Err(why) => println!("not drawn: {}: {why}", path.display()),
        }
    }
    println!("written: {}\n", path.display());
    Ok(results)
}

/// Replaces what is between the two lines that mark it.
fn fill(path: &Path, table: &str) -> Result<(), String> {
    const MARKS: [&str; 2] = ["<!-- results -->\n", "<!-- end of results -->\n"];
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(why)?;
    let parts = text.split_once(MARKS[0]);
    let parts = parts.and_then(|(head, rest)| Some((head, rest.split_once(MARKS[1])?.1)));
    let (head, tail) = parts.ok_or_else(|| format!("{} has no marks", path.display()))?;
    let text = format!("{head}{}\n{table}\n{}{tail}", MARKS[0], MARKS[1]);
    std::fs::write(path, text).map_err(why)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}
