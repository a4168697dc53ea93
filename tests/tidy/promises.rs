//! What the documents promise is shown by tests, which they name: each of these exists.
//!
//! In backticks there is the name of a test, alone or behind its area (`waits/…`); three dots stand for any
//! ending. Names of fewer than four words may be anything (`worker_init_timeout`), unless they stand behind
//! an area or in the last column of a table; a path is that of a file or folder.

use std::collections::BTreeSet;

use crate::Violation;

/// How many words a name needs to be that of a test, wherever it stands.
const WORDS: usize = 4;
/// The folders whose names begin a path, not an area.
const ROOTS: [&str; 7] = [
    "tests", "scripts", "docs", "src", "examples", "benches", "ffi",
];

/// All that a document may name.
pub struct Known {
    paths: BTreeSet<String>,
    /// Functions, and texts in tests that are names, up to what is filled in.
    names: BTreeSet<String>,
    stems: BTreeSet<String>,
}

impl Known {
    /// By the project's files.
    pub fn new(files: &[(String, String)]) -> Self {
        let mut known = Known {
            paths: BTreeSet::new(),
            names: BTreeSet::new(),
            stems: BTreeSet::new(),
        };
        for (path, text) in files {
            let ends = path.char_indices().filter(|(_, c)| *c == '/');
            known
                .paths
                .extend(ends.map(|(end, _)| path[..end].to_owned()));
            known.paths.insert(path.clone());
            if !path.ends_with(".rs") {
                continue;
            }
            for (at, _) in text.match_indices("fn ") {
                known.names.insert(word(&text[at + 3..]).to_owned());
            }
            // A name that is put together ("refused_by_{}_…") is known by its beginning.
            for quoted in text.split('"').filter(|_| path.starts_with("tests/")) {
                let behind = quoted.find(|c: char| !(is_of_name(c) || c == '/' || c == ':'));
                let area = quoted[..behind.unwrap_or(quoted.len())].rfind(['/', ':']);
                let quoted = &quoted[area.map_or(0, |at| at + 1)..];
                let name = word(quoted);
                match quoted[name.len()..].chars().next() {
                    None => known.names.insert(name.to_owned()),
                    Some('{') if name.ends_with('_') => known.stems.insert(name.to_owned()),
                    Some(_) => false,
                };
            }
        }
        known
    }

    fn has_test(&self, name: &str) -> bool {
        match name.strip_suffix('…') {
            Some(stem) => {
                self.names.iter().any(|known| known.starts_with(stem))
                    || self
                        .stems
                        .iter()
                        .any(|known| known.starts_with(stem) || stem.starts_with(known.as_str()))
            }
            None => {
                self.names.contains(name)
                    || self
                        .stems
                        .iter()
                        .any(|stem| name.starts_with(stem.as_str()))
            }
        }
    }

    /// An area is a file or folder of tests.
    fn has_area(&self, area: &str) -> bool {
        ["tests/ground", "tests/it"].iter().any(|folder| {
            [format!("{folder}/{area}.rs"), format!("{folder}/{area}")]
                .iter()
                .any(|path| self.paths.contains(path))
        })
    }

    fn has_path(&self, path: &str) -> bool {
        let path = path.split(' ').next().unwrap_or_default();
        self.paths.contains(path.trim_end_matches('/'))
    }

    /// What is wrong with a name in backticks; `is_shown`: it is said to show something.
    fn what_is_wrong(&self, named: &str, is_shown: bool) -> Option<String> {
        let (area, name) = named.rsplit_once('/').unwrap_or(("", named));
        let root = area.split('/').next().unwrap_or_default();
        if ROOTS.contains(&root) {
            let is_there = named.contains(['*', '{']) || self.has_path(named);
            return (!is_there).then(|| format!("there is no `{named}`"));
        }
        let name = name.rsplit("::").next().unwrap_or_default();
        // "…_twice" is what the name before it may end in; a constant is no test.
        if name.starts_with('…') && name.len() > '…'.len_utf8()
            || name.contains(char::is_uppercase) && !name.contains(char::is_lowercase)
        {
            return None;
        }
        let is_name = |c: char| is_of_name(c) || c == '…';
        let words = name.split('_').filter(|word| !word.is_empty()).count();
        if !name.chars().all(is_name) || area.contains(|c: char| !is_name(c)) {
            return None;
        }
        if !area.is_empty() && !self.has_area(area) {
            return Some(format!("`{named}`: no area of tests is called `{area}`"));
        }
        let is_test = words >= WORDS || (words > 1 && (is_shown || !area.is_empty()));
        let is_missing = is_test && name != "…" && !self.has_test(name);
        is_missing.then(|| format!("no test is called `{named}`"))
    }
}

/// Models in a source that a document does not tell of, by name or by what a name ends in (`…_twice`).
pub fn models_are_told_of(path: &str, text: &str, document: &str) -> Vec<Violation> {
    let mut is_model = false;
    let mut found = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .map(|(index, line)| (index, line.trim()))
    {
        if let Some(name) = line.strip_prefix("fn ").map(word).filter(|_| is_model) {
            let mut named = document.split('`').skip(1).step_by(2);
            let is_told = named.any(|named| match named.strip_prefix('…') {
                Some(end) => name.ends_with(end),
                None => named == name,
            });
            if !is_told {
                let what = format!("docs/PROTOCOLS.md does not say what `{name}` shows");
                found.push(Violation::new(path, index + 1, what));
            }
        }
        is_model = line == "#[test]" || (is_model && line.starts_with("#["));
    }
    found
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The identifier that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !is_of_name(c));
    &text[..end.unwrap_or(text.len())]
}

/// Names in a document that lead nowhere.
pub fn tests_that_are_named_exist(path: &str, text: &str, known: &Known) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut is_code = false;
    let mut shows = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !line.starts_with('|') {
            shows = false;
        } else if line.trim_end().ends_with("| shown by |") {
            shows = true;
        }
        if is_code {
            continue;
        }
        let columns = line.trim_end().trim_end_matches('|');
        let last = columns.rfind('|').filter(|_| shows).unwrap_or(usize::MAX);
        let mut at = 0;
        for (number, piece) in line.split('`').enumerate() {
            if number % 2 == 1
                && let Some(what) = known.what_is_wrong(piece, at > last)
            {
                found.push(Violation::new(path, index + 1, what));
            }
            at += piece.len() + 1;
        }
    }
    found
}
