//! Divided files beside the same files in one go.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::super::executor::{Executor, Sequential};
use super::super::outcome::{Outcome, Tally};
use super::super::run::{Hooks, Job, Summary, run};
use super::*;

/// The sequential executor that counts as well, as those do that run several
/// tasks at once.
struct Counting(Sequential, File);

impl Executor for Counting {
    type Records = Vec<u8>;

    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        take: impl FnMut(Group, Result<Outcome<Vec<u8>>, String>) -> ControlFlow<()>,
    ) {
        self.0.each(groups, take);
    }

    fn one(&self, group: Group) -> Result<Outcome<Vec<u8>>, String> {
        self.0.one(group)
    }

    fn count(&self, spans: Vec<Span>) -> Option<Vec<u64>> {
        assert!(spans.len() <= STRIDE_PARTS && !spans.is_empty());
        let mut scratch = Scratch::default();
        spans
            .iter()
            .map(|span| count_lines(&self.1, span, &mut scratch).ok())
            .collect()
    }
}

/// Runs the job both ways and compares; returns what both said.
fn check(root: &Path, lines: u64) -> Summary<Vec<u8>> {
    let job = Job::new(root.to_path_buf(), lines, Vec::new()).unwrap();
    let hooks = Hooks {
        stop: &|| false,
        seen: &|_| {},
    };
    let sequential = Sequential::new(&job);
    let plain = run(&job, &sequential, Some(Vec::new()), &hooks).unwrap();
    let counting = Counting(sequential, File::open(root).unwrap());
    let divided = run(&job, &counting, Some(Vec::new()), &hooks).unwrap();
    assert_eq!(divided.tally, plain.tally, "in chunks of {lines}");
    assert!(divided.out == plain.out, "in chunks of {lines}");
    assert_eq!(divided.errors, plain.errors);
    plain
}

/// Lines of lengths between 0 and 60, about `bytes` bytes.
fn text(bytes: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut state = 7_u32;
    while (text.len() as u64) < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend(std::iter::repeat_n(b'x', (state >> 26) as usize));
        text.push(b'\n');
    }
    text
}

#[test]
fn divided_or_not_the_records_are_the_same() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    fs::write(root.path().join("a"), "before\n").unwrap();
    fs::write(root.path().join("z"), "behind\n").unwrap();
    let bytes = text(3 * PART_BYTES + 12_345);
    fs::write(&path, &bytes).unwrap();
    for lines in [1, 7, 50, 100_000, 100_000_000] {
        let said = check(root.path(), lines);
        assert_eq!(said.tally.files, 3);
        assert_eq!(said.tally.bytes, bytes.len() as u64 + 14);
    }
}

#[test]
fn line_ends_around_the_beginnings_of_parts() {
    let root = tempfile::tempdir().unwrap();
    let part = PART_BYTES as usize;
    for shift in [-2_isize, -1, 0, 1] {
        let mut bytes = vec![b'x'; 4 * part + 10];
        for boundary in [part, 2 * part, 3 * part] {
            bytes[boundary.checked_add_signed(shift).unwrap()] = b'\n';
        }
        fs::write(root.path().join("large"), &bytes).unwrap();
        for lines in [1, 2, 3] {
            check(root.path(), lines);
        }
    }
    // Parts in which no chunk begins, and a file that ends with a part.
    for (size, at) in [(5 * part, 2), (3 * part, 2 * part - 1), (2 * part, part)] {
        let mut bytes = vec![b'x'; size];
        bytes[at] = b'\n';
        fs::write(root.path().join("large"), &bytes).unwrap();
        check(root.path(), 1);
    }
}

#[test]
fn more_parts_than_a_stride_has() {
    let root = tempfile::tempdir().unwrap();
    let mut file = File::create(root.path().join("large")).unwrap();
    file.write_all(&text(10_000)).unwrap();
    // The rest is a hole with lines here and there.
    let size = PART_BYTES * (2 * STRIDE_PARTS as u64 + 3);
    for at in (10_001..size).step_by(1_234_567) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"\nline\n").unwrap();
    }
    file.set_len(size).unwrap();
    check(root.path(), 3);
}

#[test]
fn a_file_that_changes_between_counting_and_indexing_fails_once() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    fs::write(&path, text(5 * PART_BYTES)).unwrap();
    let job = Job::new(root.path().to_path_buf(), 50, Vec::new()).unwrap();
    let counting = Counting(Sequential::new(&job), File::open(root.path()).unwrap());
    // Told how far it is after each part; the second time, the file changes.
    let told = std::cell::Cell::new(0);
    let seen = |_: &Tally| {
        told.set(told.get() + 1);
        if told.get() == 2 {
            fs::write(&path, "short\n").unwrap();
        }
    };
    let hooks = Hooks {
        stop: &|| false,
        seen: &seen,
    };
    let said = run(&job, &counting, Some(Vec::new()), &hooks).unwrap();
    let changed = "changed while it was being read".to_string();
    assert_eq!(said.errors, [(Blob(b"large".to_vec()), changed)]);
    assert_eq!(said.tally.files, 1);
    let whole_parts = said.tally.bytes / PART_BYTES;
    assert_eq!(whole_parts, 2, "what was done before stays");
}
