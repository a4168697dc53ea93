//! Everything that needs real processes.

pinfold::test_setup!();

mod after;
mod api;
mod arrays;
mod asynchronous;
mod bad_input;
mod bad_objects;
mod broadcast;
mod broadcast_channels;
mod bytes;
mod callbacks;
mod channel_futures;
mod channel_suite;
mod channels;
mod children;
mod collectives;
mod collectives_random;
mod constants;
mod contexts;
mod control;
mod death;
mod descendants;
mod differential;
mod ending;
mod errors;
mod graphs;
mod groups;
mod hunted;
mod idle;
mod index;
mod keepers;
mod limits;
mod nested;
mod on_the_spot;
mod orphans;
mod pending;
mod priorities;
mod processes;
mod recovery;
#[path = "../soak/rng.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod rng;
mod routing;
mod run_limits;
mod select;
mod select_more;
mod sets;
mod slow_sources;
mod stored;
mod sync;
mod telemetry;
mod told;
mod tree;
mod waiting;
mod worker_state;
