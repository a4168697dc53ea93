//! What a task leaves behind: panics, output, programs, changed surroundings.

mod around;
mod backtraces;
mod output;
mod panics;
mod programs;
mod records;
mod stacks;

use libtest_mimic::Trial;

use crate::Program;

pub fn tests() -> Vec<Trial> {
    [
        around::tests(),
        backtraces::tests(),
        output::tests(),
        panics::tests(),
        programs::tests(),
        records::tests(),
        stacks::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn programs() -> Vec<Program> {
    [
        around::programs(),
        backtraces::programs(),
        output::programs(),
        panics::programs(),
        programs::programs(),
        records::programs(),
        stacks::programs(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A number that /proc tells of a process, in kB.
fn kilobytes(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with(what));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("the kernel tells")
}
