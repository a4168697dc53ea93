//! Floor 2, shared memory: a segment, and typed views of it.
//!
//! ```text
//!  0        4096                                                     len
//!  +--------+----------------------------------------------------------+
//!  | header | zones, at offsets that every process computes by itself  |
//!  +--------+----------------------------------------------------------+
//! ```
//!
//! A segment is one sealed memory file, mapped whole. Nothing in it is a pointer.
//! Where a zone lies is computed from the configuration by a pure function
//! ([`crate::layout`]), never read from the segment: a peer gone wild can spoil
//! values, but cannot move a zone.
//!
//! A [`View`] is a reference into the mapping that keeps it mapped. Only types
//! made of atomics may be viewed ([`ShmSafe`]), because every other process may
//! write at any time.
#![allow(unsafe_code)]

#[cfg(not(loom))]
mod bytes;
#[cfg(not(loom))]
mod header;
#[cfg(not(loom))]
mod segment;
#[cfg(loom)]
mod stand_in;
#[cfg(not(loom))]
mod view;

#[cfg(loom)]
pub use stand_in::{Bytes, Segment, ShmSafe, View, Views};
#[cfg(not(loom))]
pub use {
    bytes::Bytes,
    header::Header,
    segment::Segment,
    view::{ShmSafe, View, Views},
};

/// Bytes that the header takes.
pub const HEADER_LEN: usize = 4096;
