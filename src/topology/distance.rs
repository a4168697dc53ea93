//! How far apart two executors are, and whom a thief should rob first.
//!
//! Stolen work drags its data along, so the best victim is the one whose caches
//! the thief already shares.
//!
//! ```text
//!   near                                                            far
//!   SameCore < SameCache(2) < SameCache(3) < SameNode < Remote(20) < Remote(32)
//! ```

use serde::Serialize;

use super::{Placement, Topology};

/// What two executors share; a smaller value is nearer.
///
/// ```
/// use pinfold::topology::Proximity;
/// assert!(Proximity::SameCore < Proximity::SameCache(3));
/// assert!(Proximity::SameCache(2) < Proximity::SameCache(3));
/// assert!(Proximity::SameNode < Proximity::Remote(20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proximity {
    /// One physical core: the same CPU, or SMT siblings.
    SameCore,
    /// Different cores behind one cache; the value is the nearest such level.
    SameCache(u8),
    /// One NUMA node and no common cache.
    SameNode,
    /// Different nodes; the value is their relative latency
    /// ([`Topology::distance`]), in which 10 would be local.
    Remote(u32),
}

/// How near executor `a` is to executor `b`.
///
/// ```
/// use pinfold::topology::{Proximity, Topology, place, proximity};
/// let machine = Topology::uniform(2, 1, 1);
/// let seats = place(&machine, 2, 1);
/// assert_eq!(proximity(&machine, seats[0], seats[1]), Proximity::Remote(20));
/// ```
#[must_use]
pub fn proximity(topology: &Topology, a: Placement, b: Placement) -> Proximity {
    Seat::find(topology, a).proximity(topology, &Seat::find(topology, b))
}

/// A placement with its surroundings looked up: comparing all pairs of a large
/// machine would otherwise search the topology once per pair.
struct Seat {
    placement: Placement,
    /// `None` for a CPU the topology does not have.
    core: Option<usize>,
    /// Indices of the caches in front of the CPU, nearest level first.
    caches: Vec<usize>,
}

impl Seat {
    fn find(topology: &Topology, placement: Placement) -> Seat {
        let caches = topology.caches.iter().enumerate();
        let caches = caches.filter(|(_, cache)| cache.cpus.contains(&placement.cpu));
        Seat {
            placement,
            core: topology.core_index(placement.cpu),
            caches: caches.map(|(index, _)| index).collect(),
        }
    }

    fn proximity(&self, topology: &Topology, other: &Seat) -> Proximity {
        let (a, b) = (self.placement, other.placement);
        if a.cpu == b.cpu || (self.core.is_some() && self.core == other.core) {
            return Proximity::SameCore;
        }
        // A cache may span two nodes; what it holds is near wherever its memory is.
        if let Some(&cache) = self
            .caches
            .iter()
            .find(|cache| other.caches.contains(cache))
        {
            return Proximity::SameCache(topology.caches[cache].level);
        }
        if a.node == b.node {
            return Proximity::SameNode;
        }
        Proximity::Remote(topology.distance(a.node, b.node))
    }
}

/// For every executor, all others in the order it should try to steal from:
/// nearest first. Entries are indices into `placements`.
///
/// Equally near victims come in the order of the ring that starts behind the
/// thief, so that thieves that wake together do not all rob the same one.
///
/// ```
/// use pinfold::topology::{Topology, place, steal_order};
/// let machine = Topology::uniform(1, 4, 1);
/// let seats = place(&machine, 4, 1);
/// let order = steal_order(&seats, &machine);
/// assert_eq!(order[0], [1, 2, 3]);
/// assert_eq!(order[2], [3, 0, 1]);
/// ```
#[must_use]
pub fn steal_order(placements: &[Placement], topology: &Topology) -> Vec<Vec<usize>> {
    let seats: Vec<Seat> = placements
        .iter()
        .map(|&seat| Seat::find(topology, seat))
        .collect();
    let count = seats.len();
    let victims_of = |thief: usize| {
        // Start in ring order: the stable sort then keeps it among equals.
        let mut victims: Vec<usize> = (1..count).map(|step| (thief + step) % count).collect();
        victims.sort_by_cached_key(|&victim| seats[thief].proximity(topology, &seats[victim]));
        victims
    };
    (0..count).map(victims_of).collect()
}
