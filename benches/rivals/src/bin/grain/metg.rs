//! The minimum effective task granularity: how short tasks may be, on average, before the
//! rest takes more than its share.
//!
//! The mean length of a task is what the CPUs spend on it with everything around it: wall
//! time x CPUs / tasks. The efficiency is the part of that in which the work itself would
//! have been done, at the pace of two processes that do nothing else. As in Task Bench.

use std::time::Duration;

use super::graph::{Graph, Kind};

/// Seconds of one run of a graph and its checksum, or why there is none.
pub type Run<'a> = dyn FnMut(&Graph) -> Result<(f64, u64), String> + 'a;

/// Where the smallest grain is 2^0 of these: 1/16 of a microsecond of work.
const GRAIN_NS: f64 = 62.5;

/// The largest grain: 2^14 x 62.5 ns is 1 ms.
const MOST: u32 = 14;

/// Where the search begins: 2^4 x 62.5 ns is 1 µs.
const FIRST: u32 = 4;

/// Of so many runs the quickest counts: what else goes on in a machine only adds.
const ATTEMPTS: usize = 3;

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// The pace of two processes: nanoseconds in which one of them does a step of work.
    pub ns_per_step: f64,
    /// How long one run should take.
    pub budget: Duration,
}

/// A run: how long its tasks were, and how much of that was work.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// µs.
    pub length: f64,
    /// At most about 1.
    pub efficiency: f64,
}

/// CPUs in use.
const CPUS: f64 = 2.0;

/// One contestant on one graph, in one round.
pub struct Search<'a, 'r> {
    meter: Meter,
    kind: Kind,
    width: usize,
    run: &'r mut Run<'a>,
    points: [Option<Point>; MOST as usize + 1],
    /// ns of a step beyond its work, as last seen.
    rest_of_step: f64,
}

impl<'a, 'r> Search<'a, 'r> {
    /// Begins with a short run that shows how many steps fit into the time.
    pub fn new(
        meter: Meter,
        kind: Kind,
        width: usize,
        run: &'r mut Run<'a>,
    ) -> Result<Self, String> {
        let mut search = Search {
            meter,
            kind,
            width,
            run,
            points: [None; MOST as usize + 1],
            rest_of_step: 0.0,
        };
        search.measure(FIRST, 32)?;
        Ok(search)
    }

    /// ns of work in a step, spread over the CPUs.
    fn work_of_step(&self, power: u32) -> f64 {
        GRAIN_NS * f64::from(1 << power) * self.width as f64 / CPUS
    }

    fn measure(&mut self, power: u32, steps: usize) -> Result<Point, String> {
        let work = GRAIN_NS * f64::from(1 << power) / self.meter.ns_per_step;
        let graph = Graph {
            kind: self.kind,
            width: self.width,
            steps,
            work: work as u64,
        };
        let (seconds, checksum) = (self.run)(&graph)?;
        if checksum != graph.expected() {
            return Err(format!("a wrong result on {graph:?}"));
        }
        let tasks = graph.tasks() as f64;
        let length = seconds * 1e9 * CPUS / tasks;
        let of_work = graph.work as f64 * self.meter.ns_per_step;
        self.rest_of_step = (seconds * 1e9 / steps as f64 - self.work_of_step(power)).max(50.0);
        Ok(Point {
            length: length / 1e3,
            efficiency: of_work / length,
        })
    }

    /// The best run with grain 2^power, looked for once.
    fn at(&mut self, power: u32) -> Result<Point, String> {
        if let Some(point) = self.points[power as usize] {
            return Ok(point);
        }
        let step = self.work_of_step(power) + self.rest_of_step;
        let steps = self.meter.budget.as_nanos() as f64 / step;
        let steps = steps.clamp(8.0, 20_000.0) as usize;
        let mut best = self.measure(power, steps)?;
        for _ in 1..ATTEMPTS {
            let point = self.measure(power, steps)?;
            if point.efficiency > best.efficiency {
                best = point;
            }
        }
        self.points[power as usize] = Some(best);
        Ok(best)
    }

    /// µs: the mean length of a task at which this share of the CPUs' time is work.
    pub fn metg(&mut self, share: f64) -> Result<f64, String> {
        // The least power that is enough lies in (low, high]: from the first grain in
        // steps of four, then by halves.
        let (mut low, mut high) = (None, FIRST);
        while self.at(high)?.efficiency < share {
            low = Some(high);
            if high == MOST {
                return Err(format!("less than {share} even with tasks of 1 ms"));
            }
            high = (high + 2).min(MOST);
        }
        loop {
            let below = low.map_or(0, |low| low + 1);
            if below == high {
                break;
            }
            let middle = u32::midpoint(below, high);
            if self.at(middle)?.efficiency >= share {
                high = middle;
            } else {
                low = Some(middle);
            }
        }
        let enough = self.at(high)?;
        let Some(low) = low else {
            return Ok(enough.length);
        };
        // Between the two, as if the length grew evenly with the share.
        let short = self.at(low)?;
        let part = (share - short.efficiency) / (enough.efficiency - short.efficiency);
        Ok(short.length * (enough.length / short.length).powf(part))
    }

    /// All runs so far: grain in µs, and what came of it.
    pub fn points(&self) -> impl Iterator<Item = (f64, Point)> {
        let powers = (0..).zip(self.points);
        powers.filter_map(|(power, point): (u32, _)| {
            Some((GRAIN_NS * f64::from(1 << power) / 1e3, point?))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Meter, Search};
    use crate::graph::{Graph, Kind};

    /// A machine on which each task costs 2 µs of a CPU besides its work.
    #[test]
    fn the_grain_is_found() {
        let meter = Meter {
            ns_per_step: 1.0,
            budget: Duration::from_millis(5),
        };
        let mut runs = 0;
        let mut run = |graph: &Graph| {
            runs += 1;
            let each = graph.work as f64 + 2000.0;
            Ok((graph.tasks() as f64 * each / 2.0 / 1e9, graph.expected()))
        };
        let mut search = Search::new(meter, Kind::Stencil, 8, &mut run).expect("it runs");
        let half = search.metg(0.5).expect("it is reached");
        let most = search.metg(0.75).expect("it is reached");
        // Half is 2 µs of work in 4, three quarters 6 in 8: found to the step of the grid.
        assert!((3.8..4.2).contains(&half), "{half}");
        assert!((7.5..8.5).contains(&most), "{most}");
        assert!(runs < 20, "{runs}");
    }

    #[test]
    fn wrong_results_do_not_count() {
        let meter = Meter {
            ns_per_step: 1.0,
            budget: Duration::from_millis(5),
        };
        let mut run = |graph: &Graph| Ok((0.001, graph.expected() ^ 1));
        assert!(Search::new(meter, Kind::Fft, 8, &mut run).is_err());
    }
}
