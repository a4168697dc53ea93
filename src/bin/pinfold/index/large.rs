//! One large file on several workers.
//!
//! A file is divided into *parts* at fixed offsets; a chunk belongs to the part
//! it starts in:
//!
//! ```text
//! offset   0            P             2P            3P
//! file     |------------|-------------|-------------|----
//! chunks   [--][--][-----][--][---------------------][---
//! part     0  0   0      1   1                       3       (part 2 is empty)
//! ```
//!
//! Going through the parts one after the other needs to know nothing. To go
//! through several at once, each must know where its first chunk starts, and
//! that takes the number of lines before it. Counting line ends costs a small
//! part of hashing, so it is done first, on all workers, for a *stride* of
//! parts: few enough that their bytes are still in the page cache when they
//! are read again.
//!
//! ```text
//! stride   count | count | count | count      tasks, any order
//!          index | index | index | index      tasks, taken in order
//! next stride …
//! ```
//!
//! The parts are the same either way, so the records are, and so is what
//! remains of them if the file fails half-way.

use std::ffi::CStr;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::chunk::cut;
use super::file::{FileError, Reading, Stamp};
use super::group::{Group, Resume};
use super::work::Scratch;

/// The distance between the offsets at which parts begin.
pub const PART_BYTES: u64 = 4 << 20;

/// How many parts make a stride.
const STRIDE_PARTS: usize = 32;

/// Where the part that `offset` lies in ends.
pub fn part_end(offset: u64) -> u64 {
    (offset / PART_BYTES + 1).saturating_mul(PART_BYTES)
}

/// A range of a file in which to count line ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Span {
    /// The directory the path is relative to, as in [`Group`].
    pub root: Blob,
    /// The path, with a NUL behind it.
    pub path: Blob,
    /// What the file must be.
    pub stamp: Stamp,
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
}

/// Counts the line ends in `span`: the task.
pub fn count_lines(root: impl AsFd, span: &Span, scratch: &mut Scratch) -> Result<u64, FileError> {
    let path = CStr::from_bytes_with_nul(&span.path).expect("a path ends in its only NUL");
    let mut reading = Reading::open(root, path, scratch.window())?.resume(span.stamp, span.from)?;
    let mut lines = 0;
    while reading.position() < span.to && !reading.at_end() {
        reading.fill()?;
        let wanted = usize::try_from(span.to - reading.position()).unwrap_or(usize::MAX);
        let window = &reading.window()[..reading.window().len().min(wanted)];
        let len = window.len();
        lines += cut(window, u64::MAX).lines;
        reading.consume(len);
        if len == wanted {
            break;
        }
    }
    reading.finish()?;
    Ok(lines)
}

/// How far the parts of a file have been laid out.
#[derive(Debug)]
pub struct Large {
    /// The file, as a group of its own that has been begun.
    group: Group,
    /// Where to go on.
    resume: Resume,
    /// How many line ends lie before the byte at `counted_to`.
    lines_before: u64,
    counted_to: u64,
}

impl Large {
    /// The file that `group` consists of, if what is left of it is worth
    /// dividing.
    pub fn new(group: &Group) -> Option<Large> {
        let resume = group.resume?;
        let left = resume.stamp.size().saturating_sub(resume.offset);
        (group.files == 1 && !resume.alone && resume.skip == 0 && left > PART_BYTES).then(|| {
            Large {
                group: group.clone(),
                resume,
                lines_before: resume.line - 1,
                counted_to: resume.offset,
            }
        })
    }

    /// The ranges to count for the next stride. Each ends one byte before a
    /// part begins: the line end in that byte decides whether a chunk starts
    /// right at the beginning.
    pub fn spans(&self) -> Vec<Span> {
        let size = self.resume.stamp.size();
        let (mut from, mut end) = (self.counted_to, part_end(self.resume.offset));
        let mut spans = Vec::new();
        while end < size && spans.len() < STRIDE_PARTS {
            spans.push(Span {
                root: self.group.root.clone(),
                path: self.group.paths.clone(),
                stamp: self.resume.stamp,
                from,
                to: end - 1,
            });
            (from, end) = (end - 1, part_end(end));
        }
        spans
    }

    /// The parts of the next stride, now that the line ends in each of its
    /// spans are known, and whether more parts follow.
    pub fn parts(&mut self, counts: &[u64]) -> (Vec<Group>, bool) {
        let mut parts = Vec::new();
        for lines in counts {
            parts.push(self.part(Resume {
                alone: true,
                ..self.resume
            }));
            let begin = part_end(self.resume.offset);
            self.lines_before += lines;
            self.counted_to = begin - 1;
            let chunks_before = self.lines_before / self.group.lines + 1;
            let first = chunks_before * self.group.lines;
            self.resume.offset = begin;
            self.resume.skip = first - self.lines_before;
            self.resume.line = first + 1;
        }
        let last = part_end(self.resume.offset) >= self.resume.stamp.size();
        if last {
            // It ends with the file, and says so.
            parts.push(self.rest());
        }
        (parts, !last)
    }

    /// All that is left, for one task after the other.
    pub fn rest(&self) -> Group {
        self.part(self.resume)
    }

    /// The group that goes on as `resume` says.
    fn part(&self, resume: Resume) -> Group {
        Group {
            resume: Some(resume),
            ..self.group.clone()
        }
    }
}

#[cfg(test)]
mod tests;
