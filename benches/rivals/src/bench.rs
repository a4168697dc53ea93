//! A benchmark's command line, its output on the terminal, and its file.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Parser};

use crate::race::{Race, table};
use crate::row::{Part, Plot, Row};

/// What every benchmark understands.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Write rows and plots to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Fewer and shorter rounds
    #[arg(long)]
    pub quick: bool,
    /// How often each contestant takes its turn
    #[arg(long, value_name = "NUMBER")]
    pub rounds: Option<usize>,
    /// Only the questions whose id contains this (recovery: the contestants whose name does)
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub only: String,
}

#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

impl Options {
    /// For a benchmark without arguments of its own. Call it after `pinfold::init`.
    pub fn parse_alone() -> Self {
        Alone::parse().options
    }
}

/// One benchmark's run.
#[derive(Debug)]
pub struct Bench {
    options: Options,
    started: Instant,
    part: Part,
}

impl Bench {
    /// Begins.
    pub fn new(name: &str, options: Options) -> Self {
        let part = Part {
            bench: name.to_owned(),
            quick: options.quick,
            seconds: 0.0,
            rows: Vec::new(),
            plots: Vec::new(),
        };
        Bench {
            options,
            started: Instant::now(),
            part,
        }
    }

    /// Whether the short way is asked for.
    pub fn is_quick(&self) -> bool {
        self.options.quick
    }

    /// The first, or with `--quick` the second.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.options.quick { quick } else { full }
    }

    /// The number of rounds: what the caller says, else one of these.
    pub fn rounds(&self, full: usize, quick: usize) -> usize {
        self.options.rounds.unwrap_or(self.pick(full, quick))
    }

    /// Whether a question with this id is to be answered.
    pub fn wants(&self, id: &str) -> bool {
        id.contains(&self.options.only)
    }

    /// Runs a race, unless none of its questions is wanted; prints and keeps its rows.
    pub fn run(&mut self, race: Race<'_>, rounds: usize) {
        if race.ids().any(|id| self.wants(id)) {
            race.run(rounds).into_iter().for_each(|row| self.row(row));
        }
    }

    /// Prints and keeps a row that was made elsewhere.
    pub fn row(&mut self, row: Row) {
        println!("{}\n", table(&row));
        self.part.rows.push(row);
    }

    /// Keeps a plot.
    pub fn plot(&mut self, plot: Plot) {
        self.part.plots.push(plot);
    }

    /// Writes the file, if one is asked for.
    pub fn finish(mut self) {
        self.part.seconds = self.started.elapsed().as_secs_f64();
        println!("{} took {:.1} s", self.part.bench, self.part.seconds);
        if let Some(path) = &self.options.json {
            let text = serde_json::to_string_pretty(&self.part).expect("numbers and strings");
            std::fs::write(path, text + "\n")
                .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
        }
    }
}
