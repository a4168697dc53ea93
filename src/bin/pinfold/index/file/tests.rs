//! Files that behave and files that do not. The changes are made between two
//! calls of the reader, so each happens exactly where it is meant to.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::{CWD, Mode};

use super::*;

/// Opens the file called `name`.
fn open<'a>(root: &Path, name: &str, buffer: &'a mut [u8]) -> Result<Reading<'a>, FileError> {
    let root = File::open(root).unwrap();
    Reading::open(root, &CString::new(name).unwrap(), buffer)
}

/// Reads all of an open file, consuming `bite` bytes at a time.
fn read_all(mut reading: Reading<'_>, bite: usize) -> Result<Vec<u8>, FileError> {
    let mut all = Vec::new();
    reading.fill_first()?;
    loop {
        let len = reading.window().len().min(bite);
        all.extend_from_slice(&reading.window()[..len]);
        reading.consume(len);
        assert_eq!(reading.position(), all.len() as u64);
        if reading.window().is_empty() {
            if reading.at_end() {
                break;
            }
            reading.fill()?;
        }
    }
    reading.finish()?;
    Ok(all)
}

#[test]
fn all_sizes_arrive_whole() {
    let root = tempfile::tempdir().unwrap();
    let mut buffer = vec![0; WINDOW_BYTES];
    let one_go = ONE_GO_BYTES as usize;
    for size in [
        0,
        1,
        PROBE_BYTES,
        PROBE_BYTES + 1,
        one_go,
        one_go + 1,
        WINDOW_BYTES,
        3 * WINDOW_BYTES + 7,
    ] {
        let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        fs::write(root.path().join("file"), &bytes).unwrap();
        let reading = open(root.path(), "file", &mut buffer).unwrap();
        assert!(read_all(reading, 10_000).unwrap() == bytes, "size {size}");
    }
}

#[test]
fn the_first_look_at_a_large_file_is_short() {
    let root = tempfile::tempdir().unwrap();
    let mut buffer = vec![0; WINDOW_BYTES];
    fs::write(root.path().join("file"), vec![b'x'; WINDOW_BYTES]).unwrap();
    let mut reading = open(root.path(), "file", &mut buffer).unwrap();
    reading.fill_first().unwrap();
    assert_eq!(reading.window().len(), PROBE_BYTES);
}

#[test]
fn growing_shrinking_and_touched_files_are_changed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("grows", |path| {
            OpenOptions::new()
                .append(true)
                .open(path)
                .unwrap()
                .write_all(b"more")
                .unwrap();
        }),
        ("shrinks", |path| {
            OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(100_000)
                .unwrap();
        }),
        ("is emptied", |path| drop(File::create(path).unwrap())),
        ("is touched", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
    ];
    let mut buffer = vec![0; WINDOW_BYTES];
    for (what, change) in changes {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, vec![b'x'; 2 * WINDOW_BYTES]).unwrap();
        let mut reading = open(root.path(), "file", &mut buffer).unwrap();
        reading.fill_first().unwrap();
        reading.fill().unwrap();
        change(&path);
        assert!(
            matches!(reading_rest(reading), Err(FileError::Changed)),
            "a file that {what}"
        );
    }
}

/// Reads and consumes what is left, then finishes.
fn reading_rest(mut reading: Reading<'_>) -> Result<(), FileError> {
    while !reading.at_end() {
        reading.consume(reading.window().len());
        reading.fill()?;
    }
    reading.finish()
}

#[test]
fn going_on_needs_the_same_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, b"0123456789").unwrap();
    let mut buffer = vec![0; WINDOW_BYTES];
    let stamp = open(root.path(), "file", &mut buffer).unwrap().stamp();
    let mut reading = open(root.path(), "file", &mut buffer)
        .unwrap()
        .resume(stamp, 7)
        .unwrap();
    reading.fill().unwrap();
    assert_eq!(reading.window(), b"789");
    assert_eq!(reading.position(), 7);
    reading.finish().unwrap();

    fs::write(&path, b"other bytes").unwrap();
    let again = open(root.path(), "file", &mut buffer)
        .unwrap()
        .resume(stamp, 7);
    assert!(matches!(again, Err(FileError::Changed)));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    let mut buffer = vec![0; WINDOW_BYTES];
    let at = |name: &str| root.path().join(name);
    rustix::fs::mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    fs::write(at("file"), b"x").unwrap();
    std::os::unix::fs::symlink("file", at("link")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    for name in ["fifo", "socket", "link", "dir"] {
        let error = open(root.path(), name, &mut buffer).err().unwrap();
        assert!(matches!(error, FileError::Kind), "{name}: {error}");
    }
    let gone = open(root.path(), "gone", &mut buffer).err().unwrap();
    assert_eq!(
        gone.to_string(),
        "cannot open: No such file or directory (os error 2)"
    );
}

#[test]
fn a_file_that_says_size_zero_is_read_to_its_end() {
    let mut buffer = vec![0; WINDOW_BYTES];
    let reading = open(Path::new("/proc/self"), "status", &mut buffer).unwrap();
    assert_eq!(reading.stamp().size, 0);
    let text = read_all(reading, 10_000).unwrap();
    assert!(text.starts_with(b"Name:"));
}
