//! Everything that needs real processes.

pinfold::test_setup!();

mod after;
mod api;
mod bad_input;
mod callbacks;
mod control;
mod death;
mod graphs;
mod groups;
mod hunted;
mod idle;
mod index;
mod keepers;
mod limits;
mod nested;
mod orphans;
mod priorities;
mod processes;
mod recovery;
mod slow_sources;
mod telemetry;
mod tree;
