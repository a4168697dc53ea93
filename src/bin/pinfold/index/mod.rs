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
pub mod job;
pub mod large;
pub mod long;
pub mod open;
pub mod options;
pub mod outcome;
pub mod output;
pub mod parallel;
pub mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod say;
pub mod scratch;
pub mod segments;
pub mod signal;
pub mod sink;
pub mod source;
pub mod tree;
pub mod walk;
pub mod work;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use executor::{Executor, Sequential};
use job::{Hooks, Job};
pub use options::IndexArgs;
use output::Output;
use parallel::Parallel;
use progress::Progress;
use report::Report;
use run::Summary;
use say::say;
use signal::Watch;
use source::FileId;

/// The status when whoever read the output has closed it: what a shell shows for a program that SIGPIPE ends.
const PIPE_CLOSED: u8 = 141;

/// Why the command ends early.
enum Failure {
    /// What to say. The status is 2.
    Said(String),
    /// Whoever read the output has had enough. Nothing is said.
    PipeClosed,
    /// A signal.
    Interrupted(Watch),
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Said(message)
    }
}

/// Runs the command; the exit status is explained in its help.
pub fn run(args: &IndexArgs) -> ExitCode {
    match index(args) {
        Ok(code) => code,
        Err(Failure::Said(message)) => {
            say(message);
            ExitCode::from(2)
        }
        Err(Failure::PipeClosed) => ExitCode::from(PIPE_CLOSED),
        Err(Failure::Interrupted(watch)) => {
            say(watch.message());
            let signal = watch.signal().unwrap_or(0);
            ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
        }
    }
}

/// The command, with a message for what keeps it from starting or writing.
fn index(args: &IndexArgs) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let watch = Watch::start().map_err(|error| format!("cannot watch for signals: {error}"))?;
    let dir = directory(&args.dir)?;
    let out = match &args.out {
        Some(path) => Some(Output::open(path).map_err(|error| cannot("write", path, error))?),
        None => None,
    };
    watch.removes(out.as_ref().and_then(Output::temporary));
    let is_stdout = out.as_ref().is_some_and(Output::is_stdout);
    if args.json && is_stdout {
        return Err(contradiction().into());
    }
    let job = Job::new(dir, args.lines, own(out.as_ref()))
        .map_err(|error| cannot("read", &args.dir, error))?;
    let workers = args.workers();
    let (summary, restarts) = if workers == 0 {
        (execute(args, &job, &Sequential::new(&job), out, &watch), 0)
    } else {
        let executor = match Parallel::start(&job, workers, args.threads.into(), args.memory_cap) {
            Ok(executor) => executor,
            // A signal to all processes of a terminal ends a worker that has just begun.
            Err(_) if watch.raised_soon() => return Err(Failure::Interrupted(watch)),
            Err(error) => return Err(format!("cannot start {workers} workers: {error}").into()),
        };
        let summary = execute(args, &job, &executor, out, &watch);
        let restarts = executor.restarts();
        if let Some(trouble) = executor.trouble() {
            say(format_args!("the rest was done without workers: {trouble}"));
        }
        executor.shutdown(watch.raised() || summary.is_err());
        (summary, restarts)
    };
    if watch.raised() {
        drop(summary); // Removes an unfinished output.
        return Err(Failure::Interrupted(watch));
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
    print(args, is_stdout, &report).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        _ => format!("cannot print the result: {error}").into(),
    })?;
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
) -> Result<Summary<Output>, Failure> {
    let progress = Progress::start(!args.no_progress, &job.dir, args.workers());
    let hooks = Hooks {
        stop: &|| watch.raised(),
        seen: &|tally| {
            watch.seen(tally);
            progress.set(tally.files);
        },
    };
    run::run(job, executor, out, &hooks).map_err(|error| match error {
        run::RunError::Walk(error) => cannot("read", &job.dir, error).into(),
        run::RunError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::PipeClosed
        }
        run::RunError::Write(error) => {
            let path = args.out.as_deref().unwrap_or(Path::new("-"));
            cannot("write", path, error).into()
        }
    })
}

/// The regular files that this program itself writes: its output, and where the shell has put stdout and stderr.
fn own(out: Option<&Output>) -> Vec<FileId> {
    let streams = [
        FileId::of_regular(io::stdout()),
        FileId::of_regular(io::stderr()),
    ];
    let outputs = out.into_iter().flat_map(Output::ids);
    outputs.chain(streams.into_iter().flatten()).collect()
}

/// What is wrong with `--json` if the records go to stdout.
fn contradiction() -> String {
    "--json and --out - both want stdout; write the records to a file: --out FILE".into()
}

/// The absolute path of a directory that is there.
fn directory(dir: &Path) -> Result<PathBuf, String> {
    let there = dir
        .canonicalize()
        .map_err(|error| cannot("read", dir, error))?;
    if there.is_dir() {
        return Ok(there);
    }
    let shown = |path: &Path| path.to_string_lossy().escape_debug().to_string();
    let (dir, parent) = (shown(dir), shown(there.parent().unwrap_or(&there)));
    Err(format!(
        "{dir} is not a directory; to index the files beside it: pinfold index {parent}"
    ))
}

/// "cannot VERB PATH: why".
fn cannot(verb: &str, path: &Path, error: impl Display) -> String {
    match path.as_os_str().as_encoded_bytes() {
        b"-" => format!("cannot {verb} to stdout: {error}"),
        // A name may hold line ends and worse; shown, it holds none.
        name => {
            let name = String::from_utf8_lossy(name);
            format!("cannot {verb} {}: {error}", name.escape_debug())
        }
    }
}

/// Prints the report where it belongs.
fn print(args: &IndexArgs, is_stdout: bool, report: &Report) -> io::Result<()> {
    if args.json {
        return report.write_json(io::stdout().lock());
    }
    report.write_failures(io::stderr().lock())?;
    if is_stdout {
        writeln!(io::stderr(), "{report}")
    } else {
        writeln!(io::stdout(), "{report}")
    }
}
