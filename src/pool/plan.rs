//! Where the pool's tables and its arena lie: pure arithmetic.
//!
//! ```text
//!  +--------+------------+-----------+------------+---------------+----------+--------+
//!  | header | span words | free bits | avail bits | block words   | passages | arena  |
//!  +--------+------------+-----------+------------+---------------+----------+--------+
//!             1 per span   512 bits    1 bit per    512 × (1 + M)   lines of   spans ×
//!                          per span    span and     words per       64 bytes   32 KiB
//!                                      class        span
//! ```
//!
//! * *span word*: the truth of a span (who has it, as what).
//! * *free bits*, *avail bits*: hints; see [`super::blocks`].
//! * *block words*: per block its truth word, then `M` words with one bit per
//!   process that holds it; 32 bits of the last are no process's: see [`super::holders`].
//! * *passages*: which blocks are on their way in messages; see [`super::passage`].
//!
//! All of it is sparse: what is never touched takes no memory.

use super::classes::{COUNT, SLAB_BLOCKS_MAX, SPAN};

/// Words of free bits per span.
pub const MAP_WORDS: usize = SLAB_BLOCKS_MAX.div_ceil(64);

/// Words of a line of the table of passages; the first says how far it reaches.
#[cfg(not(loom))]
pub const LINE: usize = 8;
/// In a model: two places.
#[cfg(loom)]
pub const LINE: usize = 3;

/// The least lines of that table, and the most: of the latter a bit for each page in 32 words.
#[cfg(not(loom))]
const LINES: [usize; 2] = [512, 1 << 17];
/// In a model: few enough that a block has passages in both.
#[cfg(loom)]
const LINES: [usize; 2] = [2, 2];

/// Words with a bit for each page of that table.
#[cfg(not(loom))]
pub const PAGE_WORDS: usize = 32;
/// In a model.
#[cfg(loom)]
pub const PAGE_WORDS: usize = 1;

/// Processes whose bits are in the last holder word.
const LAST_PROCESSES: usize = 32;

/// Offsets and sizes, in bytes from the segment's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Spans of the arena.
    pub spans: usize,
    /// Processes of the fold.
    pub processes: usize,
    /// Holder words per block.
    pub holder_words: usize,
    /// The header.
    pub header: usize,
    /// Span words.
    pub span_words: usize,
    /// Free bits.
    pub free_bits: usize,
    /// Avail bits.
    pub avail_bits: usize,
    /// Block words.
    pub block_words: usize,
    /// Lines of the table of passages, a power of two.
    pub passage_lines: usize,
    /// The table of passages.
    pub passages: usize,
    /// The arena.
    pub arena: usize,
    /// The end of it all.
    pub end: usize,
}

impl PoolPlan {
    /// The plan of a pool of `bytes` of user memory (rounded down to spans) for
    /// `processes` processes, from `offset` on.
    pub fn new(offset: usize, bytes: usize, processes: usize) -> Self {
        let spans = bytes / SPAN;
        let holder_words = (processes + 64 - LAST_PROCESSES).div_ceil(64);
        let passage_lines = spans.next_power_of_two().clamp(LINES[0], LINES[1]);
        let mut at = offset.next_multiple_of(4096);
        let mut zone = |len: usize| {
            let start = at;
            at = (at + len).next_multiple_of(4096);
            start
        };
        let header = zone(4096);
        let span_words = zone(spans * 8);
        let free_bits = zone(spans * MAP_WORDS * 8);
        let avail_bits = zone(COUNT * Self::avail_words_of(spans) * 8);
        let block_words = zone(spans * SLAB_BLOCKS_MAX * (1 + holder_words) * 8);
        let passages = zone(passage_lines * LINE * 8);
        let arena = zone(spans * SPAN);
        // A block's index has 32 bits.
        assert!(spans <= (1 << 32) / SLAB_BLOCKS_MAX, "{bytes} bytes");
        PoolPlan {
            spans,
            processes,
            holder_words,
            header,
            span_words,
            free_bits,
            avail_bits,
            block_words,
            passage_lines,
            passages,
            arena,
            end: at,
        }
    }

    fn avail_words_of(spans: usize) -> usize {
        spans.div_ceil(64)
    }

    /// Words of avail bits per class.
    pub fn avail_words(&self) -> usize {
        Self::avail_words_of(self.spans)
    }

    /// Words per block in the block table.
    #[inline]
    pub fn block_stride(&self) -> usize {
        1 + self.holder_words
    }

    /// Bytes of user memory.
    pub fn capacity(&self) -> usize {
        self.spans * SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_do_not_overlap() {
        for (bytes, processes) in [(1 << 20, 1), (1 << 34, 64), (1 << 30, 129)] {
            let p = PoolPlan::new(5000, bytes, processes);
            let zones = [
                (p.header, 4096),
                (p.span_words, p.spans * 8),
                (p.free_bits, p.spans * MAP_WORDS * 8),
                (p.avail_bits, COUNT * p.avail_words() * 8),
                (
                    p.block_words,
                    p.spans * SLAB_BLOCKS_MAX * p.block_stride() * 8,
                ),
                (p.passages, p.passage_lines * LINE * 8),
                (p.arena, p.capacity()),
                (p.end, 0),
            ];
            assert!(p.header >= 5000);
            for pair in zones.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
                assert_eq!(pair[0].0 % 4096, 0);
            }
            assert!(64 * p.holder_words >= processes + 32);
            assert!(64 * p.holder_words < processes + 32 + 64);
            assert!(p.passage_lines.is_power_of_two());
        }
    }
}
