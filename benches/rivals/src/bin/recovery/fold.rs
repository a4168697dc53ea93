//! pinfold: a worker is killed in the middle of a task that may be repeated.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use pinfold::{Builder, Runtime};

use crate::floor::{SETTLE, busy, micros, ran_at};
use crate::machine::{Victim, board, is_asleep, no_core_files, now, until, write_cores};

/// Uses so many MiB and is busy for ever in its first attempt; the second says when it
/// ran.
fn job((round, mib): (u32, usize)) -> u32 {
    let entered = now();
    let board = board();
    // ordering: the host resets the board before it submits.
    if board.attempts.fetch_add(1, Ordering::AcqRel) == 0 {
        std::hint::black_box(vec![1u8; mib << 20]).leak();
        board
            .ready
            .store(std::process::id() as i32, Ordering::Release);
        busy();
    }
    board.ran_at.store(entered, Ordering::Relaxed);
    round
}

/// A running fold that is wounded once a round.
pub struct Wounded {
    rt: Runtime,
    workers: usize,
    others: Others,
    rounds: u32,
    /// What the one that is killed has used of memory.
    mib: usize,
    /// It aborts instead of being killed.
    crashes: bool,
    /// Where its cores go.
    cores: Option<Folder>,
}

/// A folder of this process's own, which is removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("pinfold-cores-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).expect("a folder");
        folder
    }

    /// Removes what is in it; how many files.
    fn empty(&self) -> usize {
        let files = std::fs::read_dir(&self.0).expect("a folder");
        let files = files
            .flatten()
            .map(|file| std::fs::remove_file(file.path()));
        files.filter(Result::is_ok).count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.empty();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// What the other workers have done when one is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// A task, as in a fold that has run for a while.
    HaveWorked,
    /// Nothing yet: each page of code and data is touched for the first time.
    AreNew,
}

impl Wounded {
    pub fn start(builder: Builder, workers: usize, others: Others) -> Self {
        let rt = builder.workers(workers).start().expect("pinfold starts");
        let wounded = Wounded {
            rt,
            workers,
            others,
            rounds: 0,
            mib: 0,
            crashes: false,
            cores: None,
        };
        wounded.heal();
        wounded
    }

    /// As (a), but they abort; with cores to files of a folder of their own, or without.
    pub fn crashing(with_cores: bool) -> Result<Self, String> {
        if with_cores && let Some(why) = no_core_files() {
            return Err(why);
        }
        // Workers have the limits and the folder that the host has when it starts them.
        let folder = with_cores.then(Folder::new);
        let before = std::env::current_dir().expect("a folder");
        if let Some(folder) = &folder {
            std::env::set_current_dir(&folder.0).expect("a folder");
        }
        write_cores(with_cores);
        let wounded = Wounded::start(Runtime::builder(), 2, Others::HaveWorked);
        write_cores(false);
        std::env::set_current_dir(before).expect("a folder");
        Ok(Wounded {
            crashes: true,
            cores: folder,
            ..wounded
        })
    }

    /// The same, but those that are killed have used so much memory.
    pub fn large(mut self, mib: usize) -> Self {
        self.mib = mib;
        self
    }

    /// µs from the kill until the task's second attempt ran, and until `join`
    /// returned.
    pub fn recover(&mut self) -> Vec<f64> {
        let board = board();
        self.rounds += 1;
        board.attempts.store(0, Ordering::Relaxed);
        board.ready.store(0, Ordering::Release);
        let task = self.rt.task(job).safe_to_repeat(5);
        let handle = task.spawn((self.rounds, self.mib));
        until("the task", || board.ready.load(Ordering::Acquire) != 0);
        let victim = Victim::of(board.ready.load(Ordering::Acquire));
        std::thread::sleep(SETTLE);
        let start = if self.crashes {
            victim.crash()
        } else {
            victim.kill()
        };
        let value = handle.join();
        let end = now();
        assert_eq!(value, Ok(self.rounds), "the right value");
        assert_eq!(board.attempts.load(Ordering::Acquire), 2, "run again, once");
        let times = vec![micros(start, ran_at()), micros(start, end)];
        self.heal();
        if let Some(folder) = &self.cores {
            assert!(folder.empty() > 0, "a core was written");
        }
        times
    }

    /// Waits until every worker is there again and has nothing to do.
    fn heal(&self) {
        until("the new worker", || {
            let stats = self.rt.stats();
            stats.restarts == u64::from(self.rounds)
                && stats.workers.len() == self.workers
                && stats.workers.iter().all(|w| w.pid > 0 && is_asleep(w.pid))
        });
        if self.others == Others::HaveWorked {
            self.work();
        }
        std::thread::sleep(SETTLE);
        if self.mib > 0 {
            // The dead one's memory is taken apart: it must not slow who has the next turn.
            std::thread::sleep(50 * SETTLE);
        }
    }

    /// Gives short tasks to all until each worker has run one.
    fn work(&self) {
        let runs = || self.rt.stats().workers.iter().map(|w| w.run).collect();
        let before: Vec<u64> = runs();
        board().attempts.store(1, Ordering::Release);
        until("a task for each worker", || {
            let tasks = self
                .rt
                .task(job)
                .map((0..4 * self.workers as u32).map(|n| (n, 0)));
            assert!(tasks.flatten().count() == 4 * self.workers);
            let now = runs();
            now.iter().zip(&before).all(|(now, before)| now > before)
        });
    }
}
