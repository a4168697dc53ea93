//! Inside the zygote.

use std::collections::BTreeMap;
use std::io::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use crate::layout::{Fold, Plan};
use crate::prim::Death;
use crate::shm::Segment;
use crate::sys::calls::{self, again, refused};
use crate::sys::{
    BuildId, Forked, Lifeline, SingleThreaded, TextFile, affinity, exit_now, fds, pidfd,
    privileges, restore_stderr, signals, socket, stderr, take_over, title,
};

use super::control::{ENV, FromZygote, ToZygote, WorkerOrder, receive, send};
use super::keepers::Keepers;
use super::logs::{LogWriter, level_of};
use super::serving::Serving;

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

/// If this process was started to be a zygote: by which version of the library. Asks once: the
/// variable is taken out of the environment, so that a task which starts the same program
/// starts a program and not a zygote.
///
/// The variable alone may be anybody's; a host also passes one end of a control socket.
pub fn zygote_of() -> Option<String> {
    crate::sys::env::take(ENV).filter(|_| socket::is_control(std::io::stdin().as_fd()))
}

/// The zygote's life. `build` is this program's; `worker` is what a forked child
/// does, and must not return.
pub fn run_zygote(build: &BuildId, worker: fn(WorkerStart) -> std::convert::Infallible) -> ! {
    let mut children = BTreeMap::new();
    let mut keepers = Keepers::default();
    fds::fill_standard();
    let stdin = std::io::stdin();
    title::set("zygote", "pinfold-zygote");
    let status = match fds::take_stdin() {
        Ok(socket) => {
            let ended = serve(&socket, build, worker, &mut children, &mut keepers);
            give_up(ended, &socket)
        }
        Err(error) => give_up(Err(Error::other(error)), &stdin),
    };
    // Workers end with us in any case (their parent death signal is SIGKILL); but
    // whoever inherits them may be slow to reap them.
    end_all(children);
    keepers.end();
    exit_now(status)
}

/// Says that `init` was called: whatever goes wrong from here on is not that it was not.
pub fn begin() {
    let _ = send(&std::io::stdin(), &FromZygote::Begun, &[]);
}

/// The longest reason that is told, in bytes: it is one message.
const REASON_MAX: usize = 2000;

/// Ends a zygote that cannot serve; the host is told why.
pub fn refuse_to_serve(reason: &str) -> ! {
    let reason = reason[..reason.floor_char_boundary(REASON_MAX)].into();
    let _ = send(&std::io::stdin(), &FromZygote::Refused(reason), &[]);
    exit_now(1)
}

/// The exit status; the host is told first what is wrong, if anything is.
fn give_up(ended: std::io::Result<()>, socket: &impl AsFd) -> i32 {
    let Err(error) = ended else { return 0 };
    let reason = calls::explained_io(&error);
    let _ = send(socket, &FromZygote::Refused(reason), &[]);
    1
}

fn serve(
    socket: &OwnedFd,
    build: &BuildId,
    worker: fn(WorkerStart) -> std::convert::Infallible,
    children: &mut BTreeMap<i32, Child>,
    keepers: &mut Keepers,
) -> std::io::Result<()> {
    let parent = getppid();
    // Before it does anything for that one.
    privileges::keep_those_of(parent.as_raw(), socket.as_fd()).map_err(Error::other)?;
    let host = pidfd::open(parent.as_raw())
        .map_err(refused("pidfd_open", "to hear of the host's end"))
        .map_err(Error::other)?;
    // Its own session: Ctrl-C and hang-ups of the terminal are the host's affair.
    let _ = nix::unistd::setsid();
    signals::reset()?;
    if getppid() != parent {
        return Ok(()); // the host ended before we held its pidfd
    }
    let Some(Agreed {
        ends_programs,
        expedited,
        fold,
        lifeline,
        presence,
        logs,
        init_args,
    }) = handshake(socket, build)?
    else {
        return Ok(());
    };
    keepers.watch(&fold);
    let nest = Nest {
        expedited,
        fold,
        lifeline,
        presence,
        logs,
        init_args,
        zygote: getpid().as_raw(),
        ends_programs,
        alone: SingleThreaded::prove(),
        worker,
    };
    let mut serving = Serving {
        socket,
        nest,
        children,
        keepers,
        no_keepers_until: None,
    };
    serving.run(&host)
}

/// How long an ending zygote waits for each killed worker.
pub(super) const LAST_WAIT: Duration = Duration::from_millis(500);

fn end_all(children: BTreeMap<i32, Child>) {
    for child in children.values() {
        let _ = pidfd::kill(child.pidfd.as_fd());
    }
    for child in children.values() {
        if pidfd::wait_ended(child.pidfd.as_fd(), LAST_WAIT) {
            child.end_programs();
            reap(child.pid);
        }
    }
}

impl Child {
    /// It has ended, and was not reaped: its group's number is nobody else's.
    pub fn end_programs(&self) {
        if self.leads {
            signals::kill_group(self.pid);
        }
    }
}

struct Agreed {
    ends_programs: bool,
    expedited: bool,
    fold: Fold,
    lifeline: Lifeline,
    presence: OwnedFd,
    logs: Option<LogWriter>,
    init_args: &'static [u8],
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
        expedited,
        log_level,
        surroundings,
        ends_programs,
        init_args,
    } = message
    else {
        return refuse("the first message was not a hello");
    };
    if build != *own {
        return refuse(&format!(
            "the host is build {build} and the worker program is build {own} of the code that runs tasks: \
             both must be the same file"
        ));
    }
    if !shape.is_sane() {
        return refuse("the shape of the fold makes no sense");
    }
    let plan = Plan::new(shape);
    if plan.hash() != plan_hash {
        return refuse("host and zygote disagree on the layout of the segment");
    }
    let level = level_of(log_level);
    if fds.len() < 3 + usize::from(level.is_some()) {
        return refuse("too few descriptors have arrived (`ulimit -n`?)");
    }
    let segment_fd = fds.remove(0);
    let (lifeline, presence) = (Lifeline::adopt(fds.remove(0)), fds.remove(0));
    let logs = level.map(|level| LogWriter::new(fds.remove(0), level));
    let fold = match Segment::attach(segment_fd, plan.len, plan_hash) {
        Ok(segment) => {
            segment.set_dumped_alone();
            Fold::new(segment, plan)
        }
        Err(error) => return refuse(&error.to_string()),
    };
    let init_args = match (init_args, fds.len()) {
        (None, _) => &[][..],
        // Workers inherit it.
        (Some(len), 1..) => Vec::leak(take_over(fds.remove(fds.len() - 1), len)?),
        (Some(_), 0) => return refuse("too few descriptors have arrived (`ulimit -n`?)"),
    };
    let directory = fds.pop_if(|_| surroundings.has_directory);
    surroundings.apply(directory.as_ref());
    // Until now it was kept for the host, in case we did not come so far.
    match fds.pop() {
        Some(real) => restore_stderr(real)?,
        None => fds::close_stderr()?,
    }
    send(socket, &FromZygote::Ready, &[])?;
    Ok(Some(Agreed {
        ends_programs,
        expedited,
        fold,
        lifeline,
        presence,
        logs,
        init_args,
    }))
}

/// What every worker of the fold is made with.
pub(super) struct Nest {
    expedited: bool,
    fold: Fold,
    /// Held by every process of the nest.
    lifeline: Lifeline,
    /// The other end is open for as long as the host lives.
    presence: OwnedFd,
    logs: Option<LogWriter>,
    init_args: &'static [u8],
    zygote: i32,
    /// Whether each worker leads a process group, which ends with it.
    pub(super) ends_programs: bool,
    /// Nothing that runs here starts a thread: this is our own code.
    alone: Result<SingleThreaded, Errno>,
    worker: fn(WorkerStart) -> std::convert::Infallible,
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

pub(super) fn reap(pid: i32) -> Death {
    match again(|| waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL))) {
        Ok(WaitStatus::Exited(_, status)) => Death::Exited { status },
        Ok(WaitStatus::Signaled(_, signal, core_dumped)) => Death::Signaled {
            signal: signal as i32,
            core_dumped,
        },
        _ => Death::Unknown,
    }
}
