//! `pinfold`: the command-line tool.

mod doctor;
mod index;
mod print;
mod topology;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use print::{print, say};

/// Shown below the subcommands.
const EXAMPLES: &str = "\
Examples:
  pinfold index .                   cut and fingerprint every text file below .
  pinfold topology                  what this machine looks like from here
  pinfold doctor                    what it lets a runtime do, and what is missing
  pinfold completions bash > /etc/bash_completion.d/pinfold
  pinfold man | man -l -            this page as a man page
  pinfold man index | man -l -      that of a subcommand";

/// Runs a program's work in a fold of pinned worker processes with shared memory
#[derive(Debug, Parser)]
#[command(name = "pinfold", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    Index(index::IndexArgs),
    Topology(topology::TopologyArgs),
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or that of a subcommand
    Man {
        /// The subcommand
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

fn main() -> ExitCode {
    // In a worker process this does not return.
    pinfold::init();
    match Cli::parse().command {
        Command::Index(args) => index::run(&args),
        Command::Topology(args) => topology::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { command } => man(command.as_deref()),
    }
}

/// Prints a completion script.
fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pinfold", &mut script);
    print(&script)
}

/// Prints the man page of the tool or of a subcommand.
fn man(subcommand: Option<&str>) -> ExitCode {
    let mut cli = Cli::command();
    cli.build();
    let page = match subcommand {
        None => cli,
        Some(name) => match cli.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                say(format_args!(
                    "pinfold man: there is no subcommand {name:?}; see pinfold --help"
                ));
                return ExitCode::from(2);
            }
        },
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            say(format_args!("pinfold man: {error}"));
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
