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
use std::io::{self, Write};
use std::ops::ControlFlow;

use blake3::Hash;

use super::blob::Blob;
use super::collect::Collector;
use super::executor::Executor;
use super::group::Packer;
use super::job::{Hooks, Job};
use super::large::Trial;
use super::long::Stakes;
use super::outcome::Tally;
use super::sink::Sink;
use super::walk::Walk;

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

/// Does the whole job on `executor`.
pub fn run<E: Executor, W: Write>(
    job: &Job,
    executor: &E,
    out: Option<W>,
    hooks: &Hooks<'_>,
) -> Result<Summary<W>, RunError> {
    let mut walk = Walk::new(&job.dir).map_err(RunError::Walk)?;
    let packer = RefCell::new(Packer::new(job.source.clone(), job.lines));
    let errors = RefCell::new(Vec::new());
    let mut collector = Collector {
        job,
        hooks,
        packer: &packer,
        errors: &errors,
        sink: Sink::new(out),
        tally: Tally::default(),
        trial: Trial::default(),
        stakes: Stakes::default(),
    };
    let groups = std::iter::from_fn(|| {
        // Also between directories without files: a walk can be long.
        let trouble = |path: &[u8], error: io::Error| {
            let error = format!("cannot read directory: {error}");
            errors.borrow_mut().push((Blob(path.to_vec()), error));
        };
        if (hooks.stop)() {
            None
        } else {
            packer.borrow().pack(&mut walk, trouble)
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

#[cfg(test)]
mod tests;
