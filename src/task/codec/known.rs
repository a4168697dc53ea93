//! What this process knows about types: which shapes of their values come back as they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many shapes of a type are kept; of types with more the reader compares.
const SHAPES_MAX: usize = 64;
/// Places for what was looked up: a power of two.
const PLACES: usize = 2048;

/// Types and shapes that are well, as one number each, wherever it fell last.
static WELL: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];
/// Everything.
static TYPES: Mutex<BTreeMap<usize, Type>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Default)]
struct Type {
    needs_names: bool,
    well: Vec<u64>,
}

/// What is known about a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// It comes back as it is.
    Well,
    /// Its type needs names.
    Named,
    /// Nothing, and its type has too many to look at each.
    Doubted,
    /// Nothing.
    New,
}

/// A number of both.
#[inline(always)]
fn both(id: usize, shape: u64) -> u64 {
    // The shape is mixed well, and zero means nothing.
    (shape ^ id as u64) | 1
}

#[inline(always)]
fn place(both: u64) -> &'static AtomicU64 {
    &WELL[(both >> 40) as usize % PLACES]
}

/// Whether that shape of that type is known to be well: one load.
#[inline(always)]
pub fn is_known(id: usize, shape: u64) -> bool {
    let both = both(id, shape);
    // Relaxed: the number is all there is to know.
    place(both).load(Ordering::Relaxed) == both
}

fn note_in_place(id: usize, shape: u64) {
    let both = both(id, shape);
    // Relaxed: as above.
    place(both).store(both, Ordering::Relaxed);
}

/// Looks it up where everything is.
pub fn about(id: usize, shape: u64) -> About {
    let types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(known) = types.get(&id) else {
        return About::New;
    };
    if known.needs_names {
        return About::Named;
    }
    if known.well.contains(&shape) {
        note_in_place(id, shape);
        return About::Well;
    }
    if known.well.len() >= SHAPES_MAX {
        return About::Doubted;
    }
    About::New
}

/// It comes back as it is.
pub fn note_well(id: usize, shape: u64) {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = types.entry(id).or_default();
    if !known.well.contains(&shape) && known.well.len() < SHAPES_MAX {
        known.well.push(shape);
    }
    if !known.needs_names {
        note_in_place(id, shape);
    }
}

/// The type needs names, whatever the shape. What is known to be well of it stays so.
pub fn needs_names(id: usize) {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    types.entry(id).or_default().needs_names = true;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::shape::and;
    use super::*;

    #[test]
    fn a_type_has_so_many_shapes_and_no_more() {
        let id = usize::MAX - 7;
        for shape in 0..SHAPES_MAX as u64 {
            let shape = and(shape, 1);
            assert_eq!(about(id, shape), About::New);
            note_well(id, shape);
            assert!(is_known(id, shape));
            assert_eq!(about(id, shape), About::Well);
        }
        assert_eq!(about(id, 5), About::Doubted);
        assert!(!is_known(id, 5));
        needs_names(id);
        assert_eq!(about(id, 5), About::Named);
    }
}
