//! Python's `concurrent.futures.ProcessPoolExecutor`, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A Python that recovers once for each line it is given.
pub struct Python {
    child: Child,
    orders: ChildStdin,
    times: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Python {
    /// Why not, if there is no `python3`.
    pub fn start(sleeping: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut child = Command::new("python3")
            .args(["-c", include_str!("pool.py")])
            .arg(folder.path())
            .arg(if sleeping { "sleeping" } else { "busy" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("python3: {e}"))?;
        let orders = child.stdin.take().ok_or("no pipe")?;
        let times = child.stdout.take().ok_or("no pipe")?;
        Ok(Python {
            child,
            orders,
            times: BufReader::new(times),
            _folder: folder,
        })
    }

    /// µs from the kill until the pool was known to be broken, and until the task's
    /// result was there.
    pub fn recover(&mut self) -> Result<Vec<f64>, String> {
        let mut line = String::new();
        self.orders
            .write_all(b"\n")
            .and_then(|()| self.orders.flush())
            .and_then(|()| self.times.read_line(&mut line))
            .map_err(|e| format!("python3: {e}"))?;
        let times: Vec<f64> = line
            .split_whitespace()
            .filter_map(|t| t.parse().ok())
            .collect();
        if times.len() == 2 {
            Ok(times)
        } else {
            Err("python3 gave up (see above)".into())
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
