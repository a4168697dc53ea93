//! Shared objects in use while workers are killed: channels, broadcast, collective operations,
//! locks. One round after the other: each makes objects, lets tasks use them, and looks at
//! what has come of it. A death may cost what the documentation says, and no more; nobody waits for ever.

mod acked;
mod channels;
mod feeds;
mod groups;
mod locks;
mod routing;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use pinfold::{Handle, Loan, Runtime, Shared, TaskError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::faults::Watch;
use crate::rng::{Rng, mix};
use crate::tasks::{fill, is_filled};

/// Nobody waits so long.
pub const LONG: Duration = Duration::from_secs(40);
/// A task of a round may be too long for any attempt to live to its end: then it is given up.
pub const ATTEMPTS: u32 = 30;

type Round = fn(&mut Stage<'_>) -> Result<(), String>;

const ROUNDS: [(&str, Round); 11] = [
    ("fan", channels::fan),
    ("fan", channels::fan),
    ("echo", channels::echo),
    ("requests", channels::requests),
    ("mixers", channels::mixers),
    ("deliveries", acked::deliveries),
    ("broadcast", feeds::broadcast),
    ("group", groups::group),
    ("locks", locks::locks),
    ("counts", locks::counts_down),
    ("router", routing::router),
];

/// Where rounds are played.
pub struct Stage<'a> {
    pub rt: &'a Runtime,
    pub rng: Rng,
    /// At most so many tasks of a round wait for each other.
    pub executors: u64,
    watch: &'a Watch,
    tasks: AtomicU64,
}

impl<'a> Stage<'a> {
    pub fn new(rt: &'a Runtime, watch: &'a Watch, rng: Rng, executors: u64) -> Self {
        Stage {
            rt,
            rng,
            executors,
            watch,
            tasks: AtomicU64::new(0),
        }
    }

    /// Plays until it is time; how many tasks it has submitted, and how many rounds there were.
    pub fn run(mut self, until: Instant) -> (u64, u64) {
        let mut rounds = 0;
        while Instant::now() < until && !self.watch.is_closing() {
            let (name, round) = *self.rng.choose(&ROUNDS);
            self.watch.plays(Some(name));
            if let Err(what) = round(&mut self) {
                // Of a wait that does not end, what is there to be seen.
                eprintln!("{:#?}\n{:#?}", self.rt.stats(), self.rt.audit());
                self.watch
                    .fault(format!("objects, round {rounds}, {name}: {what}"));
            }
            rounds += 1;
            self.watch.moved();
        }
        self.watch.plays(None);
        (self.tasks.into_inner(), rounds)
    }

    pub fn spawn<F, A, R>(&self, f: F, args: A, is_repeated: bool) -> Handle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.count(1);
        let task = self.rt.task(f);
        match is_repeated {
            true => {
                let (first, longest) = (Duration::from_millis(1), Duration::from_millis(5));
                task.safe_to_repeat(ATTEMPTS).backoff(first, longest)
            }
            false => task,
        }
        .spawn(args)
    }

    pub fn count(&self, tasks: u64) {
        self.tasks.fetch_add(tasks, Ordering::Relaxed);
    }

    pub fn alloc(&self) -> impl Fn(usize) -> Loan + Sync + use<'a> {
        let rt = self.rt;
        |len| rt.alloc(len).expect("room")
    }
}

/// What a task of a round has returned; `None` if its worker has died, or each of several.
pub fn ended<R>(
    mut handle: Handle<Result<R, String>>,
    is_repeated: bool,
) -> Result<Option<R>, String>
where
    R: Serialize + DeserializeOwned,
{
    match handle.join_timeout(LONG) {
        None => Err("a task does not end".to_owned()),
        Some(Ok(Ok(value))) => Ok(Some(value)),
        Some(Ok(Err(what))) => Err(format!("a task: {what}")),
        Some(Err(TaskError::WorkerDied { .. })) if !is_repeated => Ok(None),
        Some(Err(TaskError::Poison { .. })) if is_repeated => Ok(None),
        Some(Err(error)) => Err(error.to_string()),
    }
}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// As good as unique, also between attempts of a task.
pub fn tag() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos() as u64);
    let own = u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed);
    mix(nanos ^ mix(own))
}

/// A message: number `n` of what `from` sends, and what takes the different ways.
#[derive(Serialize, Deserialize)]
pub struct Parcel {
    pub from: u64,
    pub n: u64,
    loan: Option<Loan>,
    shared: Option<Shared>,
    bytes: Vec<u8>,
}

impl Parcel {
    pub fn new(from: u64, n: u64, alloc: &dyn Fn(usize) -> Loan, held: Option<&Shared>) -> Self {
        let (id, kind) = (from ^ n, mix(from ^ n));
        let filled = |len: u64| {
            let mut loan = alloc(len as usize);
            fill(&mut loan, id);
            loan
        };
        let mut bytes = vec![0; (kind >> 8) as usize % 200 * (kind >> 16) as usize % 7];
        if kind % 40 == 1 {
            bytes.resize(9000, 0);
        }
        fill(&mut bytes, id);
        let shared = match kind % 5 {
            0 => held.cloned(),
            1 => Some(filled(1 + kind % 3000).publish()),
            _ => None,
        };
        Parcel {
            from,
            n,
            loan: (kind % 3 == 0).then(|| filled(1 + kind % 5000)),
            shared,
            bytes,
        }
    }

    /// Without what can have one owner only.
    pub fn for_many(self) -> Self {
        Parcel { loan: None, ..self }
    }

    /// Whether it is what was sent.
    pub fn is_right(&self) -> bool {
        let (id, kind) = (self.from ^ self.n, mix(self.from ^ self.n));
        let is_shared_right = |shared: &Shared| match kind % 5 {
            0 => is_filled(shared, HELD),
            _ => is_filled(shared, id),
        };
        self.loan.as_ref().is_none_or(|loan| is_filled(loan, id))
            && self.shared.as_ref().is_none_or(is_shared_right)
            && (self.bytes.is_empty() || is_filled(&self.bytes, id))
    }
}

const HELD: u64 = 7;

/// What several messages are given.
pub fn held(alloc: &dyn Fn(usize) -> Loan) -> Shared {
    let mut loan = alloc(300);
    fill(&mut loan, HELD);
    loan.publish()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor there is.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
