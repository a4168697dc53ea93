//! What a run says when it is over: for people or for programs.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use blake3::Hash;
use serde::{Serialize, Serializer};

use super::blob::Blob;
use super::outcome::Tally;

/// The end of a run. Its JSON form is what `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Regular files found, whichever way they ended.
    pub files: u64,
    /// Chunks, which is records.
    pub chunks: u64,
    /// Bytes in these chunks.
    pub bytes: u64,
    /// Files skipped because they are binary.
    pub skipped_binary: u64,
    /// What could not be read, by path.
    pub errors: Vec<Failure>,
    /// Worker processes; 0 is sequential.
    pub workers: usize,
    /// Worker processes that died and were replaced.
    pub restarts: u64,
    /// From start to end, in seconds.
    pub elapsed_s: f64,
    /// Files per second.
    pub files_per_s: f64,
    /// BLAKE3 of exactly the bytes that `--out` holds or would hold.
    #[serde(serialize_with = "hex")]
    pub digest: Hash,
}

/// One file or directory that could not be read.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Its path below the directory; bytes that are not UTF-8 as U+FFFD.
    pub path: String,
    /// Why.
    pub error: String,
}

/// The digest as 64 hex digits.
fn hex<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_hex())
}

impl Report {
    /// Puts a report together.
    pub fn new(
        tally: Tally,
        errors: Vec<(Blob, String)>,
        digest: Hash,
        elapsed: Duration,
        (workers, restarts): (usize, u64),
    ) -> Report {
        let failure = |(path, error): (Blob, String)| Failure {
            path: String::from_utf8_lossy(&path).into_owned(),
            error,
        };
        let elapsed_s = elapsed.as_secs_f64();
        Report {
            files: tally.files,
            chunks: tally.chunks,
            bytes: tally.bytes,
            skipped_binary: tally.skipped_binary,
            errors: errors.into_iter().map(failure).collect(),
            workers,
            restarts,
            elapsed_s,
            files_per_s: tally.files as f64 / elapsed_s.max(1e-9),
            digest,
        }
    }

    /// Writes the JSON form and a line end.
    pub fn write_json(&self, mut to: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut to, self)?;
        to.write_all(b"\n")
    }

    /// Writes the list of what failed, a line each.
    pub fn write_failures(&self, mut to: impl Write) -> io::Result<()> {
        for failure in &self.errors {
            // A path may hold line ends and worse; shown, it holds none.
            writeln!(
                to,
                "pinfold index: {}: {}",
                failure.path.escape_debug(),
                failure.error
            )?;
        }
        Ok(())
    }
}

/// The summary for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            files,
            chunks,
            bytes,
            skipped_binary,
            elapsed_s,
            files_per_s,
            ..
        } = self;
        let megabytes = *bytes as f64 / 1e6;
        writeln!(
            f,
            "{}, {skipped_binary} of them binary (skipped)",
            count(*files, "file")
        )?;
        writeln!(f, "{}, {megabytes:.1} MB of text", count(*chunks, "chunk"))?;
        if !self.errors.is_empty() {
            writeln!(f, "{} could not be read", self.errors.len())?;
        }
        write!(f, "{elapsed_s:.3} s, {files_per_s:.0} files/s, ")?;
        match (self.workers, self.restarts) {
            (0, _) => writeln!(f, "no workers")?,
            (workers, 0) => writeln!(f, "{}", count(workers as u64, "worker"))?,
            (workers, restarts) => {
                let workers = count(workers as u64, "worker");
                writeln!(f, "{workers}, {}", count(restarts, "restart"))?;
            }
        }
        write!(f, "digest {}", self.digest)
    }
}

/// A number of things.
fn count(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some report.
    fn report() -> Report {
        let tally = Tally {
            files: 10,
            chunks: 20,
            bytes: 3_000_000,
            skipped_binary: 1,
        };
        let errors = vec![(Blob(b"a\xff\nb".to_vec()), "cannot open: gone".to_string())];
        Report::new(
            tally,
            errors,
            blake3::hash(b""),
            Duration::from_millis(500),
            (2, 1),
        )
    }

    #[test]
    fn json_has_the_promised_keys_in_order() {
        let mut json = Vec::new();
        report().write_json(&mut json).unwrap();
        let digest = blake3::hash(b"");
        let expected = format!(
            "{{\"files\":10,\"chunks\":20,\"bytes\":3000000,\"skipped_binary\":1,\
             \"errors\":[{{\"path\":\"a\u{fffd}\\nb\",\"error\":\"cannot open: gone\"}}],\
             \"workers\":2,\"restarts\":1,\"elapsed_s\":0.5,\"files_per_s\":20.0,\
             \"digest\":\"{digest}\"}}\n"
        );
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[test]
    fn the_summary_is_short_and_says_all() {
        let text = report().to_string();
        assert_eq!(text.lines().count(), 5);
        for part in [
            "10 files",
            "20 chunks",
            "3.0 MB",
            "1 could not",
            "2 workers, 1 restart",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let mut list = Vec::new();
        report().write_failures(&mut list).unwrap();
        let list = String::from_utf8(list).unwrap();
        assert_eq!(list, "pinfold index: a\u{fffd}\\nb: cannot open: gone\n");
    }
}
