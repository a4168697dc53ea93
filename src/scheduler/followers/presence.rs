//! Whether there is an attendant.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Is never sent: that the sender is dropped is the message.
#[derive(Debug)]
pub enum Never {}

/// Whether there still is an attendant.
#[derive(Debug, Default)]
pub struct Presence(Mutex<Option<Receiver<Never>>>);

impl Presence {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Receiver<Never>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is an attendant from now on, until it drops what is returned.
    pub fn begin(&self) -> Sender<Never> {
        let (presence, left) = channel();
        *self.lock() = Some(left);
        presence
    }

    /// Waits until there is none any more; not longer than `most`.
    pub fn await_end(&self, most: Duration) {
        // Taken out: who waits holds no lock, and the next one has nothing to wait for.
        if let Some(left) = self.lock().take() {
            let _ = left.recv_timeout(most);
        }
    }
}
