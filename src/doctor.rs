//! Whether this machine, container or sandbox lets a runtime work: what `pinfold doctor` shows.
//!
//! A [`Runtime`](crate::Runtime) that cannot start says which system call was refused. This
//! says it of all of them, and what follows, without one.

use crate::sys::trial::{self, Tried};

/// A system call, or several that belong together, tried in a process of its own.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() {
/// for call in pinfold::doctor::system_calls() {
///     if let Some(error) = &call.error {
///         println!("{}, {}: {error}; {}", call.name, call.purpose, call.without);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct SystemCall {
    /// Its name.
    pub name: &'static str,
    /// What it is for: "to …".
    pub purpose: &'static str,
    /// Whether a runtime cannot start without it.
    pub is_needed: bool,
    /// What follows where it is refused.
    pub without: &'static str,
    /// Why it does not work; `None`: it does.
    pub error: Option<String>,
}

/// What a trial is called with: name, purpose, what follows without it (nothing: it is needed).
type Trial = (
    &'static str,
    &'static str,
    Option<&'static str>,
    fn() -> Result<(), nix::errno::Errno>,
);

const TRIALS: &[Trial] = &[
    ("fork", "to start workers", None, trial::fork),
    (
        "memfd_create, ftruncate, fcntl(F_ADD_SEALS)",
        "to make shared memory",
        None,
        trial::memory_file,
    ),
    (
        "mmap(MAP_SHARED)",
        "to see shared memory",
        None,
        trial::mapping,
    ),
    (
        "socketpair, sendmsg, recvmsg",
        "to give orders, and to wake the supervisor",
        None,
        trial::messages,
    ),
    ("pipe2", "to hear of ends", None, trial::pipe),
    ("ppoll", "to wait for ends and orders", None, trial::poll),
    (
        "pidfd_open",
        "to hear of the end of a process",
        None,
        trial::process_descriptor,
    ),
    (
        "pidfd_send_signal",
        "to end a worker",
        Some("tasks that are past their hard deadline, or cancelled by force, go on"),
        trial::signal_by_descriptor,
    ),
    (
        "membarrier",
        "to wake without a fence",
        Some("each task costs some ns more"),
        trial::barrier,
    ),
    (
        "futex_waitv",
        "to wait for the first of several things",
        Some("`Select`, and a task that waits and is cancelled, may be woken up to 10 ms late"),
        trial::wait_for_several,
    ),
    (
        "madvise(MADV_POPULATE_WRITE)",
        "to have memory before it is touched",
        Some("memory comes by fallocate, or when it is touched"),
        trial::populate,
    ),
    (
        "madvise(MADV_REMOVE)",
        "to give memory back",
        Some("`trim_memory` gives nothing back"),
        trial::punch,
    ),
    (
        "close_range",
        "to close what a worker inherits",
        Some("workers start more slowly and have no keepers: the end of a large one is told later"),
        trial::close_range,
    ),
    (
        "prctl(PR_SET_PDEATHSIG)",
        "to end with the zygote",
        Some("workers end when the host's end of a pipe is closed, and have no keepers"),
        trial::parent_death_signal,
    ),
    (
        "fcntl(F_SETSIG), /proc/self/fd",
        "to end with the host as another user too",
        Some("a worker that becomes another user's may outlive its host"),
        trial::line_signal,
    ),
    (
        "sched_setaffinity",
        "to pin executors to CPUs",
        Some("executors run unpinned"),
        trial::affinity,
    ),
    (
        "setsid",
        "to keep the terminal's signals from workers",
        Some("Ctrl-C in the terminal ends workers too"),
        trial::session,
    ),
];

/// Tries what a runtime calls, each in a forked child of this process.
///
/// Meant for a program with one thread, such as `pinfold doctor` is.
pub fn system_calls() -> Vec<SystemCall> {
    let tried = TRIALS
        .iter()
        .map(|(name, purpose, without, call)| SystemCall {
            name,
            purpose,
            is_needed: without.is_none(),
            without: without.unwrap_or("no runtime can start"),
            error: match trial::in_a_child(*call) {
                Ok(Tried::Works) => None,
                Ok(Tried::Refused(error)) => Some(error.to_string()),
                Ok(Tried::Killed(signal)) => {
                    Some(format!("who calls it is killed by signal {signal}"))
                }
                Err(error) => Some(format!("it could not be tried: {error}")),
            },
        });
    tried.collect()
}
