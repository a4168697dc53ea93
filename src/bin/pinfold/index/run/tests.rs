//! Whole runs, with executors that misbehave: the output must not show it.

use std::cell::Cell;
use std::fs::{self, File};

use super::super::executor::Sequential;
use super::super::group::{Group, Rest};
use super::super::outcome::Outcome;
use super::super::source::FileId;
use super::*;

/// A small tree and the job over it.
fn tree() -> (tempfile::TempDir, Job) {
    let root = tempfile::tempdir().unwrap();
    for dir in ["a", "b", "c"] {
        fs::create_dir(root.path().join(dir)).unwrap();
        for file in 0..100 {
            let text = format!("{dir}{file}\n").repeat(file * 3);
            fs::write(root.path().join(format!("{dir}/{file}")), text).unwrap();
        }
    }
    let job = Job::new(root.path().to_path_buf(), 50, Vec::new()).unwrap();
    (root, job)
}

/// Runs the job on `executor` without interruption.
fn run_on(job: &Job, executor: &impl Executor) -> Summary<Vec<u8>> {
    run(
        job,
        executor,
        Some(Vec::new()),
        &Hooks {
            stop: &|| false,
            seen: &|_| {},
        },
    )
    .unwrap()
}

/// What makes a task misbehave.
#[derive(Clone, Copy, PartialEq)]
enum Mischief {
    /// Each task does one file and leaves the rest.
    Lazy,
    /// Each task has no memory; the host does.
    Starved,
    /// Groups that hold the file "b/7" fail, whatever else they hold.
    Poison,
}

/// The sequential executor with a flaw.
struct Flawed(Sequential, Mischief);

impl Executor for Flawed {
    type Records = Vec<u8>;

    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        mut take: impl FnMut(Group, Result<Outcome<Vec<u8>>, String>) -> ControlFlow<()>,
    ) {
        for group in groups {
            let outcome = self.one(group.clone());
            if take(group, outcome).is_break() {
                return;
            }
        }
    }

    fn one(&self, group: Group) -> Result<Outcome<Vec<u8>>, String> {
        let rest = |files_done, starved| {
            Some(Rest {
                files_done,
                resume: None,
                starved,
            })
        };
        match self.1 {
            Mischief::Poison if group.paths().any(|path| path == b"b/7") => Err("poison".into()),
            Mischief::Lazy if group.files > 1 => {
                let first = group.singles().swap_remove(0);
                Ok(Outcome {
                    rest: rest(1, false),
                    ..self.0.one(first)?
                })
            }
            Mischief::Starved => {
                let (records, errors) = (Vec::new(), Vec::new());
                Ok(Outcome {
                    records,
                    errors,
                    tally: Tally::default(),
                    rest: rest(0, true),
                })
            }
            _ => self.0.one(group),
        }
    }
}

#[test]
fn rests_and_starvation_do_not_show() {
    let (_root, job) = tree();
    let plain = run_on(&job, &Sequential::new(&job));
    assert_eq!(plain.tally.files, 300);
    assert_eq!(plain.digest, blake3::hash(plain.out.as_ref().unwrap()));
    for mischief in [Mischief::Lazy, Mischief::Starved] {
        let flawed = run_on(&job, &Flawed(Sequential::new(&job), mischief));
        assert!(flawed.out == plain.out);
        assert_eq!(flawed.tally, plain.tally);
        assert!(flawed.errors.is_empty());
    }
}

#[test]
fn one_poisonous_file_is_one_error() {
    let (_root, job) = tree();
    let plain = run_on(&job, &Sequential::new(&job));
    let flawed = run_on(&job, &Flawed(Sequential::new(&job), Mischief::Poison));
    assert_eq!(
        flawed.errors,
        [(Blob(b"b/7".to_vec()), "poison".to_string())]
    );
    assert_eq!(flawed.tally.files, 300);
    let text = |run: Summary<Vec<u8>>| String::from_utf8(run.out.unwrap()).unwrap();
    let expected: String = text(plain)
        .lines()
        .filter(|line| !line.contains("\"b/7\""))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(text(flawed) == expected);
}

#[test]
fn files_to_skip_are_skipped() {
    let (_root, mut job) = tree();
    let own = File::open(job.dir.join("c/99")).unwrap();
    job = Job::new(job.dir, 50, vec![FileId::of(own).unwrap()]).unwrap();
    let run = run_on(&job, &Sequential::new(&job));
    assert_eq!(run.tally.files, 299);
}

#[test]
fn a_stopped_run_stops() {
    let (_root, job) = tree();
    let executor = Sequential::new(&job);
    let groups = Cell::new(0);
    let hooks = Hooks {
        stop: &|| groups.get() >= 3,
        seen: &|_| groups.set(groups.get() + 1),
    };
    let run = run(&job, &executor, Some(Vec::new()), &hooks).unwrap();
    assert_eq!(groups.get(), 3);
    assert!(run.tally.files < 300);
}

#[test]
fn a_full_disk_is_an_error() {
    let (_root, job) = tree();
    let executor = Sequential::new(&job);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let hooks = Hooks {
        stop: &|| false,
        seen: &|_| {},
    };
    let error = run(&job, &executor, Some(full), &hooks).err().unwrap();
    assert!(matches!(error, RunError::Write(error) if error.kind() == io::ErrorKind::StorageFull));
}
