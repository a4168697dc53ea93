//! The host's side of the control socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::layout::Fold;
use crate::prim::Death;
use crate::sys::{BuildId, pidfd, socket};

use super::control::{ENV, FromZygote, ToZygote, WorkerOrder, receive, send};

/// How long a zygote may take until it answers.
const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no zygote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZygoteError {
    /// The program could not be started again.
    #[error("cannot start the zygote (this program, once more): {0}")]
    Start(std::io::Error),
    /// It ended or stayed silent.
    #[error(
        "the zygote did not answer: is `pinfold::init()` the first thing that `main` does? ({0})"
    )]
    Silent(&'static str),
    /// It answered no.
    #[error("the zygote refused: {0}")]
    Refused(String),
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
        /// A descriptor of it.
        pidfd: OwnedFd,
    },
    /// A worker could not be forked.
    NotSpawned {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// A worker was reaped.
    Exited {
        /// Which.
        worker: u32,
        /// Its process number.
        pid: i32,
        /// How it ended.
        death: Death,
    },
    /// The zygote itself has ended.
    Closed,
}

/// A running zygote. Dropping it ends it, and with it all its workers.
#[derive(Debug)]
pub struct Zygote {
    socket: Option<OwnedFd>,
    child: Child,
}

impl Zygote {
    /// Starts this program again as a zygote and shakes hands.
    pub fn start(fold: &Fold, build: &BuildId) -> Result<Self, ZygoteError> {
        let (ours, theirs) = socket::pair().map_err(|e| ZygoteError::Start(e.into()))?;
        // The socket goes as standard input: the one descriptor that can be passed
        // without a moment in which another thread's child might inherit it.
        let child = Command::new("/proc/self/exe")
            .arg0("pinfold-zygote")
            .env(ENV, "1")
            .stdin(Stdio::from(theirs))
            .spawn()
            .map_err(ZygoteError::Start)?;
        let zygote = Zygote {
            socket: Some(ours),
            child,
        };
        let shape = fold.plan.shape;
        let hello = ToZygote::Hello {
            build: build.clone(),
            shape,
            plan_hash: fold.plan.hash(),
        };
        let socket = zygote.socket().ok_or(ZygoteError::Silent("closed"))?;
        send(socket, &hello, &[fold.segment().fd()]).map_err(ZygoteError::Start)?;
        let answered = pidfd::wait_any(&[socket.as_fd()], Some(HELLO_TIMEOUT));
        if !answered.is_ok_and(|ready| ready[0]) {
            return Err(ZygoteError::Silent("no answer within 20 s"));
        }
        match receive(socket).map_err(ZygoteError::Start)? {
            Some((FromZygote::Ready, _)) => Ok(zygote),
            Some((FromZygote::Refused(reason), _)) => Err(ZygoteError::Refused(reason)),
            Some(_) => Err(ZygoteError::Silent("it said something else")),
            None => Err(ZygoteError::Silent("it ended")),
        }
    }

    fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Readable when there is a notice.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket().map(AsFd::as_fd)
    }

    /// Asks for a worker.
    pub fn spawn(&self, order: WorkerOrder) -> std::io::Result<()> {
        match self.socket() {
            Some(socket) => send(socket, &ToZygote::Spawn(order), &[]),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next notice; waits for one.
    pub fn notice(&self) -> Notice {
        let Some(socket) = self.socket() else {
            return Notice::Closed;
        };
        match receive(socket) {
            Ok(Some((FromZygote::Spawned { worker, pid }, mut fds))) => match fds.pop() {
                Some(pidfd) => Notice::Spawned { worker, pid, pidfd },
                None => Notice::Closed,
            },
            Ok(Some((FromZygote::NotSpawned { worker, reason }, _))) => {
                Notice::NotSpawned { worker, reason }
            }
            Ok(Some((FromZygote::Exited { worker, pid, death }, _))) => {
                Notice::Exited { worker, pid, death }
            }
            Ok(Some((FromZygote::Ready | FromZygote::Refused(_), _)) | None) | Err(_) => {
                Notice::Closed
            }
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.socket = None; // it sees the end of the file and leaves
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
