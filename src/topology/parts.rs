//! The parts a machine is made of.

use std::fmt;

use serde::Serialize;

/// The kernel's number of one logical CPU, as in `/proc/cpuinfo`.
///
/// ```
/// use pinfold::topology::CpuId;
/// assert_eq!(CpuId(1030).to_string(), "1030");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CpuId(pub u32);

/// The kernel's number of one NUMA node.
///
/// ```
/// use pinfold::topology::NodeId;
/// assert_eq!(NodeId(1).to_string(), "1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeId(pub u32);

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One NUMA node that has at least one allowed CPU.
///
/// Nodes of memory only are left out: nothing can be pinned there.
///
/// ```
/// use pinfold::topology::{NodeId, Topology};
/// assert_eq!(Topology::uniform(2, 4, 2).nodes[1].id, NodeId(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// The kernel's number of the node.
    pub id: NodeId,
    /// Memory attached to the node, in bytes; `None` when not reported.
    pub memory_bytes: Option<u64>,
}

/// One physical core and the allowed CPUs (SMT siblings) that share it.
///
/// ```
/// use pinfold::topology::{CpuId, Topology};
/// assert_eq!(Topology::uniform(2, 4, 2).cores[0].cpus, [CpuId(0), CpuId(8)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Core {
    /// The node whose memory is local to the core.
    pub node: NodeId,
    /// The kernel's number of the physical package (socket).
    pub package: u32,
    /// The core's allowed CPUs, ascending; never empty.
    pub cpus: Vec<CpuId>,
}

/// What a cache holds. Instruction caches are not recorded: they say nothing
/// about where data should be.
///
/// ```
/// use pinfold::topology::CacheKind;
/// assert_ne!(CacheKind::Data, CacheKind::Unified);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Data only.
    Data,
    /// Data and instructions.
    Unified,
}

/// One cache and the allowed CPUs that share it.
///
/// ```
/// // Read-only for callers: a cache is found in a topology, never made by hand.
/// for cache in &pinfold::topology::Topology::read().caches {
///     assert!(cache.level >= 1 && !cache.cpus.is_empty());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cache {
    /// 1 is nearest to the core.
    pub level: u8,
    /// What it holds.
    pub kind: CacheKind,
    /// Capacity in bytes; `None` when not reported.
    pub size_bytes: Option<u64>,
    /// The allowed CPUs behind it, ascending; never empty.
    pub cpus: Vec<CpuId>,
}
