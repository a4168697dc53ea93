//! The options of `pinfold index`, and what they mean.

use std::path::PathBuf;

use clap::{Args, value_parser};
use pinfold::topology::Topology;

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  pinfold index .                                index this directory, print a summary
  pinfold index /usr/share --out index.jsonl     write the records, too
  pinfold index src --lines 20 --out - | head    records to stdout, summary to stderr
  pinfold index . --json --workers 0             sequential, the reference: same digest

Each record is one line of JSON:
  {\"path\":…,\"start_line\":…,\"end_line\":…,\"bytes\":…,\"blake3\":…}
Records are in order of path (raw bytes), then line, and are byte for byte the
same for every number of workers. What the run itself writes is never indexed.

A file that cannot be read, or whose contents change while it is being read, is
one listed error; of a file of more than 1 MiB, what lies before the failure may
be in the records, the same for every number of workers. If no worker can be started any more, the
rest is done without workers, and a line on stderr says why.

Exit status:
  0    all well
  1    finished, but some files failed; each is listed with its reason
  2    could not start, or could not write the output; the message says why
  130  interrupted by Ctrl-C (143: by SIGTERM, 129: by SIGHUP)
  141  whoever read the output closed it";

/// Walk a tree, cut every text file into chunks of lines, fingerprint each chunk
///
/// All regular files below DIR are read, hidden ones too. Symbolic links are not
/// followed; devices, sockets and pipes are skipped, and so are binary files
/// (those with a NUL byte in the first 8 KiB). Reading, cutting and hashing are
/// done by worker processes; one that dies costs a retry, never a record.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct IndexArgs {
    /// The directory to index
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Lines in a chunk, at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u64).range(1..))]
    pub lines: u64,

    /// Write the records to FILE; "-" is stdout
    ///
    /// FILE appears when it is complete; until then what was there before stays.
    /// It keeps mode, owner, attributes and links that it has.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Worker processes; 0 does the work in this process, sequentially
    /// [default: one per allowed CPU]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(0..=1024))]
    pub workers: Option<u16>,

    /// Threads in each worker process (no effect with --workers 0)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub json: bool,

    /// Show no progress bar (there is none anyway if stderr is no terminal)
    #[arg(long)]
    pub no_progress: bool,

    /// The most shared memory to use, e.g. 64M or 2GiB [default: the runtime's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory_cap: Option<u64>,
}

impl IndexArgs {
    /// How many workers there are to be.
    pub fn workers(&self) -> usize {
        match self.workers {
            Some(workers) => workers.into(),
            None => {
                let threads = usize::from(self.threads);
                (Topology::read().default_workers() / threads).max(1)
            }
        }
    }
}

/// A size in bytes: a number, perhaps with K, M, G or T (powers of 1024), and
/// perhaps "B" or "iB" behind that.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write for example 16M or 2GiB");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let shift = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if bytes == 0 {
        Err("a size is more than nothing; write for example 16M or 2GiB".into())
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_by_table() {
        for (text, bytes) in [
            ("1", 1),
            ("4096B", 4096),
            ("512k", 512 << 10),
            ("64M", 64 << 20),
            ("64MB", 64 << 20),
            ("2GiB", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "1.5G",
            "1x",
            "1iB",
            "1 M",
            "0",
            "99999999999T",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
