//! hwloc's tree into plain values, over machines hwloc makes up.

use hwlocality::Topology as Hwloc;

use super::*;
use crate::topology::hardware::{describe, restrict_fully};

fn synthetic(description: &str) -> Topology {
    let builder = Hwloc::builder().from_synthetic(description).unwrap();
    describe(&builder.build().unwrap())
}

#[test]
fn two_packages_of_one_node_each() {
    let machine = synthetic("pack:2 [numa(memory=1073741824)] l3:1(size=4194304) core:2 pu:2");
    assert_eq!(machine.source, Source::Hwloc);
    assert_eq!(machine.cpus, ids(0..8));
    let nodes: Vec<_> = machine
        .nodes
        .iter()
        .map(|node| (node.id.0, node.memory_bytes))
        .collect();
    assert_eq!(nodes, [(0, Some(1 << 30)), (1, Some(1 << 30))]);
    let cores: Vec<_> = machine
        .cores
        .iter()
        .map(|c| (c.node.0, c.package, c.cpus.clone()))
        .collect();
    assert_eq!(
        cores,
        [
            (0, 0, ids([0, 1])),
            (0, 0, ids([2, 3])),
            (1, 1, ids([4, 5])),
            (1, 1, ids([6, 7])),
        ]
    );
    let caches: Vec<_> = machine
        .caches
        .iter()
        .map(|c| (c.level, c.size_bytes, c.cpus.clone()))
        .collect();
    assert_eq!(
        caches,
        [(3, Some(4 << 20), ids(0..4)), (3, Some(4 << 20), ids(4..8))]
    );
}

#[test]
fn several_nodes_in_a_package_and_caches_of_each_level() {
    let machine = synthetic("pack:1 group:2 [numa] l3:1 l2:2 l1d:1 core:1 pu:1");
    assert_eq!(machine.nodes.len(), 2);
    assert_eq!(machine.node_of(CpuId(1)), Some(NodeId(0)));
    assert_eq!(machine.node_of(CpuId(2)), Some(NodeId(1)));
    let levels: Vec<_> = machine
        .caches
        .iter()
        .map(|cache| (cache.level, cache.kind))
        .collect();
    let mut expected = vec![(1, CacheKind::Data); 4];
    expected.extend([(2, CacheKind::Unified); 4]);
    expected.extend([(3, CacheKind::Unified); 2]);
    assert_eq!(levels, expected);
}

#[test]
fn the_narrowest_node_is_home_and_memory_without_cpus_is_left_out() {
    // Node 0 covers the package, nodes 1 and 2 one half of it each.
    let machine = synthetic("pack:1 [numa(indexes=1,2,0)] group:2 [numa] core:2 pu:1");
    let home = |cpu| machine.node_of(CpuId(cpu)).unwrap().0;
    assert_eq!([0, 1, 2, 3].map(home), [1, 1, 2, 2]);
    assert_eq!(machine.nodes.len(), 2);
}

#[test]
fn without_cores_each_cpu_is_its_own() {
    let machine = synthetic("numa:1 pu:3");
    assert_eq!(machine.cores.len(), 3);
}

#[test]
fn chosen_cpu_numbers_are_kept() {
    let machine = synthetic("pack:2 core:2 pu:1(indexes=1030,0,7,2000)");
    assert_eq!(machine.cpus, ids([0, 7, 1030, 2000]));
    let by_core: Vec<u32> = machine.cores.iter().map(|core| core.cpus[0].0).collect();
    assert_eq!(
        by_core,
        [0, 1030, 7, 2000],
        "cores of a package are neighbours"
    );
}

#[test]
fn placement_over_a_machine_read_through_hwloc() {
    let machine = synthetic("pack:2 [numa] l3:1 core:4 pu:2");
    let cpus: Vec<u32> = place(&machine, 2, 3)
        .iter()
        .map(|seat| seat.cpu.0)
        .collect();
    assert_eq!(
        cpus,
        [0, 2, 4, 8, 10, 12],
        "first siblings, one node per worker"
    );
}

#[test]
fn an_allowed_cpu_that_hwloc_does_not_know_is_an_error() {
    let machine = synthetic("core:4 pu:1");
    assert_eq!(
        restrict_fully(&machine, &ids([1, 3])).unwrap().cpus,
        ids([1, 3])
    );
    let error = restrict_fully(&machine, &ids([1, 3, 9])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hwloc knows only CPUs 1,3 of the allowed 1,3,9"
    );
}
