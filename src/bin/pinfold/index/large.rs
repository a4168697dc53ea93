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
//! Only parts in which a chunk begins are tasks. A stride ends where its last
//! chunk does, and the next one begins there, so nothing is counted that was
//! indexed already. If a single chunk begins in a stride, there is nothing to
//! do several at once: then one task goes on alone, and it is some chunks
//! before lines are counted again ([`Trial`]); such a chunk is divided itself, see
//! `long`. The first strides are short, in case that shows soon.
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
use super::scratch::Scratch;
use super::source::Source;
use super::tree::{Node, unit_hasher, unit_node};

/// The distance between the offsets at which parts begin.
pub const PART_BYTES: u64 = 4 << 20;

/// How many parts make a stride, at first and at most.
const STRIDE_PARTS_FIRST: usize = 4;
const STRIDE_PARTS: usize = 32;

/// Where the part that `offset` lies in ends.
pub fn part_end(offset: u64) -> u64 {
    (offset / PART_BYTES + 1).saturating_mul(PART_BYTES)
}

/// A range of a file to look through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Span {
    /// Where the path leads from, as in [`Group`].
    pub source: Source,
    /// The path, with a NUL behind it.
    pub path: Blob,
    /// What the file must be.
    pub stamp: Stamp,
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
    /// If the range is to be hashed too: which unit of a chunk it is.
    pub unit: Option<u64>,
}

/// What there is in a [`Span`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Scan {
    /// How many line ends.
    pub lines: u64,
    /// The node of the unit that the range is.
    pub node: Option<Node>,
}

/// Counts the line ends in `span`, and hashes it if it is a unit: the task.
pub fn scan(root: impl AsFd, span: &Span, scratch: &mut Scratch) -> Result<Scan, FileError> {
    let path = CStr::from_bytes_with_nul(&span.path).expect("a path ends in its only NUL");
    let mut reading = Reading::open(root, path, scratch.window())?.resume(span.stamp, span.from)?;
    let mut lines = 0;
    let mut hasher = span.unit.map(unit_hasher);
    while reading.position() < span.to && !reading.at_end() {
        reading.fill()?;
        let wanted = usize::try_from(span.to - reading.position()).unwrap_or(usize::MAX);
        let window = &reading.window()[..reading.window().len().min(wanted)];
        let len = window.len();
        lines += cut(window, u64::MAX).lines;
        if let Some(hasher) = &mut hasher {
            hasher.update(window);
        }
        reading.consume(len);
        if len == wanted {
            break;
        }
    }
    let is_whole = reading.position() == span.to;
    reading.finish()?;
    if !is_whole {
        return Err(FileError::Changed);
    }
    Ok(Scan {
        lines,
        node: hasher.as_ref().map(unit_node),
    })
}

/// A file that is laid out in parts, from where a chunk begins.
#[derive(Debug)]
pub struct Large {
    /// The file, as a group of its own that has been begun.
    group: Group,
    /// Where to go on.
    resume: Resume,
}

/// The parts of a stride in which a chunk begins.
#[derive(Debug)]
pub struct Stride {
    /// All but the last.
    pub parts: Vec<Group>,
    /// The last. It is not alone: what is left of it is the rest of the file.
    pub last: Group,
    /// Whether the stride reaches the file's end.
    pub is_end: bool,
}

impl Large {
    /// The file that `group` consists of, if what is left of it is worth
    /// dividing.
    pub fn new(group: &Group) -> Option<Large> {
        let resume = group.resume.as_ref()?;
        let left = resume.stamp.size().saturating_sub(resume.offset);
        let is_at_chunk = resume.skip == 0 && resume.begun.is_none();
        (group.files == 1 && !resume.alone && is_at_chunk && left > PART_BYTES).then(|| Large {
            group: group.clone(),
            resume: resume.clone(),
        })
    }

    /// The ranges to count for the next stride, at most `most`. Each ends one byte before a
    /// part begins: the line end in that byte decides whether a chunk starts
    /// right at the beginning.
    pub fn spans(&self, most: usize) -> Vec<Span> {
        let size = self.resume.stamp.size();
        let (mut from, mut end) = (self.resume.offset, part_end(self.resume.offset));
        let mut spans = Vec::new();
        while end < size && spans.len() < most {
            spans.push(Span {
                source: self.group.source.clone(),
                path: self.group.paths.clone(),
                stamp: self.resume.stamp,
                from,
                to: end - 1,
                unit: None,
            });
            (from, end) = (end - 1, part_end(end));
        }
        spans
    }

    /// The parts of the stride, now that the line ends in each of its spans are
    /// known. A part in which no chunk begins is left out: whoever looked for
    /// one would read to the end of the chunk that covers it.
    pub fn stride(&self, counts: &[u64]) -> Stride {
        let size = self.resume.stamp.size();
        let mut resume = self.resume.clone();
        let mut lines_before = resume.line - 1;
        let mut parts = Vec::new();
        // How many lines the part has is known of each but the file's last one.
        for lines in counts.iter().map(|&lines| Some(lines)).chain([None]) {
            let is_counted = lines.is_some();
            if !is_counted && part_end(resume.offset) < size {
                break; // It belongs to the next stride.
            }
            if lines.is_none_or(|lines| resume.skip <= lines) {
                parts.push(resume.clone());
            }
            let Some(lines) = lines else { break };
            lines_before += lines;
            let first = (lines_before / self.group.lines + 1) * self.group.lines;
            resume.offset = part_end(resume.offset);
            resume.skip = first - lines_before;
            resume.line = first + 1;
        }
        let last = parts.pop().expect("a chunk begins where the file goes on");
        let alone = |resume| {
            self.part(Resume {
                alone: true,
                ..resume
            })
        };
        Stride {
            parts: parts.into_iter().map(alone).collect(),
            last: self.part(last),
            is_end: part_end(resume.offset) >= size,
        }
    }

    /// All that is left, for one task after the other.
    pub fn rest(&self) -> Group {
        self.part(self.resume.clone())
    }

    /// The group that goes on as `resume` says.
    fn part(&self, resume: Resume) -> Group {
        Group {
            resume: Some(resume),
            ..self.group.clone()
        }
    }
}

/// Whether counting lines has paid lately.
///
/// To count before each long chunk (lines of 100 MB, or a million lines to a chunk) would cost half as much again. So each vain count doubles the number of tasks until the
/// next try.
#[derive(Debug)]
pub struct Trial {
    /// Tasks to go by before the next count.
    left: u32,
    /// And after that one, if it is in vain.
    next: u32,
    /// How many parts the next stride has.
    parts: usize,
}

impl Default for Trial {
    fn default() -> Trial {
        Trial {
            left: 0,
            next: 1,
            parts: STRIDE_PARTS_FIRST,
        }
    }
}

impl Trial {
    /// How many parts to count.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Lets the next task go by: a long chunk was met, and the next one may be as long.
    pub fn pass(&mut self) {
        self.left = self.left.max(1);
    }

    /// Asks, for one task, whether to count first.
    pub fn take(&mut self) -> bool {
        let is_due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_due
    }

    /// Notes whether a count has shown anything to divide.
    pub fn note(&mut self, has_paid: bool) {
        const MOST: u32 = 64;
        *self = if has_paid {
            Trial {
                parts: (2 * self.parts).min(STRIDE_PARTS),
                ..Trial::default()
            }
        } else {
            Trial {
                left: self.next,
                next: (2 * self.next).min(MOST),
                parts: STRIDE_PARTS_FIRST,
            }
        };
    }
}

#[cfg(test)]
mod tests;
