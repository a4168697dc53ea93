//! All kinds of shared objects that there are.

use crate::pool::LaneKinds;

use crate::{broadcast, channel, collective, sync};

/// Each is told from the others by its number, which is written into its memory.
pub static KINDS: LaneKinds = &[
    &channel::Channels,
    &broadcast::Feeds,
    &broadcast::Subscriptions,
    &collective::Groups,
    &collective::Seats,
    &sync::MUTEXES,
    &sync::RW_LOCKS,
    &sync::SEMAPHORES,
    &sync::ONCES,
    &sync::TALLIES,
    &sync::BARRIERS,
    &sync::MEMBERS,
    &sync::TICKERS,
];
