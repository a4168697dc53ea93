//! Every rule finds what is planted for it, and lets pass what is right.

use std::collections::BTreeSet;

use crate::Violation;
use crate::circles;
use crate::imports::{self, Row, parse_table};
use crate::promises::{Known, models_are_told_of, tests_that_are_named_exist};
use crate::rules;
use crate::source::Source;

const TABLE: &str = "
text before
<!-- imports:begin -->
| module | may import | what |
| --- | --- | --- |
| `prim` | – | words |
| `sys` [u] | prim | calls |
| `shm` [u] | prim, sys | memory |
| `ring` [u] | prim, shm | rings |
| `worker` | prim, sys, ring | role |
| `scale` planned | prim | policy |
| **`runtime`** | all above except worker, scale | face |
<!-- imports:end -->
";

fn table() -> Vec<Row> {
    parse_table(TABLE).expect("the planted table is right")
}

/// The lines at which a rule finds something.
fn lines(violations: Vec<Violation>) -> Vec<usize> {
    violations.iter().map(|found| found.line).collect()
}

fn bad_imports(path: &str, text: &str) -> Vec<usize> {
    lines(imports::check_imports(&Source::new(path, text), &table()))
}

fn check(rule: fn(&Source) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    lines(rule(&Source::new(path, text)))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_table_is_read() {
    let rows = table();
    let names: Vec<&str> = rows.iter().map(|row| &*row.module).collect();
    assert_eq!(
        names,
        ["prim", "sys", "shm", "ring", "worker", "scale", "runtime"]
    );
    assert!(rows[0].may_import.is_empty());
    assert!(rows[1].is_unsafe_floor && !rows[0].is_unsafe_floor && rows[5].is_planned);
    assert_eq!(rows[3].may_import, set(&["prim", "shm"]));
    assert_eq!(rows[6].may_import, set(&["prim", "sys", "shm", "ring"]));
}

#[test]
fn a_broken_table_is_refused_with_its_line() {
    let broken = |from, to| {
        parse_table(&TABLE.replace(from, to))
            .expect_err("broken")
            .to_string()
    };
    assert!(broken("imports:end", "imports:stop").contains("has no line"));
    let upward = broken("| prim, shm | rings", "| prim, worker | rings");
    assert!(
        upward.contains(":9: `ring` may import `worker`"),
        "{upward}"
    );
    assert!(broken("`shm` [u]", "`shm` [v]").contains(":8: `[v]` is no mark"));
    assert!(broken("`shm` [u]", "`sys` [u]").contains(":8: there is a second row"));
}

#[test]
fn the_table_and_the_folders_must_agree() {
    let existing = ["prim", "sys", "shm", "ring", "worker", "runtime"];
    assert!(imports::check_table(&table(), &set(&existing)).is_empty());
    let found = |modules: &[&str]| imports::check_table(&table(), &set(modules)).remove(0).what;
    assert!(found(&[&existing[..], &["cache"]].concat()).contains("`src/cache` has no row"));
    assert!(found(&[&existing[..], &["scale"]].concat()).contains("mark planned away"));
    assert!(found(&existing[1..]).contains("mark it planned"));
}

#[test]
fn forbidden_imports_are_found_in_every_spelling() {
    let ring = "src/ring/spsc.rs";
    assert_eq!(bad_imports(ring, "use crate::sys;"), [1]);
    assert_eq!(
        bad_imports(ring, "use crate::sys::futex::{self, wait};"),
        [1]
    );
    assert_eq!(
        bad_imports(
            ring,
            "use crate::{prim::Clock,\n shm, worker::{a, b},\n sys};"
        ),
        [2, 3]
    );
    assert_eq!(bad_imports(ring, "use crate::{prim as p, sys as s};"), [1]);
    assert_eq!(bad_imports(ring, "\nfn f() { crate::sys::exit(1) }"), [2]);
    assert_eq!(bad_imports(ring, "use super::super::sys::exit;"), [1]);
    assert_eq!(
        bad_imports(ring, "use super::{raw, super::{prim, sys}};"),
        [1]
    );
    assert_eq!(
        bad_imports(ring, "pub(crate) use self::super::super::sys;"),
        [1]
    );
    assert_eq!(bad_imports("src/ring/mod.rs", "use super::sys;"), [1]);
    assert_eq!(bad_imports("src/ring.rs", "use super::sys;"), [1]);
    assert_eq!(
        bad_imports("src/ring/deep/er.rs", "use super::super::super::sys;"),
        [1]
    );
    assert_eq!(
        bad_imports(ring, "mod inner {\n use super::super::super::sys;\n}"),
        [2]
    );
    assert_eq!(bad_imports(ring, "use crate::*;"), [1]);
    assert_eq!(bad_imports(ring, "use crate::Error;"), [1]);
    assert_eq!(
        bad_imports(ring, "macro_rules! m { () => { $crate::sys::exit(1) } }"),
        [1]
    );
    assert_eq!(
        bad_imports("src/runtime/mod.rs", "use crate::worker::run;"),
        [1]
    );
}

#[test]
fn allowed_imports_pass() {
    let ring = "src/ring/spsc.rs";
    assert!(bad_imports(ring, "use crate::{prim, shm::{Offset, sys}, ring::raw};").is_empty());
    assert!(bad_imports(ring, "use super::{raw, sys};\nuse super::super::shm;").is_empty());
    assert!(bad_imports(ring, "pub(crate) fn f() {}\npub(super) fn g() {}").is_empty());
    assert!(bad_imports(ring, "// crate::sys\nconst A: &str = \"crate::sys\";").is_empty());
    assert!(
        bad_imports(
            ring,
            "mod tests {\n use super::*;\n use super::super::raw;\n}"
        )
        .is_empty()
    );
    assert!(bad_imports(ring, "fn f() { crate::trace_step!() }").is_empty());
    assert!(bad_imports("src/lib.rs", "pub use crate::worker::run;").is_empty());
    assert!(bad_imports("src/bin/pinfold/main.rs", "use crate::index::run;").is_empty());
}

#[test]
fn unsafe_off_its_floor_is_found() {
    let found = |path: &str, text: &str| {
        lines(rules::unsafe_stays_on_its_floors(
            &Source::new(path, text),
            &table(),
        ))
    };
    assert_eq!(
        found("src/worker/mod.rs", "\nfn f() { unsafe { g() } }"),
        [2]
    );
    assert_eq!(found("src/worker/deep/a.rs", "#![allow(unsafe_code)]"), [1]);
    assert_eq!(found("src/lib.rs", "#[allow(unsafe_code)]\nmod a {}"), [1]);
    assert_eq!(found("src/ring/spsc.rs", "#![allow(unsafe_code)]"), [1]);
    assert_eq!(found("src/ring/mod.rs", "//! rings\nmod spsc;"), [1]);
    assert!(found("src/ring/mod.rs", "//! only words yet").is_empty());
    assert!(found("src/ring/mod.rs", "#![allow(unsafe_code)]\nmod spsc;").is_empty());
    assert!(found("src/ring/spsc.rs", "fn f() { unsafe { g() } }").is_empty());
    assert!(
        found(
            "src/worker/mod.rs",
            "// unsafe\nconst A: &str = r#\"unsafe {\"#;"
        )
        .is_empty()
    );
    assert!(found("ffi/src/lib.rs", "fn f() { unsafe { g() } }").is_empty());
}

#[test]
fn unsafe_without_a_reason_is_found() {
    let found = |text: &str| check(rules::unsafe_says_why, "src/ring/mod.rs", text);
    assert_eq!(found("fn f() {\n    unsafe { g() }\n}"), [2]);
    assert_eq!(found("unsafe impl Send for A {}"), [1]);
    assert_eq!(found("/// Adds.\npub unsafe fn add() {}"), [2]);
    assert_eq!(found("unsafe extern \"C\" {\n fn g();\n}"), [1]);
    assert_eq!(
        found("// SAFETY: too far\n\n\n\nunsafe impl Send for A {}"),
        [5]
    );
    assert!(found("// SAFETY: owned\nunsafe impl Send for A {}").is_empty());
    assert!(found("// SAFETY: owned\nlet a =\n    unsafe { g() };").is_empty());
    assert!(found("/// Adds.\n///\n/// # Safety\n///\n/// A.\n/// B.\n/// C.\n#[inline]\npub unsafe fn add() {}").is_empty());
    assert!(found("type F = unsafe fn(u64);\n#[unsafe(no_mangle)]\nfn f() {}").is_empty());
    assert!(found("type F = unsafe extern \"C\" fn(u64);").is_empty());
}

#[test]
fn orderings_without_a_reason_are_found() {
    let found = |text: &str| check(rules::orderings_say_why, "src/ring/mod.rs", text);
    let bare = "fn f() {\n    a.load(Ordering::Acquire);\n    a.load(Ordering::Acquire);\n}\n";
    assert_eq!(found(bare), [2]);
    assert_eq!(found(&format!("{bare}{bare}")), [2, 6]);
    assert_eq!(
        found("use std::sync::atomic::Ordering::{self, Relaxed};\nfn f() { a.load(Relaxed); }"),
        [2]
    );
    // The reason of one function is no reason for the next.
    assert_eq!(
        found(&format!("fn g() {{\n    // Relaxed: a hint\n}}\n{bare}")),
        [5]
    );
    assert!(
        found("fn f() {\n    // Pairs with the store in g.\n    a.load(Ordering::Acquire);\n}")
            .is_empty()
    );
    assert!(
        found("/// ordering: none is needed\n#[inline]\nfn f() { a.load(Ordering::Relaxed); }")
            .is_empty()
    );
    assert!(found("fn f() -> std::cmp::Ordering { std::cmp::Ordering::Less }").is_empty());
    assert!(found("enum Step { Release }\nfn f() -> Step { Step::Release }").is_empty());
    assert!(found(&format!("#[cfg(test)]\nmod tests {{\n{bare}}}")).is_empty());
    assert!(check(rules::orderings_say_why, "src/ring/tests.rs", bare).is_empty());
}

#[test]
fn long_files_are_found() {
    let text = "\n".repeat(601);
    assert_eq!(
        check(rules::files_stay_short, "src/ring/mod.rs", &text),
        [600]
    );
    assert!(check(rules::files_stay_short, "src/ring/mod.rs", &text[1..]).is_empty());
    assert!(check(rules::files_stay_short, "tests/it/main.rs", &text).is_empty());
}

#[test]
fn printing_and_unwrapping_in_the_library_is_found() {
    let found =
        |path: &str, text: &str| check(rules::library_neither_prints_nor_unwraps, path, text);
    let text = "fn f() {\n println!();\n eprintln!();\n dbg!(1);\n print!();\n a.unwrap();\n}";
    assert_eq!(found("src/ring/mod.rs", text), [2, 3, 4, 5, 6]);
    assert_eq!(found("ffi/src/lib.rs", text), [2, 3, 4, 5, 6]);
    assert!(found("src/bin/pinfold/main.rs", text).is_empty());
    assert!(found("ffi/src/bin/pinfold-worker.rs", text).is_empty());
    assert!(found("src/ring/tests.rs", text).is_empty());
    assert!(found("src/ring/mod.rs", &format!("#[test]\n{text}")).is_empty());
    assert!(
        found(
            "src/ring/mod.rs",
            &format!("#[cfg(all(test, loom))]\nmod m {{\n{text}}}")
        )
        .is_empty()
    );
    assert!(
        found(
            "src/ring/mod.rs",
            "fn f() {\n // a.unwrap()\n a.unwrap_or(1);\n}"
        )
        .is_empty()
    );
    assert_eq!(
        found("src/ring/mod.rs", &format!("#[cfg(not(test))]\n{text}")).len(),
        5
    );
}

#[test]
fn questions_that_act_are_found() {
    let found = |text: &str| check(rules::questions_only_ask, "src/ring/mod.rs", text);
    assert_eq!(found("\nfn is_awake(&self) {}"), [2]);
    assert_eq!(found("fn has_room(&mut self) -> bool { true }"), [1]);
    assert_eq!(found("fn is_late(&self) -> Option<Error> {"), [1]);
    assert!(found("fn has_room(&self, count: u64) -> bool { true }").is_empty());
    assert!(found("fn are_full(all: &[Ring]) -> Result<bool, Damaged>;").is_empty());
    assert!(found("fn island(&mut self) {}\nfn f() { self.is_awake(); }").is_empty());
}

#[test]
fn merges_left_half_done_are_found() {
    let found = |text: &str| rules::is_merged("README.md", text).len();
    let (ours, theirs) = ("<".repeat(7), ">".repeat(7));
    let left = format!("a\n{ours} HEAD\nb\n{}\nc\n{theirs} branch\n", "=".repeat(7));
    assert_eq!(found(&left), 3);
    assert_eq!(found(&format!("a {ours} b\n{}\n", "=".repeat(20))), 0);
}

#[test]
fn unfinished_work_is_found() {
    let found = |text: &str| check(rules::nothing_is_unfinished, "src/ring/mod.rs", text);
    assert_eq!(found(concat!("fn f() {\n to", "do!()\n}")), [2]);
    assert_eq!(found(concat!("fn f() {\n unimple", "mented!()\n}")), [2]);
    assert_eq!(found(concat!("\n// FIX", "ME later")), [2]);
    assert_eq!(found(concat!("\n// XX", "X")), [2]);
    assert!(found("// what is left to do").is_empty());
}

#[test]
fn events_told_on_the_spot_are_found() {
    let found = |path: &str, text: &str| check(rules::events_are_told_elsewhere, path, text);
    let host = "src/scheduler/recover/inspect.rs";
    assert_eq!(found(host, "fn f() {\n tracing::error!(a, \"b\"); }"), [2]);
    let handed_on = "fn f() { background::log(move || tracing::warn!(\"b\")); }";
    assert!(found(host, handed_on).is_empty());
    let in_a_block = "fn f() { log.later(move || {\n tracing::warn!(\"b\"); }); }";
    assert!(found(host, in_a_block).is_empty());
    let of_a_worker = "fn f() { tracing::error!(\"b\"); }";
    assert!(found("src/worker/mod.rs", of_a_worker).is_empty());
}

#[test]
fn paths_of_a_machine_are_found() {
    let found = |text: &str| lines(rules::names_no_machine("docs/a.md", text));
    for directory in ["home", "root", "work"] {
        assert_eq!(found(&format!("\nsee `/{directory}/me/notes`")), [2]);
        assert!(found(&format!("src/{directory}/mod.rs ../{directory}/a")).is_empty());
        assert!(
            found(&format!(
                "https://example.org/{directory}/a {{x}}/{directory}/"
            ))
            .is_empty()
        );
    }
    assert!(found("/usr/share and /dev/shm").is_empty());
}

#[test]
fn literals_and_comments_are_told_apart_from_code() {
    let text = "let a = '\"'; let b = b'\\''; let c: &'static str = \"\\\"//\"; // x\n\
                let d = r##\"\"# unsafe\n\"##; /* a /* b */ unsafe */ let e = r#type;\n end";
    let source = Source::new("src/a.rs", text);
    let words: Vec<&str> = source.tokens.iter().map(|token| &*token.text).collect();
    assert!(
        !words.contains(&"unsafe") && !words.contains(&"static"),
        "{words:?}"
    );
    let last = source.tokens.last().expect("there are tokens");
    assert_eq!((&*last.text, last.line), ("end", 4));
    assert_eq!(source.comments(1, 1).collect::<String>(), "// x");
}

#[test]
fn names_of_tests_that_lead_nowhere_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let known = Known::new(&[
        file("tests/it/values.rs", "fn what_is_sent_comes_back() {}"),
        file(
            "tests/ground/waits/mod.rs",
            "test(\"waits/each_wait_ends_soon\"); format!(\"refused_by_{name}\");",
        ),
    ]);
    let found = |text: &str| lines(tests_that_are_named_exist("README.md", text, &known));
    let right = "`what_is_sent_comes_back` `waits/each_wait_…` `refused_by_EPERM_open` `waits/…` \
                 `worker_init_timeout` `tests/it/values.rs`\n| a | shown by |\n| `stack_size` | `values/…` |";
    assert_eq!(found(right), [0; 0]);
    let wrong = "`what_was_sent_comes_back`\n`waits/nobody_waits`\n`wait/each_wait_ends_soon`\n`tests/it/value.rs`\n\
                 | a | shown by |\n| `stack_size` | `no_test` |\n\n`no_test`";
    assert_eq!(found(wrong), [1, 2, 3, 4, 6]);
}

#[test]
fn models_that_no_document_tells_of_are_found() {
    let text = "#[test]\nfn one_dies() {}\n\n#[test]\n#[ignore]\nfn one_dies_twice() {}\n\nfn helper() {}\n";
    let found = |document: &str| lines(models_are_told_of("src/a/model.rs", text, document));
    assert_eq!(found("| `one_dies`, `…_twice` |"), [0; 0]);
    assert_eq!(found("| `one_dies` |"), [6]);
}

/// What is found in these files.
fn circles_in(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = (files.iter())
        .map(|(path, text)| Source::new(path, text))
        .collect();
    let found = circles::check(&sources);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn circles_are_found() {
    let a = ("src/ring/a.rs", "use super::b::B;\npub struct A(B);");
    let b = ("src/ring/b.rs", "pub struct B(Option<Box<super::a::A>>);");
    let apart = ("src/ring/b.rs", "pub struct B;");
    let found = circles_in(&[a, b]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/ring/a.rs:1: "), "{found:?}");
    assert!(found[0].contains("ring/a → ring/b → ring/a"), "{found:?}");
    assert!(circles_in(&[a, apart]).is_empty());
    // What else is in it is named, too.
    let c = ("src/ring/c.rs", "use super::a;");
    let more = ("src/ring/b.rs", "use super::{a::A, c};");
    let found = circles_in(&[a, more, c]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("(all files in it: ring/a, ring/b, ring/c)"),
        "{found:?}"
    );
}

#[test]
fn circles_go_where_items_are_defined() {
    let of = |facade, child| {
        let files = [("src/ring/mod.rs", facade), ("src/ring/a.rs", child)];
        circles_in(&files).len()
    };
    // Of its own items a folder's `mod.rs` is a file like any other.
    assert_eq!(of("use a::A;\npub struct Top(A);", "use super::Top;"), 1);
    assert_eq!(of("pub struct Top;", "use super::Top;"), 0);
    let inline = "mod a;\npub struct Top(a::A);";
    assert_eq!(of(inline, "use super::Top;"), 1);
    let called = "mod a;\npub struct Top;\nfn f() {\n    for _ in a::all() {}\n}";
    assert_eq!(of(called, "use super::Top;"), 1);
    // What it re-exports is where it comes from.
    assert_eq!(of("pub use a::A;\npub struct Top;", "use super::Top;"), 0);
    let facade = ("src/ring/mod.rs", "mod a;\nmod b;\npub use b::B;");
    let a = ("src/ring/a.rs", "use crate::ring::B;");
    let b = (
        "src/ring/b.rs",
        "pub(in crate::ring) struct B;\nuse super::a;",
    );
    let found = circles_in(&[facade, a, b]);
    assert!(found[0].contains("ring/a → ring/b → ring/a"), "{found:?}");
    // Tests may look at everything.
    let tests = "pub struct A;\n#[cfg(test)]\nmod tests {\n    use crate::ring::B;\n}";
    let tested = ("src/ring/a.rs", tests);
    assert!(circles_in(&[facade, tested, b]).is_empty());
}
