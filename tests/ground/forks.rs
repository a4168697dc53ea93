//! Processes that fork: the host, a task, a daemonizer.

use libtest_mimic::Trial;

use crate::Program;

pub fn tests() -> Vec<Trial> {
    Vec::new()
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}
