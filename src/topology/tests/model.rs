//! Restriction, and CPU lists as text.

use super::*;
use crate::topology::allowed::{cpu_list, parse_cpu_list, parse_status};

/// The promises at the top of the module, which placement relies on.
fn check_promises(topology: &Topology) {
    let mut cpus: Vec<CpuId> = topology
        .cores
        .iter()
        .flat_map(|core| core.cpus.clone())
        .collect();
    cpus.sort();
    assert_eq!(cpus, topology.cpus, "cpus must be the union of the cores'");
    cpus.dedup();
    assert_eq!(cpus, topology.cpus, "no CPU may be in two cores");
    assert!(topology.nodes.is_sorted_by_key(|node| node.id));
    for core in &topology.cores {
        assert!(!core.cpus.is_empty() && core.cpus.is_sorted());
        assert_eq!(
            topology
                .nodes
                .iter()
                .filter(|node| node.id == core.node)
                .count(),
            1
        );
    }
    for cache in &topology.caches {
        assert!(!cache.cpus.is_empty() && cache.cpus.is_sorted());
        assert!(cache.cpus.iter().all(|cpu| topology.cpus.contains(cpu)));
    }
    assert!(
        topology
            .distances
            .iter()
            .all(|row| row.len() == topology.nodes.len())
    );
}

#[test]
fn this_machine_keeps_the_promises() {
    let machine = Topology::read();
    check_promises(&machine);
    assert_eq!(machine.cpus, allowed_cpus());
    assert_eq!(machine.default_workers(), default_workers());
}

#[test]
fn restriction_keeps_the_promises() {
    for mask in [
        ids(0..16),
        ids([5]),
        ids([8, 9, 15]),
        ids([3, 11, 4000]),
        ids([]),
    ] {
        let rest = two_nodes().restrict(&mask);
        check_promises(&rest);
        assert!(rest.cpus.iter().all(|cpu| mask.contains(cpu)));
    }
}

#[test]
fn restriction_cuts_the_distances_to_the_nodes_left() {
    let rest = four_nodes_in_line().restrict(&ids([0, 3]));
    assert_eq!(rest.distances, [[10, 40], [40, 10]]);
    assert_eq!(rest.distance(NodeId(0), NodeId(3)), 40);
    assert_eq!(
        rest.distance(NodeId(0), NodeId(1)),
        20,
        "an unknown node is merely remote"
    );
}

#[test]
fn cpu_lists_parse_and_print() {
    let table: [(&str, Vec<u32>); 5] = [
        ("0", vec![0]),
        ("0-3", vec![0, 1, 2, 3]),
        ("1,3,5", vec![1, 3, 5]),
        ("0-1,8,1022-1025", vec![0, 1, 8, 1022, 1023, 1024, 1025]),
        ("65535", vec![65_535]),
    ];
    for (text, cpus) in table {
        assert_eq!(parse_cpu_list(text), Some(ids(cpus.clone())), "{text:?}");
        assert_eq!(cpu_list(&ids(cpus)), text);
    }
    assert_eq!(cpu_list(&[]), "");
    for text in ["", "a", "3-1", "1,", "-1", "0-4294967295", "1 2"] {
        assert_eq!(parse_cpu_list(text), None, "{text:?}");
    }
}

#[test]
fn the_mask_is_found_in_a_status_file() {
    let status = "Name:\tx\nCpus_allowed:\t5\nCpus_allowed_list:\t0,2\nMems_allowed:\t1\n";
    assert_eq!(parse_status(status), Some(ids([0, 2])));
    assert_eq!(parse_status("Name:\tx\n"), None);
}

#[test]
fn both_ways_to_read_the_mask_agree() {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_eq!(parse_status(&status), Some(allowed_cpus()));
}
