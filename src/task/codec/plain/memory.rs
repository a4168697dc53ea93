//! Memory for what is read.

use super::super::fault::{Fault, Kind};
use crate::sys;

/// Memory of so many bytes is had in large pages, if there are any: to get each of 16,384
/// small ones takes longer than to fill it.
const HUGE: usize = 4 * 1024 * 1024;

/// An empty list with room for that many.
pub fn with_room<T>(len: usize) -> Result<Vec<T>, Fault> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| no_memory(len))?;
    if len.saturating_mul(size_of::<T>()) >= HUGE {
        sys::advise_huge(list.spare_capacity_mut());
    }
    Ok(list)
}

/// A copy of bytes that others may be writing: what is checked is what is used.
pub fn copy_of(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut copy = with_room(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cold]
pub fn no_memory(len: usize) -> Fault {
    let words = format!("there is no memory for {len} elements of it");
    Fault::new(Kind::Beyond, words)
}
