//! Settings of a runtime, as C has them.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use pinfold::{Builder, Orphans, Runtime, Shutdown};

use crate::edge::{bytes, duration, text};
use crate::error::Failure;
use crate::names::Names;
use crate::{plugin, state};

/// Yes or no, where 0 is whatever is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldChoice {
    /// As it is without saying so.
    Default = 0,
    /// It is wanted.
    Yes = 1,
    /// It is not wanted.
    No = 2,
}

/// What becomes of tasks that a worker's tasks have spawned and nobody has begun, when that
/// worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldOrphans {
    /// They are cancelled.
    Default = 0,
    /// They never run.
    Cancel = 1,
    /// Each of them is run once all the same.
    Finish = 2,
}

/// When a shutdown ends what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PinfoldShutdown {
    /// As `PINFOLD_SHUTDOWN_DRAIN_FOR` 5 seconds.
    Default = 0,
    /// When it has ended by itself, however long that takes.
    Drain = 1,
    /// When it has ended by itself, or after `time`.
    DrainFor = 2,
    /// When it has ended by itself, or after `time`; what has not ended by then is cancelled, and
    /// after `grace` more what runs is killed.
    Graceful = 3,
    /// Now: running tasks are killed.
    Abort = 4,
}

/// Settings of a runtime. Start from `PINFOLD_CONFIG_INIT`: a field that is 0 or null has its
/// default. Fields may be added at the end; `size` says which there are. Times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldConfig {
    /// `sizeof(pinfold_config)`.
    pub size: usize,
    /// Worker processes, 1 to 1024. Default: one for each CPU that this process may use.
    pub workers: usize,
    /// Threads in each worker that run tasks, 1 to 1024. Default 1: then a crash takes no other task with it.
    pub threads_per_worker: usize,
    /// Shared memory in bytes that is used at most, from 1 MiB on. Default: half of what this
    /// process may use.
    pub memory_cap: u64,
    /// Tasks in flight at most, 1 to 524288. Default 8192.
    pub queue_capacity: usize,
    /// Whether each thread that runs tasks is pinned to one CPU: a `pinfold_choice`. Default: yes.
    pub pin: i32,
    /// Whether each worker has a second process that shares its memory, so that its death is
    /// told at once: a `pinfold_choice`. Default: yes.
    pub keepers: i32,
    /// Whether shared memory is in core dumps: a `pinfold_choice`. Default: no.
    pub dump_memory: i32,
    /// Whether shared memory is zeroed before it is handed out: a `pinfold_choice`. Default: no.
    pub zero_memory: i32,
    /// Whether programs that a worker's tasks have started end with it: a `pinfold_choice`.
    /// Default: no.
    pub end_programs: i32,
    /// Whether each task is measured, for `pinfold_runtime_profile_json`: a `pinfold_choice`.
    /// Default: no. It costs each task about 1 µs.
    pub profile: i32,
    /// Whether `pinfold_runtime_new` waits until all workers have begun, and fails if one has
    /// failed to: a `pinfold_choice`. Default: no.
    pub start_checked: i32,
    /// How often in a row workers may end before they have begun, 1 to 1000. Default 10. Then
    /// tasks end with `PINFOLD_STATUS_NO_WORKERS`, until one has begun.
    pub start_attempts: u32,
    /// What becomes of the tasks of dead workers' tasks: a `pinfold_orphans`. Default: cancel.
    pub orphans: i32,
    /// What `pinfold_runtime_free` does with tasks in flight: a `pinfold_shutdown`. Default: drain
    /// for 5 s.
    pub on_free: i32,
    /// The `time` of that, in ns, if it has one.
    pub on_free_time: u64,
    /// The `grace` of that, in ns, if it has one.
    pub on_free_grace: u64,
    /// How long a task that is past its run limit or hard deadline has from SIGTERM to SIGKILL, in
    /// ns, at most a day. Default: SIGKILL at once.
    pub kill_grace: u64,
    /// A worker that has work and gives no sign of life for so many ns is replaced: 10 ms to a
    /// day. Default: none is.
    pub heartbeat: u64,
    /// Processes kept ready to take a dead worker's place, 0 to 64.
    pub spares: usize,
    /// Stack for tasks, in bytes, 256 KiB to 1 GiB. Default 8 MiB.
    pub stack_size: usize,
    /// How long a worker may take from its start until it works, in ns: 10 ms to a day. Default: 2
    /// minutes.
    pub worker_init_timeout: u64,
    /// The file of a plugin that has the functions, for a host that has not called `pinfold_init`
    /// (an interpreter, say): see `PINFOLD_PLUGIN`. Default null: the functions are this program's.
    pub plugin: *const c_char,
    /// The program `pinfold-worker`, for a plugin. Default: what the environment variable
    /// `PINFOLD_WORKER` names, or the one that is installed with the library.
    pub worker_program: *const c_char,
    /// The state that each worker makes before its first task, by the name that it was registered
    /// by (`pinfold_state_register`). Tasks find it by `pinfold_call_worker_state`.
    pub worker_state: *const c_char,
    /// The same for each thread that runs tasks; tasks find it by `pinfold_call_executor_state`.
    pub executor_state: *const c_char,
    /// The argument that states are made with, `state_argument_len` bytes; copied.
    pub state_argument: *const c_void,
    /// How long it is.
    pub state_argument_len: usize,
}

/// A value that is none of an enum's.
#[cold]
pub(crate) fn unknown(field: &str, value: i32, kind: &str) -> Failure {
    Failure::argument(format!("`{field}` is {value}, which is no `{kind}`"))
}

/// `None`: as it is without saying so.
pub(crate) fn choice(field: &str, value: i32) -> Result<Option<bool>, Failure> {
    match value {
        0 => Ok(None),
        1 => Ok(Some(true)),
        2 => Ok(Some(false)),
        _ => Err(unknown(field, value, "pinfold_choice")),
    }
}

/// `None`: as it is without saying so.
pub(crate) fn shutdown(
    field: &str,
    how: i32,
    time: u64,
    grace: u64,
) -> Result<Option<Shutdown>, Failure> {
    let (time, grace) = (duration(time), duration(grace));
    Ok(Some(match how {
        0 => return Ok(None),
        1 => Shutdown::Drain,
        2 => Shutdown::DrainFor(time),
        3 => Shutdown::Graceful { drain: time, grace },
        4 => Shutdown::Abort,
        _ => return Err(unknown(field, how, "pinfold_shutdown")),
    }))
}

/// A setting of the builder.
type With<T> = fn(Builder, T) -> Builder;

/// Sets what is not its default.
fn set<T: PartialEq + Default>(
    builder: &mut Builder,
    value: T,
    with: impl FnOnce(Builder, T) -> Builder,
) {
    if value != T::default() {
        *builder = with(std::mem::take(builder), value);
    }
}

impl PinfoldConfig {
    fn builder(&self) -> Result<Builder, Failure> {
        let mut builder = Runtime::builder();
        let to = &mut builder;
        set(to, self.workers, Builder::workers);
        set(to, self.threads_per_worker, Builder::threads_per_worker);
        set(to, self.memory_cap, Builder::memory_cap);
        set(to, self.queue_capacity, Builder::queue_capacity);
        set(to, self.start_attempts, Builder::start_attempts);
        set(to, self.spares, Builder::spares);
        set(to, self.stack_size, Builder::stack_size);
        let times: [(u64, With<Duration>); 3] = [
            (self.kill_grace, Builder::kill_grace),
            (self.heartbeat, Builder::heartbeat),
            (self.worker_init_timeout, Builder::worker_init_timeout),
        ];
        for (time, with) in times {
            set(to, time, |builder, time| with(builder, duration(time)));
        }
        let choices: [(&str, i32, With<bool>); 6] = [
            ("pin", self.pin, Builder::pin),
            ("keepers", self.keepers, Builder::keepers),
            ("dump_memory", self.dump_memory, Builder::dump_memory),
            ("zero_memory", self.zero_memory, Builder::zero_memory),
            ("end_programs", self.end_programs, Builder::end_programs),
            ("profile", self.profile, Builder::profile),
        ];
        for (name, value, with) in choices {
            if let Some(is_wanted) = choice(&format!("config->{name}"), value)? {
                *to = with(std::mem::take(to), is_wanted);
            }
        }
        match self.orphans {
            0 => {}
            1 => *to = std::mem::take(to).orphans(Orphans::Cancel),
            2 => *to = std::mem::take(to).orphans(Orphans::Finish),
            other => return Err(unknown("config->orphans", other, "pinfold_orphans")),
        }
        let on_free = shutdown(
            "config->on_free",
            self.on_free,
            self.on_free_time,
            self.on_free_grace,
        )?;
        if let Some(how) = on_free {
            *to = std::mem::take(to).on_drop(how);
        }
        Ok(builder)
    }

    /// A runtime with these settings, and what its workers' functions are called.
    ///
    /// # Safety
    ///
    /// What its pointers point to can be read.
    pub(crate) unsafe fn start(&self) -> Result<(Runtime, Names), Failure> {
        let mut builder = self.builder()?;
        let is_checked = choice("config->start_checked", self.start_checked)? == Some(true);
        // SAFETY: the caller's promise.
        let names = match unsafe { self.plugin() }? {
            Some(plugin) => {
                builder = builder.worker_program(plugin.program, plugin.arguments);
                Names::of_plugin(plugin.file)
            }
            None => Names::own(),
        };
        let optional = |name: &str, pointer: *const c_char| match pointer.is_null() {
            true => Ok(None),
            // SAFETY: the caller's promise.
            false => unsafe { text(name, pointer) }.map(Some),
        };
        let argument = "config->state_argument";
        // SAFETY: the caller's promise.
        let argument = unsafe { bytes(argument, self.state_argument, self.state_argument_len) }?;
        let builder = state::ordered(
            builder,
            optional("config->worker_state", self.worker_state)?,
            optional("config->executor_state", self.executor_state)?,
            argument,
            self.plugin.is_null(),
        )?;
        let started = match is_checked {
            true => builder.start_checked(),
            false => builder.start(),
        };
        match started {
            Ok(runtime) => Ok((runtime, names)),
            Err(error) => Err(names.told(error.into())),
        }
    }

    /// How the workers with its plugin are started, if it has one.
    ///
    /// # Safety
    ///
    /// Each text is null, or ends in NUL.
    unsafe fn plugin(&self) -> Result<Option<plugin::Start>, Failure> {
        if self.plugin.is_null() {
            return match self.worker_program.is_null() {
                true => Ok(None),
                false => Err(Failure::argument(
                    "`config->worker_program` is for a plugin, and `config->plugin` is null",
                )),
            };
        }
        // SAFETY: the caller's promise.
        let plugin = unsafe { text("config->plugin", self.plugin) }?;
        let worker = (!self.worker_program.is_null())
            // SAFETY: the caller's promise.
            .then(|| unsafe { text("config->worker_program", self.worker_program) });
        plugin::start(plugin, worker.transpose()?).map(Some)
    }
}
