//! How long from `kill -9` of a worker to the result of the task it was running?
//!
//! Serves the decision whether a crash is an event that a service may ignore. Each
//! way to recover stands beside its floor: what the kernel alone takes to notice the
//! death and to set another process going. All take turns; the one that is killed
//! is busy on a CPU (or sleeps, with `--sleeping`), everybody else has slept for 2 ms.
//!
//! ```text
//! cargo run --release -p pinfold-rivals --bin recovery -- --rounds 100
//! ```

mod floor;
mod fold;
mod machine;
mod python;
mod table;

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Parser;
use pinfold::{Builder, Runtime};
use pinfold_rivals::{Bench, Options};

use floor::{Forker, Wait};
use fold::{Others, Wounded};
use python::Python;
use table::{Contestant, Row, measure};

/// Row (c): with a process that waits to take the dead one's place.
const SPARES: Option<fn(Builder) -> Builder> = Some(|builder| builder.spares(1));

/// Row (a_large): MiB that a worker has used when it is killed.
const LARGE: usize = 256;

/// The most a recovery may take, in units of its floor.
const BAR: f64 = 2.0;

/// Kill workers, and measure how soon their task has been done by another
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Whoever is killed sleeps instead of being busy
    #[arg(long)]
    sleeping: bool,
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some(floor::STARTED) {
        println!("!");
        return;
    }
    if std::env::var_os(machine::BOARD_FD).is_none() {
        // Once more, with the board: then every process has it from its start, and
        // none spends time on it that is measured.
        let board = machine::create_board();
        let error = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env(machine::BOARD_FD, board.as_raw_fd().to_string())
            .exec();
        panic!("this program cannot be started again: {error}");
    }
    machine::board();
    if std::env::args().nth(1).as_deref() == Some(floor::FORKER) {
        floor::fork_on_order();
    }
    pinfold::init();
    let args = Args::parse();
    let victims_sleep = &machine::board().victims_sleep;
    // Relaxed: nothing else runs yet.
    victims_sleep.store(args.sleeping.into(), std::sync::atomic::Ordering::Relaxed);

    // The forker runs before pinfold: it must not inherit anything of it.
    let forker = std::cell::RefCell::new(Forker::start());
    let mut contestants = floors(&forker);
    contestants.extend(folds());
    contestants.extend(crashes());
    contestants.push(python(args.sleeping));
    let mut bench = Bench::new("recovery", args.options);
    contestants.retain(|contestant| bench.wants(contestant.name));
    let rounds = bench.rounds(60, 10);
    let measured = measure(rounds, contestants);
    table::print(&measured, rounds, args.sleeping);
    let rows = table::rows(&measured);
    rows.into_iter().for_each(|row| bench.row(row));
    bench.finish();
}

fn floors(forker: &std::cell::RefCell<Forker>) -> Vec<Contestant<'_>> {
    let floor = |name, run: fn(&mut Forker) -> Vec<f64>, rows: Vec<Row>| {
        Contestant::new(name, rows, move || Ok(run(&mut forker.borrow_mut())))
    };
    let asleep = |f: &mut Forker| f.wake_another(Wait::Asleep);
    let spinning = |f: &mut Forker| f.wake_another(Wait::Spinning);
    let forked_asleep = |f: &mut Forker| f.fork_another(Wait::Asleep);
    let forked_spinning = |f: &mut Forker| f.fork_another(Wait::Spinning);
    vec![
        floor(
            "kill, notice by pidfd",
            |f| vec![f.notice()],
            vec![Row::new("noticed")],
        ),
        floor(
            "futex wake of a sleeping process",
            |f| vec![f.wake()],
            vec![Row::new("ran")],
        ),
        floor(
            "floor 1: kill, notice, wake another",
            asleep,
            vec![Row::new("ran"), Row::new("seen, asleep")],
        ),
        floor(
            "floor 1, the waiter spins",
            spinning,
            vec![Row::new("ran"), Row::new("seen")],
        ),
        floor(
            "floor 2: kill, notice, fork another",
            forked_asleep,
            vec![Row::new("ran"), Row::new("seen, asleep")],
        ),
        floor(
            "floor 2, the waiter spins",
            forked_spinning,
            vec![Row::new("ran"), Row::new("seen")],
        ),
        floor(
            "kill, notice, fork + exec another",
            |f| vec![f.start_another()],
            vec![Row::new("seen").against(FORK_SEEN, None)],
        ),
    ]
}

const WAKE_RAN: (&str, &str) = ("floor 1: kill, notice, wake another", "ran");
const WAKE_SEEN: (&str, &str) = ("floor 1: kill, notice, wake another", "seen, asleep");
const FORK_RAN: (&str, &str) = ("floor 2: kill, notice, fork another", "ran");
const FORK_SEEN: (&str, &str) = ("floor 2: kill, notice, fork another", "seen, asleep");

fn folds() -> Vec<Contestant<'static>> {
    let rows = |ran, seen| {
        vec![
            Row::new("task ran").against(ran, Some(BAR)),
            Row::new("joined").against(seen, Some(BAR)),
        ]
    };
    let start = Wounded::start;
    let mut two = start(Runtime::builder(), 2, Others::HaveWorked);
    let mut new = start(Runtime::builder(), 2, Others::AreNew);
    let mut large = start(Runtime::builder(), 2, Others::HaveWorked).large(LARGE);
    let mut one = start(Runtime::builder(), 1, Others::HaveWorked);
    let mut spared = SPARES.map(|spares| start(spares(Runtime::builder()), 1, Others::AreNew));
    vec![
        Contestant::new(
            "pinfold (a): 2 workers, the other takes over",
            rows(WAKE_RAN, WAKE_SEEN),
            move || Ok(two.recover()),
        ),
        Contestant::new(
            "pinfold (a'): as (a), the other is new itself",
            rows(WAKE_RAN, WAKE_SEEN),
            move || Ok(new.recover()),
        ),
        Contestant::new(
            "pinfold (a_large): as (a), the dead had 256 MiB",
            rows(WAKE_RAN, WAKE_SEEN),
            move || Ok(large.recover()),
        ),
        Contestant::new(
            "pinfold (b): 1 worker, its successor takes over",
            rows(FORK_RAN, FORK_SEEN),
            move || Ok(one.recover()),
        ),
        Contestant::new(
            "pinfold (c): 1 worker and a spare one",
            rows(WAKE_RAN, WAKE_SEEN),
            move || match &mut spared {
                Some(spared) => Ok(spared.recover()),
                None => Err("there is no Builder::spares yet".into()),
            },
        ),
    ]
}

const NO_CORES: &str = "pinfold: a worker aborts, without a core";

/// Both end in the same way; one writes what it had to a file.
fn crashes() -> Vec<Contestant<'static>> {
    let contestant = |name, row: Row, with_cores| {
        let mut wounded = Wounded::crashing(with_cores);
        Contestant::new(name, vec![row], move || {
            let wounded = wounded.as_mut().map_err(|why| why.clone())?;
            Ok(vec![wounded.recover()[1]])
        })
    };
    vec![
        contestant(NO_CORES, Row::new("joined"), false),
        contestant(
            "pinfold (core): the same, and the core goes to a file",
            Row::new("joined").against((NO_CORES, "joined"), Some(BAR)),
            true,
        ),
    ]
}

fn python(sleeping: bool) -> Contestant<'static> {
    let mut python = Python::start(sleeping);
    Contestant::new(
        "Python ProcessPoolExecutor, a new pool by hand",
        vec![
            Row::new("noticed"),
            Row::new("joined").against(FORK_SEEN, None),
        ],
        move || python.as_mut().map_err(|why| why.clone())?.recover(),
    )
}
