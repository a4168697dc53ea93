//! The walk beside "collect all paths, then sort".

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::super::open::WALKED_BYTES;
use super::*;

/// All steps: the paths of the files, and the paths of the troubles.
fn walk(root: &Path) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut files, mut troubles) = (Vec::new(), Vec::new());
    let mut walk = Walk::new(root).unwrap();
    while let Some(step) = walk.step() {
        match step {
            Step::File(path) => files.push(path.to_vec()),
            Step::Trouble(path, _) => troubles.push(path.to_vec()),
        }
    }
    (files, troubles)
}

/// The model: every regular file below `at`, unsorted.
fn collect(root: &Path, at: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            collect(root, &path, files);
        } else if kind.is_file() {
            files.push(
                path.strip_prefix(root)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
            );
        }
    }
}

/// Compares the two.
fn check(root: &Path) {
    let mut expected = Vec::new();
    collect(root, root, &mut expected);
    expected.sort();
    let (files, troubles) = walk(root);
    assert_eq!(files, expected);
    assert!(troubles.is_empty());
}

/// Makes an empty file and the directories above it.
fn touch(root: &Path, path: &[u8]) {
    let path = root.join(OsStr::from_bytes(path));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"").unwrap();
}

#[test]
fn siblings_around_the_slash() {
    let root = tempfile::tempdir().unwrap();
    let names: &[&[u8]] = &[
        b"a/x",
        b"a!",
        b"a-b",
        b"a.b",
        b"a0",
        b"a b",
        b"a",
        b"aa/y",
        b"a/",
        b"a.d/z",
        b"a0d/z",
        b"\x01",
        b"\xff\xfe",
        b"-rf",
        b"new\nline",
        b"abcdefgh/x",
        b"abcdefgh.x",
        b"abcdefghi",
        b".hidden/.file",
        b"\xc3\xa4",
    ];
    for name in names {
        // "a" is a directory already; the rest are what they say.
        if !matches!(*name, b"a" | b"a/") {
            touch(root.path(), name);
        }
    }
    check(root.path());
    assert_eq!(walk(root.path()).0.len(), names.len() - 2);
}

#[test]
fn only_regular_files_and_no_links() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), b"dir/file");
    symlink("..", root.path().join("dir/loop")).unwrap();
    symlink("file", root.path().join("dir/link")).unwrap();
    symlink("nowhere", root.path().join("broken")).unwrap();
    let _socket = UnixListener::bind(root.path().join("socket")).unwrap();
    rustix::fs::mkfifoat(CWD, root.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    fs::create_dir_all(root.path().join("empty/empty")).unwrap();
    check(root.path());
    assert_eq!(walk(root.path()).0, [b"dir/file"]);
}

#[test]
fn deeper_than_one_path_may_be_long() {
    // 60 directories of 200 bytes: no single call could name the file at the
    // end, nor could the model. So it is made by moving a tree below another.
    let root = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    let mut expected = Vec::new();
    touch(root.path(), b"bottom");
    for level in 0..60 {
        let next = root.path().join(format!("next{level}"));
        let below = next.join(&name);
        fs::create_dir_all(&next).unwrap();
        let from = if level == 0 {
            fs::create_dir(&below).unwrap();
            fs::rename(root.path().join("bottom"), below.join("bottom")).unwrap();
            continue;
        } else {
            root.path().join(format!("next{}", level - 1))
        };
        fs::rename(from, &below).unwrap();
    }
    for _ in 0..60 {
        expected.extend_from_slice(name.as_bytes());
        expected.push(b'/');
    }
    expected.extend_from_slice(b"bottom");
    let (files, troubles) = walk(&root.path().join("next59"));
    assert!(troubles.is_empty());
    assert_eq!(files, [expected.clone()]);

    // And a file there can be opened.
    let top = fs::File::open(root.path().join("next59")).unwrap();
    let path = CString::new(expected).unwrap();
    open_below(top, &path, OFlags::RDONLY).unwrap();
}

/// Makes directories called "d" in each other below `root`, and in each another one, "e", with a file.
fn comb(root: &Path, depth: usize) {
    let mut at = fs::File::open(root).unwrap();
    let make = |at: &fs::File, name| rustix::fs::mkdirat(at, name, Mode::RWXU).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    for _ in 0..depth {
        make(&at, "d");
        make(&at, "e");
        let flags_file = OFlags::CREATE | OFlags::WRONLY;
        openat(&at, "e/file", flags_file, Mode::RUSR).unwrap();
        at = openat(&at, "d", flags, Mode::empty()).unwrap().into();
    }
}

#[test]
fn a_directory_costs_the_same_at_any_depth() {
    let root = tempfile::tempdir().unwrap();
    let depth = 3000;
    comb(root.path(), depth);
    WALKED_BYTES.set(0);
    let (files, troubles) = walk(root.path());
    let walked = WALKED_BYTES.get();
    assert_eq!((files.len(), troubles.len()), (depth, 0));
    let lengths: Vec<_> = files.iter().map(Vec::len).collect();
    let expected: Vec<_> = (0..depth).rev().map(|d| 2 * d + 6).collect();
    assert_eq!(lengths, expected, "from the innermost outwards");
    // For each level "d", "e" and "../"; the paths from the root would be nine million bytes long.
    assert!(walked <= 5 * depth + 10, "{walked} bytes of paths");
    // Removing it by paths would take as long as walking it by paths.
    let mut at: OwnedFd = fs::File::open(root.path()).unwrap().into();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    for _ in 0..depth {
        rustix::fs::unlinkat(&at, "e/file", AtFlags::empty()).unwrap();
        rustix::fs::unlinkat(&at, "e", AtFlags::REMOVEDIR).unwrap();
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
    for _ in 0..depth {
        at = openat(&at, "..", flags, Mode::empty()).unwrap();
        rustix::fs::unlinkat(&at, "d", AtFlags::REMOVEDIR).unwrap();
    }
}

#[test]
fn a_directory_that_was_moved_is_not_the_way_back() {
    // The way back from the innermost directory leads elsewhere: the outer ones are found by their paths.
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    comb(root.path(), 3 * OPEN_MAX);
    touch(elsewhere.path(), b"e/strange");
    let mut walk = Walk::new(root.path()).unwrap();
    let mut seen = Vec::new();
    while let Some(step) = walk.step() {
        match step {
            Step::File(path) => seen.push(path.to_vec()),
            Step::Trouble(path, error) => panic!("{}: {error}", String::from_utf8_lossy(path)),
        }
        if seen.len() == 1 {
            // This one is closed, and above one that is open.
            let moved = ["d"; 2 * OPEN_MAX].join("/");
            fs::rename(root.path().join(moved), elsewhere.path().join("d")).unwrap();
        }
    }
    assert_eq!(seen.len(), 3 * OPEN_MAX);
    assert!(seen.iter().all(|path| path.ends_with(b"e/file")));
}

#[test]
fn a_directory_that_goes_away_is_one_trouble() {
    let root = tempfile::tempdir().unwrap();
    for path in [&b"a/1"[..], b"b/1", b"c/1"] {
        touch(root.path(), path);
    }
    let mut walk = Walk::new(root.path()).unwrap();
    fs::remove_dir_all(root.path().join("b")).unwrap();
    let mut seen = Vec::new();
    while let Some(step) = walk.step() {
        seen.push(match step {
            Step::File(path) => String::from_utf8(path.to_vec()).unwrap(),
            Step::Trouble(path, error) => {
                format!(
                    "{}: {:?}",
                    String::from_utf8(path.to_vec()).unwrap(),
                    error.kind()
                )
            }
        });
    }
    assert_eq!(seen, ["a/1", "b: NotFound", "c/1"]);
}

#[test]
fn the_root_must_be_a_directory() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), b"file");
    let kind = |name: &str| Walk::new(&root.path().join(name)).err().map(|e| e.kind());
    assert_eq!(kind("file"), Some(io::ErrorKind::NotADirectory));
    assert_eq!(kind("absent"), Some(io::ErrorKind::NotFound));
    symlink(".", root.path().join("link")).unwrap();
    assert_eq!(kind("link"), None, "the root itself may be a link");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn same_order_as_sorting_all_paths(
        paths in proptest::collection::vec(
            proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![Just(b'a'), Just(b'.'), Just(b'-'), Just(b'0'), 1u8..=255], 1..12),
                1..4),
            0..40),
    ) {
        let root = tempfile::tempdir().unwrap();
        for parts in paths {
            let mut path = root.path().to_path_buf();
            for mut part in parts {
                part.retain(|&b| b != b'/');
                path.push(PathBuf::from(std::ffi::OsString::from_vec(part)));
            }
            // Names collide ("a" as file and directory, "..", ""): then not.
            if path.starts_with(root.path()) && !path.components().any(|c| c.as_os_str() == "..") {
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(&path, b"");
            }
        }
        check(root.path());
    }
}
