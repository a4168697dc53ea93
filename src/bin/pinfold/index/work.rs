//! Indexing one group of files: the task itself.
//!
//! The same function runs in a worker process, in the host (`--workers 0`) and
//! on any other executor; they differ in who supplies the buffers for records.
//!
//! Everything is bounded, however large a file is:
//!
//! ```text
//! file   [===== part =====][===== part =====][== part ==]     see `large`
//!         a task returns at the end of a part, or sooner after PART_RECORDS
//!         of records, or within a long chunk; the next one resumes
//! group  [f1][f2][f3 ...............]|  f4 f5: rest, another task
//!                                    GROUP_BYTES or GROUP_RECORDS passed
//! ```
//!
//! * A thread has one window of 256 KiB, into which it reads.
//! * A result has at most `GROUP_RECORDS + PART_RECORDS` of records, and one
//!   record and the unused ends of segments more: about 3 MiB.
//! * A task reads at most `GROUP_BYTES + 2 * PART_BYTES` and a unit: some 10 ms
//!   of work, which is all that the death of a worker can lose. A chunk that is
//!   going to be long is left after a whole unit of its hash, and after each
//!   further `PART_BYTES`, to be taken up by other tasks (see `long`).
//!
//! Between which records a file is divided depends on that file alone, never on
//! its group, nor on how far a chunk was hashed ahead. So a file that fails
//! half-way has the same records before the failure whoever reads it. (A file of
//! one unit, which is nearly every file, has all its records or none.)

use std::ffi::CStr;
use std::ops::DerefMut;
use std::os::fd::AsFd;

use super::blob::Blob;
use super::chunk::{Cutter, Take, cut, is_binary};
use super::file::{FileError, Reading, WINDOW_BYTES};
use super::group::{Group, Rest, Resume};
use super::large::{PART_BYTES, part_end};
use super::long::is_long;
use super::outcome::{Outcome, Tally};
use super::record::{TAIL_BYTES_MAX, write_head, write_record};
use super::scratch::Scratch;
use super::segments::{Segments, Starved};
use super::source::Source;
use super::tree::UNIT_BYTES;

/// So many bytes of records of one file are made before the task ends.
const PART_RECORDS: usize = 1 << 20;
/// After so much reading no further file is begun.
const GROUP_BYTES: u64 = 8 << 20;
/// After so many bytes of records no further file is begun.
const GROUP_RECORDS: usize = 2 << 20;
/// How often a file is looked at that is modified while it is read.
const LOOKS_MAX: u32 = 3;

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
    let mut resume = group.resume.clone();
    let mut looks = 1;
    let mut paths = (0..)
        .zip(group.paths.split_inclusive(|&b| b == 0))
        .peekable();
    while let Some(&(files_done, path)) = paths.peek() {
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
        match work.index_file(&root, path, begun.as_ref(), &group.source) {
            // Of a file in parts, the last one counts.
            Ok(None) => work.tally.files += u64::from(!begun.is_some_and(|resume| resume.alone)),
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
            Err(Stop::Own) => {}
            // Its contents may be whole again at the next look.
            Err(Stop::File(FileError::Changed)) if begun.is_none() && looks < LOOKS_MAX => {
                work.segments.rewind(before);
                work.tally = tally;
                looks += 1;
                continue;
            }
            Err(Stop::File(error)) => {
                work.segments.rewind(before);
                work.tally = tally;
                work.tally.files += 1;
                errors.push((Blob(path[..path.len() - 1].to_vec()), error.to_string()));
            }
        }
        looks = 1;
        paths.next();
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
    /// It is output of this very run.
    Own,
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
    /// Indexes one part of a file, or less if its records are many: from its
    /// beginning or `resume`. `None`: the file, or what was asked of it, is
    /// done. `path` ends in a NUL.
    fn index_file(
        &mut self,
        root: impl AsFd,
        path: &[u8],
        resume: Option<&Resume>,
        source: &Source,
    ) -> Result<Option<Resume>, Stop> {
        let name = CStr::from_bytes_with_nul(path).expect("a path ends in its only NUL");
        let mut reading = Reading::open(root, name, &mut self.scratch.window)?;
        if source.is_own(reading.stamp().id()) {
            return Err(Stop::Own);
        }
        let (mut line, mut end, mut alone) = (1, part_end(0), false);
        if let Some(resume) = resume {
            (line, end, alone) = (resume.line, part_end(resume.offset), resume.alone);
            reading = pass(reading, resume)?;
        } else {
            reading.fill_first()?;
            if is_binary(reading.window()) {
                self.tally.skipped_binary += 1;
                self.read_bytes += reading.window().len() as u64;
                return Ok(None);
            }
        }
        write_head(&path[..path.len() - 1], &mut self.scratch.head);
        let room = self.scratch.head.len() + TAIL_BYTES_MAX;
        let mut cutter = Cutter::new(self.lines, line, WINDOW_BYTES / 2);
        // Where the next chunk begins; the position may be further on.
        let mut offset = reading.position();
        let mut begun_units = 0;
        if let Some((offset_before, begun)) =
            resume.and_then(|r| Some((r.offset, r.begun.clone()?)))
        {
            offset = offset_before;
            begun_units = begun.units.count();
            cutter = cutter.resume(begun);
        }
        let mut begun = None;
        let mut records = 0;
        while offset < end && records < PART_RECORDS {
            match cutter.take(reading.window(), reading.at_end()) {
                Take::Chunk(chunk, len) => {
                    reading.consume(len);
                    offset = reading.position();
                    let head = &self.scratch.head;
                    records += self
                        .segments
                        .append(room, |out| write_record(head, &chunk, out))?;
                    self.tally.chunks += 1;
                    self.tally.bytes += chunk.bytes;
                    self.read_bytes += chunk.bytes;
                    begun_units = 0;
                }
                Take::More(0) if reading.at_end() => break,
                Take::More(len) => {
                    reading.consume(len);
                    if is_to_leave(&cutter, self.lines, begun_units) && reading.has_more() {
                        begun = cutter.leave();
                        break;
                    }
                    if !reading.at_end() {
                        reading.fill()?;
                    }
                }
            }
        }
        self.record_bytes += records;
        let over = reading.at_end() && reading.window().is_empty();
        let done = over || (alone && offset >= end);
        let stamp = reading.stamp();
        reading.finish()?;
        Ok((!done).then(|| Resume {
            stamp,
            offset,
            skip: 0,
            line: cutter.next_line(),
            alone,
            begun,
        }))
    }
}

/// Whether the open chunk, of `lines_max` lines if it is full, is to be left
/// where it is. Other tasks took in its first `begun_units`.
fn is_to_leave(cutter: &Cutter, lines_max: u64, begun_units: u64) -> bool {
    cutter.can_leave().is_some_and(|(units, lines)| {
        let is_enough = units - begun_units >= PART_BYTES / UNIT_BYTES;
        is_enough || (begun_units == 0 && is_long(units, lines, lines_max))
    })
}

/// Goes to where `resume` says, and passes the line ends it says.
fn pass<'a>(reading: Reading<'a>, resume: &Resume) -> Result<Reading<'a>, FileError> {
    let begun = resume.begun.as_ref().map_or(0, |begun| begun.units.bytes());
    let from = resume.offset + begun - u64::from(resume.skip > 0);
    let mut reading = reading.resume(resume.stamp, from)?;
    reading.fill()?;
    let mut skip = resume.skip;
    while skip > 0 {
        let cut = cut(reading.window(), skip);
        reading.consume(cut.len);
        skip -= cut.lines;
        if skip > 0 {
            if reading.at_end() {
                break; // No chunk begins any more.
            }
            reading.fill()?;
        }
    }
    Ok(reading)
}

#[cfg(test)]
mod tests;
