//! What the tool says, and where.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// A line on stderr. If nobody can read it, the exit status has to do.
pub fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Writes to stdout; a reader that has had enough is no error.
pub fn print(bytes: &[u8]) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("pinfold: cannot write to stdout: {error}"));
            ExitCode::from(2)
        }
    }
}
