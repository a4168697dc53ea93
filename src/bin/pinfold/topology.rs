//! `pinfold topology`: what the machine looks like to us, and where workers
//! would be pinned.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Args;
use pinfold::topology::{Placement, Topology, place, render};
use serde::Serialize;

/// Show CPUs, caches, NUMA nodes and limits, and where workers would be pinned
#[derive(Args, Debug)]
pub struct TopologyArgs {
    /// Number of workers to place [default: as many as fill the usable CPUs]
    // Bounded so that a slip of the finger does not print for minutes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    workers: Option<u16>,

    /// Threads in each worker
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Prints what was asked for. Fails only when standard output does.
pub fn run(args: TopologyArgs) -> ExitCode {
    let topology = Topology::read();
    let threads = usize::from(args.threads);
    let filling = || (topology.default_workers() / threads).max(1);
    let workers = args.workers.map_or_else(filling, usize::from);
    let placements = place(&topology, workers, threads);

    let text = if args.json {
        json(&topology, &placements, threads)
    } else {
        render(&topology, &placements, threads)
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough (`pinfold topology | head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "pinfold: cannot write to standard output: {error}"
            );
            ExitCode::from(2)
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    topology: &'a Topology,
    default_workers: usize,
    placements: Vec<Seat>,
}

#[derive(Serialize)]
struct Seat {
    worker: usize,
    thread: usize,
    #[serde(flatten)]
    placement: Placement,
}

fn json(topology: &Topology, placements: &[Placement], threads: usize) -> String {
    let seat = |(index, &placement): (usize, &Placement)| Seat {
        worker: index / threads,
        thread: index % threads,
        placement,
    };
    let report = Report {
        topology,
        default_workers: topology.default_workers(),
        placements: placements.iter().enumerate().map(seat).collect(),
    };
    let mut text =
        serde_json::to_string_pretty(&report).expect("plain values always have a JSON form");
    text.push('\n');
    text
}
