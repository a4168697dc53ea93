//! What a worker keeps for its tasks, from its init to its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::background::discard;
use crate::sys::OnlyThese;

use super::WorkerState;

/// A worker's state. Tasks may keep references to it for ever, so it is there until nothing
/// of them can run any more.
#[derive(Debug)]
pub struct Kept(AtomicPtr<WorkerState>);

impl Kept {
    /// Nothing.
    pub const fn nothing() -> Self {
        Kept(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Keeps `state`; what was kept before stays as it is, unreachable.
    pub fn keep(&self, state: WorkerState) {
        // ordering: Release pairs with the Acquire in `get`.
        self.0
            .store(Box::into_raw(Box::new(state)), Ordering::Release);
    }

    /// What is kept, if it is a `T`.
    pub fn get<T: Any>(&self) -> Option<&'static T> {
        // ordering: Acquire pairs with the Release in `keep`.
        let state = self.0.load(Ordering::Acquire);
        // SAFETY: it came from a box, and is dropped only when nobody is left who could use it.
        unsafe { state.as_ref() }?.downcast_ref()
    }

    /// Drops what is kept. `alone` proves that no thread is left but the caller, which runs no
    /// task any more, and others that never have.
    pub fn drop_it(&self, alone: &OnlyThese) {
        let _ = alone;
        // ordering: AcqRel: as in `get`; from here on there is none.
        let state = self.0.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if state.is_null() {
            return;
        }
        // SAFETY: it came from a box in `keep`, and was taken out by this swap alone. References
        // to it were given to tasks, and to threads that they have started: the proof says that
        // all these have ended.
        let state = unsafe { Box::from_raw(state) };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(state))) {
            discard(panic);
        }
    }
}
