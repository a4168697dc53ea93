//! Everything that needs real processes.

pinfold::test_setup!();

mod api;
mod death;
mod hunted;
mod idle;
mod index;
mod nested;
mod processes;
mod recovery;
mod telemetry;
mod tree;
