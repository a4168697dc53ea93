//! The same groups, run by worker processes.
//!
//! ```text
//! host                                     worker
//! group ──argument──▶ task ──▶ index_in_worker ──▶ records written straight
//!                                   │               into shared memory
//! sink ◀── reads them where ◀── result: Outcome<Shared>
//!          they lie
//! ```
//!
//! A task is safe to repeat: it only reads files. One whose worker dies is run
//! again, on another worker or a new one, up to [`ATTEMPTS`] times.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pinfold::{Runtime, Shared, Shutdown, StartError};

use super::blob::Blob;
use super::executor::Executor;
use super::file::FileError;
use super::group::Group;
use super::large::{Span, count_lines};
use super::outcome::{Outcome, Tally};
use super::segments::Starved;
use super::work::{Scratch, index_group};

/// How often a group is tried before its files are tried one by one, and each
/// of them before it is an error. Killing a worker at random hits a task of a
/// millisecond once in a hundred times at worst: ten in a row is no bad luck
/// but a file that kills its reader.
const ATTEMPTS: u32 = 10;

/// A fold of workers that indexes.
pub struct Parallel {
    runtime: Runtime,
    /// How many tasks run at a time.
    lanes: usize,
}

impl Parallel {
    /// Starts so many workers.
    pub fn start(
        workers: usize,
        threads_per_worker: usize,
        memory_cap: Option<u64>,
    ) -> Result<Parallel, StartError> {
        let mut builder = Runtime::builder()
            .workers(workers)
            .threads_per_worker(threads_per_worker);
        if let Some(cap) = memory_cap {
            builder = builder.memory_cap(cap);
        }
        let lanes = workers * threads_per_worker;
        Ok(Parallel {
            runtime: builder.start()?,
            lanes,
        })
    }

    /// How many workers died and were replaced.
    pub fn restarts(&self) -> u64 {
        self.runtime.stats().restarts
    }

    /// Ends the workers; `abort` does not let them finish what they are at.
    pub fn shutdown(self, abort: bool) {
        let how = if abort {
            Shutdown::Abort
        } else {
            Shutdown::Drain
        };
        if let Err(error) = self.runtime.shutdown(how) {
            tracing::warn!(%error, "tasks were aborted");
        }
    }
}

impl Executor for Parallel {
    type Records = Shared;

    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        mut take: impl FnMut(Group, Result<Outcome<Shared>, String>) -> ControlFlow<()>,
    ) {
        // What has been pulled and has not come back: a failed task does not
        // bring its group with it.
        let pulled = RefCell::new(VecDeque::new());
        let groups = groups.inspect(|group| pulled.borrow_mut().push_back(group.clone()));
        for outcome in self
            .runtime
            .task(index_in_worker)
            .safe_to_repeat(ATTEMPTS)
            .map(groups)
        {
            let group = pulled
                .borrow_mut()
                .pop_front()
                .expect("one result for each group");
            if take(group, outcome.map_err(|error| error.to_string())).is_break() {
                return;
            }
        }
    }

    fn one(&self, group: Group) -> Result<Outcome<Shared>, String> {
        let task = self.runtime.task(index_in_worker).safe_to_repeat(ATTEMPTS);
        let outcome = task
            .map(std::iter::once(group))
            .next()
            .expect("one result for one group");
        outcome.map_err(|error| error.to_string())
    }

    fn count(&self, spans: Vec<Span>) -> Option<Vec<u64>> {
        if self.lanes < 2 {
            return None;
        }
        let task = self.runtime.task(count_in_worker).safe_to_repeat(ATTEMPTS);
        // Whatever went wrong, reading the parts in order will meet it again.
        task.map(spans).map(|lines| lines.ok().flatten()).collect()
    }
}

/// What a worker's thread keeps from one task to the next.
#[derive(Default)]
struct Kept {
    /// The directory of the last task.
    root: Option<(Blob, File)>,
    scratch: Scratch,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Runs `work` on the directory at `root`, open, and the thread's scratch.
fn with_root<R>(root: &Blob, work: impl FnOnce(&File, &mut Scratch) -> R) -> io::Result<R> {
    KEPT.with_borrow_mut(|kept| {
        let Kept {
            root: open,
            scratch,
        } = kept;
        if open.as_ref().is_none_or(|(path, _)| path != root) {
            *open = Some((
                root.clone(),
                File::open(Path::new(OsStr::from_bytes(root)))?,
            ));
        }
        let (_, root) = open.as_ref().expect("it was just opened");
        Ok(work(root, scratch))
    })
}

/// The task: indexes one group in a worker process.
fn index_in_worker(group: Group) -> Outcome<Shared> {
    let supply = |len| pinfold::alloc(len).map_err(|_| Starved);
    let outcome = with_root(&group.root, |root, scratch| {
        index_group(root, &group, scratch, supply).map_records(|mut loan, len| {
            loan.truncate(len);
            loan.publish()
        })
    });
    outcome.unwrap_or_else(|error| all_failed(&group, error))
}

/// The task: counts the line ends in a part of a large file.
fn count_in_worker(span: Span) -> Option<u64> {
    let lines = with_root(&span.root, |root, scratch| {
        count_lines(root, &span, scratch)
    });
    lines.ok()?.ok()
}

/// The outcome if the directory itself cannot be opened: the same errors that
/// opening each file below it would have given.
fn all_failed(group: &Group, error: io::Error) -> Outcome<Shared> {
    let error = FileError::Open(error).to_string();
    Outcome {
        records: Vec::new(),
        tally: Tally {
            files: group.files.into(),
            ..Tally::default()
        },
        errors: group
            .paths()
            .map(|path| (Blob(path.to_vec()), error.clone()))
            .collect(),
        rest: None,
    }
}
