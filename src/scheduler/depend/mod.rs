//! Tasks that begin when others have ended.
//!
//! ```text
//!   after ──all plain, producers in slots──▶ in_slots ──edges beside slots──▶ executors
//!     └──all others──▶ nodes ──nothing missing──▶ ready ──▶ queued
//! ```

pub(super) mod after;
pub(super) mod arrivals;
pub(super) mod dependent;
pub(super) mod edge;
pub(super) mod graph;
pub(super) mod in_slots;
pub(super) mod inputs;
pub(super) mod nodes;
pub(super) mod ready;
