//! Keys, buckets of keys, and what each receiver bids for a bucket: numbers, and nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Where the bucket is in a header.
pub const BUCKET: u32 = 49;
/// Buckets are numbered from 1 on.
const BUCKETS: u64 = (1 << (u64::BITS - BUCKET)) - 1;

/// In which bucket a key is: the same in all processes of a program.
pub fn bucket_of(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    1 + hasher.finish() % BUCKETS
}

/// What receiver `number` bids for a bucket: as good as random.
pub fn bid(bucket: u64, number: usize) -> u64 {
    let mut word = (bucket << 32 ^ number as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn winner(bucket: u64, receivers: impl Iterator<Item = usize>) -> usize {
        let best = receivers.max_by_key(|number| bid(bucket, *number));
        best.expect("some")
    }

    #[test]
    fn buckets_are_shared_out_evenly_and_few_move() {
        for receivers in [2, 3, 8, 50] {
            let owners: Vec<_> = (1..=BUCKETS)
                .map(|bucket| winner(bucket, 0..receivers))
                .collect();
            let share = BUCKETS as f64 / receivers as f64;
            for receiver in 0..receivers {
                let count = owners.iter().filter(|owner| **owner == receiver).count() as f64;
                assert!((count - share).abs() < 0.2 * share, "{receivers}: {count}");
            }
            // One goes: only what it had moves. One comes: it gets its share, and nobody else more.
            for (bucket, owner) in (1..).zip(&owners) {
                let without = winner(bucket, (0..receivers).filter(|number| *number != 1));
                assert!(without == *owner || *owner == 1);
                let with = winner(bucket, 0..receivers + 1);
                assert!(with == *owner || with == receivers);
            }
        }
    }

    #[test]
    fn keys_are_spread_over_the_buckets() {
        let used: std::collections::HashSet<_> =
            (0..10_000_u32).map(|key| bucket_of(&key)).collect();
        // As many as of 10,000 draws from 32,767 should be different.
        assert!(used.len() > 8300, "{}", used.len());
        assert!(used.iter().all(|bucket| (1..=BUCKETS).contains(bucket)));
        assert_eq!(bucket_of("Ada"), bucket_of(&"Ada".to_owned()));
    }
}
