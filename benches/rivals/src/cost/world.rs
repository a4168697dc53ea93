//! The simulated machine: who is there, what they share, and how time goes on.
//!
//! Each CPU is one submitter or one executor, and does one step after the other; a step ends when its CPU
//! needs a line that is not there yet, or has computed for a while. Steps are taken in the order of their times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::executor::Executor;
use super::memory::{CPUS_MAX, Distances, KINDS, Kind, LineId, Memory};
use super::submitter::Submitter;

/// Clients that there are at most: one for each seat.
pub const SEATS: usize = 64;
/// Hints of 8 bytes on a line.
pub const HINTS: u64 = 8;
/// Lines of words in a ring: so many that none is used again while somebody may need it.
const RING_LINES: u64 = 256;
/// Lines that each section of the scheduler touches: its lock, tickets, slots' table, free slots, queues, counters.
const SCHEDULER_LINES: usize = 8;
/// The same of a client's books: the lock, the free slots, the task, the ring's writer.
const BOOKS_LINES: usize = 4;

/// Through what the submitters' tasks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The first through the scheduler, each of the others through a client.
    Clients,
    /// The same, if executors went from client to client each in steps of its own length, and on to the next one when
    /// another was quicker. They do not.
    Apart,
    /// All through the scheduler: its lock is taken twice for each task.
    Lock,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Threads that submit, each on a CPU of its own.
    pub submitters: usize,
    /// Workers with one executor each, the same.
    pub executors: usize,
    /// Tasks that each submitter has in flight.
    pub window: usize,
    /// Through what they go.
    pub way: Way,
    /// ns of a submitter's CPU for each task, without transfers.
    pub submit_ns: u64,
    /// The same of an executor's.
    pub run_ns: u64,
    /// What a transfer takes.
    pub distances: Distances,
    /// ns until everything is under way at the soonest, and for which it is counted then.
    pub times: [u64; 2],
    /// Of the random numbers by which no two steps take quite the same.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// M tasks per second that were joined.
    pub rate: f64,
    /// The same if no line had to travel.
    pub ideal: f64,
    /// Lines of each kind that travelled for each task.
    pub travels: [f64; KINDS.len()],
    /// Which line was wanted most, and by how many at once on average.
    pub wanted: (Kind, f64),
    /// Rings that executors have looked at for each task.
    pub looks: f64,
    /// Tasks that were taken at once.
    pub batch: f64,
    /// Share of the tasks that somebody took from another's inbox or batch.
    pub stolen: f64,
    /// Executors that sleep at the end.
    pub asleep: usize,
}

impl Outcome {
    /// Lines that travelled for each task.
    pub fn lines(&self) -> f64 {
        self.travels.iter().sum()
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub joined: u64,
    pub taken: u64,
    pub batches: u64,
    pub stolen: u64,
    pub looks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Free,
    Queued,
    Running,
    Done,
}

/// A task's slot.
#[derive(Debug)]
pub struct Slot {
    pub line: LineId,
    pub state: State,
    /// From when on others see that it is done.
    pub done_at: u64,
    /// The scheduler has its value.
    pub is_collected: bool,
    /// It is the scheduler's: a completion tells of its end.
    pub is_hosts: bool,
}

/// A ring of hints: a client's or an executor's inbox.
#[derive(Debug)]
pub struct Ring {
    pub head_line: LineId,
    pub tail_line: LineId,
    words: LineId,
    pub head: u64,
    /// Slots, and from when on others see them.
    pub hints: VecDeque<(usize, u64)>,
}

impl Ring {
    fn new(memory: &mut Memory, [head, tail, words]: [Kind; 3], cpu: usize) -> Self {
        Ring {
            head_line: memory.add(head, cpu, 1),
            tail_line: memory.add(tail, cpu, 1),
            words: memory.add(words, cpu, RING_LINES as usize),
            head: 0,
            hints: VecDeque::new(),
        }
    }

    /// The line of the word at this position.
    pub fn word(&self, position: u64) -> LineId {
        self.words + (position / HINTS % RING_LINES) as LineId
    }

    pub fn tail(&self) -> u64 {
        self.head + self.hints.len() as u64
    }

    /// How many hints are to be seen at `now`.
    pub fn backlog(&self, now: u64) -> usize {
        self.hints
            .iter()
            .take_while(|(_, from)| *from <= now)
            .count()
    }
}

/// A lock, and the lines that whoever has it touches.
#[derive(Debug)]
pub struct Lock {
    pub users: usize,
    lines: LineId,
    count: usize,
    free_at: u64,
}

impl Lock {
    fn new(memory: &mut Memory, kind: Kind, count: usize) -> Self {
        Lock {
            users: 0,
            lines: memory.add(kind, 0, count),
            count,
            free_at: 0,
        }
    }

    /// When `cpu`, who comes at `now`, is inside and has its lines. It says at once when it leaves: `leave`.
    pub fn enter(&self, memory: &mut Memory, cpu: usize, now: u64) -> u64 {
        if self.users < 2 {
            return now;
        }
        let start = self.free_at.max(now);
        memory.note_wait(self.lines, now, start - now);
        (self.lines..)
            .take(self.count)
            .fold(start, |at, line| memory.write(cpu, line, at))
    }

    pub fn leave(&mut self, at: u64) {
        self.free_at = self.free_at.max(at);
    }
}

/// What an executor has taken, and where it tells of what it has done.
#[derive(Debug)]
pub struct Record {
    pub status: LineId,
    pub batch: LineId,
    pub hints: Vec<usize>,
    /// Slots of the scheduler's that are done, and from when on it sees them.
    pub ended: Ring,
}

/// A CPU's stores, which leave it one after the other while it goes on.
#[derive(Debug, Default)]
pub struct Stores {
    under_way: VecDeque<u64>,
    last: u64,
}

/// Lines that a CPU may have stores under way to.
const STORES: usize = 12;

impl Stores {
    /// Stores to a line; from when on others see it.
    pub fn put(&mut self, memory: &mut Memory, cpu: usize, line: LineId, now: u64) -> u64 {
        self.last = memory.write(cpu, line, now).max(self.last);
        if self.last > now + 1 {
            self.under_way.push_back(self.last);
        }
        self.last
    }

    /// When there is room for more.
    pub fn room(&mut self, now: u64) -> u64 {
        while self.under_way.front().is_some_and(|done| *done <= now) {
            self.under_way.pop_front();
        }
        match self.under_way.len().checked_sub(STORES) {
            Some(behind) => self.under_way[behind],
            None => now,
        }
    }

    /// When all of them have left.
    pub fn all(&self, now: u64) -> u64 {
        self.last.max(now)
    }
}

/// What all share.
#[derive(Debug)]
pub struct World {
    pub setup: Setup,
    pub memory: Memory,
    pub clients: usize,
    /// The clients', then the inboxes.
    pub rings: Vec<Ring>,
    pub slots: Vec<Slot>,
    pub records: Vec<Record>,
    pub scheduler: Lock,
    pub books: Vec<Lock>,
    pub searching: (LineId, usize),
    pub sleeping: (LineId, Vec<usize>),
    /// Executors that somebody wakes, and when they are awake.
    pub woken: Vec<(usize, u64)>,
    pub tally: Tally,
    /// To which executor the scheduler's last hint went, and how many more go there.
    pub choice: (usize, u32),
    /// The CPU of the submitter that waits for completions, for all who go through the scheduler.
    pub leader: Option<usize>,
    random: u64,
}

impl World {
    /// About so many ns: a fifth more or less.
    pub fn about(&mut self, ns: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ns * 4 / 5 + self.random % (ns * 2 / 5 + 1)
    }

    /// Somebody who sleeps is woken, if there is one and nobody searches.
    pub fn wake_one(&mut self, now: u64) -> bool {
        if self.searching.1 > 0 {
            return false;
        }
        let Some(executor) = self.sleeping.1.pop() else {
            return false;
        };
        self.searching.1 += 1;
        self.woken.push((executor, now + WAKE_NS[1]));
        true
    }
}

/// ns that a wake takes who wakes, and until the other one is awake.
pub const WAKE_NS: [u64; 2] = [5_000, 20_000];
/// Waiting work that is worth waking somebody for, in ns.
pub const WORTH_WAKING_NS: u64 = 30_000;
/// ns between two looks of somebody who waits.
pub const PAUSE_NS: u64 = 40;

/// The CPU of a submitter and of an executor: they lie side by side as long as there are both.
fn cpus(setup: &Setup) -> (Vec<usize>, Vec<usize>) {
    let (mut submitters, mut executors) = (Vec::new(), Vec::new());
    for cpu in 0..setup.submitters + setup.executors {
        let is_submitter = submitters.len() < setup.submitters
            && (submitters.len() <= executors.len() || executors.len() == setup.executors);
        if is_submitter {
            &mut submitters
        } else {
            &mut executors
        }
        .push(cpu);
    }
    (submitters, executors)
}

/// Simulates it.
///
/// # Panics
/// If there are more CPUs than [`CPUS_MAX`], or nobody on one side.
pub fn simulate(setup: Setup) -> Outcome {
    let (at_submitters, at_executors) = cpus(&setup);
    assert!((2..=CPUS_MAX).contains(&(at_submitters.len() + at_executors.len())));
    assert!(setup.submitters > 0 && setup.executors > 0);
    let mut memory = Memory::new(setup.distances);
    let clients = match setup.way {
        Way::Clients | Way::Apart => (setup.submitters - 1).min(SEATS),
        Way::Lock => 0,
    };
    let client_ring = [Kind::ClientHead, Kind::ClientTail, Kind::ClientWords];
    let inbox = [Kind::InboxHead, Kind::InboxTail, Kind::InboxWords];
    let mut rings = Vec::new();
    // The client of submitter n + 1 is n, and from the 65th on again the first ones.
    rings.extend(
        (0..clients).map(|client| Ring::new(&mut memory, client_ring, at_submitters[client + 1])),
    );
    rings.extend(
        at_executors
            .iter()
            .map(|cpu| Ring::new(&mut memory, inbox, *cpu)),
    );
    let record = |cpu: &usize| Record {
        status: memory.add(Kind::Status, *cpu, 1),
        batch: memory.add(Kind::Batch, *cpu, 4),
        hints: Vec::new(),
        ended: Ring::new(&mut memory, [Kind::Completions; 3], *cpu),
    };
    let records = at_executors.iter().map(record).collect();
    let mut world = World {
        clients,
        rings,
        records,
        slots: Vec::new(),
        scheduler: Lock::new(&mut memory, Kind::Scheduler, SCHEDULER_LINES),
        books: (0..clients)
            .map(|_| Lock::new(&mut memory, Kind::Books, BOOKS_LINES))
            .collect(),
        searching: (memory.add(Kind::Searching, 0, 1), 0),
        sleeping: (memory.add(Kind::Sleeping, 0, 1), Vec::new()),
        woken: Vec::new(),
        tally: Tally::default(),
        choice: (0, 0),
        leader: None,
        random: setup.seed | 1,
        memory,
        setup,
    };
    let mut submitters: Vec<Submitter> = (0..)
        .zip(&at_submitters)
        .map(|(number, cpu)| Submitter::new(&mut world, number, *cpu))
        .collect();
    let mut executors: Vec<Executor> = (0..)
        .zip(&at_executors)
        .map(|(number, cpu)| Executor::new(&world, number, *cpu))
        .collect();
    run(&mut world, &mut submitters, &mut executors);
    outcome(&world)
}

fn run(world: &mut World, submitters: &mut [Submitter], executors: &mut [Executor]) {
    let [until_counted, counted] = world.setup.times;
    let mut end = u64::MAX;
    let all = 0..submitters.len() + executors.len();
    // They begin one after the other.
    let mut steps: BinaryHeap<_> = all.map(|who| Reverse((who as u64 * 7, who))).collect();
    while let Some(Reverse((now, who))) = steps.pop() {
        if now >= end {
            break;
        }
        let is_under_way = || submitters.iter().all(Submitter::has_joined);
        if end == u64::MAX && now >= until_counted && is_under_way() {
            end = now + counted;
            world.memory.count_from(now);
            world.tally = Tally::default();
        }
        world.memory.clock = now;
        let next = match who.checked_sub(submitters.len()) {
            None => Some(submitters[who].step(world, now)),
            Some(executor) => executors[executor].step(world, now),
        };
        steps.extend(next.map(|at| Reverse((at.max(now + 1), who))));
        for (executor, at) in world.woken.drain(..) {
            executors[executor].wake();
            steps.push(Reverse((at, submitters.len() + executor)));
        }
    }
}

fn outcome(world: &World) -> Outcome {
    let (setup, tally) = (&world.setup, &world.tally);
    let counted = setup.times[1];
    let tasks = tally.joined.max(1) as f64;
    let limit = |who: usize, ns: u64| who as f64 * 1e3 / ns as f64;
    Outcome {
        rate: tally.joined as f64 * 1e3 / counted as f64,
        ideal: limit(setup.submitters, setup.submit_ns).min(limit(setup.executors, setup.run_ns)),
        travels: world.memory.travels().map(|count| count as f64 / tasks),
        wanted: world.memory.most_wanted(counted),
        looks: tally.looks as f64 / tasks,
        batch: tally.taken as f64 / tally.batches.max(1) as f64,
        stolen: tally.stolen as f64 / tally.taken.max(1) as f64,
        asleep: world.sleeping.1.len(),
    }
}
