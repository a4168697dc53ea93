//! Locks between processes: what holds wherever the handles are, and what becomes of locks whose
//! holders die.

mod many;
mod mutex;
mod rwlock;

use std::time::{Duration, Instant};

use pinfold::{Runtime, Shutdown};

/// Nobody waits so long in vain.
const LONG: Duration = Duration::from_secs(60);
/// Nobody is in time.
const SOON: Duration = Duration::from_millis(20);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Waits until nothing is left of shared objects: their blocks are given back.
fn nothing_left(rt: &Runtime) {
    let give_up = Instant::now() + LONG;
    loop {
        let audit = rt.audit();
        let left =
            audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried + audit.blocks_lanes;
        if left == 0 && audit.orphans.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up, "{audit:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether `is` holds in a child that is forked off this process.
#[allow(unsafe_code)]
fn holds_in_a_child(is: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child loads and compares, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = if is() { 0 } else { 1 };
        // SAFETY: it takes a number.
        unsafe { libc::_exit(status) };
    }
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    status == 0
}

/// Ends this worker: without destructors, as a signal would.
fn die() -> ! {
    std::process::abort()
}
