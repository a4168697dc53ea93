//! Trees of odd shapes: none should cost more with two workers than with one.
//!
//! The number decides how a large file is divided: if lines are counted in vain, or parts are read again, a shape shows
//! it. Rates are of bytes of text, start and end of the workers included.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use pinfold_rivals::{Against, Bench, Question, Race};

use super::index::job::Job;
use super::index::parallel::Parallel;
use super::{Turn, turn};

/// Makes a tree in a directory.
type Shape = (&'static str, &'static str, fn(&Path, u64));

const SHAPES: [Shape; 6] = [
    ("small", "many small files", small),
    ("large", "two large files of short lines", large),
    ("long", "lines of 1 MB", long),
    ("endless", "one line that is the whole file", endless),
    ("sparse", "some text before a hole", sparse),
    ("deep", "directories in each other", deep),
];

/// Each shape with two workers beside one.
pub fn run(bench: &mut Bench) {
    let megabytes = bench.pick(300, 60);
    for (name, what, make) in SHAPES {
        let id = format!("index.shape.{name}");
        if !bench.wants(&id) {
            continue;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        make(dir.path(), megabytes << 20);
        let job = Job::new(dir.path().to_path_buf(), 50, Vec::new()).expect("the tree is there");
        let rate = |workers| {
            let (time, summary): Turn = turn(
                &job,
                || Parallel::start(&job, workers, 1, None).expect("workers"),
                |e| e.shutdown(false),
            );
            // A tree of small files has few bytes: they count as what a file costs.
            (summary.tally.bytes as f64 + 4096.0 * summary.tally.files as f64)
                / 1e6
                / time.as_secs_f64()
        };
        let question = Question::higher(&id, &format!("`pinfold index` of {what}"), "MB/s");
        let mut race = Race::new([question.bar(Against::Rival("one worker"), 1.0)]);
        race.ours("two workers", || rate(2));
        race.rival("one worker", || rate(1));
        let rounds = bench.rounds(5, 3);
        bench.run(race, rounds);
    }
}

fn file(at: &Path, name: &str) -> BufWriter<File> {
    BufWriter::new(File::create(at.join(name)).expect("a file"))
}

fn fill(at: &Path, name: &str, line: &[u8], bytes: u64) {
    let mut file = file(at, name);
    for _ in 0..bytes / line.len() as u64 {
        file.write_all(line).expect("room");
    }
}

fn small(at: &Path, bytes: u64) {
    for number in 0..bytes / 16_384 {
        fs::write(at.join(number.to_string()), b"a line or two\nof text\n").expect("room");
    }
}

fn large(at: &Path, bytes: u64) {
    for name in ["a", "b"] {
        fill(
            at,
            name,
            b"a line of text as long as most of them are\n",
            bytes / 2,
        );
    }
}

fn long(at: &Path, bytes: u64) {
    let mut line = vec![b'x'; 1 << 20];
    line.push(b'\n');
    fill(at, "a", &line, bytes);
}

fn endless(at: &Path, bytes: u64) {
    fill(at, "a", &[b'x'; 1 << 16], bytes);
}

fn sparse(at: &Path, bytes: u64) {
    fill(at, "a", b"a line of text\n", 5 << 20);
    let file = File::options().write(true).open(at.join("a"));
    file.and_then(|file| file.set_len(bytes)).expect("a hole");
}

fn deep(at: &Path, _: u64) {
    let mut at = at.to_path_buf();
    for _ in 0..500 {
        at.push("d");
        fs::create_dir(&at).expect("a directory");
        fs::write(at.join("f"), b"a line\n").expect("room");
    }
}
