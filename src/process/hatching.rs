//! A zygote on its way: started, and not yet known to serve.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::layout::Fold;
use crate::sys::calls::{errno_of, refused};
use crate::sys::{
    Held, Lifeline, Program, Surroundings, TextFile, barrier, fds, hand_over, pidfd, socket,
    stderr, title,
};

use super::control::{ENV, FromZygote, ToZygote, VERSION, WorkerOrder, receive, send, send_now};
use super::hello::{Words, ZygoteError, ended};
use super::host::{Introduction, Zygote};
use super::logs::number_of;
use super::started::Started;

/// How long a zygote may take until it answers.
const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// A process that is to become a zygote. Dropping it ends it.
#[derive(Debug)]
pub struct Hatching {
    socket: Held,
    process: Started,
    lifeline: Lifeline,
    /// Whoever is left when this is closed is killed.
    presence: Held,
    /// The other end, until it is sent.
    their_presence: Option<OwnedFd>,
    words: TextFile,
    until: Instant,
    /// It has come to `init`.
    has_begun: bool,
    program: Program,
}

impl Hatching {
    /// Starts this program again. What it is to serve it hears by [`Hatching::introduce`]: until
    /// then it is loaded, and comes to `init`, while its host does something else.
    pub fn begin(surroundings: &Surroundings) -> Result<Self, ZygoteError> {
        let (ours, theirs) = socket::pair().map_err(refused("socketpair", "to talk to it"))?;
        let (their_presence, presence) =
            fds::line().map_err(refused("pipe2", "to have them end with the host"))?;
        let lifeline =
            Lifeline::new().map_err(refused("memfd_create", "to hear of the workers' end"))?;
        // What it says before it serves (a missing library, say) is for the error.
        let words = TextFile::new().map_err(refused("memfd_create", "to keep its last words"))?;
        let captured = (words.fd()).map_err(refused("fcntl(F_DUPFD)", "to keep its last words"))?;
        // The socket goes as standard input: the one descriptor that can be passed
        // without a moment in which another thread's child might inherit it.
        let mut command = surroundings.command();
        let child = command
            .arg0(title::argument())
            .env(ENV, VERSION)
            .stdin(Stdio::from(theirs))
            .stderr(Stdio::from(captured))
            .spawn()
            .map_err(|error| ZygoteError::Start(surroundings.program().clone(), error))?;
        // It holds the zygote's end of the socket: that is to close when the zygote ends.
        drop(command);
        Ok(Hatching {
            socket: Held::new(ours),
            process: Started::new(child)
                .map_err(refused("pidfd_open", "to hear of the zygote's end"))?,
            lifeline,
            presence: Held::new(presence),
            their_presence: Some(their_presence),
            words,
            until: Instant::now() + HELLO_TIMEOUT,
            has_begun: false,
            program: surroundings.program().clone(),
        })
    }

    /// Tells it what it is, and of which fold. From here on its time runs.
    pub fn introduce(&mut self, fold: &Fold, host: &Introduction) -> Result<(), ZygoteError> {
        self.until = Instant::now() + HELLO_TIMEOUT;
        let logs = host.logs.as_ref().filter(|logs| logs.is_ours());
        let hello = ToZygote::Hello {
            build: host.build.clone(),
            shape: fold.plan.shape,
            plan_hash: fold.plan.hash(),
            expedited: barrier::settle(),
            log_level: logs.map_or(0, |logs| number_of(logs.level().into())),
            surroundings: host.surroundings.told(),
            ends_programs: host.ends_programs,
            init_args: host.init_args.as_ref().map(|args| args.len() as u64),
        };
        let init_args = host.init_args.as_deref().map(hand_over).transpose()?;
        let real_stderr = stderr();
        let segment = fold.segment().fd();
        let segment = segment.map_err(refused("fstat", "to see that the segment is still open"))?;
        let their_presence = self.their_presence.take();
        let mut with = vec![segment, self.lifeline.as_fd()];
        with.extend(their_presence.as_ref().map(AsFd::as_fd));
        with.extend(logs.map(AsFd::as_fd));
        with.extend(real_stderr.as_ref().map(AsFd::as_fd));
        with.extend(host.surroundings.directory());
        with.extend(init_args.as_ref().map(AsFd::as_fd));
        match send(&self.socket, &hello, &with) {
            // One that has ended may have said why.
            Err(error) if !matches!(errno_of(&error), Errno::EPIPE | Errno::ECONNRESET) => {
                Err(refused("sendmsg", "to talk to it")(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Orders a worker from it, for when it serves; false: it has no room for that now.
    pub fn order(&self, order: &WorkerOrder) -> bool {
        let order = ToZygote::Spawn(order.clone());
        self.socket
            .get()
            .is_ok_and(|socket| send_now(socket, &order).is_ok())
    }

    /// Readable when it has said something.
    pub fn heard(&self) -> &Held {
        &self.socket
    }

    /// Whether the program has closed a descriptor of it.
    pub fn is_lost(&self) -> bool {
        !(self.socket.is_ours() && self.presence.is_ours() && self.process.is_ours())
    }

    /// Until when it may take.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Waits until it serves.
    pub fn answer(mut self) -> Result<Zygote, ZygoteError> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            pidfd::wait_any(&[self.socket.as_fd()], Some(left))
                .map_err(refused("ppoll", "to wait for its answer"))?;
            if self.hear()? {
                return Ok(self.serves());
            }
        }
    }

    /// Hears what it has said, or that it is late; whether it serves.
    pub fn hear(&mut self) -> Result<bool, ZygoteError> {
        let said = || Words(self.words.tail());
        let answered = pidfd::wait_any(&[self.socket.as_fd()], Some(Duration::ZERO))
            .map_err(refused("ppoll", "to wait for its answer"))?;
        if !answered[0] {
            if Instant::now() < self.until {
                return Ok(false);
            }
            let silent = format!("did not answer within {} s", HELLO_TIMEOUT.as_secs());
            return Err(match self.has_begun {
                true => ZygoteError::Ended(silent, said()),
                false => ZygoteError::NotReached(silent, said()),
            });
        }
        let socket = self.socket.get();
        let socket = socket.map_err(refused("fstat", "to see that its socket is still open"))?;
        let message = receive(&socket).map_err(refused("recvmsg", "to hear its answer"))?;
        match message {
            Some((FromZygote::Begun, _)) => {
                self.has_begun = true;
                Ok(false)
            }
            Some((FromZygote::Ready, _)) => Ok(true),
            Some((FromZygote::Refused(reason), _)) => Err(ZygoteError::Refused(reason)),
            Some(_) => Err(ZygoteError::Ended("said something else".into(), said())),
            None => Err(ended(
                &self.program,
                self.has_begun,
                self.process.ended_how(),
                said(),
            )),
        }
    }

    /// It serves.
    pub fn serves(self) -> Zygote {
        Zygote::new(self.socket, self.process, self.lifeline, self.presence)
    }
}
