//! Rules about the code, as tests: what reviewers would otherwise have to remember.
//!
//! The import table is written once, in `docs/ARCHITECTURE.md`; it is read from there.
//! Each rule is a function of a path and a text, and `tidy/planted.rs` shows that it
//! finds what it should. Needs nothing but the standard library.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/commands.rs"]
mod commands;
#[path = "tidy/figures.rs"]
mod figures;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use imports::{ARCHITECTURE, Row, module_of};
use source::Source;

/// Something that a rule forbids, and where.
#[derive(Debug)]
pub struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Violation {
    /// `path` is relative to the repository; lines count from 1.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Where the project's own files are. The top level itself is read without its other folders.
const FOLDERS: [&str; 8] = [
    "src", "ffi", "tests", "benches", "examples", "scripts", "docs", ".ci",
];

/// All text files, as (path, content), in a fixed order.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read_folder(root, "", false, &mut files);
    for folder in FOLDERS {
        if root.join(folder).is_dir() {
            read_folder(root, &format!("{folder}/"), true, &mut files);
        }
    }
    files.sort();
    files
}

fn read_folder(root: &Path, prefix: &str, deep: bool, files: &mut Vec<(String, String)>) {
    let folder = root.join(prefix);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a folder's entries can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("an entry's type is known");
        // In a worktree, `.git` is a file that names the main checkout.
        if kind.is_file() && path != ".git" {
            // What is not UTF-8 is no source of ours.
            files.extend(
                std::fs::read_to_string(entry.path())
                    .ok()
                    .map(|text| (path, text)),
            );
        } else if kind.is_dir() && deep && !path.ends_with("/target") {
            read_folder(root, &format!("{path}/"), deep, files);
        }
    }
}

fn sources() -> Vec<Source> {
    let files = files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"));
    files
        .map(|(path, text)| Source::new(&path, &text))
        .collect()
}

fn table() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ARCHITECTURE);
    let markdown = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    imports::parse_table(&markdown).unwrap_or_else(|problem| panic!("{problem}"))
}

#[track_caller]
fn assert_none(violations: impl IntoIterator<Item = Violation>) {
    let lines: Vec<String> = violations
        .into_iter()
        .map(|found| found.to_string())
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn the_import_table_lists_the_modules_that_exist() {
    let sources = sources();
    let modules: BTreeSet<String> = sources
        .iter()
        .filter_map(|source| module_of(&source.path))
        .map(str::to_owned)
        .collect();
    assert!(!modules.is_empty(), "no sources found");
    assert_none(imports::check_table(&table(), &modules));
}

#[test]
fn imports_follow_the_table() {
    let table = table();
    assert_none(
        sources()
            .iter()
            .flat_map(|source| imports::check_imports(source, &table)),
    );
}

#[test]
fn no_imports_lead_in_a_circle() {
    assert_none(circles::check(&sources()));
}

#[test]
fn unsafe_stays_on_its_floors() {
    let table = table();
    assert_none(
        sources()
            .iter()
            .flat_map(|source| rules::unsafe_stays_on_its_floors(source, &table)),
    );
}

#[test]
fn unsafe_says_why() {
    assert_none(sources().iter().flat_map(rules::unsafe_says_why));
}

#[test]
fn orderings_say_why() {
    assert_none(sources().iter().flat_map(rules::orderings_say_why));
}

#[test]
fn events_are_told_where_no_lock_is_held() {
    assert_none(sources().iter().flat_map(rules::events_are_told_elsewhere));
}

#[test]
fn files_stay_short() {
    assert_none(sources().iter().flat_map(rules::files_stay_short));
}

#[test]
fn the_library_neither_prints_nor_unwraps() {
    assert_none(
        sources()
            .iter()
            .flat_map(rules::library_neither_prints_nor_unwraps),
    );
}

#[test]
fn questions_only_ask() {
    assert_none(sources().iter().flat_map(rules::questions_only_ask));
}

#[test]
fn nothing_is_unfinished() {
    assert_none(sources().iter().flat_map(rules::nothing_is_unfinished));
}

#[test]
fn no_merge_is_left_half_done() {
    let files = files();
    assert_none(
        files
            .iter()
            .flat_map(|(path, text)| rules::is_merged(path, text)),
    );
}

/// The documents whose promises name the tests that show them.
const PROMISES: [&str; 7] = [
    "README.md",
    "docs/ABI.md",
    "docs/ARCHITECTURE.md",
    "docs/AROUND.md",
    "docs/BENCHMARKS.md",
    "docs/HACKING.md",
    "docs/PROTOCOLS.md",
];

#[test]
fn tests_that_promises_name_exist() {
    let files = files();
    let known = promises::Known::new(&files);
    let documents = files
        .iter()
        .filter(|(path, _)| PROMISES.contains(&path.as_str()));
    assert_none(
        documents.flat_map(|(path, text)| promises::tests_that_are_named_exist(path, text, &known)),
    );
}

#[test]
fn protocols_tell_of_every_model() {
    let files = files();
    let document = files.iter().find(|(path, _)| path == "docs/PROTOCOLS.md");
    let document = &document.expect("the document is there").1;
    // Those of `topology` are models of machines.
    let is_model = |path: &str| {
        path.starts_with("src/")
            && (path.ends_with("/model.rs") || path.contains("/model/"))
            && !path.starts_with("src/topology/")
    };
    let models = files.iter().filter(|(path, _)| is_model(path));
    assert_none(models.flat_map(|(path, text)| promises::models_are_told_of(path, text, document)));
}

#[test]
fn commands_that_documents_show_can_be_given() {
    let files = files();
    let by_path: BTreeMap<&str, &str> = files
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    let documents = files.iter().filter(|(path, _)| path.ends_with(".md"));
    assert_none(documents.flat_map(|(path, text)| commands::can_be_given(path, text, &by_path)));
}

#[test]
fn figures_of_the_readme_are_of_the_last_run() {
    let read = |path: &str| {
        let file = files().into_iter().find(|(name, _)| name == path);
        file.expect("the document is there").1
    };
    assert_none(figures::are_of_the_last_run(
        &read("README.md"),
        &read("docs/BENCHMARKS.md"),
    ));
}

#[test]
fn no_file_names_a_machine() {
    assert_none(
        files()
            .iter()
            .flat_map(|(path, text)| rules::names_no_machine(path, text)),
    );
}
