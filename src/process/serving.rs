//! A zygote at work.

use std::collections::BTreeMap;
use std::io::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::sys::calls::{Refused, explained_io, is_shortage, refused};
use crate::sys::{TextFile, pidfd, socket};

use super::control::{FromZygote, ToZygote, WorkerOrder, receive, send};
use super::keepers::Keepers;
use super::nest::{Child, Nest, Orders};
use super::reaping::reap;

/// For how long no worker has a keeper after there were no processes left.
const NO_KEEPERS: Duration = Duration::from_secs(60);
/// When to try again what there was no memory for.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(10);
/// How often.
const SHORTAGE_TRIES: u32 = 1000;

/// A zygote at work. What there is too little of now costs one order, never the workers.
pub(super) struct Serving<'a> {
    pub socket: &'a OwnedFd,
    pub nest: Nest,
    pub children: &'a mut BTreeMap<i32, Child>,
    pub keepers: &'a mut Keepers,
    /// There were no processes left: until when no worker is to have a keeper.
    pub no_keepers_until: Option<Instant>,
}

impl Serving<'_> {
    /// Does what it is told until it is not needed any more.
    pub fn run(&mut self, host: &OwnedFd) -> std::io::Result<()> {
        loop {
            let (has_message, is_host_dead) = match self.wait(host) {
                Err(error) if is_shortage(&error.error.into()) => {
                    std::thread::sleep(SHORTAGE_PAUSE);
                    continue;
                }
                waited => waited.map_err(Error::other)?,
            };
            if is_host_dead {
                return Ok(());
            }
            if !has_message {
                continue;
            }
            match receive(self.socket) {
                Ok(None) => return Ok(()),
                Ok(Some((message, _))) => self.hear(message)?,
                Err(error) if is_shortage(&error) => std::thread::sleep(SHORTAGE_PAUSE),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits; says whether there is a message, and whether the host is dead.
    fn wait(&mut self, host: &OwnedFd) -> Result<(bool, bool), Refused> {
        let watched: Vec<i32> = self
            .children
            .values()
            .filter(|child| child.is_watched)
            .map(|child| child.pid)
            .collect();
        let mut fds = vec![self.socket.as_fd(), host.as_fd()];
        fds.extend(watched.iter().map(|pid| self.children[pid].pidfd.as_fd()));
        let keepers = fds.len();
        fds.extend(self.keepers.dying());
        let ready = pidfd::wait_any(&fds, None).map_err(refused("ppoll", "to wait for orders"))?;
        drop(fds);
        if ready[keepers..].contains(&true) {
            self.keepers.reap();
        }
        let ended = watched.iter().zip(&ready[2..keepers]);
        for (pid, _) in ended.filter(|(_, has_ended)| **has_ended) {
            if let Some(child) = self.children.get_mut(pid) {
                child.is_watched = false;
            }
            // If this fails the host is gone, which is seen next.
            let _ = self.tell(&FromZygote::Ended { pid: *pid });
        }
        Ok((ready[0], ready[1]))
    }

    fn hear(&mut self, message: ToZygote) -> std::io::Result<()> {
        match message {
            ToZygote::Spawn(order) => self.spawn(order),
            ToZygote::SpawnSpare => self.spawn_spare(),
            ToZygote::Reap { pid, keeper } => {
                if let Some(child) = self.children.remove(&pid) {
                    child.end_programs();
                    self.tell(&FromZygote::Exited {
                        pid,
                        death: reap(pid),
                        words: child.words.and_then(|words| words.tail()),
                    })?;
                }
                if !self.children.contains_key(&keeper) {
                    self.keepers.dismiss(keeper);
                }
                Ok(())
            }
            ToZygote::Again { pid } => {
                if let Some(child) = self.children.get_mut(&pid) {
                    child.is_watched = true;
                }
                self.announce(pid)
            }
            ToZygote::Kill { pid } => {
                if let Some(child) = self.children.get(&pid) {
                    let _ = pidfd::kill(child.pidfd.as_fd());
                }
                Ok(())
            }
            ToZygote::Hello { .. } => Err(Error::other("a second hello")),
        }
    }

    fn spawn(&mut self, mut order: WorkerOrder) -> std::io::Result<()> {
        let worker = order.worker;
        order.keeper &= self.no_keepers_until.is_none_or(|at| at <= Instant::now());
        // Without it only the words are missing.
        let words = order
            .capture_stderr
            .then(TextFile::new)
            .and_then(Result::ok);
        match self.hatch(Orders::Known(order), words.as_ref()) {
            Ok((pid, pidfd)) => {
                self.keep(pid, pidfd, words, Some(worker));
                self.announce(pid)
            }
            Err(reason) => self.tell(&FromZygote::NotSpawned { worker, reason }),
        }
    }

    fn spawn_spare(&mut self) -> std::io::Result<()> {
        let (ours, theirs) = match socket::pair() {
            Ok(pair) => pair,
            Err(error) => {
                let reason = refused("socketpair", "to talk to a spare")(error).to_string();
                return self.tell(&FromZygote::NoSpare(reason));
            }
        };
        match self.hatch(Orders::Socket(theirs), None) {
            Ok((pid, pidfd)) => {
                let spare = FromZygote::Spare { pid };
                let sent = send(self.socket, &spare, &[pidfd.as_fd(), ours.as_fd()]);
                self.keep(pid, pidfd, None, None);
                match sent {
                    Err(error) if is_shortage(&error) => {
                        // It ends when nobody has the other end of its socket.
                        drop(ours);
                        if self.children.remove(&pid).is_some() {
                            reap(pid);
                        }
                        self.tell(&FromZygote::NoSpare(explained_io(&error)))
                    }
                    sent => sent,
                }
            }
            Err(reason) => self.tell(&FromZygote::NoSpare(reason)),
        }
    }

    /// Forks; if there may be no more processes, lets go of the keepers first.
    fn hatch(
        &mut self,
        orders: Orders,
        words: Option<&TextFile>,
    ) -> Result<(i32, OwnedFd), String> {
        let Serving {
            nest,
            children,
            keepers,
            no_keepers_until,
            ..
        } = self;
        nest.hatch(orders, words, || {
            *no_keepers_until = Some(Instant::now() + NO_KEEPERS);
            keepers.let_go(|pid| children.contains_key(&pid))
        })
    }

    fn keep(&mut self, pid: i32, pidfd: OwnedFd, words: Option<TextFile>, worker: Option<u32>) {
        let child = Child {
            pid,
            leads: self.nest.ends_programs,
            pidfd,
            words,
            worker,
            is_watched: false,
        };
        self.children.insert(pid, child);
    }

    /// Sends a worker's pidfd; if that cannot be, says at least that the worker is there.
    fn announce(&self, pid: i32) -> std::io::Result<()> {
        let Some(Child {
            worker: Some(worker),
            pidfd,
            ..
        }) = self.children.get(&pid)
        else {
            return Ok(());
        };
        let spawned = FromZygote::Spawned {
            worker: *worker,
            pid,
        };
        match send(self.socket, &spawned, &[pidfd.as_fd()]) {
            Err(error) if is_shortage(&error) => self.tell(&spawned),
            sent => sent,
        }
    }

    /// Says something that needs no descriptor, as soon as there is memory for it.
    fn tell(&self, message: &FromZygote) -> std::io::Result<()> {
        let mut tries = 0;
        loop {
            match send(self.socket, message, &[]) {
                Err(error) if is_shortage(&error) && tries < SHORTAGE_TRIES => {
                    tries += 1;
                    std::thread::sleep(SHORTAGE_PAUSE);
                }
                sent => return sent,
            }
        }
    }
}
