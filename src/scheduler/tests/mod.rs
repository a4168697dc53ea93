//! Half-finished states: an executor played by hand stops after each of its steps,
//! the host recovers, another executor goes on. No process is started or killed.

mod cancel;
mod deadlines;
mod deaths;
mod groups;
mod hints;
mod kin;
mod naps;
mod orphans;
mod outage;
mod priorities;
mod run_limits;
mod spawned;
mod statuses;

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Counters, Job, Scheduler, Ticket};
use crate::error::{Death, TaskError};
use crate::layout::{BATCH_MAX, Fold, Plan, Shape};
use crate::pool::{Loan, Parcel, Pool, Shared, Transfer, encoding};
use crate::prim::atomic::Ordering;
use crate::prim::{ExecutorId, Hint, Priority, ProcessId};
use crate::ring::{spsc, steal};
use crate::scheduler::outcomes::value::Outcome;
use crate::shm::Segment;
use crate::sys::{Bell, clock};
use crate::task::{
    Call, FunctionId, Functions, Head, Outcome as Ran, Payload, Place, TaskState, entry_of,
    split_parcels,
};

/// The process id of the worker that dies first, and of those that follow it.
const PID: i32 = 100;
const SEGFAULT: Death = Death::Signaled {
    signal: 11,
    core_dumped: false,
};
const KILLED: Death = Death::Signaled {
    signal: 9,
    core_dumped: false,
};
/// The step before which an executor dies that has just claimed its first task.
const CLAIMED: u32 = 4;
/// Slots of the schedulers here.
const SLOTS: u32 = 4;

/// A scheduler of a fresh fold, whose workers have been "started".
fn scheduler(workers: u32, slots: u32) -> Scheduler {
    let plan = Plan::new(Shape {
        workers,
        threads: 1,
        slots,
        clients: 2,
        memory: 2 << 20,
    });
    let segment = Segment::create(plan.len).expect("segment");
    let fold = Fold::new(segment, plan);
    fold.header.publish(fold.plan.len as u64, fold.plan.hash());
    let functions = Functions::of_this_program().expect("own program");
    let bell = Arc::new(Bell::new().expect("descriptor"));
    let counters = Counters::default();
    let scheduler = Scheduler::new(fold, functions, slots as usize, false, 1, bell, counters);
    (0..workers).for_each(|worker| scheduler.expect(worker));
    scheduler
}

/// A task of at most one attempt.
fn job<F, A, R>(scheduler: &Scheduler, _: F, arguments: A) -> Job
where
    F: Fn(A) -> R + 'static,
    A: DeserializeOwned + Serialize,
    R: Serialize + serde::de::DeserializeOwned,
{
    let mut payload = Payload::new();
    let (encoded, buffers) = encoding(|| payload.encode(&arguments));
    encoded.expect("encodes");
    let function = scheduler.functions.id(entry_of::<F, A, R>());
    Job {
        function: function.expect("in this program"),
        payload,
        buffers,
        name: type_name::<F>,
        permits: Vec::new(),
        settings: None,
    }
}

fn submit(scheduler: &Scheduler, mut job: Job) -> Ticket {
    scheduler.submit(&mut job, None).expect("accepted")
}

/// Where its task is.
fn hint_of(scheduler: &Scheduler, ticket: &Ticket) -> Hint {
    scheduler.locations.hint(ticket.id())
}

fn state_of(scheduler: &Scheduler, ticket: &Ticket) -> Option<TaskState> {
    let word = scheduler.fold.slots[hint_of(scheduler, ticket).slot.at()].word();
    (word.generation == hint_of(scheduler, ticket).generation)
        .then(|| TaskState::of(word))
        .flatten()
}

thread_local! {
    /// What a task allocates from.
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
    /// Tasks begun on this thread.
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

fn alloc(len: usize) -> Loan {
    POOL.with_borrow(|pool| pool.as_ref().expect("inside a task").alloc(len))
        .expect("room")
}

fn square(n: u64) -> u64 {
    n * n
}

fn reverse(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

fn fill(mut loan: Loan) -> Loan {
    loan.fill(7);
    loan
}

/// Gives its argument back, with something of its own.
fn add(given: Shared) -> (Shared, Shared, Loan) {
    let mut own = alloc(100);
    own.fill(given[0] + 1);
    (given, own.publish(), alloc(40_000))
}

/// A kind of task: its job, and what must come of it.
struct Kind {
    name: &'static str,
    job: fn(&Scheduler) -> Job,
    check: fn(crate::scheduler::outcomes::value::Value),
    may_repeat: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "plain",
        job: |scheduler| job(scheduler, square, 7),
        check: |value| assert_eq!(value.decode::<u64>(), Ok(49)),
        may_repeat: true,
    },
    Kind {
        name: "long",
        job: |scheduler| job(scheduler, reverse, (0..200).collect()),
        check: |value| {
            let expected = (0..200).rev().collect();
            assert_eq!(value.decode::<Vec<u8>>(), Ok(expected));
        },
        may_repeat: true,
    },
    Kind {
        name: "loan",
        job: |scheduler| job(scheduler, fill, scheduler.pool.alloc(300).expect("room")),
        check: |value| {
            let loan = value.decode::<Loan>().expect("decodes");
            assert_eq!(loan[..], [7; 300]);
        },
        may_repeat: false,
    },
    Kind {
        name: "buffers",
        job: |scheduler| {
            let mut given = scheduler.pool.alloc(5).expect("room");
            given.fill(1);
            job(scheduler, add, given.publish())
        },
        check: |value| {
            let (given, own, loan) = value.decode::<(Shared, Shared, Loan)>().expect("decodes");
            assert_eq!((&given[..], &own[..]), (&[1; 5][..], &[2; 100][..]));
            assert_eq!(loan.len(), 40_000);
        },
        may_repeat: true,
    },
];

/// Thrown by the step that is not taken; no message is printed.
struct Died;

/// An executor, played step by step as `worker` does it.
///
/// One that has died is kept until the end of its test: what it held must not be
/// tidied up by a drop before the host has recovered it.
struct Hand {
    me: ExecutorId,
    fold: Fold,
    pool: Pool,
    functions: Functions,
    /// The urgent lane, the inboxes (its own first), the other lanes.
    rings: Vec<(bool, steal::Taker)>,
    completions: spsc::Producer,
    /// Steps left; none: it does not die.
    left: Option<u32>,
    arguments: Vec<Parcel>,
    incoming: Vec<Transfer>,
    outgoing: Vec<Transfer>,
    payload: Payload,
}

impl Hand {
    /// The only executor of worker `worker`, just started.
    fn new(scheduler: &Scheduler, worker: u32) -> Self {
        scheduler.expect(worker);
        let fold = scheduler.fold.clone();
        let count = fold.plan.shape.executors();
        Hand {
            me: ExecutorId(worker),
            pool: fold.pool(ProcessId::of_worker(worker)),
            functions: scheduler.functions.clone(),
            rings: Priority::ALL
                .into_iter()
                .flat_map(|level| match level.lane() {
                    Some(lane) => vec![(true, fold.lane(lane))],
                    None => (0..count)
                        .map(|n| (n > 0, fold.inbox((worker as usize + n) % count)))
                        .collect(),
                })
                .map(|(half, ring)| (half, steal::Taker::attach(ring)))
                .collect(),
            completions: spsc::Producer::attach(fold.completions(worker as usize)),
            left: None,
            arguments: Vec::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            payload: Payload::new(),
            fold,
        }
    }

    /// Runs whatever there is, and dies before step `death`; true if it did.
    fn dies(&mut self, death: u32) -> bool {
        self.left = Some(death);
        let lived = catch_unwind(AssertUnwindSafe(|| self.run_all()));
        self.left = None;
        match lived {
            Ok(_) => false,
            Err(thrown) if thrown.is::<Died>() => true,
            Err(thrown) => resume_unwind(thrown),
        }
    }

    /// Runs whatever there is; returns how many hints it took.
    fn run_all(&mut self) -> usize {
        let mut taken = 0;
        loop {
            let hints = self.find();
            if hints.is_empty() {
                return taken;
            }
            taken += hints.len();
            for hint in hints {
                self.run_one(Hint::unpack(hint));
            }
            self.step();
            self.completions.publish();
            self.step();
            self.fold.host_bell.ring();
            self.step();
            self.record().announce_nothing();
        }
    }

    fn record(&self) -> &crate::layout::ExecutorRecord {
        &self.fold.executors[self.me.0 as usize]
    }

    fn step(&mut self) {
        if self.left == Some(0) {
            resume_unwind(Box::new(Died));
        }
        self.left = self.left.map(|left| left - 1);
    }

    fn find(&mut self) -> Vec<u64> {
        let mut hints = [0; BATCH_MAX];
        for at in 0..self.rings.len() {
            let (half, ring) = self.rings[at].clone();
            let taken = ring.take(&mut hints, half, |hints| {
                self.step();
                self.record().announce(hints);
                self.step();
            });
            let (count, _) = taken.expect("whole");
            if count > 0 {
                self.step();
                return hints[..count].to_vec();
            }
        }
        let executors = self.fold.executors.iter();
        let is_queued = |hint: &u64| {
            let hint = Hint::unpack(*hint);
            let word = self.fold.slots[hint.slot.at()].word();
            TaskState::of(word) == Some(TaskState::Queued) && word.generation == hint.generation
        };
        let waiting = executors.flat_map(|record| record.announced());
        let found: Vec<u64> = waiting.filter(is_queued).take(1).collect();
        if !found.is_empty() {
            self.step();
            self.record().announce(&found);
            self.step();
        }
        found
    }

    fn run_one(&mut self, hint: Hint) {
        let fold = self.fold.clone();
        let slot = &fold.slots[hint.slot.at()];
        self.record()
            .doing
            .current
            .store(hint.pack(), Ordering::Relaxed);
        self.step();
        if !slot.claim(self.me, hint.generation) {
            return;
        }
        self.step();
        let (head, words) = slot.read().expect("makes sense");
        let line = head.is_timed.then(|| &fold.measures[hint.slot.at()]);
        if let Some(line) = line {
            line.begins(clock::now());
            self.step();
        }
        let ran = self.call(&head, words);
        if let Some(line) = line {
            line.ends(clock::now());
            self.step();
        }
        let result = self.carry(hint, head.function, ran);
        // The payload first, as `Slot::write` does it, then the head.
        slot.write(Head { ..head }, self.payload.words());
        self.step();
        slot.write(result, self.payload.words());
        self.step();
        slot.finish(self.me, hint.generation);
        self.step();
        assert!(self.completions.stage(hint.pack()), "room");
        self.step();
    }

    fn call(&mut self, head: &Head, words: [u64; 6]) -> Ran {
        let bytes = match head.place {
            Place::Inline(len) => Payload::from_words(words, len).bytes().to_vec(),
            Place::Block {
                index,
                generation,
                len,
            } => {
                let found = self.pool.argument_bytes(index, generation, len);
                found.expect("kept by the host").to_vec()
            }
        };
        let (value, parcels) = split_parcels(&bytes, head.parcels).expect("whole");
        for parcel in &parcels {
            let accepted = self
                .pool
                .accept_argument(parcel, ProcessId::HOST)
                .expect("arrives");
            self.incoming.push(accepted);
            self.step();
        }
        self.arguments = parcels;
        self.payload.clear();
        let mut call = Call {
            is_marked: false,
            arguments: value,
            incoming: &mut self.incoming,
            result: &mut self.payload,
            pool: Some(&self.pool),
            outgoing: &mut self.outgoing,
        };
        RUNS.set(RUNS.get() + 1);
        POOL.replace(Some(self.pool.clone()));
        let run = self.functions.entry(FunctionId(head.function));
        let ran = run.expect("a gate")(&mut call);
        POOL.take();
        self.step();
        ran
    }

    /// Hands buffers and a long result over to the slot.
    fn carry(&mut self, hint: Hint, function: u32, outcome: Ran) -> Head {
        let mut parcels = Vec::new();
        while !self.outgoing.is_empty() {
            let transfer = self.outgoing.remove(0);
            let parcel = transfer.into_result(hint.slot, &self.arguments);
            parcels.push(parcel.expect("room"));
            self.step();
        }
        self.payload.push_parcels(&parcels);
        let place = if self.payload.is_inline() {
            Place::Inline(self.payload.len())
        } else {
            let mut loan = self.pool.alloc(self.payload.len()).expect("room");
            loan.copy_from_slice(self.payload.bytes());
            self.outgoing.push(Transfer::of_loan(loan));
            self.step();
            let long = self.outgoing.remove(0).into_result(hint.slot, &[]);
            let long = long.expect("carried");
            self.step();
            Place::Block {
                index: long.index,
                generation: long.generation,
                len: long.len as usize,
            }
        };
        Head {
            function,
            outcome,
            parcels: parcels.len() as u8,
            is_labelled: false,
            is_timed: false,
            place,
        }
    }
}

/// Nothing is in flight, nothing is lost, doubled or leaked, and all slots and
/// executors are of use.
#[track_caller]
fn check_whole(scheduler: &Scheduler) {
    check_sums(scheduler);
    {
        let mut state = scheduler.lock();
        assert_eq!(state.slots.in_flight(), 0);
        let mut free = state.slots.all_free();
        free.sort_unstable();
        assert!(
            free.iter().copied().eq(0..scheduler.capacity as u32),
            "{free:?}"
        );
        assert!(!state.queues.has_aside());
        assert!(
            state.losses.dying().is_empty(),
            "{:?}",
            state.losses.dying()
        );
        scheduler.inspect(&mut state);
    }
    assert!(!scheduler.is_condemned());
    assert_eq!(scheduler.pool.in_use(), [0, 0, 0]);
    assert_eq!(scheduler.audit().orphans, [""; 0]);

    let tickets: Vec<_> = (0..scheduler.capacity as u64)
        .map(|n| submit(scheduler, job(scheduler, square, n)))
        .collect();
    let workers = scheduler.fold.plan.shape.workers;
    for worker in (0..workers).rev() {
        Hand::new(scheduler, worker).run_all();
    }
    for (n, ticket) in (0..).zip(tickets) {
        let value = scheduler.poll(&ticket).expect("ended").expect("a value");
        assert_eq!(value.decode::<u64>(), Ok(n * n));
    }
    check_sums(scheduler);
    assert_eq!(scheduler.audit().orphans, [""; 0]);
}

#[track_caller]
fn check_sums(scheduler: &Scheduler) {
    let c = scheduler.counters();
    let ended = c.completed + c.panicked + c.died + c.late + c.cancelled + c.failed;
    assert_eq!(c.submitted, ended + c.in_flight, "{c:?}");
    assert_eq!((c.damage, c.failed), (0, 0), "{c:?}");
}

/// However often a waiter looks, it finds nothing wrong.
#[track_caller]
fn check_not_suspected(scheduler: &Scheduler) {
    let mut suspects = crate::scheduler::recover::inspect::Suspects::new();
    for _ in 0..3 {
        scheduler.look_again(&mut scheduler.lock(), &mut suspects);
    }
    assert!(!scheduler.is_condemned(), "{suspects:?}");
}

/// Runs `story` for a death before step 0, 1, 2, … until nobody dies; it returns
/// whether somebody did.
#[track_caller]
fn at_every_step(least: u32, mut story: impl FnMut(u32) -> bool) {
    let steps = (0..).find(|step| !story(*step)).expect("lives at last");
    assert!(steps >= least, "{steps} steps only");
    assert!(steps < 100, "{steps} steps");
}

fn died_of(outcome: Outcome) -> Option<Death> {
    match outcome.map_err(|error| *error) {
        Err(TaskError::WorkerDied { death, .. }) => Some(death),
        other => panic!("{other:?}"),
    }
}

const HOUR: Duration = Duration::from_secs(3600);
