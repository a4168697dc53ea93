//! A runtime's life in bad surroundings: each step works, or fails with an error that is told.

use std::time::{Duration, Instant};

use pinfold::{Runtime, Shutdown, TaskError};

use crate::Program;
use crate::host::Ended;

/// All went well.
pub const WELL: i32 = 0;
/// Something could not be done, and an error has said so.
pub const TOLD: i32 = 4;
/// A value was not the right one.
const WRONG: i32 = 8;
/// Something has not ended.
const HUNG: i32 = 9;

/// How long a task may take to end somehow.
const PATIENCE: Duration = Duration::from_secs(30);

/// All steps, in an order in which each has something to do.
pub const STEPS: &str = "run,worker,run,zygote,run,fork,run,drain";

pub fn programs() -> Vec<Program> {
    vec![("life", life)]
}

/// What the host said, if it lived as it should: it was well, or it has told why not.
#[track_caller]
pub fn told(ended: &Ended) -> Option<&str> {
    match ended.status {
        WELL => None,
        TOLD if !ended.stdout.trim().is_empty() => Some(&ended.stdout),
        _ => panic!("{ended:#?}"),
    }
}

/// Its words: how many workers, and the steps; then, if it is wanted, how often a timer rings,
/// in µs (0: never), and whether others keep the CPUs busy (1).
fn life(words: &[String]) {
    let workers = words[0].parse().expect("a number");
    if let Some(every) = words.get(2).and_then(|word| word.parse().ok())
        && every > 0
    {
        crate::signals::set_timer(every);
    }
    if words.get(3).is_some_and(|word| word == "1") {
        let spin = || {
            loop {
                std::hint::spin_loop();
            }
        };
        for _ in 0..2 {
            // Without them it is just less busy.
            drop(std::thread::Builder::new().spawn(spin));
        }
    }
    let begin = Instant::now();
    let rt = match Runtime::builder().workers(workers).start() {
        Ok(rt) => rt,
        Err(error) => {
            println!("start: {error}");
            eprintln!("{}", begin.elapsed().as_millis());
            std::process::exit(TOLD);
        }
    };
    let mut life = Life {
        rt: Some(rt),
        has_told: false,
    };
    for step in words[1].split(',') {
        life.step(step);
    }
    drop(life.rt);
    std::process::exit(if life.has_told { TOLD } else { WELL });
}

struct Life {
    rt: Option<Runtime>,
    has_told: bool,
}

impl Life {
    fn step(&mut self, step: &str) {
        match step {
            "drain" => self.shut_down(Shutdown::Drain),
            "abort" => self.shut_down(Shutdown::Abort),
            "fork" => fork_once(),
            "run" => {
                let handles: Vec<_> = (0..20).map(|n| self.rt().spawn(square, n)).collect();
                for (n, mut handle) in (0..).zip(handles) {
                    let outcome = handle.join_timeout(PATIENCE);
                    self.check(step, outcome, n * n);
                }
            }
            "worker" => {
                let mut one = self.rt().spawn(die, ());
                match one.join_timeout(PATIENCE) {
                    Some(Err(TaskError::WorkerDied { .. })) => {}
                    Some(Err(error)) => self.tell(step, &error.to_string()),
                    Some(Ok(())) => std::process::exit(WRONG),
                    None => std::process::exit(HUNG),
                }
            }
            "zygote" => {
                let mut one = self.rt().spawn(end_the_zygote, ());
                if one.join_timeout(PATIENCE).is_none() {
                    std::process::exit(HUNG);
                }
                let mut again = self.rt().task(square).safe_to_repeat(10).spawn(7);
                let outcome = again.join_timeout(PATIENCE);
                self.check(step, outcome, 49);
            }
            other => panic!("no such step: {other}"),
        }
    }

    fn rt(&self) -> &Runtime {
        self.rt.as_ref().expect("shut down last")
    }

    fn check(&mut self, step: &str, outcome: Option<Result<u64, TaskError>>, right: u64) {
        match outcome {
            Some(Ok(value)) if value == right => {}
            Some(Ok(_)) => std::process::exit(WRONG),
            Some(Err(error)) => self.tell(step, &error.to_string()),
            None => std::process::exit(HUNG),
        }
    }

    fn shut_down(&mut self, how: Shutdown) {
        if let Some(rt) = self.rt.take()
            && let Err(error) = rt.shutdown(how)
        {
            self.tell("shutdown", &error.to_string());
        }
    }

    fn tell(&mut self, step: &str, error: &str) {
        println!("{step}: {error}");
        self.has_told = true;
    }
}

fn square(n: u64) -> u64 {
    n * n
}

fn die(_: ()) {
    std::process::abort()
}

fn end_the_zygote(_: ()) {
    // SAFETY: the parent of a worker is its zygote.
    if unsafe { libc::kill(libc::getppid(), libc::SIGKILL) } == 0 {
        std::thread::sleep(PATIENCE);
    }
}

/// A child that lives for a moment, and ends without a word.
fn fork_once() {
    // SAFETY: the child makes two system calls.
    unsafe {
        match libc::fork() {
            0 => {
                libc::usleep(5_000);
                libc::_exit(0)
            }
            -1 => {}
            child => {
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) == -1
                    && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
                {
                }
            }
        }
    }
}
