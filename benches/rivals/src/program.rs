//! Rivals that are programs of their own, in C, C++ or Python.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longer than any single round takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that answers each line it is given with one line of numbers, so that
/// its rounds can be interleaved with those of others. It should sleep meanwhile.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    answers: ChildStdout,
}

/// A program, or why there is none: what is asked of none is answered with that.
#[derive(Debug)]
pub struct Rival(Result<Program, String>);

impl Rival {
    /// Gives it a line, and waits for its numbers.
    pub fn ask(&mut self, line: &str) -> Result<Vec<f64>, String> {
        self.0.as_mut().map_err(|why| why.clone())?.ask(line)
    }
}

impl From<Result<Program, String>> for Rival {
    fn from(program: Result<Program, String>) -> Self {
        Rival(program)
    }
}

impl Program {
    /// A program of `benches/rivals/native`, which `scripts/bench` has compiled.
    pub fn native(name: &str, args: &[&str]) -> Rival {
        Self::native_under(&[], name, args)
    }

    /// The same, started by another program, such as `mpirun -np 2`.
    pub fn native_under(starter: &[&str], name: &str, args: &[&str]) -> Rival {
        let path = native_folder().join(name);
        if !path.exists() {
            let why = std::fs::read_to_string(path.with_extension("why"));
            let why = why.map(|why| why.trim().to_owned());
            return Rival(Err(why.unwrap_or_else(|_| {
                "it is not built (scripts/bench does that)".to_owned()
            })));
        }
        let mut words: Vec<OsString> = starter.iter().map(Into::into).collect();
        words.push(path.into());
        words.extend(args.iter().map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        Rival(Self::start(name, command))
    }

    /// A Python script, given as its text.
    pub fn python(name: &str, script: &str, args: &[&str]) -> Rival {
        let python = std::env::var_os("PINFOLD_BENCH_PYTHON").unwrap_or("python3".into());
        let mut command = Command::new(python);
        command.arg("-c").arg(script).args(args);
        Rival(Self::start(name, command))
    }

    /// Any program.
    pub fn start(name: &str, mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name} cannot be started: {e}"))?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or("no pipe")?;
        Ok(Program {
            name: name.to_owned(),
            child,
            orders,
            answers,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it a line, and waits for its numbers. A line that begins with `!` says
    /// why there are none.
    pub fn ask(&mut self, line: &str) -> Result<Vec<f64>, String> {
        let line = format!("{line}\n");
        let sent = self
            .orders
            .as_mut()
            .map(|o| o.write_all(line.as_bytes()).and_then(|()| o.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.last_words());
        }
        let answer = self.read_line()?;
        if let Some(why) = answer.strip_prefix('!') {
            return Err(why.trim().to_owned());
        }
        let number = |word: &str| word.parse().map_err(|_| format!("it said '{answer}'"));
        answer.split_whitespace().map(number).collect()
    }

    fn read_line(&mut self) -> Result<String, String> {
        let patience = Timespec::try_from(PATIENCE).map_err(|e| e.to_string())?;
        let mut line = Vec::new();
        loop {
            let mut fds = [PollFd::from_borrowed_fd(
                self.answers.as_fd(),
                PollFlags::IN,
            )];
            if !matches!(poll(&mut fds, Some(&patience)), Ok(1)) {
                let _ = self.child.kill();
                return Err(format!("no answer within {} s", PATIENCE.as_secs()));
            }
            let mut some = [0; 4096];
            match self.answers.read(&mut some) {
                Ok(n) if n > 0 => line.extend_from_slice(&some[..n]),
                _ => return Err(self.last_words()),
            }
            if line.last() == Some(&b'\n') {
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
        }
    }

    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => format!("{} has ended: {status}", self.name),
            Err(error) => format!("{} does not answer: {error}", self.name),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of its input is its order to end.
        self.orders = None;
        for _ in 0..50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `scripts/bench` puts what it compiles.
fn native_folder() -> PathBuf {
    let named = std::env::var_os("PINFOLD_BENCH_NATIVE").map(PathBuf::from);
    named.unwrap_or_else(|| {
        let exe = std::env::current_exe().unwrap_or_default();
        let target = exe.ancestors().nth(2).map(PathBuf::from);
        target.unwrap_or_default().join("bench/native")
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Program, Rival};

    #[test]
    fn lines_are_answered_with_numbers() {
        let mut cat: Rival = Program::start("cat", Command::new("cat")).into();
        assert_eq!(cat.ask("1 2.5"), Ok(vec![1.0, 2.5]));
        assert_eq!(cat.ask("! no such thing"), Err("no such thing".into()));
        assert!(cat.ask("words").is_err());
        let mut ended: Rival = Program::start("true", Command::new("true")).into();
        assert!(
            ended
                .ask("1")
                .expect_err("it ends")
                .contains("exit status: 0")
        );
        let mut absent = Program::native("no-such-program", &[]);
        assert!(absent.ask("1").is_err());
    }
}
