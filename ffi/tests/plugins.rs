//! Plugins of all kinds, and a host that has called no `pinfold_init`: programs in C, compiled here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The file of this crate.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The library, which Cargo puts beside this test, with these last letters of its name.
fn library(end: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own path");
    me.with_file_name(format!("libpinfold_c.{end}"))
}

fn compile(from: &str, to: &Path, arguments: &[&str]) {
    let (compiler, standard) = match from.ends_with(".cpp") {
        true => ("c++", "-std=c++17"),
        false => ("cc", "-std=c11"),
    };
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-I"])
        .args([source("include"), source(from)])
        .arg("-o")
        .arg(to)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("no compiler is called {compiler} here: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{from}: {said}");
}

/// A plugin; it is linked with no library.
fn plugin(from: &str, to: &Path, kind: Option<&str>) {
    let kind = format!("-D{}=1", kind.unwrap_or("AS_IT_SHOULD_BE"));
    compile(from, to, &["-shared", "-fPIC", &kind]);
}

/// A host, linked with the shared library under the name that the loader asks for.
fn host(from: &str, directory: &Path) -> PathBuf {
    let to = directory.join("host");
    let library = library("so");
    let linked = std::os::unix::fs::symlink(&library, directory.join("libpinfold.so.0"));
    linked.expect("a link can be made");
    let rpath = format!("-Wl,-rpath,{}", directory.display());
    compile(
        from,
        &to,
        &["-DHOST", &library.display().to_string(), &rpath],
    );
    to
}

fn run(program: &Path, arguments: &[&Path]) -> Output {
    Command::new("timeout")
        .args(["--kill-after=5", "90"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("timeout is a program of every system")
}

/// What the host has printed.
fn printed(program: &Path, arguments: &[&Path]) -> String {
    let output = run(program, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{said}", output.status);
    text
}

fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory can be made")
}

/// Starts a runtime with a plugin of that kind, and looks for each of `said` in why it is refused.
fn is_refused(kind: &str, said: &[&str]) {
    let directory = directory();
    let file = directory.path().join("odd.so");
    plugin("tests/plugins/odd.c", &file, Some(kind));
    let start = host("tests/plugins/start.c", directory.path());
    let text = printed(&start, &[&file]);
    // PINFOLD_STATUS_START_FAILED
    assert!(text.starts_with("11 "), "{kind}: {text}");
    for said in said.iter().copied().chain(["/odd.so"]) {
        assert!(text.contains(said), "{kind}: {said} is not in {text}");
    }
}

#[test]
fn a_plugin_serves_a_host_that_has_no_functions_and_deaths_cost_what_they_must() {
    let directory = directory();
    let (one, other) = (directory.path().join("a.so"), directory.path().join("b.so"));
    plugin("tests/plugins/odd.c", &one, None);
    plugin("tests/plugins/odd.c", &other, Some("TWICE"));
    let life = host("tests/plugins/life.c", directory.path());
    printed(&life, &[&one, &other]);
}

#[test]
fn the_example_of_a_plugin_does_what_it_says() {
    let directory = directory();
    let file = directory.path().join("plugin.so");
    plugin("examples/plugin.c", &file, None);
    let host = host("examples/plugin_host.c", directory.path());
    let text = printed(&host, &[&file]);
    assert!(text.ends_with("sum: 7\n"), "{text}");
}

#[test]
fn workers_with_a_plugin_make_the_state_that_it_registers() {
    let directory = directory();
    let file = directory.path().join("state.so");
    plugin("tests/plugins/state.c", &file, None);
    let to = directory.path().join("host");
    let so = library("so");
    let linked = std::os::unix::fs::symlink(&so, directory.path().join("libpinfold.so.0"));
    linked.expect("a link can be made");
    let rpath = format!("-Wl,-rpath,{}", directory.path().display());
    let link = ["-DHOST", &so.display().to_string(), &rpath];
    compile("tests/plugins/state.c", &to, &link);
    printed(&to, &[&file]);
}

#[test]
fn what_is_no_plugin_is_refused_by_name() {
    let directory = directory();
    let start = host("tests/plugins/start.c", directory.path());
    let text = printed(&start, &[Path::new("nothing.so")]);
    assert!(text.contains("nothing.so` cannot be read"), "{text}");
    let text = printed(&start, &[&source("Cargo.toml")]);
    assert!(text.contains("invalid ELF header"), "{text}");
    is_refused("NO_ENTRY", &["PINFOLD_PLUGIN"]);
}

#[test]
fn a_plugin_of_another_version_is_not_called() {
    is_refused("OTHER_VERSION", &["version 999", "has version 1"]);
}

#[test]
fn an_entry_that_ends_its_process_is_told_as_such() {
    is_refused("CRASH", &["SIGSEGV"]);
    is_refused("EXIT", &["exited with status 3"]);
}

/// This takes as long as a start may.
#[test]
fn an_entry_that_does_not_return_is_ended_in_time() {
    is_refused("HANG", &["did not answer within 20 s"]);
}

#[test]
fn an_entry_that_registers_nothing_or_fails_refuses_the_start() {
    is_refused("FAIL", &["its entry returned 2"]);
    is_refused("NOTHING", &["registers no function"]);
    is_refused(
        "TWICE",
        &["another function is registered by the name `where`"],
    );
}

#[test]
fn a_host_with_the_library_linked_into_it_is_told_what_to_do() {
    let directory = directory();
    let file = directory.path().join("odd.so");
    plugin("tests/plugins/odd.c", &file, None);
    let start = directory.path().join("static");
    let mut link = vec![library("a").display().to_string()];
    let system = std::fs::read_to_string(source("package/system-libraries"));
    let system = system.expect("the list of libraries is there");
    link.extend(system.split_whitespace().map(str::to_owned));
    let link: Vec<&str> = link.iter().map(String::as_str).collect();
    compile("tests/plugins/start.c", &start, &link);
    let text = printed(&start, &[&file]);
    assert!(text.starts_with("11 "), "{text}");
    assert!(text.contains("link it with libpinfold.so"), "{text}");
}

#[test]
fn a_plugin_and_its_host_in_cpp_share_types() {
    let has_cpp = Command::new("c++").arg("--version").output().is_ok();
    if !has_cpp {
        return eprintln!("not tested: no compiler is called c++ here");
    }
    let directory = directory();
    let host = host("tests/plugins/typed.cpp", directory.path());
    let [good, twice] = ["good.so", "twice.so"].map(|name| directory.path().join(name));
    plugin("tests/plugins/typed.cpp", &good, None);
    assert_eq!(printed(&host, &[&good]), "4\n");
    plugin("tests/plugins/typed.cpp", &twice, Some("TWICE"));
    let output = run(&host, &[&twice]);
    let text = String::from_utf8_lossy(&output.stdout);
    let said = "another function is registered by the name `sum`";
    assert!(text.starts_with("11 ") && text.contains(said), "{text}");
}

#[test]
fn the_worker_program_does_nothing_by_itself() {
    let worker = Path::new(env!("CARGO_BIN_EXE_pinfold-worker"));
    let nothing = Path::new("nothing.so");
    let so = library("so");
    let libc = Path::new("libc.so.6");
    const BY_HAND: &str = "by hand it does nothing";
    for (arguments, said) in [
        (vec![], BY_HAND),
        (vec![Path::new("--help")], BY_HAND),
        (vec![nothing], BY_HAND),
        (vec![so.as_path()], BY_HAND),
        (vec![so.as_path(), nothing, nothing], BY_HAND),
        (vec![nothing; 3], "cannot be loaded: nothing.so"),
        (vec![libc, nothing, nothing], "the library is not pinfold's"),
    ] {
        let output = run(worker, &arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
