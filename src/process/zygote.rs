//! Inside the zygote.

use std::collections::BTreeMap;
use std::io::Error;
use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::{getpid, getppid};

use crate::layout::{Fold, Plan};
use crate::shm::Segment;
use crate::sys::calls::{self, refused};
use crate::sys::{
    BuildId, Lifeline, SingleThreaded, exit_now, fds, pidfd, privileges, restore_stderr, signals,
    socket, take_over, title,
};

use super::control::{ENV, FromZygote, ToZygote, receive, send};
use super::keepers::Keepers;
use super::logs::{LogWriter, level_of};
use super::nest::{Child, Nest, WorkerStart};
use super::reaping::{LAST_WAIT, reap};
use super::serving::Serving;

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
