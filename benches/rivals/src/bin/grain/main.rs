//! How short may tasks be? For graphs of dependent tasks, the mean length of a task at
//! which half, or three quarters, of two CPUs' time is the tasks' own work.
//!
//! Serves the decision how finely a program may be divided. The graphs are those of Task
//! Bench: each task reads the outputs of some tasks of the step before; what comes out in
//! the end is compared with a sequential run each time. The floor is MPI on two ranks,
//! each of which has its half of the points for good: nothing is scheduled at all.

mod graph;
mod metg;
mod ways;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pinfold::Runtime;
use pinfold_rivals::floor::Partner;
use pinfold_rivals::{
    Against, Bench, Options, Plot, Program, Question, Race, Rival, Series, median,
};
use rayon::ThreadPool;

use graph::{Graph, Kind};
use metg::{Meter, Point, Run, Search};

/// OpenMP at its best setting.
const OPENMP: [&str; 2] = ["OpenMP tasks, depend", "OpenMP tasks, step by step"];

/// The shares of the CPUs' time.
const SHARES: [f64; 2] = [0.5, 0.75];

/// A way of pinfold to run a graph.
type Way = fn(&Runtime, &Graph) -> u64;

/// pinfold's ways; a row has the quickest.
const WAYS: [(&str, Way); 3] = [
    ("pinfold, spawn_after", ways::after),
    ("pinfold, step by step", ways::by_host),
    ("pinfold, spawn in a task", ways::nested),
];

/// Each contestant's runs of one graph, by grain, for the plot.
type Points = RefCell<BTreeMap<&'static str, BTreeMap<u64, Vec<f64>>>>;

struct Field {
    meter: Meter,
    rt: Runtime,
    pool: ThreadPool,
    openmp: [RefCell<Rival>; 2],
    mpi: RefCell<Rival>,
    starpu: RefCell<Rival>,
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("grain", Options::parse_alone());
    // First, while there is one thread only.
    let partner = Partner::fork();
    let ns_per_step = pace(&partner);
    drop(partner);
    let openmp = |how| RefCell::new(Program::native("grain_openmp", &[how]));
    let mpirun = ["mpirun", "--allow-run-as-root", "-np", "2"];
    let field = Field {
        meter: Meter {
            ns_per_step,
            budget: Duration::from_millis(bench.pick(3, 1)),
        },
        rt: Runtime::builder()
            .workers(2)
            .start()
            .expect("pinfold starts"),
        pool: rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .expect("rayon starts"),
        openmp: [openmp("depend"), openmp("steps")],
        mpi: RefCell::new(Program::native_under(&mpirun, "grain_mpi", &[])),
        starpu: RefCell::new(Program::native("grain_starpu", &[])),
    };
    let rounds = bench.rounds(3, 1);
    for (kind, name) in Kind::ALL {
        for width in [2, 8] {
            race(&mut bench, &field, rounds, kind, name, width);
        }
    }
    bench.finish();
}

/// Nanoseconds in which each of two processes does a step of work, both at it. The least
/// of many short attempts: what others take of the CPUs meanwhile is not the machine's
/// pace, and would make everybody look quicker than is possible.
fn pace(partner: &Partner) -> f64 {
    const STEPS: u64 = 1_000_000;
    let times = (0..30).map(|_| partner.both_burn(STEPS));
    times.fold(f64::INFINITY, f64::min) * 1e9 / STEPS as f64
}

/// A program's run: seconds and checksum.
fn ask(program: &RefCell<Rival>, name: &str, graph: &Graph) -> Result<(f64, u64), String> {
    let Graph {
        width, steps, work, ..
    } = graph;
    let answer = program
        .borrow_mut()
        .ask(&format!("{name} {width} {steps} {work}"))?;
    match answer[..] {
        [seconds, sum] => Ok((seconds, sum as u64)),
        _ => Err("it answered something else".to_owned()),
    }
}

fn timed(run: impl FnOnce() -> u64) -> Result<(f64, u64), String> {
    let start = Instant::now();
    let sum = run();
    Ok((start.elapsed().as_secs_f64(), sum))
}

fn race(
    bench: &mut Bench,
    field: &Field,
    rounds: usize,
    kind: Kind,
    name: &'static str,
    width: usize,
) {
    let all = Points::default();
    let metg = |who: &'static str, run: &mut Run<'_>| -> Result<Vec<f64>, String> {
        let mut search = Search::new(field.meter, kind, width, run)?;
        let shares = SHARES.map(|share| search.metg(share).unwrap_or(f64::NAN));
        keep(&all, who, search.points());
        Ok(shares.to_vec())
    };
    let questions = SHARES.map(|share| {
        let id = format!("grain.{name}{width}.{:.0}", share * 100.0);
        let percent = share * 100.0;
        let text = format!("METG at {percent:.0} %: {name}, width {width}");
        Question::lower(&id, &text, "µs")
            .bar(Against::BestOf(&OPENMP), 0.6)
            .bar(Against::Floor, 3.0)
            .note("who has no value does not reach that share even with tasks of 1 ms")
    });
    let mut race = Race::new(questions);
    race.floor("MPI, two ranks, static", || {
        metg("MPI, two ranks, static", &mut |g| ask(&field.mpi, name, g))
    });
    race.ours("the quickest of its ways", || {
        let mut best = vec![f64::INFINITY; SHARES.len()];
        for (who, way) in WAYS {
            let found = metg(who, &mut |g| timed(|| way(&field.rt, g)))?;
            for (best, found) in best.iter_mut().zip(found) {
                // A share that this way does not reach is no minimum.
                *best = best.min(found);
            }
        }
        Ok(best) as Result<Vec<f64>, String>
    });
    for (who, program) in OPENMP.into_iter().zip(&field.openmp) {
        race.rival(who, move || metg(who, &mut |g| ask(program, name, g)));
    }
    race.rival("rayon", || {
        metg("rayon", &mut |g| timed(|| ways::rayon(&field.pool, g)))
    });
    race.rival("StarPU", || {
        metg("StarPU", &mut |g| ask(&field.starpu, name, g))
    });
    bench.run(race, rounds);
    if kind == Kind::Stencil && !all.borrow().is_empty() {
        bench.plot(by_grain(name, width, &all.borrow()));
    }
}

fn keep(all: &Points, who: &'static str, points: impl Iterator<Item = (f64, Point)>) {
    for (grain, point) in points {
        let mut all = all.borrow_mut();
        let efficiencies = all.entry(who).or_default();
        // ns: whole, as a key must be.
        let at = efficiencies.entry((grain * 1e3) as u64).or_default();
        at.push(point.efficiency);
    }
}

fn by_grain(
    name: &str,
    width: usize,
    all: &BTreeMap<&'static str, BTreeMap<u64, Vec<f64>>>,
) -> Plot {
    let series = all.iter().map(|(who, points)| Series {
        name: (*who).to_owned(),
        points: points
            .iter()
            .map(|(ns, shares)| (*ns as f64 / 1e3, median(shares)))
            .collect(),
    });
    Plot {
        id: format!("grain-{name}{width}"),
        title: format!("Share of two CPUs that is work, by grain: {name}, width {width}"),
        x: "µs of work in a task".into(),
        y: "efficiency".into(),
        log_x: true,
        log_y: false,
        series: series.collect(),
    }
}
