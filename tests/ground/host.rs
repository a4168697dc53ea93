//! Starts a host program of this executable in surroundings of the test's choice, and waits for its end.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Marks all processes of one host, so that what it leaves is found.
const MARK: &str = "PINFOLD_GROUND_MARK";

/// A host program that is to be started.
pub struct Host {
    pub command: Command,
    /// Its temporary files: of one that is killed too they are gone when it has ended.
    _scratch: tempfile::TempDir,
    mark: String,
    limit: Duration,
}

/// How a host has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status, or 128 + the signal, as a shell tells it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    #[allow(dead_code, reason = "shown when a test fails")]
    pub took: Duration,
}

impl Host {
    /// The program called `name` (in `programs` of its area).
    pub fn new(name: &str) -> Self {
        let mut host = Self::of(std::env::current_exe().expect("this program has a path"));
        host.command.arg("host").arg(name);
        host
    }

    /// Some other program, such as the tool or a wrapper around this one.
    pub fn of(program: impl Into<OsString>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number matters.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}.{number}", std::process::id());
        let mut command = Command::new(program.into());
        let scratch = tempfile::tempdir().expect("a directory");
        // The program may be another user's.
        let anybody = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(scratch.path(), anybody).expect("it is ours");
        command.env(MARK, &mark).env("TMPDIR", scratch.path());
        command.stdin(Stdio::null());
        Self {
            command,
            _scratch: scratch,
            mark,
            limit: Duration::from_secs(60),
        }
    }

    pub fn arg(mut self, word: impl ToString) -> Self {
        self.command.arg(word.to_string());
        self
    }

    /// How long it may take (60 s otherwise). What takes longer is killed and has failed.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs `prepare` in the new process before the program starts: limits, signals, descriptors. It may make
    /// system calls only.
    pub fn prepared(
        mut self,
        prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        // SAFETY: what the tests hand in makes system calls only, and allocates nothing.
        unsafe { self.command.pre_exec(prepare) };
        self
    }

    /// Starts it, waits for its end, and fails the test if it hangs or leaves a process behind.
    pub fn run(self) -> Ended {
        self.start().end()
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let started = Instant::now();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the host can be started");
        Running {
            stderr: drain(child.stderr.take().expect("a pipe")),
            stdout: String::new(),
            lines: lines(child.stdout.take().expect("a pipe")),
            child,
            started,
            host: self,
        }
    }
}

/// A host that has been started.
pub struct Running {
    child: Child,
    /// What was taken from `lines`.
    stdout: String,
    lines: Receiver<String>,
    stderr: JoinHandle<String>,
    started: Instant,
    host: Host,
}

impl Running {
    /// The number of its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process numbers are small")
    }

    /// The next line that it prints on stdout; the end of its output is an empty one.
    pub fn line(&mut self) -> String {
        // An error is the end: the reader has gone.
        let line = self.lines.recv_timeout(self.host.limit).unwrap_or_default();
        self.stdout.push_str(&line);
        line
    }

    /// Waits until `is` is true; fails the test if the host's time is over before that.
    pub fn until(&self, what: &str, mut is: impl FnMut(i32) -> bool) {
        while !is(self.pid()) {
            let is_late = self.started.elapsed() > self.host.limit;
            assert!(!is_late, "{:?}: still not: {what}", self.host.command);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end, and fails the test if it hangs or leaves a process behind.
    pub fn end(mut self) -> Ended {
        let status = self.wait();
        let took = self.started.elapsed();
        let left = leftovers(&self.host.mark, Duration::from_secs(10));
        for pid in &left {
            kill(*pid);
        }
        let ended = Ended {
            status: status.unwrap_or(-1),
            stdout: self.stdout + &self.lines.into_iter().collect::<String>(),
            stderr: self.stderr.join().expect("the reader ends"),
            took,
        };
        let Host { command, limit, .. } = &self.host;
        assert!(
            status.is_some(),
            "{command:?} did not end within {limit:?}: {ended:?}"
        );
        assert!(
            left.is_empty(),
            "{command:?} has left processes {left:?}: {ended:?}"
        );
        ended
    }

    fn wait(&mut self) -> Option<i32> {
        while self.started.elapsed() < self.host.limit {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status.code().or(status.signal().map(|signal| 128 + signal));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

/// Processes with this mark that still live; it waits up to `patience` for their end.
fn leftovers(mark: &str, patience: Duration) -> Vec<i32> {
    let started = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() || started.elapsed() > patience {
            return left;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Ended {
    /// It has ended with status 0; otherwise what it said is in the test's failure.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.status, 0, "{self:#?}");
        self
    }
}

/// The numbers of all processes whose environment has the mark `mark`.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
    {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        // Who has ended meanwhile, or belongs to somebody else, has no environment to be read.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|one| one == wanted)
        {
            found.push(pid);
        }
    }
    found
}

fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
}

/// Reads the lines of a pipe on a thread of its own.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, read) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            // Nobody may want to know any more.
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
    read
}

/// Reads a pipe to its end on a thread of its own.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
