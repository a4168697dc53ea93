//! `pinfold index DIR`: walk a tree, cut every text file into chunks of lines,
//! fingerprint each chunk.
//!
//! ```text
//!  options   run ──────────── parallel (the only file that knows the runtime)
//!              │                  │
//!   walk ──▶ group ──▶        work ──▶ sink ──▶ output
//!     │                       │  │  │
//!   open      file ◀──────────┘  │  └──▶ segments     report, progress, signal
//!               │              chunk, record
//!             open
//! ```
//!
//! `chunk` and `record` are pure; `work` is the task that runs anywhere; `run`
//! is the job around it and is the same for every executor.

pub mod blob;
pub mod chunk;
pub mod collect;
pub mod executor;
pub mod file;
pub mod group;
pub mod large;
pub mod open;
pub mod options;
pub mod outcome;
pub mod output;
pub mod parallel;
pub mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod segments;
pub mod signal;
pub mod sink;
pub mod walk;
pub mod work;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use executor::{Executor, Sequential};
pub use options::IndexArgs;
use output::Output;
use parallel::Parallel;
use progress::Progress;
use report::Report;
use run::{Hooks, Job, Summary};
use signal::Watch;

/// Runs the command; the exit status is explained in its help.
pub fn run(args: &IndexArgs) -> ExitCode {
    match index(args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("pinfold index: {message}");
            ExitCode::from(2)
        }
    }
}

/// The command, with a message for what keeps it from starting or writing.
fn index(args: &IndexArgs) -> Result<ExitCode, String> {
    let start = Instant::now();
    if let Some(contradiction) = args.contradiction() {
        return Err(contradiction.into());
    }
    let dir = directory(&args.dir)?;
    let out = match &args.out {
        Some(path) => Some(Output::open(path).map_err(|error| cannot("write", path, error))?),
        None => None,
    };
    let job = Job {
        skip: below(&dir, out.as_ref()),
        lines: args.lines,
        dir,
    };
    let watch = Watch::start(out.as_ref().and_then(Output::temporary))
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    let workers = args.workers();
    let (summary, restarts) = if workers == 0 {
        let executor = Sequential::new(&job).map_err(|error| cannot("read", &job.dir, error))?;
        (execute(args, &job, &executor, out, &watch), 0)
    } else {
        let executor = Parallel::start(workers, args.threads.into(), args.memory_cap)
            .map_err(|error| format!("cannot start {workers} workers: {error}"))?;
        let summary = execute(args, &job, &executor, out, &watch);
        let restarts = executor.restarts();
        executor.shutdown(watch.raised() || summary.is_err());
        (summary, restarts)
    };
    if let Some(signal) = watch.signal() {
        drop(summary); // Removes an unfinished output.
        eprintln!("{}", watch.message());
        return Ok(ExitCode::from(
            u8::try_from(128 + signal).unwrap_or(u8::MAX),
        ));
    }
    let Summary {
        tally,
        errors,
        digest,
        out,
    } = summary?;
    if let (Some(out), Some(path)) = (out, &args.out) {
        out.finish().map_err(|error| cannot("write", path, error))?;
    }
    let report = Report::new(tally, errors, digest, start.elapsed(), (workers, restarts));
    print(args, &report).map_err(|error| format!("cannot print the result: {error}"))?;
    Ok(if report.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The run itself, with its progress bar.
fn execute<E: Executor>(
    args: &IndexArgs,
    job: &Job,
    executor: &E,
    out: Option<Output>,
    watch: &Watch,
) -> Result<Summary<Output>, String> {
    let progress = Progress::start(!args.no_progress, &job.dir, args.workers());
    let hooks = Hooks {
        stop: &|| watch.raised(),
        seen: &|tally| {
            watch.seen(tally);
            progress.set(tally.files);
        },
    };
    run::run(job, executor, out, &hooks).map_err(|error| match error {
        run::RunError::Walk(error) => cannot("read", &job.dir, error),
        run::RunError::Write(error) => cannot(
            "write",
            args.out.as_deref().unwrap_or(Path::new("-")),
            error,
        ),
    })
}

/// The absolute path of a directory that is there.
fn directory(dir: &Path) -> Result<PathBuf, String> {
    let there = dir
        .canonicalize()
        .map_err(|error| cannot("read", dir, error))?;
    if there.is_dir() {
        return Ok(there);
    }
    let (dir, parent) = (dir.display(), there.parent().unwrap_or(&there).display());
    Err(format!(
        "{dir} is not a directory; to index the files beside it: pinfold index {parent}"
    ))
}

/// The paths of the output as a walk of `dir` would find them.
fn below(dir: &Path, out: Option<&Output>) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let paths = out.into_iter().flat_map(Output::paths);
    paths
        .filter_map(|path| Some(path.strip_prefix(dir).ok()?.as_os_str().as_bytes().to_vec()))
        .collect()
}

/// "cannot VERB PATH: why".
fn cannot(verb: &str, path: &Path, error: impl Display) -> String {
    match path.as_os_str().as_encoded_bytes() {
        b"-" => format!("cannot {verb} to stdout: {error}"),
        _ => format!("cannot {verb} {}: {error}", path.display()),
    }
}

/// Prints the report where it belongs.
fn print(args: &IndexArgs, report: &Report) -> io::Result<()> {
    if args.json {
        return report.write_json(io::stdout().lock());
    }
    report.write_failures(io::stderr().lock())?;
    if args.records_to_stdout() {
        writeln!(io::stderr(), "{report}")
    } else {
        writeln!(io::stdout(), "{report}")
    }
}
