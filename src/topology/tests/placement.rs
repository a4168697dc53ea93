//! Who is pinned where.

use super::*;

/// Places, checks what every placement must satisfy, and returns CPU numbers by
/// worker.
fn check(machine: &Topology, workers: usize, threads: usize) -> Vec<Vec<u32>> {
    let seats = place(machine, workers, threads);
    assert_eq!(seats.len(), workers * threads);
    assert_eq!(
        seats,
        place(machine, workers, threads),
        "must be deterministic"
    );

    let load = |cpu: CpuId| seats.iter().filter(|seat| seat.cpu == cpu).count();
    let loads: Vec<usize> = machine.cpus.iter().map(|&cpu| load(cpu)).collect();
    assert_eq!(
        loads.iter().sum::<usize>(),
        seats.len(),
        "only CPUs of the machine may be used"
    );
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(
        most - least <= 1,
        "no CPU twice before every CPU once: {loads:?}"
    );
    for seat in &seats {
        assert_eq!(machine.node_of(seat.cpu), Some(seat.node));
    }
    seats
        .chunks(threads.max(1))
        .map(|w| w.iter().map(|seat| seat.cpu.0).collect())
        .collect()
}

#[test]
fn single_threads_take_whole_cores_of_alternate_nodes_first() {
    let machine = two_nodes();
    let all: Vec<u32> = check(&machine, 16, 1).concat();
    assert_eq!(all, [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]);
    assert_eq!(check(&machine, 3, 1).concat(), all[..3]);
}

#[test]
fn threads_of_a_worker_stay_together() {
    let machine = two_nodes();
    assert_eq!(check(&machine, 4, 2), [[0, 1], [4, 5], [2, 3], [6, 7]]);
    assert_eq!(check(&machine, 2, 4), [[0, 1, 2, 3], [4, 5, 6, 7]]);
    assert_eq!(
        check(&machine, 2, 8).concat(),
        [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
    );
    // Together on one node outweighs a core of one's own.
    assert_eq!(check(&machine, 3, 3), [[0, 1, 2], [4, 5, 6], [3, 8, 9]]);
}

#[test]
fn a_worker_that_fits_nowhere_takes_the_fewest_and_nearest_nodes() {
    let machine = two_nodes();
    assert_eq!(check(&machine, 1, 9), [[0, 1, 2, 3, 8, 9, 10, 11, 4]]);
    // One CPU is left on each node when the third worker comes.
    let split = Topology::uniform(2, 3, 1);
    assert_eq!(check(&split, 3, 2), [[0, 1], [3, 4], [2, 5]]);
    // Nodes 0 and 2 are neighbours; node 1 is farther from both.
    let mut machine = Topology::uniform(4, 2, 1);
    machine.distances = vec![vec![20; 4]; 4];
    (machine.distances[0][2], machine.distances[2][0]) = (11, 11);
    assert_eq!(check(&machine, 1, 5), [[0, 1, 4, 5, 2]]);
    assert_eq!(check(&machine, 1, 3), [[0, 1, 4]]);
}

#[test]
fn more_executors_than_cpus_wrap_around() {
    assert_eq!(
        check(&Topology::uniform(1, 2, 1), 5, 1).concat(),
        [0, 1, 0, 1, 0]
    );
    assert_eq!(
        check(&Topology::flat(&ids([0])), 3, 2),
        [[0, 0], [0, 0], [0, 0]]
    );
    // The end of a lap is no reason to leave a node: CPU 5 is left, then 3 again.
    assert_eq!(
        check(&Topology::uniform(2, 3, 1), 3, 3),
        [[0, 1, 2], [3, 4, 5], [0, 1, 2]]
    );
    // A lap that ends amid a worker is no reason to leave its node.
    let lap: Vec<u32> = check(&Topology::uniform(2, 2, 1), 2, 3).concat();
    assert_eq!(lap, [0, 1, 2, 3, 2, 3]);
}

#[test]
fn restricted_masks_and_strange_numbers() {
    // Only second siblings of node 0, and one CPU of node 1.
    let mask = ids([8, 9, 15]);
    assert_eq!(
        check(&two_nodes().restrict(&mask), 3, 1).concat(),
        [8, 15, 9]
    );
    assert_eq!(check(&two_nodes().restrict(&mask), 1, 2), [[8, 9]]);
    // One core with both siblings, one with one: cores before siblings.
    assert_eq!(
        check(&two_nodes().restrict(&ids([1, 9, 2])), 3, 1).concat(),
        [1, 2, 9]
    );
    // A node with whole cores beats one with only siblings left.
    assert_eq!(
        check(&two_nodes().restrict(&ids([0, 8, 4, 5])), 1, 2),
        [[4, 5]]
    );
    // ... even when that node has more executors already.
    let uneven = two_nodes().restrict(&ids([0, 8, 4, 5, 6]));
    assert_eq!(check(&uneven, 5, 1).concat(), [0, 4, 5, 6, 8]);
    // Numbers the C library's mask cannot hold, with holes.
    assert_eq!(
        check(&Topology::flat(&ids([4000, 3, 1024])), 4, 1).concat(),
        [3, 1024, 4000, 3]
    );
}

#[test]
fn one_cpu_and_nothing_to_place() {
    let one = Topology::flat(&ids([7]));
    assert_eq!(check(&one, 1, 1), [[7]]);
    assert_eq!(place(&one, 0, 4), []);
    assert_eq!(place(&one, 4, 0), []);
    assert_eq!(
        place(&one.restrict(&[]), 0, 1),
        [],
        "nothing to place needs no CPUs"
    );
}

#[test]
#[should_panic(expected = "the topology has no CPUs")]
fn no_cpus_at_all_is_a_mistake() {
    let _ = place(&two_nodes().restrict(&[]), 1, 1);
}

#[test]
fn every_small_machine_is_filled_evenly() {
    for (nodes, cores, siblings) in shapes() {
        let machine = Topology::uniform(nodes, cores, siblings);
        for workers in 0..7 {
            for threads in 0..7 {
                check(&machine, workers, threads);
            }
        }
        // Single threads: nodes differ by one at most, cores before siblings.
        for workers in 0..=machine.cpus.len() {
            let seats = place(&machine, workers, 1);
            let on = |node: &Node| seats.iter().filter(|seat| seat.node == node.id).count();
            let on: Vec<usize> = machine.nodes.iter().map(on).collect();
            assert!(
                on.iter().max().unwrap() - on.iter().min().unwrap() <= 1,
                "{on:?}"
            );
            let mut used: Vec<_> = seats
                .iter()
                .map(|seat| machine.core_index(seat.cpu))
                .collect();
            used.sort();
            used.dedup();
            assert_eq!(used.len(), workers.min(machine.cores.len()));
        }
    }
}

#[test]
fn as_many_workers_as_possible_stay_on_one_node() {
    for (nodes, cores, siblings) in shapes() {
        let machine = Topology::uniform(nodes, cores, siblings);
        let per_node = (cores * siblings) as usize;
        for threads in 1..=per_node {
            let workers = nodes as usize * (per_node / threads);
            for seats in place(&machine, workers, threads).chunks(threads) {
                assert!(
                    seats.iter().all(|seat| seat.node == seats[0].node),
                    "{seats:?}"
                );
            }
        }
    }
}

fn shapes() -> impl Iterator<Item = (u32, u32, u32)> {
    (1..4).flat_map(|n| (1..5).flat_map(move |c| (1..3).map(move |s| (n, c, s))))
}
