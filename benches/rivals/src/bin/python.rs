//! What does a call from Python cost, and does the size of an array matter?
//!
//! Serves the decision whether a Python program may pass small tasks. The package over the C library
//! is measured by a script of its own, beside `ProcessPoolExecutor` in the same interpreter: both have
//! two workers and the same function, 8 bytes in and the same bytes out.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, Rival};

const SCRIPT: &str = include_str!("../../python/face.py");
const EXECUTOR: &str = "ProcessPoolExecutor";

/// A file of the repository.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// The plugin that both the package's example and this use.
fn plugin(directory: &Path) -> Result<PathBuf, String> {
    let made = directory.join("plugin.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-I"]);
    compiler.arg(source("ffi/include"));
    compiler.arg(source("ffi/examples/plugin.c"));
    match compiler.arg("-o").arg(&made).status() {
        Ok(status) if status.success() => Ok(made),
        Ok(status) => Err(format!("the plugin cannot be compiled: {status}")),
        Err(error) => Err(format!("the plugin cannot be compiled: cc: {error}")),
    }
}

/// The library and the program for workers, which `scripts/bench` has built beside this program.
fn built(name: &str) -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = me.with_file_name(name);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("{name} is not built (scripts/bench does that)")),
    }
}

fn start(directory: &Path) -> Result<Rival, String> {
    let paths = [
        source("ffi/python"),
        built("libpinfold_c.so")?,
        built("pinfold-worker")?,
        plugin(directory)?,
    ];
    let paths = paths.map(|path| path.display().to_string());
    Ok(Program::python(
        "face.py",
        SCRIPT,
        &paths.each_ref().map(String::as_str),
    ))
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("python", Options::parse_alone());
    let directory = tempfile::tempdir().expect("a directory for the plugin");
    let started = start(directory.path()).and_then(|mut python| {
        let has_numpy = python.ask("ready")?;
        Ok((python, has_numpy == [1.0]))
    });
    match started {
        Ok((python, has_numpy)) => run(&mut bench, &RefCell::new(python), has_numpy),
        Err(why) => println!("python: SKIPPED, {why}\n"),
    }
    bench.finish();
}

fn run(bench: &mut Bench, python: &RefCell<Rival>, has_numpy: bool) {
    let rounds = bench.rounds(15, 5);
    let questions = [
        Question::higher(
            "python.calls",
            "calls from Python, 8 bytes there and back: 1,000 submitted, then their results",
            "thousand/s",
        )
        .bar(Against::Rival(EXECUTOR), 20.0),
        Question::higher(
            "python.one",
            "calls from Python, 8 bytes there and back: one at a time",
            "thousand/s",
        ),
    ];
    let times = [("calls", (50_000, 2_000)), ("one", (5_000, 500))];
    for (question, (what, (ours, theirs))) in questions.into_iter().zip(times) {
        let mut race = Race::new([question]);
        race.ours("the Python package", || {
            python.borrow_mut().ask(&format!("{what} ours {ours}"))
        });
        race.rival(EXECUTOR, || {
            python
                .borrow_mut()
                .ask(&format!("{what} executor {theirs}"))
        });
        bench.run(race, rounds);
    }
    if !has_numpy {
        return println!("python.array: SKIPPED, this Python has no numpy\n");
    }
    let question = |size: &str, text: &str, unit: &str| {
        Question::lower(&format!("python.array.{size}"), text, unit)
    };
    let ratio = "an array of 64 MiB there and back: how many times as long as 1 KiB";
    let mut race = Race::new([
        question("1kib", "a numpy array of 1 KiB to a worker, and back", "µs"),
        question("64mib", "the same of 64 MiB", "µs"),
        question("ratio", ratio, "×").bar(Against::Value("1 KiB", 1.0), 1.2),
    ]);
    let times = bench.pick(300, 100);
    race.ours("a buffer, in place", || {
        python.borrow_mut().ask(&format!("arrays {times}"))
    });
    bench.run(race, rounds);
}
