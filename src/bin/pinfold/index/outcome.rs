//! What a task says when it is done.

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::group::Rest;

/// Counts of what was indexed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Files finished: indexed, skipped as binary, or failed.
    pub files: u64,
    /// Chunks, that is records.
    pub chunks: u64,
    /// Bytes in these chunks.
    pub bytes: u64,
    /// Files that were skipped because they are binary.
    pub skipped_binary: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.files += other.files;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.skipped_binary += other.skipped_binary;
    }
}

/// What came of a group; `B` is a buffer of records.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome<B> {
    /// The records, in order, each buffer full of whole lines.
    pub records: Vec<B>,
    /// What they are about.
    pub tally: Tally,
    /// The files that failed, and why.
    pub errors: Vec<(Blob, String)>,
    /// What is left to do, if not everything was done.
    pub rest: Option<Rest>,
}

impl<B> Outcome<B> {
    /// The same with each buffer of records made into something else.
    pub fn with_records<R>(self, convert: impl FnMut(B) -> R) -> Outcome<R> {
        Outcome {
            records: self.records.into_iter().map(convert).collect(),
            tally: self.tally,
            errors: self.errors,
            rest: self.rest,
        }
    }
}

impl<B> Outcome<(B, usize)> {
    /// The same with each buffer, and the length of its written part, made into
    /// something that can travel.
    pub fn map_records<R>(self, mut convert: impl FnMut(B, usize) -> R) -> Outcome<R> {
        self.with_records(|(buffer, len)| convert(buffer, len))
    }
}
