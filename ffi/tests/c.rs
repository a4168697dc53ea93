//! Programs in C and C++ use the library as their users do: each file of `tests/c` is a test.
//!
//! A program passes if it ends by itself, in time, with 0; else its output is shown. All are linked
//! with the shared library, some with the static one too. What they include is the committed header,
//! which no compiler may have anything to say about, in any standard that it is promised for.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

mod matrix;

/// Also linked with the static library. Linking that takes long, so they are few.
const ALSO_STATIC: [&str; 2] = ["cpp_tasks", "task"];

/// None needs a tenth of it.
const TIME_LIMIT: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Shared,
    Static,
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo puts this test and the libraries it was built with into the same directory.
fn built(file: &str) -> Result<PathBuf, Failed> {
    let me = std::env::current_exe()?;
    let path = me.with_file_name(file);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("cargo did not build {}", path.display()).into()),
    }
}

/// What the static library needs besides itself.
fn system_libraries() -> Result<Vec<String>, Failed> {
    let list = std::fs::read_to_string(crate_dir().join("package/system-libraries"))?;
    Ok(list.split_whitespace().map(str::to_owned).collect())
}

/// Under the names that an installation has, in a directory of the test's own.
fn install(kind: Kind, directory: &Path) -> Result<(), Failed> {
    match kind {
        Kind::Shared => {
            let library = built("libpinfold_c.so")?;
            symlink(&library, directory.join("libpinfold.so"))?;
            symlink(&library, directory.join("libpinfold.so.0"))?;
        }
        Kind::Static => symlink(built("libpinfold_c.a")?, directory.join("libpinfold.a"))?,
    }
    Ok(())
}

fn is_cpp(source: &Path) -> bool {
    source.extension().is_some_and(|end| end == "cpp")
}

fn compile(source: &Path, kind: Kind, directory: &Path) -> Result<PathBuf, Failed> {
    let program = directory.join("program");
    let (compiler, standard) = match is_cpp(source) {
        true => ("c++", "-std=c++17"),
        false => ("cc", "-std=c11"),
    };
    let mut command = Command::new(compiler);
    command
        // POSIX is no extension that a Linux program would have to ask for.
        .args([standard, "-D_GNU_SOURCE", "-g", "-O1", "-pthread"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(crate_dir().join("include"))
        // What programs that are written by a test include.
        .arg("-I")
        .arg(crate_dir().join("tests/c"))
        .arg("-I")
        .arg(crate_dir().join("tests"))
        .arg(source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(directory)
        .arg("-lpinfold")
        // This library, and no installed one.
        .arg(format!("-Wl,-rpath,{}", directory.display()));
    if kind == Kind::Static {
        command.args(system_libraries()?);
    }
    let output = command
        .output()
        .map_err(|error| format!("no compiler is called {compiler} here: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Runs a program in `directory`, in a group of its own; says how it ended, and what it has written.
fn run(
    program: &Path,
    arguments: &[&str],
    directory: &Path,
) -> Result<(ExitStatus, String), Failed> {
    let output = directory.join("output");
    let file = File::create(&output)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()?;
    let end = Instant::now() + TIME_LIMIT;
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > end {
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if ended.is_none() {
        // Its workers end with it.
        child.kill()?;
        child.wait()?;
    }
    let text = String::from_utf8_lossy(&std::fs::read(&output)?).into_owned();
    match ended {
        Some(status) => Ok((status, text)),
        None => Err(format!("it has not ended within {TIME_LIMIT:?}:\n{text}").into()),
    }
}

/// All functions with all that may be wrong: see [`matrix`].
fn refuses_all_that_is_wrong() -> Result<(), Failed> {
    let header = std::fs::read_to_string(crate_dir().join("include/pinfold.h"))?;
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix.c");
    std::fs::write(&source, matrix::program(&header))?;
    passes(&source, Kind::Shared)
}

/// The examples in comments of a C++ header: a function each, but for an entry of a plugin.
fn examples(header: &str, file: &str, out: &mut String) -> usize {
    let code = |line: &str| {
        let line = line.trim_start();
        let code = line
            .strip_prefix("///     ")
            .or(line.strip_prefix("*     "));
        code.map(|code| format!("{code}\n"))
    };
    let mut found = 0;
    let mut lines = header.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(mut example) = code(line) else {
            continue;
        };
        while let Some(more) = lines.peek().and_then(|line| code(line)) {
            example += &more;
            lines.next();
        }
        found += 1;
        *out += &match example.starts_with("PINFOLD_PLUGIN") {
            true => example,
            false => {
                format!("auto of_{file}_{found}(int argc, char **argv)\n{{\n{example}}}\n")
            }
        };
    }
    found
}

/// The examples of pinfold.hpp, which is as many files as it has parts.
fn examples_compile() -> Result<(), Failed> {
    let include = crate_dir().join("include");
    let mut files = vec![include.join("pinfold.hpp")];
    for entry in std::fs::read_dir(include.join("pinfold"))? {
        files.push(entry?.path());
    }
    let mut program = String::from("#include \"comments.h\"\n");
    let mut found = 0;
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        found += examples(&std::fs::read_to_string(&file)?, &stem, &mut program);
    }
    if found < 15 {
        return Err(format!("there are {found} examples only").into());
    }
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comments.cpp");
    std::fs::write(&source, program)?;
    let mut command = Command::new("c++");
    command
        .args(["-std=c++17", "-fsyntax-only", "-I"])
        .arg(&include)
        .arg("-I")
        .arg(crate_dir().join("tests/c"))
        .arg(&source);
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

fn passes(source: &Path, kind: Kind) -> Result<(), Failed> {
    passes_with(source, kind, &[])
}

fn passes_with(source: &Path, kind: Kind, arguments: &[&str]) -> Result<(), Failed> {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    install(kind, directory.path())?;
    let program = compile(source, kind, directory.path())?;
    let (status, text) = run(&program, arguments, directory.path())?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("it ended with {status}:\n{text}").into()),
    }
}

/// The programs that use all of a header, and the standards it is promised for.
const HEADERS: [(&str, &str, &[&str]); 4] = [
    ("header.c", "gcc", &["c11", "c17"]),
    ("header.c", "clang", &["c11", "c17"]),
    ("header_cpp.cpp", "g++", &["c++17", "c++20"]),
    ("header_cpp.cpp", "clang++", &["c++17", "c++20"]),
];

/// No word of the compiler about a program that uses all of a header.
fn is_clean(source: &Path, compiler: &str, standard: &str) -> Result<(), Failed> {
    let output = Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"])
        .args(["-fsyntax-only", "-I"])
        .arg(crate_dir().join("include"))
        .arg(source)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() && said.is_empty() {
        true => Ok(()),
        false => Err(said.into()),
    }
}

fn is_here(compiler: &str) -> bool {
    let mut command = Command::new(compiler);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A compiler that is not here is told as one that was ignored.
fn header_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (file, compiler, standards) in HEADERS {
        let missing = !is_here(compiler);
        for standard in standards {
            let source = crate_dir().join("tests/c").join(file);
            let about = file.split('.').next().unwrap_or(file);
            let name = format!("{about}::{standard}::{compiler}");
            let name = match missing {
                true => format!("{name} (not installed)"),
                false => name,
            };
            let check = move || is_clean(&source, compiler, standard);
            trials.push(Trial::test(name, check).with_ignored_flag(missing));
        }
    }
    trials
}

/// The test programs, in order.
fn sources() -> Vec<PathBuf> {
    let folder = crate_dir().join("tests/c");
    let entries = std::fs::read_dir(&folder).expect("tests/c is there");
    let mut sources: Vec<_> = entries
        .map(|entry| entry.expect("a folder's entries can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "c" || end == "cpp")
        })
        .collect();
    sources.sort();
    assert!(!sources.is_empty(), "there are test programs");
    sources
}

fn main() {
    let mut trials = header_trials();
    trials.push(Trial::test("matrix", refuses_all_that_is_wrong));
    // Each of these says more about itself. Its seed is in its output, which a failure shows.
    let programs: [(&str, &str, &[&str]); 2] = [
        ("fuzz", "fuzz/driver.c", &["--seconds", "5"]),
        ("graph", "graph/graph.c", &[]),
    ];
    for (name, file, arguments) in programs {
        let source = crate_dir().join("tests").join(file);
        let run = move || passes_with(&source, Kind::Shared, arguments);
        trials.push(Trial::test(name, run));
    }
    let has_cpp = is_here("c++");
    let comments = Trial::test("comments", examples_compile);
    trials.push(comments.with_ignored_flag(!has_cpp));
    for source in sources() {
        let stem = source.file_stem().expect("a file has a name");
        let mut name = stem.to_string_lossy().into_owned();
        let missing = is_cpp(&source) && !has_cpp;
        let mut kinds = vec![Kind::Shared];
        if ALSO_STATIC.contains(&name.as_str()) {
            kinds.push(Kind::Static);
        }
        if missing {
            name += " (c++ is not installed)";
        }
        for kind in kinds {
            let source = source.clone();
            let name = match kind {
                Kind::Shared => name.clone(),
                Kind::Static => format!("{name}::static"),
            };
            let trial = Trial::test(name, move || passes(&source, kind));
            trials.push(trial.with_ignored_flag(missing));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
