//! A plot: throughput by the number of tasks that are submitted together and awaited
//! before the next ones. The first of two CPUs has work to do meanwhile; so this is also
//! how large a batch must be until the second one helps.

use std::cell::RefCell;

use pinfold::Runtime;
use pinfold_rivals::{Bench, Plot, Rival, Series, median};
use rayon::ThreadPool;

use super::{inc, rate};

const SIZES: [u64; 7] = [1, 4, 16, 64, 256, 1024, 4096];

/// Tasks of each measurement, a multiple of each size.
const TASKS: u64 = 16_384;

fn ours(rt: &Runtime, batch: u64) -> f64 {
    rate(TASKS, || {
        let first = (0..TASKS).step_by(batch as usize);
        let task = rt.task(inc).in_flight(batch as usize);
        let sum = |first| task.map(first..first + batch).map(|r| r.expect("a value"));
        first.flat_map(sum).sum()
    })
}

fn by_rayon(pool: &ThreadPool, batch: u64) -> f64 {
    let mut results = vec![0; batch as usize];
    rate(TASKS, || {
        let mut sum = 0;
        for first in (0..TASKS).step_by(batch as usize) {
            pool.scope(|scope| {
                for (n, result) in (first..).zip(&mut results) {
                    scope.spawn(move |_| *result = inc(n));
                }
            });
            sum += results.iter().sum::<u64>();
        }
        sum
    })
}

/// Draws it.
pub fn plot(
    bench: &mut Bench,
    rounds: usize,
    rt: &Runtime,
    pool: &ThreadPool,
    tbb: &RefCell<Rival>,
) {
    if !bench.wants("tasks.batch") {
        return;
    }
    let mut series = ["pinfold map", "rayon scope", "oneTBB task_group"].map(|name| Series {
        name: name.to_owned(),
        points: Vec::new(),
    });
    for size in SIZES {
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            rates[0].push(ours(rt, size));
            rates[1].push(by_rayon(pool, size));
            let order = format!("batches {TASKS} {size}");
            // Without it the plot has one line less; the rows say why.
            rates[2].extend(tbb.borrow_mut().ask(&order).unwrap_or_default());
        }
        for (series, rates) in series.iter_mut().zip(rates) {
            if !rates.is_empty() {
                series.points.push((size as f64, median(&rates)));
            }
        }
    }
    bench.plot(Plot {
        id: "tasks-batch".into(),
        title: "Empty tasks with results, by batch".into(),
        x: "tasks in a batch".into(),
        y: "M tasks/s".into(),
        log_x: true,
        log_y: true,
        series: series.to_vec(),
    });
}
