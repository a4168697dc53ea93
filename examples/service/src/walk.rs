//! Which files there are.

use std::path::{Path, PathBuf};

/// A file, and why there is no thumbnail of it.
pub type Failure = (PathBuf, String);

/// Everything below a directory that is none; and what cannot be looked into.
pub fn files(top: &Path) -> (Vec<PathBuf>, Vec<Failure>) {
    let (mut files, mut failed, mut open) = (Vec::new(), Vec::new(), vec![top.to_owned()]);
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                failed.push((directory, error.to_string()));
                continue;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((path, kind)) if kind.is_dir() => open.push(path),
                Ok((path, _)) => files.push(path),
                Err(error) => failed.push((directory.clone(), error.to_string())),
            }
        }
    }
    files.sort();
    (files, failed)
}

/// `a/b.jpg` becomes `a/b.jpg.png`, so that no two files have the same thumbnail.
pub fn named_png(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".png");
    name.into()
}
