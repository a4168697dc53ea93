//! Tasks that fork.

use libtest_mimic::Trial;

use crate::Program;

pub fn tests() -> Vec<Trial> {
    Vec::new()
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}
