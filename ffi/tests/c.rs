//! A C program compiles against the committed header and runs with both kinds of library.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a static Rust library needs from the system (`rustc --print native-static-libs`).
const SYSTEM_LIBRARIES: [&str; 4] = ["-lgcc_s", "-lpthread", "-ldl", "-lm"];

/// Cargo puts this test and the libraries it was built with into the same directory.
fn library(file: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own path");
    let path = me
        .parent()
        .expect("an executable lies in a directory")
        .join(file);
    assert!(path.exists(), "cargo did not build {}", path.display());
    path
}

fn compile(name: &str, compiler_args: &[&str], link: &[&str]) -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new("cc")
        .args(compiler_args)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(crate_dir.join("include"))
        .arg(crate_dir.join("tests/c_smoke.c"))
        .args(link)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler is called cc here");
    assert_success("cc", &output);
    program
}

fn run(program: &Path) {
    let output = Command::new(program)
        .output()
        .expect("the program was just compiled");
    assert_success("the C program", &output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let greeting = format!("pinfold {}, ", env!("CARGO_PKG_VERSION"));
    assert!(stdout.starts_with(&greeting), "unexpected output: {stdout}");
}

fn assert_success(who: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{who} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the build directory's path is UTF-8")
}

#[test]
fn a_c_program_runs_with_the_static_library() {
    let archive = library("libpinfold_c.a");
    let mut link = vec![text(&archive)];
    link.extend(SYSTEM_LIBRARIES);
    run(&compile("c_smoke_static", &["-std=c99"], &link));
}

#[test]
fn a_c_program_runs_with_the_shared_library() {
    let shared = library("libpinfold_c.so");
    let directory = shared.parent().expect("a file lies in a directory");
    // An rpath, so that the program finds this library and no installed one.
    let rpath = format!("-Wl,-rpath,{}", text(directory));
    run(&compile(
        "c_smoke_shared",
        &["-std=c11"],
        &[text(&shared), &rpath],
    ));
}
