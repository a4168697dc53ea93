//! Who is near whom.

use super::*;

fn seats(machine: &Topology, cpus: &[u32]) -> Vec<Placement> {
    let seat = |&cpu| {
        let cpu = CpuId(cpu);
        Placement {
            cpu,
            node: machine.node_of(cpu).unwrap(),
        }
    };
    cpus.iter().map(seat).collect()
}

#[test]
fn levels() {
    let machine = two_nodes();
    let table = [
        (0, 0, Proximity::SameCore),
        (0, 8, Proximity::SameCore),
        (0, 1, Proximity::SameCache(2)),
        (9, 0, Proximity::SameCache(2)),
        (0, 2, Proximity::SameCache(3)),
        (0, 11, Proximity::SameCache(3)),
        (0, 4, Proximity::Remote(21)),
        (15, 3, Proximity::Remote(21)),
    ];
    for (a, b, expected) in table {
        let pair = seats(&machine, &[a, b]);
        assert_eq!(
            proximity(&machine, pair[0], pair[1]),
            expected,
            "CPUs {a} and {b}"
        );
        assert_eq!(
            proximity(&machine, pair[1], pair[0]),
            expected,
            "CPUs {b} and {a}"
        );
    }
    let bare = Topology::uniform(2, 2, 1);
    let pair = seats(&bare, &[0, 1]);
    assert_eq!(proximity(&bare, pair[0], pair[1]), Proximity::SameNode);
}

#[test]
fn cpus_the_topology_does_not_have_share_no_core() {
    let machine = two_nodes();
    let seat = |cpu| Placement {
        cpu: CpuId(cpu),
        node: NodeId(0),
    };
    assert_eq!(proximity(&machine, seat(90), seat(91)), Proximity::SameNode);
    assert_eq!(proximity(&machine, seat(90), seat(90)), Proximity::SameCore);
}

#[test]
fn victims_come_nearest_first() {
    let machine = two_nodes();
    //  index                        0  1  2  3  4
    let seats = seats(&machine, &[0, 4, 2, 8, 1]);
    assert_eq!(steal_order(&seats, &machine)[0], [3, 4, 2, 1]);
    assert_eq!(steal_order(&seats, &machine)[1], [2, 3, 4, 0]);
}

#[test]
fn nearer_nodes_come_before_farther_ones() {
    let machine = four_nodes_in_line();
    let order = steal_order(&seats(&machine, &[0, 1, 2, 3]), &machine);
    assert_eq!(order, [[1, 2, 3], [2, 0, 3], [3, 1, 0], [2, 1, 0]]);
}

#[test]
fn equals_are_robbed_in_ring_order_by_different_thieves() {
    let machine = Topology::uniform(1, 4, 1);
    let order = steal_order(&seats(&machine, &[0, 1, 2, 3]), &machine);
    assert_eq!(order, [[1, 2, 3], [2, 3, 0], [3, 0, 1], [0, 1, 2]]);
    let mut first: Vec<usize> = order.iter().map(|victims| victims[0]).collect();
    first.sort();
    assert_eq!(first, [0, 1, 2, 3], "each is the first victim of one thief");
}

#[test]
fn few_executors() {
    let machine = Topology::uniform(1, 2, 1);
    assert_eq!(steal_order(&[], &machine), Vec::<Vec<usize>>::new());
    assert_eq!(
        steal_order(&seats(&machine, &[1]), &machine),
        [Vec::<usize>::new()]
    );
    assert_eq!(steal_order(&seats(&machine, &[0, 0]), &machine), [[1], [0]]);
}

#[test]
fn every_order_names_all_others_once() {
    let machine = two_nodes();
    let seats = place(&machine, 7, 3);
    for (thief, mut victims) in steal_order(&seats, &machine).into_iter().enumerate() {
        let levels = victims
            .iter()
            .map(|&v| proximity(&machine, seats[thief], seats[v]));
        assert!(levels.is_sorted());
        victims.sort();
        assert!(
            victims
                .into_iter()
                .eq((0..21).filter(|&other| other != thief))
        );
    }
}
