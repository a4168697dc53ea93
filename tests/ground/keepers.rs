//! What keepers cost, and what goes on without them.

use libtest_mimic::Trial;

use crate::Program;

pub fn tests() -> Vec<Trial> {
    Vec::new()
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}
