//! Inside the zygote.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use crate::layout::{Fold, Plan};
use crate::prim::Death;
use crate::shm::Segment;
use crate::sys::{
    BuildId, Forked, SingleThreaded, TextFile, affinity, exit_now, fds, pidfd, restore_stderr,
    signals, socket, stderr,
};

use super::control::{ENV, FromZygote, ToZygote, WorkerOrder, receive, send};
use super::keepers::Keepers;
use super::logs::{LogWriter, level_of};

/// What a worker begins with.
#[derive(Debug)]
pub struct WorkerStart {
    /// The fold, attached.
    pub fold: Fold,
    /// Where its log events go, if anybody wants them.
    pub logs: Option<LogWriter>,
    orders: Orders,
    real_stderr: Option<OwnedFd>,
}

/// Where a worker hears what it is to be.
#[derive(Debug)]
enum Orders {
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
    pub fn is_at_work(&mut self) {
        if let Some(real) = self.real_stderr.take()
            && let Err(error) = restore_stderr(real)
        {
            tracing::warn!(%error, "a worker has no standard error");
        }
    }
}

struct Child {
    pid: i32,
    pidfd: OwnedFd,
    words: Option<TextFile>,
}

/// Whether this process was started to be a zygote. Asks once: the variable is
/// taken out of the environment, so that a task which starts the same program
/// starts a program and not a zygote.
pub fn is_zygote() -> bool {
    crate::sys::env::take(ENV).is_some()
}

/// The zygote's life. `build` is this program's; `worker` is what a forked child
/// does, and must not return.
pub fn run_zygote(build: &BuildId, worker: fn(WorkerStart) -> std::convert::Infallible) -> ! {
    let mut children = BTreeMap::new();
    let mut keepers = Keepers::default();
    let status = match serve(build, worker, &mut children, &mut keepers) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "zygote gives up");
            1
        }
    };
    // Workers end with us in any case (their parent death signal is SIGKILL); but
    // whoever inherits them may be slow to reap them.
    end_all(children);
    keepers.end();
    exit_now(status)
}

fn serve(
    build: &BuildId,
    worker: fn(WorkerStart) -> std::convert::Infallible,
    children: &mut BTreeMap<i32, Child>,
    keepers: &mut Keepers,
) -> std::io::Result<()> {
    let socket = fds::take_stdin()?;
    let parent = getppid();
    let host = pidfd::open(parent.as_raw())?;
    // Its own session: Ctrl-C and hang-ups of the terminal are the host's affair.
    let _ = nix::unistd::setsid();
    signals::reset()?;
    if getppid() != parent {
        return Ok(()); // the host ended before we held its pidfd
    }
    let Some(Agreed {
        fold,
        lifeline,
        logs,
    }) = handshake(&socket, build)?
    else {
        return Ok(());
    };
    keepers.watch(&fold);
    let nest = Nest {
        fold,
        lifeline,
        logs,
        zygote: getpid().as_raw(),
        alone: SingleThreaded::prove(),
        worker,
    };
    loop {
        let mut fds = vec![socket.as_fd(), host.as_fd()];
        fds.extend(keepers.dying());
        let ready = pidfd::wait_any(&fds, None)?;
        drop(fds);
        if ready[1] {
            return Ok(()); // the host is dead
        }
        if ready[2..].contains(&true) {
            keepers.reap();
        }
        if !ready[0] {
            continue;
        }
        match receive(&socket)? {
            None => return Ok(()),
            Some((ToZygote::Spawn(order), _)) => {
                let worker = order.worker;
                // Without it only the words are missing.
                let words = order
                    .capture_stderr
                    .then(TextFile::new)
                    .and_then(Result::ok);
                match nest.hatch(Orders::Known(order), words.as_ref()) {
                    Ok((pid, pidfd)) => {
                        let spawned = FromZygote::Spawned { worker, pid };
                        let sent = send(&socket, &spawned, &[pidfd.as_fd()]);
                        children.insert(pid, Child { pid, pidfd, words });
                        sent?;
                    }
                    Err(reason) => {
                        send(&socket, &FromZygote::NotSpawned { worker, reason }, &[])?;
                    }
                }
            }
            Some((ToZygote::SpawnSpare, _)) => {
                let (ours, theirs) = socket::pair()?;
                match nest.hatch(Orders::Socket(theirs), None) {
                    Ok((pid, pidfd)) => {
                        let spare = FromZygote::Spare { pid };
                        let sent = send(&socket, &spare, &[pidfd.as_fd(), ours.as_fd()]);
                        let words = None;
                        children.insert(pid, Child { pid, pidfd, words });
                        sent?;
                    }
                    Err(reason) => send(&socket, &FromZygote::NoSpare(reason), &[])?,
                }
            }
            Some((ToZygote::Reap { pid, keeper }, _)) => {
                if let Some(child) = children.remove(&pid) {
                    let exited = FromZygote::Exited {
                        pid,
                        death: reap(pid),
                        words: child.words.and_then(|words| words.tail()),
                    };
                    send(&socket, &exited, &[])?;
                }
                if !children.contains_key(&keeper) {
                    keepers.dismiss(keeper);
                }
            }
            Some((ToZygote::Hello { .. }, _)) => {
                return Err(std::io::Error::other("a second hello"));
            }
        }
    }
}

/// How long an ending zygote waits for each killed worker.
pub(super) const LAST_WAIT: Duration = Duration::from_millis(500);

fn end_all(children: BTreeMap<i32, Child>) {
    for child in children.values() {
        let _ = pidfd::kill(child.pidfd.as_fd());
    }
    for child in children.values() {
        if pidfd::wait_ended(child.pidfd.as_fd(), LAST_WAIT) {
            reap(child.pid);
        }
    }
}

struct Agreed {
    fold: Fold,
    lifeline: OwnedFd,
    logs: Option<LogWriter>,
}

/// Agrees with the host on build and layout, and attaches to the segment: workers
/// inherit the mapping.
fn handshake(socket: &OwnedFd, own: &BuildId) -> std::io::Result<Option<Agreed>> {
    let Some((message, mut fds)) = receive(socket)? else {
        return Ok(None);
    };
    let refuse = |reason: &str| {
        send(socket, &FromZygote::Refused(reason.into()), &[])?;
        Ok(None)
    };
    let ToZygote::Hello {
        build,
        shape,
        plan_hash,
        log_level,
    } = message
    else {
        return refuse("the first message was not a hello");
    };
    if build != *own {
        return refuse("host and zygote are different builds of the program");
    }
    if !shape.is_sane() {
        return refuse("the shape of the fold makes no sense");
    }
    let plan = Plan::new(shape);
    if plan.hash() != plan_hash {
        return refuse("host and zygote disagree on the layout of the segment");
    }
    let level = level_of(log_level);
    if fds.len() < 2 + usize::from(level.is_some()) {
        return refuse("the memory file, the lifeline or the socket for logs did not arrive");
    }
    let (segment_fd, lifeline) = (fds.remove(0), fds.remove(0));
    let logs = level.map(|level| LogWriter::new(fds.remove(0), level));
    let fold = match Segment::attach(segment_fd, plan.len, plan_hash) {
        Ok(segment) => Fold::new(segment, plan),
        Err(error) => return refuse(&error.to_string()),
    };
    // Until now it was kept for the host, in case we did not come so far.
    match fds.pop() {
        Some(real) => restore_stderr(real)?,
        None => fds::close_stderr()?,
    }
    send(socket, &FromZygote::Ready, &[])?;
    Ok(Some(Agreed {
        fold,
        lifeline,
        logs,
    }))
}

/// What every worker of the fold is made with.
struct Nest {
    fold: Fold,
    /// Open in every process of the nest, and for as long as one of them lives.
    lifeline: OwnedFd,
    logs: Option<LogWriter>,
    zygote: i32,
    /// Nothing that runs here starts a thread: this is our own code.
    alone: Result<SingleThreaded, Errno>,
    worker: fn(WorkerStart) -> std::convert::Infallible,
}

impl Nest {
    /// Forks a process; says why it could not.
    fn hatch(&self, orders: Orders, words: Option<&TextFile>) -> Result<(i32, OwnedFd), String> {
        let cpu = match &orders {
            Orders::Known(order) => order.only_cpu(),
            Orders::Socket(_) => None,
        };
        let alone = match &self.alone {
            Ok(alone) => alone,
            Err(Errno::EBUSY) => {
                let why = "threads were started before `pinfold::init()`: call it first in main";
                return Err(why.into());
            }
            Err(error) => return Err(format!("its threads cannot be counted: {error}")),
        };
        match alone.fork() {
            Ok(Forked::Child) => self.become_worker(orders, words),
            Ok(Forked::Parent(pid)) => {
                if let Some(cpu) = cpu {
                    affinity::place(pid, cpu);
                }
                // The child first: somebody waits for what it will do.
                std::thread::yield_now();
                let pidfd = pidfd::open(pid).map_err(|error| {
                    // Nobody would hear of its end.
                    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                    reap(pid);
                    format!("pidfd: {error}")
                })?;
                Ok((pid, pidfd))
            }
            Err(error) => Err(format!("fork: {error}")),
        }
    }

    fn become_worker(&self, orders: Orders, words: Option<&TextFile>) -> ! {
        if !signals::die_with_parent(self.zygote) {
            exit_now(0); // the zygote is gone already
        }
        let mut real_stderr = None;
        if let Some(words) = words {
            real_stderr = stderr();
            if words.become_stderr().is_err() {
                exit_now(1);
            }
        }
        let mut keep = vec![
            fds::number(&self.fold.segment().fd()),
            fds::number(&self.lifeline),
        ];
        keep.extend(self.logs.as_ref().map(fds::number));
        keep.extend(real_stderr.as_ref().map(fds::number));
        if let Orders::Socket(socket) = &orders {
            keep.push(fds::number(socket));
        }
        fds::close_inherited(&keep);
        match (self.worker)(WorkerStart {
            fold: self.fold.clone(),
            logs: self.logs.clone(),
            orders,
            real_stderr,
        }) {}
    }
}

pub(super) fn reap(pid: i32) -> Death {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL)) {
        Ok(WaitStatus::Exited(_, status)) => Death::Exited { status },
        Ok(WaitStatus::Signaled(_, signal, core_dumped)) => Death::Signaled {
            signal: signal as i32,
            core_dumped,
        },
        _ => Death::Unknown,
    }
}
