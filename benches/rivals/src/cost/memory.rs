//! Cache lines, and how they travel between CPUs.
//!
//! A line is in the caches of some CPUs. Who reads one that is not in its own waits until it has come from whoever
//! wrote it last; who writes one waits until the farthest of the others has given it up. A line does one thing at
//! a time: those that want it at once are served one after the other.

use serde::{Deserialize, Serialize};

/// The most CPUs that a simulated machine has.
pub const CPUS_MAX: usize = 192;

/// What a transfer takes on the simulated machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// ns, from one CPU to another of the same socket.
    pub near: u64,
    /// ns, to another socket.
    pub far: u64,
    /// ns for which a line is taken up by each of several that read it at once.
    pub shared: u64,
    /// ns to read a line that is in the CPU's own cache.
    pub hit: u64,
    /// CPUs of a socket.
    pub socket: usize,
}

impl Default for Distances {
    fn default() -> Self {
        Distances {
            near: 60,
            far: 140,
            shared: 20,
            hit: 1,
            socket: 48,
        }
    }
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A task's slot: to the executor, and back to who joins.
    Slot,
    /// Behind which hint a client's ring ends; every walk reads it.
    ClientTail,
    /// Up to which hint it was taken; moved by a compare-and-swap.
    ClientHead,
    /// Eight hints of it.
    ClientWords,
    /// The same of an executor's inbox.
    InboxTail,
    /// The same.
    InboxHead,
    /// The same.
    InboxWords,
    /// The ends of an executor's completion ring, and eight of its words.
    Completions,
    /// An executor's counters and the length of its batch.
    Status,
    /// Its batch, eight hints to a line: thieves read it.
    Batch,
    /// The set of executors that search; written by whoever begins or ends to.
    Searching,
    /// The set of those that sleep.
    Sleeping,
    /// The books of a client, with their lock, if two threads share its seat.
    Books,
    /// The scheduler's lock and what it guards.
    Scheduler,
}

/// All of them, with the names that the tables show.
pub const KINDS: [(Kind, &str); 14] = [
    (Kind::Slot, "slots"),
    (Kind::ClientTail, "a client's tail"),
    (Kind::ClientHead, "a client's head"),
    (Kind::ClientWords, "clients' hints"),
    (Kind::InboxTail, "an inbox's tail"),
    (Kind::InboxHead, "an inbox's head"),
    (Kind::InboxWords, "inboxes' hints"),
    (Kind::Completions, "completions"),
    (Kind::Status, "executors' status"),
    (Kind::Batch, "executors' batches"),
    (Kind::Searching, "*searching*"),
    (Kind::Sleeping, "*sleeping*"),
    (Kind::Books, "shared books"),
    (Kind::Scheduler, "the scheduler's lock"),
];

/// A line's number.
pub type LineId = u32;

#[derive(Debug)]
struct Line {
    kind: Kind,
    /// Who wrote it last.
    owner: u16,
    /// In whose caches it is, a bit for each.
    holders: [u64; CPUS_MAX / 64],
    /// Until when it is on its way.
    busy_until: u64,
    /// ns for which somebody wanted it and did not have it, added up.
    wanted_ns: u64,
}

/// All lines of a simulated machine.
#[derive(Debug)]
pub struct Memory {
    distances: Distances,
    lines: Vec<Line>,
    /// When the present step is taken.
    pub clock: u64,
    /// Since when they are counted.
    since: u64,
    travels: [u64; KINDS.len()],
}

impl Memory {
    /// None yet.
    pub fn new(distances: Distances) -> Self {
        Memory {
            distances,
            lines: Vec::new(),
            clock: 0,
            since: u64::MAX,
            travels: [0; KINDS.len()],
        }
    }

    /// `count` lines more, in the cache of `cpu`; the first one's number.
    pub fn add(&mut self, kind: Kind, cpu: usize, count: usize) -> LineId {
        let first = self.lines.len() as LineId;
        for _ in 0..count {
            let mut line = Line {
                kind,
                owner: cpu as u16,
                holders: [0; CPUS_MAX / 64],
                busy_until: 0,
                wanted_ns: 0,
            };
            line.holders[cpu / 64] = 1 << (cpu % 64);
            self.lines.push(line);
        }
        first
    }

    /// From `now` on everything is counted.
    pub fn count_from(&mut self, now: u64) {
        self.since = now;
        self.travels = [0; KINDS.len()];
        for line in &mut self.lines {
            line.wanted_ns = 0;
        }
    }

    /// Whether a line is in the cache of `cpu`.
    pub fn has(&self, cpu: usize, line: LineId) -> bool {
        self.lines[line as usize].holders[cpu / 64] >> (cpu % 64) & 1 == 1
    }

    /// `cpu` reads a line; when it has it.
    pub fn read(&mut self, cpu: usize, line: LineId, now: u64) -> u64 {
        let Distances { hit, shared, .. } = self.distances;
        if self.has(cpu, line) {
            return now + hit;
        }
        let cost = self.distance(cpu, self.lines[line as usize].owner.into());
        self.travel(cpu, line, now, cost, shared.min(cost), false)
    }

    /// `cpu` writes a line; when it has it to itself.
    pub fn write(&mut self, cpu: usize, line: LineId, now: u64) -> u64 {
        let holders = self.lines[line as usize].holders;
        let mut cost = 0;
        for (word, mut left) in holders.into_iter().enumerate() {
            while left != 0 {
                let holder = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                if holder != cpu {
                    cost = self.distance(cpu, holder).max(cost);
                }
            }
        }
        match cost {
            0 => now + self.distances.hit,
            _ => self.travel(cpu, line, now, cost, cost, true),
        }
    }

    fn distance(&self, from: usize, to: usize) -> u64 {
        let Distances {
            near, far, socket, ..
        } = self.distances;
        if from / socket == to / socket {
            near
        } else {
            far
        }
    }

    fn travel(
        &mut self,
        cpu: usize,
        id: LineId,
        now: u64,
        cost: u64,
        busy: u64,
        is_write: bool,
    ) -> u64 {
        let line = &mut self.lines[id as usize];
        let start = line.busy_until.max(now);
        // What a step does later than it is taken keeps nobody waiting who comes before.
        line.busy_until = line.busy_until.max(self.clock) + busy;
        if is_write {
            line.holders = [0; CPUS_MAX / 64];
            line.owner = cpu as u16;
        }
        line.holders[cpu / 64] |= 1 << (cpu % 64);
        let done = start + cost;
        if now >= self.since {
            line.wanted_ns += done - now;
            self.travels[line.kind as usize] += 1;
        }
        done
    }

    /// How many lines of each kind have travelled.
    pub fn travels(&self) -> [u64; KINDS.len()] {
        self.travels
    }

    /// Of the line that was wanted most: its kind, and how many wanted it at once on
    /// average in the `ns` since then.
    pub fn most_wanted(&self, ns: u64) -> (Kind, f64) {
        let most = self.lines.iter().max_by_key(|line| line.wanted_ns);
        let most = most.expect("there are lines");
        (most.kind, most.wanted_ns as f64 / ns as f64)
    }

    /// Somebody waited so long for what a line stands for.
    pub fn note_wait(&mut self, line: LineId, now: u64, ns: u64) {
        if now >= self.since {
            self.lines[line as usize].wanted_ns += ns;
        }
    }
}
