//! One line of output for one chunk.
//!
//! ```text
//! {"path":"src/a.rs","start_line":1,"end_line":50,"bytes":1701,"blake3":"…64 hex digits…"}\n
//! └────────── head, once per file ──┘└───────────── the rest, once per chunk ────────────┘
//! ```
//!
//! The record is written straight into the buffer that will travel; the only
//! thing prepared beforehand is the head.

use super::chunk::Chunk;

/// No record is longer than its head and this: four keys with their quotes,
/// three numbers of at most 20 digits, 64 hex digits.
pub const TAIL_BYTES_MAX: usize = 192;

/// Puts the part of a record that is the same for all chunks of one file into
/// `head`, in place of what was there.
///
/// JSON is text: bytes of the path that are not UTF-8 become U+FFFD.
pub fn write_head(path: &[u8], head: &mut Vec<u8>) {
    head.clear();
    head.extend_from_slice(b"{\"path\":");
    let path = String::from_utf8_lossy(path);
    serde_json::to_writer(&mut *head, &*path).expect("writing to memory does not fail");
    head.extend_from_slice(b",\"start_line\":");
}

/// Writes the record of `chunk` to the front of `out`, which has room for
/// `head.len() + TAIL_BYTES_MAX` bytes; returns its length.
pub fn write_record(head: &[u8], chunk: &Chunk, out: &mut [u8]) -> usize {
    let mut line = Line { out, len: 0 };
    line.text(head);
    line.number(chunk.start_line);
    line.text(b",\"end_line\":");
    line.number(chunk.end_line);
    line.text(b",\"bytes\":");
    line.number(chunk.bytes);
    line.text(b",\"blake3\":\"");
    line.text(chunk.hash.to_hex().as_bytes());
    line.text(b"\"}\n");
    line.len
}

/// A line being written.
struct Line<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Line<'_> {
    /// Adds bytes.
    fn text(&mut self, text: &[u8]) {
        self.out[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// Adds a number in decimal.
    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.text(&digits[first..]);
    }
}

#[cfg(test)]
mod tests;
