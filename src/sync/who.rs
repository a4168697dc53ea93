//! Who has something: a process and a thread of it, in the bits of one word.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::prim::{Hint, ProcessId, TaskId};
#[cfg(not(loom))]
use crate::sys::{Home, affinity::thread_id};

/// Bits below those of the thread.
const THREAD_SHIFT: u32 = 16;
const PROCESS_SHIFT: u32 = 48;

/// A thread of a process of the fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub process: ProcessId,
    /// As the kernel numbers threads.
    pub thread: u32,
}

impl Who {
    /// As the upper 48 bits of a word.
    #[inline]
    pub fn pack(self) -> u64 {
        u64::from(self.process.0) << PROCESS_SHIFT | u64::from(self.thread) << THREAD_SHIFT
    }

    /// Whom the upper 48 bits of a word name.
    #[inline]
    pub fn unpack(word: u64) -> Self {
        Who {
            process: ProcessId((word >> PROCESS_SHIFT) as u32),
            thread: (word >> THREAD_SHIFT) as u32,
        }
    }

    /// The calling thread, in `process`.
    #[cfg(not(loom))]
    #[inline]
    pub fn here(process: ProcessId) -> Self {
        thread_local! {
            static KNOWN: Cell<Option<(Home, u32)>> = const { Cell::new(None) };
        }
        let thread = KNOWN.try_with(|known| match known.get() {
            Some((home, thread)) if home.is_here() => thread,
            _ => {
                let thread = thread_id();
                known.set(Some((Home::here(), thread)));
                thread
            }
        });
        Who {
            process,
            // A thread that is ending has no variables any more.
            thread: thread.unwrap_or_else(|_| thread_id()),
        }
    }
}

/// Who has a lock, or another thing that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The number of its worker; `None`: the host.
    pub worker: Option<u32>,
    /// Its thread, as the kernel numbers threads. `None` if it is not known: of readers only the
    /// process is.
    pub thread: Option<u32>,
    /// The task that it ran when it got it; `None` if it ran none, or it is not known.
    pub task: Option<TaskId>,
}

impl Holder {
    pub(super) fn of(who: Who, task: u64) -> Self {
        Holder {
            worker: who.process.worker(),
            thread: (who.thread != 0).then_some(who.thread),
            task: (task != 0).then(|| TaskId::of(Hint::unpack(task))),
        }
    }

    pub(super) fn of_process(process: ProcessId) -> Self {
        let thread = 0;
        Self::of(Who { process, thread }, 0)
    }
}

impl Display for Holder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.worker {
            Some(worker) => write!(f, "worker {worker}")?,
            None => f.write_str("the host")?,
        }
        if let Some(thread) = self.thread {
            write!(f, ", thread {thread}")?;
        }
        if let Some(task) = self.task {
            write!(f, ", task {task}")?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_go_through_a_word() {
        for (process, thread) in [(0, 1), (7, 4_194_303), (65_535, u32::MAX)] {
            let who = Who {
                process: ProcessId(process),
                thread,
            };
            assert_eq!(Who::unpack(who.pack() | 0xffff), who);
        }
        let here = Who::here(ProcessId(3));
        assert_eq!(here, Who::here(ProcessId(3)));
        let there = std::thread::spawn(|| Who::here(ProcessId(3)));
        assert_ne!(here, there.join().expect("ends"));
    }

    #[test]
    fn a_holder_says_what_is_known() {
        let host = Holder::of_process(ProcessId::HOST);
        assert_eq!(host.to_string(), "the host");
        let who = Who {
            process: ProcessId::of_worker(2),
            thread: 77,
        };
        let named = Holder::of(who, 5 << 40 | 9).to_string();
        assert_eq!(named, "worker 2, thread 77, task 5.9");
    }
}
