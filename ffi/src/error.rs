//! Why a call did not do what it says: its status, and a sentence about this very failure, which
//! stays the calling thread's last message until its next failure.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::{CString, c_char};

use pinfold::channel::{CreateError, RecvError, SendFault};
use pinfold::{AllocError, CallbackError, Refusal, ShutdownError, StartError, TaskError};

use crate::PinfoldStatus;

/// A status and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: PinfoldStatus,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: PinfoldStatus, message: impl Into<String>) -> Self {
        Failure {
            status,
            message: message.into(),
        }
    }

    /// `what` must not be null.
    #[cold]
    pub(crate) fn null(what: &str) -> Self {
        Self::new(PinfoldStatus::NullArgument, format!("`{what}` is null"))
    }

    /// The handle of a kind is null: of one that was not made, most likely.
    #[cold]
    pub(crate) fn null_handle(kind: &str) -> Self {
        let message = format!("`{kind}` is null: has the call that was to make it failed?");
        Self::new(PinfoldStatus::NullArgument, message)
    }

    #[cold]
    pub(crate) fn no_handle(kind: &str, handle: usize) -> Self {
        let message =
            format!("{handle:#x} is not a `{kind}`: pass what the library has returned as one");
        Self::new(PinfoldStatus::BadHandle, message)
    }

    #[cold]
    pub(crate) fn freed(kind: &str) -> Self {
        let also = match kind {
            "pinfold_handle" => ", perhaps by `pinfold_handle_join`",
            _ => "",
        };
        let message = format!("this `{kind}` was freed{also} (or is none)");
        Self::new(PinfoldStatus::BadHandle, message)
    }

    #[cold]
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(PinfoldStatus::InvalidArgument, message)
    }
}

/// What the library's texts call by its name in Rust, and what that is here; in this order.
const NAMES: [(&str, &str); 11] = [
    (
        " (in tests: `pinfold::test_setup!();` once per test binary)",
        "",
    ),
    ("`pinfold::init()`", "`pinfold_init`"),
    ("call `init` before", "call `pinfold_init` before"),
    ("an attribute (`#[tokio::main]`), ", ""),
    ("`Runtime::stats`", "`pinfold_runtime_stats_json`"),
    ("`Runtime::alloc`", "`pinfold_buffer_new`"),
    ("`pinfold::alloc`", "`pinfold_call_buffer_new`"),
    ("`Runtime::spawn`", "`pinfold_task_submit`"),
    ("`pinfold::spawn`", "`pinfold_call_submit`"),
    (
        "`Builder::executor_init`",
        "`pinfold_config.executor_state`",
    ),
    ("`Builder::", "`pinfold_config."),
];

/// A text of the library's, for who does not know its Rust names.
fn in_c(mut text: String) -> String {
    for (rust, c) in NAMES {
        if text.contains(rust) {
            text = text.replace(rust, c);
        }
    }
    text
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Many errors say what their cause says.
        if !message.contains(&next) {
            message.push_str(": ");
            message.push_str(&next);
        }
        cause = error.source();
    }
    in_c(message)
}

/// The status of a task that has ended without a value.
pub(crate) fn status_of(error: &TaskError) -> PinfoldStatus {
    match error {
        TaskError::Returned { .. } => PinfoldStatus::TaskFailed,
        TaskError::Panicked { .. } => PinfoldStatus::TaskPanicked,
        TaskError::WorkerDied { .. } => PinfoldStatus::WorkerDied,
        TaskError::Poison { .. } => PinfoldStatus::Poison,
        TaskError::DeadlineExceeded { .. } => PinfoldStatus::DeadlineExceeded,
        TaskError::Cancelled { .. } => PinfoldStatus::Cancelled,
        TaskError::DependencyFailed { .. } => PinfoldStatus::DependencyFailed,
        TaskError::NoWorkers { .. } => PinfoldStatus::NoWorkers,
        TaskError::OutOfMemory { .. } => PinfoldStatus::NoMemory,
        TaskError::ArgumentsTooLarge { .. } | TaskError::BeyondLimit { .. } => {
            PinfoldStatus::TooLarge
        }
        TaskError::ForeignHandle { .. } => PinfoldStatus::ForeignHandle,
        TaskError::Forked => PinfoldStatus::Forked,
        TaskError::Shutdown { .. } => PinfoldStatus::Shutdown,
        TaskError::NotInTask => PinfoldStatus::NotInTask,
        TaskError::AlreadyJoined { .. } => PinfoldStatus::AlreadyTaken,
        TaskError::Arguments { .. } | TaskError::Result { .. } => PinfoldStatus::NotTransferable,
        _ => PinfoldStatus::System,
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::NotInitialized => PinfoldStatus::NotInitialized,
            StartError::InsideWorker => PinfoldStatus::InsideWorker,
            StartError::OutOfBounds { .. } => PinfoldStatus::InvalidArgument,
            _ => PinfoldStatus::StartFailed,
        };
        Self::new(status, chain(&error))
    }
}

impl From<AllocError> for Failure {
    fn from(error: AllocError) -> Self {
        let status = match &error {
            AllocError::TooLarge { .. } => PinfoldStatus::TooLarge,
            AllocError::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::NoMemory,
        };
        Self::new(status, chain(&error))
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Alloc(error) => error.into(),
            error => Failure::argument(error.to_string()),
        }
    }
}

impl From<SendFault> for Failure {
    fn from(fault: SendFault) -> Self {
        let status = match &fault {
            SendFault::Disconnected | SendFault::NoReceiver { .. } => PinfoldStatus::Disconnected,
            SendFault::Full => PinfoldStatus::Full,
            SendFault::TimedOut { .. } => PinfoldStatus::TimedOut,
            SendFault::Cancelled => PinfoldStatus::ToldToEnd,
            SendFault::Encode { .. } => PinfoldStatus::NotTransferable,
            SendFault::TooLarge { .. } => PinfoldStatus::TooLarge,
            SendFault::Alloc(AllocError::TooLarge { .. }) => PinfoldStatus::TooLarge,
            SendFault::Alloc(_) => PinfoldStatus::NoMemory,
            SendFault::Gone => PinfoldStatus::Shutdown,
            SendFault::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&fault))
    }
}

impl From<RecvError> for Failure {
    fn from(error: RecvError) -> Self {
        let status = match &error {
            RecvError::Disconnected => PinfoldStatus::Disconnected,
            RecvError::Empty => PinfoldStatus::Empty,
            RecvError::TimedOut { .. } => PinfoldStatus::TimedOut,
            RecvError::Cancelled => PinfoldStatus::ToldToEnd,
            RecvError::Decode { .. } => PinfoldStatus::NotTransferable,
            RecvError::Gone => PinfoldStatus::Shutdown,
            RecvError::Forked => PinfoldStatus::Forked,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

impl From<Refusal> for Failure {
    fn from(error: Refusal) -> Self {
        let status = match &error {
            Refusal::Limited { units, total } if units > total => PinfoldStatus::TooLarge,
            Refusal::Full { .. } | Refusal::Limited { .. } | Refusal::Rebuilding => {
                PinfoldStatus::Full
            }
            Refusal::OutOfMemory { .. } => PinfoldStatus::NoMemory,
            Refusal::Forked => PinfoldStatus::Forked,
            Refusal::Shutdown => PinfoldStatus::Shutdown,
            Refusal::NoWorkers => PinfoldStatus::NoWorkers,
            _ => PinfoldStatus::System,
        };
        Self::new(status, chain(&error))
    }
}

impl From<CallbackError> for Failure {
    fn from(error: CallbackError) -> Self {
        let status = match &error {
            CallbackError::Forked { .. } => PinfoldStatus::Forked,
            CallbackError::NotQueued { .. } => PinfoldStatus::NothingYet,
            _ => PinfoldStatus::AlreadyTaken,
        };
        Self::new(status, chain(&error))
    }
}

impl From<ShutdownError> for Failure {
    fn from(error: ShutdownError) -> Self {
        Self::new(PinfoldStatus::NotOrderly, chain(&error))
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        Self::new(status_of(&error), chain(&error))
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// A text for C: it ends at its first NUL.
pub(crate) fn c_text(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    CString::new(bytes).unwrap_or_default()
}

/// What this thread hears when it asks why.
#[cold]
pub(crate) fn remember(message: String) {
    // A thread that is ending has nobody to ask.
    let _ = LAST.try_with(|last| *last.borrow_mut() = c_text(message));
}

/// What the last call of this thread that failed has said, with its causes: one or more English
/// sentences for people and log lines. Empty if none has failed.
///
/// Never null. It stays as it is until the next call of this thread that fails; copy it to keep
/// it. Not to be freed.
///
/// Any thread: each has its own.
///
/// ```
/// # use std::ffi::CStr;
/// // SAFETY: null is allowed, and refused; the function returns a text that ends in NUL.
/// let message = unsafe {
///     pinfold_c::pinfold_allowed_cpus(std::ptr::null_mut());
///     CStr::from_ptr(pinfold_c::pinfold_last_message())
/// };
/// assert_eq!(message, c"`out_count` is null");
/// ```
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_last_message() -> *const c_char {
    // The text stays where it is while the thread lives, until `remember` replaces it.
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("an entry can be read").path();
            match path.is_dir() {
                true => sources(&path, all),
                false => all.push(path),
            }
        }
    }

    /// What is said in the library's texts, which are between double quotes in its sources.
    #[test]
    fn no_text_names_what_c_does_not_have() {
        let mut files = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"),
            &mut files,
        );
        let names = ["`pinfold::", "`Builder::", "`Runtime::", "`Handle::"];
        let mut found = 0;
        for file in files.iter().filter(|file| !file.ends_with("captures.rs")) {
            let text = std::fs::read_to_string(file).expect("a source can be read");
            for line in text.lines().map(str::trim_start) {
                let is_said = !line.starts_with("//") && line.contains('"');
                if !is_said || !names.iter().any(|name| line.contains(name)) {
                    continue;
                }
                found += 1;
                let said = in_c(line.to_owned());
                let left = names.iter().find(|name| said.contains(**name));
                assert_eq!(left, None, "{}: {line}: see NAMES", file.display());
            }
        }
        assert!(found > 5, "the texts are found");
    }

    #[test]
    fn names_are_those_of_c() {
        let error = StartError::NotInitialized;
        assert_eq!(chain(&error), "call `pinfold_init` first thing in `main`");
    }
}
