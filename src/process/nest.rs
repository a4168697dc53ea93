//! Where workers come from: what each is made with, and forking them.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::layout::Fold;
use crate::sys::calls::refused;
use crate::sys::{
    Forked, Lifeline, SingleThreaded, TextFile, affinity, exit_now, fds, pidfd, restore_stderr,
    signals, stderr,
};

use super::control::{WorkerOrder, receive};
use super::logs::LogWriter;
use super::reaping::reap;

/// What a worker begins with.
#[derive(Debug)]
pub struct WorkerStart {
    /// Whether it uses expedited barriers, as its fold does.
    pub expedited: bool,
    /// The fold, attached.
    pub fold: Fold,
    /// Where its log events go, if anybody wants them.
    pub logs: Option<LogWriter>,
    /// What its init is called with, encoded.
    pub init_args: &'static [u8],
    orders: Orders,
    real_stderr: Option<OwnedFd>,
}

/// Where a worker hears what it is to be.
#[derive(Debug)]
pub(super) enum Orders {
    Known(WorkerOrder),
    /// A spare waits for them.
    Socket(OwnedFd),
}

impl WorkerStart {
    /// Whether it is not known yet which worker this is to be.
    pub fn is_spare(&self) -> bool {
        matches!(self.orders, Orders::Socket(_))
    }

    /// What this process is to be; a spare waits until it is needed. `None`: never.
    pub fn order(&mut self) -> Option<WorkerOrder> {
        match &self.orders {
            Orders::Known(order) => Some(order.clone()),
            Orders::Socket(socket) => receive(socket).ok().flatten().map(|(order, _)| order),
        }
    }

    /// From here on it works: what it writes to its standard error is not kept any
    /// more, but shown.
    pub fn begin_work(&mut self) {
        if let Some(real) = self.real_stderr.take()
            && let Err(error) = restore_stderr(real)
        {
            tracing::warn!(%error, "a worker has no standard error");
        }
    }
}

/// A process that was forked.
pub(super) struct Child {
    pub pid: i32,
    /// It leads a process group, which ends with it.
    pub leads: bool,
    pub pidfd: OwnedFd,
    pub words: Option<TextFile>,
    /// Which worker it was made to be; `None`: a spare.
    pub worker: Option<u32>,
    /// The host has no descriptor of it, and is told when it ends.
    pub is_watched: bool,
}

impl Child {
    /// It has ended, and was not reaped: its group's number is nobody else's.
    pub fn end_programs(&self) {
        if self.leads {
            signals::kill_group(self.pid);
        }
    }
}

/// What every worker of the fold is made with.
pub(super) struct Nest {
    pub(super) expedited: bool,
    pub(super) fold: Fold,
    /// Held by every process of the nest.
    pub(super) lifeline: Lifeline,
    /// The other end is open for as long as the host lives.
    pub(super) presence: OwnedFd,
    pub(super) logs: Option<LogWriter>,
    pub(super) init_args: &'static [u8],
    pub(super) zygote: i32,
    /// Whether each worker leads a process group, which ends with it.
    pub(super) ends_programs: bool,
    /// Nothing that runs here starts a thread: this is our own code.
    pub(super) alone: Result<SingleThreaded, Errno>,
    pub(super) worker: fn(WorkerStart) -> std::convert::Infallible,
}

impl Nest {
    /// Forks a process; says why it could not. If there may be no more processes, `make_room`
    /// may see to that there may; it says whether it has.
    pub fn hatch(
        &self,
        orders: Orders,
        words: Option<&TextFile>,
        make_room: impl FnOnce() -> bool,
    ) -> Result<(i32, OwnedFd), String> {
        let cpu = match &orders {
            Orders::Known(order) => order.only_cpu(),
            Orders::Socket(_) => None,
        };
        let alone = match &self.alone {
            Ok(alone) => alone,
            Err(Errno::EBUSY) => return Err(strangers()),
            Err(error) => return Err(format!("its threads cannot be counted: {error}")),
        };
        // A child of which there is no descriptor would have to be killed, and might have begun a
        // task by then: so first it is made sure that there is room for one.
        let room = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| {
                refused("pidfd_open", "to hear of a worker's end")(error).to_string()
            })?;
        // Here the path to it is known already; in a new process it takes ten times as long.
        let line = signals::open_anew(self.presence.as_fd());
        let mut forked = alone.fork();
        if matches!(forked, Err(Errno::EAGAIN)) && make_room() {
            forked = alone.fork();
        }
        match forked {
            Ok(Forked::Child) => {
                drop(room);
                self.become_worker(orders, words, line)
            }
            Ok(Forked::Parent(pid)) => {
                if let Some(cpu) = cpu {
                    affinity::place(pid, cpu);
                }
                // The child first: somebody waits for what it will do.
                std::thread::yield_now();
                drop((room, line));
                let pidfd = pidfd::open(pid).map_err(|error| {
                    // Nobody would hear of its end.
                    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                    reap(pid);
                    refused("pidfd_open", "to hear of a worker's end")(error).to_string()
                })?;
                Ok((pid, pidfd))
            }
            Err(error) => Err(refused("fork (clone)", "to start a worker")(error).to_string()),
        }
    }

    /// A process that cannot be a worker says why, if it is known which one, and ends.
    fn fail(&self, orders: &Orders, why: &str) -> ! {
        if let Orders::Known(order) = orders {
            let first = order.worker * self.fold.plan.shape.threads;
            if let Some(record) = self.fold.executors.get(first as usize) {
                record.last_words.write(0, why);
            }
        }
        exit_now(1)
    }

    fn become_worker(
        &self,
        orders: Orders,
        words: Option<&TextFile>,
        line: Result<OwnedFd, Errno>,
    ) -> ! {
        // Either suffices: the one is the quicker, the other goes on for another user too.
        let with_zygote = signals::die_with_parent(self.zygote);
        let with_host = line.and_then(signals::die_with_line);
        if with_zygote == Ok(false) || matches!(with_host, Ok(None)) {
            exit_now(0); // they are gone already
        }
        if let (Err(error), Err(_)) = (&with_zygote, &with_host) {
            let refused = refused("prctl(PR_SET_PDEATHSIG)", "to end with the host");
            self.fail(&orders, &refused(*error).to_string());
        }
        // From here on the host knows that somebody may change shared memory.
        if let Err(error) = self.lifeline.hold() {
            let refused = refused("fcntl(F_SETLK)", "to have the host hear of the end");
            self.fail(&orders, &refused(error).to_string());
        }
        if self.ends_programs && !signals::lead_group() {
            exit_now(1);
        }
        // Without it the words are shown at once.
        let real_stderr = words.and_then(|_| stderr());
        if let Some(words) = words.filter(|_| real_stderr.is_some())
            && words.become_stderr().is_err()
        {
            exit_now(1);
        }
        let mut keep = vec![fds::number(&self.lifeline)];
        let presence = with_host.ok().flatten();
        keep.extend(presence.as_ref().map(fds::number));
        keep.extend(self.logs.as_ref().map(fds::number));
        keep.extend(real_stderr.as_ref().map(fds::number));
        if let Orders::Socket(socket) = &orders {
            keep.push(fds::number(socket));
        }
        fds::close_inherited(&keep);
        // For as long as the process lives.
        std::mem::forget(presence);
        match (self.worker)(WorkerStart {
            expedited: self.expedited,
            fold: self.fold.clone(),
            logs: self.logs.clone(),
            init_args: self.init_args,
            orders,
            real_stderr,
        }) {}
    }
}

/// Who else runs in this process, which should have one thread.
fn strangers() -> String {
    let names = crate::sys::other_threads();
    // A thread without a name of its own has that of the program's file, which tells nothing.
    let file = crate::sys::started_as();
    let telling: Vec<_> = names
        .iter()
        .filter(|name| **name != file)
        .map(String::as_str)
        .collect();
    let preload = std::env::var("LD_PRELOAD").unwrap_or_default();
    let mut text = format!(
        "{} ran already when `pinfold::init()` was called{}, and a process with threads cannot be forked: \
         something has started them before, such as an attribute (`#[tokio::main]`), a static initializer",
        match names.len() {
            1 => "another thread".to_owned(),
            more => format!("{more} other threads"),
        },
        match telling[..] {
            [] => String::new(),
            _ => format!(" ({})", telling.join(", ")),
        },
    );
    if preload.is_empty() {
        text.push_str(" or a linked library; call `init` before that");
    } else {
        text.push_str(&format!(" or a library of LD_PRELOAD={preload}"));
    }
    text
}
