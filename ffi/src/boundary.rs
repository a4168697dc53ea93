//! Where panics stop: unwinding into C frames would abort the caller's program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::PinfoldStatus;
use crate::edge::Out;
use crate::error::{Failure, remember};

/// Runs the body of an exported function; its failures and its panics become the status, and what
/// there is to say about them the thread's last message.
///
/// The panic hook has printed the panic's message and place before this returns.
#[inline]
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> PinfoldStatus {
    // What a panic may have left half done: each object keeps its own promises (the library's
    // locks are released), and out parameters are written in one store.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => PinfoldStatus::Ok,
        Ok(Err(failure)) => failed(failure),
        Err(payload) => {
            // A payload's own drop may panic again, now outside the boundary: leak it.
            std::mem::forget(payload);
            let message =
                "a defect in pinfold: the standard error stream has its message and place";
            failed(Failure::new(PinfoldStatus::Panic, message))
        }
    }
}

/// The same for a function that has one answer, which is written to `out` if there is one.
///
/// # Safety
///
/// As for [`Out::new`].
#[inline]
pub(crate) unsafe fn answer<T: Copy>(
    name: &str,
    out: *mut T,
    body: impl FnOnce() -> Result<T, Failure>,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    let out = unsafe { Out::new(name, out) };
    guard(move || {
        let out = out?;
        out.write(body()?);
        Ok(())
    })
}

#[cold]
fn failed(failure: Failure) -> PinfoldStatus {
    remember(failure.message);
    failure.status
}

/// The same for a function that returns something else than a status.
pub(crate) fn guard_or<T>(on_panic: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // As above.
        std::mem::forget(payload);
        on_panic
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("the payload's drop");
        }
    }

    #[test]
    fn a_result_becomes_its_status() {
        assert_eq!(guard(|| Ok(())), PinfoldStatus::Ok);
        assert_eq!(
            guard(|| Err(Failure::null("x"))),
            PinfoldStatus::NullArgument
        );
    }

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(
            guard(|| panic!("expected in this test")),
            PinfoldStatus::Panic
        );
        assert_eq!(guard_or(7, || panic!("expected in this test")), 7);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_not_get_past() {
        let status = guard(|| std::panic::panic_any(PanicsWhenDropped));
        assert_eq!(status, PinfoldStatus::Panic);
    }
}
