//! The host's side of the control socket.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use crate::prim::Death;
use crate::sys::calls::{explained, is_shortage};
use crate::sys::{BuildId, Held, Lifeline, Surroundings, affinity, pidfd, reap};

use super::control::{FromZygote, ToZygote, WorkerOrder, receive, send};
use super::hello::ZygoteError;
use super::logs::LogWriter;
use super::started::{END_TIMEOUT, Started};

/// What a host tells each zygote of itself, besides the fold.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Its build.
    pub build: BuildId,
    /// Where the workers' log events go, if anybody wants them.
    pub logs: Option<LogWriter>,
    /// What all its zygotes inherit.
    pub surroundings: Arc<Surroundings>,
    /// Whether the programs that workers start end with them.
    pub ends_programs: bool,
    /// What the workers' init is called with, encoded; every zygote has it, for all its workers.
    pub init_args: Option<Arc<[u8]>>,
}

/// What the zygote says.
#[derive(Debug)]
pub enum Notice {
    /// A worker was forked.
    Spawned {
        /// Which.
        worker: u32,
        /// Its process number.
        pid: i32,
        /// A descriptor of it, if there was room for one: see [`Zygote::ask_again`].
        pidfd: Option<Held>,
    },
    /// A worker could not be forked.
    NotSpawned {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// A worker has ended of which there is no descriptor.
    Ended {
        /// Its process number.
        pid: i32,
    },
    /// A worker was reaped.
    Exited {
        /// Its process number.
        pid: i32,
        /// How it ended.
        death: Death,
        /// The end of what it wrote to its standard error, if that was kept.
        words: Option<String>,
    },
    /// There is one more spare.
    Spare,
    /// A spare could not be forked.
    NoSpare {
        /// Why.
        reason: String,
    },
    /// There was one, or there may be one, but it could not be received now.
    Unheard,
    /// The zygote itself has ended.
    Closed,
}

/// A process that waits to hear which worker it is.
#[derive(Debug)]
struct Spare {
    pid: i32,
    pidfd: Held,
    socket: Held,
}

/// A running zygote. Dropping it ends it, and with it all its workers.
#[derive(Debug)]
pub struct Zygote {
    socket: Option<Held>,
    process: Started,
    spares: Vec<Spare>,
    /// Why it has ended, if it said so.
    reason: Option<String>,
    /// Spares that were asked for and have not come yet.
    spares_asked: u32,
    /// Of spares that have become workers: closed when there is time.
    used: Vec<Held>,
    /// Held by every worker that it has forked and that still lives.
    lifeline: Lifeline,
    /// Whoever is left when this is closed is killed.
    presence: Option<Held>,
}

impl Zygote {
    pub(super) fn new(socket: Held, process: Started, lifeline: Lifeline, presence: Held) -> Self {
        Zygote {
            socket: Some(socket),
            process,
            reason: None,
            spares: Vec::new(),
            spares_asked: 0,
            used: Vec::new(),
            lifeline,
            presence: Some(presence),
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref()?.get().ok()
    }

    /// Whether the program has closed a descriptor of it, or has something else by its number.
    pub fn is_lost(&self) -> bool {
        let own = self.socket.iter().chain(&self.presence);
        let spares = self.spares.iter().flat_map(|s| [&s.pidfd, &s.socket]);
        !own.chain(spares).all(Held::is_ours) || !self.process.is_ours()
    }

    /// Readable when there is a notice.
    pub fn heard(&self) -> Option<&Held> {
        self.socket.as_ref()
    }

    /// Why it has closed.
    pub fn error(&self) -> ZygoteError {
        match &self.reason {
            Some(reason) => ZygoteError::Refused(reason.clone()),
            None => ZygoteError::ended_while("it started workers"),
        }
    }

    /// Ends it, and waits until all its workers have ended, also those of which it could
    /// not tell any more that they were forked.
    pub fn bury(&mut self) {
        self.socket = None;
        let spares = std::mem::take(&mut self.spares);
        self.presence = None;
        self.process.bury(&self.lifeline);
        for spare in spares {
            let _ = spare.pidfd.get().map(reap::reap);
        }
    }

    fn send(&self, message: &ToZygote) -> std::io::Result<()> {
        match self.socket() {
            Some(socket) => send(&socket, message, &[]),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Asks for what is missing to `wanted` processes that are ready to become workers.
    pub fn ask_for_spares(&mut self, wanted: u32) {
        self.used.clear();
        while self.lacks_spares(wanted) && self.send(&ToZygote::SpawnSpare).is_ok() {
            self.spares_asked += 1;
        }
    }

    /// Whether there are fewer spares than `wanted`, those asked for included.
    pub fn lacks_spares(&self, wanted: u32) -> bool {
        self.spares.len() as u64 + u64::from(self.spares_asked) < u64::from(wanted)
    }

    /// Descriptors of the spares.
    pub fn spares(&self) -> impl Iterator<Item = &Held> {
        self.spares.iter().map(|spare| &spare.pidfd)
    }

    /// Spares that have ended, as their descriptors say, are not used any more.
    pub fn lose_spares(&mut self, ended: impl Fn(usize) -> bool) {
        for at in (0..self.spares.len()).rev().filter(|at| ended(*at)) {
            let spare = self.spares.swap_remove(at);
            let _ = self.reap(spare.pid, 0);
        }
    }

    /// Asks how a process has ended that its pidfd says has ended, and has `keeper`, by
    /// which it said its memory is kept, ended too (0: none).
    pub fn reap(&self, pid: i32, keeper: i32) -> std::io::Result<()> {
        self.send(&ToZygote::Reap { pid, keeper })
    }

    /// The pidfd of worker `pid` has not arrived: asks for it again, and to be told when it
    /// ends.
    pub fn ask_again(&self, pid: i32) -> std::io::Result<()> {
        self.send(&ToZygote::Again { pid })
    }

    /// Ends worker `pid`, whose pidfd has not arrived.
    pub fn kill(&self, pid: i32) -> std::io::Result<()> {
        self.send(&ToZygote::Kill { pid })
    }

    /// Asks for a worker. If a spare could take its place at once, returns its
    /// process number and pidfd; else a notice will.
    pub fn spawn(&mut self, order: &WorkerOrder) -> std::io::Result<Option<(i32, Held)>> {
        while let Some(spare) = self.spares.pop() {
            if let Some(cpu) = order.only_cpu() {
                affinity::place(spare.pid, cpu);
            }
            let socket = spare.socket.get().map_err(std::io::Error::from);
            if socket.and_then(|socket| send(&socket, order, &[])).is_ok() {
                self.used.push(spare.socket);
                return Ok(Some((spare.pid, spare.pidfd)));
            }
            // It has closed its end, so it is about to end. Its descriptor would have
            // said so; to wait for that here is to wait for its last steps.
            if let Ok(pidfd) = spare.pidfd.get() {
                let _ = pidfd::kill(pidfd);
                let _ = pidfd::wait_any(&[pidfd], Some(END_TIMEOUT));
            }
            let _ = self.reap(spare.pid, 0);
        }
        self.send(&ToZygote::Spawn(order.clone())).map(|()| None)
    }

    /// The next notice; waits for one.
    pub fn notice(&mut self) -> Notice {
        let Some(socket) = self.socket() else {
            return Notice::Closed;
        };
        match receive(&socket) {
            Ok(Some((FromZygote::Spawned { worker, pid }, mut fds))) => {
                let pidfd = fds.pop().map(Held::new);
                Notice::Spawned { worker, pid, pidfd }
            }
            Ok(Some((FromZygote::Spare { pid }, mut fds))) => {
                self.spares_asked = self.spares_asked.saturating_sub(1);
                let mut next = || fds.pop().map(Held::new);
                if let (Some(socket), Some(pidfd)) = (next(), next()) {
                    self.spares.push(Spare { pid, pidfd, socket });
                    return Notice::Spare;
                }
                // Nobody has the other end of its socket, so it ends.
                let _ = self.reap(pid, 0);
                let reason = explained(Errno::EMFILE);
                Notice::NoSpare { reason }
            }
            Ok(Some((FromZygote::NotSpawned { worker, reason }, _))) => {
                Notice::NotSpawned { worker, reason }
            }
            Ok(Some((FromZygote::Exited { pid, death, words }, _))) => {
                Notice::Exited { pid, death, words }
            }
            Ok(Some((FromZygote::Ended { pid }, _))) => Notice::Ended { pid },
            Ok(Some((FromZygote::NoSpare(reason), _))) => {
                self.spares_asked = self.spares_asked.saturating_sub(1);
                Notice::NoSpare { reason }
            }
            Ok(Some((FromZygote::Refused(reason), _))) => {
                tracing::error!(reason, "the zygote cannot go on");
                self.reason = Some(reason);
                Notice::Closed
            }
            Err(error) if is_shortage(&error) => Notice::Unheard,
            Ok(Some((FromZygote::Begun | FromZygote::Ready, _)) | None) | Err(_) => Notice::Closed,
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It hears that it is not needed any more, and first reaps who is left.
        self.socket = None;
        let spares = std::mem::take(&mut self.spares);
        let spares: Vec<Held> = spares.into_iter().map(|spare| spare.pidfd).collect();
        self.process.wait(END_TIMEOUT);
        self.presence = None;
        self.process.bury(&self.lifeline);
        for spare in spares {
            let _ = spare.get().map(reap::reap);
        }
    }
}
