//! Reading the hardware through hwloc into a [`Topology`].
//!
//! hwloc's tree differs from machine to machine (groups, dies, several caches
//! between core and package, memory hanging off any level). We look at it from
//! the CPUs upwards only: each CPU knows its ancestors, and the order of the
//! CPUs is the order of the hardware. Whatever lies between does not matter.

use hwlocality::Topology as Hwloc;
use hwlocality::bitmap::BitmapIndex;
use hwlocality::errors::{FlagsError, HybridError, RawHwlocError};
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::distance::DistancesKind;
use hwlocality::object::types::{CacheType, ObjectType};
use hwlocality::object::{TopologyObject, TopologyObjectID};
use hwlocality::topology::builder::BuildFlags;
use thiserror::Error;

use super::allowed::cpu_list;
use super::{Cache, CacheKind, Core, CpuId, Node, NodeId, Source, Topology};

/// Why the hardware could not be read.
#[derive(Debug, Error)]
pub(super) enum HardwareError {
    #[error("hwloc refuses our options: {0}")]
    Flags(#[from] HybridError<FlagsError<BuildFlags>>),
    #[error("hwloc cannot read this machine: {0}")]
    Build(#[from] RawHwlocError),
    /// hwloc was pointed elsewhere by its environment variables, or the machine
    /// is changing under us.
    #[error("hwloc knows only CPUs {known} of the allowed {allowed}")]
    Incomplete { known: String, allowed: String },
}

/// Reads this machine, restricted to `allowed`, without limits.
pub(super) fn read(allowed: &[CpuId]) -> Result<Topology, HardwareError> {
    // Some of hwloc's probes pin the calling thread to one CPU after another.
    // That would disturb a running server; the kernel's own tables suffice.
    let builder = Hwloc::builder().with_flags(BuildFlags::DONT_CHANGE_BINDING)?;
    restrict_fully(&describe(&builder.build()?), allowed)
}

/// Restricts to `allowed`, and insists that all of it is there.
pub(super) fn restrict_fully(
    machine: &Topology,
    allowed: &[CpuId],
) -> Result<Topology, HardwareError> {
    let topology = machine.restrict(allowed);
    if topology.cpus == allowed {
        return Ok(topology);
    }
    Err(HardwareError::Incomplete {
        known: cpu_list(&topology.cpus),
        allowed: cpu_list(allowed),
    })
}

/// Turns hwloc's tree into plain values, with every CPU that hwloc shows.
pub(super) fn describe(hwloc: &Hwloc) -> Topology {
    let numa = numa_nodes(hwloc);
    let mut cores: Vec<(TopologyObjectID, Core)> = Vec::new();
    let mut caches: Vec<(TopologyObjectID, Cache)> = Vec::new();

    for pu in hwloc.objects_with_type(ObjectType::PU) {
        let Some(cpu) = os_index(pu).map(CpuId) else {
            continue;
        };

        // Where the kernel does not tell cores apart, each CPU is its own.
        let core = pu.first_ancestor_with_type(ObjectType::Core).unwrap_or(pu);
        let id = core.global_persistent_index();
        match cores.iter_mut().find(|(known, _)| *known == id) {
            Some((_, core)) => core.cpus.push(cpu),
            None => {
                let package = pu.first_ancestor_with_type(ObjectType::Package);
                let package = package.and_then(os_index).unwrap_or(0);
                cores.push((
                    id,
                    Core {
                        node: home(cpu, &numa),
                        package,
                        cpus: vec![cpu],
                    },
                ));
            }
        }

        for object in pu.ancestors() {
            let id = object.global_persistent_index();
            match caches.iter_mut().find(|(known, _)| *known == id) {
                Some((_, cache)) => cache.cpus.push(cpu),
                None => caches.extend(cache(object, cpu).map(|cache| (id, cache))),
            }
        }
    }

    let mut cores: Vec<Core> = cores.into_iter().map(|(_, core)| core).collect();
    let mut caches: Vec<Cache> = caches.into_iter().map(|(_, cache)| cache).collect();
    cores.iter_mut().for_each(|core| core.cpus.sort_unstable());
    caches
        .iter_mut()
        .for_each(|cache| cache.cpus.sort_unstable());
    // Stable: caches of one level stay in hardware order.
    caches.sort_by_key(|cache| cache.level);

    let nodes = numa.iter().map(|(_, node)| node.clone()).collect();
    let mut topology = Topology::from_parts(Source::Hwloc, nodes, cores, caches);
    topology.distances = distances(hwloc, &topology.nodes);
    // Seen through its own CPUs, the machine loses its nodes of memory only.
    topology.restrict(&topology.cpus)
}

/// All NUMA nodes, ascending by id, each beside its hwloc object.
fn numa_nodes(hwloc: &Hwloc) -> Vec<(&TopologyObject, Node)> {
    let node = |object: &TopologyObject| {
        let memory_bytes = match object.attributes() {
            Some(ObjectAttributes::NUMANode(numa)) => numa.local_memory().map(u64::from),
            _ => None,
        };
        Some(Node {
            id: NodeId(os_index(object)?),
            memory_bytes,
        })
    };
    let objects = hwloc.objects_with_type(ObjectType::NUMANode);
    let mut nodes: Vec<_> = objects.filter_map(|o| Some((o, node(o)?))).collect();
    nodes.sort_by_key(|(_, node)| node.id);
    nodes
}

/// The node nearest to a CPU: of those that cover it, the one covering fewest
/// CPUs. Two kinds of memory may cover the same CPUs; ordinary memory has the
/// lower number and is wanted.
fn home(cpu: CpuId, numa: &[(&TopologyObject, Node)]) -> NodeId {
    let index = usize::try_from(cpu.0)
        .ok()
        .and_then(|cpu| BitmapIndex::try_from(cpu).ok());
    let covers = |object: &TopologyObject| {
        object
            .cpuset()
            .zip(index)
            .is_some_and(|(cpuset, index)| cpuset.is_set(index))
    };
    let width = |object: &TopologyObject| {
        object
            .cpuset()
            .and_then(|cpuset| cpuset.weight())
            .unwrap_or(usize::MAX)
    };
    let covering = numa.iter().filter(|(object, _)| covers(object));
    let nearest = covering.min_by_key(|(object, node)| (width(object), node.id));
    // A CPU may have no node of its own when cgroups hide its memory from us.
    nearest
        .or(numa.first())
        .map_or(NodeId(0), |(_, node)| node.id)
}

/// The data or unified cache that `object` is, shared so far by one CPU.
fn cache(object: &TopologyObject, cpu: CpuId) -> Option<Cache> {
    let Some(ObjectAttributes::Cache(found)) = object.attributes() else {
        return None;
    };
    let kind = match found.cache_type() {
        CacheType::Data => CacheKind::Data,
        CacheType::Unified => CacheKind::Unified,
        _ => return None,
    };
    let level = u8::try_from(found.depth()).ok()?;
    Some(Cache {
        level,
        kind,
        size_bytes: found.size().map(u64::from),
        cpus: vec![cpu],
    })
}

/// The latency matrix in the order of `nodes`; empty unless it names them all.
fn distances(hwloc: &Hwloc, nodes: &[Node]) -> Vec<Vec<u32>> {
    let kind = Some(DistancesKind::MEANS_LATENCY);
    let found = hwloc
        .distances_with_type(kind, ObjectType::NUMANode)
        .unwrap_or_default();
    let Some(matrix) = found.first() else {
        return vec![];
    };
    let ids: Vec<Option<u32>> = matrix.objects().map(|object| os_index(object?)).collect();
    let index = |node: &Node| ids.iter().position(|id| *id == Some(node.id.0));
    let values = matrix.distances();
    let value = |a: &Node, b: &Node| {
        let at = index(a)? * ids.len() + index(b)?;
        u32::try_from(*values.get(at)?).ok()
    };
    let row = |a: &Node| {
        nodes
            .iter()
            .map(|b| value(a, b))
            .collect::<Option<Vec<u32>>>()
    };
    nodes
        .iter()
        .map(row)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn os_index(object: &TopologyObject) -> Option<u32> {
    u32::try_from(object.os_index()?).ok()
}
