//! Where records are written: a row of buffers that somebody else supplies.
//!
//! ```text
//! buffers   [ record record rec… ]   [ record record · · · ]
//!            segment 0, full          segment 1   ▲ the next record goes here
//!                                                  (mark = segment, length)
//! ```
//!
//! In a worker process the buffers are shared memory and go back to the host as
//! they are; in one process they are plain vectors. A record is never divided
//! between two segments. [`Segments::rewind`] takes back everything since a
//! mark: a file that turns out to have changed leaves no records behind.

use std::ops::DerefMut;

/// Size of an ordinary segment: one holds the records of some 500 chunks, which
/// is about 1 MB of text.
pub const SEGMENT_BYTES: usize = 64 * 1024;

/// There was no buffer to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starved;

/// A position to come back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    segments: usize,
    len: usize,
}

/// The row of buffers.
#[derive(Debug)]
pub struct Segments<B, F> {
    /// Supplies a buffer of at least so many bytes.
    supply: F,
    /// Each buffer with the length of its written front part.
    row: Vec<(B, usize)>,
}

impl<B, F> Segments<B, F>
where
    B: DerefMut<Target = [u8]>,
    F: FnMut(usize) -> Result<B, Starved>,
{
    /// An empty row.
    pub fn new(supply: F) -> Self {
        Segments {
            supply,
            row: Vec::new(),
        }
    }

    /// Lets `write` write up to `room` bytes at the end; it returns how many
    /// they were. Returns the same number.
    pub fn append(
        &mut self,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<usize, Starved> {
        let fits = self
            .row
            .last()
            .is_some_and(|(buffer, len)| buffer.len() - len >= room);
        if !fits {
            let buffer = (self.supply)(room.max(SEGMENT_BYTES))?;
            self.row.push((buffer, 0));
        }
        let (buffer, len) = self
            .row
            .last_mut()
            .expect("a segment with room was just made sure of");
        let written = write(&mut buffer[*len..]);
        *len += written;
        Ok(written)
    }

    /// The present end.
    pub fn mark(&self) -> Mark {
        Mark {
            segments: self.row.len(),
            len: self.row.last().map_or(0, |&(_, len)| len),
        }
    }

    /// Takes back everything written since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.row.truncate(mark.segments);
        if let Some((_, len)) = self.row.last_mut() {
            *len = mark.len;
        }
    }

    /// The written buffers, in order, each with its length.
    pub fn finish(self) -> Vec<(B, usize)> {
        self.row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends `text`.
    fn put<F>(segments: &mut Segments<Vec<u8>, F>, text: &[u8]) -> Result<usize, Starved>
    where
        F: FnMut(usize) -> Result<Vec<u8>, Starved>,
    {
        segments.append(text.len(), |out| {
            out[..text.len()].copy_from_slice(text);
            text.len()
        })
    }

    #[test]
    fn rewinding_forgets_whole_segments_and_parts() {
        let mut segments = Segments::new(|len| Ok(vec![0; len]));
        let empty = segments.mark();
        put(&mut segments, b"one").unwrap();
        let one = segments.mark();
        put(&mut segments, b"two").unwrap();
        put(&mut segments, &vec![b'x'; SEGMENT_BYTES]).unwrap();
        segments.rewind(one);
        put(&mut segments, b"three").unwrap();
        let row = segments.finish();
        assert_eq!(row.len(), 1);
        assert_eq!(&row[0].0[..row[0].1], b"onethree");

        let mut segments = Segments::new(|len| Ok(vec![0; len]));
        put(&mut segments, b"one").unwrap();
        segments.rewind(empty);
        assert!(segments.finish().is_empty());
    }

    #[test]
    fn a_record_longer_than_a_segment_has_its_own() {
        let mut segments = Segments::new(|len| Ok(vec![0; len]));
        put(&mut segments, b"small").unwrap();
        put(&mut segments, &vec![b'x'; 3 * SEGMENT_BYTES]).unwrap();
        put(&mut segments, b"small").unwrap();
        let lens: Vec<_> = segments.finish().iter().map(|s| s.1).collect();
        assert_eq!(lens, [5, 3 * SEGMENT_BYTES, 5]);
    }

    #[test]
    fn no_buffer_no_record() {
        let mut supply = 1;
        let mut segments = Segments::new(|len| {
            supply -= 1;
            if supply < 0 {
                Err(Starved)
            } else {
                Ok(vec![0; len])
            }
        });
        put(&mut segments, &vec![b'x'; SEGMENT_BYTES]).unwrap();
        assert_eq!(put(&mut segments, b"y"), Err(Starved));
        assert_eq!(segments.finish().len(), 1);
    }
}
