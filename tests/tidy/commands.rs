//! Commands that the documents show can be given: the script, its options, the tests and examples are there.

use std::collections::BTreeMap;

use crate::Violation;

/// Where the options are known of what a script starts.
fn programs_of(script: &str) -> &'static str {
    match script {
        "pinfold" => "src/bin/pinfold/",
        "bench" => "benches/rivals/src/",
        _ => "scripts/lib.sh",
    }
}

/// Commands in a document, in backticks or in a block of code, that cannot be given.
pub fn can_be_given(path: &str, text: &str, files: &BTreeMap<&str, &str>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let pieces: Vec<&str> = match is_code {
            true => vec![line.split(" # ").next().unwrap_or(line)],
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        let wrong = pieces
            .into_iter()
            .filter_map(|piece| what_is_wrong(piece.trim(), files));
        found.extend(wrong.map(|what| Violation::new(path, index + 1, what)));
    }
    found
}

fn what_is_wrong(command: &str, files: &BTreeMap<&str, &str>) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    for word in &words {
        let name = word.split('=').next().unwrap_or(word);
        let is_read = || {
            files
                .iter()
                .any(|(path, text)| is_program(path) && reads(text, name))
        };
        if name.starts_with("PINFOLD_") && *word != name && !is_read() {
            return Some(format!("nothing reads `{name}`"));
        }
    }
    let first = words.iter().position(|word| !word.contains('='))?;
    let words = &words[first..];
    if words[0] == "cargo" {
        return words.windows(2).find_map(|pair| {
            let places = match pair[0] {
                "--test" => ["tests/{}.rs", "tests/{}/main.rs"],
                "--example" => ["examples/{}.rs", "examples/{}/main.rs"],
                _ => return None,
            };
            let is_there = places
                .iter()
                .any(|place| files.contains_key(place.replace("{}", pair[1]).as_str()));
            (!is_there).then(|| format!("`{command}`: there is no {} {}", &pair[0][2..], pair[1]))
        });
    }
    let script = words[0]
        .strip_prefix("./")
        .unwrap_or(words[0])
        .strip_prefix("scripts/")?;
    if script.is_empty() {
        return None;
    }
    let Some(text) = files.get(format!("scripts/{script}").as_str()) else {
        return Some(format!("there is no `scripts/{script}`"));
    };
    let programs = programs_of(script);
    let knows = |option: &str| {
        // Command-line parsers derive an option from a field.
        let field = format!("{}:", option[2..].replace('-', "_"));
        let programs = files.iter().filter(|(path, _)| path.starts_with(programs));
        let mut programs = programs.filter(|(path, _)| path.ends_with(".rs"));
        text.contains(option)
            || programs.any(|(_, text)| text.contains(&option[2..]) || text.contains(&field))
    };
    let option = words[1..]
        .iter()
        .find(|word| word.len() > 2 && word.starts_with("--") && !knows(word))?;
    Some(format!("`{command}`: {script} has no {option}"))
}

fn is_program(path: &str) -> bool {
    path.starts_with("scripts/") || (path.ends_with(".rs") && !path.starts_with("tests/tidy"))
}

/// Whether a program names the variable, or puts its name together (`PINFOLD_SOAK_` and a word).
fn reads(text: &str, name: &str) -> bool {
    let stem = name.rfind('_').map_or(name, |at| &name[..=at]);
    let joined = ['$', '{'].map(|open| format!("{stem}{open}"));
    text.contains(name) || joined.iter().any(|joined| text.contains(joined))
}

#[test]
fn commands_that_cannot_be_given_are_found() {
    let files = BTreeMap::from([
        ("scripts/soak", "--seconds) shift ;;"),
        ("scripts/pinfold", "exec pinfold"),
        ("src/bin/pinfold/args.rs", "no_progress: bool"),
        ("tests/it/main.rs", "env(\"PINFOLD_SEED\")"),
    ]);
    let found = |text: &str| can_be_given("README.md", text, &files).len();
    let right = "`./scripts/soak --seconds 3`, `scripts/pinfold index . --no-progress`\n```sh\nPINFOLD_SEED=1 cargo \
                 test --test it  # --test no\n```\n`any --thing`";
    assert_eq!(found(right), 0);
    let wrong = "`./scripts/soak --hours 3`, `./scripts/sook`\n`PINFOLD_SEAD=1 cargo test`, `cargo test --test that`\n\
                 ```sh\nscripts/pinfold index --progress-bar\n```";
    assert_eq!(found(wrong), 5);
}
