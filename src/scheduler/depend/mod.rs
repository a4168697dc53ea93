//! Tasks that begin when others have ended.
//!
//! ```text
//!   after ──plain, producers in slots──▶ in_slots ──edges beside slots──▶ executors bring inputs
//!     └──all others──▶ nodes ──nothing missing──▶ ready ──▶ queued
//! ```
//!
//! What holds:
//!
//! - A task depends on tasks that were submitted before it: there are no cycles.
//! - Each input of a pending task is missing, or has arrived, and arrives once.
//! - Arriving inputs are put on one list ([`Arrivals`](arrivals::Arrivals)) and handed on by one function at a
//!   time, so nothing recurses, however long a chain is.
//! - [`Graph`](graph::Graph) owns what is known of dependents in slots, [`Nodes`](nodes::Nodes) those without
//!   a slot, [`Arrivals`](arrivals::Arrivals) the inputs that have arrived.

pub(super) mod after;
pub(super) mod arrivals;
pub(super) mod dependent;
pub(super) mod edge;
pub(super) mod graph;
pub(super) mod in_slots;
pub(super) mod inputs;
pub(super) mod nodes;
pub(super) mod ready;
