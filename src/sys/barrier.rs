//! A fence whose whole cost is paid by the side that is about to sleep.
//!
//! Sleep and wake need *store, fence, load* on both sides (Dekker). The waker's
//! side runs once per task and the sleeper's once per sleep, so the sleeper buys
//! the fence for both: `membarrier(GLOBAL_EXPEDITED)` makes every running thread
//! of every registered process pass through a full barrier. The waker's side is
//! then only a promise to the compiler.
//!
//! Where the kernel refuses (old, or a seccomp filter), both sides use an
//! ordinary full fence. All processes of a fold must do the same, so the host decides
//! ([`settle`]) before each zygote, and tells it.
//!
//! A process may put itself into a sandbox later, so what worked once may be refused:
//!
//! | who | has | does from then on |
//! | --- | --- | --- |
//! | host | workers that count on it being interrupted | is interrupted as before: that needs no call of its own |
//! | host | to interrupt those workers | waits until what they have stored is seen (`DRAIN`) |
//! | host | a new zygote | full fences on both sides, as it tells the zygote |

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const MEMBARRIER_CMD_GLOBAL_EXPEDITED: i32 = 1 << 1;
const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;

/// Whether `light` may rely on `heavy`.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);
/// Whether any process may rely on this one's `heavy`: never taken back.
static RELIED_ON: AtomicBool = AtomicBool::new(false);
/// Whether `settle` has decided; held while it does.
static SETTLED: Mutex<bool> = Mutex::new(false);

/// What a CPU has stored is seen by all within microseconds, whatever it does. To wait for
/// so long stands for a barrier that the kernel refuses all of a sudden.
const DRAIN: Duration = Duration::from_micros(500);

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
    RELIED_ON.store(true, Ordering::Relaxed);
    // ordering: as above.
    ASYMMETRIC.store(true, Ordering::Relaxed);
}

/// In a host, before it starts processes: whether they and the host use expedited barriers.
/// Decided the first time; later it can only be that they do so no more.
pub fn settle() -> bool {
    let mut settled = SETTLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *settled, true) {
        if register() && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
            use_asymmetric();
        }
    } else if is_asymmetric() && !membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
        crate::background::log(|| {
            tracing::warn!("membarrier is refused from now on: waking takes a full fence");
        });
        // Relaxed: a full fence is right for those that were started before, too; those
        // that are started next begin long after.
        ASYMMETRIC.store(false, Ordering::Relaxed);
    }
    is_asymmetric()
}

/// Whether this process registered and relies on expedited barriers.
#[inline]
pub fn is_asymmetric() -> bool {
    // Relaxed: see `use_asymmetric` and `settle`.
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
    // ordering: pairs with the fence in `light`; in asymmetric mode the system
    // call puts that fence into every running thread of the fold.
    fence(Ordering::SeqCst);
    // Relaxed: written before anybody relies on it.
    if RELIED_ON.load(Ordering::Relaxed) && !membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
        std::thread::sleep(DRAIN);
    }
}
