//! Settings, and the order of a start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Shutdown};
use crate::error::StartError;
use crate::process::Role;
use crate::scheduler::Counters;
use crate::sys::Program;
use crate::task::Orphans;

use super::Runtime;
use super::core::Core;
use super::founder::{Founder, no_zygote, system};
use super::held::Held;

/// Settings of a [`Runtime`]; every one has a default.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder()
///     .workers(2)
///     .threads_per_worker(1)
///     .pin(true)
///     .memory_cap(256 << 20)
///     .queue_capacity(1000)
///     .on_drop(pinfold::Shutdown::Abort)
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    pub(super) config: Config,
}

impl Builder {
    /// How many worker processes there are, 1 to 1024. Default: one per CPU that
    /// this process may use (affinity mask and cgroup quota).
    ///
    /// A worker stays until it dies or the runtime ends: it is not replaced after a number of
    /// tasks, nor for the memory that it has.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// assert_eq!(rt.stats().workers.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(mut self, count: usize) -> Self {
        self.config.workers = Some(count);
        self
    }

    /// Executor threads in each worker. Default 1: then a crash takes no other
    /// task with it. Workers × threads may be up to 1024.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).threads_per_worker(2).start()?;
    /// assert_eq!(rt.stats().workers[0].cpus.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn threads_per_worker(mut self, count: usize) -> Self {
        self.config.threads_per_worker = count;
        self
    }

    /// Whether each executor thread is pinned to one allowed CPU (CPU affinity).
    /// Default: yes.
    ///
    /// Threads and programs that a task starts inherit that one CPU: a thread pool within a
    /// task, `make -j` or `ffmpeg` finds one CPU there, and counts one. If tasks use several
    /// CPUs themselves, say no.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).pin(false).start()?;
    /// rt.spawn(|(): ()| (), ()).join()?;
    /// assert_eq!(rt.stats().workers[0].cpus, [None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(mut self, pin: bool) -> Self {
        self.config.pin = pin;
        self
    }

    /// The most shared memory for buffers, long arguments and long results, in
    /// bytes; at least 1 MiB. Default: half
    /// of the memory this process may use, or what `ulimit -f` and a quarter of what
    /// `ulimit -v` leaves have room for, if that is less. Memory is taken when it is first
    /// touched, so a high cap costs nothing. What does not fit is an error or a
    /// wait, never a signal.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).memory_cap(1 << 20).start()?;
    /// assert!(rt.alloc(2 << 20).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory_cap(mut self, bytes: u64) -> Self {
        self.config.memory_cap = Some(bytes);
        self
    }

    /// The most tasks in flight (queued or running), 1 to 524,288. Default 8192.
    /// When they are reached, `spawn` waits and `try_spawn` gives the arguments
    /// back. Finished tasks do not count, joined or not.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).queue_capacity(10).start()?;
    /// let handles: Vec<_> = (0..100).map(|n| rt.spawn(|n: u32| n, n)).collect(); // waits for room
    /// assert_eq!(handles.into_iter().filter_map(|h| h.join().ok()).count(), 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_capacity(mut self, tasks: usize) -> Self {
        self.config.queue_capacity = tasks;
        self.config.is_queue_bounded = true;
        self
    }

    /// What dropping the [`Runtime`] does with tasks in flight. Default:
    /// [`Shutdown::DrainFor`] 5 seconds: tasks without handles may end, but an error that
    /// `main` returns is not kept back for long (it is printed when all has been dropped). If
    /// it takes more than a moment, a `tracing` event of level WARN says so. A thread that
    /// drops it while it panics does not wait: tasks are aborted then. To wait longer, or to
    /// hear how it went, call [`Runtime::shutdown`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .on_drop(pinfold::Shutdown::Abort)
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_drop(mut self, how: Shutdown) -> Self {
        self.config.on_drop = how;
        self
    }

    /// How long a task that is past its [run limit](crate::Task::run_limit) or its
    /// [hard deadline](crate::Task::hard_deadline) may take to end by itself: its
    /// worker gets SIGTERM, and after this time SIGKILL. Default: none, SIGKILL at
    /// once. Only a task that handles SIGTERM gains by it. What it has
    /// [spawned](crate::spawn()), and runs elsewhere, gets no signal: it is told when the task
    /// is to end, and when that has ended has this time, a second at least, until SIGKILL.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .kill_grace(std::time::Duration::from_millis(100))
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill_grace(mut self, grace: Duration) -> Self {
        self.config.kill_grace = grace;
        self
    }

    /// What becomes of the tasks that a worker's tasks have [spawned](crate::spawn), and
    /// that nobody has begun, when that worker dies. Default: [`Orphans::Cancel`], they never
    /// run. With [`Orphans::Finish`] each of them is run once all the same; nobody sees its
    /// outcome. Those that another worker is running then are told to end
    /// ([`spawn`](crate::spawn()) says how), and with [`Orphans::Finish`] left alone.
    ///
    /// To be cancelled, or past its hard deadline, is not to die: whatever is part of such a
    /// task is to end in either case, those of former attempts included. When the task has
    /// ended by its worker's death, nobody can cancel what it has left to be finished.
    ///
    /// A task that is [tried again](crate::Task::safe_to_repeat) spawns its tasks again, and
    /// knows nothing of those of its first attempt. With [`Orphans::Finish`] these are not
    /// taken back: what it spawns may be run once for each of its attempts.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use std::path::PathBuf;
    /// fn leaves_a_file(path: PathBuf) {
    ///     std::fs::write(path, "was here").unwrap();
    /// }
    /// fn dies(path: PathBuf) {
    ///     drop(pinfold::spawn(leaves_a_file, path));
    ///     std::process::abort();
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .orphans(pinfold::Orphans::Finish)
    ///     .start()?;
    /// let path = std::env::temp_dir().join(format!("orphan-{}", std::process::id()));
    /// assert!(rt.spawn(dies, path.clone()).join().is_err());
    /// while !path.exists() {
    ///     std::thread::yield_now();
    /// }
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn orphans(mut self, policy: Orphans) -> Self {
        self.config.orphans = policy;
        self
    }

    /// Replaces a worker that has work and gives no sign of life for `threshold` (at
    /// least 10 ms): it was stopped, or the machine swaps it. A task that merely
    /// takes long does not count; see [`run_limit`](crate::Task::run_limit).
    /// Its tasks move on as after any death. Default: off, so that a worker can be
    /// looked at with a debugger. Costs each worker a thread that wakes four times
    /// per threshold.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .heartbeat(std::time::Duration::from_secs(5))
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn heartbeat(mut self, threshold: Duration) -> Self {
        self.config.heartbeat = Some(threshold);
        self
    }

    /// Processes kept ready to take a dead worker's place, 0 to 64. Default 0. A
    /// replacement then needs no fork, which saves about 0.2 ms.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).spares(1).start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spares(mut self, count: usize) -> Self {
        self.config.spares = count;
        self
    }

    /// Whether each worker has a keeper: a second process (`pinfold-keeper`) that shares
    /// its memory, sleeps for ever, and is ended after it. Default: yes.
    ///
    /// The kernel takes a dead process's memory apart before it says that the process is
    /// dead, which takes 0.1 ms at least, and about 0.1 s for each GiB that the worker had
    /// touched. While a keeper has the same memory, the death is told at once, and the
    /// worker's tasks go on elsewhere before its memory is taken apart. A worker has its
    /// keeper once it has slept, or has run its first tasks.
    ///
    /// A keeper costs no memory of its own but what the kernel needs for a process (some
    /// 30 KiB), and one more of the processes that a limit may allow; tools that add up
    /// the memory of processes count a worker's twice ([`WorkerStats::keeper`](crate::WorkerStats)
    /// says which to leave out). There are none where they would take more than an eighth of
    /// the processes that may be (`ulimit -u`, pids.max); they are let go of when a worker cannot
    /// be started because there are no processes left; and a worker that has become another
    /// user's has none.
    ///
    /// Turn keepers off
    /// - if tasks read files into [buffers](crate::Loan) by `io_submit`, the older of
    ///   Linux's two ways of asynchronous I/O: what the kernel was told to read may arrive
    ///   after the death was told, when the buffer is somebody else's;
    /// - if a sandbox (seccomp) that `worker_init` or a task sets up ends whoever calls
    ///   `clone`, `close_range`, `prctl`, `chdir` or `poll`;
    /// - if there is no room for a dead worker's memory beside its successor's, for some
    ///   milliseconds.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).keepers(false).start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keepers(mut self, are_wanted: bool) -> Self {
        self.config.keepers = are_wanted;
        self
    }

    /// Whether the fold's shared memory is in core dumps of the host and of the workers. Default:
    /// no. A core has the process's own memory, its stacks and threads, as always; arguments,
    /// results and buffers in shared memory it has not. With it, a core is as large as the
    /// [`memory_cap`](Builder::memory_cap), takes seconds for each GiB, and all that memory
    /// stays resident afterwards: give the fold a small cap then.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = pinfold::Runtime::builder().workers(1);
    /// let rt = builder.memory_cap(16 << 20).dump_memory(true).start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dump_memory(mut self, is_wanted: bool) -> Self {
        self.config.dump_memory = is_wanted;
        self
    }

    /// Whether memory of the pool is zeroed before it is handed out: then no task, and no
    /// client of the program behind a task, finds in a fresh [`Loan`](crate::Loan) what
    /// another has left there. Default: no, which is quicker (some 0.1 ms for each MiB, and
    /// memory is backed as soon as it is allocated).
    ///
    /// It is about what the library hands out. A worker maps all of the pool: code that runs
    /// wild in a task can look at all that is in it.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).zero_memory(true).start()?;
    /// rt.alloc(1000)?.fill(7);
    /// assert!(rt.alloc(1000)?.iter().all(|byte| *byte == 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zero_memory(mut self, is_wanted: bool) -> Self {
        self.config.zero_memory = is_wanted;
        self
    }

    /// How much stack each executor has for its tasks, in bytes, 256 KiB to 1 GiB. Default
    /// 8 MiB, whatever the shell's limit (`ulimit -s`) is. The same for each: for the one of a
    /// worker with one thread, for those of a worker with more, and under `test_setup!`. It
    /// costs address space, and memory only for what a task has used of it.
    ///
    /// A task that needs more ends its worker by SIGSEGV, and its
    /// [`TaskError`](crate::TaskError) says that it had overflowed its stack. A task that
    /// [joins](crate::Child::join) the tasks it spawned has as much as it needs for that, however
    /// deep. Threads that a task starts have what it gives them.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// fn depth(frames: u32) -> u64 {
    ///     let frame = std::hint::black_box([frames; 1024]);
    ///     u64::from(frame[7] > 0) + if frames == 0 { 0 } else { depth(frames - 1) }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).stack_size(64 << 20).start()?;
    /// assert_eq!(rt.spawn(depth, 8_000).join()?, 8_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.stack_size = bytes;
        self
    }

    /// After how long a wait for a shared object (a message, room in a channel, a lock …) is told, by
    /// a `tracing` event of level WARN with `what` is waited for, the number of the `object`, the
    /// `task`, and `waited_ms`; once for each wait. Default: 10 s; [`Duration::ZERO`]: never. Threads of
    /// the host go by the runtime that was started last.
    ///
    /// [`Stats::waits`](crate::Stats::waits) shows all waits at any time.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let minute = std::time::Duration::from_secs(60);
    /// let rt = pinfold::Runtime::builder().workers(1).stuck_after(minute).start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stuck_after(mut self, time: Duration) -> Self {
        self.config.stuck_after = time;
        self
    }

    /// Whether programs that a worker's tasks have started end with it (by SIGKILL), however it
    /// ends: at a deadline, a cancel, a crash, a shutdown. Default: no, they live on, and keep
    /// what they have inherited: whoever reads this program's output by a pipe waits for them
    /// too, unless their standard output is another.
    ///
    /// Each worker leads a process group of its own then, and its programs with all that they
    /// start belong to it; a program that leaves the group (`setsid`, `setpgid`, as daemons and
    /// shells with job control do) is not ended. If the zygote is killed, they are ended on
    /// Linux 6.9 and later only; and if both it and this process are killed, they are not.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use std::time::Duration;
    /// fn sleeps(_: ()) -> bool {
    ///     std::process::Command::new("sleep").arg("60").status().is_ok()
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).end_programs(true).start()?;
    /// let task = rt.task(sleeps).hard_deadline(Duration::from_millis(200)).spawn(());
    /// assert!(task.join().is_err()); // and the `sleep` has ended, too
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_programs(mut self, end: bool) -> Self {
        self.config.end_programs = end;
        self
    }

    /// Measures every task, by function: how long it waited and ran, its CPU time, how
    /// much it raised its worker's peak of memory; see
    /// [`Runtime::profile`](crate::Runtime::profile). Default: off, which costs nothing.
    /// On it costs each task some system calls, about 1 µs. Tasks that tasks spawn
    /// count as part of those.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).profile(true).start()?;
    /// rt.map(|n: u32| n, 0..10).count();
    /// assert_eq!(rt.profile().functions[0].count, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn profile(mut self, profile: bool) -> Self {
        self.config.profile = profile;
        self
    }

    /// The first process of worker 0 kills itself just before its `step`-th change of
    /// shared memory. For this library's own tests.
    #[cfg(feature = "crash-points")]
    #[doc(hidden)]
    pub fn crash_at(mut self, step: u64) -> Self {
        self.config.crash_at = Some(step);
        self
    }

    /// Has `program` started for the workers, with `arguments`, instead of this program once more.
    /// It is for a host whose executable is not its own (an interpreter, say) and has its tasks
    /// in a shared library: `program` loads that library, and calls [`init`](crate::init). This
    /// process need not have called it.
    ///
    /// Host and worker program must have their tasks in the same build of the same file, or the
    /// start is refused with both builds in the error. A relative `program` is looked up by
    /// `PATH` if it has no slash.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// let other = pinfold::Runtime::builder().worker_program("/bin/true", ["now"]).start();
    /// assert!(other.unwrap_err().to_string().contains("/bin/true"));
    /// ```
    pub fn worker_program<I>(mut self, program: impl Into<PathBuf>, arguments: I) -> Self
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let arguments = arguments.into_iter().map(Into::into).collect();
        self.config.program = Program::Other(program.into(), arguments);
        self
    }

    /// Starts the fold; returns when all workers have been started.
    ///
    /// # Errors
    /// [`StartError`]: [`init`](crate::init) was not called, a setting is out of its
    /// bounds, or the system refused something (the message says what to do).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let refused = pinfold::Runtime::builder().workers(0).start();
    /// assert_eq!(
    ///     refused.err().map(|e| e.to_string()).as_deref(),
    ///     Some("workers is 0, but must be from 1 to 1024"),
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<Runtime, StartError> {
        match Role::now() {
            Role::Host => {}
            Role::Worker => return Err(StartError::InsideWorker),
            Role::Unknown if self.config.program == Program::Own => {
                return Err(StartError::NotInitialized);
            }
            Role::Unknown => {}
        }
        let (founder, hatching) = Founder::new(&self.config)?;
        let (scheduler, supervisor) = founder.found(Counters::default())?;
        let commands = Arc::clone(founder.commands());
        let core = Arc::new(Core::new(
            Held::new(scheduler),
            commands,
            self.config.on_drop,
        ));
        let begun = core
            .supervise(founder)
            .map_err(system("the supervisor thread could not be started"))
            .and_then(|thread| Ok((thread, supervisor.start(hatching).map_err(no_zygote)?)));
        match begun {
            Ok((thread, supervisor)) => {
                // It waits for just that.
                let _ = thread.send(supervisor);
                Ok(Runtime { core })
            }
            Err(error) => {
                core.finish(); // its attendant ends
                core.join_supervisor();
                Err(error)
            }
        }
    }
}
