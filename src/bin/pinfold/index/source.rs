//! What all groups of one run have in common: the directory, and what in it is the run's own output.
//!
//! A worker opens the directory when its first group comes, perhaps long after the run began (it may have
//! replaced another worker). So the directory is known by what it *is*, its device and inode. The path may
//! meanwhile lead elsewhere; then the descriptor that the host holds still leads to it:
//!
//! ```text
//! path ──────────────────▶ directory ──is it the one?──▶ used
//! /proc/HOST/fd/N ───────▶ directory ──is it the one?──▶ used
//!                                        neither: an error for each file of the group
//! ```
//!
//! Output files are known the same way, whatever name leads to them (a bind mount, a hard link, a
//! redirection by the shell), and are left out by whoever opens them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, fstat};
use serde::{Deserialize, Serialize};

use super::blob::Blob;

/// What a file is, whatever it is called: its device and its inode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The id of an open file.
    pub fn of(file: impl AsFd) -> io::Result<FileId> {
        Ok(FileId::from_stat(&fstat(file)?))
    }

    /// The id of an open file, if that is a regular one.
    pub fn of_regular(file: impl AsFd) -> Option<FileId> {
        let stat = fstat(file).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
            .then(|| FileId::from_stat(&stat))
    }

    /// The id in what the kernel says of a file.
    pub fn from_stat(stat: &rustix::fs::Stat) -> FileId {
        // The types of these fields differ between architectures.
        #[allow(clippy::unnecessary_cast)]
        FileId {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }
}

/// Where the files of a group are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The directory, absolute, without NUL.
    path: Blob,
    /// The host's descriptor of it, as a path.
    descriptor: Blob,
    /// What it is.
    id: FileId,
    /// Files that are output of this run.
    own: Vec<FileId>,
}

impl Source {
    /// The directory at `path`, which is open as `root` in this process. `own` are the files that this run
    /// writes.
    pub fn new(path: &Path, root: &File, own: Vec<FileId>) -> io::Result<Source> {
        let descriptor = format!("/proc/{}/fd/{}", std::process::id(), root.as_raw_fd());
        Ok(Source {
            path: Blob(path.as_os_str().as_bytes().to_vec()),
            descriptor: Blob(descriptor.into_bytes()),
            id: FileId::of(root)?,
            own,
        })
    }

    /// Opens the directory, in any process of the run.
    pub fn open(&self) -> io::Result<File> {
        let by_path = self.open_at(&self.path);
        match by_path {
            Ok(root) => Ok(root),
            Err(error) => self.open_at(&self.descriptor).map_err(|_| error),
        }
    }

    /// Opens what is at `path`, if it is the directory.
    fn open_at(&self, path: &[u8]) -> io::Result<File> {
        let root = File::open(Path::new(OsStr::from_bytes(path)))?;
        if FileId::of(&root)? == self.id {
            Ok(root)
        } else {
            Err(io::Error::other(
                "the directory was replaced while it was being indexed",
            ))
        }
    }

    /// Whether `file` is output of this run.
    pub fn is_own(&self, file: FileId) -> bool {
        self.own.contains(&file)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_directory_is_found_when_it_was_renamed_and_no_other_in_its_place() {
        let at = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (at.path().join("dir"), at.path().join("elsewhere"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("mine"), b"").unwrap();
        let root = File::open(&dir).unwrap();
        let source = Source::new(&dir, &root, Vec::new()).unwrap();
        assert_eq!(FileId::of(source.open().unwrap()).unwrap(), source.id);
        fs::rename(&dir, &elsewhere).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(FileId::of(source.open().unwrap()).unwrap(), source.id);
        // Without the host's descriptor there is no way to it.
        drop(root);
        let error = source.open().unwrap_err();
        assert!(error.to_string().contains("was replaced"), "{error}");
    }
}
