//! Tasks over small trees: limits, failures, memory that runs out.

use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;

use super::super::source::Source;
use super::*;

/// A group of `paths` in chunks of `lines`.
fn group(paths: &[&str], lines: u64) -> Group {
    Group {
        source: Source::default(),
        lines,
        paths: Blob(
            paths
                .iter()
                .flat_map(|p| [p.as_bytes(), b"\0"].concat())
                .collect(),
        ),
        files: paths.len() as u32,
        resume: None,
    }
}

/// Runs one task, with at most `buffers` buffers.
fn task(root: &Path, group: &Group, buffers: usize) -> Outcome<Vec<u8>> {
    let mut left = buffers;
    let supply = |len| {
        left = left.checked_sub(1).ok_or(Starved)?;
        Ok(vec![0; len])
    };
    let root = File::open(root).unwrap();
    index_group(root, group, &mut Scratch::default(), supply).map_records(|mut buffer, len| {
        buffer.truncate(len);
        buffer
    })
}

/// Runs tasks until nothing is left; all records as text, the tally, the
/// errors, and how many tasks it took.
fn tasks(root: &Path, mut group: Group) -> (String, Tally, Vec<(Blob, String)>, usize) {
    let (mut text, mut tally, mut errors) = (Vec::new(), Tally::default(), Vec::new());
    for count in 1.. {
        let outcome = task(root, &group, usize::MAX);
        let len: usize = outcome.records.iter().map(Vec::len).sum();
        assert!(
            len < GROUP_RECORDS + PART_RECORDS + 2 * 64 * 1024,
            "a result of {len} bytes"
        );
        text.extend(outcome.records.concat());
        tally.add(&outcome.tally);
        errors.extend(outcome.errors);
        match outcome.rest {
            Some(rest) => group = group.after(rest),
            None => return (String::from_utf8(text).unwrap(), tally, errors, count),
        }
    }
    unreachable!()
}

/// "path start end bytes" of each record.
fn short(text: &str) -> Vec<String> {
    let short = |line: &str| {
        let json: Value = serde_json::from_str(line).unwrap();
        let path = json["path"].as_str().unwrap();
        format!(
            "{path} {} {} {}",
            json["start_line"], json["end_line"], json["bytes"]
        )
    };
    text.lines().map(short).collect()
}

#[test]
fn text_binary_empty_and_missing() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "1\n2\n3").unwrap();
    fs::write(root.path().join("b"), "1\n\0\n").unwrap();
    fs::write(root.path().join("c"), "").unwrap();
    fs::write(root.path().join("e"), "x\n").unwrap();
    let (text, tally, errors, count) = tasks(root.path(), group(&["a", "b", "c", "d", "e"], 2));
    assert_eq!(short(&text), ["a 1 2 4", "a 3 3 1", "e 1 1 2"]);
    assert_eq!(
        tally,
        Tally {
            files: 5,
            chunks: 3,
            bytes: 7,
            skipped_binary: 1
        }
    );
    let missing = "cannot open: No such file or directory (os error 2)";
    assert_eq!(errors, [(Blob(b"d".to_vec()), missing.to_string())]);
    assert_eq!(count, 1);
}

#[test]
fn a_large_file_is_several_tasks() {
    let root = tempfile::tempdir().unwrap();
    let mut large = Vec::new();
    for line in 0..2_000_000 {
        large.extend(format!("line {line} {}\n", "x".repeat(line % 17)).as_bytes());
    }
    large.extend(vec![b'y'; 3 << 20]);
    fs::write(root.path().join("large"), &large).unwrap();
    fs::write(root.path().join("small"), "x\n").unwrap();
    let (text, tally, errors, count) = tasks(root.path(), group(&["large", "small"], 1000));
    assert!(errors.is_empty());
    assert_eq!(
        tally,
        Tally {
            files: 2,
            chunks: 2002,
            bytes: large.len() as u64 + 2,
            skipped_binary: 0
        }
    );
    assert!(count > 8, "{count} tasks");

    let mut at = 0;
    let mut line = 1;
    for record in text.lines().take(2001) {
        let json: Value = serde_json::from_str(record).unwrap();
        let part = &large[at..at + json["bytes"].as_u64().unwrap() as usize];
        assert_eq!(json["start_line"], line);
        assert_eq!(json["blake3"], blake3::hash(part).to_hex().as_str());
        at += part.len();
        line = json["end_line"].as_u64().unwrap() + 1;
    }
    assert_eq!((at, line), (large.len(), 2_000_002));
}

#[test]
fn many_records_of_few_bytes_are_several_tasks() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "\n".repeat(50_000)).unwrap();
    let (text, tally, _, count) = tasks(root.path(), group(&["a"], 1));
    assert_eq!(tally.chunks, 50_000);
    assert_eq!(text.lines().count(), 50_000);
    assert!(count > 4, "{count} tasks");
}

#[test]
fn large_groups_leave_a_rest() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        fs::write(root.path().join(name), "0123456789abcde\n".repeat(4 << 16)).unwrap();
    }
    let outcome = task(root.path(), &group(&names, 50), usize::MAX);
    assert_eq!(
        outcome.rest,
        Some(Rest {
            files_done: 2,
            resume: None,
            starved: false
        })
    );
    let (_, tally, _, count) = tasks(root.path(), group(&names, 50));
    assert_eq!((tally.files, count), (6, 3));
}

#[test]
fn a_part_that_is_no_longer_the_same_file_fails() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    fs::write(&path, "0123456789abcde\n".repeat(1 << 20)).unwrap();
    let all = group(&["a"], 50);
    let first = task(root.path(), &all, usize::MAX);
    fs::write(&path, "0123456789abcdef\n".repeat(1 << 20)).unwrap();
    let second = task(root.path(), &all.after(first.rest.unwrap()), usize::MAX);
    assert_eq!(second.errors[0].1, "changed while it was being read");
    assert_eq!(
        second.tally,
        Tally {
            files: 1,
            ..Tally::default()
        }
    );
    assert!(second.records.is_empty());
    assert_eq!(second.rest, None);
}

#[test]
fn without_memory_the_file_is_left_for_later() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "x\n").unwrap();
    fs::write(root.path().join("b"), "\n".repeat(1000)).unwrap();
    let all = group(&["a", "b"], 1);
    // One buffer holds the records of "a", but not all of "b": none of those.
    let outcome = task(root.path(), &all, 1);
    let rest = Rest {
        files_done: 1,
        resume: None,
        starved: true,
    };
    assert_eq!(outcome.rest, Some(rest.clone()));
    assert_eq!(
        outcome.tally,
        Tally {
            files: 1,
            chunks: 1,
            bytes: 2,
            skipped_binary: 0
        }
    );
    assert_eq!(
        short(&String::from_utf8(outcome.records.concat()).unwrap()),
        ["a 1 1 2"]
    );
    // Later there is memory, and the rest follows.
    let (text, ..) = tasks(root.path(), all.after(rest));
    assert_eq!(text.lines().count(), 1000);
    assert_eq!(task(root.path(), &all, 0).rest.unwrap().files_done, 0);
}
