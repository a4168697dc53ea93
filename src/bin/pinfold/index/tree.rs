//! The hash of a long chunk, made of units that may be hashed anywhere.
//!
//! BLAKE3 hashes a tree. What lies below one of its inner nodes can be hashed by itself, if it is known where in the
//! chunk it begins; so a chunk is divided into *units* of 1 MiB, and each may be another task:
//!
//! ```text
//! units    [0][1][2][3][4][5][6·       6 of them whole, the last one open
//! nodes     └──┴──┴──┘  └──┘            one for each bit in 6: what is to be remembered
//! root      (0-3) + ((4-5) + 6)
//! ```
//!
//! Pure: no files, no clock.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};
use serde::{Deserialize, Serialize};

/// Bytes in a unit.
pub const UNIT_BYTES: u64 = 1 << 20;

/// An inner node of the tree.
pub type Node = [u8; 32];

/// A hasher for unit number `unit` of a chunk.
pub fn unit_hasher(unit: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(unit * UNIT_BYTES);
    hasher
}

/// The node of a whole unit, which `hasher` has taken in.
pub fn unit_node(hasher: &Hasher) -> Node {
    hasher.finalize_non_root()
}

/// The whole units at a chunk's beginning. At least one byte of the chunk comes after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    count: u64,
    /// The largest nodes that cover them, in order.
    nodes: Vec<Node>,
}

impl Units {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> u64 {
        self.count * UNIT_BYTES
    }

    /// Adds the next one.
    pub fn push(&mut self, mut node: Node) {
        self.count += 1;
        for _ in 0..self.count.trailing_zeros() {
            let left = self.nodes.pop().expect("a node for each bit");
            node = merge_subtrees_non_root(&left, &node, Mode::Hash);
        }
        self.nodes.push(node);
    }

    /// The hash of the chunk that ends with what `last` has taken in.
    fn root(&self, last: &Hasher) -> Hash {
        let Some((first, others)) = self.nodes.split_first() else {
            return last.finalize();
        };
        let right = others
            .iter()
            .rev()
            .fold(last.finalize_non_root(), |right, left| {
                merge_subtrees_non_root(left, &right, Mode::Hash)
            });
        merge_subtrees_root(first, &right, Mode::Hash)
    }
}

/// A chunk being hashed.
#[derive(Debug)]
pub struct Tree {
    /// The units before the one that is open.
    units: Units,
    open: Hasher,
    open_bytes: u64,
}

impl Tree {
    /// Goes on after `units`.
    pub fn new(units: Units) -> Tree {
        Tree {
            open: unit_hasher(units.count),
            units,
            open_bytes: 0,
        }
    }

    /// How many bytes have been taken in.
    pub fn bytes(&self) -> u64 {
        self.units.bytes() + self.open_bytes
    }

    /// How many bytes to the end of the unit that the next byte belongs to.
    pub fn room(&self) -> u64 {
        match UNIT_BYTES - self.open_bytes {
            0 => UNIT_BYTES,
            room => room,
        }
    }

    /// How many units have been taken in, if the last of them is whole.
    pub fn whole(&self) -> Option<u64> {
        (self.open_bytes == UNIT_BYTES).then_some(self.units.count + 1)
    }

    /// Takes in the next bytes of the chunk.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.whole().is_some() {
                self.close();
            }
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
            let (front, rest) = bytes.split_at(room.min(bytes.len()));
            self.open.update(front);
            self.open_bytes += front.len() as u64;
            bytes = rest;
        }
    }

    /// Begins the next unit; the one before is whole.
    fn close(&mut self) {
        self.units.push(unit_node(&self.open));
        self.open = unit_hasher(self.units.count);
        self.open_bytes = 0;
    }

    /// The units taken in, all of them whole. The chunk must go on.
    pub fn into_units(mut self) -> Units {
        assert!(self.whole().is_some(), "the chunk ends within a unit");
        self.close();
        self.units
    }

    /// The hash of a chunk that ends here.
    pub fn root(&self) -> Hash {
        self.units.root(&self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_hash_wherever_the_chunk_ends_and_is_divided() {
        let unit = UNIT_BYTES as usize;
        let bytes: Vec<u8> = (0..7 * unit).map(|at| (at % 251) as u8).collect();
        for whole in [0, 1, 2, 3, 6] {
            for tail in [1, 1025, unit] {
                let chunk = &bytes[..whole * unit + tail];
                let mut apart = Units::default();
                for (number, unit) in chunk[..whole * unit].chunks(unit).enumerate() {
                    apart.push(unit_node(unit_hasher(number as u64).update(unit)));
                }
                let mut tree = Tree::new(apart);
                tree.update(&chunk[whole * unit..]);
                assert_eq!(tree.bytes(), chunk.len() as u64);
                assert_eq!(tree.root(), blake3::hash(chunk), "{whole} units and {tail}");
            }
        }
    }

    #[test]
    fn a_tree_in_odd_pieces_has_the_same_units_and_root() {
        let bytes: Vec<u8> = (0..5 * UNIT_BYTES as usize)
            .map(|at| (at % 249) as u8)
            .collect();
        let mut tree = Tree::new(Units::default());
        for piece in bytes.chunks(300_007) {
            tree.update(piece);
        }
        assert_eq!(tree.root(), blake3::hash(&bytes));
        assert_eq!(tree.whole(), Some(5));
        let mut tree = Tree::new(tree.into_units());
        tree.update(b"more");
        assert_eq!(tree.root(), blake3::hash(&[&bytes[..], b"more"].concat()));
    }
}
