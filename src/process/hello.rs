//! The handshake with a zygote, and what is said when there is none.
//!
//! ```text
//!   exec ──▶ loader ──▶ statics ──▶ main ──▶ init() ──Begun──▶ take stdin, attach … ──Ready──▶
//!      └ Start    └──── NotReached: ended, or silent ────┘        └ Refused: it says why; Ended
//! ```
//!
//! That `init` is not the first thing in `main` is said only where the program has run without
//! coming to it.

use crate::prim::Death;
use crate::sys::calls::{Refused, explained_io, is_shortage};
use crate::sys::{Program, loader};

/// The exit status of a loader that did not find what a program needs.
const NOT_LOADED: i32 = 127;

/// Why there is no zygote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZygoteError {
    /// The program could not be started again.
    #[error("cannot start the zygote ({}", not_started(.0, .1))]
    Start(Program, std::io::Error),
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
    #[error(
        "the zygote {0}: is `pinfold::init()` the first thing that `main` does? (It is started without arguments){1}"
    )]
    NotReached(String, Words),
    /// It has ended, or stays silent.
    #[error("the zygote {0}{1}")]
    Ended(String, Words),
    /// It answered no.
    #[error("the zygote refused: {0}")]
    Refused(String),
}

impl ZygoteError {
    /// Whether there is too little of something, for which it may be tried again.
    pub fn is_shortage(&self) -> bool {
        match self {
            ZygoteError::Start(_, error) => is_shortage(error),
            ZygoteError::Call(refused) => is_shortage(&refused.error.into()),
            _ => false,
        }
    }

    /// It says nothing any more.
    pub fn silent_while(what: &str) -> Self {
        ZygoteError::Ended(format!("fell silent while {what}"), Words(None))
    }

    /// It has ended without a reason that is known.
    pub fn ended_while(what: &str) -> Self {
        ZygoteError::Ended(format!("ended while {what}"), Words(None))
    }
}

fn not_started(program: &Program, error: &std::io::Error) -> String {
    match (program, error.kind()) {
        (Program::Own, std::io::ErrorKind::NotFound) => {
            format!("`/proc/self/exe`, by clone and execve): {error} (/proc must be mounted)")
        }
        (Program::Own, _) => format!(
            "`/proc/self/exe`, by clone and execve): {}",
            explained_io(error)
        ),
        (Program::Other(path, _), _) => {
            format!(
                "the worker program `{}`, by clone and execve): {}",
                path.display(),
                explained_io(error)
            )
        }
    }
}

/// What it wrote to its standard error, as the end of a sentence.
#[derive(Debug)]
pub struct Words(pub(super) Option<String>);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(said) => write!(f, " (its last words: {})", said.trim_end()),
            None => Ok(()),
        }
    }
}

/// It has closed its end, and ended so.
pub fn ended(program: &Program, has_begun: bool, death: Option<Death>, said: Words) -> ZygoteError {
    let how = match death {
        Some(death) => death.to_string(),
        None => "closed its end of the control socket".to_owned(),
    };
    let how = match program {
        Program::Own => how,
        Program::Other(path, _) => format!("(`{}`) {how}", path.display()),
    };
    if has_begun {
        return ZygoteError::Ended(format!("{how} before it could serve"), said);
    }
    if *program == Program::Own
        && let Some(loader) = loader()
    {
        return ZygoteError::Loader(loader.display().to_string());
    }
    // Killed, or not loaded: it had no chance to come to it.
    if matches!(
        death,
        Some(Death::Exited { status: NOT_LOADED } | Death::Signaled { .. })
    ) {
        let how = match death {
            Some(Death::Signaled { .. }) => format!(
                "{how} before it came to `pinfold::init()`: what `main` does before that is done there too, without arguments"
            ),
            _ => format!("{how} before it came to `pinfold::init()`"),
        };
        return ZygoteError::Ended(how, said);
    }
    ZygoteError::NotReached(format!("{how} without coming to `pinfold::init()`"), said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(has_begun: bool, death: Death) -> String {
        let words = Words(Some("oh no\n".into()));
        ended(&Program::Own, has_begun, Some(death), words).to_string()
    }

    #[test]
    fn the_question_is_asked_only_where_it_may_be_that() {
        let asked = "is `pinfold::init()` the first";
        let exited = |status| Death::Exited { status };
        let killed = |signal| Death::Signaled {
            signal,
            core_dumped: false,
        };
        assert!(text(false, exited(0)).contains(asked));
        assert!(text(false, exited(2)).contains(asked));
        for other in [
            text(true, exited(1)),
            text(false, killed(9)),
            text(false, exited(127)),
        ] {
            assert!(!other.contains(asked), "{other}");
            assert!(other.ends_with("(its last words: oh no)"), "{other}");
        }
        assert!(text(false, killed(31)).contains("SIGSYS"));
    }
}
