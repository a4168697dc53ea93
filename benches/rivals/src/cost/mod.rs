//! What tasks cost on machines that are not at hand: a model of 16 to 192 CPUs.
//!
//! Real runs on the machine at hand give [`Counts`]: how long a task takes its submitter and its executor when no
//! line travels, and how often what is rare happens. A simulation gives the rest ([`simulate`]): which cache lines
//! travel from CPU to CPU, and who waits for which. The same counts and the same seed give the same text.

mod counts;
mod executor;
mod memory;
mod submitter;
mod table;
mod world;

pub use counts::{Counts, Load};
pub use memory::{CPUS_MAX, Distances, KINDS, Kind};
pub use table::{Model, fill, text};
pub use world::{Outcome, Setup, Way, simulate};
