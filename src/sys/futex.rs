//! Sleeping on a shared word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::prim::atomic::AtomicU32;

/// The word as the system call's wrapper wants it.
#[inline]
fn raw(word: &AtomicU32) -> &std::sync::atomic::AtomicU32 {
    #[cfg(feature = "crash-points")]
    let word = word.inner();
    word
}

/// Sleeps while `word` is `expected`, until woken or until `deadline`.
///
/// May return early for no reason: the caller looks at the truth again anyway.
/// The futex is a shared one (not process-private), keyed by the memory file.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let timeout = match deadline {
        None => None,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            Some(Timespec {
                tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
                tv_nsec: left.subsec_nanos().into(),
            })
        }
    };
    // Every outcome (woken, changed, timed out, interrupted) means "look again".
    let outcome = futex::wait(raw(word), futex::Flags::empty(), expected, timeout.as_ref());
    debug_assert!(
        matches!(
            outcome,
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT)
        ),
        "futex wait: {outcome:?}"
    );
}

/// Wakes up to `count` sleepers; returns how many there were.
pub fn wake(word: &AtomicU32, count: u32) -> usize {
    #[cfg(feature = "crash-points")]
    crate::prim::counted::step();
    let outcome = futex::wake(raw(word), futex::Flags::empty(), count);
    debug_assert!(outcome.is_ok(), "futex wake: {outcome:?}");
    outcome.unwrap_or(0)
}

/// Of how many words the kernel lets a thread wait for a change of any (`FUTEX_WAITV_MAX`).
const MOST: usize = 128;

/// Whether the kernel (before Linux 5.16) or a sandbox refuses to wait for any of several.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// As [`wait`], while all words are what is expected of them. Without any it sleeps until the
/// deadline.
///
/// Where the kernel does not do it for that many, it is for a while each time, from 1 ms up to
/// 10 ms, on those that the kernel does take: what happens to the others is seen then.
pub fn wait_any<'a>(
    words: impl ExactSizeIterator<Item = (&'a AtomicU32, u32)> + Clone,
    deadline: Option<Instant>,
) {
    let mut pause = Duration::from_millis(1);
    if words.len() == 0 {
        // The kernel refuses to wait for none; that says nothing of what it does for some.
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.unwrap_or(pause));
        return;
    }
    loop {
        // Relaxed: it is set once, and each thread may find out for itself.
        let is_refused = IS_REFUSED.load(Ordering::Relaxed);
        let is_enough = !is_refused && words.len() <= MOST;
        let until = if is_enough {
            deadline
        } else {
            let soon = Instant::now() + pause;
            Some(deadline.map_or(soon, |deadline| deadline.min(soon)))
        };
        if !is_refused {
            match waitv(words.clone().take(MOST), until) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
                // For want of memory: another time.
                Err(Errno::NOMEM) => std::thread::sleep(Duration::from_millis(1)),
                // Relaxed: as above.
                Err(_) => IS_REFUSED.store(true, Ordering::Relaxed),
            }
        } else if let Some((first, expected)) = words.clone().next() {
            wait(first, expected, until);
        }
        let has_changed = words.clone().any(|(word, expected)| {
            // Relaxed: the caller looks at the truth again anyway.
            word.load(crate::prim::atomic::Ordering::Relaxed) != expected
        });
        if has_changed || is_enough || deadline.is_some_and(|end| Instant::now() >= end) {
            return;
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn waitv<'a>(
    words: impl Iterator<Item = (&'a AtomicU32, u32)>,
    deadline: Option<Instant>,
) -> Result<usize, Errno> {
    let mut waiters = [futex::Wait::new(); MOST];
    let mut count = 0;
    for (waiter, (word, expected)) in waiters.iter_mut().zip(words) {
        waiter.val = expected.into();
        waiter.uaddr = futex::WaitPtr::new(std::ptr::from_ref(raw(word)).cast_mut().cast());
        // A shared one, as above.
        waiter.flags = futex::WaitFlags::SIZE_U32;
        count += 1;
    }
    let until = deadline.map(|deadline| {
        // Whatever comes between the two clocks makes it later, not earlier.
        let left = deadline.saturating_duration_since(Instant::now());
        let now = clock_gettime(ClockId::Monotonic);
        let nanos = now.tv_nsec + i64::from(left.subsec_nanos());
        Timespec {
            tv_sec: now.tv_sec + left.as_secs().min(i32::MAX as u64) as i64 + nanos / 1_000_000_000,
            tv_nsec: nanos % 1_000_000_000,
        }
    });
    futex::waitv(
        &waiters[..count],
        futex::WaitvFlags::empty(),
        until.as_ref(),
        ClockId::Monotonic,
    )
}

/// Whether the kernel waits for any of several words; looks at two that have changed already.
pub fn try_to_wait_for_any() -> Result<(), nix::errno::Errno> {
    let words = [AtomicU32::default(), AtomicU32::default()];
    match waitv(words.iter().map(|word| (word, 1)), None) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(nix::errno::Errno::from_raw(error.raw_os_error())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What `body` does as if the kernel refused, in this process. For other tests meanwhile
    /// it is only slower.
    pub fn as_if_refused(body: impl FnOnce()) {
        IS_REFUSED.store(true, Ordering::Relaxed);
        body();
        IS_REFUSED.store(false, Ordering::Relaxed);
    }

    fn used_by_this_thread() -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: it writes to `time`, which is there.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    #[test]
    fn who_waits_for_nothing_but_a_time_sleeps() {
        let (begin, used) = (Instant::now(), used_by_this_thread());
        let none: [(&AtomicU32, u32); 0] = [];
        wait_any(none.into_iter(), Some(begin + Duration::from_millis(200)));
        assert!(begin.elapsed() >= Duration::from_millis(200));
        assert!(used_by_this_thread() - used < Duration::from_millis(100));
    }

    /// Starts a process that does `body`, and ends with what it returns. The body makes system
    /// calls and touches shared words only: the C library's locks may be anybody's. It is
    /// killed when the calling thread ends.
    pub fn fork(body: &dyn Fn() -> i32) -> i32 {
        // SAFETY: the child keeps to what is said above, and ends by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: no pointers.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                crate::sys::exit_now(body())
            }
            child => child,
        }
    }
}
