//! The same random program on channels of ours and of `crossbeam-channel`: one step after the other,
//! where both must say the same (`steps`), and many threads and tasks at once, where both must do
//! what is allowed (`crowd`).
//!
//! `PINFOLD_SEED` and `PINFOLD_CASES` choose other programs.

mod crowd;
mod steps;

use pinfold::channel::{RecvError, SendFault};
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

const CAPACITIES: [usize; 4] = [0, 1, 2, 1024];

/// What an operation has come to, whosever channel it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Out {
    Sent,
    /// With the value that came back.
    Full(u64),
    Late(u64),
    Refused(u64),
    Got(u64),
    Empty,
    LateToReceive,
    Over,
    Else(String),
}

type Ours<T> = Result<T, pinfold::channel::SendError<u64>>;

fn sent(result: Ours<()>) -> Out {
    match result {
        Ok(()) => Out::Sent,
        Err(error) => {
            let fault = error.fault.clone();
            let back = error.into_value().unwrap_or(u64::MAX);
            match fault {
                SendFault::Full => Out::Full(back),
                SendFault::TimedOut { .. } => Out::Late(back),
                SendFault::Disconnected => Out::Refused(back),
                other => Out::Else(other.to_string()),
            }
        }
    }
}

fn got(result: Result<u64, RecvError>) -> Out {
    match result {
        Ok(value) => Out::Got(value),
        Err(RecvError::Empty) => Out::Empty,
        Err(RecvError::TimedOut { .. }) => Out::LateToReceive,
        Err(RecvError::Disconnected) => Out::Over,
        Err(other) => Out::Else(other.to_string()),
    }
}

mod theirs {
    use crossbeam_channel::{
        RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    };

    use super::Out;

    pub fn sent(result: Result<(), SendError<u64>>) -> Out {
        result.map_or_else(|error| Out::Refused(error.0), |()| Out::Sent)
    }

    pub fn try_sent(result: Result<(), TrySendError<u64>>) -> Out {
        match result {
            Ok(()) => Out::Sent,
            Err(TrySendError::Full(value)) => Out::Full(value),
            Err(TrySendError::Disconnected(value)) => Out::Refused(value),
        }
    }

    pub fn sent_in_time(result: Result<(), SendTimeoutError<u64>>) -> Out {
        match result {
            Ok(()) => Out::Sent,
            Err(SendTimeoutError::Timeout(value)) => Out::Late(value),
            Err(SendTimeoutError::Disconnected(value)) => Out::Refused(value),
        }
    }

    pub fn got(result: Result<u64, RecvError>) -> Out {
        result.map_or(Out::Over, Out::Got)
    }

    pub fn try_got(result: Result<u64, TryRecvError>) -> Out {
        match result {
            Ok(value) => Out::Got(value),
            Err(TryRecvError::Empty) => Out::Empty,
            Err(TryRecvError::Disconnected) => Out::Over,
        }
    }

    pub fn got_in_time(result: Result<u64, RecvTimeoutError>) -> Out {
        match result {
            Ok(value) => Out::Got(value),
            Err(RecvTimeoutError::Timeout) => Out::LateToReceive,
            Err(RecvTimeoutError::Disconnected) => Out::Over,
        }
    }
}

/// Runs a program for each of so many seeds; the first that fails is named.
fn for_seeds(cases: u64, mut program: impl FnMut(Rng) -> Result<(), String>) {
    let of_environment = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = of_environment("PINFOLD_SEED").unwrap_or(18);
    let cases = of_environment("PINFOLD_CASES").unwrap_or(cases);
    println!("seeds {first} to {}", first + cases - 1);
    for seed in first..first + cases {
        if let Err(what) = program(Rng::new(seed, 0)) {
            panic!("PINFOLD_SEED={seed} PINFOLD_CASES=1: {what}");
        }
    }
}
