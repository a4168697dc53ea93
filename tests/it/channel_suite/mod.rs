//! The same tests of channels over every kind of pair of places where the ends are, every capacity, and
//! every way to send and to receive.
//!
//! | what varies | table |
//! | --- | --- |
//! | where the ends are | [`Places`] |
//! | how many messages fit | [`CAPACITIES`] |
//! | how one sends, and receives | `ways::SENDS` × `ways::RECEIVES` |
//! | what else the two sides do | `rows::ROWS` |

mod rows;
mod ways;

use std::time::Duration;

use pinfold::channel::{Receiver, Sender};
use pinfold::{Handle, Runtime, Shutdown};
use serde::{Deserialize, Serialize};

const CAPACITIES: [usize; 4] = [0, 1, 2, 1024];
/// Long enough to see that nothing comes.
const BRIEF: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// A number, and bytes: those of every third are too long for a cell.
type Item = (u64, Vec<u8>);

fn item(n: u64) -> Item {
    (n, vec![n as u8; if n % 3 == 2 { 500 } else { 3 }])
}

fn number((n, bytes): Item) -> Result<u64, String> {
    let is_right = (n, bytes) == item(n);
    is_right
        .then_some(n)
        .ok_or(format!("{n} is not what was sent"))
}

/// What a side has sent, or received; or what went wrong.
type Told = Result<Vec<u64>, String>;
type SendSide = fn(Sender<Item>, &Other) -> Told;
type ReceiveSide = fn(Receiver<Item>, &Other) -> Told;

/// A word to and from the other side.
#[derive(Serialize, Deserialize)]
struct Other {
    to: Sender<()>,
    from: Receiver<()>,
    capacity: usize,
}

type Ends = ((Sender<()>, Receiver<()>), (Sender<()>, Receiver<()>));

impl Other {
    fn two(((to, other_from), (other_to, from)): Ends, capacity: usize) -> [Other; 2] {
        let other = Other {
            to: other_to,
            from: other_from,
            capacity,
        };
        [Other { to, from, capacity }, other]
    }

    fn tell(&self) -> Result<(), String> {
        self.to
            .send(())
            .map_err(|_| "the other side is gone".to_owned())
    }

    fn hear(&self) -> Result<(), String> {
        let heard = self.from.recv_timeout(LONG);
        heard.map_err(|error| format!("the other side: {error}"))
    }
}

/// What the two sides do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Row {
    /// All arrive: by this way to send, and this one to receive.
    Ways(usize, usize),
    Other(usize),
}

impl Row {
    fn all() -> impl Iterator<Item = Row> {
        let ways = (0..ways::SENDS.len()).flat_map(|sends| {
            (0..ways::RECEIVES.len()).map(move |receives| Row::Ways(sends, receives))
        });
        ways.chain((0..rows::ROWS.len()).map(Row::Other))
    }

    fn name(self) -> String {
        match self {
            Row::Ways(sends, receives) => {
                format!("{} to {}", ways::SENDS[sends].0, ways::RECEIVES[receives].0)
            }
            Row::Other(row) => rows::ROWS[row].0.to_owned(),
        }
    }

    fn send(self, to: Sender<Item>, other: &Other) -> Told {
        match self {
            Row::Ways(sends, _) => ways::SENDS[sends].1(to, other),
            Row::Other(row) => rows::ROWS[row].1(to, other),
        }
    }

    fn receive(self, from: Receiver<Item>, other: &Other) -> Told {
        match self {
            Row::Ways(_, receives) => ways::RECEIVES[receives].1(from, other),
            Row::Other(row) => rows::ROWS[row].2(from, other),
        }
    }
}

fn sends((row, to, other): (Row, Sender<Item>, Other)) -> Told {
    row.send(to, &other)
}

fn receives((row, from, other): (Row, Receiver<Item>, Other)) -> Told {
    row.receive(from, &other)
}

type Both = (Row, (Sender<Item>, Other), (Receiver<Item>, Other));

/// Both sides, in two threads of this process.
fn both((row, (to, there), (from, here)): Both) -> (Told, Told) {
    std::thread::scope(|scope| {
        let sends = scope.spawn(move || row.send(to, &there));
        let received = row.receive(from, &here);
        (sends.join().expect("no panic"), received)
    })
}

/// The same of a channel that a task makes: the ends among a task's arguments are there until it ends.
fn both_made_there((row, capacity): (Row, usize)) -> (Told, Told) {
    let channel = || pinfold::channel(8).expect("room");
    let [there, here] = Other::two((channel(), channel()), capacity);
    let (to, from) = pinfold::channel(capacity).expect("room");
    both((row, (to, there), (from, here)))
}

/// Where the two ends are.
#[derive(Clone, Copy, Debug)]
enum Places {
    HostHost,
    HostWorker,
    WorkerHost,
    /// Two workers.
    WorkerWorker,
    /// Two executors of one worker.
    OneWorker,
    /// Two threads of one task.
    OneTask,
}

impl Places {
    const ALL: [Places; 6] = [
        Places::HostHost,
        Places::HostWorker,
        Places::WorkerHost,
        Places::WorkerWorker,
        Places::OneWorker,
        Places::OneTask,
    ];

    fn runtime(self) -> Runtime {
        let (workers, threads) = match self {
            Places::WorkerWorker => (2, 1),
            Places::OneWorker => (1, 2),
            _ => (1, 1),
        };
        let builder = Runtime::builder()
            .workers(workers)
            .threads_per_worker(threads);
        builder.on_drop(Shutdown::Abort).start().expect("starts")
    }

    /// What both sides say.
    fn run(self, rt: &Runtime, row: Row, capacity: usize) -> (Told, Told) {
        let (to, from) = rt.channel(capacity).expect("room");
        let ends = (rt.channel(8).expect("room"), rt.channel(8).expect("room"));
        let [there, here] = Other::two(ends, capacity);
        let joined = |task: Handle<Told>| task.join().map_err(|error| error.to_string()).flatten();
        match self {
            Places::HostHost => both((row, (to, there), (from, here))),
            Places::HostWorker => {
                let task = rt.spawn(receives, (row, from, here));
                let sent = row.send(to, &there);
                drop(there);
                (sent, joined(task))
            }
            Places::WorkerHost => {
                let task = rt.spawn(sends, (row, to, there));
                let received = row.receive(from, &here);
                drop(here);
                (joined(task), received)
            }
            // They wait for each other, so each has an executor.
            Places::WorkerWorker | Places::OneWorker => {
                let sends = rt.spawn(sends, (row, to, there));
                let receives = rt.spawn(receives, (row, from, here));
                (joined(sends), joined(receives))
            }
            Places::OneTask => {
                drop((to, from, there, here));
                let task = rt.spawn(both_made_there, (row, capacity));
                let told = task.join();
                told.unwrap_or_else(|error| (Err(error.to_string()), Err(String::new())))
            }
        }
    }
}

/// All rows at these places: what was accepted is received, in its order, and nothing else.
fn suite(places: Places) {
    let rt = places.runtime();
    for row in Row::all() {
        for capacity in CAPACITIES {
            let (sent, received) = places.run(&rt, row, capacity);
            let what = || format!("{}, {places:?}, capacity {capacity}", row.name());
            assert!(
                sent.is_ok() && received.is_ok(),
                "{}: {sent:?}, {received:?}",
                what()
            );
            assert_eq!(sent, received, "{}", what());
        }
    }
    crate::channels::nothing_left(&rt);
}

macro_rules! suites {
    ($($test:ident: $places:ident),*) => {
        $(
            #[test]
            fn $test() {
                suite(Places::$places);
            }
        )*

        #[test]
        fn each_kind_of_pair_is_tested() {
            assert_eq!([$(Places::$places as usize),*], Places::ALL.map(|places| places as usize));
        }
    };
}

suites!(
    between_threads_of_the_host: HostHost,
    from_the_host_to_a_worker: HostWorker,
    from_a_worker_to_the_host: WorkerHost,
    between_workers: WorkerWorker,
    between_tasks_of_one_worker: OneWorker,
    between_threads_of_one_task: OneTask
);
