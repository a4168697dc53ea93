//! Thumbnails of all images below a directory, as optimised PNGs in another.
//!
//! The files are anybody's: some are broken, some were made to harm. Each image is a task, which
//! decodes in a worker process. One that hangs is ended by its limit, one that crashes costs its
//! worker, and what is left of the batch does not notice. Ctrl-C ends what runs and tells what is
//! done.
//!
//! ```sh
//! cargo run --release -p pinfold-service -- ~/pictures /tmp/thumbnails
//! ```

mod thumbnail;
mod walk;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pinfold::{Retry, Runtime, Shutdown, TaskError};

/// How long one image may take, if nothing else is said.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether Ctrl-C was pressed.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    pinfold::init(); // first: in a worker process it does not return
    let (from, to, limit) = match arguments() {
        Ok(arguments) => arguments,
        Err(message) => return give_up(&message),
    };
    match run(&from, &to, limit) {
        Ok(_) if IS_INTERRUPTED.load(Ordering::Relaxed) => ExitCode::from(130),
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => give_up(&error.to_string()),
    }
}

fn give_up(why: &str) -> ExitCode {
    eprintln!("pinfold-service: {why}");
    ExitCode::from(2)
}

fn arguments() -> Result<(PathBuf, PathBuf, Duration), String> {
    let usage = "usage: pinfold-service FROM TO [SECONDS]";
    let mut arguments = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err(usage.to_owned());
    };
    let limit = match arguments.next() {
        None => LIMIT,
        Some(seconds) => seconds
            .to_str()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
            .ok_or(usage)?,
    };
    Ok((from.into(), to.into(), limit))
}

/// Does the batch; returns how many files have no thumbnail.
fn run(from: &Path, to: &Path, limit: Duration) -> Result<usize, Box<dyn std::error::Error>> {
    let (files, mut failed) = walk::files(from);
    let target = |file: &PathBuf| {
        let below = file.strip_prefix(from).unwrap_or(file);
        to.join(walk::named_png(below))
    };
    let rt = Arc::new(Runtime::builder().start()?);
    end_at_ctrl_c(&rt);
    let task = rt
        .task(thumbnail::make)
        .run_limit(limit) // from when an image begins: how long it waits does not count
        .retry(Retry::fixed(2, Duration::ZERO))
        .retry_if(|outcome| outcome.is_err()); // the worker died, the limit passed, it panicked
    let (mut written, mut bytes) = (0, 0);
    let images = files.iter().map(|file| (file.clone(), target(file)));
    for (ended, (number, outcome)) in task.map_unordered(images).enumerate() {
        let file = &files[number];
        show(ended + 1, files.len());
        let why = match outcome {
            Ok(Ok(len)) => {
                (written, bytes) = (written + 1, bytes + len);
                continue;
            }
            // After Ctrl-C: not done, but nothing is wrong with it.
            Err(TaskError::Cancelled { .. } | TaskError::Shutdown { .. }) => None,
            Ok(Err(why)) => Some(why),
            Err(error) => Some(error.to_string()),
        };
        thumbnail::clean(&target(file));
        failed.extend(why.map(|why| (file.clone(), why)));
    }
    // Nothing is left to wait for, unless Ctrl-C has come: then that is waited for.
    let _ = rt.shutdown(Shutdown::Drain);
    failed.sort();
    for (file, why) in &failed {
        eprintln!("{}: {}", file.display(), why.trim_end());
    }
    println!(
        "{written} thumbnails of {} files, {bytes} bytes",
        files.len()
    );
    println!("{} failed", failed.len());
    Ok(failed.len().max(files.len() - written))
}

/// At Ctrl-C no image begins any more, and what runs has a second.
fn end_at_ctrl_c(rt: &Arc<Runtime>) {
    let rt = Arc::clone(rt);
    std::thread::spawn(move || {
        if pinfold::wait_for_termination().is_ok() {
            IS_INTERRUPTED.store(true, Ordering::Relaxed);
            let _ = rt.shutdown(Shutdown::Graceful {
                drain: Duration::ZERO,
                grace: Duration::from_secs(1),
            });
        }
    });
}

fn show(done: usize, all: usize) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{done} of {all}{}", if done == all { "\n" } else { "" });
    }
}
