//! The progress bar, for people at a terminal.
//!
//! The job streams, so nobody knows how many files there are until the last
//! one is found. For the time left somebody must: while there is a bar, a
//! thread of its own walks the tree ahead and counts. No terminal, no bar, no
//! thread.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::walk::{Step, Walk};

/// While the number of files is not known.
const COUNTING: &str = "{spinner} {pos} files  {rate} files/s  {prefix}";
/// When it is.
const COUNTED: &str = "{wide_bar} {pos}/{len} files  {rate} files/s  {prefix}  {eta} left";

/// A bar, or none.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Tells the counting thread that nobody needs its number any more.
    over: Arc<AtomicBool>,
}

impl Progress {
    /// A bar for a run over `dir` with so many workers, if `wanted` and stderr
    /// is a terminal.
    pub fn start(wanted: bool, dir: &Path, workers: usize) -> Progress {
        let over = Arc::new(AtomicBool::new(false));
        if !wanted || !stderr().is_terminal() {
            return Progress { bar: None, over };
        }
        let bar = ProgressBar::no_length().with_style(style(COUNTING));
        bar.set_prefix(match workers {
            0 => "no workers".to_string(),
            1 => "1 worker".to_string(),
            workers => format!("{workers} workers"),
        });
        let (dir, bar_counted, stop) = (dir.to_path_buf(), bar.clone(), over.clone());
        thread::spawn(move || {
            if let Some(files) = count(&dir, &stop) {
                bar_counted.set_style(style(COUNTED));
                bar_counted.set_length(files);
            }
        });
        Progress {
            bar: Some(bar),
            over,
        }
    }

    /// Shows that so many files are done.
    pub fn set(&self, files: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(files);
        }
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        // Only a hint to stop counting; nothing else depends on it.
        self.over.store(true, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A style by its template.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are valid");
    // The built-in rate has four decimals.
    style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
        // What cannot be shown is not worth an error.
        let _ = write!(out, "{:.0}", state.per_sec());
    })
}

/// How many files a walk of `dir` finds, unless it is told to stop.
fn count(dir: &Path, stop: &AtomicBool) -> Option<u64> {
    let mut walk = Walk::new(dir).ok()?;
    let mut files = 0;
    while let Some(step) = walk.step() {
        files += u64::from(matches!(step, Step::File(_)));
        if stop.load(Ordering::Relaxed) {
            return None;
        }
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_counting() {
        style(COUNTING);
        style(COUNTED);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dir")).unwrap();
        for name in ["a", "dir/b", "dir/c"] {
            std::fs::write(root.path().join(name), b"").unwrap();
        }
        assert_eq!(count(root.path(), &AtomicBool::new(false)), Some(3));
        assert_eq!(count(root.path(), &AtomicBool::new(true)), None);
    }
}
