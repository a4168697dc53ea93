//! The page of habits, `docs/HABITS.md`, and the sentences of other documents that it names.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::habit::{Library, Sentence};

const PAGE: &str = "docs/HABITS.md";
/// What is above is written by hand.
const BEGIN: &str =
    "<!-- habits: written by `cargo test --features cli --test habits -- --write-page` -->\n";

fn at(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(at(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The page as it ought to be.
fn page(libraries: &[Library]) -> String {
    let now = read(PAGE);
    let (above, _) = now.split_once(BEGIN).expect("the mark is there");
    let mut page = above.to_owned() + BEGIN;
    for library in libraries {
        let Library { title, first, .. } = library;
        write!(page, "\n## {title}\n\n{first}\n\n").expect("memory");
        page += "| there | | here |\n| --- | --- | --- |\n";
        for (_, habit) in &library.habits {
            let (is, link) = match habit.said {
                None => ("same", String::new()),
                Some(Sentence { file, .. }) => {
                    ("**differs**", format!(" ([said here](../{file}))"))
                }
            };
            let [theirs, ours] = [habit.theirs, habit.ours].map(|words| words.replace('|', "\\|"));
            writeln!(page, "| {theirs} | {is} | {ours}{link} |").expect("memory");
        }
    }
    page
}

pub fn write(libraries: &[Library]) {
    std::fs::write(at(PAGE), page(libraries)).expect("the page can be written");
}

pub fn is_in_step(libraries: &[Library]) {
    assert!(
        page(libraries) == read(PAGE),
        "{PAGE} is not what the habits say; write it anew:\n    cargo test --features cli --test habits -- --write-page"
    );
}

pub fn has_each_habit_once(libraries: &[Library]) {
    let mut seen = BTreeSet::new();
    for library in libraries {
        for (name, habit) in &library.habits {
            let title = library.title;
            assert!(
                seen.insert((title, habit.theirs)),
                "{name} stands twice under {title}"
            );
            assert!(seen.insert((library.short, name)), "{name} is there twice");
            for words in [habit.theirs, habit.ours] {
                assert!(!words.contains('\n'), "{name}: no cell of a table");
            }
        }
    }
}

/// Fails if the document does not say so.
pub fn is_said(Sentence { file, words }: &Sentence) {
    let sought = flat(words);
    let says = |file: &str| flat(&read(file)).contains(&sought);
    if !says(file) {
        let mut others = vec!["README.md".to_owned()];
        collect("docs", &mut others);
        collect("src", &mut others);
        others.retain(|file| file != PAGE && says(file));
        panic!(
            "{file} does not say: {words}\n    (it is said in {others:?}: change the habit, or else the document)"
        );
    }
}

/// All files below a folder.
fn collect(folder: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(at(folder)).expect("a folder").flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// Without marks of comments, links' targets and breaks of lines.
fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        let comment = ["///", "//!"]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        comment.unwrap_or(line)
    });
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ")
}
