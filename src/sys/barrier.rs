//! A fence whose whole cost is paid by the side that is about to sleep.
//!
//! Sleep and wake need *store, fence, load* on both sides (Dekker). The waker's
//! side runs once per task and the sleeper's once per sleep, so the sleeper buys
//! the fence for both: `membarrier(GLOBAL_EXPEDITED)` makes every running thread
//! of every registered process pass through a full barrier. The waker's side is
//! then only a promise to the compiler.
//!
//! Where the kernel refuses (old, or a seccomp filter), both sides use an
//! ordinary full fence. All processes of a fold must use the same mode, so the
//! host probes once and the choice travels in the segment's header.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

const MEMBARRIER_CMD_GLOBAL_EXPEDITED: i32 = 1 << 1;
const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;

/// Whether `light` may rely on `heavy` (see [`register`]).
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

fn membarrier(command: i32) -> bool {
    // SAFETY: membarrier takes no pointers; an unknown command is an error.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Registers this process for expedited barriers; true if the kernel agreed.
///
/// Does not yet change what [`light`] does: the fold has to agree first.
pub fn register() -> bool {
    membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
}

/// Makes [`light`] cheap and [`heavy`] dear. Call it only after [`register`]
/// returned true in *every* process of the fold, or before any other exists.
pub fn use_asymmetric() {
    // ordering: set once at start, before this process publishes or sleeps.
    ASYMMETRIC.store(true, Ordering::Relaxed);
}

/// Whether this process registered and relies on expedited barriers.
#[inline]
pub fn is_asymmetric() -> bool {
    // Relaxed: written once before any use, see `use_asymmetric`.
    ASYMMETRIC.load(Ordering::Relaxed)
}

/// The waker's side, between publishing and looking for sleepers.
/// It pairs with [`heavy`].
#[inline]
pub fn light() {
    if is_asymmetric() {
        // ordering: the sleeper's `heavy` interrupts this CPU with a full barrier.
        compiler_fence(Ordering::SeqCst);
    } else {
        // ordering: pairs with the fence in `heavy`.
        fence(Ordering::SeqCst);
    }
}

/// The sleeper's side, between announcing the sleep and the last look.
/// It pairs with [`light`].
pub fn heavy() {
    if !try_heavy() {
        // Registration succeeded, so the call cannot fail later but by a seccomp
        // filter that a task installed. Sleeping would then risk a lost wake-up.
        tracing::error!("membarrier was refused after it had been accepted");
    }
}

/// The same; false if the kernel has refused it.
pub fn try_heavy() -> bool {
    // ordering: pairs with the fence in `light`; in asymmetric mode the system
    // call puts that fence into every running thread of the fold.
    fence(Ordering::SeqCst);
    !is_asymmetric() || membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}
