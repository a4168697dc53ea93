//! The whole machine as one plain value, and how to make one.

use serde::Serialize;

use super::{Cache, Core, CpuId, Node, NodeId, allowed, hardware, limits};

/// Where a topology's structure comes from.
///
/// ```
/// use pinfold::topology::{CpuId, Source, Topology};
/// assert_eq!(Topology::flat(&[CpuId(0)]).source, Source::Flat);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The hardware, through hwloc.
    Hwloc,
    /// Nothing is known but the CPU numbers: one node, one core per CPU.
    Flat,
    /// Made up, by [`Topology::uniform`].
    Synthetic,
}

/// The part of the machine this process may use.
///
/// ```
/// use pinfold::topology::Topology;
/// let machine = Topology::read();
/// assert!(!machine.cpus.is_empty());
/// println!("{} CPUs on {} cores", machine.cpus.len(), machine.cores.len());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Topology {
    /// Where the structure comes from.
    pub source: Source,
    /// NUMA nodes with at least one allowed CPU, ascending by id.
    pub nodes: Vec<Node>,
    /// Physical cores with at least one allowed CPU. Neighbours in this list
    /// are neighbours in the hardware: cores that share a cache are adjacent.
    pub cores: Vec<Core>,
    /// Data and unified caches, nearest level first.
    pub caches: Vec<Cache>,
    /// All allowed CPUs, ascending.
    pub cpus: Vec<CpuId>,
    /// `distances[a][b]`: relative latency from `nodes[a]` to the memory of
    /// `nodes[b]`, where 10 is local. Empty when not reported.
    pub distances: Vec<Vec<u32>>,
    /// The cgroup's CPU time limit in CPUs (1.5 is one and a half); `None` when
    /// there is none.
    pub cpu_quota: Option<f64>,
    /// The memory this process may use, in bytes: see
    /// [`memory_limit_bytes`](super::memory_limit_bytes).
    pub memory_limit_bytes: Option<u64>,
}

/// Latency of a node's own memory, by the convention of ACPI and the kernel.
const DISTANCE_LOCAL: u32 = 10;
/// What the kernel assumes between two nodes when firmware does not say.
const DISTANCE_REMOTE: u32 = 20;

impl Topology {
    /// Reads the machine, restricted to the CPUs the calling thread may run on.
    ///
    /// Costs milliseconds: call it once, before pinning anything, and keep the
    /// value. Never fails: when the hardware cannot be read it warns through
    /// `tracing` and returns [`Topology::flat`] over the allowed CPUs.
    ///
    /// ```
    /// use pinfold::topology::{Topology, allowed_cpus};
    /// assert_eq!(Topology::read().cpus, allowed_cpus());
    /// ```
    #[must_use]
    pub fn read() -> Topology {
        let allowed = allowed::allowed_cpus();
        let mut topology = hardware::read(&allowed).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the hardware topology: treating all CPUs as equal");
            Topology::flat(&allowed)
        });
        topology.cpu_quota = limits::cpu_quota();
        topology.memory_limit_bytes = limits::memory_limit_bytes();
        topology
    }

    /// The topology assumed when only CPU numbers are known: one node (0), one
    /// core per CPU, no caches, no limits. Order and repeats do not matter.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, Topology};
    /// let flat = Topology::flat(&[CpuId(7), CpuId(2)]);
    /// assert_eq!(flat.cpus, [CpuId(2), CpuId(7)]);
    /// assert_eq!((flat.nodes.len(), flat.cores.len()), (1, 2));
    /// ```
    #[must_use]
    pub fn flat(cpus: &[CpuId]) -> Topology {
        let mut cpus = cpus.to_vec();
        cpus.sort_unstable();
        cpus.dedup();
        let core = |&cpu| Core {
            node: NodeId(0),
            package: 0,
            cpus: vec![cpu],
        };
        let node = Node {
            id: NodeId(0),
            memory_bytes: None,
        };
        Topology::from_parts(
            Source::Flat,
            vec![node],
            cpus.iter().map(core).collect(),
            vec![],
        )
    }

    /// A made-up regular machine without caches or limits, for tests and for
    /// planning: one package per node. CPUs are numbered as Linux does on most
    /// servers, first siblings of all cores before all second siblings.
    ///
    /// # Panics
    ///
    /// If one of the counts is zero.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, NodeId, Topology};
    /// let machine = Topology::uniform(2, 4, 2);
    /// assert_eq!(machine.cpus.len(), 16);
    /// assert_eq!(machine.node_of(CpuId(12)), Some(NodeId(1)));
    /// ```
    #[must_use]
    pub fn uniform(nodes: u32, cores_per_node: u32, cpus_per_core: u32) -> Topology {
        assert!(
            nodes > 0 && cores_per_node > 0 && cpus_per_core > 0,
            "a machine has no part of zero: {nodes} nodes x {cores_per_node} cores x {cpus_per_core} CPUs"
        );
        let cores_total = nodes * cores_per_node;
        let core = |core: u32| Core {
            node: NodeId(core / cores_per_node),
            package: core / cores_per_node,
            cpus: (0..cpus_per_core)
                .map(|rank| CpuId(core + rank * cores_total))
                .collect(),
        };
        Topology::from_parts(
            Source::Synthetic,
            (0..nodes)
                .map(|id| Node {
                    id: NodeId(id),
                    memory_bytes: None,
                })
                .collect(),
            (0..cores_total).map(core).collect(),
            vec![],
        )
    }

    /// Puts parts together and derives `cpus`, so that the two cannot differ.
    pub(super) fn from_parts(
        source: Source,
        nodes: Vec<Node>,
        cores: Vec<Core>,
        caches: Vec<Cache>,
    ) -> Topology {
        let mut cpus: Vec<CpuId> = cores
            .iter()
            .flat_map(|core| core.cpus.iter().copied())
            .collect();
        cpus.sort_unstable();
        Topology {
            source,
            nodes,
            cores,
            caches,
            cpus,
            distances: vec![],
            cpu_quota: None,
            memory_limit_bytes: None,
        }
    }

    /// The same machine seen through a narrower affinity mask: CPUs outside
    /// `mask` vanish, and with them cores, caches and nodes left without any.
    /// Empty when nothing is left; limits are kept.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, Topology};
    /// let half = Topology::uniform(2, 2, 1).restrict(&[CpuId(2), CpuId(3)]);
    /// assert_eq!((half.nodes.len(), half.cpus.len()), (1, 2));
    /// ```
    #[must_use]
    pub fn restrict(&self, mask: &[CpuId]) -> Topology {
        let keep = |cpus: &[CpuId]| -> Vec<CpuId> {
            cpus.iter()
                .copied()
                .filter(|cpu| mask.contains(cpu))
                .collect()
        };
        let mut rest = self.clone();
        rest.cpus = keep(&rest.cpus);
        rest.cores
            .iter_mut()
            .for_each(|core| core.cpus = keep(&core.cpus));
        rest.cores.retain(|core| !core.cpus.is_empty());
        rest.caches
            .iter_mut()
            .for_each(|cache| cache.cpus = keep(&cache.cpus));
        rest.caches.retain(|cache| !cache.cpus.is_empty());
        rest.nodes
            .retain(|node| rest.cores.iter().any(|core| core.node == node.id));
        if !self.distances.is_empty() {
            let distance_to = |a: &Node, b: &Node| self.distance(a.id, b.id);
            rest.distances = (rest.nodes.iter())
                .map(|a| rest.nodes.iter().map(|b| distance_to(a, b)).collect())
                .collect();
        }
        rest
    }

    /// Index in `cores` of the core that `cpu` belongs to; `None` when the CPU
    /// is not allowed.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, Topology};
    /// assert_eq!(Topology::uniform(1, 4, 2).core_index(CpuId(5)), Some(1));
    /// ```
    #[must_use]
    pub fn core_index(&self, cpu: CpuId) -> Option<usize> {
        self.cores.iter().position(|core| core.cpus.contains(&cpu))
    }

    /// The node whose memory is local to `cpu`; `None` when the CPU is not
    /// allowed.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, NodeId, Topology};
    /// assert_eq!(Topology::uniform(2, 2, 1).node_of(CpuId(3)), Some(NodeId(1)));
    /// ```
    #[must_use]
    pub fn node_of(&self, cpu: CpuId) -> Option<NodeId> {
        self.core_index(cpu).map(|core| self.cores[core].node)
    }

    /// The allowed CPUs of one node, ascending; empty for an unknown node.
    ///
    /// ```
    /// use pinfold::topology::{CpuId, NodeId, Topology};
    /// assert_eq!(Topology::uniform(2, 2, 1).cpus_of(NodeId(1)), [CpuId(2), CpuId(3)]);
    /// ```
    #[must_use]
    pub fn cpus_of(&self, node: NodeId) -> Vec<CpuId> {
        let here = self.cores.iter().filter(|core| core.node == node);
        let mut cpus: Vec<CpuId> = here.flat_map(|core| core.cpus.iter().copied()).collect();
        cpus.sort_unstable();
        cpus
    }

    /// Relative latency from `from` to the memory of `to`: 10 is local, 20 is
    /// twice as slow. Where the machine does not say, 10 for a node to itself
    /// and 20 otherwise.
    ///
    /// ```
    /// use pinfold::topology::{NodeId, Topology};
    /// let machine = Topology::uniform(2, 1, 1);
    /// assert_eq!(machine.distance(NodeId(0), NodeId(0)), 10);
    /// assert_eq!(machine.distance(NodeId(0), NodeId(1)), 20);
    /// ```
    #[must_use]
    pub fn distance(&self, from: NodeId, to: NodeId) -> u32 {
        let index = |id| self.nodes.iter().position(|node| node.id == id);
        let reported = index(from).zip(index(to));
        let reported = reported.and_then(|(a, b)| self.distances.get(a)?.get(b).copied());
        reported.unwrap_or(if from == to {
            DISTANCE_LOCAL
        } else {
            DISTANCE_REMOTE
        })
    }

    /// [`default_workers`](super::default_workers) for this topology: one per
    /// allowed CPU, no more than the CPU quota pays for, at least one.
    ///
    /// ```
    /// use pinfold::topology::Topology;
    /// let mut machine = Topology::uniform(1, 8, 1);
    /// machine.cpu_quota = Some(2.5);
    /// assert_eq!(machine.default_workers(), 3);
    /// ```
    #[must_use]
    pub fn default_workers(&self) -> usize {
        limits::worker_count(self.cpus.len(), self.cpu_quota)
    }
}
