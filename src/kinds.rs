//! All kinds of shared objects that there are.

use crate::pool::LaneKinds;

use crate::{channel, sync};

/// Each is told from the others by its number, which is written into its memory.
pub static KINDS: LaneKinds = &[&channel::Channels, &sync::MUTEXES, &sync::RW_LOCKS];
