//! How long tasks take, by function.
//!
//! The host knows when a task was submitted, the worker leaves when it began and ended
//! beside the task's slot (`layout/measure.rs`); here the two meet. What a worker
//! says may be nonsense: it is bounded, and added up with saturation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::layout::Measured;
use crate::sys::usage::monotonic_ns;
use crate::task::Outcome as Ran;

/// The longest time that is told from longer ones: 13 days, in ns.
const LONGEST_NS: u64 = 1 << 50;

/// What was measured so far; made by [`Runtime::profile`](crate::Runtime::profile).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
/// fn nap(ms: u64) {
///     std::thread::sleep(std::time::Duration::from_millis(ms));
/// }
/// rt.spawn(nap, 5).join()?;
/// let profile: pinfold::Profile = rt.profile();
/// assert_eq!(profile.functions[0].count, 1);
/// assert!(profile.functions[0].run.p50_ns >= 5_000_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Profile {
    /// Per function of which a task has ended: that which took longest in all comes first.
    pub functions: Vec<FunctionProfile>,
}

/// What was measured of the tasks of one function; part of a [`Profile`].
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
/// for outcome in rt.map(|n: u32| 12 / n, 0..4) {
///     drop(outcome); // the first one panics
/// }
/// let function: &pinfold::FunctionProfile = &rt.profile().functions[0];
/// assert_eq!((function.count, function.failures), (4, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunctionProfile {
    /// Its name, as the compiler calls it; or what its tasks
    /// [count as](crate::Task::profiled_as).
    pub function: &'static str,
    /// Tasks that have ended, in whatever way.
    pub count: u64,
    /// Of these, tasks without a value: a panic, a death, a deadline, and so on.
    pub failures: u64,
    /// Of these, tasks whose value was an `Err`.
    pub returned_err: u64,
    /// Of these, tasks that were measured: not those whose worker died, or that were
    /// never begun. The times below are of these.
    pub measured: u64,
    /// From submission until it began; of a task that was repeated, until its last
    /// attempt began.
    pub queue: Times,
    /// From its beginning to its end: decoding its arguments, running, encoding its value.
    pub run: Times,
    /// CPU time of the thread that ran it meanwhile.
    pub cpu: Times,
    /// The most by which one task raised its worker's peak of resident memory, in bytes.
    /// With several threads in a worker, what the others did meanwhile counts too.
    pub peak_growth: u64,
}

/// How a time is distributed; part of a [`FunctionProfile`]. All in ns; percentiles are
/// exact to 1%, and never too short. All are 0 when nothing was measured.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
/// rt.map(|n: u64| (0..n).sum::<u64>(), 0..1000).count();
/// let run: pinfold::Times = rt.profile().functions[0].run;
/// assert!(run.p50_ns <= run.p90_ns && run.p90_ns <= run.p99_ns && run.p99_ns <= run.p999_ns);
/// assert!(run.total_ns >= run.longest_ns);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Times {
    /// The sum.
    pub total_ns: u64,
    /// The mean.
    pub mean_ns: u64,
    /// Half of the tasks took no longer.
    pub p50_ns: u64,
    /// 90% took no longer.
    pub p90_ns: u64,
    /// 99% took no longer.
    pub p99_ns: u64,
    /// 99.9% took no longer.
    pub p999_ns: u64,
    /// The longest.
    pub longest_ns: u64,
}

/// A profile in short; part of [`Stats`](crate::Stats).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
/// rt.spawn(|n: u32| n, 1).join()?;
/// let summary: Option<pinfold::ProfileSummary> = rt.stats().profile;
/// assert_eq!(summary.map(|s| (s.functions, s.count)), Some((1, 1)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProfileSummary {
    /// Functions of which a task has ended.
    pub functions: u64,
    /// Tasks that have ended.
    pub count: u64,
    /// Of these, tasks without a value.
    pub failures: u64,
    /// How long all tasks ran, added up, in ns.
    pub run_ns: u64,
    /// CPU time of all tasks, in ns.
    pub cpu_ns: u64,
}

impl Profile {
    /// The profile in short.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
    /// rt.map(|n: u32| n, 0..10).count();
    /// assert_eq!(rt.profile().summary().count, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn summary(&self) -> ProfileSummary {
        let sum = |of: fn(&FunctionProfile) -> u64| {
            let all = self.functions.iter().map(of);
            all.fold(0, u64::saturating_add)
        };
        ProfileSummary {
            functions: self.functions.len() as u64,
            count: sum(|f| f.count),
            failures: sum(|f| f.failures),
            run_ns: sum(|f| f.run.total_ns),
            cpu_ns: sum(|f| f.cpu.total_ns),
        }
    }
}

/// What was measured, over all folds of a runtime.
#[derive(Debug, Default)]
pub struct Book(Mutex<HashMap<&'static str, Entry>>);

#[derive(Debug)]
struct Entry {
    count: u64,
    failures: u64,
    returned_err: u64,
    measured: u64,
    queue: Series,
    run: Series,
    cpu: Series,
    peak_growth: u64,
}

#[derive(Debug)]
struct Series {
    total_ns: u64,
    longest_ns: u64,
    histogram: Histogram<u64>,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            total_ns: 0,
            longest_ns: 0,
            // It grows with the longest time, up to some 40 KB.
            histogram: Histogram::new(2).expect("two digits are allowed"),
        }
    }
}

impl Series {
    fn add(&mut self, ns: u64) {
        let ns = ns.min(LONGEST_NS);
        self.total_ns = self.total_ns.saturating_add(ns);
        self.longest_ns = self.longest_ns.max(ns);
        // It fails only for what is longer than there is memory for, which is bounded.
        let _ = self.histogram.record(ns);
    }

    fn times(&self, count: u64) -> Times {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Times {
            total_ns: self.total_ns,
            mean_ns: self.total_ns.checked_div(count).unwrap_or(0),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            longest_ns: self.longest_ns,
        }
    }
}

impl Book {
    fn entries(&self) -> MutexGuard<'_, HashMap<&'static str, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read(&self) -> Profile {
        let entries = self.entries();
        let mut functions: Vec<_> = entries
            .iter()
            .map(|(function, entry)| FunctionProfile {
                function,
                count: entry.count,
                failures: entry.failures,
                returned_err: entry.returned_err,
                measured: entry.measured,
                queue: entry.queue.times(entry.measured),
                run: entry.run.times(entry.measured),
                cpu: entry.cpu.times(entry.measured),
                peak_growth: entry.peak_growth,
            })
            .collect();
        drop(entries);
        functions.sort_by_key(|f| (std::cmp::Reverse(f.run.total_ns), f.function));
        Profile { functions }
    }
}

/// How a task has ended, as far as a profile is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a value.
    Value,
    /// With a value that is an `Err`.
    ReturnedErr,
    /// Without one.
    Failure,
}

/// The host's part: when each task in flight was submitted.
#[derive(Debug)]
pub struct Profiling {
    book: Arc<Book>,
    submitted_ns: Vec<u64>,
    /// How the task ended that is about to be settled, if its worker said so itself.
    pub collected: Option<Ran>,
}

impl Profiling {
    pub fn new(book: Arc<Book>, slots: usize) -> Self {
        Profiling {
            book,
            submitted_ns: vec![0; slots],
            collected: None,
        }
    }

    /// Where it is written.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// A task was put into `slot`.
    pub fn submitted(&mut self, slot: u32) {
        if let Some(at) = self.submitted_ns.get_mut(slot as usize) {
            *at = monotonic_ns();
        }
    }

    /// The task in `slot`, of function `name`, has ended.
    pub fn ended(
        &mut self,
        slot: u32,
        name: &'static str,
        measured: Option<Measured>,
        has_value: bool,
    ) {
        let collected = self.collected.take();
        let end = match collected {
            _ if !has_value => End::Failure,
            Some(Ran::ReturnedErr | Ran::MarkedErr) => End::ReturnedErr,
            _ => End::Value,
        };
        // An attempt may have left numbers, and have died before it was done.
        let measured = measured.filter(|_| collected.is_some());
        let submitted_ns = self.submitted_ns.get(slot as usize).copied();
        self.book
            .add(name, submitted_ns.unwrap_or(0), measured, end);
    }
}

impl Book {
    fn add(&self, name: &'static str, submitted_ns: u64, measured: Option<Measured>, end: End) {
        let mut entries = self.entries();
        let entry = entries.entry(name).or_insert_with(|| Entry {
            count: 0,
            failures: 0,
            returned_err: 0,
            measured: 0,
            queue: Series::default(),
            run: Series::default(),
            cpu: Series::default(),
            peak_growth: 0,
        });
        entry.count += 1;
        entry.failures += u64::from(end == End::Failure);
        entry.returned_err += u64::from(end == End::ReturnedErr);
        if let Some(measured) = measured {
            let Measured {
                started_ns,
                ended_ns,
                cpu_ns,
                peak_growth,
            } = measured;
            entry.measured += 1;
            entry.queue.add(started_ns.saturating_sub(submitted_ns));
            entry.run.add(ended_ns.saturating_sub(started_ns));
            entry.cpu.add(cpu_ns);
            entry.peak_growth = entry.peak_growth.max(peak_growth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(from: u64, to: u64) -> Option<Measured> {
        Some(Measured {
            started_ns: from,
            ended_ns: to,
            cpu_ns: to.saturating_sub(from) / 2,
            peak_growth: 0,
        })
    }

    #[test]
    fn percentiles_are_exact_to_a_hundredth_and_never_too_short() {
        let book = Book::default();
        for n in 1..=1000 {
            book.add("f", 500, measured(1500, 1500 + n * 1_000_000), End::Value);
        }
        let profile = book.read();
        let [function] = &profile.functions[..] else {
            panic!("{profile:?}");
        };
        assert_eq!((function.count, function.measured), (1000, 1000));
        for (told, exact) in [
            (function.run.p50_ns, 500),
            (function.run.p90_ns, 900),
            (function.run.p99_ns, 990),
            (function.run.p999_ns, 999),
        ] {
            let exact = exact * 1_000_000;
            assert!((exact..=exact + exact / 100).contains(&told), "{told}");
        }
        assert_eq!(function.run.longest_ns, 1_000_000_000);
        assert_eq!(function.run.mean_ns, 500_500_000);
        assert_eq!(function.cpu.total_ns, function.run.total_ns / 2);
        assert_eq!(function.queue.longest_ns, 1000);
    }

    #[test]
    fn nonsense_is_bounded() {
        let book = Book::default();
        let wild = Measured {
            started_ns: u64::MAX,
            ended_ns: 0,
            cpu_ns: u64::MAX,
            peak_growth: u64::MAX,
        };
        for _ in 0..20_000 {
            book.add("f", 1, Some(wild), End::Failure);
        }
        book.add("f", 1, None, End::ReturnedErr);
        let function = book.read().functions.remove(0);
        assert_eq!((function.count, function.measured), (20_001, 20_000));
        assert_eq!((function.failures, function.returned_err), (20_000, 1));
        assert_eq!(function.queue.longest_ns, LONGEST_NS);
        assert_eq!(function.cpu.total_ns, u64::MAX, "as much as there is");
        assert_eq!(function.run, Times::default());
    }
}
