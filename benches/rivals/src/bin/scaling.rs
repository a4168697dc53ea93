//! Two workers against one: how much of the second CPU arrives?
//!
//! The efficiency is the rate with two over twice the rate with one, for tasks that
//! need a CPU and nothing else. The floor is what the machine itself gives two
//! processes that share nothing: two hyperthreads, a busy neighbour or a lower clock
//! take their part before any library does.

use pinfold::Runtime;
use pinfold_rivals::floor::{Partner, burn, ns_per_step};
use pinfold_rivals::{Against, Bench, Options, Plot, Question, Race, Series, median, seconds};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Pools of one and of two.
struct Field {
    partner: Partner,
    ours: [Runtime; 2],
    rayon: [ThreadPool; 2],
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("scaling", Options::parse_alone());
    // First, while there is one thread only.
    let partner = Partner::fork();
    let runtime = |n| {
        Runtime::builder()
            .workers(n)
            .start()
            .expect("pinfold starts")
    };
    let pool = |n| ThreadPoolBuilder::new().num_threads(n).build();
    let field = Field {
        partner,
        ours: [1, 2].map(runtime),
        rayon: [1, 2].map(|n| pool(n).expect("rayon starts")),
    };
    let step = ns_per_step();
    let rounds = bench.rounds(11, 3);
    let total_ms = bench.pick(200, 100);
    for (id, text, us) in [
        ("scaling.1ms", "tasks of 1 ms", 1000.0),
        ("scaling.50us", "tasks of 50 µs", 50.0),
    ] {
        let steps = (us * 1e3 / step) as u64;
        let tasks = (f64::from(total_ms) * 1e3 / us) as u64;
        race(&mut bench, &field, rounds, (id, text), steps, tasks);
    }
    bench.finish();
}

fn ours(rt: &Runtime, steps: u64, tasks: u64) -> f64 {
    seconds(|| {
        let results = rt.map(burn, std::iter::repeat_n(steps, tasks as usize));
        assert_eq!(results.filter(Result::is_ok).count() as u64, tasks);
    })
}

fn by_rayon(pool: &ThreadPool, steps: u64, tasks: u64) -> f64 {
    let mut results = vec![0; tasks as usize];
    let time = seconds(|| {
        pool.scope(|scope| {
            for result in &mut results {
                scope.spawn(move |_| *result = burn(steps));
            }
        });
    });
    std::hint::black_box(results);
    time
}

fn race(
    bench: &mut Bench,
    field: &Field,
    rounds: usize,
    (id, text): (&str, &str),
    steps: u64,
    tasks: u64,
) {
    let mut rates: [Vec<f64>; 6] = Default::default();
    let [floor1, floor2, ours1, ours2, rayon1, rayon2] = &mut rates;
    // One and two follow each other, so that both see the same machine.
    let efficiency = |one: f64, two: f64, ones: &mut Vec<f64>, twos: &mut Vec<f64>| {
        ones.push(tasks as f64 / one);
        twos.push(tasks as f64 / two);
        one / (2.0 * two)
    };
    let question = format!("2 workers against 1, {text} that need a CPU: efficiency");
    let mut race = Race::new([Question::higher(id, &question, "share").bar(Against::Floor, 0.97)]);
    race.floor("two processes that share nothing", || {
        let one = field.partner.burn_alone(steps * tasks);
        // Each does half.
        let two = field.partner.both_burn(steps * tasks / 2);
        efficiency(one, two, floor1, floor2)
    });
    race.ours("map", || {
        let [one, two] = &field.ours;
        efficiency(
            ours(one, steps, tasks),
            ours(two, steps, tasks),
            ours1,
            ours2,
        )
    });
    race.rival("rayon", || {
        let [one, two] = &field.rayon;
        let times = (by_rayon(one, steps, tasks), by_rayon(two, steps, tasks));
        efficiency(times.0, times.1, rayon1, rayon2)
    });
    bench.run(race, rounds);
    if floor1.is_empty() {
        return;
    }
    let names = ["two processes", "pinfold", "rayon"];
    let series = names
        .iter()
        .zip(rates.chunks(2))
        .map(|(name, rates)| Series {
            name: (*name).to_owned(),
            points: vec![(1.0, median(&rates[0])), (2.0, median(&rates[1]))],
        });
    bench.plot(Plot {
        id: id.replace('.', "-"),
        title: format!("Throughput by number of workers, {text}"),
        x: "workers".into(),
        y: "tasks/s".into(),
        log_x: false,
        log_y: false,
        series: series.collect(),
    });
}
