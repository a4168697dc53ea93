//! What a call can come to, as numbers that never change their meaning.

use std::ffi::CStr;

macro_rules! statuses {
    ($($Name:ident = $number:literal, $text:literal;)+) => {
        /// The sentence for a code that came from C, and so may be any number.
        pub(crate) fn message(code: i32) -> &'static CStr {
            match code {
                $($number => $text,)+
                _ => c"unknown status code",
            }
        }

        #[cfg(test)]
        const ALL: &[PinfoldStatus] = &[$(PinfoldStatus::$Name),+];
    };
}

/// What a call came to. Zero is success.
///
/// A number keeps its meaning for ever; a retired one is never used again. New numbers
/// may be added without a new ABI version: treat one that you do not know as a failure.
/// `pinfold_last_message()` says more about the failure that has just happened.
///
/// From 1 to 99: the call did nothing. From 100 on: the task that it asks about has ended
/// without a value. There are exceptions for each. A task that could not be run ends with what
/// kept it from that, which may be one of the first: `pinfold_status_ends_task` tells. And
/// `PINFOLD_STATUS_NO_WORKERS` is also how a submission is refused that does not wait.
///
/// ```
/// assert_eq!(pinfold_c::PinfoldStatus::Ok as i32, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[non_exhaustive]
pub enum PinfoldStatus {
    /// The call did what it says.
    Ok = 0,
    /// An argument that must not be null is null.
    NullArgument = 1,
    /// The operating system refused something that the call needs.
    System = 2,
    /// A defect in the library; its message and place went to the standard error stream.
    Panic = 3,
    /// A handle was freed, is of another kind, or was never one.
    BadHandle = 4,
    /// An argument has a value that makes no sense there.
    InvalidArgument = 5,
    /// The time was up before it happened.
    TimedOut = 6,
    /// The caller's memory is too small for what is to be written there.
    BufferTooSmall = 7,
    /// There is more of something than there may be.
    TooMany = 8,
    /// `pinfold_init` was not called first thing in `main`.
    NotInitialized = 9,
    /// A runtime was to be started in a worker process.
    InsideWorker = 10,
    /// The runtime could not be started.
    StartFailed = 11,
    /// No function is registered by that name.
    UnknownFunction = 12,
    /// The call came too late: what it sets is in use already.
    TooLate = 13,
    /// The bound of tasks in flight, or a limit, is reached, or a channel is full: try again later.
    Full = 14,
    /// No shared memory is left for it now.
    NoMemory = 15,
    /// It would not fit into all the memory there is, or into a limit.
    TooLarge = 16,
    /// The runtime is shut down.
    Shutdown = 17,
    /// The process was forked off the one whose object it is.
    Forked = 18,
    /// It may be called in a task only.
    NotInTask = 19,
    /// It must not be called in a task.
    InsideTask = 20,
    /// A handle of another runtime.
    ForeignHandle = 21,
    /// The outcome was taken before.
    AlreadyTaken = 22,
    /// The runtime has ended, but not as was asked.
    NotOrderly = 23,
    /// A buffer is not published yet: it has one owner.
    NotPublished = 24,
    /// A buffer is published: nobody writes it any more.
    Published = 25,
    /// A buffer was moved: nothing is left of it but the handle.
    Moved = 26,
    /// There is nothing to tell (yet).
    NothingYet = 27,
    /// Nobody is left at the other end of a channel, or the channel was closed.
    Disconnected = 28,
    /// There is no message in a channel now.
    Empty = 29,
    /// The task that calls was told to end while it waited: it was cancelled, say.
    ToldToEnd = 30,
    /// Messages were overwritten before this subscriber has read them; it goes on behind these.
    Lagged = 31,
    /// Somebody has it now, and the call does not wait.
    Busy = 32,
    /// The calling thread has it already, and would wait for itself.
    Deadlock = 33,
    /// The calling thread does not have it.
    NotHeld = 34,
    /// A member that the others need has died, or has left.
    MemberGone = 35,
    /// The members of a group have not called the same, or one has brought no value.
    Mismatch = 36,
    /// A member wants its group to shrink: the others are to call that, too.
    Shrinking = 37,
    /// A call before has timed out, and has not ended: it is to be called again.
    Unfinished = 38,
    /// The task returned a number other than zero.
    TaskFailed = 100,
    /// The task panicked (one that is written in Rust).
    TaskPanicked = 101,
    /// The worker process died while it ran the task: a crash, `exit`, a kill.
    WorkerDied = 102,
    /// The worker process died in each attempt to run the task.
    Poison = 103,
    /// The task had no more time.
    DeadlineExceeded = 104,
    /// The task was cancelled.
    Cancelled = 105,
    /// A task that it depends on has no value.
    DependencyFailed = 106,
    /// No worker process could be started.
    NoWorkers = 107,
    /// Its arguments or its result could not travel.
    NotTransferable = 108,
}

statuses! {
    Ok = 0, c"success";
    NullArgument = 1, c"an argument that must not be null is null";
    System = 2, c"the operating system refused something that the call needs";
    Panic = 3, c"a defect in pinfold; its message and place went to the standard error stream";
    BadHandle = 4, c"a handle was freed, is of another kind, or was never one";
    InvalidArgument = 5, c"an argument has a value that makes no sense there";
    TimedOut = 6, c"the time was up before it happened";
    BufferTooSmall = 7, c"the caller's memory is too small for what is to be written there";
    TooMany = 8, c"there is more of something than there may be";
    NotInitialized = 9, c"pinfold_init was not called first thing in main";
    InsideWorker = 10, c"a runtime was to be started in a worker process";
    StartFailed = 11, c"the runtime could not be started";
    UnknownFunction = 12, c"no function is registered by that name";
    TooLate = 13, c"the call came too late: what it sets is in use already";
    Full = 14, c"the bound of tasks in flight, or a limit, is reached, or a channel is full: try again later";
    NoMemory = 15, c"no shared memory is left for it now";
    TooLarge = 16, c"it would not fit into all the memory there is, or into a limit";
    Shutdown = 17, c"the runtime is shut down";
    Forked = 18, c"the process was forked off the one whose object it is";
    NotInTask = 19, c"it may be called in a task only";
    InsideTask = 20, c"it must not be called in a task";
    ForeignHandle = 21, c"a handle of another runtime";
    AlreadyTaken = 22, c"the outcome was taken before";
    NotOrderly = 23, c"the runtime has ended, but not as was asked";
    NotPublished = 24, c"the buffer is not published yet: it has one owner";
    Published = 25, c"the buffer is published: nobody writes it any more";
    Moved = 26, c"the buffer was moved: nothing is left of it but the handle";
    NothingYet = 27, c"there is nothing to tell yet";
    Disconnected = 28, c"nobody is left at the other end of the channel, or it was closed";
    Empty = 29, c"there is no message in the channel now";
    ToldToEnd = 30, c"the task that calls was told to end while it waited";
    Lagged = 31, c"messages were overwritten before this subscriber has read them";
    Busy = 32, c"somebody has it now, and the call does not wait";
    Deadlock = 33, c"the calling thread has it already, and would wait for itself";
    NotHeld = 34, c"the calling thread does not have it";
    MemberGone = 35, c"a member that the others need has died, or has left";
    Mismatch = 36, c"the members have not called the same, or one has brought no value";
    Shrinking = 37, c"a member wants its group to shrink: the others are to call that, too";
    Unfinished = 38, c"a call before has timed out, and has not ended: it is to be called again";
    TaskFailed = 100, c"the task returned a number other than zero";
    TaskPanicked = 101, c"the task panicked";
    WorkerDied = 102, c"the worker process died while it ran the task";
    Poison = 103, c"the worker process died in each attempt to run the task";
    DeadlineExceeded = 104, c"the task had no more time";
    Cancelled = 105, c"the task was cancelled";
    DependencyFailed = 106, c"a task that it depends on has no value";
    NoWorkers = 107, c"no worker process could be started";
    NotTransferable = 108, c"its arguments or its result could not travel";
}

/// Whether a task can have ended with a status, as far as functions say that ask about one:
/// from 100 on, and those of a task that could not be run.
pub(crate) fn ends_task(code: i32) -> bool {
    use PinfoldStatus::{ForeignHandle, Forked, NoMemory, Shutdown, System, TooLarge};
    const NOT_RUN: [PinfoldStatus; 6] =
        [System, NoMemory, TooLarge, Shutdown, Forked, ForeignHandle];
    code >= 100 || NOT_RUN.iter().any(|status| *status as i32 == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_message_and_others_are_unknown() {
        let known: std::collections::HashSet<_> =
            ALL.iter().map(|status| message(*status as i32)).collect();
        assert_eq!(known.len(), ALL.len());
        for code in [-1, 99, 1000, i32::MIN, i32::MAX] {
            assert_eq!(message(code), c"unknown status code");
            assert!(!known.contains(message(code)));
        }
    }
}
