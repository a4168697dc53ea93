//! Several senders and several receivers of one stream of numbers.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{Patience, Peer, SharedMemory, now, pin, unpin};

const READY: usize = 0;
const FINISHED: usize = 128;
const OUTCOMES: usize = 256;

/// Where those meet that take part.
#[derive(Debug)]
pub struct Meeting(SharedMemory);

impl Meeting {
    /// Whether all that will ever come has come. Ask before a last look.
    pub fn is_finished(&self) -> bool {
        // ordering: Acquire pairs with the Release in `many`.
        self.0.word(FINISHED).load(Ordering::Acquire) != 0
    }

    fn take_part(&self, number: usize, take: &(dyn Fn(&Meeting) -> u64 + Sync)) {
        // ordering: Release pairs with the Acquire in `many`.
        self.0.word(READY).fetch_add(1, Ordering::Release);
        let sum = take(self);
        // Relaxed: read after the end of this thread or process.
        let at = OUTCOMES + number * 128;
        self.0.word(at).store(sum, Ordering::Relaxed);
        self.0.word(at + 8).store(now(), Ordering::Relaxed);
    }
}

/// Where the receivers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receivers {
    /// Each in a process of its own.
    Processes,
    /// Threads of this process.
    Threads,
}

/// Millions per second of the numbers below `numbers`, which `senders` threads of this
/// process send, each its part, and `receivers` take until all has come; `take` returns
/// the sum of what it took. With one of each, both are pinned; more than two share the
/// CPUs as the system likes.
pub fn many(
    (senders, receivers): (u64, usize),
    place: Receivers,
    numbers: u64,
    send: &(dyn Fn(Range<u64>) + Sync),
    take: &(dyn Fn(&Meeting) -> u64 + Sync),
) -> f64 {
    let is_pair = senders == 1 && receivers == 1;
    let meeting = Meeting(SharedMemory::new(4096));
    let take_part = |number| {
        match is_pair {
            true => pin(1),
            false => unpin(),
        }
        meeting.take_part(number, take);
    };
    let run_senders = || {
        let mut patience = Patience::default();
        // ordering: Acquire pairs with the Release in `take_part`.
        while meeting.0.word(READY).load(Ordering::Acquire) < receivers as u64 {
            std::thread::yield_now();
            patience.spin();
        }
        if is_pair {
            pin(0);
        }
        let start = now();
        match senders {
            1 => send(0..numbers),
            _ => std::thread::scope(|scope| {
                for part in 0..senders {
                    let from = numbers * part / senders;
                    let to = numbers * (part + 1) / senders;
                    scope.spawn(move || send(from..to));
                }
            }),
        }
        // ordering: Release pairs with the Acquire in `is_finished`.
        meeting.0.word(FINISHED).store(1, Ordering::Release);
        start
    };
    let start = match place {
        Receivers::Processes => {
            let peers: Vec<Peer> = (0..receivers)
                .map(|number| Peer::fork(|| take_part(number)))
                .collect();
            let start = run_senders();
            peers.into_iter().for_each(Peer::join);
            start
        }
        Receivers::Threads => std::thread::scope(|scope| {
            for number in 0..receivers {
                let take_part = &take_part;
                scope.spawn(move || take_part(number));
            }
            run_senders()
        }),
    };
    unpin();
    // Relaxed: whoever wrote them has ended.
    let outcome = |number: usize, word: usize| {
        let at = OUTCOMES + number * 128 + word * 8;
        meeting.0.word(at).load(Ordering::Relaxed)
    };
    let sum = (0..receivers).fold(0_u64, |sum, number| sum.wrapping_add(outcome(number, 0)));
    let end = (0..receivers).map(|number| outcome(number, 1)).max();
    let all = (0..numbers).fold(0_u64, u64::wrapping_add);
    assert_eq!(sum, all, "every number, once");
    numbers as f64 * 1e3 / (end.unwrap_or(start) - start) as f64
}
