//! Cutting bytes into chunks of whole lines. Pure: no files, no clock.
//!
//! ```text
//! bytes     a a \n b \n \n c c c \n d          --lines 2
//! lines     1      2    3  4        5          "\n" ends a line; the last one
//! chunks    [--- 1..2 -][--- 3..4 -][5]        may do without
//! ```
//!
//! A file arrives in windows, and a chunk may be longer than a window, so the
//! [`Cutter`] has two ways to a chunk's fingerprint:
//!
//! * the chunk lies whole in the window (nearly always): hashed in one call;
//! * it does not, and the window is full: the window goes into an *open* chunk,
//!   a running hash, so that a line of any length needs no more memory. Whenever
//!   a unit of its hash is whole, the chunk can be left and taken up again, by
//!   another cutter.

use blake3::Hash;
use serde::{Deserialize, Serialize};

use super::tree::{Tree, UNIT_BYTES, Units};

/// How much of a file's beginning decides whether it is binary.
pub const PROBE_BYTES: usize = 8 * 1024;

/// True if a file that begins with `head` is binary: a NUL byte in its first
/// 8 KiB.
pub fn is_binary(head: &[u8]) -> bool {
    head[..head.len().min(PROBE_BYTES)].contains(&0)
}

/// The front part of some bytes, as found by [`cut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes the part has.
    pub len: usize,
    /// How many line ends it holds.
    pub lines: u64,
}

/// The shortest front part of `bytes` that holds `lines` line ends, or all of
/// `bytes` if it holds fewer.
pub fn cut(bytes: &[u8], lines: u64) -> Cut {
    const BLOCK: usize = 64;
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let mut found = 0;
    for (index, block) in blocks.iter().enumerate() {
        // Compiles to a few vector compares: at most 64, so it fits in a byte.
        let here = u64::from(block.iter().map(|&b| u8::from(b == b'\n')).sum::<u8>());
        if found + here >= lines {
            return cut_bytewise(block, lines, found).beyond(index * BLOCK);
        }
        found += here;
    }
    cut_bytewise(tail, lines, found).beyond(blocks.len() * BLOCK)
}

/// [`cut`] for a few bytes, with `found` line ends already behind.
fn cut_bytewise(bytes: &[u8], lines: u64, mut found: u64) -> Cut {
    for (index, &byte) in bytes.iter().enumerate() {
        found += u64::from(byte == b'\n');
        if found == lines {
            return Cut {
                len: index + 1,
                lines,
            };
        }
    }
    Cut {
        len: bytes.len(),
        lines: found,
    }
}

impl Cut {
    /// The same cut, seen from `offset` bytes earlier.
    fn beyond(self, offset: usize) -> Cut {
        Cut {
            len: offset + self.len,
            ..self
        }
    }
}

/// One finished chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its first line, from 1.
    pub start_line: u64,
    /// Its last line, inclusive.
    pub end_line: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// The BLAKE3 hash of them.
    pub hash: Hash,
}

/// What [`Cutter::take`] made of the window.
#[derive(Debug)]
pub enum Take {
    /// A chunk ends here; this many bytes of the window belong to it.
    Chunk(Chunk, usize),
    /// No chunk ends in these bytes of the window, which have been taken into
    /// the open chunk; show the rest again. If they are none, with more behind.
    More(usize),
}

/// Line ends in a part of a chunk; always fewer than the whole chunk has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// So far.
    pub all: u64,
    /// In its first unit.
    pub first: u64,
}

/// A chunk of which whole units have been hashed, and more is to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Line ends in the units.
    pub lines: Lines,
    /// The units.
    pub units: Units,
}

/// Cuts one file, seen through a moving window, into chunks.
#[derive(Debug)]
pub struct Cutter {
    /// Lines in a full chunk.
    lines_max: u64,
    /// First line of the chunk being looked for.
    start_line: u64,
    /// A window of this size without a chunk's end is taken into the open chunk.
    window_full: usize,
    /// The part of the chunk being looked for that has left the window.
    open: Option<Box<Open>>,
}

/// A chunk whose beginning has left the window.
#[derive(Debug)]
struct Open {
    tree: Tree,
    /// Line ends so far.
    lines: Lines,
    /// True if the last byte so far is a line end.
    at_line_end: bool,
}

impl Cutter {
    /// A cutter for chunks of `lines_max` lines, the first starting at line
    /// `start_line`. Windows of `window_full` bytes or more are not expected
    /// to grow.
    pub fn new(lines_max: u64, start_line: u64, window_full: usize) -> Cutter {
        assert!(lines_max > 0, "a chunk has at least one line");
        Cutter {
            lines_max,
            start_line,
            window_full,
            open: None,
        }
    }

    /// The same in the middle of its first chunk, after what `begun` says.
    pub fn resume(self, begun: Begun) -> Cutter {
        Cutter {
            open: Some(Box::new(Open {
                tree: Tree::new(begun.units),
                lines: begun.lines,
                at_line_end: false,
            })),
            ..self
        }
    }

    /// If the open chunk can be left here: how many units and line ends of it
    /// have been taken in.
    pub fn can_leave(&self) -> Option<(u64, Lines)> {
        let open = self.open.as_ref()?;
        Some((open.tree.whole()?, open.lines))
    }

    /// Leaves the open chunk, which can be left and goes on.
    pub fn leave(&mut self) -> Option<Begun> {
        self.can_leave()?;
        self.open.take().map(|open| Begun {
            lines: open.lines,
            units: open.tree.into_units(),
        })
    }

    /// The line at which the next chunk starts.
    pub fn next_line(&self) -> u64 {
        self.start_line
    }

    /// Takes the next chunk off the front of `window`. `last` says that
    /// nothing comes after the window.
    pub fn take(&mut self, window: &[u8], last: bool) -> Take {
        let (lines_open, room) = self
            .open
            .as_ref()
            .map_or((0, UNIT_BYTES), |open| (open.lines.all, open.tree.room()));
        // Of an open chunk, no more than is left of the unit.
        let (window, is_short) = match usize::try_from(room) {
            Ok(room) if room < window.len() => (&window[..room], true),
            _ => (window, false),
        };
        let last = last && !is_short;
        let cut = cut(window, self.lines_max - lines_open);
        let lines = lines_open + cut.lines;
        if lines == self.lines_max {
            return Take::Chunk(self.close(&window[..cut.len], lines), cut.len);
        }
        if last && (self.open.is_some() || !window.is_empty()) {
            let whole = match (window.last(), &self.open) {
                (Some(&byte), _) => byte == b'\n',
                (None, open) => open.as_ref().is_some_and(|open| open.at_line_end),
            };
            return Take::Chunk(self.close(window, lines + u64::from(!whole)), window.len());
        }
        if window.len() < self.window_full && !is_short {
            return Take::More(0);
        }
        self.keep_open(window, cut.lines);
        Take::More(window.len())
    }

    /// Ends the chunk with `rest`; it has `lines` lines in all.
    fn close(&mut self, rest: &[u8], lines: u64) -> Chunk {
        let (hash, bytes) = match self.open.take() {
            None => (blake3::hash(rest), rest.len() as u64),
            Some(mut open) => {
                open.tree.update(rest);
                (open.tree.root(), open.tree.bytes())
            }
        };
        let start_line = self.start_line;
        self.start_line += lines;
        Chunk {
            start_line,
            end_line: start_line + lines - 1,
            bytes,
            hash,
        }
    }

    /// Takes `part`, which holds `lines` line ends, into the open chunk.
    fn keep_open(&mut self, part: &[u8], lines: u64) {
        let open = self.open.get_or_insert_with(|| {
            Box::new(Open {
                tree: Tree::new(Units::default()),
                lines: Lines::default(),
                at_line_end: false,
            })
        });
        open.tree.update(part);
        open.lines.all += lines;
        if open.tree.bytes() <= UNIT_BYTES {
            open.lines.first = open.lines.all;
        }
        open.at_line_end = part.last() == Some(&b'\n');
    }
}

#[cfg(test)]
mod tests;
