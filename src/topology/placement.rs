//! Choosing a CPU for every executor: a pure function of the machine's shape.
//!
//! Each node offers its CPUs in a fixed order, the first sibling of every core
//! before any second sibling. Workers choose one after another, each a node
//! for all its executors, and take the next CPUs it offers:
//!
//! ```text
//!   node 0: 0 1 2 3 | 8 9 10 11        4 workers of 2 threads
//!           w0  w2  |                  w0 -> 0,1   w2 -> 2,3
//!   node 1: 4 5 6 7 | 12 13 14 15      w1 -> 4,5   w3 -> 6,7
//!           w1  w3  |
//! ```
//!
//! In order of weight:
//! 1. no CPU gets a second executor before every CPU has one (a *lap*);
//! 2. a worker stays on one node when one has CPUs enough left in this lap,
//!    else it takes as few and as near nodes as it can;
//! 3. whole cores before second siblings;
//! 4. the node with the fewest executors so far;
//! 5. the lowest node number, so that the result is always the same.

use std::cmp::Reverse;

use serde::Serialize;

use super::{CpuId, NodeId, Topology};

/// Where one executor is pinned.
///
/// ```
/// use pinfold::topology::{CpuId, NodeId, Placement};
/// let seat = Placement { cpu: CpuId(3), node: NodeId(0) };
/// println!("CPU {} of node {}", seat.cpu, seat.node);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Placement {
    /// The CPU to run on.
    pub cpu: CpuId,
    /// The node whose memory is local there.
    pub node: NodeId,
}

/// Places `workers * threads_per_worker` executors; thread `t` of worker `w` is
/// entry `w * threads_per_worker + t`. More executors than CPUs share CPUs
/// evenly.
///
/// Same arguments, same result: host and worker may each compute it.
///
/// # Panics
///
/// If executors are asked for and the topology has no CPUs.
///
/// ```
/// use pinfold::topology::{CpuId, Topology, place};
/// let machine = Topology::uniform(2, 4, 2);
/// let seats = place(&machine, 2, 2);
/// let cpus: Vec<CpuId> = seats.iter().map(|seat| seat.cpu).collect();
/// assert_eq!(cpus, [CpuId(0), CpuId(1), CpuId(4), CpuId(5)]);
/// ```
#[must_use]
pub fn place(topology: &Topology, workers: usize, threads_per_worker: usize) -> Vec<Placement> {
    let mut offers = offers(topology);
    let mut placements = Vec::new();
    for _ in 0..workers {
        place_worker(topology, &mut offers, threads_per_worker, &mut placements);
    }
    placements
}

fn place_worker(
    topology: &Topology,
    offers: &mut [Offer],
    threads: usize,
    placements: &mut Vec<Placement>,
) {
    let first = placements.len();
    let last = first + threads;
    while placements.len() < last {
        let wanted = last - placements.len();
        let homes = &placements[first..];
        let Some(offer) = choose(topology, offers, wanted, homes) else {
            let any = offers.iter().any(|offer| !offer.cpus.is_empty());
            assert!(any, "cannot place executors: the topology has no CPUs");
            offers.iter_mut().for_each(|offer| offer.taken = 0);
            continue;
        };
        offers[offer].take(wanted, placements);
    }
}

/// Picks the node that `wanted` more executors of one worker should go to;
/// `homes` are the worker's executors so far. `None` when the lap is over.
fn choose(
    topology: &Topology,
    offers: &[Offer],
    wanted: usize,
    homes: &[Placement],
) -> Option<usize> {
    // A worker without a home is at home everywhere.
    let from_home = |offer: &Offer| {
        homes
            .iter()
            .map(|home| topology.distance(home.node, offer.node))
            .min()
            .unwrap_or(0)
    };
    let fitting = |offer: &Offer| {
        let rank = offer.cpus[offer.taken + wanted - 1].0;
        (from_home(offer), rank, offer.executors)
    };
    let open = || {
        offers
            .iter()
            .enumerate()
            .filter(|(_, offer)| offer.left() > 0)
    };
    let whole = open().filter(|(_, offer)| offer.left() >= wanted);
    whole
        .min_by_key(|(index, offer)| (fitting(offer), *index))
        .or_else(|| {
            open().min_by_key(|(index, offer)| (Reverse(offer.left()), from_home(offer), *index))
        })
        .map(|(index, _)| index)
}

/// What a node has to give.
struct Offer {
    node: NodeId,
    /// The CPUs in order, each with its rank among the siblings of its core.
    cpus: Vec<(usize, CpuId)>,
    /// How many of them are taken in this lap.
    taken: usize,
    /// Executors placed here in all laps.
    executors: usize,
}

impl Offer {
    fn left(&self) -> usize {
        self.cpus.len() - self.taken
    }

    /// Gives up to `wanted` CPUs.
    fn take(&mut self, wanted: usize, placements: &mut Vec<Placement>) {
        let count = wanted.min(self.left());
        let given = &self.cpus[self.taken..self.taken + count];
        placements.extend(given.iter().map(|&(_, cpu)| Placement {
            cpu,
            node: self.node,
        }));
        self.taken += count;
        self.executors += count;
    }
}

fn offers(topology: &Topology) -> Vec<Offer> {
    let offer = |node: NodeId| {
        let cores = topology.cores.iter().filter(|core| core.node == node);
        let mut cpus: Vec<_> = cores
            .flat_map(|core| core.cpus.iter().copied().enumerate())
            .collect();
        // Stable: cores stay in hardware order, so neighbours share caches.
        cpus.sort_by_key(|&(rank, _)| rank);
        Offer {
            node,
            cpus,
            taken: 0,
            executors: 0,
        }
    };
    topology.nodes.iter().map(|node| offer(node.id)).collect()
}
