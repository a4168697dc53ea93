//! Sleeping on a shared word.

use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::futex;

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
            Some(rustix::time::Timespec {
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
