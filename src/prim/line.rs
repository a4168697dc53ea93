//! A value alone on its cache lines.

/// Puts `T` at the start of its own 128 bytes.
///
/// 128 and not 64: adjacent-line prefetchers fetch lines in pairs. The type is
/// `repr(C)` because it lies in shared memory (crossbeam's `CachePadded`, which
/// we use for process-private data, promises no layout).
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Line<T>(pub T);

impl<T> core::ops::Deref for Line<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

const _: () = assert!(size_of::<Line<u64>>() == 128 && align_of::<Line<u64>>() == 128);
