//! The main job on pinfold's workers beside the same code on a rayon pool.
//!
//! The number decides whether processes cost anything that matters. All take turns on
//! the same tree, which is in the page cache after the check that opens the run: all
//! digests must be equal. Beside the same code there are `xargs -P`, which starts a
//! process with the same code for every 256 files, and a pool of Python that does the
//! same with what Python has; their counts must be equal.
//!
//! ```text
//! cargo run --release -p pinfold-rivals --bin index -- /usr/share
//! ```
//!
//! Start-up is part of each run: workers are started and ended, and so is every pool.

// The very files of the command-line tool; some of them are not needed here.
#[allow(dead_code, unused_imports)]
#[path = "../../../../../src/bin/pinfold/index/mod.rs"]
mod index;
mod shapes;
mod xargs;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Sink;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use clap::Parser;
use index::executor::{Executor, Sequential};
use index::group::Group;
use index::job::{Hooks, Job};
use index::large::{Scan, Span, scan};
use index::outcome::Outcome;
use index::parallel::Parallel;
use index::run::{Summary, run};
use index::scratch::Scratch;
use index::work::index_group;
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race};
use rayon::{ThreadPool, ThreadPoolBuilder};

const PYTHON: &str = include_str!("../../../python/index.py");

/// Index a tree on pinfold, in sequence, and on rayon, in turn
#[derive(Parser)]
struct Args {
    /// The tree
    #[arg(
        default_value = "/usr/share",
        default_value_if("quick", "true", "/usr/share/doc")
    )]
    dir: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Worker processes, and threads of the rayon pool
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Lines in a chunk
    #[arg(long, default_value_t = 50)]
    lines: u64,
}

/// Groups on a rayon pool, a bounded number in flight, results in order: what
/// pinfold's `map` does.
struct Rayon {
    pool: ThreadPool,
    root: Arc<File>,
    in_flight_max: usize,
}

impl Rayon {
    /// A pool of `threads` threads for the job.
    fn new(job: &Job, threads: usize) -> Rayon {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        Rayon {
            pool,
            root: job.root.clone(),
            in_flight_max: 16 * threads,
        }
    }

    /// Sends work on its way.
    fn submit<R: Send + 'static>(
        &self,
        work: impl FnOnce(&File, &mut Scratch) -> R + Send + 'static,
    ) -> Receiver<R> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let (done, pending) = sync_channel(1);
        let root = self.root.clone();
        self.pool.spawn(move || {
            // Nobody waits any more: then nobody needs it.
            let _ = done.send(SCRATCH.with_borrow_mut(|scratch| work(&root, scratch)));
        });
        pending
    }

    /// Sends a group on its way.
    fn submit_group(&self, group: Group) -> Receiver<Outcome<Vec<u8>>> {
        self.submit(move |root, scratch| {
            let supply = |len| Ok(vec![0; len]);
            index_group(root, &group, scratch, supply).map_records(|mut buffer: Vec<u8>, len| {
                buffer.truncate(len);
                buffer
            })
        })
    }
}

impl Executor for Rayon {
    type Records = Vec<u8>;

    fn each(
        &self,
        mut groups: impl Iterator<Item = Group>,
        mut take: impl FnMut(Group, Result<Outcome<Vec<u8>>, String>) -> ControlFlow<()>,
    ) {
        let mut in_flight = VecDeque::new();
        loop {
            while in_flight.len() < self.in_flight_max
                && let Some(group) = groups.next()
            {
                in_flight.push_back((group.clone(), self.submit_group(group)));
            }
            let Some((group, pending)) = in_flight.pop_front() else {
                return;
            };
            let outcome = pending.recv().map_err(|error| error.to_string());
            if take(group, outcome).is_break() {
                return;
            }
        }
    }

    fn one(&self, group: Group) -> Result<Outcome<Vec<u8>>, String> {
        self.submit_group(group)
            .recv()
            .map_err(|error| error.to_string())
    }

    fn scan(&self, spans: Vec<Span>) -> Option<Vec<Scan>> {
        let submit = |span: Span| self.submit(move |root, scratch| scan(root, &span, scratch));
        let pending: Vec<_> = spans.into_iter().map(submit).collect();
        pending
            .into_iter()
            .map(|scan| scan.recv().ok()?.ok())
            .collect()
    }
}

/// The time a turn took, and what came of it.
type Turn = (Duration, Summary<Sink>);

/// One turn.
fn turn<E: Executor>(job: &Job, start: impl FnOnce() -> E, end: impl FnOnce(E)) -> Turn {
    let hooks = Hooks {
        stop: &|| false,
        seen: &|_| {},
    };
    let begun = Instant::now();
    let executor = start();
    let summary = run(job, &executor, None, &hooks).expect("the tree can be walked");
    end(executor);
    (begun.elapsed(), summary)
}

fn main() {
    // What xargs starts.
    if std::env::args().nth(1).as_deref() == Some(xargs::FILES) {
        xargs::index_files();
        return;
    }
    // In a worker process this does not return.
    pinfold::init();
    let args = Args::parse();
    let dir = args.dir.canonicalize().expect("the tree is there");
    let mut bench = Bench::new("index", args.options);
    let job = Job::new(dir, args.lines, Vec::new()).expect("the tree is there");
    let threads = args.workers;
    let pinfold = || {
        turn(
            &job,
            || Parallel::start(&job, threads, 1, None).expect("workers"),
            |e| e.shutdown(false),
        )
    };
    let sequential = || turn(&job, || Sequential::new(&job), drop);
    let rayon = || turn(&job, || Rayon::new(&job, threads), drop);

    let first = sequential().1;
    let files = first.tally.files;
    println!(
        "{}: {files} files, {:.1} MB of text, {threads} workers or threads",
        job.dir.display(),
        first.tally.bytes as f64 / 1e6
    );
    let rate = |(time, summary): Turn| {
        assert_eq!(summary.digest, first.digest, "another digest");
        files as f64 / time.as_secs_f64()
    };
    let counted = |seconds: f64, counts: [u64; 3]| {
        let tally = &first.tally;
        let expected = [tally.files, tally.chunks, tally.bytes];
        if counts != expected {
            return Err(format!("it counted {counts:?}, not {expected:?}"));
        }
        Ok(files as f64 / seconds)
    };
    let mut python = Program::python("index.py", PYTHON, &[]);
    let text = format!("the job of `pinfold index` on {files} files");
    let question = Question::higher("index.files", &text, "files/s");
    let mut race = Race::new([question
        .bar(Against::Rival("rayon"), 1.0)
        .note("Python hashes by BLAKE2b, as it has no BLAKE3")]);
    race.ours("pinfold index", || rate(pinfold()));
    race.rival("sequential", || rate(sequential()));
    race.rival("rayon", || rate(rayon()));
    race.rival("xargs -P", || {
        let begun = Instant::now();
        let counts = xargs::run(&job, threads)?;
        counted(begun.elapsed().as_secs_f64(), counts)
    });
    race.rival("Python multiprocessing.Pool", || {
        let order = format!("{threads} {} {}", job.lines, job.dir.display());
        match python.ask(&order)?[..] {
            [seconds, files, chunks, bytes] => {
                counted(seconds, [files as u64, chunks as u64, bytes as u64])
            }
            _ => Err("it answered something else".to_owned()),
        }
    });
    let rounds = bench.rounds(7, 3);
    bench.run(race, rounds);
    shapes::run(&mut bench);
    bench.finish();
}
