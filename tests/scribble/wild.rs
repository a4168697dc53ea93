//! The wild task.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

/// A small generator of random numbers (xorshift64*).
pub struct Rng(u64);

impl Rng {
    /// Its sequence is a function of `seed`.
    pub fn new(seed: u64) -> Self {
        // Spread, so that small seeds differ in all bits; never zero.
        Rng(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// The segment, as this process has mapped it: address and length.
fn segment() -> Option<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps
        .lines()
        .find(|line| line.contains("memfd:pinfold ") && line.contains(" rw-s "))?;
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    let from = usize::from_str_radix(from, 16).ok()?;
    let to = usize::from_str_radix(to, 16).ok()?;
    Some((from, to - from))
}

/// Writes over the segment in one of several manners, and then ends in one of several
/// ways: all chosen by `seed`.
pub fn scribble(seed: u64) {
    let Some((base, len)) = segment() else {
        return;
    };
    let mut rng = Rng::new(seed ^ 0x5eed);
    let words = len as u64 / 8;
    let writes = 1 << rng.below(14);
    let manner = rng.below(6);
    // Around what messages, values and data consist of: heads, cells, seats, the words of locks.
    let marks = match rng.below(3) {
        0 => marked(base, words),
        _ => Vec::new(),
    };
    match rng.below(4) {
        // Goes on scribbling, in a thread of its own, after the task has ended.
        0 => {
            std::thread::spawn(move || {
                let end = Instant::now() + Duration::from_millis(30);
                while Instant::now() < end {
                    write(&mut rng, base, words, &marks, 64, manner);
                }
                std::process::abort();
            });
        }
        1 => write(&mut rng, base, words, &marks, writes, manner),
        2 => {
            write(&mut rng, base, words, &marks, writes, manner);
            std::process::abort();
        }
        _ => {
            write(&mut rng, base, words, &marks, writes, manner);
            std::process::exit(0);
        }
    }
}

/// What shared objects are filled with in this test.
pub const MARK: u64 = 0x5c51_bb1e_0b1e_c700;

/// Where that is, of all words; a few of them.
fn marked(base: usize, words: u64) -> Vec<u64> {
    let is_marked = |at: &u64| {
        let word = std::ptr::with_exposed_provenance::<u64>(base + *at as usize * 8);
        // SAFETY: aligned, and inside the mapping that this process has.
        unsafe { word.read_volatile() >> 8 == MARK >> 8 }
    };
    (0..words).filter(is_marked).take(500).collect()
}

fn write(rng: &mut Rng, base: usize, words: u64, marks: &[u64], writes: u64, manner: u64) {
    for n in 0..writes {
        // The tables are at the beginning; bytes of users are most of the rest.
        let at = match rng.below(3) {
            // Few, so that something is left.
            _ if !marks.is_empty() && n < 40 => {
                let mark = marks[rng.below(marks.len() as u64) as usize];
                (mark + rng.below(96)).saturating_sub(80).min(words - 1)
            }
            _ if !marks.is_empty() => return,
            0 => rng.below(words),
            1 => rng.below(words) / (1 + rng.below(64)),
            _ => rng.below(words.min(1 << 14)),
        };
        let from = rng.below(words.min(1 << 14));
        let word = |at: u64| std::ptr::with_exposed_provenance_mut::<u64>(base + at as usize * 8);
        // SAFETY: aligned, and inside the mapping that this process has; that others
        // read and write it at the same time is the point of it.
        unsafe {
            let value = match manner {
                // Anything.
                0 => rng.next(),
                1 => u64::MAX,
                2 => 0,
                // Almost right: one bit, one more, somebody else's.
                3 => word(at).read_volatile() ^ 1 << rng.below(64),
                4 => word(at).read_volatile().wrapping_add(1),
                _ => word(from).read_volatile(),
            };
            word(at).write_volatile(value);
        }
    }
}
