//! A runtime's settings: one plain struct, checked once.

use std::sync::Arc;
use std::time::Duration;

use crate::error::StartError;
use crate::layout::{CLIENT_LEN, CLIENT_SLOTS, CLIENTS, EXECUTORS_MAX, Plan, SLOTS_MAX, Shape};
use crate::sys::Program;
use crate::sys::limits;
use crate::task::{ExecutorInit, Init, Orphans};
use crate::topology::Share;

/// When [`Runtime::shutdown`](crate::Runtime::shutdown) ends what is in flight.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let handle = rt.spawn(|n: u32| n + 1, 1);
/// rt.shutdown(pinfold::Shutdown::Drain)?;
/// assert_eq!(handle.join()?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// When it has ended by itself, however long that takes. (A worker that does not leave
    /// then is killed after 5 s.)
    Drain,
    /// When it has ended by itself, or after this long.
    DrainFor(Duration),
    /// When it has ended by itself, or after `drain`; what has not ended by then is
    /// cancelled ([`Handle::cancel`](crate::Handle::cancel)), and after `grace` more what
    /// runs is killed.
    Graceful {
        /// How long tasks may go on as if nothing were.
        drain: Duration,
        /// How long running ones then have to see that they are cancelled.
        grace: Duration,
    },
    /// Now: running tasks are killed, and workers wherever they are (in the middle of
    /// [`worker_init`](crate::Builder::worker_init), say).
    Abort,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub workers: Option<usize>,
    pub threads_per_worker: usize,
    pub pin: bool,
    pub memory_cap: Option<u64>,
    pub queue_capacity: usize,
    /// That is a bound for all tasks together. If not, threads that submit at the same time have more.
    pub is_queue_bounded: bool,
    pub on_drop: Shutdown,
    pub worker_init: Option<Init>,
    /// What that is called with, encoded; or why it cannot be.
    pub init_args: Option<Result<Arc<[u8]>, String>>,
    pub executor_init: Option<ExecutorInit>,
    /// Whoever starts it wants to hear of the first start of each worker.
    pub is_checked: bool,
    pub start_attempts: u32,
    pub worker_init_timeout: Duration,
    pub kill_grace: Duration,
    pub heartbeat: Option<Duration>,
    pub spares: usize,
    pub keepers: bool,
    pub dump_memory: bool,
    pub zero_memory: bool,
    pub profile: bool,
    pub orphans: Orphans,
    pub stack_size: usize,
    /// Zero: never.
    pub stuck_after: Duration,
    pub end_programs: bool,
    /// Which program is started for the workers.
    pub program: Program,
    #[cfg(feature = "crash-points")]
    pub crash_at: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: None,
            threads_per_worker: 1,
            pin: true,
            memory_cap: None,
            queue_capacity: 8192,
            is_queue_bounded: false,
            on_drop: Shutdown::DrainFor(Duration::from_secs(5)),
            worker_init: None,
            init_args: None,
            executor_init: None,
            is_checked: false,
            start_attempts: 10,
            worker_init_timeout: Duration::from_secs(120),
            kill_grace: Duration::ZERO,
            heartbeat: None,
            spares: 0,
            keepers: true,
            dump_memory: false,
            zero_memory: false,
            profile: false,
            orphans: Orphans::Cancel,
            stack_size: 8 << 20,
            stuck_after: Duration::from_secs(10),
            end_programs: false,
            program: Program::Own,
            #[cfg(feature = "crash-points")]
            crash_at: None,
        }
    }
}

/// The least memory a pool is useful with.
const MEMORY_MIN: u64 = 1 << 20;
const MEMORY_MAX: u64 = 1 << 38;

impl Config {
    /// In ms, at least one; 0: never.
    pub fn stuck_after_ms(&self) -> u64 {
        let ms = u64::try_from(self.stuck_after.as_millis()).unwrap_or(u64::MAX);
        if self.stuck_after.is_zero() {
            0
        } else {
            ms.max(1)
        }
    }

    /// The fold's shape, with `share` of the machine, if every setting is within its bounds.
    pub fn shape(&self, share: &Share) -> Result<Shape, StartError> {
        let workers = self.workers.unwrap_or_else(|| share.default_workers());
        let threads = self.threads_per_worker;
        let executors = (workers as u64).saturating_mul(threads as u64);
        let memory = self.memory_cap.unwrap_or_else(|| default_memory(share));
        check(
            "workers",
            workers as u64,
            1..=EXECUTORS_MAX as u64,
            "from 1 to 1024",
        )?;
        check(
            "threads_per_worker",
            threads as u64,
            1..=EXECUTORS_MAX as u64,
            "from 1 to 1024",
        )?;
        check(
            "workers × threads_per_worker",
            executors,
            1..=EXECUTORS_MAX as u64,
            "at most 1024",
        )?;
        check(
            "queue_capacity",
            self.queue_capacity as u64,
            1..=SLOTS_MAX as u64,
            "from 1 to 524288 tasks",
        )?;
        check(
            "memory_cap",
            memory,
            MEMORY_MIN..=MEMORY_MAX,
            "from 1 MiB to 256 GiB",
        )?;
        check(
            "start_attempts",
            self.start_attempts.into(),
            1..=1000,
            "from 1 to 1000",
        )?;
        check(
            "kill_grace in ms",
            u64::try_from(self.kill_grace.as_millis()).unwrap_or(u64::MAX),
            0..=86_400_000,
            "at most a day",
        )?;
        check(
            "worker_init_timeout in ms",
            u64::try_from(self.worker_init_timeout.as_millis()).unwrap_or(u64::MAX),
            10..=86_400_000,
            "from 10 ms to a day",
        )?;
        check(
            "stack_size",
            self.stack_size as u64,
            256 << 10..=1 << 30,
            "from 256 KiB to 1 GiB",
        )?;
        check("spares", self.spares as u64, 0..=64, "from 0 to 64")?;
        if let Some(threshold) = self.heartbeat {
            check(
                "heartbeat in ms",
                u64::try_from(threshold.as_millis()).unwrap_or(u64::MAX),
                10..=86_400_000,
                "from 10 ms to a day",
            )?;
        }
        let shape = Shape {
            workers: workers as u32,
            threads: threads as u32,
            slots: self.queue_capacity.next_power_of_two() as u32,
            clients: self.clients(workers * threads),
            memory,
        };
        Ok(match (self.memory_cap, room()) {
            (None, Some(room)) => fitting(shape, room),
            _ => shape,
        })
    }
}

impl Config {
    /// How many threads may have slots of their own: with a bound for all tasks together, these are
    /// taken from it. None if there is one executor: its tasks begin in the order of submission,
    /// which two ways to it would not keep.
    fn clients(&self, executors: usize) -> u32 {
        if executors == 1 {
            return 0;
        }
        let bound = self.is_queue_bounded.then_some(self.queue_capacity);
        let most = bound.map_or(CLIENTS, |bound| bound / 2 / CLIENT_SLOTS);
        most.min(CLIENTS) as u32
    }
}

/// Half of what this process may use: the segment is sparse, so a high cap costs
/// nothing until it is used.
fn default_memory(share: &Share) -> u64 {
    let limit = share.memory_limit_bytes().unwrap_or(4 << 30);
    (limit / 2).clamp(64 << 20, 256 << 30)
}

/// How long a segment may be by the limits of whoever has started this program, in bytes.
fn room() -> Option<u64> {
    // The program needs address space too, and a fold that is built anew some for both.
    let mapped = limits::address_space_left().map(|left| left / 4);
    mapped.into_iter().chain(limits::file_size_limit()).min()
}

/// With as much memory as a segment of `room` bytes has room for: the least that is of use,
/// if that is less.
fn fitting(mut shape: Shape, room: u64) -> Shape {
    // An eighth for what is of use to many threads only.
    let clients = room / 8 / CLIENT_LEN as u64;
    shape.clients = shape
        .clients
        .min(u32::try_from(clients).unwrap_or(u32::MAX));
    loop {
        let len = Plan::new(shape).len as u64;
        if len <= room || shape.memory == MEMORY_MIN {
            return shape;
        }
        // In proportion, and a little less: the tables do not shrink with it.
        let less = u128::from(shape.memory) * u128::from(room) / u128::from(len) * 15 / 16;
        shape.memory = u64::try_from(less).unwrap_or(0).max(MEMORY_MIN);
    }
}

fn check(
    name: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
    bounds: &'static str,
) -> Result<(), StartError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(StartError::OutOfBounds {
        name,
        value,
        bounds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_fits_into_what_there_is_room_for() {
        let all = Config::default()
            .shape(&Share::default())
            .expect("defaults");
        for room in [u64::MAX, 1 << 30, 100 << 20, 64 << 20] {
            let shape = fitting(all, room);
            assert!(Plan::new(shape).len as u64 <= room, "{room}");
            assert!(shape.memory > room.min(all.memory) / 4, "{room}: {shape:?}");
        }
        assert_eq!(fitting(all, 1000).memory, MEMORY_MIN);
    }

    #[test]
    fn defaults_are_sane() {
        let shape = Config::default()
            .shape(&Share::default())
            .expect("defaults");
        assert!(shape.is_sane());
    }

    #[test]
    fn each_bound_is_named() {
        let bad = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config
                .shape(&Share::default())
                .expect_err("out of bounds")
                .to_string()
        };
        assert!(bad(|c| c.workers = Some(0)).starts_with("workers is 0"));
        assert!(bad(|c| c.workers = Some(2000)).contains("from 1 to 1024"));
        assert!(bad(|c| c.threads_per_worker = 0).contains("threads_per_worker is 0"));
        assert!(bad(|c| (c.workers, c.threads_per_worker) = (Some(512), 4)).contains("is 2048"));
        assert!(
            bad(|c| (c.workers, c.threads_per_worker) = (Some(usize::MAX), 2))
                .starts_with("workers is 1844")
        );
        assert!(bad(|c| c.queue_capacity = 0).contains("queue_capacity is 0"));
        assert!(bad(|c| c.memory_cap = Some(1000)).contains("memory_cap is 1000"));
        assert!(bad(|c| c.start_attempts = 0).contains("start_attempts is 0"));
        assert!(
            bad(|c| c.worker_init_timeout = Duration::ZERO)
                .contains("worker_init_timeout in ms is 0")
        );
        assert!(bad(|c| c.stack_size = 4096).contains("stack_size is 4096"));
        assert!(bad(|c| c.spares = 65).contains("spares is 65"));
        assert!(bad(|c| c.heartbeat = Some(Duration::ZERO)).contains("heartbeat in ms is 0"));
    }
}
