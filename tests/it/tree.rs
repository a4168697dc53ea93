//! A tree with everything a tree should not have, and what an index of it must
//! say: a model that does the job the obvious way, with nothing of ours in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;
use tempfile::TempDir;

/// A directory that goes away with this value.
pub struct Tree {
    dir: TempDir,
}

/// What an index of a tree must say.
#[derive(Default)]
pub struct Expected {
    /// The bytes of `--out`.
    pub records: Vec<u8>,
    pub files: u64,
    pub chunks: u64,
    pub bytes: u64,
    pub skipped_binary: u64,
    /// The paths of the errors, in order.
    pub errors: Vec<String>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Tree {
        Tree {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file and the directories above it; `path` is raw bytes.
    pub fn file(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(OsStr::from_bytes(path.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A tree of odd names, odd bytes, odd kinds.
    pub fn odd() -> Tree {
        let tree = Tree::new();
        // Names, many of them around the slash (0x2f).
        let names: &[&[u8]] = &[
            b"plain.txt",
            b"a/inside",
            b"a!",
            b"a-b",
            b"a.b",
            b"a0",
            b"a b/c d",
            b"-rf",
            b"--out",
            b"new\nline/x\ny",
            b"quote\"s and \\ and \t",
            b"\x01\x7f",
            b"bad\xff\xfe.txt",
            b"bad\xff/\xe6\x97",
            "ümläut/日本.txt".as_bytes(),
            b".hidden/.file",
            b"a/.b/c",
            b"~",
            b"*",
        ];
        for (index, name) in names.iter().enumerate() {
            let lines = (0..index * 13).map(|line| format!("{line} of {index}\n"));
            tree.file(name, lines.collect::<String>());
        }
        let deep: Vec<u8> = (0..150)
            .flat_map(|level| format!("level{level}/").into_bytes())
            .collect();
        tree.file([deep.as_slice(), b"bottom"].concat(), "deep\n");
        // Contents.
        tree.file("content/empty", "");
        tree.file("content/one-byte", "x");
        tree.file("content/one-newline", "\n");
        tree.file("content/no-final-newline", "1\n2\n3");
        tree.file("content/crlf", "1\r\n2\r\n".repeat(80));
        tree.file("content/exactly-50", "x\n".repeat(50));
        tree.file("content/exactly-51", "x\n".repeat(51));
        tree.file("content/blank", "\n".repeat(12_345));
        tree.file("content/not-utf8", [0xff, 0xfe, b'\n', 0x80].repeat(1000));
        tree.file("content/long-line", vec![b'x'; 3 << 20]);
        tree.file(
            "content/long-lines",
            [vec![b'y'; 700_000], vec![b'\n']].concat().repeat(5),
        );
        // Binary or not: the first 8 KiB decide.
        tree.file("binary/nul", b"text\0text\n");
        let mut late = vec![b'a'; 8192];
        late.extend(b"\0\n");
        tree.file("binary/nul-at-8193-is-text", &late);
        late[8191] = 0;
        tree.file("binary/nul-at-8192", &late);
        tree.file("binary/only", [0; 100_000]);
        tree.huge("huge/log", 40 << 20);
        // Kinds that are not walked.
        fs::create_dir_all(tree.path().join("kinds/empty")).unwrap();
        symlink("..", tree.path().join("kinds/loop")).unwrap();
        symlink("../plain.txt", tree.path().join("kinds/link")).unwrap();
        symlink("nowhere", tree.path().join("kinds/broken")).unwrap();
        mkfifoat(CWD, tree.path().join("kinds/fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        drop(UnixListener::bind(tree.path().join("kinds/socket")).unwrap());
        // Not to be read; root may, and then must.
        tree.file("locked/file", "secret\n");
        tree.file("locked/dir/file", "secret\n");
        tree.lock("locked/file");
        tree.lock("locked/dir");
        tree
    }

    /// A tree whose index takes some seconds: one file of 40 MB by many names.
    pub fn long(names: usize) -> Tree {
        let tree = Tree::new();
        let first = tree.huge("0000", 40 << 20);
        for name in 1..names {
            fs::hard_link(&first, tree.path().join(format!("{name:04}"))).unwrap();
        }
        tree
    }

    /// A log-like file of about `bytes` bytes.
    pub fn huge(&self, path: &str, bytes: usize) -> PathBuf {
        let path = self.file(path, "");
        let mut text = Vec::with_capacity(bytes + 100);
        let mut line = 0_u64;
        while text.len() < bytes {
            line += 1;
            let tail = &"................................"[..(line * 7 % 32) as usize];
            writeln!(text, "{line} something happened {tail}").unwrap();
        }
        File::create(&path).unwrap().write_all(&text).unwrap();
        path
    }

    /// Takes away all permissions.
    pub fn lock(&self, path: &str) {
        fs::set_permissions(self.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }

    /// What an index in chunks of `lines` lines must say, as this user sees it.
    pub fn expected(&self, lines: usize) -> Expected {
        let mut expected = Expected::default();
        let mut found = Vec::new();
        self.find(self.path(), &mut found);
        found.sort();
        for path in found {
            let shown = String::from_utf8_lossy(&path).into_owned();
            let full = self.path().join(OsStr::from_bytes(&path));
            let is_file = !full.is_dir();
            expected.files += u64::from(is_file);
            match fs::read(&full) {
                Ok(bytes) => expected.add(&shown, &bytes, lines),
                Err(_) => expected.errors.push(shown),
            }
        }
        expected
    }

    /// Every regular file, and every directory that cannot be read, below `at`.
    fn find(&self, at: &Path, found: &mut Vec<Vec<u8>>) {
        let below = |path: &Path| {
            path.strip_prefix(self.path())
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        };
        let Ok(entries) = fs::read_dir(at) else {
            found.push(below(at));
            return;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.find(&entry.path(), found);
            } else if kind.is_file() {
                found.push(below(&entry.path()));
            }
        }
    }
}

impl Expected {
    /// Adds one file's chunks.
    fn add(&mut self, path: &str, bytes: &[u8], lines: usize) {
        if bytes.iter().take(8192).any(|&b| b == 0) {
            self.skipped_binary += 1;
            return;
        }
        let all: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
        for (index, chunk) in all.chunks(lines).enumerate() {
            let bytes = chunk.concat();
            let start = index * lines + 1;
            self.chunks += 1;
            self.bytes += bytes.len() as u64;
            writeln!(
                self.records,
                "{{\"path\":{},\"start_line\":{start},\"end_line\":{},\"bytes\":{},\"blake3\":\"{}\"}}",
                json!(path),
                start + chunk.len() - 1,
                bytes.len(),
                blake3::hash(&bytes),
            )
            .unwrap();
        }
    }

    /// The digest of the records.
    pub fn digest(&self) -> String {
        blake3::hash(&self.records).to_string()
    }
}
