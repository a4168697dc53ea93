//! Finding the files: a streaming walk in the order of whole paths.
//!
//! The order is that of the paths' raw bytes. Depth first gives exactly this
//! if, among siblings, a directory is compared *as if its name ended in a
//! slash*, because so does every path below it:
//!
//! ```text
//! a!b      0x21        file
//! a-b      0x2d        file
//! a/x      0x2f        all of directory "a/"
//! a0       0x30        file
//! ```
//!
//! So names of directories are kept with their slash, and one comparison of
//! bytes sorts siblings, tells kinds apart, and builds the path.
//!
//! Memory: the names in the directories on the current path, nothing else. No
//! call per file: the kind comes with the name (a file system that does not
//! say is asked).
//!
//! A directory is opened from its parent, so what it costs does not grow with
//! its depth. The innermost [`OPEN_MAX`] directories are open, so that the depth
//! of a tree is not limited by open files; one farther out is found again by as
//! many ".." as it is above the last one that was left, if it still is what it
//! was:
//!
//! ```text
//! path      /  a  b  c  d  e  f         all listed, in part
//! open            c  d  e  f         OPEN_MAX of them
//! left      f, e, d and c; then b is c/..  (or a/b from the root, if c was moved)
//! ```

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};

use super::open::{PATH_BYTES_MAX, open_below};
use super::source::FileId;

/// How many directories are open at a time, but for the root.
const OPEN_MAX: usize = 4;

/// How many bytes of directory entries are read at a time.
const ENTRIES_BYTES: usize = 32 * 1024;

/// What the walk came to next.
#[derive(Debug)]
pub enum Step<'a> {
    /// A regular file; its path below the root.
    File(&'a [u8]),
    /// A directory that could not be read (to its end); its path, "." for the
    /// root.
    Trouble(&'a [u8], io::Error),
}

/// A walk under way.
pub struct Walk {
    root: OwnedFd,
    /// Path of the directory on top of `stack`, with a final slash unless it is
    /// the root; after a file was found, the path of that file.
    path: Vec<u8>,
    stack: Vec<Listing>,
    /// A used listing, kept for its memory.
    spare: Listing,
    /// A directory that was left, and how many levels it lies below the top of
    /// `stack`, if nothing nearer to that is open.
    left: Option<(OwnedFd, usize)>,
    entries: Vec<MaybeUninit<u8>>,
}

/// The sorted names in one directory.
#[derive(Default)]
struct Listing {
    /// All names, one after the other; those of directories end in a slash.
    names: Vec<u8>,
    /// Where each name is, in order.
    order: Vec<Name>,
    /// How many of them are done.
    done: usize,
    /// How long the path of the directory is.
    path_len: usize,
    /// The directory.
    place: Place,
}

/// A directory on the current path.
#[derive(Default)]
enum Place {
    /// It is found by its path from the root.
    #[default]
    Unknown,
    /// It is open.
    Open(OwnedFd),
    /// It was open, and was this.
    Closed(FileId),
}

/// One name in a [`Listing`].
#[derive(Clone, Copy)]
struct Name {
    /// The first eight bytes as a number: most comparisons end here. Padding
    /// with zeros keeps the order, since no name contains one.
    key: u64,
    start: usize,
    len: usize,
}

impl Walk {
    /// Starts at the directory `root` (which may itself be a link to one).
    pub fn new(root: &Path) -> io::Result<Walk> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, root, flags, Mode::empty())?;
        let mut walk = Walk {
            root,
            path: Vec::new(),
            stack: Vec::new(),
            spare: Listing::default(),
            left: None,
            entries: vec![MaybeUninit::uninit(); ENTRIES_BYTES],
        };
        let listing = Listing::default();
        walk.list(listing).map_err(|(error, _)| error)?;
        Ok(walk)
    }

    /// The next file or trouble, until there is none.
    pub fn step(&mut self) -> Option<Step<'_>> {
        loop {
            let top = self.stack.last_mut()?;
            self.path.truncate(top.path_len);
            let Some(&name) = top.order.get(top.done) else {
                self.leave();
                continue;
            };
            top.done += 1;
            let name = &top.names[name.start..name.start + name.len];
            self.path.extend_from_slice(name);
            if name.last() != Some(&b'/') {
                return Some(Step::File(&self.path));
            }
            let listing = std::mem::take(&mut self.spare);
            if let Err((error, listing)) = self.list(listing) {
                self.spare = listing.unwrap_or_default();
                let end = self.path.len() - 1;
                return Some(Step::Trouble(&self.path[..end], error));
            }
        }
    }

    /// Reads the directory at `path` into `listing` and puts that on the stack.
    ///
    /// After an error half-way the names that did arrive are walked all the
    /// same; the listing comes back if there were none.
    fn list(&mut self, mut listing: Listing) -> Result<(), (io::Error, Option<Listing>)> {
        listing.names.clear();
        listing.order.clear();
        listing.done = 0;
        listing.path_len = self.path.len();
        listing.place = Place::Unknown;
        let read = self.open_directory().and_then(|directory| {
            let read = listing.read(directory.as_fd(), &mut self.entries);
            listing.place = Place::Open(directory);
            read
        });
        if listing.order.is_empty() {
            let Err(error) = read else {
                self.spare = listing;
                return Ok(());
            };
            return Err((error, Some(listing)));
        }
        listing.sort();
        self.enter(listing);
        read.map_err(|error| (error, None))
    }

    /// Puts a directory, which is open, on the stack; closes the one that is
    /// one too many.
    fn enter(&mut self, listing: Listing) {
        self.left = None;
        let outermost = self.stack.len().checked_sub(OPEN_MAX);
        if let Some(outermost) = outermost.and_then(|at| self.stack.get_mut(at))
            && let Place::Open(directory) = &outermost.place
        {
            outermost.place = FileId::of(directory).map_or(Place::Unknown, Place::Closed);
        }
        self.stack.push(listing);
    }

    /// Takes the directory whose names are done off the stack.
    fn leave(&mut self) {
        let Some(mut listing) = self.stack.pop() else {
            return;
        };
        let is_above_open = matches!(
            self.stack.last(),
            None | Some(Listing {
                place: Place::Open(_),
                ..
            })
        );
        self.left = match std::mem::take(&mut listing.place) {
            _ if is_above_open => None,
            Place::Open(directory) => Some((directory, 1)),
            _ => self.left.take().map(|(below, levels)| (below, levels + 1)),
        };
        self.spare = listing;
    }

    /// Opens the directory at `path`, which is in the one on top of the stack.
    fn open_directory(&mut self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.reopen();
        let Some((_slash, path)) = self.path.split_last() else {
            return open_below(&self.root, c".", flags);
        };
        match self.stack.last() {
            Some(Listing {
                place: Place::Open(parent),
                path_len,
                ..
            }) => open_below(parent, &CString::new(&path[*path_len..])?, flags),
            _ => open_below(&self.root, &CString::new(path)?, flags),
        }
    }

    /// Opens the directory on top of the stack again from one below it, if it
    /// was closed and can be found so.
    fn reopen(&mut self) {
        let Some(top) = self.stack.last_mut() else {
            return;
        };
        if let Place::Closed(id) = top.place
            && let Some((below, levels)) = self.left.take()
        {
            top.place = match open_above(below, levels) {
                Ok(found) if FileId::of(&found).is_ok_and(|found| found == id) => {
                    Place::Open(found)
                }
                _ => Place::Unknown,
            };
        }
    }
}

/// Opens what is so many levels above `below`.
fn open_above(mut below: OwnedFd, mut levels: usize) -> io::Result<OwnedFd> {
    while levels > 0 {
        let most = levels.min(PATH_BYTES_MAX / 3);
        let up = CString::new("../".repeat(most))?;
        below = open_below(&below, &up, OFlags::PATH | OFlags::DIRECTORY)?;
        levels -= most;
    }
    Ok(below)
}

impl Listing {
    /// Reads the names of files and directories; leaves out all other kinds.
    fn read(
        &mut self,
        directory: BorrowedFd<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> io::Result<()> {
        let mut entries = RawDir::new(directory, buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(error) if error == rustix::io::Errno::INTR => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    // Opening it will say what is wrong, or that it is gone.
                    Err(_) => FileType::RegularFile,
                },
                kind => kind,
            };
            match kind {
                FileType::RegularFile => self.push(name.to_bytes(), b""),
                FileType::Directory => self.push(name.to_bytes(), b"/"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds one name with what follows it.
    fn push(&mut self, name: &[u8], slash: &[u8]) {
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.names.extend_from_slice(slash);
        let name = &self.names[start..];
        let mut key = [0; 8];
        let len = name.len().min(8);
        key[..len].copy_from_slice(&name[..len]);
        self.order.push(Name {
            key: u64::from_be_bytes(key),
            start,
            len: name.len(),
        });
    }

    /// Puts the names in order.
    fn sort(&mut self) {
        let bytes = |name: &Name| &self.names[name.start..name.start + name.len];
        self.order
            .sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| bytes(a).cmp(bytes(b))));
    }
}

#[cfg(test)]
mod tests;
