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
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::outcome::Tally;

/// How long the run has to end by itself.
const GRACE: Duration = Duration::from_millis(600);

/// How far the run is, for whoever has to say it.
///
/// Relaxed throughout: single numbers for a message, which order nothing.
#[derive(Debug, Default)]
struct State {
    /// The signal that came, or 0.
    signal: AtomicI32,
    files: AtomicU64,
    chunks: AtomicU64,
}

/// Looks out for signals that end the run.
#[derive(Debug, Clone)]
pub struct Watch(Arc<State>);

impl Watch {
    /// Looks out from now on. `leftover` is a file to be removed on the way out.
    pub fn start(leftover: Option<&Path>) -> std::io::Result<Watch> {
        let watch = Watch(Arc::default());
        let (mine, leftover) = (watch.clone(), leftover.map(PathBuf::from));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let Some(signal) = signals.forever().next() else {
                    return;
                };
                mine.0.signal.store(signal, Ordering::Relaxed);
                thread::sleep(GRACE);
                if let Some(leftover) = &leftover {
                    // Nobody is left to tell if this fails.
                    let _ = fs::remove_file(leftover);
                }
                eprintln!("{}", mine.message());
                exit(128 + signal);
            })?;
        Ok(watch)
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
        format!("pinfold index: interrupted after {files} files, {chunks} chunks")
    }
}
