//! Indexing one group of files: the task itself.
//!
//! The same function runs in a worker process, in the host (`--workers 0`) and
//! on any other executor; they differ in who supplies the buffers for records.
//!
//! Everything is bounded, however large a file is:
//!
//! ```text
//! file   [========= part =========][========= part =========][== part ==]
//!         at least PART_BYTES, or PART_RECORDS of records, then up to the
//!         end of the chunk; the task returns, the next one resumes
//! group  [f1][f2][f3 ...............]|  f4 f5: rest, another task
//!                                    GROUP_BYTES or GROUP_RECORDS passed
//! ```
//!
//! * A thread has one window of 256 KiB, into which it reads.
//! * A result has at most `GROUP_RECORDS + PART_RECORDS` of records, and one
//!   record and the unused ends of segments more: about 3 MiB.
//! * A task reads at most `GROUP_BYTES + PART_BYTES` and one chunk: some 20 ms
//!   of work, which is all that the death of a worker can lose. Only a chunk
//!   is never divided: one line of 10 GB is hashed in one task (with the same
//!   small memory).
//!
//! Where a file is divided depends on that file alone, never on its group. So
//! a file that fails half-way has the same records before the failure whoever
//! reads it: those of its whole parts. (A file of one part, which is nearly
//! every file, has all its records or none.)

use std::ffi::CStr;
use std::ops::DerefMut;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::chunk::{Cutter, Take, is_binary};
use super::file::{FileError, Reading, WINDOW_BYTES};
use super::group::{Group, Rest, Resume};
use super::record::{TAIL_BYTES_MAX, write_head, write_record};
use super::segments::{Segments, Starved};

/// So much of one file is read before the task ends.
const PART_BYTES: u64 = 8 << 20;
/// So many bytes of records of one file are made before the task ends.
const PART_RECORDS: usize = 1 << 20;
/// After so much reading no further file is begun.
const GROUP_BYTES: u64 = 12 << 20;
/// After so many bytes of records no further file is begun.
const GROUP_RECORDS: usize = 2 << 20;

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

impl<B> Outcome<(B, usize)> {
    /// The same with each buffer, and the length of its written part, made into
    /// something that can travel.
    pub fn map_records<R>(self, mut convert: impl FnMut(B, usize) -> R) -> Outcome<R> {
        let records = self
            .records
            .into_iter()
            .map(|(buffer, len)| convert(buffer, len))
            .collect();
        let Outcome {
            tally,
            errors,
            rest,
            ..
        } = self;
        Outcome {
            records,
            tally,
            errors,
            rest,
        }
    }
}

/// The memory a thread uses for one file after the other.
pub struct Scratch {
    window: Box<[u8]>,
    head: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            window: vec![0; WINDOW_BYTES].into(),
            head: Vec::new(),
        }
    }
}

/// Indexes `group`, whose files lie below the open directory `root`. Records
/// are written to buffers from `supply`; each comes back with the length of its
/// written part.
pub fn index_group<B, F>(
    root: impl AsFd,
    group: &Group,
    scratch: &mut Scratch,
    supply: F,
) -> Outcome<(B, usize)>
where
    B: DerefMut<Target = [u8]>,
    F: FnMut(usize) -> Result<B, Starved>,
{
    let mut work = Work {
        lines: group.lines,
        scratch,
        segments: Segments::new(supply),
        tally: Tally::default(),
        record_bytes: 0,
        read_bytes: 0,
    };
    let mut errors = Vec::new();
    let mut rest = None;
    let mut resume = group.resume;
    for (files_done, path) in (0..).zip(group.paths.split_inclusive(|&b| b == 0)) {
        if work.read_bytes >= GROUP_BYTES || work.record_bytes >= GROUP_RECORDS {
            rest = Some(Rest {
                files_done,
                resume: None,
                starved: false,
            });
            break;
        }
        let (before, tally) = (work.segments.mark(), work.tally);
        let begun = resume.take();
        match work.index_file(&root, path, begun) {
            Ok(None) => work.tally.files += 1,
            Ok(Some(resume)) => {
                rest = Some(Rest {
                    files_done,
                    resume: Some(resume),
                    starved: false,
                });
                break;
            }
            Err(Stop::Starved) => {
                work.segments.rewind(before);
                work.tally = tally;
                rest = Some(Rest {
                    files_done,
                    resume: begun,
                    starved: true,
                });
                break;
            }
            Err(Stop::File(error)) => {
                work.segments.rewind(before);
                work.tally = tally;
                work.tally.files += 1;
                errors.push((Blob(path[..path.len() - 1].to_vec()), error.to_string()));
            }
        }
    }
    Outcome {
        records: work.segments.finish(),
        tally: work.tally,
        errors,
        rest,
    }
}

/// Why a file was left.
enum Stop {
    /// No buffer for its records.
    Starved,
    /// It failed.
    File(FileError),
}

impl From<Starved> for Stop {
    fn from(_: Starved) -> Stop {
        Stop::Starved
    }
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Stop {
        Stop::File(error)
    }
}

/// A task in progress.
struct Work<'a, B, F> {
    lines: u64,
    scratch: &'a mut Scratch,
    segments: Segments<B, F>,
    tally: Tally,
    /// Written and read so far; what was taken back counts too.
    record_bytes: usize,
    read_bytes: u64,
}

impl<B, F> Work<'_, B, F>
where
    B: DerefMut<Target = [u8]>,
    F: FnMut(usize) -> Result<B, Starved>,
{
    /// Indexes one part of a file: from its beginning or `resume`, to its end
    /// (`None`) or where the next part begins. `path` ends in a NUL.
    fn index_file(
        &mut self,
        root: impl AsFd,
        path: &[u8],
        resume: Option<Resume>,
    ) -> Result<Option<Resume>, Stop> {
        let name = CStr::from_bytes_with_nul(path).expect("a path ends in its only NUL");
        let mut reading = Reading::open(root, name, &mut self.scratch.window)?;
        let line = resume.map_or(1, |resume| resume.line);
        match resume {
            Some(resume) => {
                reading = reading.resume(resume.stamp, resume.offset)?;
                reading.fill()?;
            }
            None => {
                reading.fill_first()?;
                if is_binary(reading.window()) {
                    self.tally.skipped_binary += 1;
                    self.read_bytes += reading.window().len() as u64;
                    return Ok(None);
                }
            }
        }
        write_head(&path[..path.len() - 1], &mut self.scratch.head);
        let room = self.scratch.head.len() + TAIL_BYTES_MAX;
        let mut cutter = Cutter::new(self.lines, line, WINDOW_BYTES / 2);
        let (mut part_bytes, mut part_records) = (0, 0);
        loop {
            match cutter.take(reading.window(), reading.at_end()) {
                Take::Chunk(chunk, len) => {
                    reading.consume(len);
                    let head = &self.scratch.head;
                    part_records += self
                        .segments
                        .append(room, |out| write_record(head, &chunk, out))?;
                    part_bytes += chunk.bytes;
                    self.tally.chunks += 1;
                    self.tally.bytes += chunk.bytes;
                }
                Take::More(len) => {
                    reading.consume(len);
                    if !reading.at_end() {
                        reading.fill()?;
                        continue;
                    }
                }
            }
            let over = reading.at_end() && reading.window().is_empty();
            if over || part_bytes >= PART_BYTES || part_records >= PART_RECORDS {
                let (stamp, offset) = (reading.stamp(), reading.position());
                self.read_bytes += part_bytes;
                self.record_bytes += part_records;
                reading.finish()?;
                return Ok((!over).then(|| Resume {
                    stamp,
                    offset,
                    line: cutter.next_line(),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
