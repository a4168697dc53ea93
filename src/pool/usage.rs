//! How much of the pool is in use: a plain count, changing nothing.

use super::block::BlockState;
use super::classes::{COUNT, Class, SPAN};
use super::spans::Span;
use super::{Inner, Pool};

/// What blocks of one size there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// Bytes of each block; 0 for runs, of which each has its own size.
    pub size: usize,
    /// Blocks, used or not.
    pub blocks: usize,
    /// Blocks in use.
    pub in_use: usize,
    /// Bytes of the arena that they take.
    pub bytes: usize,
}

/// Blocks in use, by state and by size class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Loaned, shared, carried.
    pub by_state: [usize; 3],
    /// Classes of which there are blocks, the smallest first; runs come last.
    pub classes: Vec<ClassUse>,
}

impl Pool {
    /// Counts every block. What changes hands meanwhile is counted as it was or as it
    /// will be.
    pub fn usage(&self) -> PoolUse {
        let pool = &self.0;
        let mut by_state = [0; 3];
        // The place behind the classes is that of the runs.
        let mut classes = [ClassUse::default(); COUNT + 1];
        for (index, class) in classes.iter_mut().enumerate() {
            class.size = Class::from_index(index as u64).map_or(0, Class::size);
        }
        let mut count = |index: usize, block, bytes| {
            let class = &mut classes[index];
            class.blocks += 1;
            class.bytes += bytes;
            if let Some(state) = Inner::used_as(pool.state(block)) {
                class.in_use += 1;
                by_state[state] += 1;
            }
        };
        for head in 0..pool.span_end() {
            match pool.span(head) {
                Span::Slab(class) => pool
                    .slab_blocks(head, class)
                    .for_each(|block| count(class.index(), block, class.size())),
                Span::Run(spans) => count(COUNT, pool.block_at(head, 0), spans * SPAN),
                Span::Other(_) => {}
            }
        }
        PoolUse {
            by_state,
            classes: classes
                .into_iter()
                .filter(|class| class.blocks > 0)
                .collect(),
        }
    }

    /// Blocks in use, by state: what `Loaned`, `Shared` and `Carried` add up to.
    #[cfg(test)]
    pub fn in_use(&self) -> [usize; 3] {
        self.usage().by_state
    }
}

impl Inner {
    fn used_as(state: BlockState) -> Option<usize> {
        match state {
            // Its own channel's: nobody else may write it.
            BlockState::Loaned | BlockState::Lane => Some(0),
            BlockState::Shared => Some(1),
            BlockState::Carried => Some(2),
            BlockState::Absent | BlockState::Free | BlockState::Damaged => None,
        }
    }
}
