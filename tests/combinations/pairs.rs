//! Cases in which each two choices of different dimensions meet at least once.

use std::collections::BTreeSet;

use crate::rng::Rng;

/// One choice of each dimension.
pub type Row = Vec<usize>;

/// A choice of one dimension, and one of another after it.
type Pair = (usize, usize, usize, usize);

fn pairs(row: &[usize]) -> impl Iterator<Item = Pair> + '_ {
    let all = 0..row.len();
    all.flat_map(move |a| (a + 1..row.len()).map(move |b| (a, row[a], b, row[b])))
}

/// Rows for dimensions of so many choices each; greedily as few as come easily.
pub fn covering(sizes: &[usize], rng: &mut Rng) -> Vec<Row> {
    let mut missing: BTreeSet<Pair> = BTreeSet::new();
    for a in 0..sizes.len() {
        for b in a + 1..sizes.len() {
            for x in 0..sizes[a] {
                missing.extend((0..sizes[b]).map(|y| (a, x, b, y)));
            }
        }
    }
    let mut rows = Vec::new();
    while !missing.is_empty() {
        let must = *missing
            .iter()
            .nth(rng.below(missing.len()))
            .expect("some are");
        let best = (0..16)
            .map(|_| {
                let mut row: Row = sizes.iter().map(|size| rng.below(*size)).collect();
                (row[must.0], row[must.2]) = (must.1, must.3);
                row
            })
            .max_by_key(|row| pairs(row).filter(|pair| missing.contains(pair)).count())
            .expect("sixteen");
        pairs(&best).for_each(|pair| {
            missing.remove(&pair);
        });
        rows.push(best);
    }
    rows
}
