//! The inputs of a task that depends on others, and how they come behind its arguments.
//!
//! An encoded tuple is its parts' encodings one after the other, and a list is its
//! length and then its items': so the bytes of values that have arrived are put behind
//! those of the arguments as they are.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::TaskError;
use crate::prim::Priority;
use crate::task::{INLINE_LEN, encode_len};

use crate::scheduler::outcomes::value::{Outcome, SMALL, Value, loan_in_it};
use crate::scheduler::submit::job::Job;

/// In front of input `at` stands how many form a list together.
#[derive(Clone, Copy, Debug)]
pub struct List {
    pub at: u32,
    pub len: u32,
}

/// A task that is to be submitted with inputs.
pub struct Unfinished {
    /// Its payload has the arguments, and not the inputs.
    pub job: Job,
    /// Where the arguments begin in it.
    pub args_at: usize,
    /// The lists among the inputs.
    pub lists: Vec<List>,
    pub build: Build,
}

/// Encodes arguments, of which the bytes are given and whether they are marked, and inputs
/// together.
pub type Rebuild = fn((&[u8], bool), &[List], &[Arc<Outcome>], &mut Job) -> Result<(), TaskError>;
/// The same of arguments that it holds.
pub type Whole = Box<dyn FnOnce(&[Arc<Outcome>], &mut Job) -> Result<(), TaskError> + Send>;

/// How to put inputs behind arguments.
pub enum Build {
    /// As they came; or, if there are buffers in them, by this.
    Append(Rebuild),
    /// There are buffers in the arguments.
    Whole(Whole),
}

/// What a task gets from one that it depends on.
#[derive(Debug)]
pub enum Input {
    /// Nothing yet; what that one is called.
    Missing(fn() -> &'static str),
    /// A few bytes, without buffers.
    Small { len: u8, words: [u64; SMALL / 8] },
    /// Anything else.
    Shared(Arc<Outcome>),
}

impl Input {
    /// Of an outcome; or why there is none.
    pub fn of(outcome: &Arc<Outcome>) -> Result<Self, TaskError> {
        match &**outcome {
            Ok(value) if value.is_err() => Err(returned()),
            Ok(Value::Small { len, words, .. }) => Ok(Input::small(*len, *words)),
            Ok(Value::HandleOnly { .. }) => Err(loan_in_it()),
            Ok(_) => Ok(Input::Shared(Arc::clone(outcome))),
            Err(error) => Err((**error).clone()),
        }
    }

    pub fn small(len: u8, words: [u64; SMALL / 8]) -> Self {
        Input::Small { len, words }
    }

    /// Its bytes, unless there are buffers in it.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Input::Missing(_) => None,
            Input::Small { len, words } => Some(small_bytes(*len, words)),
            Input::Shared(outcome) => bytes_of(outcome),
        }
    }

    fn into_outcome(self) -> Option<Arc<Outcome>> {
        match self {
            Input::Missing(_) => None,
            Input::Small { len, words } => Some(Arc::new(Ok(Value::Small {
                len,
                is_err: false,
                words,
            }))),
            Input::Shared(outcome) => Some(outcome),
        }
    }
}

fn small_bytes(len: u8, words: &[u64; SMALL / 8]) -> &[u8] {
    let bytes: &[u8] = bytemuck::cast_slice(words);
    &bytes[..usize::from(len).min(SMALL)]
}

fn bytes_of(outcome: &Outcome) -> Option<&[u8]> {
    match outcome {
        Ok(Value::Small { len, words, .. }) => Some(small_bytes(*len, words)),
        Ok(Value::Large(finished)) => finished.plain_bytes(),
        Ok(Value::Shared(outcome)) => bytes_of(outcome),
        Ok(Value::HandleOnly { .. }) => None,
        Err(_) => None,
    }
}

/// Why a value that is an `Err` is no input.
fn returned() -> TaskError {
    TaskError::returned("its value is an `Err`")
}

/// Several inputs.
pub type Inputs = SmallVec<[Input; 1]>;

impl Unfinished {
    /// Whether it goes before tasks of normal priority.
    pub fn is_urgent(&self) -> bool {
        let settings = self.job.settings.as_ref();
        settings.is_some_and(|settings| settings.priority > Priority::Normal)
    }

    /// Whether to finish it calls no code of anybody else's.
    pub fn is_our_own(&self, inputs: &Inputs) -> bool {
        matches!(self.build, Build::Append(_)) && inputs.iter().all(|input| input.bytes().is_some())
    }

    /// Puts the inputs behind the arguments.
    pub fn finish(mut self, inputs: Inputs) -> Result<Job, TaskError> {
        let is_plain = inputs.iter().all(|input| input.bytes().is_some());
        match self.build {
            Build::Append(_) if is_plain && !self.job.payload.is_marked() => {
                self.append(&inputs);
                return Ok(self.job);
            }
            build => {
                let outcomes: Option<Vec<_>> =
                    inputs.into_iter().map(Input::into_outcome).collect();
                let outcomes = outcomes.ok_or(TaskError::shutdown())?;
                match build {
                    Build::Append(rebuild) => {
                        let payload = std::mem::take(&mut self.job.payload);
                        let args = payload.bytes().get(self.args_at..).unwrap_or_default();
                        let args = (args, payload.is_marked());
                        rebuild(args, &self.lists, &outcomes, &mut self.job)?;
                    }
                    Build::Whole(build) => build(&outcomes, &mut self.job)?,
                }
            }
        }
        Ok(self.job)
    }

    /// The same in place, of inputs without buffers.
    pub fn append(&mut self, inputs: &Inputs) -> &mut Job {
        append(&mut self.job, &self.lists, inputs);
        &mut self.job
    }

    /// Whether that takes no time, no memory and no code of anybody else's.
    pub fn is_quick(&self, inputs: &Inputs) -> bool {
        // Of few inputs the lengths of lists are a byte each.
        let own = self.job.payload.len() + self.lists.len();
        let fits = |len: usize, input: &Input| Some(len + input.bytes()?.len());
        matches!(self.build, Build::Append(_))
            && !self.job.payload.is_marked()
            && inputs.len() < INLINE_LEN
            && inputs
                .iter()
                .try_fold(own, fits)
                .is_some_and(|len| len <= INLINE_LEN)
    }
}

fn append(job: &mut Job, lists: &[List], inputs: &Inputs) {
    let mut lists = lists.iter().peekable();
    for at in 0..=inputs.len() {
        while let Some(list) = lists.next_if(|list| list.at as usize == at) {
            encode_len(list.len, &mut job.payload);
        }
        let bytes = inputs.get(at).and_then(Input::bytes);
        job.payload.extend(bytes.unwrap_or_default());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::task::{FunctionId, Payload};

    fn job(args: &impl Serialize) -> Job {
        let mut payload = Payload::new();
        payload.encode(args).expect("encodes");
        Job {
            function: FunctionId(0),
            payload,
            buffers: Vec::new(),
            name: || "",
            permits: Vec::new(),
            settings: None,
        }
    }

    fn encoded(value: &impl Serialize) -> Vec<u8> {
        let mut payload = Payload::new();
        payload.encode(value).expect("encodes");
        payload.bytes().to_vec()
    }

    fn input(value: &impl Serialize) -> Input {
        let bytes = encoded(value);
        let mut payload = Payload::new();
        payload.extend(&bytes);
        if bytes.len() <= SMALL {
            let [a, b, c, ..] = payload.all_words();
            return Input::small(bytes.len() as u8, [a, b, c]);
        }
        let finished = crate::task::Finished {
            outcome: crate::task::Outcome::Value,
            payload,
            parcels: 0,
            buffers: Vec::new(),
        };
        Input::Shared(Arc::new(Ok(Value::Large(Box::new(finished)))))
    }

    fn bytes_of(job: &Job, lists: &[List], inputs: Vec<Input>) -> Vec<u8> {
        let mut job = Job {
            payload: Payload::from_vec(job.payload.bytes().to_vec()),
            settings: None,
            buffers: Vec::new(),
            permits: Vec::new(),
            ..*job
        };
        append(&mut job, lists, &inputs.into());
        job.payload.bytes().to_vec()
    }

    fn list(at: u32, len: u32) -> List {
        List { at, len }
    }

    /// Appended inputs are the bytes that the whole encodes as.
    #[test]
    fn appending_is_encoding() {
        let args = (7u8, "some text".to_owned());
        let long = "x".repeat(100);
        let (a, b) = (300u64, [1u16, 2, 70]);
        let mine = job(&args);
        assert_eq!(bytes_of(&mine, &[], vec![input(&a)]), encoded(&(&args, a)));
        assert_eq!(
            bytes_of(&mine, &[], vec![input(&a), input(&long)]),
            encoded(&(&args, (a, &long)))
        );
        assert_eq!(
            bytes_of(&mine, &[list(0, 3)], vec![input(&a), input(&a), input(&a)]),
            encoded(&(&args, vec![a; 3]))
        );
        // Lists in front, in the middle, behind; empty ones too.
        let none: Vec<u64> = Vec::new();
        assert_eq!(
            bytes_of(
                &mine,
                &[list(0, 0), list(0, 2), list(3, 0)],
                vec![input(&a), input(&a), input(&b)]
            ),
            encoded(&(&args, (&none, vec![a; 2], b, &none)))
        );
        let many: Vec<_> = (0..200).map(|_| input(&long)).collect();
        assert_eq!(
            bytes_of(&mine, &[list(0, 200)], many),
            encoded(&(&args, vec![&long; 200]))
        );
    }

    /// Quick is what stays in a slot: of that the rest is said to be so.
    #[test]
    fn what_fits_into_a_slot_is_quick() {
        let quick = |args: &[u8], lists: Vec<List>, inputs: Vec<Input>| {
            let unfinished = Unfinished {
                job: job(&args),
                args_at: 0,
                lists,
                build: Build::Append(|_, _, _, _| Ok(())),
            };
            let inputs = inputs.into();
            let is_quick = unfinished.is_quick(&inputs);
            let finished = unfinished.finish(inputs).expect("nothing can fail");
            assert!(!is_quick || finished.payload.is_inline());
            is_quick
        };
        // 1 byte for the length of the arguments, 2 for a `u16`.
        assert!(quick(&[1; 45], vec![], vec![input(&300u16)]));
        assert!(!quick(&[1; 46], vec![], vec![input(&300u16)]));
        assert!(!quick(&[1; 45], vec![list(0, 1)], vec![input(&300u16)]));
        assert!(!quick(&[], vec![], vec![input(&"x".repeat(100))]));
        let one = |_| input(&1u8);
        assert!(quick(&[], vec![list(0, 46)], (0..46).map(one).collect()));
        assert!(!quick(&[], vec![list(0, 47)], (0..47).map(one).collect()));
    }
}
