//! The handshake with a zygote, and what is said when there is none.
//!
//! ```text
//!   exec ──▶ loader ──▶ statics ──▶ main ──▶ init() ──Begun──▶ take stdin, attach … ──Ready──▶
//!      └ Start    └──── NotReached: ended, or silent ────┘        └ Refused: it says why; Ended
//! ```
//!
//! That `init` is not the first thing in `main` is said only where the program has run without
//! coming to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::prim::Death;
use crate::sys::calls::{Refused, errno_of, explained_io, refused};
use crate::sys::{TextFile, loader, pidfd};

use super::control::{FromZygote, ToZygote, receive, send};

/// How long a zygote may take until it answers.
const HELLO_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a zygote that has closed its end may take to end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// The exit status of a loader that did not find what a program needs.
const NOT_LOADED: i32 = 127;

/// Why there is no zygote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZygoteError {
    /// The program could not be started again.
    #[error("cannot start the zygote (this program, once more, by clone and execve): {}", explained_io(.0))]
    Start(std::io::Error),
    /// A system call for it was refused.
    #[error("cannot start the zygote: {0}")]
    Call(#[from] Refused),
    /// This is not how it can be started again.
    #[error(
        "this program was started by `{0} PROGRAM`, so it cannot start itself once more (that would start `{0}`): \
         start it by its own name"
    )]
    Loader(String),
    /// The program has run without coming to `init`.
    #[error("the zygote {0}: is `pinfold::init()` the first thing that `main` does?{1}")]
    NotReached(String, Words),
    /// It has ended, or stays silent.
    #[error("the zygote {0}{1}")]
    Ended(String, Words),
    /// It answered no.
    #[error("the zygote refused: {0}")]
    Refused(String),
}

impl ZygoteError {
    /// It has ended without a reason that is known.
    pub fn ended_while(what: &str) -> Self {
        ZygoteError::Ended(format!("ended while {what}"), Words(None))
    }
}

/// What it wrote to its standard error, as the end of a sentence.
#[derive(Debug)]
pub struct Words(Option<String>);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(said) => write!(f, " (its last words: {})", said.trim_end()),
            None => Ok(()),
        }
    }
}

/// Says hello, with these descriptors, and waits for the answer.
pub fn shake_hands(
    socket: &OwnedFd,
    hello: &ToZygote,
    with: &[BorrowedFd<'_>],
    child: &mut Child,
    words: &TextFile,
) -> Result<(), ZygoteError> {
    let said = || Words(words.tail());
    if let Err(error) = send(socket, hello, with) {
        // One that has ended may have said why.
        if !matches!(errno_of(&error), Errno::EPIPE | Errno::ECONNRESET) {
            return Err(refused("sendmsg", "to talk to it")(error).into());
        }
    }
    let until = Instant::now() + HELLO_TIMEOUT;
    let mut has_begun = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let answered = pidfd::wait_any(&[socket.as_fd()], Some(left))
            .map_err(refused("ppoll", "to wait for its answer"))?;
        if !answered[0] {
            let silent = format!("did not answer within {} s", HELLO_TIMEOUT.as_secs());
            return Err(match has_begun {
                true => ZygoteError::Ended(silent, said()),
                false => ZygoteError::NotReached(silent, said()),
            });
        }
        let message = receive(socket).map_err(refused("recvmsg", "to hear its answer"))?;
        match message {
            Some((FromZygote::Begun, _)) => has_begun = true,
            Some((FromZygote::Ready, _)) => return Ok(()),
            Some((FromZygote::Refused(reason), _)) => return Err(ZygoteError::Refused(reason)),
            Some(_) => return Err(ZygoteError::Ended("said something else".into(), said())),
            None => return Err(ended(has_begun, ended_how(child), said())),
        }
    }
}

fn ended(has_begun: bool, status: Option<ExitStatus>, said: Words) -> ZygoteError {
    let how = match status.map(death) {
        Some(death) => death.to_string(),
        None => "closed its end of the control socket".to_owned(),
    };
    let code = status.and_then(|status| status.code());
    if has_begun {
        return ZygoteError::Ended(format!("{how} before it could serve"), said);
    }
    if let Some(loader) = loader() {
        return ZygoteError::Loader(loader.display().to_string());
    }
    // Killed, or not loaded: it had no chance to come to it.
    if matches!(code, Some(NOT_LOADED)) || (status.is_some() && code.is_none()) {
        return ZygoteError::Ended(format!("{how} before it came to `pinfold::init()`"), said);
    }
    ZygoteError::NotReached(format!("{how} without coming to `pinfold::init()`"), said)
}

fn death(status: ExitStatus) -> Death {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(status), _) => Death::Exited { status },
        (_, Some(signal)) => Death::Signaled {
            signal,
            core_dumped: status.core_dumped(),
        },
        _ => Death::Unknown,
    }
}

/// Its status, if it ends soon.
fn ended_how(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + LEAVE_TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn text(has_begun: bool, raw: i32) -> String {
        let words = Words(Some("oh no\n".into()));
        ended(has_begun, Some(ExitStatus::from_raw(raw)), words).to_string()
    }

    #[test]
    fn the_question_is_asked_only_where_it_may_be_that() {
        let asked = "is `pinfold::init()` the first";
        assert!(text(false, 0).contains(asked));
        assert!(text(false, 2 << 8).contains(asked));
        for other in [text(true, 1 << 8), text(false, 9), text(false, 127 << 8)] {
            assert!(!other.contains(asked), "{other}");
            assert!(other.ends_with("(its last words: oh no)"), "{other}");
        }
        assert!(text(false, 31).contains("SIGSYS"));
    }
}
