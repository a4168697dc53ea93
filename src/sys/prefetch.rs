//! Asking for a cache line before it is needed.

/// Brings the line of `value` here for writing, if the processor can; changes
/// nothing else.
///
/// A line that another CPU wrote takes 0.1 to 1 µs to arrive, and as long again
/// to become ours if it was only asked for reading: asked for while the one before
/// is worked on, both cost nothing.
#[inline(always)]
pub fn prefetch_for_write<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, for any address; processors
    // that do not know this one take it for a `nop`.
    unsafe {
        core::arch::asm!(
            "prefetchw [{line}]",
            line = in(reg) core::ptr::from_ref(value),
            options(readonly, nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for the line of `value`, to be read soon.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, for any address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
