//! What was counted in real runs.

use serde::{Deserialize, Serialize};

/// Of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// The first CPU's model, and what else it takes to know the machine.
    pub machine: String,
    /// CPUs that the runs could use.
    pub cpus: usize,
    /// ns of CPU that a task takes its submitter, joining included, while it shares one CPU with its
    /// executor: no line travels.
    pub submit_ns: f64,
    /// The same of its executor.
    pub run_ns: f64,
    /// ns from the write of a line on one CPU until another has it.
    pub line_ns: f64,
    /// Runs in which everybody has a CPU, or as nearly so as the machine allows.
    pub loads: Vec<Load>,
}

/// Empty tasks from several threads to several workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Threads that submit.
    pub submitters: usize,
    /// Workers of one executor each.
    pub workers: usize,
    /// Tasks that each submitter has in flight.
    pub window: usize,
    /// M tasks per second, all together.
    pub rate: f64,
    /// Tasks in a batch that an executor takes.
    pub batch: f64,
    /// Share of the tasks that went through a client.
    pub clients: f64,
    /// Share of the tasks that were taken from another executor's inbox or batch.
    pub stolen: f64,
    /// How often an executor went to sleep, and was woken, in 1,000 tasks.
    pub sleeps: f64,
    /// How often a submitter did.
    pub waits: f64,
}
