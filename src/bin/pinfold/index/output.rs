//! The file behind `--out`: complete under its name, or not there at all.
//!
//! ```text
//! a file without a name ──written──▶ complete ──link──▶ FILE       (nothing there before)
//!   (O_TMPFILE, in FILE's                     └─link──▶ .FILE.pinfold-PID ──rename──▶ FILE
//!    directory)
//! ```
//!
//! A file without a name goes away with the process, whatever ends it. Where
//! the file system has none, a hidden name beside FILE is used from the
//! beginning and removed on every way out but `kill -9`.
//!
//! What is not a regular file (`-`, `/dev/null`, a pipe) is written as it is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

/// An output being written.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// Where it will be; `None` if it is written in place.
    target: Option<PathBuf>,
    /// Its name until then, if it has one.
    temporary: Option<PathBuf>,
}

impl Output {
    /// Opens the output for `path`; "-" is stdout.
    pub fn open(path: &Path) -> io::Result<Output> {
        if path.as_os_str() == "-" {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            return Ok(Output {
                file: File::from(stdout),
                target: None,
                temporary: None,
            });
        }
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                Ok(Output {
                    file,
                    target: None,
                    temporary: None,
                })
            }
            // Through links to the file itself: a link stays a link.
            Ok(_) => Output::beside(fs::canonicalize(path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                Output::beside(fs::canonicalize(directory(path))?.join(name))
            }
            Err(error) => Err(error),
        }
    }

    /// A new file in the directory of `target`.
    fn beside(target: PathBuf) -> io::Result<Output> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, temporary) = match openat(CWD, directory(&target), flags, Mode::from(0o666)) {
            Ok(file) => (File::from(file), None),
            Err(_) => {
                let name = temporary_name(&target);
                (
                    OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .open(&name)?,
                    Some(name),
                )
            }
        };
        Ok(Output {
            file,
            target: Some(target),
            temporary,
        })
    }

    /// The paths, absolute, at which this output is or will be.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.target, &self.temporary]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    /// The name it has until it is complete, if it has one.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.as_deref()
    }

    /// Gives the complete output its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some(target) = self.target.take() else {
            return Ok(());
        };
        if self.temporary.is_none() {
            if link(&self.file, &target).is_ok() {
                return Ok(());
            }
            let name = temporary_name(&target);
            link(&self.file, &name)?;
            self.temporary = Some(name);
        }
        let temporary = self.temporary.as_ref().expect("it has a name by now");
        fs::rename(temporary, &target)?;
        self.temporary = None;
        Ok(())
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
        if let Some(name) = &self.temporary {
            // Nobody is left to tell if this fails.
            let _ = fs::remove_file(name);
        }
    }
}

/// The directory that holds `path`.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// A hidden name beside `target`, this process's own.
fn temporary_name(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().expect("a file has a name"));
    name.push(format!(".pinfold-{}", std::process::id()));
    target.with_file_name(name)
}

/// Gives a file without a name the name `to`, which must be free.
fn link(file: &File, to: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(
        CWD,
        from,
        CWD,
        to.as_os_str().as_bytes(),
        AtFlags::SYMLINK_FOLLOW,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in `directory`, sorted.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_there_until_it_is_complete() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("out");
        let mut output = Output::open(&path).unwrap();
        output.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(output);
        assert!(names(at.path()).is_empty());

        let mut output = Output::open(&path).unwrap();
        output.write_all(b"whole").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(at.path()), ["out"]);
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_complete() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("out");
        fs::write(&path, b"old").unwrap();
        std::os::unix::fs::symlink("out", at.path().join("link")).unwrap();
        for give_up in [true, false] {
            let mut output = Output::open(&at.path().join("link")).unwrap();
            output.write_all(b"new").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"old");
            if give_up {
                drop(output);
            } else {
                output.finish().unwrap();
            }
        }
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(at.path()), ["link", "out"]);
        assert!(at.path().join("link").is_symlink());
    }

    #[test]
    fn with_a_name_from_the_beginning() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("out");
        let open = || {
            let temporary = temporary_name(&path);
            let file = File::create(&temporary).unwrap();
            Output {
                file,
                target: Some(path.clone()),
                temporary: Some(temporary),
            }
        };
        drop(open());
        assert!(names(at.path()).is_empty());
        let mut output = open();
        output.write_all(b"whole").unwrap();
        assert_eq!(output.paths().count(), 2);
        output.finish().unwrap();
        assert_eq!(names(at.path()), ["out"]);
    }

    #[test]
    fn devices_are_written_and_directories_refused() {
        let mut null = Output::open(Path::new("/dev/null")).unwrap();
        null.write_all(b"gone").unwrap();
        assert_eq!(null.paths().count(), 0);
        null.finish().unwrap();
        assert!(Output::open(Path::new("/")).is_err());
        assert!(Output::open(Path::new("/no/such/directory/out")).is_err());
    }
}
