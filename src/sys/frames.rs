//! How a thread came to where it is.

/// So many are noted of one stack; of a deeper one the innermost.
pub const FRAMES_MAX: usize = 128;

/// The addresses that this thread will return to, the innermost first.
pub fn return_addresses() -> Vec<usize> {
    let mut found = Vec::with_capacity(FRAMES_MAX);
    // SAFETY: what the caller is to see to, that one thread does it at a time, is for debuggers'
    // libraries of other systems. Here the unwinder walks the thread's own stack, as in a panic.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            found.push(frame.ip().addr());
            found.len() < FRAMES_MAX
        });
    }
    found
}
