//! Where panics stop: unwinding into C frames would abort the caller's program.

use std::panic::{UnwindSafe, catch_unwind};

use crate::PinfoldStatus;

/// Runs the body of an exported function; its errors and its panics become the status.
///
/// The panic hook has printed the panic's message and place before this returns.
pub(crate) fn guard(
    body: impl FnOnce() -> Result<(), PinfoldStatus> + UnwindSafe,
) -> PinfoldStatus {
    guard_or(PinfoldStatus::Panic, || match body() {
        Ok(()) => PinfoldStatus::Ok,
        Err(status) => status,
    })
}

/// The same for a function that returns something else than a status.
pub(crate) fn guard_or<T>(on_panic: T, body: impl FnOnce() -> T + UnwindSafe) -> T {
    catch_unwind(body).unwrap_or_else(|payload| {
        // A payload's own drop may panic again, now outside the boundary: leak it.
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
        assert_eq!(guard(|| Err(PinfoldStatus::System)), PinfoldStatus::System);
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
