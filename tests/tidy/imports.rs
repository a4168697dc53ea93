//! Who may import whom: reads the table in `docs/ARCHITECTURE.md` and the paths in the sources.

use std::collections::BTreeSet;

use crate::Violation;
use crate::source::{Source, is_word};

pub const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const BEGIN: &str = "<!-- imports:begin -->";
const END: &str = "<!-- imports:end -->";

/// One row of the table.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub module: String,
    /// Marked `[u]`: may use `unsafe`.
    pub is_unsafe_floor: bool,
    /// Marked `planned`: has no source yet.
    pub is_planned: bool,
    pub may_import: BTreeSet<String>,
    pub line: usize,
}

/// Reads the table. A row is `| module [u] planned | a, b |`; further columns are free.
/// No import is `–`; `all above except a, b` stands for all rows above but these.
pub fn parse_table(markdown: &str) -> Result<Vec<Row>, Violation> {
    let problem = |line, what: String| Violation::new(ARCHITECTURE, line, what);
    let position = |marker: &str| {
        let found = markdown.lines().position(|line| line.trim() == marker);
        found.ok_or_else(|| problem(1, format!("has no line `{marker}`")))
    };
    let (begin, end) = (position(BEGIN)?, position(END)?);
    let mut rows: Vec<Row> = Vec::new();
    for (index, text) in markdown.lines().enumerate().take(end).skip(begin + 1) {
        let plain = text.replace(['`', '*'], "");
        let Some(inner) = plain.trim().strip_prefix('|') else {
            continue;
        };
        let mut cells = inner.split('|').map(str::trim);
        let (first, second) = (cells.next().unwrap_or(""), cells.next().unwrap_or(""));
        if first == "module" || first.chars().all(|c| "-: ".contains(c)) {
            continue;
        }
        let line = index + 1;
        let mut words = first.split_whitespace();
        let module = words.next().unwrap_or("").to_owned();
        let marks: Vec<&str> = words.collect();
        if let Some(odd) = marks
            .iter()
            .find(|mark| !matches!(**mark, "[u]" | "planned"))
        {
            return Err(problem(
                line,
                format!("`{odd}` is no mark; there are [u] and planned"),
            ));
        }
        if rows.iter().any(|row| row.module == module) {
            return Err(problem(
                line,
                format!("there is a second row for `{module}`"),
            ));
        }
        let above: BTreeSet<String> = rows.iter().map(|row| row.module.clone()).collect();
        let may_import = match second.strip_prefix("all above") {
            Some(rest) => {
                let except = names(rest.trim().strip_prefix("except").unwrap_or(""));
                above.difference(&except).cloned().collect()
            }
            None => names(second),
        };
        // Arrows point down only, so no circle is possible.
        if let Some(upward) = may_import.difference(&above).next() {
            let what = format!("`{module}` may import `{upward}`, which is not a row above it");
            return Err(problem(line, what));
        }
        rows.push(Row {
            module,
            is_unsafe_floor: marks.contains(&"[u]"),
            is_planned: marks.contains(&"planned"),
            may_import,
            line,
        });
    }
    if rows.is_empty() {
        return Err(problem(
            begin + 1,
            "the import table has no rows".to_owned(),
        ));
    }
    Ok(rows)
}

fn names(list: &str) -> BTreeSet<String> {
    let names = list.split(',').map(str::trim);
    names
        .filter(|name| !matches!(*name, "" | "-" | "–" | "—"))
        .map(str::to_owned)
        .collect()
}

/// The top-level module that a file of the library belongs to. None for `lib.rs`,
/// which may name all, and for binaries, which see the public face only.
pub fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    (first != "lib" && first != "bin").then_some(first)
}

/// The table and the folder `src` speak of the same modules.
pub fn check_table(rows: &[Row], modules: &BTreeSet<String>) -> Vec<Violation> {
    let mut found = Vec::new();
    for module in modules {
        if !rows.iter().any(|row| &row.module == module) {
            let what = format!("`src/{module}` has no row in the import table");
            found.push(Violation::new(ARCHITECTURE, 1, what));
        }
    }
    for row in rows {
        let what = match (row.is_planned, modules.contains(&row.module)) {
            (true, true) => format!("`{}` exists: take the mark planned away", row.module),
            (false, false) => format!("`{}` has no source: mark it planned", row.module),
            _ => continue,
        };
        found.push(Violation::new(ARCHITECTURE, row.line, what));
    }
    found
}

/// Every path in the file that leads to a top-level module leads to one that its row allows.
/// Test code counts: a test that needs an upper floor belongs in `tests/it`.
pub fn check_imports(source: &Source, rows: &[Row]) -> Vec<Violation> {
    let Some(module) = module_of(&source.path) else {
        return Vec::new();
    };
    // A module without a row is `check_table`'s finding.
    let Some(row) = rows.iter().find(|row| row.module == module) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, line) in named_modules(source) {
        if name == module || row.may_import.contains(&name) {
            continue;
        }
        let what = if rows.iter().any(|row| row.module == name) {
            format!(
                "`{module}` may not import `{name}` ({ARCHITECTURE}, line {})",
                row.line
            )
        } else {
            format!("`crate::{name}` is no module of the import table: name its module's path")
        };
        found.push(Violation::new(&source.path, line, what));
    }
    found
}

/// The first names below the crate's root of all paths through `crate` or `super`, with their lines.
fn named_modules(source: &Source) -> Vec<(String, usize)> {
    let mut walk = Walk {
        source,
        found: Vec::new(),
    };
    let mut here = path_of_file(&source.path);
    // For each open brace, whether it opened an inline module.
    let mut braces = Vec::new();
    let mut index = 0;
    while index < source.tokens.len() {
        match source.at(index) {
            "mod" if source.at(index + 2) == "{" => {
                here.push(source.at(index + 1).to_owned());
                braces.push(true);
                index += 3;
                continue;
            }
            "{" => braces.push(false),
            "}" => {
                let closes_module = braces.pop() == Some(true);
                here.truncate(here.len() - usize::from(closes_module));
            }
            "crate" | "super" | "self" if source.at(index + 1) == "::" => {
                index = walk.path(index, here.clone());
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    walk.found
}

/// `src/ring/spsc.rs` is `ring::spsc`, `src/ring/mod.rs` is `ring`.
fn path_of_file(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside
        .split('/')
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect()
}

struct Walk<'a> {
    source: &'a Source,
    found: Vec<(String, usize)>,
}

impl Walk<'_> {
    /// Follows one path, groups included, from the module `at`; returns the index behind it.
    fn path(&mut self, mut index: usize, mut at: Vec<String>) -> usize {
        loop {
            match self.source.at(index) {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                "{" => return self.group(index, &at),
                word => {
                    // A macro of the crate is called by its root; it belongs to no module.
                    let is_macro = self.source.at(index + 1) == "!";
                    let is_name = is_word(word) || word == "*";
                    if at.is_empty() && is_name && !is_macro {
                        self.found
                            .push((word.to_owned(), self.source.tokens[index].line));
                    }
                    if !is_word(word) {
                        return index + usize::from(word == "*");
                    }
                    at.push(word.to_owned());
                }
            }
            if self.source.at(index + 1) != "::" {
                return index + 1;
            }
            index += 2;
        }
    }

    /// `{a, b::c, d as e}`: each entry is a path of its own.
    fn group(&mut self, open: usize, at: &[String]) -> usize {
        let mut index = open + 1;
        while index < self.source.tokens.len() {
            match self.source.at(index) {
                "}" => return index + 1,
                "," => index += 1,
                "as" => index += 2,
                _ => index = self.path(index, at.to_vec()).max(index + 1),
            }
        }
        index
    }
}
