//! Which sizes the pool hands out: pure arithmetic.
//!
//! ```text
//!  64 80 96 112 | 128 160 192 224 | 256 320 … | … 98304 114688 | 131072
//! ```
//!
//! Four classes per doubling, so a block is less than 25% larger than what was
//! asked for (from 64 bytes on). A class lives in *slabs* of 1, 4 or 16 spans, of
//! which each holds at least four blocks. What is larger than the greatest class
//! is a *run* of whole spans.

#[cfg(not(loom))]
mod numbers {
    /// Bytes of a span, the unit in which the arena is divided.
    pub const SPAN: usize = 32 * 1024;
    /// The greatest block that comes from a slab.
    pub const MAX: usize = 128 * 1024;
    /// How many classes there are.
    pub const COUNT: usize = 45;
    /// Up to which block size a slab has how many spans.
    pub const SLAB_SPANS: [(usize, usize); 3] = [(4096, 1), (32_768, 4), (MAX, 16)];
    /// Bytes of free blocks of a class that a thread keeps at hand.
    pub const CACHE: usize = 64 * 1024;
}
/// In a model: 3 blocks of 64 bytes or 2 of 96 to a span, and 3 of 128 to two.
#[cfg(loom)]
#[allow(missing_docs)]
mod numbers {
    pub const SPAN: usize = 192;
    pub const MAX: usize = 128;
    pub const COUNT: usize = 5;
    pub const SLAB_SPANS: [(usize, usize); 3] = [(64, 1), (96, 1), (MAX, 2)];
    pub const CACHE: usize = 64;
}
use numbers::{CACHE, SLAB_SPANS};
pub use numbers::{COUNT, MAX, SPAN};

/// The smallest block.
pub const MIN: usize = 64;
/// The most blocks a slab holds.
pub const SLAB_BLOCKS_MAX: usize = SPAN / MIN;

/// A size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// The smallest class that holds `len` bytes; `None` when only a run does.
    #[inline]
    pub fn of(len: usize) -> Option<Class> {
        if len <= MIN {
            return Some(Class(0));
        }
        if len > MAX {
            return None;
        }
        // len - 1 lies in [2^k, 2^(k+1)): four steps of 2^(k-2) in between.
        let k = (len - 1).ilog2();
        let step = ((len - 1) >> (k - 2)) & 3;
        Some(Class(((k - 6) * 4 + step as u32 + 1) as u8))
    }

    /// The class of this number, if there is one.
    #[inline]
    pub fn from_index(index: u64) -> Option<Class> {
        (index < COUNT as u64).then_some(Class(index as u8))
    }

    /// Its number, below [`COUNT`].
    #[inline]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Bytes of a block.
    #[inline]
    pub fn size(self) -> usize {
        NUMBERS[self.index()].size as usize
    }

    /// Spans of a slab.
    #[inline]
    pub fn slab_spans(self) -> usize {
        NUMBERS[self.index()].slab_spans as usize
    }

    /// Blocks of a slab.
    #[inline]
    pub fn slab_blocks(self) -> usize {
        NUMBERS[self.index()].slab_blocks as usize
    }

    /// How many free blocks a thread keeps at hand.
    #[inline]
    pub fn cache_max(self) -> usize {
        NUMBERS[self.index()].cache_max as usize
    }
}

/// What is asked of a class with every block, and would take divisions.
#[derive(Clone, Copy)]
struct Numbers {
    size: u32,
    slab_spans: u32,
    slab_blocks: u32,
    cache_max: u32,
}

static NUMBERS: [Numbers; COUNT] = {
    let mut numbers = [Numbers::of(0); COUNT];
    let mut class = 1;
    while class < COUNT {
        numbers[class] = Numbers::of(class);
        class += 1;
    }
    numbers
};

impl Numbers {
    const fn of(class: usize) -> Self {
        let (doublings, step) = (class / 4, class % 4);
        let size = (MIN << doublings) + step * ((MIN / 4) << doublings);
        let [small, middle, large] = SLAB_SPANS;
        let slab_spans = match size {
            _ if size <= small.0 => small.1,
            _ if size <= middle.0 => middle.1,
            _ => large.1,
        };
        let cache_max = match CACHE / size {
            0 => 1,
            some if some > 128 => 128,
            some => some,
        };
        Numbers {
            size: size as u32,
            slab_spans: slab_spans as u32,
            slab_blocks: (slab_spans * SPAN / size) as u32,
            cache_max: cache_max as u32,
        }
    }
}

/// Spans of a run that holds `len` bytes.
pub fn run_spans(len: usize) -> usize {
    len.div_ceil(SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_fits_with_little_waste() {
        for len in 1..=MAX {
            let size = Class::of(len).expect("a class").size();
            assert!(size >= len, "{len} in {size}");
            assert!(len < MIN || size * 4 < len * 5, "{len} wastes in {size}");
        }
        assert_eq!(Class::of(MAX + 1), None);
    }

    #[test]
    fn classes_ascend_and_slabs_hold_four() {
        for index in 0..COUNT {
            let class = Class::from_index(index as u64).expect("in range");
            assert_eq!(Class::of(class.size()), Some(class));
            assert!((4..=SLAB_BLOCKS_MAX).contains(&class.slab_blocks()));
            assert_eq!(class.size() % 16, 0, "aligned");
        }
        assert_eq!(Class::from_index(COUNT as u64), None);
        assert_eq!(
            Class::from_index(COUNT as u64 - 1).map(Class::size),
            Some(MAX)
        );
    }

    #[test]
    fn runs_waste_less_than_a_quarter() {
        for len in (MAX + 1..MAX * 9).step_by(1000) {
            let size = run_spans(len) * SPAN;
            assert!(size >= len && size * 4 < len * 5, "{len} in {size}");
        }
    }
}
