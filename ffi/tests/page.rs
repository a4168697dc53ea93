//! `docs/ABI.md` has a row for each function and each status, and says of them what the header says.

#![allow(unsafe_code)] // the library is called as C calls it

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of a table's row, without what makes them look like code.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(
        row.split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect(),
    )
}

/// The functions of the header, each with its documentation.
fn functions(header: &str) -> BTreeMap<String, String> {
    let mut functions = BTreeMap::new();
    let mut documentation = String::new();
    for line in header.lines() {
        if line.starts_with("/**") {
            documentation.clear();
        } else if let Some(text) = line.strip_prefix(" *") {
            documentation.push_str(text);
        } else if let Some((before, _)) = line.split_once('(')
            && let Some((kind, name)) = before.rsplit_once([' ', '*'])
            && name.starts_with("pinfold_")
            && !kind.is_empty()
            && !line.starts_with([' ', '#', '/'])
            && !kind.starts_with("typedef")
            && !kind.starts_with("template")
        {
            functions.insert(name.to_owned(), std::mem::take(&mut documentation));
        }
    }
    functions
}

/// The page's word for where a function may be called, by what the header says.
fn place(documentation: &str) -> Option<&'static str> {
    let says = |words| documentation.contains(words);
    if says("The main thread, before there are others") {
        Some("main")
    } else if says("Only in a task") {
        Some("task")
    } else if !says("Any thread") {
        None
    } else if says("not in a task.") {
        Some("host")
    } else {
        Some("any")
    }
}

#[test]
fn each_function_has_its_row_and_says_where_it_may_be_called() {
    let functions = functions(&read("include/pinfold.h"));
    assert!(
        functions.len() > 40,
        "the header is understood: {functions:?}"
    );
    let page = read("../docs/ABI.md");
    let rows: BTreeMap<String, Vec<String>> = page
        .lines()
        .filter_map(cells)
        .filter(|row| row.len() == 4 && row[0].starts_with("pinfold_"))
        .map(|row| (row[0].clone(), row))
        .collect();
    let mut wrong = Vec::new();
    for (name, documentation) in &functions {
        match (place(documentation), rows.get(name)) {
            (None, _) => wrong.push(format!(
                "{name}: its documentation does not say where it may be called (\"Any thread.\", say)"
            )),
            (_, None) => wrong.push(format!("{name}: it has no row in docs/ABI.md")),
            (Some(place), Some(row)) if row[1] != place => wrong.push(format!(
                "{name}: by the header it is `{place}`, and docs/ABI.md says `{}`",
                row[1]
            )),
            _ => {}
        }
    }
    let gone = rows.keys().filter(|name| !functions.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name}: the header has no such function")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_status_has_its_row() {
    let page = read("../docs/ABI.md");
    let header = read("include/pinfold.h");
    let rows: BTreeMap<i32, Vec<String>> = page
        .lines()
        .filter_map(cells)
        .filter(|row| row.len() == 3 && row[1].starts_with("PINFOLD_STATUS_"))
        .filter_map(|row| Some((row[0].parse().ok()?, row)))
        .collect();
    let mut known = 0;
    for code in 0..1000 {
        // SAFETY: the function takes any number, and returns a text that ends in NUL and stays.
        let message = unsafe { CStr::from_ptr(pinfold_c::pinfold_status_message(code)) };
        let message = message.to_str().expect("messages are UTF-8");
        if message == "unknown status code" {
            assert!(!rows.contains_key(&code), "{code} is no status");
            continue;
        }
        known += 1;
        let row = rows
            .get(&code)
            .unwrap_or_else(|| panic!("status {code} ({message}) has no row in docs/ABI.md"));
        assert_eq!(row[2].replace('`', ""), message, "{row:?}");
        let line = format!("{} = {code},", row[1]);
        assert!(header.contains(&line), "the header has no `{line}`");
    }
    assert!(known > 30);
}
