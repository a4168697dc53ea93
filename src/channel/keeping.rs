//! A message that was received and keeps its place until somebody says that it was dealt with.

use std::sync::Arc;

use crate::lane::Mine;

/// Who has the places of a channel.
pub trait Keeper: Send + Sync {
    /// The message in this place was dealt with.
    fn acknowledge(&self, place: Mine);

    /// It is received again.
    fn give_back(&self, place: Mine);
}

/// A place that is given back unless it is acknowledged.
pub struct Held {
    keeper: Arc<dyn Keeper>,
    place: Option<Mine>,
    attempt: u32,
}

impl Held {
    /// A place whose message was received for the `attempt`-th time.
    pub fn new(keeper: Arc<dyn Keeper>, place: Mine, attempt: u32) -> Self {
        Held {
            keeper,
            place: Some(place),
            attempt,
        }
    }

    /// The message was dealt with.
    pub fn acknowledge(mut self) {
        if let Some(place) = self.place.take() {
            self.keeper.acknowledge(place);
        }
    }

    /// How often it was received.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.keeper.give_back(place);
        }
    }
}
