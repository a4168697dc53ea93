//! Where records end up: counted into the digest and written out, in order.

use std::io::{self, Write};

use blake3::{Hash, Hasher};

/// Takes records as they come.
pub struct Sink<W> {
    hasher: Hasher,
    out: Option<W>,
}

impl<W: Write> Sink<W> {
    /// A sink that writes to `out`, if there is one.
    pub fn new(out: Option<W>) -> Sink<W> {
        Sink {
            hasher: Hasher::new(),
            out,
        }
    }

    /// Takes some records.
    pub fn put(&mut self, records: &[u8]) -> io::Result<()> {
        self.hasher.update(records);
        match &mut self.out {
            Some(out) => out.write_all(records),
            None => Ok(()),
        }
    }

    /// The digest of exactly the bytes that were written (or would have been),
    /// and what they were written to.
    pub fn finish(self) -> (Hash, Option<W>) {
        (self.hasher.finalize(), self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_bytes_written() {
        let mut sink = Sink::new(Some(Vec::new()));
        for part in [&b"one\n"[..], b"", b"two\n"] {
            sink.put(part).unwrap();
        }
        let (digest, out) = sink.finish();
        assert_eq!(out.unwrap(), b"one\ntwo\n");
        assert_eq!(digest, blake3::hash(b"one\ntwo\n"));

        let mut silent = Sink::<Vec<u8>>::new(None);
        silent.put(b"one\ntwo\n").unwrap();
        assert_eq!(silent.finish().0, digest);
    }
}
