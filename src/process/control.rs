//! The messages of the control socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::layout::Shape;
use crate::prim::Death;
use crate::sys::{BuildId, Told, socket};

/// Names the variable that makes a program start as a zygote.
pub const ENV: &str = "PINFOLD_ZYGOTE";
/// What the host sets it to. Before it is compared nothing is exchanged but
/// [`FromZygote::Begun`] and [`FromZygote::Refused`], which stay as they are in each version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which worker to start, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerOrder {
    /// Its index in the fold.
    pub worker: u32,
    /// Per executor thread the CPU to pin it to, if any.
    pub cpus: Vec<Option<u32>>,
    /// All executors of the fold, in the order in which this worker robs them.
    pub victims: Vec<u32>,
    /// How many CPUs the fold may use: with fewer than executors plus one, few
    /// may spin.
    pub allowed_cpus: u32,
    /// What it calls before it works: a function's name, if any.
    pub init: Option<u32>,
    /// What each of its executors calls after that, if anything.
    pub executor_init: Option<u32>,
    /// How often it shows that it lives, in ms; 0: never.
    pub beat_ms: u64,
    /// Whether it measures each task.
    pub profile: bool,
    /// Whether it has another process keep its memory.
    pub keeper: bool,
    /// How much stack each of its executors has, in bytes.
    pub stack_size: u64,
    /// After how many ms it says that a wait takes long; 0: never.
    pub stuck_after_ms: u64,
    /// What it writes to its standard error until it works is kept, for the case
    /// that it never does.
    pub capture_stderr: bool,
    /// The process that gets this order first ends itself before its so-manieth
    /// change of shared memory.
    #[cfg(feature = "crash-points")]
    pub crash_at: Option<u64>,
}

impl WorkerOrder {
    /// The CPU of a worker with one thread.
    pub fn only_cpu(&self) -> Option<u32> {
        match self.cpus[..] {
            [cpu] => cpu,
            _ => None,
        }
    }
}

/// From the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// The first message; carries the memory file, the lifeline, one that is closed when the
    /// host has ended, the socket for log events if any are wanted, the real standard error if
    /// there is one, the working directory if the surroundings say so, and the arguments of the
    /// workers' init if there are any.
    Hello {
        /// The host's build.
        build: BuildId,
        /// The fold.
        shape: Shape,
        /// The hash of its plan.
        plan_hash: u64,
        /// Whether its processes use expedited barriers.
        expedited: bool,
        /// The most detailed level of log events that is wanted; 0: none.
        log_level: u8,
        /// What it is to inherit, whatever the host has changed since it started its fold.
        surroundings: Told,
        /// Whether the programs that its workers start end with them.
        ends_programs: bool,
        /// How many bytes the arguments of the workers' init are, if it has any.
        init_args: Option<u64>,
    },
    /// Fork a worker.
    Spawn(WorkerOrder),
    /// Fork a process that will be told later which worker it is.
    SpawnSpare,
    /// A process that was forked has ended, by its pidfd: reap it and say how. The
    /// zygote does not look by itself: it would be awake, and need a CPU, just when
    /// somebody else takes over what the dead was doing.
    Reap {
        /// Its process number.
        pid: i32,
        /// The one that it said keeps its memory, to be ended; 0: none.
        keeper: i32,
    },
    /// The descriptor of a worker has not arrived: send it once more, and say when the
    /// worker ends.
    Again {
        /// Its process number.
        pid: i32,
    },
    /// End a worker of which the host has no descriptor.
    Kill {
        /// Its process number.
        pid: i32,
    },
}

/// From the zygote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromZygote {
    /// `pinfold::init()` has been called. Always the first.
    Begun,
    /// Ready to fork.
    Ready,
    /// It cannot serve, or cannot go on: why. Always the last.
    Refused(String),
    /// A worker runs; carries its pidfd, unless there is no room for one more descriptor.
    Spawned {
        /// Which.
        worker: u32,
        /// Its process number.
        pid: i32,
    },
    /// A spare runs; carries its pidfd and the socket on which it waits to hear which
    /// worker it is.
    Spare {
        /// Its process number.
        pid: i32,
    },
    /// Forking failed.
    NotSpawned {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// A spare could not be forked.
    NoSpare(String),
    /// A worker of which the host has no descriptor has ended.
    Ended {
        /// Its process number.
        pid: i32,
    },
    /// A worker or spare was reaped.
    Exited {
        /// Its process number.
        pid: i32,
        /// How.
        death: Death,
        /// The end of what it wrote to its standard error, if that was kept.
        words: Option<String>,
    },
}

/// Sends one message without descriptors, if there is room for it now.
pub fn send_now<M: Serialize>(socket: BorrowedFd<'_>, message: &M) -> std::io::Result<()> {
    Ok(socket::send_now(socket, &encoded(message)?)?)
}

/// Sends one message.
pub fn send<M: Serialize>(
    socket: &impl AsFd,
    message: &M,
    fds: &[BorrowedFd<'_>],
) -> std::io::Result<()> {
    Ok(socket::send(socket.as_fd(), &encoded(message)?, fds)?)
}

fn encoded<M: Serialize>(message: &M) -> std::io::Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(message).map_err(std::io::Error::other)?;
    if bytes.len() > socket::MESSAGE_MAX {
        return Err(std::io::Error::other("control message too long"));
    }
    Ok(bytes)
}

/// Receives one message; `None` when the other end is closed.
pub fn receive<M: DeserializeOwned>(
    socket: &impl AsFd,
) -> std::io::Result<Option<(M, Vec<OwnedFd>)>> {
    let (bytes, fds) = socket::receive(socket.as_fd())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let message = postcard::from_bytes(&bytes).map_err(std::io::Error::other)?;
    Ok(Some((message, fds)))
}
