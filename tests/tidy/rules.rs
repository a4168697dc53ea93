//! The rules about single files. Each takes a file and returns what is wrong with it.

use crate::Violation;
use crate::imports::{Row, module_of};
use crate::source::{Source, is_word};

const LINES_MAX: usize = 600;
/// How far above an `unsafe` its reason may stand.
const SAFETY_REACH: usize = 3;
/// How far above an ordering outside any function its reason may stand.
const ORDERING_REACH: usize = 6;

fn is_library(path: &str) -> bool {
    let is_face = path.starts_with("ffi/src/") && !path.starts_with("ffi/src/bin/");
    module_of(path).is_some() || path == "src/lib.rs" || is_face
}

/// `unsafe` stays on the floors marked `[u]` and at the C boundary, and the compiler
/// is told so at exactly these modules' tops.
pub fn unsafe_stays_on_its_floors(source: &Source, rows: &[Row]) -> Vec<Violation> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let module = module_of(&source.path);
    let is_floor = rows
        .iter()
        .any(|row| row.is_unsafe_floor && Some(&*row.module) == module);
    let is_top = module.is_some_and(|module| {
        source.path == format!("src/{module}.rs") || source.path == format!("src/{module}/mod.rs")
    });
    let mut found = Vec::new();
    let mut report = |line, what: &str| found.push(Violation::new(&source.path, line, what));
    let mut is_allowed = false;
    for (index, token) in source.tokens.iter().enumerate() {
        if token.text == "unsafe" && !is_floor {
            report(
                token.line,
                "`unsafe` outside the modules marked [u] in docs/ARCHITECTURE.md",
            );
        }
        if source.follows(index, &["allow", "(", "unsafe_code"]) {
            if is_floor && is_top {
                is_allowed = true;
            } else {
                report(
                    token.line,
                    "`allow(unsafe_code)` belongs at the top of a module marked [u]",
                );
            }
        }
    }
    // A module that has only its documentation yet needs no permission.
    if is_floor && is_top && !is_allowed && !source.tokens.is_empty() {
        report(
            1,
            "marked [u] in docs/ARCHITECTURE.md, but does not open with #![allow(unsafe_code)]",
        );
    }
    found
}

/// Modules whose code runs in the host, mostly under a lock or on a thread that others wait for.
const IN_THE_HOST: &[&str] = &[
    "layout",
    "lock",
    "notify",
    "pool",
    "ring",
    "runtime",
    "scheduler",
    "shm",
    "supervise",
    "sys",
    "task",
];

/// Log events of the host are told by way of `background`, where no lock is held: a subscriber
/// is the user's code. So each macro of `tracing` is in a closure for `log`, `detail`, `later` or
/// `with`.
pub fn events_are_told_elsewhere(source: &Source) -> Vec<Violation> {
    if !module_of(&source.path).is_some_and(|module| IN_THE_HOST.contains(&module)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let is_event = ["error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|level| {
                source.follows(index, &["tracing", ":", ":", level, "!"])
                    || source.follows(index, &["tracing", "::", level, "!"])
            });
        // `log ( move | | {`: so far back it begins at most.
        let before = index.saturating_sub(6)..index;
        let is_handed_on = before.clone().any(|at| {
            matches!(source.at(at), "log" | "detail" | "later" | "with") && source.at(at + 1) == "("
        });
        if is_event && !is_handed_on && !source.is_test_code(token.line) {
            let what = "an event that is told on the spot: a subscriber may call the runtime, so hand it to `background::log`";
            found.push(Violation::new(&source.path, token.line, what));
        }
    }
    found
}

/// Every `unsafe` block and impl has a `SAFETY:` comment in the lines just above; a
/// declaration that asks its callers for something may say so under `# Safety` instead.
pub fn unsafe_says_why(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if token.text != "unsafe" {
            continue;
        }
        let mut next = index + 1;
        while matches!(source.at(next), "extern" | "\"\"") {
            next += 1;
        }
        let is_declaration = match source.at(next) {
            // A pointer to an unsafe function, `unsafe fn(u64)`, does nothing by itself.
            "fn" if !is_word(source.at(next + 1)) => continue,
            "fn" | "trait" => true,
            "{" | "impl" => false,
            // An attribute such as `#[unsafe(no_mangle)]`.
            _ => continue,
        };
        let above = token.line.saturating_sub(SAFETY_REACH);
        let mut has_reason = source
            .comments(above, token.line)
            .any(|text| text.contains("SAFETY:"));
        if is_declaration {
            let documentation = source.start_of_documentation(token.line);
            has_reason |= source
                .comments(documentation, token.line)
                .any(|text| text.contains("# Safety"));
        }
        if !has_reason {
            let what = if is_declaration {
                "an unsafe declaration without `# Safety` in its documentation"
            } else {
                "`unsafe` without `// SAFETY:` in the 3 lines above"
            };
            found.push(Violation::new(&source.path, token.line, what));
        }
    }
    found
}

/// A function that uses a memory ordering says why it is that one: what it pairs with, or
/// why it may be relaxed. At least one such comment per function.
pub fn orderings_say_why(source: &Source) -> Vec<Violation> {
    if !is_library(&source.path) {
        return Vec::new();
    }
    let functions = source.functions();
    let mut found = Vec::new();
    let mut reported = None;
    for line in lines_with_orderings(source) {
        // The innermost function comes last.
        let function = functions.iter().rfind(|f| f.start <= line && line <= f.end);
        let (first, last) = function.map_or((line.saturating_sub(ORDERING_REACH), line), |f| {
            (f.documentation, f.end)
        });
        let has_reason = source.comments(first, last).any(|text| {
            let text = text.to_lowercase();
            ["pairs with", "relaxed:", "ordering:"]
                .iter()
                .any(|words| text.contains(words))
        });
        if has_reason || source.is_test_code(line) || reported == Some(first) {
            continue;
        }
        reported = Some(first);
        let what = "a memory ordering without its reason: say in this function what it \
                    \"pairs with\", or \"Relaxed: …\", or \"ordering: …\"";
        found.push(Violation::new(&source.path, line, what));
    }
    found
}

fn lines_with_orderings(source: &Source) -> Vec<usize> {
    const NAMES: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let mut lines = Vec::new();
    let mut imports_names = false;
    let mut inside_use = false;
    for (index, token) in source.tokens.iter().enumerate() {
        match &*token.text {
            "use" => inside_use = true,
            ";" => inside_use = false,
            "Ordering" if inside_use => {
                let next = source.at(index + 2);
                imports_names |= next == "{" || next == "*" || NAMES.contains(&next);
            }
            name if NAMES.contains(&name) && !inside_use => {
                let before = index.checked_sub(2).map_or("", |index| source.at(index));
                let is_path = index > 0 && source.at(index - 1) == "::";
                if (is_path && before == "Ordering") || (!is_path && imports_names) {
                    lines.push(token.line);
                }
            }
            _ => {}
        }
    }
    lines
}

/// A file is one idea.
pub fn files_stay_short(source: &Source) -> Vec<Violation> {
    let lines = source.line_count();
    if !source.path.starts_with("src/") && !source.path.starts_with("ffi/") || lines <= LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, more than {LINES_MAX}: two ideas in one file?");
    vec![Violation::new(&source.path, LINES_MAX, what)]
}

/// The library does not write to its user's terminal, and does not give up without a reason.
pub fn library_neither_prints_nor_unwraps(source: &Source) -> Vec<Violation> {
    if !is_library(&source.path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if source.is_test_code(token.line) {
            continue;
        }
        let name = &*token.text;
        let is_print = matches!(name, "print" | "println" | "eprint" | "eprintln" | "dbg");
        if is_print && source.at(index + 1) == "!" {
            let what = format!("`{name}!` in the library: return a value, or use tracing");
            found.push(Violation::new(&source.path, token.line, what));
        }
        if source.follows(index, &[".", "unwrap", "("]) {
            let what = "`.unwrap()`: return the error, or `.expect(\"why it cannot happen\")`";
            found.push(Violation::new(&source.path, token.line, what));
        }
    }
    found
}

/// A function whose name asks (`is_…`, `has_…`, `are_…`) answers `bool`, and changes nothing: it does
/// not take `&mut self`.
pub fn questions_only_ask(source: &Source) -> Vec<Violation> {
    if !is_library(&source.path) {
        return Vec::new();
    }
    let asks = |name: &str| {
        ["is_", "has_", "are_"]
            .iter()
            .any(|ask| name.starts_with(ask))
    };
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let name = source.at(index + 1);
        if token.text != "fn" || !asks(name) || source.is_test_code(token.line) {
            continue;
        }
        let rest = index + 2..source.tokens.len();
        let end = rest.clone().find(|at| matches!(source.at(*at), "{" | ";"));
        let signature: Vec<&str> = (index..end.unwrap_or(rest.end))
            .map(|at| source.at(at))
            .collect();
        let answers = signature.contains(&"bool");
        let changes = source.follows(index + 2, &["(", "&", "mut", "self"]);
        if !answers || changes {
            let what = format!("`{name}` asks, so it returns bool and takes no `&mut self`");
            found.push(Violation::new(&source.path, token.line, what));
        }
    }
    found
}

/// Of two texts that were to become one, no marks are left.
pub fn is_merged(path: &str, text: &str) -> Vec<Violation> {
    let marks = ["<", "=", ">"].map(|mark| mark.repeat(7));
    let is_mark = |line: &&str| {
        line.split(' ')
            .next()
            .is_some_and(|word| marks.iter().any(|m| m == word))
    };
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, line)| is_mark(line))
        .map(|(number, line)| Violation::new(path, number, format!("a merge left `{line}`")))
        .collect()
}

/// Nothing is left half-done.
pub fn nothing_is_unfinished(source: &Source) -> Vec<Violation> {
    // In pieces, so that a search for them does not end here.
    let macros = [concat!("to", "do"), concat!("unimple", "mented")];
    let marks = [concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if macros.contains(&&*token.text) && source.at(index + 1) == "!" {
            found.push(Violation::new(
                &source.path,
                token.line,
                format!("`{}!`", token.text),
            ));
        }
    }
    for (index, text) in source.text.lines().enumerate() {
        if let Some(mark) = marks.iter().find(|mark| text.contains(**mark)) {
            found.push(Violation::new(
                &source.path,
                index + 1,
                format!("the mark `{mark}`"),
            ));
        }
    }
    found
}

/// No path of the machine that a file was written on. For texts of any kind.
pub fn names_no_machine(path: &str, text: &str) -> Vec<Violation> {
    const DIRECTORIES: [&str; 6] = ["home", "Users", "root", "work", "workspace", "builds"];
    let belongs_to_a_path = |c: char| c.is_alphanumeric() || "._-/})".contains(c);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for directory in DIRECTORIES {
            let wanted = format!("/{directory}/");
            let is_absolute = line.match_indices(&wanted).any(|(at, _)| {
                // Otherwise it is the middle of a relative path or of an address.
                !line[..at].ends_with(belongs_to_a_path)
            });
            if is_absolute {
                let what = format!("`{wanted}…` is a path of one machine");
                found.push(Violation::new(path, index + 1, what));
            }
        }
    }
    found
}
