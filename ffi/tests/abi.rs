//! What was promised to programs that are compiled already still holds.
//!
//! `ffi/abi/pinfold-0.txt` has what such a program relies on: the functions that the shared library
//! exports and their types, the numbers behind names, where the fields of structs lie. What
//! is there must stay; what is new is promised when `scripts/abi --update` has written it down.
//! And `ffi/abi/pinfold-0.c`, compiled with the header of then, runs with the library of now.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What is promised, by what it is about: `field pinfold_config.workers` is `offset 8, 8 bytes`.
type Promises = BTreeMap<String, String>;

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The shared library, which cargo has put beside this test.
fn library() -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own path");
    me.with_file_name("libpinfold_c.so")
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{stdout}{said}",
        output.status
    );
    stdout
}

/// The header's declarations, each on one line, without what only compilers and people need.
fn declarations(header: &Path) -> Vec<String> {
    let mut command = Command::new("cc");
    let text = run(command.args(["-E", "-P", "-std=c11"]).arg(header));
    let mut all = Vec::new();
    let (mut one, mut depth) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                let words: Vec<_> = one.split_whitespace().collect();
                all.push(words.join(" "));
                one.clear();
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    all.retain(|one| one.contains("pinfold_"));
    all
}

/// Macros that stand for a number.
fn numbers(header: &Path) -> Vec<String> {
    let mut command = Command::new("cc");
    let text = run(command.args(["-E", "-dM", "-std=c11"]).arg(header));
    let define = |line: &str| {
        let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
        let is_number = value.starts_with(|c: char| c.is_ascii_digit()) || value == "UINT64_MAX";
        // A version's numbers are there to change.
        let is_promise = name.starts_with("PINFOLD_") && !name.starts_with("PINFOLD_VERSION_");
        (is_promise && is_number).then(|| name.to_owned())
    };
    text.lines().filter_map(define).collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Splits what is declared from its name: `const void **out_data` is `const void **` and `out_data`.
fn split_name(declared: &str) -> (&str, &str) {
    let declared = declared.trim();
    let name = declared.trim_end_matches(is_of_a_name).len();
    let (of, name) = declared.split_at(name);
    (of.trim_end(), name)
}

/// The types of parameters, whose names nobody relies on.
fn types(parameters: &str) -> String {
    let type_of = |parameter: &str| match split_name(parameter) {
        ("", alone) => alone.to_owned(), // (void)
        (of, _) => of.to_owned(),
    };
    let all: Vec<_> = parameters.split(',').map(type_of).collect();
    all.join(", ")
}

/// `RESULT name(PARAMETERS)`, as its name and its type.
fn function(declaration: &str) -> Option<(String, String)> {
    let (front, parameters) = declaration.strip_suffix(')')?.split_once('(')?;
    let (result, name) = split_name(front);
    let is_one = name.starts_with("pinfold_") && !result.is_empty() && !result.contains('{');
    is_one.then(|| (name.to_owned(), format!("{result} ({})", types(parameters))))
}

/// A program that prints what only the compiler knows.
fn probe(declarations: &[String], numbers: &[String]) -> String {
    let mut lines = Vec::new();
    let mut number = |name: &str| {
        lines.push(format!(
            r#"printf("number {name}: %lld\n", (long long)({name}));"#
        ))
    };
    numbers.iter().for_each(|name| number(name));
    let mut structs = Vec::new();
    for one in declarations {
        let Some((front, rest)) = one.split_once('{') else {
            continue;
        };
        let Some((inner, name)) = rest.rsplit_once('}') else {
            continue;
        };
        if front.starts_with("enum") || front.starts_with("typedef enum") {
            for value in inner.split(',').filter(|value| !value.trim().is_empty()) {
                number(value.split('=').next().unwrap_or(value).trim());
            }
        } else if front.starts_with("typedef struct") {
            structs.push((name.trim().to_owned(), inner.to_owned()));
        }
    }
    for (name, inner) in structs {
        lines.push(format!(
            r#"printf("struct {name}: %zu bytes\n", sizeof({name}));"#
        ));
        for field in inner.split(';').filter(|field| !field.trim().is_empty()) {
            let field = field.split('[').next().unwrap_or(field);
            let (_, field) = split_name(field);
            lines.push(format!(
                r#"printf("field {name}.{field}: offset %zu, %zu bytes\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"#
            ));
        }
    }
    format!(
        "#include <pinfold.h>\n#include <stdio.h>\nint main(void)\n{{\n{}\nreturn 0;\n}}\n",
        lines.join("\n")
    )
}

/// What today's header and library say.
fn today(directory: &Path) -> Promises {
    let header = here("include/pinfold.h");
    let declarations = declarations(&header);
    let mut all = Promises::new();
    let source = directory.join("probe.c");
    std::fs::write(&source, probe(&declarations, &numbers(&header))).expect("a file is written");
    let program = directory.join("probe");
    let mut command = Command::new("cc");
    command.arg("-std=c11").arg("-I").arg(here("include"));
    run(command.arg(&source).arg("-o").arg(&program));
    for line in run(&mut Command::new(&program)).lines() {
        let (about, what) = line.split_once(": ").expect("the program prints both");
        all.insert(about.to_owned(), what.to_owned());
    }
    for one in &declarations {
        if let Some(callback) = one.strip_prefix("typedef ").filter(|of| of.contains("(*")) {
            let (result, rest) = callback.split_once("(*").expect("it was looked for");
            let (name, parameters) = rest.split_once(")(").expect("a pointer to a function");
            let what = format!("{}({})", result, types(parameters.trim_end_matches(')')));
            all.insert(format!("callback {name}"), what);
        } else if let Some((name, what)) = function(one) {
            all.insert(format!("function {name}"), what);
        }
    }
    // What is declared and not exported is no promise; what is only exported is one without a type.
    let mut nm = Command::new("nm");
    let symbols = run(nm.args(["-D", "--defined-only"]).arg(library()));
    let symbols: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    all.retain(|about, _| match about.strip_prefix("function ") {
        Some(name) => symbols.contains(&name),
        None => true,
    });
    for name in symbols {
        assert!(name.starts_with("pinfold_"), "the library exports {name}");
        let is_undeclared = "not in the header".to_owned();
        all.entry(format!("function {name}"))
            .or_insert(is_undeclared);
    }
    all
}

/// Structs that say their size, to which fields may be added.
fn may_grow(promises: &Promises, name: &str) -> bool {
    let first = promises.get(&format!("field {name}.size"));
    first.is_some_and(|what| what.starts_with("offset 0,"))
}

/// Whether of what was reserved at most some is used now, from its beginning.
fn is_rest_of(now: &str, then: &str) -> bool {
    let place = |what: &str| {
        let (offset, size) = what.strip_prefix("offset ")?.split_once(", ")?;
        let begin: usize = offset.parse().ok()?;
        Some((begin, begin + bytes(size)))
    };
    matches!((place(now), place(then)), (Some(now), Some(then)) if now.0 >= then.0 && now.1 == then.1)
}

fn bytes(what: &str) -> usize {
    let digits = what.split(' ').next().unwrap_or_default();
    digits.parse().expect("a size in bytes")
}

/// What was promised and is not so any more.
fn broken(promised: &Promises, today: &Promises) -> Vec<String> {
    let mut broken = Vec::new();
    for (about, then) in promised {
        let is_kept = match (today.get(about), about.strip_prefix("struct ")) {
            (None, _) => false,
            (Some(now), Some(name)) if may_grow(promised, name) => bytes(now) >= bytes(then),
            (Some(now), _) if about.ends_with(".reserved") => is_rest_of(now, then),
            (Some(now), _) => now == then,
        };
        if !is_kept {
            let now = today.get(about).map_or("is gone", String::as_str);
            broken.push(format!("{about}: was {then}, now {now}"));
        }
    }
    broken
}

fn parsed(text: &str) -> Promises {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(about, what)| (about.to_owned(), what.to_owned()))
        .collect()
}

#[test]
fn what_was_promised_holds() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let today = today(directory.path());
    let snapshot = here("abi/pinfold-0.txt");
    let promised = parsed(&std::fs::read_to_string(&snapshot).unwrap_or_default());
    let broken = broken(&promised, &today);
    assert!(
        broken.is_empty(),
        "programs that are compiled already would break:\n  {}\n\
         Take it back; or, if it must be, count up PINFOLD_ABI_VERSION and the soname.",
        broken.join("\n  ")
    );
    if std::env::var_os("UPDATE_ABI").is_some() {
        let mut text = String::from(
            "# What compiled programs rely on. Written by scripts/abi --update; see ffi/tests/abi.rs.\n",
        );
        for (about, what) in &today {
            text += &format!("{about}: {what}\n");
        }
        std::fs::write(&snapshot, text).expect("the snapshot is written");
        std::fs::copy(here("include/pinfold.h"), here("abi/pinfold-0.h")).expect("and the header");
        return;
    }
    let new: Vec<_> = today
        .keys()
        .filter(|of| !promised.contains_key(*of))
        .collect();
    if !new.is_empty() {
        println!(
            "{} things are new, and not promised yet; to promise them: scripts/abi --update\n  {}",
            new.len(),
            new.into_iter().cloned().collect::<Vec<_>>().join("\n  ")
        );
    }
}

#[test]
fn a_program_of_then_runs_with_the_library_of_now() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    // The header of then is the only one it can find.
    let include = directory.path().join("include");
    std::fs::create_dir(&include).expect("a directory is made");
    std::fs::copy(here("abi/pinfold-0.h"), include.join("pinfold.h"))
        .expect("scripts/abi --update");
    symlink(library(), directory.path().join("libpinfold.so")).expect("a link is made");
    symlink(library(), directory.path().join("libpinfold.so.0")).expect("a link is made");
    let program = directory.path().join("program");
    let mut command = Command::new("cc");
    command
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .arg(&include)
        .arg(here("abi/pinfold-0.c"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(directory.path())
        .arg("-lpinfold")
        .arg(format!("-Wl,-rpath,{}", directory.path().display()));
    run(&mut command);
    run(Command::new("timeout")
        .args(["--kill-after=5", "90"])
        .arg(&program));
}

#[test]
fn each_kind_of_breach_is_found() {
    let promised = parsed(
        "function pinfold_a: void (void)\nnumber PINFOLD_X: 3\nstruct pinfold_s: 16 bytes\n\
         field pinfold_s.size: offset 0, 8 bytes\nfield pinfold_s.b: offset 8, 8 bytes\n\
         struct pinfold_fixed: 8 bytes\n",
    );
    let with = |about: &str, what: Option<&str>| {
        let mut today = promised.clone();
        match what {
            Some(what) => today.insert(about.to_owned(), what.to_owned()),
            None => today.remove(about),
        };
        broken(&promised, &today).len()
    };
    assert_eq!(with("function pinfold_b", Some("void (void)")), 0);
    assert_eq!(with("struct pinfold_s", Some("24 bytes")), 0);
    assert_eq!(with("function pinfold_a", None), 1);
    assert_eq!(with("function pinfold_a", Some("void (int)")), 1);
    assert_eq!(with("number PINFOLD_X", Some("4")), 1);
    assert_eq!(with("struct pinfold_s", Some("8 bytes")), 1);
    assert_eq!(with("struct pinfold_fixed", Some("16 bytes")), 1);
    assert_eq!(with("field pinfold_s.b", Some("offset 12, 4 bytes")), 1);
    assert_eq!(with("field pinfold_s.b", None), 1);
}

#[test]
fn declarations_are_read_as_they_are_meant() {
    assert_eq!(
        function("pinfold_status pinfold_x(const void *argument, size_t len, char **out_text)"),
        Some((
            "pinfold_x".to_owned(),
            "pinfold_status (const void *, size_t, char **)".to_owned()
        ))
    );
    assert_eq!(
        function("const char *pinfold_version(void)"),
        Some((
            "pinfold_version".to_owned(),
            "const char * (void)".to_owned()
        ))
    );
}
