//! The Python package's own tests (`ffi/python/tests`), and its example, with the library that was
//! built with this test. Where there is no Python they are skipped, and that is said.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The first that has numpy, or else the first at all. Another than the first on PATH may have been
/// installed with it.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

fn succeeds(python: &str, program: &str) -> bool {
    let output = Command::new(python).args(["-c", program]).output();
    output.is_ok_and(|output| output.status.success())
}

fn python() -> Option<&'static str> {
    let find = |program| PYTHONS.into_iter().find(|python| succeeds(python, program));
    find("import numpy").or_else(|| find("import ctypes"))
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn library() -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own path");
    me.with_file_name("libpinfold_c.so")
}

fn run(python: &str, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["--kill-after=5", "240", python])
        .args(arguments)
        .current_dir(crate_dir().join("python"))
        .env("PINFOLD_LIBRARY", library())
        .env("PINFOLD_WORKER", env!("CARGO_BIN_EXE_pinfold-worker"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", ".")
        .output()
        .expect("timeout is a program of every system")
}

fn passes(python: &str, arguments: &[&str]) {
    let output = run(python, arguments);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    println!("{out}{err}");
}

#[test]
fn the_tests_of_the_package_pass() {
    match python() {
        Some(python) => passes(python, &["-m", "unittest", "discover", "-v", "-s", "tests"]),
        None => println!("SKIPPED: there is no python3"),
    }
}

#[test]
fn the_example_with_numpy_does_what_it_says() {
    let Some(python) = python().filter(|python| succeeds(python, "import numpy")) else {
        return println!("SKIPPED: no python3 here has numpy");
    };
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory can be made");
    let plugin = directory.path().join("plugin.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-I"])
        .args([
            crate_dir().join("include"),
            crate_dir().join("examples/plugin.c"),
        ])
        .arg("-o")
        .arg(&plugin)
        .status();
    assert!(compiled.expect("a C compiler is called cc here").success());
    let plugin = plugin.display().to_string();
    passes(python, &["../examples/numpy_sum.py", &plugin]);
}
