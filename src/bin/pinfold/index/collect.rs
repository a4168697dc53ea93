//! Settling outcomes: taking what was done, and getting done what was not.
//!
//! ```text
//!               ┌──────────────────────── once more ───────────────────────┐
//! outcome ─▶ take ─▶ nothing left                                          │
//!               ├──▶ rest of a group, of a file ──▶ a task ────────────────┤
//!               ├──▶ a large file, a long chunk ─▶ several at once ────────┤
//!               ├──▶ no shared memory for it ────▶ done here, in the host ─┤
//!               └──▶ a task that failed as a whole: each file by itself ───┘
//!                    (a file by itself that fails is an error)
//! ```

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::{ControlFlow, Deref};

use super::blob::Blob;
use super::executor::{Executor, Sequential};
use super::group::{Group, Packer, Rest};
use super::job::{Hooks, Job};
use super::large::{Large, Trial};
use super::long::{Long, Stakes};
use super::outcome::{Outcome, Tally};
use super::sink::Sink;

/// Puts outcomes together.
pub struct Collector<'a, W> {
    /// What is being done.
    pub job: &'a Job,
    /// Who looks on.
    pub hooks: &'a Hooks<'a>,
    /// Learns how large files are.
    pub packer: &'a RefCell<Packer>,
    /// What failed; the walk adds to it as well.
    pub errors: &'a RefCell<Vec<(Blob, String)>>,
    /// Where records go.
    pub sink: Sink<W>,
    /// What was indexed so far.
    pub tally: Tally,
    /// Whether large files are divided at the moment.
    pub trial: Trial,
    /// How far long chunks are hashed ahead.
    pub stakes: Stakes,
}

impl<W: Write> Collector<'_, W> {
    /// Takes the outcome of `group`, and does what it left undone.
    pub fn settle<E: Executor>(
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
            if starved {
                // The shared memory is full of results that come after this
                // one. The host's own memory is not: this group is done here.
                let outcome = Sequential::new(self.job).one(group.clone());
                left.extend(self.take(group, outcome)?);
            } else if group.resume.is_some() && group.files > 1 {
                // A file in parts, before others: that one first, by itself.
                let mut singles = group.singles();
                let first = singles.remove(0);
                let others = Rest {
                    files_done: 1,
                    resume: None,
                    starved: false,
                };
                left.extend([(group.after(others), false), (first, false)]);
            } else if Long::new(&group).is_some() {
                self.trial.pass();
                let group = self.hash_ahead(executor, group);
                let outcome = executor.one(group.clone());
                left.extend(self.take(group, outcome)?);
            } else if let Some(large) = Large::new(&group).filter(|_| self.trial.take()) {
                left.extend(self.divide(executor, &large)?);
            } else {
                let outcome = executor.one(group.clone());
                left.extend(self.take(group, outcome)?);
            }
        }
        Ok(())
    }

    /// Hashes units of a long chunk, several at once, as long as it goes on
    /// beyond them; returns what is left of the file.
    fn hash_ahead<E: Executor>(&mut self, executor: &E, mut group: Group) -> Group {
        while let Some(long) = Long::new(&group).filter(|_| !(self.hooks.stop)()) {
            let spans = long.spans(self.stakes.most());
            let ahead = spans.len() as u64;
            if ahead == 0 {
                break;
            }
            let Some(scans) = executor.scan(spans) else {
                break;
            };
            let (rest, used) = long.with(&scans);
            self.stakes.note(used, ahead - used);
            group = rest;
            if used < ahead {
                break;
            }
        }
        group
    }

    /// Indexes a stride of a large file, its parts at once; returns what is left
    /// of the file.
    fn divide<E: Executor>(
        &mut self,
        executor: &E,
        large: &Large,
    ) -> io::Result<Option<(Group, bool)>> {
        let Some(scans) = executor.scan(large.spans(self.trial.parts())) else {
            return self.go_on(executor, large.rest());
        };
        let counts: Vec<_> = scans.iter().map(|scan| scan.lines).collect();
        let stride = large.stride(&counts);
        let has_paid = !stride.parts.is_empty();
        self.trial.note(has_paid || stride.is_end);
        if !has_paid {
            return self.go_on(executor, large.rest());
        }
        let errors = self.errors.borrow().len();
        let mut result = Ok(None);
        let last = stride.parts.len();
        let mut taken = 0;
        let parts = stride.parts.into_iter().chain([stride.last]);
        executor.each(parts, |part, outcome| {
            result = if taken == last {
                self.take(part, outcome).map(|mut left| left.pop())
            } else {
                self.settle(executor, part, outcome).map(|()| None)
            };
            taken += 1;
            // A file fails once.
            let failed = self.errors.borrow().len() > errors;
            if result.is_err() || failed || (self.hooks.stop)() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        result
    }

    /// Runs one part of a file; returns what is left of it.
    fn go_on<E: Executor>(
        &mut self,
        executor: &E,
        group: Group,
    ) -> io::Result<Option<(Group, bool)>> {
        let outcome = executor.one(group.clone());
        Ok(self.take(group, outcome)?.pop())
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
            .map(|rest| {
                let starved = rest.starved;
                (group.after(rest), starved)
            })
            .into_iter()
            .collect())
    }
}
