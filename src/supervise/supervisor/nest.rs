//! Where workers come from: a zygote, one on its way, or none.

use std::time::{Duration, Instant};

use crate::background;
use crate::process::{Hatching, Notice, Zygote};
use crate::sys::{Held, pidfd};

use super::worker::Alive;

/// How long a zygote that serves may take to fork.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Where workers come from.
#[derive(Debug)]
pub enum Nest {
    /// A zygote serves.
    Up(Zygote),
    /// One was started, and has not answered.
    Hatching(Hatching),
    /// One is to be started at this time.
    Down(Instant),
}

impl Nest {
    pub fn zygote(&self) -> Option<&Zygote> {
        match self {
            Nest::Up(zygote) => Some(zygote),
            _ => None,
        }
    }

    /// Readable when it has something to say.
    pub fn heard(&self) -> Option<&Held> {
        match self {
            Nest::Up(zygote) => zygote.heard(),
            Nest::Hatching(hatching) => Some(hatching.heard()),
            Nest::Down(_) => None,
        }
    }

    /// Whether the program has closed a descriptor of it.
    pub fn is_lost(&self) -> bool {
        match self {
            Nest::Up(zygote) => zygote.is_lost(),
            Nest::Hatching(hatching) => hatching.is_lost(),
            Nest::Down(_) => false,
        }
    }

    /// The next notice, if there is one within `timeout`.
    pub fn notice_within(&mut self, timeout: Duration) -> Option<Notice> {
        let Nest::Up(zygote) = self else {
            return Some(Notice::Closed);
        };
        if let Some(Ok(fd)) = zygote.heard().map(Held::get)
            && !pidfd::wait_ended(fd, timeout)
        {
            return None;
        }
        Some(zygote.notice())
    }

    /// Kills a worker.
    pub fn kill(&self, alive: &Alive) {
        let sent = match (&alive.pidfd, self) {
            (Some(held), _) => match held.get() {
                Ok(pidfd) => pidfd::kill(pidfd).map_err(Into::into),
                Err(error) => Err(error.into()),
            },
            (None, Nest::Up(zygote)) => zygote.kill(alive.pid),
            // It has ended with its zygote.
            (None, _) => Ok(()),
        };
        if let Err(error) = sent {
            let pid = alive.pid;
            background::log(move || tracing::error!(%error, pid, "a worker cannot be killed"));
        }
    }
}
