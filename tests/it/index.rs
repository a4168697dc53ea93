//! `pinfold index` as a user meets it: the same bytes whatever happens.

#![allow(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use serde_json::Value;

use crate::processes::{catches, children, grandchildren, runs, send, until, workers};
use crate::tree::{Expected, Tree};

/// The program with these arguments, and with the signals that end it as they are at first: whoever started these tests
/// may have them ignored (a shell does that in the background).
fn pinfold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    command.args(args);
    let defaults = || {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: the default is no function that could be wrong.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: it makes system calls only.
    unsafe { command.pre_exec(defaults) };
    command
}

/// `pinfold index` of a tree with these further arguments.
fn index(tree: &Tree, args: &[&str]) -> Command {
    let mut command = pinfold(&["index"]);
    command.arg(tree.path()).args(args);
    command
}

/// The output of a command that ends with the exit status `code`.
fn output(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    output
}

/// The report of a run with `--json`.
fn json(command: Command, code: i32) -> Value {
    serde_json::from_slice(&output(command, code).stdout).unwrap()
}

/// The paths of the errors in a report.
fn error_paths(report: &Value) -> Vec<&str> {
    report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["path"].as_str().unwrap())
        .collect()
}

/// Compares a report with the model.
fn check(report: &Value, expected: &Expected) {
    assert_eq!(error_paths(report), expected.errors);
    assert_eq!(report["files"], expected.files);
    assert_eq!(report["chunks"], expected.chunks);
    assert_eq!(report["bytes"], expected.bytes);
    assert_eq!(report["skipped_binary"], expected.skipped_binary);
    assert_eq!(report["digest"], expected.digest());
}

/// Both streams piped; the process, running.
fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn an_odd_tree_has_the_same_index_for_every_number_of_workers() {
    let tree = Tree::odd();
    let expected = tree.expected(50);
    let code = i32::from(!expected.errors.is_empty());
    let mut errors = Vec::new();
    for workers in ["0", "1", "2", "3"] {
        let report = json(index(&tree, &["--json", "--workers", workers]), code);
        check(&report, &expected);
        assert_eq!(report["workers"].to_string(), workers);
        assert_eq!(report["restarts"], 0);
        errors.push(report["errors"].clone());
    }
    errors.dedup();
    assert_eq!(errors.len(), 1, "the same errors in the same words");
    // More threads than one, and no option at all.
    check(
        &json(
            index(&tree, &["--json", "--workers", "2", "--threads", "3"]),
            code,
        ),
        &expected,
    );
    check(&json(index(&tree, &["--json"]), code), &expected);
}

#[test]
fn out_holds_the_records_and_the_digest_is_theirs() {
    let tree = Tree::odd();
    let elsewhere = Tree::new();
    let code = i32::from(!tree.expected(50).errors.is_empty());
    for (lines, workers) in [("7", "0"), ("7", "2"), ("100000", "2"), ("1", "2")] {
        let expected = tree.expected(lines.parse().unwrap());
        let out = elsewhere.path().join("out.jsonl");
        let out = out.to_str().unwrap();
        let args = [
            "--json",
            "--lines",
            lines,
            "--workers",
            workers,
            "--out",
            out,
        ];
        let report = json(index(&tree, &args), code);
        check(&report, &expected);
        assert!(fs::read(out).unwrap() == expected.records);

        let args = ["--lines", lines, "--workers", workers, "--out", "-"];
        let output = output(index(&tree, &args), code);
        assert!(output.stdout == expected.records);
        let summary = String::from_utf8_lossy(&output.stderr);
        assert!(summary.contains(&expected.digest()), "{summary}");
    }
}

#[test]
fn the_output_file_is_not_indexed() {
    let tree = Tree::new();
    tree.file("a", "1\n");
    let out = tree.path().join("out.jsonl");
    for _ in 0..2 {
        let report = json(index(&tree, &["--json", "--out", out.to_str().unwrap()]), 0);
        assert_eq!(report["files"], 1);
    }
}

#[test]
fn what_cannot_be_read_is_listed_and_the_rest_is_complete() {
    let tree = Tree::new();
    tree.file("a/readable", "1\n");
    tree.file("b/file", "secret\n");
    tree.file("c/dir/file", "secret\n");
    tree.file("d/readable", "2\n");
    tree.lock("b/file");
    tree.lock("c/dir");
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Root may read everything: then somebody else has to try, with a program
    // that lies where anybody may run it.
    let program = tree_for_anybody();
    for workers in ["0", "2"] {
        let mut command = Command::new(program.path().join("pinfold"));
        command
            .arg("index")
            .arg(tree.path())
            .args(["--json", "--workers", workers]);
        if geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        let report = json(command, 1);
        assert_eq!(report["files"], 3);
        assert_eq!(report["chunks"], 2);
        let errors = &report["errors"];
        assert_eq!(errors[0]["path"], "b/file");
        assert_eq!(
            errors[0]["error"],
            "cannot open: Permission denied (os error 13)"
        );
        assert_eq!(errors[1]["path"], "c/dir");
        assert_eq!(
            errors[1]["error"],
            "cannot read directory: Permission denied (os error 13)"
        );
        assert_eq!(errors.as_array().unwrap().len(), 2);
    }
}

/// A directory with a copy of the program that any user may run.
fn tree_for_anybody() -> Tree {
    let tree = Tree::new();
    fs::copy(env!("CARGO_BIN_EXE_pinfold"), tree.path().join("pinfold")).unwrap();
    for path in [tree.path().to_path_buf(), tree.path().join("pinfold")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    tree
}

#[test]
fn what_cannot_start_says_why() {
    let tree = Tree::new();
    tree.file("file", "1\n");
    let dir = tree.path().to_str().unwrap();
    let file = format!("{dir}/file");
    let absent = format!("{dir}/absent");
    let out = format!("{dir}/absent/out");
    let table: &[(&[&str], &str)] = &[
        (&[&absent], "No such file or directory"),
        (&[&file], "is not a directory"),
        (&[dir, "--lines", "0"], "--lines"),
        (&[dir, "--workers", "-1"], "-1"),
        (&[dir, "--threads", "0"], "--threads"),
        (&[dir, "--memory-cap", "much"], "is not a size"),
        (&[dir, "--json", "--out", "-"], "both want stdout"),
        (&[dir, "--out", &out], "cannot write"),
        (&[dir, "--out", dir], "cannot write"),
        (&[], "DIR"),
    ];
    for (args, message) in table {
        let mut command = pinfold(&["index"]);
        command.args(*args);
        let output = output(command, 2);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    let tree = Tree::long(1);
    for workers in ["0", "2"] {
        let args = ["--out", "/dev/full", "--workers", workers];
        let output = output(index(&tree, &args), 2);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("cannot write /dev/full: No space left"),
            "{stderr}"
        );
    }
}

/// The race: a worker dies at any instant of its work, over and over. Whatever
/// it was doing must be done again, once, and leave no trace in the output.
#[test]
fn the_index_is_the_same_while_workers_are_killed() {
    let tree = Tree::long(30);
    let calm = json(index(&tree, &["--json", "--workers", "0"]), 0);
    let host = spawn(index(&tree, &["--json", "--workers", "2"]));
    // A bound: on a slow machine no part would ever be finished between two of them.
    const KILLS_MAX: usize = 30;
    let mut kills = 0;
    until("the end of the run", {
        let mut next = Instant::now();
        let host = host.id();
        move || {
            if kills < KILLS_MAX && Instant::now() >= next {
                next += Duration::from_millis(50);
                if let Some(&worker) = workers(host).get(kills % 2) {
                    send(worker, Signal::KILL);
                    kills += 1;
                }
            }
            !runs(host)
        }
    });
    let output = host.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["digest"], calm["digest"]);
    assert_eq!(report["errors"], calm["errors"]);
    assert!(report["restarts"].as_u64().unwrap() > 0, "{report}");
}

/// Starts a long run and waits until it is in the middle of its work. Its
/// temporary files, if it had any, would be in `temporary`.
fn in_the_middle(tree: &Tree, count: &str, out: &Path, temporary: &Path) -> Child {
    let mut command = index(tree, &["--workers", count, "--out", out.to_str().unwrap()]);
    command.env("TMPDIR", temporary);
    let host = spawn(command);
    until("signals are caught", || catches(host.id(), Signal::INT));
    until("all workers run", || {
        workers(host.id()).len() >= count.parse::<usize>().unwrap()
    });
    host
}

/// Asserts that nothing is left of a host that is gone.
fn nothing_is_left(host: u32, fold: &[u32], out: &Path, temporary: &Path) {
    until("all its processes are gone", || {
        !fold.iter().any(|&pid| runs(pid))
    });
    let names = |dir: &Path| -> Vec<_> {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    };
    assert!(names(out.parent().unwrap()).is_empty(), "no half output");
    assert!(names(temporary).is_empty(), "no temporary file");
    let mine = format!("pinfold-{host}");
    let shared = names(Path::new("/dev/shm"));
    assert!(
        !shared
            .iter()
            .any(|name| name.to_string_lossy().contains(&mine)),
        "{shared:?}"
    );
}

#[test]
fn an_interrupted_run_ends_at_once_and_leaves_nothing() {
    let tree = Tree::long(100);
    for (count, signal, code) in [
        ("0", Signal::INT, 130),
        ("2", Signal::INT, 130),
        ("2", Signal::TERM, 143),
    ] {
        let (at, temporary) = (Tree::new(), Tree::new());
        let out = at.path().join("out.jsonl");
        let host = in_the_middle(&tree, count, &out, temporary.path());
        let id = host.id();
        let fold = [children(id), grandchildren(id)].concat();
        let start = Instant::now();
        send(id, signal);
        let output = host.wait_with_output().unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "took {:?}",
            start.elapsed()
        );
        assert_eq!(output.status.code(), Some(code));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("interrupted after"), "{stderr}");
        nothing_is_left(id, &fold, &out, temporary.path());
    }
}

#[test]
fn a_killed_host_takes_its_fold_along() {
    let tree = Tree::long(100);
    let (at, temporary) = (Tree::new(), Tree::new());
    let out = at.path().join("out.jsonl");
    let host = in_the_middle(&tree, "2", &out, temporary.path());
    let id = host.id();
    let fold = [children(id), grandchildren(id)].concat();
    // A keeper that has just begun still has its worker's name.
    until("two are workers", || workers(id).len() == 2);
    assert!(
        fold.len() >= 3,
        "a zygote, two workers, and who keeps their memory"
    );
    send(id, Signal::KILL);
    let start = Instant::now();
    let output = host.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::KILL.as_raw()));
    nothing_is_left(id, &fold, &out, temporary.path());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "took {:?}",
        start.elapsed()
    );
}

#[test]
fn help_completions_and_man_pages() {
    let text = |args: &[&str]| String::from_utf8(output(pinfold(args), 0).stdout).unwrap();
    assert!(text(&["index", "--help"]).contains("Examples:"));
    assert!(text(&["--help"]).contains("pinfold index ."));
    assert!(text(&["completions", "bash"]).contains("pinfold"));
    assert!(text(&["man"]).contains(".TH"));
    assert!(text(&["man", "index"]).contains("memory\\-cap"));
}
