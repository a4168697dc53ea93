//! Reading one file, whatever happens to it meanwhile.
//!
//! Files are read with `read`, never mapped: a mapped file that shrinks kills
//! its reader. What is read passes through one window, the same for all files
//! of a thread:
//!
//! ```text
//!                 consumed   window      free
//! buffer        [··········|##########|          ]   256 KiB
//!                          start      end
//! ```
//!
//! A file is what it was when it was opened, or it is an error: identity, size
//! and the time of its last modification are taken from the open file before the
//! first and after the last read, and must agree. What changes only its names,
//! its mode or its owner does not count: its contents are the same. (A file
//! rewritten in place at the same size, twice within one tick of the file
//! system's clock, is beyond what this can see.)
//!
//! The name may have become something else since the walk saw it. Opening does
//! not follow a link, does not wait for a pipe's other end, and does not take a
//! terminal; nothing is read from what is not a regular file.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags, SeekFrom, fstat, seek};
use rustix::io::{read, retry_on_intr};
use serde::{Deserialize, Serialize};

use super::chunk::PROBE_BYTES;
use super::open::open_below;
use super::source::FileId;

/// Size of the window.
pub const WINDOW_BYTES: usize = 256 * 1024;

/// A file up to this size is read in one go; of a larger one, first only what
/// decides whether it is binary.
const ONE_GO_BYTES: u64 = 32 * 1024;

/// Why a file could not be read.
#[derive(Debug)]
pub enum FileError {
    /// It could not be opened: gone, or not allowed.
    Open(io::Error),
    /// It is no longer a regular file.
    Kind,
    /// Reading failed.
    Read(io::Error),
    /// It is not what it was when reading began.
    Changed,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Open(error) => write!(f, "cannot open: {error}"),
            FileError::Kind => write!(f, "no longer a regular file"),
            FileError::Read(error) => write!(f, "cannot read: {error}"),
            FileError::Changed => write!(f, "changed while it was being read"),
        }
    }
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    id: FileId,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// How many bytes the file has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }
}

/// The stamp of an open file, if that is a regular one.
fn stamp(fd: impl AsFd) -> Result<Stamp, FileError> {
    let stat = fstat(fd).map_err(|error| FileError::Read(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::Kind);
    }
    // The types of these fields differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    Ok(Stamp {
        id: FileId::from_stat(&stat),
        size: stat.st_size as u64,
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
    })
}

/// A file being read.
pub struct Reading<'a> {
    fd: OwnedFd,
    /// What it was when it was opened.
    before: Stamp,
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
    /// Where in the file the next read begins.
    offset: u64,
    at_end: bool,
}

impl<'a> Reading<'a> {
    /// Opens the file at `path` below `root`. `buffer` has [`WINDOW_BYTES`].
    pub fn open(root: impl AsFd, path: &CStr, buffer: &'a mut [u8]) -> Result<Self, FileError> {
        assert!(buffer.len() > PROBE_BYTES, "the window holds the probe");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = open_below(root, path, flags).map_err(|error| match error.raw_os_error() {
            // A link in place of the file; a socket, or a device without driver.
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => FileError::Kind,
            Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => FileError::Kind,
            _ => FileError::Open(error),
        })?;
        let before = stamp(&fd)?;
        Ok(Reading {
            fd,
            before,
            buffer,
            start: 0,
            end: 0,
            offset: 0,
            at_end: false,
        })
    }

    /// Goes on at `offset` of a file whose first part was read earlier and had
    /// the stamp `before`.
    pub fn resume(mut self, before: Stamp, offset: u64) -> Result<Self, FileError> {
        if self.before != before {
            return Err(FileError::Changed);
        }
        seek(&self.fd, SeekFrom::Start(offset)).map_err(|error| FileError::Read(error.into()))?;
        self.offset = offset;
        Ok(self)
    }

    /// What the file was when it was opened.
    pub fn stamp(&self) -> Stamp {
        self.before
    }

    /// What has been read and not consumed.
    pub fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// True if nothing comes after the window.
    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// True if a byte comes after what was consumed, unless the file changes.
    pub fn has_more(&self) -> bool {
        self.position() < self.before.size
    }

    /// Where in the file the window begins.
    pub fn position(&self) -> u64 {
        self.offset - (self.end - self.start) as u64
    }

    /// Takes `len` bytes off the front of the window.
    pub fn consume(&mut self, len: usize) {
        self.start += len;
        assert!(
            self.start <= self.end,
            "consumed {len} bytes more than the window had"
        );
    }

    /// Reads the beginning of a file: as much as tells text from binary, or all
    /// of a small file.
    pub fn fill_first(&mut self) -> Result<(), FileError> {
        let whole = self.before.size <= ONE_GO_BYTES;
        let limit = if whole {
            self.buffer.len()
        } else {
            PROBE_BYTES
        };
        while !self.at_end && self.end < PROBE_BYTES {
            self.read(limit)?;
        }
        Ok(())
    }

    /// Reads more behind the window.
    pub fn fill(&mut self) -> Result<(), FileError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.read(self.buffer.len())
    }

    /// One read into the buffer, up to `limit`.
    fn read(&mut self, limit: usize) -> Result<(), FileError> {
        let free = &mut self.buffer[self.end..limit];
        assert!(!free.is_empty(), "a read needs room");
        let len = retry_on_intr(|| read(&self.fd, &mut *free))
            .map_err(|error| FileError::Read(error.into()))?;
        self.end += len;
        self.offset += len as u64;
        // At its full size the file is over: had it grown, `finish` would see.
        // The files of /proc say 0 and are read until there is no more.
        self.at_end = len == 0 || self.offset == self.before.size;
        Ok(())
    }

    /// Closes the file; an error if it is no longer what it was.
    pub fn finish(self) -> Result<(), FileError> {
        if stamp(&self.fd)? != self.before {
            return Err(FileError::Changed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
