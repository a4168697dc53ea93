//! What every system call has in common: a signal is no answer, and a refusal has a name.

use nix::errno::Errno;

/// An error that may say that a signal came first.
pub trait Interruptible {
    /// Whether it does.
    fn is_interrupted(&self) -> bool;
}

impl Interruptible for Errno {
    fn is_interrupted(&self) -> bool {
        *self == Errno::EINTR
    }
}

impl Interruptible for rustix::io::Errno {
    fn is_interrupted(&self) -> bool {
        *self == rustix::io::Errno::INTR
    }
}

/// Makes a system call again for as long as signals interrupt it. Only for calls that either
/// do not wait, or have no time limit; who has one counts the time itself.
pub fn again<T, E: Interruptible>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.is_interrupted() => {}
            other => return other,
        }
    }
}

/// A system call that was refused: which, what it was for, why, and what may be in its way.
#[derive(Debug, thiserror::Error)]
#[error("{call}, {purpose}: {}", explained(*.error))]
pub struct Refused {
    /// The call's name.
    pub call: &'static str,
    /// "to …".
    pub purpose: &'static str,
    /// What the system said.
    pub error: Errno,
}

/// Makes the error of a call into one that names it.
pub fn refused<E: Into<std::io::Error>>(
    call: &'static str,
    purpose: &'static str,
) -> impl FnOnce(E) -> Refused {
    move |error| Refused {
        call,
        purpose,
        error: errno_of(&error.into()),
    }
}

/// The number behind an error; `UnknownErrno` if there is none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// An error of the system, and, where one is known, the limit that is in the way or what
/// else to look at.
pub fn explained(error: Errno) -> String {
    match advice(error) {
        Some(advice) => format!("{error} ({advice})"),
        None => error.to_string(),
    }
}

/// The same of an error that may not be the system's.
pub fn explained_io(error: &std::io::Error) -> String {
    match errno_of(error) {
        Errno::UnknownErrno => error.to_string(),
        errno => explained(errno),
    }
}

/// Whether it says that there is too little of something now: what failed so may succeed later.
pub fn is_shortage(error: &std::io::Error) -> bool {
    matches!(
        errno_of(error),
        Errno::EMFILE
            | Errno::ENFILE
            | Errno::EAGAIN
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::ETOOMANYREFS
    )
}

fn advice(error: Errno) -> Option<&'static str> {
    Some(match error {
        Errno::EMFILE => "too many open descriptors: close some, or raise `ulimit -n`",
        Errno::ENFILE => "the machine has no descriptors left: raise fs.file-max",
        Errno::EAGAIN => {
            "no more processes or threads are allowed: raise `ulimit -u`, or pids.max of the control group"
        }
        Errno::ETOOMANYREFS => {
            "too many descriptors are on their way between processes: raise `ulimit -n`"
        }
        Errno::ENOMEM | Errno::ENOBUFS => {
            "no memory or address space left: lower the memory cap, or raise `ulimit -v` or `ulimit -d`, or see vm.overcommit_memory"
        }
        Errno::EFBIG => "a file may not be so large: lower the memory cap, or raise `ulimit -f`",
        Errno::EPERM | Errno::EACCES => {
            "a sandbox (seccomp, say) may forbid it: `pinfold doctor` shows what is missing here"
        }
        Errno::ENOSYS => {
            "this kernel or a sandbox does not offer it: `pinfold doctor` shows what is missing here"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_no_answer() {
        let mut left = 3;
        let outcome = again(|| {
            left -= 1;
            if left > 0 { Err(Errno::EINTR) } else { Ok(7) }
        });
        assert_eq!((outcome, left), (Ok(7), 0));
        assert_eq!(again(|| Err::<(), _>(Errno::EBADF)), Err(Errno::EBADF));
    }

    #[test]
    fn a_refusal_names_call_purpose_number_and_limit() {
        let error = refused("pidfd_open", "to hear of an end")(Errno::EMFILE);
        let text = error.to_string();
        for part in ["pidfd_open", "to hear of an end", "EMFILE", "`ulimit -n`"] {
            assert!(text.contains(part), "{text}");
        }
        let other = std::io::Error::other("no number");
        assert!(is_shortage(&Errno::ENOBUFS.into()) && !is_shortage(&Errno::EPIPE.into()));
        assert!(!is_shortage(&other));
        assert_eq!(explained_io(&other), "no number");
    }
}
