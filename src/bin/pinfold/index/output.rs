//! The file behind `--out`: complete under its name, or as it was.
//!
//! ```text
//! nothing there     a file without a name ──written──▶ complete ──link──▶ FILE
//!                     (O_TMPFILE, in FILE's directory)
//! a regular file    a file without a name ──written──▶ complete ──link──▶ .FILE.pinfold-PID ──rename──▶ FILE
//!                     with FILE's mode, owner and attributes
//!   that cannot be  a file without a name ──written──▶ complete ──copied──▶ into FILE, which stays the same file
//!   replaced          (anywhere)
//! anything else     written as it is: `-`, a pipe, a device, a descriptor (`/dev/stdout`, `/dev/fd/3`)
//! ```
//!
//! A file cannot be replaced, but only written, if it has other names (hard links), is mounted at its name, lies in a
//! directory that is not ours to change, or has attributes that cannot be given to another file.
//!
//! A file without a name goes away with the process, whatever ends it. Where the file system has none, a hidden name
//! beside FILE is used from the beginning and removed on every way out but `kill -9`.
//!
//! Whatever can be found wrong is found by [`Output::open`], before any work is done.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Mode, OFlags, StatxAttributes, StatxFlags, XattrFlags, fallocate,
    fgetxattr, flistxattr, fsetxattr, linkat, openat, statx,
};
use rustix::io::Errno;

use super::source::FileId;

/// An output being written.
#[derive(Debug)]
pub struct Output {
    file: File,
    way: Way,
}

/// What becomes of the file when it is complete.
#[derive(Debug)]
enum Way {
    /// It is the output itself; `is_stdout` if it is the program's stdout.
    InPlace { is_stdout: bool },
    /// It gets the name `target`. Until then it has the name `temporary`, or none.
    Named {
        target: PathBuf,
        temporary: Option<PathBuf>,
    },
    /// It is copied into this file.
    Copied(File),
}

impl Output {
    /// Opens the output for `path`; "-" is stdout.
    pub fn open(path: &Path) -> io::Result<Output> {
        if path.as_os_str() == "-" {
            return Output::stdout();
        }
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let there = match fs::metadata(path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Output::new_file(through_links(path)?);
            }
            Err(error) => return Err(error),
        };
        if there.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // What the shell has opened as stdout is written by that descriptor: it knows where to go on.
        if there.is_file() && is_same(&there, io::stdout()) {
            return Output::stdout();
        }
        let is_descriptor = leads_to_descriptor(path);
        if !there.is_file() || is_descriptor {
            let mut options = OpenOptions::new();
            let file = options.write(true).append(is_descriptor).open(path)?;
            return Ok(Output {
                file,
                way: Way::InPlace { is_stdout: false },
            });
        }
        Output::existing(&fs::canonicalize(path)?, &there)
    }

    /// The program's stdout.
    fn stdout() -> io::Result<Output> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Output {
            file: File::from(stdout),
            way: Way::InPlace { is_stdout: true },
        })
    }

    /// A file that is to appear at `target`.
    fn new_file(target: PathBuf) -> io::Result<Output> {
        let (file, temporary) = scratch(&target, 0o666)?;
        Ok(Output {
            file,
            way: Way::Named { target, temporary },
        })
    }

    /// A file that is to take the place of the one at `target`, or to be copied into it.
    fn existing(target: &Path, there: &Metadata) -> io::Result<Output> {
        // Opened in any case: who may not write a file is not to replace it.
        let old = OpenOptions::new().write(true).open(target)?;
        if is_replaceable(target, there)
            && let Ok((file, temporary)) = scratch(target, 0o600)
        {
            let output = Output {
                file,
                way: Way::Named {
                    target: target.to_path_buf(),
                    temporary,
                },
            };
            if resemble(&output.file, there, &old).is_ok() {
                return Ok(output);
            }
        }
        Ok(Output {
            file: anywhere(target)?,
            way: Way::Copied(old),
        })
    }

    /// The regular files that are written: a walk that meets them is to leave them out.
    pub fn ids(&self) -> Vec<FileId> {
        let mut ids: Vec<_> = FileId::of_regular(&self.file).into_iter().collect();
        match &self.way {
            Way::InPlace { .. } => {}
            Way::Named { target, .. } => {
                let old = File::open(target).ok();
                ids.extend(old.and_then(FileId::of_regular));
            }
            Way::Copied(old) => ids.extend(FileId::of_regular(old)),
        }
        ids
    }

    /// Whether it is the program's stdout.
    pub fn is_stdout(&self) -> bool {
        matches!(self.way, Way::InPlace { is_stdout: true })
    }

    /// The name it has until it is complete, if it has one.
    pub fn temporary(&self) -> Option<&Path> {
        match &self.way {
            Way::Named { temporary, .. } => temporary.as_deref(),
            _ => None,
        }
    }

    /// Gives the complete output its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        match &mut self.way {
            Way::InPlace { .. } => Ok(()),
            Way::Copied(old) => copy_into(&mut self.file, old),
            Way::Named { target, temporary } => {
                if temporary.is_none() {
                    if link(&self.file, target).is_ok() {
                        return Ok(());
                    }
                    let (name, ()) = match with_free_name(target, |name| link(&self.file, name)) {
                        Ok(named) => named,
                        // Where no file may be given a name, one that has a name is written.
                        Err(_) => with_free_name(target, |name| {
                            let mut copy = File::create_new(name)?;
                            copy.set_permissions(self.file.metadata()?.permissions())?;
                            self.file.rewind()?;
                            io::copy(&mut self.file, &mut copy).map(drop)
                        })?,
                    };
                    *temporary = Some(name);
                }
                let name = temporary.as_ref().expect("it has a name by now");
                fs::rename(name, target)?;
                *temporary = None;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(name) = self.temporary() {
            // Nobody is left to tell if this fails.
            let _ = fs::remove_file(name);
        }
    }
}

/// Whether `there` is the file that is open as `file`.
fn is_same(there: &Metadata, file: impl AsFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        // The types of these fields differ between architectures.
        #[allow(clippy::unnecessary_cast)]
        let same = stat.st_dev as u64 == there.dev() && stat.st_ino as u64 == there.ino();
        same
    })
}

/// Whether `path` names an open descriptor of a process, as `/dev/fd/3` and `/proc/self/fd/3` do, perhaps through
/// links.
fn leads_to_descriptor(path: &Path) -> bool {
    let mut path = path.to_path_buf();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let Ok(at) = fs::canonicalize(directory(&path)) else {
            return false;
        };
        if at.starts_with("/proc") && at.ends_with("fd") {
            return true;
        }
        let Some(Ok(to)) = path.file_name().map(|name| fs::read_link(at.join(name))) else {
            return false;
        };
        path = at.join(to);
    }
    false
}

/// The absolute path at which a file appears that is created as `path`, where nothing is: a link to nothing stays,
/// and the file appears where it leads.
fn through_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let at = fs::canonicalize(directory(&path))?.join(name);
        match fs::read_link(&at) {
            Ok(to) => path = directory(&at).join(to),
            Err(_) => return Ok(at),
        }
    }
    Err(Errno::LOOP.into())
}

/// Whether another file may take the name of the one at `target`.
fn is_replaceable(target: &Path, there: &Metadata) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let is_mounted = statx(CWD, target, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    // In a directory such as /tmp, only its owner may take a file's name away.
    let is_kept = fs::metadata(directory(target))
        .is_ok_and(|at| at.mode() & 0o1000 != 0 && me != 0 && me != there.uid() && me != at.uid());
    there.nlink() == 1 && !is_mounted && !is_kept
}

/// Gives `file` the owner, the mode and the attributes of `old`.
fn resemble(file: &File, there: &Metadata, old: &File) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (there.uid(), there.gid()) {
        std::os::unix::fs::fchown(file, Some(there.uid()), Some(there.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(there.mode() & 0o7777))?;
    let mut names = vec![0; 64 * 1024];
    let len = match flistxattr(old, &mut names) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; 64 * 1024];
    for name in names[..len]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let len = fgetxattr(old, name, &mut value)?;
        fsetxattr(file, name, &value[..len], XattrFlags::empty())?;
    }
    Ok(())
}

/// A file to be written that gets the name `target` later, and the name that it has until then, if any.
fn scratch(target: &Path, mode: u32) -> io::Result<(File, Option<PathBuf>)> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = openat(CWD, directory(target), flags, Mode::from(mode)) {
        let file = File::from(file);
        // Without /proc it could never get a name.
        if fs::symlink_metadata(path_of(&file)).is_ok() {
            return Ok((file, None));
        }
    }
    let (name, file) = with_free_name(target, |name| {
        Ok(File::from(openat(
            CWD,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC,
            Mode::from(mode),
        )?))
    })?;
    Ok((file, Some(name)))
}

/// A file without a name, best where `target` is, where there is room for it.
fn anywhere(target: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let temporary = std::env::temp_dir();
    let file = [directory(target), &temporary]
        .into_iter()
        .find_map(|at| openat(CWD, at, flags, Mode::from(0o600)).ok());
    match file {
        Some(file) => Ok(File::from(file)),
        None => Ok(File::from(rustix::fs::memfd_create(
            "pinfold index",
            rustix::fs::MemfdFlags::CLOEXEC,
        )?)),
    }
}

/// Makes `old` hold what `file` does. Room is made sure of first: a full disk leaves `old` as it was.
fn copy_into(file: &mut File, old: &mut File) -> io::Result<()> {
    let len = file.seek(SeekFrom::End(0))?;
    if len > 0 {
        match fallocate(&mut *old, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.rewind()?;
    io::copy(file, old)?;
    old.set_len(len)
}

/// The directory that holds `path`.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Calls `create` with hidden names beside `target`, until one is free. Another run may have left some.
fn with_free_name<T>(
    target: &Path,
    mut create: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let id = std::process::id();
    let mut is_short = false;
    let mut number = 0;
    loop {
        let mut name = OsString::from(".");
        if !is_short {
            name.push(target.file_name().expect("a file has a name"));
            name.push(".");
        }
        name.push(format!("pinfold-{id}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let name = target.with_file_name(name);
        match create(&name) {
            Ok(made) => return Ok((name, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {
                number += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename && !is_short => {
                is_short = true;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The path of an open file without a name.
fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives a file without a name the name `to`, which must be free.
fn link(file: &File, to: &Path) -> io::Result<()> {
    Ok(linkat(
        CWD,
        path_of(file),
        CWD,
        to.as_os_str().as_bytes(),
        AtFlags::SYMLINK_FOLLOW,
    )?)
}

#[cfg(test)]
mod tests;
