//! Small files of the kernel's, read as text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// As much as the kernel gives of such a file at a time.
const PIECE: usize = 4096;

/// All of a file that does not say how long it is, in as few reads as it takes: most files of
/// /proc are made anew for each.
///
/// # Errors
/// What open(2) and read(2) report, or that it is no text.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::with_capacity(PIECE);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_a_piece_is_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let written = "line\n".repeat(PIECE);
        std::fs::write(file.path(), &written).expect("written");
        assert_eq!(read_text(file.path()).expect("read"), written);
    }
}
