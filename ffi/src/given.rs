//! What a call or a message has for C: ends of channels, and other objects.
//!
//! ```text
//!   own ──asked for──▶ given (the handle) ──asked for again──▶ given (another handle of the same)
//!                        └─ the handle was freed, or is of what has one owner: refused
//! ```
//!
//! So what was asked for is C's alone: when it frees the last sender, say, there is none.

use parking_lot::Mutex;

use crate::PinfoldStatus;
use crate::error::Failure;

enum Place<T> {
    Own(T),
    /// The handle that C was given last.
    Given(usize),
}

/// Things of one sort, by their numbers.
pub(crate) struct Given<T>(Mutex<Vec<Place<T>>>);

impl<T> Default for Given<T> {
    fn default() -> Self {
        Given(Mutex::default())
    }
}

impl<T> Given<T> {
    pub(crate) fn of(all: Vec<T>) -> Self {
        Given(Mutex::new(all.into_iter().map(Place::Own).collect()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// C's handle of one of them, made by `make`. If it was asked for before, `again` says what there is behind the
    /// handle that it got then. `what` it is, and `whose`, for errors.
    pub(crate) fn handle(
        &self,
        index: usize,
        (what, whose): (&str, &str),
        make: impl FnOnce(T) -> Result<usize, Failure>,
        again: impl FnOnce(usize) -> Result<T, Failure>,
    ) -> Result<usize, Failure> {
        let mut all = self.0.lock();
        let count = all.len();
        let Some(place) = all.get_mut(index) else {
            return Err(Failure::argument(format!(
                "there is no {what} {index}: the {whose} has {count}"
            )));
        };
        let it = match std::mem::replace(place, Place::Given(0)) {
            Place::Own(it) => it,
            Place::Given(handle) => {
                *place = Place::Given(handle);
                again(handle).map_err(|_| {
                    let why = "was asked for before, and has one owner, or its handle was freed";
                    Failure::new(PinfoldStatus::Moved, format!("{what} {index} {why}"))
                })?
            }
        };
        let handle = make(it)?;
        *place = Place::Given(handle);
        Ok(handle)
    }
}
