//! Which files make one task.
//!
//! ```text
//! walk      f1 f2 f3 f4 f5 f6 f7 f8 f9 …            in order
//! groups    [f1 f2 f3 f4] [f5 f6 f7 f8] [f9 …       one task each, in order
//! paths     "f1\0f2\0f3\0f4\0"                      as the kernel wants them
//! ```
//!
//! A group should be worth the journey (about a millisecond of work) and small
//! enough that the last ones end together and that a killed worker loses
//! little. Sizes are not known, since asking for each file's would cost a
//! tenth of reading it. So the packer learns from what comes back: it aims at
//! [`TARGET_BYTES`] by the recent mean size, and never takes more than
//! [`FILES_MAX`] files. Where it guesses wrong, the worker stops at a limit of
//! its own and hands back the [`Rest`] (see `work`).
//!
//! How files are grouped never shows in the output: it is a matter of speed
//! only.

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::chunk::Begun;
use super::file::Stamp;
use super::source::Source;
use super::walk::{Step, Walk};

/// How many bytes a group should have to read.
const TARGET_BYTES: f64 = 768.0 * 1024.0;

/// The most files in a group.
const FILES_MAX: u32 = 64;

/// How many files the first groups have, before anything is known.
const FILES_FIRST: f64 = 16.0;

/// Consecutive files for one task to index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The directory the paths are relative to.
    pub source: Source,
    /// Lines in a full chunk.
    pub lines: u64,
    /// The paths, each with a NUL behind it.
    pub paths: Blob,
    /// How many paths they are.
    pub files: u32,
    /// If the beginning of the first file is done: where to go on.
    pub resume: Option<Resume>,
}

/// Where to go on in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// What the file was when its first part was read.
    pub stamp: Stamp,
    /// The first byte not yet indexed: that of a chunk which `begun` is the beginning of.
    pub offset: u64,
    /// How many line ends to pass, counted from the byte before `offset`, to
    /// where a chunk begins. 0: one begins at `offset`.
    pub skip: u64,
    /// The line with which that chunk begins.
    pub line: u64,
    /// True if only this part of the file is to be indexed: those behind it
    /// are other tasks.
    pub alone: bool,
    /// What has been hashed of the chunk at `offset`.
    pub begun: Option<Begun>,
}

/// What a task left undone of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// How many files from the front are finished.
    pub files_done: u32,
    /// How far the next one is, if it was begun.
    pub resume: Option<Resume>,
    /// True if it stopped for want of memory for records, not because it had
    /// done enough.
    pub starved: bool,
}

impl Group {
    /// The paths, without their NULs.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths
            .split_inclusive(|&b| b == 0)
            .map(|path| &path[..path.len() - 1])
    }

    /// What is left of this group after a task returned `rest`.
    pub fn after(&self, rest: Rest) -> Group {
        let skip: usize = self
            .paths()
            .take(rest.files_done as usize)
            .map(|p| p.len() + 1)
            .sum();
        Group {
            paths: Blob(self.paths[skip..].to_vec()),
            files: self.files - rest.files_done,
            resume: rest.resume,
            ..self.clone()
        }
    }

    /// Every file as a group of its own.
    pub fn singles(&self) -> Vec<Group> {
        let mut resume = self.resume.clone();
        let single = |path: &[u8]| Group {
            source: self.source.clone(),
            lines: self.lines,
            paths: Blob([path, b"\0"].concat()),
            files: 1,
            resume: resume.take(),
        };
        self.paths().map(single).collect()
    }
}

/// Makes groups of the files a walk finds.
#[derive(Debug)]
pub struct Packer {
    source: Source,
    lines: u64,
    /// How many files the next group takes.
    files_next: f64,
}

impl Packer {
    /// A packer for the files below `source`.
    pub fn new(source: Source, lines: u64) -> Packer {
        Packer {
            source,
            lines,
            files_next: FILES_FIRST,
        }
    }

    /// The next group, until the walk ends. Directories that cannot be read go to
    /// `trouble`.
    pub fn pack(
        &self,
        walk: &mut Walk,
        mut trouble: impl FnMut(&[u8], std::io::Error),
    ) -> Option<Group> {
        let files_wanted = self.files_next as u32;
        let mut paths = Vec::new();
        let mut files = 0;
        while files < files_wanted {
            match walk.step() {
                Some(Step::File(path)) => {
                    paths.extend_from_slice(path);
                    paths.push(0);
                    files += 1;
                }
                Some(Step::Trouble(path, error)) => trouble(path, error),
                None => break,
            }
        }
        let group = Group {
            source: self.source.clone(),
            lines: self.lines,
            paths: Blob(paths),
            files,
            resume: None,
        };
        (files > 0).then_some(group)
    }

    /// Takes into account that `files` files took reading `bytes` bytes.
    pub fn learn(&mut self, files: u64, bytes: u64) {
        if files > 0 {
            // An eighth of the way: one odd group does not upset the next ones.
            let fitting = TARGET_BYTES / (bytes as f64 / files as f64).max(1.0);
            let fitting = fitting.clamp(1.0, f64::from(FILES_MAX));
            self.files_next += (fitting - self.files_next) / 8.0;
        }
    }
}

#[cfg(test)]
mod tests;
