//! What a call can come to, as numbers that never change their meaning.

use std::ffi::CStr;

/// What a call came to. Zero is success.
///
/// A number keeps its meaning for ever; a retired one is never used again. New numbers
/// may be added without a new ABI version: treat one that you do not know as a failure.
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
}

/// The sentence for a code that came from C, and so may be any number.
pub(crate) fn message(code: i32) -> &'static CStr {
    const OK: i32 = PinfoldStatus::Ok as i32;
    const NULL_ARGUMENT: i32 = PinfoldStatus::NullArgument as i32;
    const SYSTEM: i32 = PinfoldStatus::System as i32;
    const PANIC: i32 = PinfoldStatus::Panic as i32;
    match code {
        OK => c"success",
        NULL_ARGUMENT => c"an argument that must not be null is null",
        SYSTEM => c"the operating system refused something that the call needs",
        PANIC => c"a defect in pinfold; its message and place went to the standard error stream",
        _ => c"unknown status code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_message_and_others_are_unknown() {
        let known: std::collections::HashSet<_> = (0..=3).map(message).collect();
        assert_eq!(known.len(), 4);
        for code in [-1, 4, i32::MIN, i32::MAX] {
            assert_eq!(message(code), c"unknown status code");
            assert!(!known.contains(message(code)));
        }
    }
}
