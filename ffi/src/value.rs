//! What a task is given and what comes of it, as values of the Rust task that all C tasks are; how
//! they travel is in [`crate::wire`].

use pinfold::Shared;
use serde::{Deserialize, Serialize};

use crate::bytes::{Bytes, Few, bytes_of, less_of};
use crate::cargo::Cargo;

/// Which function is called, and with what.
pub(crate) struct Request {
    pub(crate) function: u32,
    pub(crate) argument: Few,
    pub(crate) cargo: Option<Box<Cargo>>,
}

impl Request {
    /// `argument` is read before the call returns that it is a part of.
    #[inline]
    pub(crate) fn plain(function: u32, argument: &&[u8]) -> Self {
        Request {
            function,
            argument: Few::lent(argument),
            cargo: None,
        }
    }

    /// With eight bytes of argument, as a number: these travel as quickly as one in Rust.
    #[inline(always)]
    pub(crate) fn quick(function: u32, argument: [u8; 8]) -> u128 {
        u128::from(function) << 64 | u128::from(u64::from_ne_bytes(argument))
    }

    /// With an argument of its own: what waits for other tasks may be encoded when they have ended.
    pub(crate) fn owned(mut self) -> Self {
        if let Few::Lent(_) = self.argument {
            self.argument = self.argument[..].into();
        }
        self
    }

    /// As [`Request::plain`].
    pub(crate) fn with(function: u32, argument: &&[u8], cargo: Cargo) -> Self {
        let cargo = (!cargo.is_empty()).then(|| Box::new(cargo));
        Request {
            cargo,
            ..Request::plain(function, argument)
        }
    }
}

/// What a task has made: some bytes in place, or a buffer.
#[derive(Clone)]
pub(crate) enum Output {
    Bytes(Few),
    Buffer(Shared),
}

impl Output {
    /// Has it begin at a multiple of 64.
    pub(crate) fn aligned(mut self) -> Self {
        if let Output::Bytes(few) = &mut self {
            few.aligned();
        }
        self
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Output::Bytes(bytes) => bytes,
            Output::Buffer(shared) => shared,
        }
    }
}

/// What a function has returned that is not 0, and what it had to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message.is_empty() {
            true => write!(f, "the task returned {}", self.code),
            false => write!(f, "the task returned {}: {}", self.code, self.message),
        }
    }
}

/// What comes of a task that has come to its end: a `Result` of [`Output`] and [`Failed`], and that
/// is what the library takes it for. Two registers, for each task has one; how it travels is in
/// [`crate::wire`].
pub(crate) enum Ended {
    /// As in [`Few`].
    Eight(u64),
    Less(u64),
    More(Box<Bytes>),
    Buffer(Box<Shared>),
    Err(Box<Failed>),
}

impl Ended {
    pub(crate) fn result(self) -> Result<Output, Failed> {
        Ok(match self {
            Ended::Eight(word) => Output::Bytes(Few::Eight(word)),
            Ended::Less(word) => Output::Bytes(Few::Less(word)),
            Ended::More(more) => Output::Bytes(Few::More(more)),
            Ended::Buffer(shared) => Output::Buffer(*shared),
            Ended::Err(failed) => return Err(*failed),
        })
    }

    /// What the task has made.
    #[inline]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        Some(match self {
            Ended::Eight(word) => bytes_of(word),
            Ended::Less(word) => less_of(word),
            Ended::More(more) => more,
            Ended::Buffer(shared) => shared,
            Ended::Err(_) => return None,
        })
    }
}

impl From<Few> for Ended {
    #[inline]
    fn from(few: Few) -> Self {
        match few {
            Few::Eight(word) => Ended::Eight(word),
            Few::Less(word) => Ended::Less(word),
            Few::More(more) => Ended::More(more),
            Few::Lent(_) => Ended::More(Box::new(few[..].into())),
        }
    }
}
