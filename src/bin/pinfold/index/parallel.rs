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
//!
//! A group for which there is no worker, since none can be started any more, is
//! indexed here, in the host, as without workers: no file is lost to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Deref};

use pinfold::{Runtime, Shared, Shutdown, StartError, TaskError};

use super::blob::Blob;
use super::executor::{Executor, Sequential};
use super::file::FileError;
use super::group::Group;
use super::job::Job;
use super::large::{Scan, Span, scan};
use super::outcome::{Outcome, Tally};
use super::scratch::Scratch;
use super::segments::Starved;
use super::source::Source;
use super::work::index_group;

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
    /// Does what no worker can be had for.
    host: Sequential,
    /// Why no worker could be had, once that was so.
    trouble: RefCell<Option<String>>,
}

/// Records that a worker made, or the host.
pub enum Records {
    Shared(Shared),
    Own(Vec<u8>),
}

impl Deref for Records {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Records::Shared(records) => records,
            Records::Own(records) => records,
        }
    }
}

impl Parallel {
    /// Starts so many workers for `job`.
    pub fn start(
        job: &Job,
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
            host: Sequential::new(job),
            trouble: RefCell::default(),
        })
    }

    /// Why some groups were indexed in this process, if there were no workers for them.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// The outcome of a task; if there was no worker for it, that of its group here.
    fn outcome(
        &self,
        group: &Group,
        outcome: Result<Outcome<Shared>, TaskError>,
    ) -> Result<Outcome<Records>, String> {
        match outcome {
            Ok(outcome) => Ok(outcome.with_records(Records::Shared)),
            Err(error @ (TaskError::NoWorkers { .. } | TaskError::Shutdown { .. })) => {
                let mut trouble = self.trouble.borrow_mut();
                trouble.get_or_insert_with(|| error.to_string());
                self.here(group)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The outcome of a group that is indexed in this process.
    fn here(&self, group: &Group) -> Result<Outcome<Records>, String> {
        let outcome = self.host.one(group.clone())?;
        Ok(outcome.with_records(Records::Own))
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
    type Records = Records;

    fn each(
        &self,
        groups: impl Iterator<Item = Group>,
        mut take: impl FnMut(Group, Result<Outcome<Records>, String>) -> ControlFlow<()>,
    ) {
        // What has been pulled and has not come back: a failed task does not
        // bring its group with it.
        let pulled = RefCell::new(VecDeque::new());
        let mut groups = groups.inspect(|group| pulled.borrow_mut().push_back(group.clone()));
        let next = || pulled.borrow_mut().pop_front();
        for outcome in self
            .runtime
            .task(index_in_worker)
            .safe_to_repeat(ATTEMPTS)
            .map(groups.by_ref())
        {
            let group = next().expect("one result for each group");
            let outcome = self.outcome(&group, outcome);
            if take(group, outcome).is_break() {
                return;
            }
        }
        // A map that can submit nothing any more ends before its source does.
        while groups.next().is_some() {
            while let Some(group) = next() {
                let outcome = self.here(&group);
                if take(group, outcome).is_break() {
                    return;
                }
            }
        }
    }

    fn one(&self, group: Group) -> Result<Outcome<Records>, String> {
        let task = self.runtime.task(index_in_worker).safe_to_repeat(ATTEMPTS);
        let outcome = task
            .map(std::iter::once(group.clone()))
            .next()
            .expect("one result for one group");
        self.outcome(&group, outcome)
    }

    fn scan(&self, spans: Vec<Span>) -> Option<Vec<Scan>> {
        if self.lanes < 2 {
            return None;
        }
        let task = self.runtime.task(scan_in_worker).safe_to_repeat(ATTEMPTS);
        // Whatever went wrong, reading the parts in order will meet it again.
        task.map(spans).map(|scan| scan.ok().flatten()).collect()
    }
}

/// What a worker's thread keeps from one task to the next.
#[derive(Default)]
struct Kept {
    /// The directory of the last task.
    root: Option<(Source, File)>,
    scratch: Scratch,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Runs `work` on the directory of `source`, open, and the thread's scratch.
fn with_root<R>(source: &Source, work: impl FnOnce(&File, &mut Scratch) -> R) -> io::Result<R> {
    KEPT.with_borrow_mut(|kept| {
        let Kept {
            root: open,
            scratch,
        } = kept;
        if open.as_ref().is_none_or(|(last, _)| last != source) {
            *open = Some((source.clone(), source.open()?));
        }
        let (_, root) = open.as_ref().expect("it was just opened");
        Ok(work(root, scratch))
    })
}

/// The task: indexes one group in a worker process.
fn index_in_worker(group: Group) -> Outcome<Shared> {
    let supply = |len| pinfold::alloc(len).map_err(|_| Starved);
    let outcome = with_root(&group.source, |root, scratch| {
        index_group(root, &group, scratch, supply).map_records(|mut loan, len| {
            loan.truncate(len);
            loan.publish()
        })
    });
    outcome.unwrap_or_else(|error| all_failed(&group, error))
}

/// The task: looks through a range of a large file.
fn scan_in_worker(span: Span) -> Option<Scan> {
    let found = with_root(&span.source, |root, scratch| scan(root, &span, scratch));
    found.ok()?.ok()
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
