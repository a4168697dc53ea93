//! Divided files and chunks beside the same in one go.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::super::executor::{Executor, Sequential};
use super::super::job::{Hooks, Job};
use super::super::outcome::{Outcome, Tally};
use super::super::run::{Summary, run};
use super::super::tree::UNIT_BYTES;
use super::*;

/// The sequential executor that scans as well, as those do that run several
/// tasks at once. The cell has the units scanned.
struct Scanning(Sequential, File, Cell<u64>);

impl Scanning {
    fn new(job: &Job) -> Scanning {
        Scanning(
            Sequential::new(job),
            File::open(&job.dir).unwrap(),
            Cell::new(0),
        )
    }
}

impl Executor for Scanning {
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

    fn scan(&self, spans: Vec<Span>) -> Option<Vec<Scan>> {
        assert!(spans.len() <= 2 * STRIDE_PARTS && !spans.is_empty());
        let units = spans.iter().filter(|span| span.unit.is_some()).count() as u64;
        self.2.set(self.2.get() + units);
        let mut scratch = Scratch::default();
        spans
            .iter()
            .map(|span| scan(&self.1, span, &mut scratch).ok())
            .collect()
    }
}

/// Runs the job both ways and compares; returns what both said.
fn check(root: &Path, lines: u64) -> Summary<Vec<u8>> {
    check_units(root, lines).0
}

/// The same, with the number of units that were hashed ahead.
fn check_units(root: &Path, lines: u64) -> (Summary<Vec<u8>>, u64) {
    let job = Job::new(root.to_path_buf(), lines, Vec::new()).unwrap();
    let hooks = Hooks {
        stop: &|| false,
        seen: &|_| {},
    };
    let sequential = Sequential::new(&job);
    let plain = run(&job, &sequential, Some(Vec::new()), &hooks).unwrap();
    let scanning = Scanning::new(&job);
    let divided = run(&job, &scanning, Some(Vec::new()), &hooks).unwrap();
    assert_eq!(divided.tally, plain.tally, "in chunks of {lines}");
    assert!(divided.out == plain.out, "in chunks of {lines}");
    assert_eq!(divided.errors, plain.errors);
    (plain, scanning.2.get())
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

/// The fingerprint in each record.
fn hashes(said: &Summary<Vec<u8>>) -> Vec<String> {
    let records = said.out.as_ref().unwrap().split(|&b| b == b'\n');
    records
        .filter(|record| !record.is_empty())
        .map(|record| {
            let record: serde_json::Value = serde_json::from_slice(record).unwrap();
            record["blake3"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn a_long_chunk_is_hashed_ahead_by_its_units() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("long");
    let unit = UNIT_BYTES as usize;
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    for size in [9 * unit, 10 * unit + 1] {
        let mut bytes = vec![b'x'; size];
        fs::write(&path, &bytes).unwrap();
        let (said, units) = check_units(root.path(), 50);
        assert_eq!(hashes(&said), [hash(&bytes)]);
        assert!(units >= 7, "{units} units of {size} bytes");
        // The line ends around a border of units, and more behind.
        for at in [7 * unit - 1, 7 * unit] {
            bytes[at] = b'\n';
            fs::write(&path, &bytes).unwrap();
            let (said, _) = check_units(root.path(), 1);
            let (one, two) = bytes.split_at(at + 1);
            assert_eq!(hashes(&said), [hash(one), hash(two)]);
            bytes[at] = b'x';
        }
    }
    // It begins in the second part, behind short ones.
    let mut bytes = text(PART_BYTES + 1_000_000);
    bytes.resize(bytes.len() + 8 * unit, b'y');
    fs::write(&path, &bytes).unwrap();
    let (_, units) = check_units(root.path(), 50);
    assert!(units >= 4, "{units} units");
}

#[test]
fn lines_that_mislead_are_hashed_in_vain_a_few_times_only() {
    // Each chunk looks as if it had 50 MB, and has a little more than one.
    let root = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    for _ in 0..12 {
        bytes.resize(bytes.len() + UNIT_BYTES as usize + 1000, b'x');
        bytes.extend("\nshort".repeat(50).as_bytes());
    }
    fs::write(root.path().join("long"), &bytes).unwrap();
    let (said, units) = check_units(root.path(), 50);
    assert!(said.tally.chunks > 12);
    assert!(units <= 8, "{units} units");
}

#[test]
fn a_file_that_changes_between_counting_and_indexing_fails_once() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    fs::write(&path, text(5 * PART_BYTES)).unwrap();
    let job = Job::new(root.path().to_path_buf(), 50, Vec::new()).unwrap();
    let scanning = Scanning::new(&job);
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
    let said = run(&job, &scanning, Some(Vec::new()), &hooks).unwrap();
    let changed = "changed while it was being read".to_string();
    assert_eq!(said.errors, [(Blob(b"large".to_vec()), changed)]);
    assert_eq!(said.tally.files, 1);
    let whole_parts = said.tally.bytes / PART_BYTES;
    assert_eq!(whole_parts, 2, "what was done before stays");
}
