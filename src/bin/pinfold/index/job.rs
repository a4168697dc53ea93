//! What a run is to do, and who looks on.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::outcome::Tally;
use super::source::{FileId, Source};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Job {
    /// The directory, absolute.
    pub dir: PathBuf,
    /// Lines in a full chunk.
    pub lines: u64,
    /// The directory as any process of the run finds it.
    pub source: Source,
    /// The directory, open.
    pub root: Arc<File>,
}

impl Job {
    /// Chunks of `lines` lines of all files below `dir`, but for those of `own`, which this run writes.
    pub fn new(dir: PathBuf, lines: u64, own: Vec<FileId>) -> io::Result<Job> {
        let root = File::open(&dir)?;
        Ok(Job {
            source: Source::new(&dir, &root, own)?,
            root: Arc::new(root),
            dir,
            lines,
        })
    }
}

/// Who looks on during a run.
pub struct Hooks<'a> {
    /// True when the run should end early.
    pub stop: &'a dyn Fn() -> bool,
    /// Told how far it is, after each group.
    pub seen: &'a dyn Fn(&Tally),
}
