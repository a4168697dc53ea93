//! The rings of hints that the host fills.

use std::fmt;

use crate::prim::Priority;
use crate::ring::steal;

/// A ring of hints that the host fills.
#[derive(Clone, Copy, Debug)]
pub enum RingName {
    Inbox(usize),
    Lane(Priority),
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingName::Inbox(executor) => write!(f, "the inbox of executor {executor}"),
            RingName::Lane(level) => write!(f, "the lane of level {}", level.level()),
        }
    }
}

/// The host's side of a lane.
#[derive(Debug)]
pub struct Lane {
    pub ring: steal::Producer,
    /// Filled and not yet published.
    pub is_touched: bool,
}
