//! Inside the zygote.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use crate::layout::{Fold, Plan, Shape};
use crate::prim::Death;
use crate::shm::Segment;
use crate::sys::{BuildId, Forked, exit_now, fds, fork_single_threaded, pidfd, signals};

use super::control::{ENV, FromZygote, ToZygote, WorkerOrder, receive, send};

/// What a worker begins with.
#[derive(Debug)]
pub struct WorkerStart {
    /// The fold, attached.
    pub fold: Fold,
    /// What it is to be.
    pub order: WorkerOrder,
}

struct Child {
    worker: u32,
    pid: i32,
    pidfd: OwnedFd,
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
    let status = match serve(build, worker, &mut children) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "zygote gives up");
            1
        }
    };
    // Workers end with us in any case (their parent death signal is SIGKILL); but
    // whoever inherits them may be slow to reap them.
    end_all(children);
    exit_now(status)
}

fn serve(
    build: &BuildId,
    worker: fn(WorkerStart) -> std::convert::Infallible,
    children: &mut BTreeMap<i32, Child>,
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
    let Some((segment_fd, shape, plan_hash)) = handshake(&socket, build)? else {
        return Ok(());
    };
    let me = getpid().as_raw();
    loop {
        let mut watched = vec![socket.as_fd(), host.as_fd()];
        watched.extend(children.values().map(|child| child.pidfd.as_fd()));
        let ready = pidfd::wait_any(&watched, None)?;
        if ready[1] {
            return Ok(()); // the host is dead
        }
        let ended: Vec<i32> = children
            .keys()
            .zip(&ready[2..])
            .filter_map(|(pid, ended)| ended.then_some(*pid))
            .collect();
        for pid in ended {
            if let Some(child) = children.remove(&pid) {
                let exited = FromZygote::Exited {
                    worker: child.worker,
                    pid,
                    death: reap(pid),
                };
                send(&socket, &exited, &[])?;
            }
        }
        if ready[0] {
            match receive(&socket)? {
                None => return Ok(()),
                Some((ToZygote::Spawn(order), _)) => {
                    let number = order.worker;
                    match fork_single_threaded() {
                        Ok(Forked::Child) => {
                            let born = Birth {
                                segment_fd,
                                shape,
                                plan_hash,
                                order,
                                zygote: me,
                            };
                            become_worker(born, worker)
                        }
                        Ok(Forked::Parent(pid)) => {
                            let pidfd = pidfd::open(pid)?;
                            let spawned = FromZygote::Spawned {
                                worker: number,
                                pid,
                            };
                            send(&socket, &spawned, &[pidfd.as_fd()])?;
                            let child = Child {
                                worker: number,
                                pid,
                                pidfd,
                            };
                            children.insert(child.pid, child);
                        }
                        Err(error) => {
                            let reason = match error {
                                nix::errno::Errno::EBUSY => {
                                    "threads were started before `pinfold::init()`: call it first in main".into()
                                }
                                other => format!("fork: {other}"),
                            };
                            let failed = FromZygote::NotSpawned {
                                worker: number,
                                reason,
                            };
                            send(&socket, &failed, &[])?;
                        }
                    }
                }
                Some((ToZygote::Hello { .. }, _)) => {
                    return Err(std::io::Error::other("a second hello"));
                }
            }
        }
    }
}

/// How long an ending zygote waits for each killed worker.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn end_all(children: BTreeMap<i32, Child>) {
    for child in children.values() {
        let _ = pidfd::kill(child.pidfd.as_fd());
    }
    for child in children.values() {
        let ended = pidfd::wait_any(&[child.pidfd.as_fd()], Some(LAST_WAIT));
        if ended.is_ok_and(|ended| ended[0]) {
            reap(child.pid);
        }
    }
}

type Agreed = (OwnedFd, Shape, u64);

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
    } = message
    else {
        return refuse("the first message was not a hello");
    };
    if build != *own {
        return refuse("host and zygote are different builds of the program");
    }
    if !shape.is_sane() || Plan::new(shape).hash() != plan_hash {
        return refuse("host and zygote disagree on the layout of the segment");
    }
    let Some(fd) = fds.pop() else {
        return refuse("the memory file did not arrive");
    };
    send(socket, &FromZygote::Ready, &[])?;
    Ok(Some((fd, shape, plan_hash)))
}

struct Birth {
    segment_fd: OwnedFd,
    shape: Shape,
    plan_hash: u64,
    order: WorkerOrder,
    zygote: i32,
}

fn become_worker(born: Birth, worker: fn(WorkerStart) -> std::convert::Infallible) -> ! {
    if !signals::die_with_parent(born.zygote) {
        exit_now(0); // the zygote is gone already
    }
    fds::close_inherited(&[fds::number(&born.segment_fd)]);
    let plan = Plan::new(born.shape);
    let len = plan.len;
    match Segment::attach(born.segment_fd, len, born.plan_hash) {
        Ok(segment) => {
            let fold = Fold::new(segment, plan);
            let order = born.order;
            match worker(WorkerStart { fold, order }) {}
        }
        Err(error) => {
            tracing::error!(%error, pid = getpid().as_raw(), "a worker could not attach");
            exit_now(1)
        }
    }
}

fn reap(pid: i32) -> Death {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL)) {
        Ok(WaitStatus::Exited(_, status)) => Death::Exited { status },
        Ok(WaitStatus::Signaled(_, signal, core_dumped)) => Death::Signaled {
            signal: signal as i32,
            core_dumped,
        },
        _ => Death::Unknown,
    }
}
