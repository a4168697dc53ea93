//! Tests of the topology module: tables over machines made by hand.

mod distance;
mod hardware;
mod limits;
mod model;
mod placement;
mod render;

use super::*;

/// Two nodes of 4 cores of 2 siblings. Siblings of core `c` are CPUs `c` and
/// `c + 8`; each core has its own L1d, pairs of cores share an L2, each node an
/// L3.
fn two_nodes() -> Topology {
    let mut machine = Topology::uniform(2, 4, 2);
    let mut add = |level, kind, cores_behind: usize, size_bytes| {
        for cores in machine.cores.chunks(cores_behind) {
            let mut cpus: Vec<CpuId> = cores.iter().flat_map(|core| core.cpus.clone()).collect();
            cpus.sort();
            machine.caches.push(Cache {
                level,
                kind,
                size_bytes: Some(size_bytes),
                cpus,
            });
        }
    };
    add(1, CacheKind::Data, 1, 48 << 10);
    add(2, CacheKind::Unified, 2, 2 << 20);
    add(3, CacheKind::Unified, 4, 36 << 20);
    machine.nodes[0].memory_bytes = Some(64 << 30);
    machine.nodes[1].memory_bytes = Some((64 << 30) + (512 << 20));
    machine.distances = vec![vec![10, 21], vec![21, 10]];
    machine
}

/// Four nodes of 1 core, in a line: the further apart, the dearer.
fn four_nodes_in_line() -> Topology {
    let mut machine = Topology::uniform(4, 1, 1);
    let dear = |a: u32, b: u32| 10 + 10 * a.abs_diff(b);
    machine.distances = (0..4)
        .map(|a| (0..4).map(|b| dear(a, b)).collect())
        .collect();
    machine
}

fn ids(cpus: impl IntoIterator<Item = u32>) -> Vec<CpuId> {
    cpus.into_iter().map(CpuId).collect()
}
