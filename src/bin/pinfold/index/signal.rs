//! Ctrl-C and its relatives: stop, say how far it got, leave nothing.
//!
//! ```text
//! signal ─▶ thread ─▶ raised ──────────▶ the run breaks off, shuts the workers
//!             │                           down, says how far it got, exits
//!             └─ waits GRACE ───────────▶ still here? says it and exits itself
//! ```
//!
//! The second way is for a run that hangs, in a file on a dead network mount
//! for example. Workers end with their host, however it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::outcome::Tally;
use super::say::say;

/// How long the run has to end by itself.
const GRACE: Duration = Duration::from_millis(600);

/// How long after a failure its signal may come: the kernel tells one process of a group after the other.
const NEWS: Duration = Duration::from_millis(200);

/// How far the run is, for whoever has to say it.
///
/// Relaxed throughout: single numbers for a message, which order nothing.
#[derive(Debug, Default)]
struct State {
    /// The signal that came, or 0.
    signal: AtomicI32,
    files: AtomicU64,
    chunks: AtomicU64,
    /// A file to be removed on the way out.
    leftover: Mutex<Option<PathBuf>>,
}

/// Looks out for signals that end the run.
#[derive(Debug, Clone)]
pub struct Watch(Arc<State>);

impl Watch {
    /// Looks out from now on, for those signals that were not ignored when the program started (`nohup`).
    pub fn start() -> std::io::Result<Watch> {
        let watch = Watch(Arc::default());
        let mine = watch.clone();
        // A caught SIGXFSZ ends nobody: a write beyond the limit on file sizes is an error like any other.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP];
        let mut signals = Signals::new(wanted.iter().filter(|&&s| !is_in(ignored, s)))?;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let Some(signal) = signals.forever().next() else {
                    return;
                };
                mine.0.signal.store(signal, Ordering::Relaxed);
                thread::sleep(GRACE);
                let leftover = mine.0.leftover.lock();
                if let Some(leftover) = leftover.ok().and_then(|mut name| name.take()) {
                    // Nobody is left to tell if this fails.
                    let _ = fs::remove_file(leftover);
                }
                say(mine.message());
                exit(128 + signal);
            })?;
        Ok(watch)
    }

    /// Removes the file at `leftover` if a signal ends the program.
    pub fn removes(&self, leftover: Option<&Path>) {
        if let Ok(mut name) = self.0.leftover.lock() {
            *name = leftover.map(PathBuf::from);
        }
    }

    /// True if a signal has come, or comes within a moment: asked when something failed for which a signal to the whole
    /// process group may be the cause.
    pub fn raised_soon(&self) -> bool {
        let start = Instant::now();
        while !self.raised() && start.elapsed() < NEWS {
            thread::sleep(Duration::from_millis(1));
        }
        self.raised()
    }

    /// Notes how far the run is.
    pub fn seen(&self, tally: &Tally) {
        self.0.files.store(tally.files, Ordering::Relaxed);
        self.0.chunks.store(tally.chunks, Ordering::Relaxed);
    }

    /// True if the run should end.
    pub fn raised(&self) -> bool {
        self.signal().is_some()
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }

    /// How far it got, in a line.
    pub fn message(&self) -> String {
        let files = self.0.files.load(Ordering::Relaxed);
        let chunks = self.0.chunks.load(Ordering::Relaxed);
        format!("interrupted after {files} files, {chunks} chunks")
    }
}

/// The signals that are ignored, as a set of bits: bit 0 is signal 1.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Whether `signal` is in such a set.
fn is_in(set: u64, signal: i32) -> bool {
    set >> (signal - 1) & 1 == 1
}
