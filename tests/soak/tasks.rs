//! What the workers run. Each task first counts itself, then checks what it was given
//! and returns what the host can check.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pinfold::{Loan, Shared, TaskError};
use serde::{Deserialize, Serialize};

use crate::record;
use crate::rng::mix;

/// Which task this is, and where it counts itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Me {
    pub record: String,
    pub id: u64,
}

impl Me {
    fn begins(&self) {
        record::begins(&self.record, self.id);
    }
}

/// The bytes a buffer of task `id` holds.
pub fn fill(bytes: &mut [u8], id: u64) {
    for (i, chunk) in bytes.chunks_mut(8).enumerate() {
        let word = mix(id.wrapping_add(i as u64)).to_ne_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

/// Whether these are the bytes of task `id`; if not, says which are not.
pub fn is_filled(bytes: &[u8], id: u64) -> bool {
    let is_wrong = |(i, chunk): &(usize, &[u8])| {
        let word = mix(id.wrapping_add(*i as u64)).to_ne_bytes();
        *chunk != &word[..chunk.len()]
    };
    // None is empty; a loan that is on its way reads as if it were.
    if bytes.is_empty() {
        return false;
    }
    let mut wrong = bytes.chunks(8).enumerate().filter(is_wrong);
    let Some((first, found)) = wrong.next() else {
        return true;
    };
    let last = wrong.clone().next_back().map_or(first, |(i, _)| i);
    eprintln!(
        "of {} bytes of task {id}, {} words are wrong, from word {first} ({found:x?}) to {last}",
        bytes.len(),
        wrong.count() + 1,
    );
    false
}

/// What the worker writes into a buffer differs from what the host wrote.
pub fn answer(id: u64) -> u64 {
    id ^ 1 << 63
}

pub const TEXT_LEN: usize = 100 << 10;

pub fn text(id: u64) -> String {
    format!("{:016x}", mix(id)).repeat(TEXT_LEN / 16)
}

/// Buffers that outlive their task in this worker; the oldest go first.
static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());
const KEPT_MAX: usize = 20;

#[expect(dead_code, reason = "kept for what it holds, not to be read")]
enum Kept {
    Loan(Loan),
    Shared(Shared),
}

fn keep(buffer: Kept) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(buffer);
}

pub fn quick(me: Me) -> u64 {
    me.begins();
    mix(me.id)
}

/// Depends on others that return what they were mixed from.
pub fn after((me, before): (Me, Vec<u64>)) -> u64 {
    me.begins();
    assert!(before.len() < 4, "as many as there were");
    mix(me.id)
}

/// How many leaves a tree of `depth` has, counted by tasks that spawn tasks. What is
/// lost with another worker is counted once more, here.
fn leaves(depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let other = pinfold::spawn(leaves, depth - 1);
    let here = leaves(depth - 1);
    match other.join() {
        Ok(there) => here + there,
        Err(TaskError::WorkerDied { .. }) => here + leaves(depth - 1),
        // Children are cancelled with their parent, which here pays no heed to it.
        Err(TaskError::Cancelled { .. }) if pinfold::context().is_cancelled() => {
            here + leaves(depth - 1)
        }
        Err(error) => panic!("a leaf: {error}"),
    }
}

pub fn forks(me: Me) -> u64 {
    me.begins();
    let depth = (me.id % 7) as u32;
    assert_eq!(leaves(depth), 1 << depth, "leaves");
    mix(me.id)
}

/// Spawns tasks that read a buffer and make others; joins some, and leaves some.
pub fn forks_shared((me, of, shared): (Me, u64, Shared)) -> u64 {
    me.begins();
    let read = |(of, shared): (u64, Shared)| is_filled(&shared, of);
    let made = |id: u64| {
        let mut loan = pinfold::alloc(1000).expect("room");
        fill(&mut loan, id);
        loan
    };
    for round in 0..me.id % 4 {
        let reads = pinfold::spawn(read, (of, shared.clone()));
        let makes = pinfold::spawn(made, me.id);
        drop(pinfold::spawn(text, me.id));
        drop(pinfold::spawn(read, (of, shared.clone())));
        if round == 2 {
            continue; // both are left
        }
        match reads.join() {
            Ok(right) => assert!(right, "the shared bytes, read by another"),
            Err(TaskError::WorkerDied { .. }) => {}
            Err(TaskError::Cancelled { .. }) if pinfold::context().is_cancelled() => {}
            Err(error) => panic!("reads: {error}"),
        }
        match makes.join() {
            Ok(loan) => assert!(is_filled(&loan, me.id), "bytes that another has made"),
            Err(TaskError::WorkerDied { .. }) => {}
            Err(TaskError::Cancelled { .. }) if pinfold::context().is_cancelled() => {}
            Err(error) => panic!("makes: {error}"),
        }
    }
    mix(me.id)
}

pub fn busy(me: Me) -> u64 {
    me.begins();
    let end = Instant::now() + Duration::from_millis(1);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    mix(me.id)
}

pub fn nap(me: Me) -> u64 {
    me.begins();
    std::thread::sleep(Duration::from_millis(1));
    mix(me.id)
}

pub fn panics(me: Me) -> u64 {
    me.begins();
    panic!("task {}", me.id)
}

pub fn fails(me: Me) -> Result<u64, u64> {
    me.begins();
    Err(mix(me.id))
}

pub fn large_result(me: Me) -> String {
    me.begins();
    text(me.id)
}

pub fn large_argument((me, bytes): (Me, Vec<u8>)) -> u64 {
    me.begins();
    assert!(is_filled(&bytes, me.id), "the argument's bytes");
    mix(me.id)
}

/// Writes into the buffer it was lent, and gives it back.
pub fn loan_back((me, mut loan): (Me, Loan)) -> Loan {
    me.begins();
    assert!(is_filled(&loan, me.id), "the loan's bytes");
    fill(&mut loan, answer(me.id));
    loan
}

pub fn loan_published((me, mut loan): (Me, Loan)) -> Shared {
    me.begins();
    assert!(is_filled(&loan, me.id), "the loan's bytes");
    fill(&mut loan, answer(me.id));
    loan.publish()
}

pub fn loan_kept((me, loan): (Me, Loan)) -> u64 {
    me.begins();
    assert!(is_filled(&loan, me.id), "the loan's bytes");
    keep(Kept::Loan(loan));
    mix(me.id)
}

/// `of` names whose bytes they are: several tasks may be given one buffer.
pub fn shared_read((me, of, shared): (Me, u64, Shared)) -> u64 {
    me.begins();
    assert!(is_filled(&shared, of), "the shared bytes");
    mix(me.id)
}

pub fn shared_kept((me, of, shared): (Me, u64, Shared)) -> u64 {
    me.begins();
    assert!(is_filled(&shared, of), "the shared bytes");
    keep(Kept::Shared(shared.clone()));
    mix(me.id)
}

pub fn shared_back((me, of, shared): (Me, u64, Shared)) -> (u64, Shared) {
    me.begins();
    assert!(is_filled(&shared, of), "the shared bytes");
    (of, shared)
}

pub fn makes_loan((me, len): (Me, u32)) -> Loan {
    me.begins();
    let mut loan = pinfold::alloc(len as usize).expect("room");
    fill(&mut loan, answer(me.id));
    loan
}

pub fn makes_shared((me, len): (Me, u32)) -> Shared {
    me.begins();
    let mut loan = pinfold::alloc(len as usize).expect("room");
    fill(&mut loan, answer(me.id));
    let shared = loan.publish();
    if me.id.is_multiple_of(4) {
        keep(Kept::Shared(shared.clone()));
    }
    shared
}

/// Allocates some buffers, drops some of them, keeps others.
pub fn churns((me, lens): (Me, Vec<u32>)) -> u64 {
    me.begins();
    let loans: Vec<Loan> = lens
        .iter()
        .map(|len| {
            let mut loan = pinfold::alloc(*len as usize).expect("room");
            fill(&mut loan, answer(me.id));
            loan
        })
        .collect();
    for (i, loan) in loans.into_iter().enumerate() {
        assert!(is_filled(&loan, answer(me.id)), "nobody else's bytes");
        match i % 4 {
            0 => keep(Kept::Loan(loan)),
            1 => keep(Kept::Shared(loan.publish())),
            2 => drop(loan.publish()),
            _ => drop(loan),
        }
    }
    mix(me.id)
}
