//! Lines on stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on stderr. If nobody can read it, the exit status has to do.
pub fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "pinfold index: {message}");
}
