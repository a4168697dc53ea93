//! What runs in workers: it looks at its argument, leaves a mark, and does what it was told.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold::channel::Sender;
use pinfold::sync::Mutex;
use pinfold::{Constant, Loan, Shared};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::case::{Case, Does, Made};
use crate::model::{Step, step};

/// Where runs leave marks; inherited by all workers.
pub const PLACE: &str = "PINFOLD_COMBINATIONS_PLACE";
/// Bytes of each buffer.
pub const BUFFER: usize = 300;
/// No task waits longer for anything.
pub const LONG: Duration = Duration::from_secs(60);
/// The number of an item beside the one that is looked at.
pub const FILLER: u32 = u32::MAX;

/// A loan that may have several owners, as serde's `rc` has it.
#[derive(Clone, Debug)]
pub struct Owned(pub Arc<Loan>);

impl Serialize for Owned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Loan::deserialize(deserializer).map(|loan| Owned(Arc::new(loan)))
    }
}

/// An argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arg {
    /// Which case it is of.
    pub number: u32,
    pub does: u8,
    pub made: u8,
    pub pad: Vec<u8>,
    pub shared: Vec<Shared>,
    pub loan: Option<Owned>,
    pub constant: Option<Constant<Vec<u8>>>,
    pub ends: Option<Ends>,
}

/// Where each run says that it has begun, and what it adds to.
pub type Ends = (Sender<u32>, Mutex<[u32; 2]>);

/// A value.
#[derive(Debug, Serialize, Deserialize)]
pub struct Out {
    pub number: u32,
    /// Of how many items it is made.
    pub count: u32,
    pub pad: Vec<u8>,
    pub shared: Vec<Shared>,
    pub loan: Option<Owned>,
}

pub type Value = Result<Out, Out>;

/// The byte of which everything of a case consists.
pub fn byte(number: u32) -> u8 {
    number as u8 | 1
}

fn place(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(PLACE).expect("the host has set it")).join(name)
}

/// Where the runs of a case leave marks.
pub fn marks(number: u32) -> PathBuf {
    place(&number.to_string())
}

/// The file that a bystander waits for.
pub fn gate(number: u32) -> PathBuf {
    place(&format!("gate-{number}"))
}

/// How often a case has run so far.
pub fn runs(number: u32) -> usize {
    std::fs::metadata(marks(number)).map_or(0, |file| file.len() as usize)
}

/// Ends when the host says so.
pub fn bystander(number: u32) -> u32 {
    wait(|| gate(number).exists());
    number
}

fn wait(is_over: impl Fn() -> bool) {
    let give_up = Instant::now() + LONG;
    while !is_over() && Instant::now() < give_up {
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// The task of most ways.
pub fn run(arg: Arg) -> Value {
    let number = arg.number;
    let ran = match number {
        FILLER => 0,
        _ => mark(number),
    };
    let byte = byte(number);
    let is_as_sent = arg.pad.iter().all(|b| *b == byte)
        && arg.shared.iter().all(|s| s[..] == [byte; BUFFER])
        && arg.loan.as_ref().is_none_or(|l| l.0[..] == [byte; BUFFER])
        && arg
            .constant
            .as_ref()
            .is_none_or(|c| c[..] == [byte; BUFFER]);
    assert!(is_as_sent, "the argument of case {number} has changed");
    if let Some((to, pair)) = &arg.ends {
        to.try_send(number).expect("room");
        let mend = |pair: &mut [u32; 2]| pair[1] = pair[0];
        let pair = pair.lock_timeout(LONG).or_else(|error| error.mend(mend));
        let mut pair = pair.expect("nobody has it for long");
        assert_eq!(pair[0], pair[1], "nobody else is inside");
        pair[0] += 1;
        pair[1] += 1;
    }
    let does = Case::does_of(arg.does);
    match step(does, ran) {
        Step::Value => Ok(make(arg)),
        Step::Err => Err(make(arg)),
        Step::Panic => panic!("as it is told"),
        Step::Die => std::process::abort(),
        Step::Late | Step::Hangs => {
            std::thread::sleep(LONG);
            Ok(make(arg))
        }
        Step::Cancelled => {
            wait(|| pinfold::context().is_cancelled());
            Err(make(arg))
        }
    }
}

/// What another depends on: up to two buffers are in its value.
pub fn before(number: u32) -> (u32, Vec<Shared>) {
    let buffers = (0..number % 3).map(|_| loan(byte(number)).publish());
    (number, buffers.collect())
}

/// Of a task that depends on another.
pub fn run_after((arg, (number, buffers)): (Arg, (u32, Vec<Shared>))) -> Value {
    let is_as_sent = number == arg.number
        && buffers.len() as u32 == number % 3
        && buffers.iter().all(|s| s[..] == [byte(number); BUFFER]);
    assert!(is_as_sent, "an input of case {number} has changed");
    run(arg)
}

/// One whose work is done by a child; half of them hold it in a scope.
pub fn run_nested(arg: Arg) -> Value {
    let number = arg.number;
    let nothing = |_| Out {
        number,
        count: 1,
        pad: Vec::new(),
        shared: Vec::new(),
        loan: None,
    };
    let child = match number % 2 {
        0 => pinfold::spawn(run, arg),
        _ => {
            let (child, _errors) = pinfold::scope_collect(|scope| {
                scope.and_descendants();
                scope.spawn(run, arg)
            });
            child
        }
    };
    child.join().unwrap_or_else(|error| Err(nothing(error)))
}

/// The first of two, if it has failed; else the second, if that has; else the first, which
/// counts for both.
pub fn combine((a, b): (Value, Value)) -> Value {
    let (a, b) = (a?, b?);
    let count = a.count + b.count;
    let kept = if a.number == FILLER { b } else { a };
    Ok(Out { count, ..kept })
}

/// Leaves a mark; how many there were before.
fn mark(number: u32) -> usize {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(marks(number))
        .expect("a place for marks");
    file.write_all(b".").expect("room for marks");
    file.metadata().expect("it is there").len() as usize - 1
}

/// Ranges of one buffer; outside of them there is another byte.
pub fn ranges(byte: u8, alloc: impl Fn(usize) -> Loan) -> Vec<Shared> {
    let mut loan = alloc(2 * BUFFER + 16);
    loan.fill(!byte);
    loan[8..][..2 * BUFFER].fill(byte);
    let all = loan.publish();
    let starts = [8, 8 + BUFFER / 2, 8 + BUFFER].into_iter();
    let range = |start| all.slice(start..start + BUFFER).expect("inside");
    starts.map(range).collect()
}

fn loan(byte: u8) -> Loan {
    let mut loan = pinfold::alloc(BUFFER).expect("room");
    loan.fill(byte);
    loan
}

/// The value that the argument asks for.
fn make(mut arg: Arg) -> Out {
    let made = Case::made_of(arg.made);
    let byte = byte(arg.number);
    let new = || loan(byte).publish();
    let shared = match made {
        Made::Shared => vec![new()],
        Made::SameShared => vec![arg.shared.pop().unwrap_or_else(new)],
        Made::Ranges => {
            let mut all = ranges(byte, |len| pinfold::alloc(len).expect("room"));
            all.extend(arg.shared.pop());
            all
        }
        Made::ManyShared => (0..3).map(|_| new()).chain(arg.shared.pop()).collect(),
        _ => Vec::new(),
    };
    let loan = match made {
        Made::Loan => Some(Owned(Arc::new(loan(byte)))),
        Made::SameLoan => Some(
            arg.loan
                .take()
                .unwrap_or_else(|| Owned(Arc::new(loan(byte)))),
        ),
        _ => None,
    };
    if let Some(Owned(own)) = &mut arg.loan {
        // Nobody else may see this.
        Arc::get_mut(own).expect("one owner").fill(!byte);
    }
    Out {
        number: arg.number,
        count: 1,
        pad: vec![byte; pad_made(arg.number, made)],
        shared,
        loan,
    }
}

/// How many bytes fill a value up to where another way begins: 24 are kept in the host
/// without an allocation, 48 in a slot.
pub fn pad_made(number: u32, made: Made) -> usize {
    // An `Ok`, two numbers, two lists without members, no loan.
    let empty = 1 + varint(number) + 1 + 1 + 1 + 1;
    match made {
        Made::Small => 24_usize.saturating_sub(empty),
        Made::PastSmall => 25_usize.saturating_sub(empty),
        Made::Filled => 48_usize.saturating_sub(empty),
        Made::PastFilled => 49_usize.saturating_sub(empty),
        Made::Long => 5000,
        _ => 1,
    }
}

/// Bytes of an encoded number.
pub fn varint(number: u32) -> usize {
    (32 - number.leading_zeros()).div_ceil(7).max(1) as usize
}

/// As words for an argument.
impl Case {
    pub fn does_of(word: u8) -> Does {
        Does::ALL[word as usize]
    }

    pub fn made_of(word: u8) -> Made {
        Made::ALL[word as usize]
    }
}
