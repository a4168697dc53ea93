//! What has arrived for pending tasks, and was not handed on.

use crate::scheduler::depend::dependent::Arrival;

/// What has arrived for pending tasks. One thread at a time hands it on, under the lock, and so
/// does one function at a time: nothing recurs.
#[derive(Default)]
pub struct Arrivals {
    list: Vec<Arrival>,
    /// Somebody up the stack hands it on, or will.
    is_held: bool,
}

impl Arrivals {
    /// Whether nothing has arrived.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One more.
    #[inline]
    pub fn push(&mut self, arrival: Arrival) {
        self.list.push(arrival);
    }

    /// Several more.
    pub fn extend(&mut self, arrivals: impl Iterator<Item = Arrival>) {
        self.list.extend(arrivals);
    }

    /// The caller will hand on what arrives from now on; whether somebody up the stack does.
    #[inline]
    pub fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.is_held, true)
    }

    /// It is again as it was before [`Arrivals::hold`].
    #[inline]
    pub fn let_go(&mut self, was_held: bool) {
        self.is_held = was_held;
    }

    /// All of it.
    pub fn take(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.list)
    }

    /// The memory of what was taken is used again, unless something has arrived meanwhile.
    pub fn give_back(&mut self, emptied: Vec<Arrival>) {
        if self.list.is_empty() {
            self.list = emptied;
        }
    }
}
