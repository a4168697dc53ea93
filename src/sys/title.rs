//! What this process is called where people look: in `ps`, `top`, `/proc`.
//!
//! There are two names: the short one of a thread, which is the process's if the thread is its
//! first; and the command line, which the kernel reads out of the process's own memory. A host
//! starts its zygote with a first argument that has room for what is written over it later.

use std::ffi::{CStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

// SAFETY: the C library has it, with this type.
unsafe extern "C" {
    /// The C library's: the first argument, where it lies.
    static program_invocation_name: *mut c_char;
}

/// Between the program's name and what the process is.
const IS: &str = ": pinfold ";
/// Room for what comes later, and by which the argument is known again.
const ROOM: &str = "                ";
/// The longest part of a program's name that is shown, in bytes.
const NAME_MAX: usize = 64;

/// Where the argument lies, and its length; and where in it the text begins that changes.
struct Place {
    at: usize,
    len: usize,
    begin: usize,
}

static PLACE: OnceLock<Option<Place>> = OnceLock::new();

/// The first argument for a zygote of this program.
pub fn argument() -> OsString {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = program.as_bytes().rsplit(|byte| *byte == b'/').next();
    let mut argument = name.unwrap_or_default().to_vec();
    argument.truncate(NAME_MAX);
    argument.extend(IS.bytes().chain("zygote".bytes()).chain(ROOM.bytes()));
    OsString::from_vec(argument)
}

/// Calls this process `what` in its command line, if it was started with an
/// [`argument`] for that, and `short` as its name; that one is cut after 15 bytes. This is the
/// process's only thread.
pub fn set(what: &str, short: &str) {
    if let Ok(short) = std::ffi::CString::new(short) {
        let _ = rustix::thread::set_name(&short);
    }
    let Some(place) = PLACE.get_or_init(find) else {
        return;
    };
    let room = place.len - place.begin;
    let bytes = &what.as_bytes()[..what.len().min(room)];
    // SAFETY: the range lies in the argument that `find` has measured, which is this process's
    // to write to; its end stays. Nobody else reads arguments now: there is one thread.
    unsafe {
        let at = std::ptr::with_exposed_provenance_mut::<u8>(place.at + place.begin);
        at.write_bytes(0, room);
        at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
}

fn find() -> Option<Place> {
    // SAFETY: set by the C library before any code of the program runs.
    let argument = unsafe { program_invocation_name };
    if argument.is_null() {
        return None;
    }
    // SAFETY: a string that ends, as all arguments; nobody changes it now.
    let text = unsafe { CStr::from_ptr(argument) }.to_bytes();
    let start = text
        .strip_suffix(ROOM.as_bytes())?
        .strip_suffix(b"zygote")?;
    start.strip_suffix(IS.as_bytes())?;
    Some(Place {
        at: argument.expose_provenance(),
        len: text.len(),
        begin: start.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_no_host_has_started_keeps_its_arguments() {
        let before: Vec<_> = std::env::args_os().collect();
        assert!(find().is_none());
        let argument = argument();
        let text = argument.to_str().expect("text");
        assert!(text.starts_with("pinfold-"), "{text}");
        assert!(text.trim_end().ends_with(": pinfold zygote"), "{text}");
        assert_eq!(std::env::args_os().collect::<Vec<_>>(), before);
    }
}
