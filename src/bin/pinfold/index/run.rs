//! One run: walk, pack, execute, collect. Everything but the executor is the
//! same for every number of workers.
//!
//! ```text
//!            pull                      in order
//! walk ─▶ packer ─▶ groups ─▶ executor ─▶ outcomes ─▶ settle ─▶ sink, tally, errors
//!            ▲                    ▲                      │
//!            └── sizes learnt ────│──────────────────────┤
//!                                 └── one more task ◀────┘ rest of a group,
//!                                                          or a failed group's files
//! ```
//!
//! An outcome is *settled* before the next one is looked at: whatever it left
//! undone is run at once and takes its place in the order. Meanwhile the
//! executor works on the groups it has already pulled.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::ops::{ControlFlow, Deref};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use blake3::Hash;

use super::blob::Blob;
use super::group::{Group, Packer};
use super::sink::Sink;
use super::walk::Walk;
use super::work::{Outcome, Scratch, Tally, index_group};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Job {
    /// The directory, absolute.
    pub dir: PathBuf,
    /// Lines in a full chunk.
    pub lines: u64,
    /// Files to leave out: paths below the directory.
    pub skip: Vec<Vec<u8>>,
}

/// Who looks on during a run.
pub struct Hooks<'a> {
    /// True when the run should end early.
    pub stop: &'a dyn Fn() -> bool,
    /// Told how far it is, after each group.
    pub seen: &'a dyn Fn(&Tally),
}

/// What came of a run.
#[derive(Debug)]
pub struct Summary<W> {
    /// What was indexed.
    pub tally: Tally,
    /// What failed and why, by path.
    pub errors: Vec<(Blob, String)>,
    /// The digest of the records.
    pub digest: Hash,
    /// What they were written to.
    pub out: Option<W>,
}

/// Why a run did not come to its end.
#[derive(Debug)]
pub enum RunError {
    /// The directory could not be read at all.
    Walk(io::Error),
    /// The output could not be written.
    Write(io::Error),
}

/// Runs groups somewhere.
pub trait Executor {
    /// A buffer of records as it comes back.
    type Records: Deref<Target = [u8]>;

    /// Runs all `groups`, pulled as they are needed, and hands each with its
    /// outcome to `take`, in order, until that breaks off. An error is a task
    /// that failed as a whole.
    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        take: impl FnMut(Group, Result<Outcome<Self::Records>, String>) -> ControlFlow<()>,
    );

    /// Runs one group; may be called from within `take`.
    fn one(&self, group: Group) -> Result<Outcome<Self::Records>, String>;
}

/// Runs groups one after the other on the calling thread: the reference.
pub struct Sequential {
    root: File,
    scratch: RefCell<Scratch>,
}

impl Sequential {
    /// An executor for groups below the job's directory.
    pub fn new(job: &Job) -> io::Result<Sequential> {
        Ok(Sequential {
            root: File::open(&job.dir)?,
            scratch: RefCell::default(),
        })
    }
}

impl Executor for Sequential {
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
        let supply = |len| Ok(vec![0; len]);
        let outcome = index_group(&self.root, &group, &mut self.scratch.borrow_mut(), supply);
        Ok(outcome.map_records(|mut buffer, len| {
            buffer.truncate(len);
            buffer
        }))
    }
}

/// Does the whole job on `executor`.
pub fn run<E: Executor, W: Write>(
    job: &Job,
    executor: &E,
    out: Option<W>,
    hooks: &Hooks<'_>,
) -> Result<Summary<W>, RunError> {
    let mut walk = Walk::new(&job.dir).map_err(RunError::Walk)?;
    let packer = RefCell::new(Packer::new(job.dir.as_os_str().as_bytes(), job.lines));
    let errors = RefCell::new(Vec::new());
    let mut collector = Collector {
        job,
        hooks,
        packer: &packer,
        errors: &errors,
        sink: Sink::new(out),
        tally: Tally::default(),
    };
    let groups = std::iter::from_fn(|| {
        // Also between directories without files: a walk can be long.
        let skip = |path: &[u8]| job.skip.iter().any(|skip| skip == path);
        let trouble = |path: &[u8], error: io::Error| {
            let error = format!("cannot read directory: {error}");
            errors.borrow_mut().push((Blob(path.to_vec()), error));
        };
        if (hooks.stop)() {
            None
        } else {
            packer.borrow().pack(&mut walk, skip, trouble)
        }
    });
    let mut written = Ok(());
    executor.each(groups, |group, outcome| {
        written = collector.settle(executor, group, outcome);
        if written.is_err() || (hooks.stop)() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    written.map_err(RunError::Write)?;
    let (digest, out) = collector.sink.finish();
    let tally = collector.tally;
    let mut errors = errors.into_inner();
    errors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Summary {
        tally,
        errors,
        digest,
        out,
    })
}

/// Puts outcomes together.
struct Collector<'a, W> {
    job: &'a Job,
    hooks: &'a Hooks<'a>,
    packer: &'a RefCell<Packer>,
    errors: &'a RefCell<Vec<(Blob, String)>>,
    sink: Sink<W>,
    tally: Tally,
}

impl<W: Write> Collector<'_, W> {
    /// Takes the outcome of `group`, and does what it left undone.
    fn settle<E: Executor>(
        &mut self,
        executor: &E,
        group: Group,
        outcome: Result<Outcome<E::Records>, String>,
    ) -> io::Result<()> {
        let mut left = self.take(group, outcome)?;
        while let Some((group, starved)) = left.pop() {
            if (self.hooks.stop)() {
                return Ok(());
            }
            let more = if starved {
                // The shared memory is full of results that come after this
                // one. The host's own memory is not: this group is done here.
                let host = Sequential::new(self.job)?;
                let outcome = host.one(group.clone());
                self.take(group, outcome)?
            } else {
                let outcome = executor.one(group.clone());
                self.take(group, outcome)?
            };
            left.extend(more);
        }
        Ok(())
    }

    /// Takes what was done of `group`; returns what remains, last first, and
    /// whether it was left for want of memory.
    fn take<R: Deref<Target = [u8]>>(
        &mut self,
        group: Group,
        outcome: Result<Outcome<R>, String>,
    ) -> io::Result<Vec<(Group, bool)>> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) if group.files == 1 => {
                self.tally.files += 1;
                (self.hooks.seen)(&self.tally);
                let path = group.paths().next().unwrap_or_default().to_vec();
                self.errors.borrow_mut().push((Blob(path), error));
                return Ok(Vec::new());
            }
            // One of them is to blame: each gets a task of its own.
            Err(_) => {
                return Ok(group
                    .singles()
                    .into_iter()
                    .rev()
                    .map(|g| (g, false))
                    .collect());
            }
        };
        for records in &outcome.records {
            self.sink.put(records)?;
        }
        let tally = &outcome.tally;
        self.tally.add(tally);
        self.packer.borrow_mut().learn(tally.files, tally.bytes);
        self.errors.borrow_mut().extend(outcome.errors);
        (self.hooks.seen)(&self.tally);
        Ok(outcome
            .rest
            .map(|rest| (group.after(rest), rest.starved))
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests;
