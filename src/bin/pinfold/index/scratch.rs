//! Memory that is used for one file after the other.

use super::file::WINDOW_BYTES;

/// The memory a thread uses for one file after the other.
pub struct Scratch {
    pub window: Box<[u8]>,
    pub head: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            window: vec![0; WINDOW_BYTES].into(),
            head: Vec::new(),
        }
    }
}

impl Scratch {
    /// The memory to read into.
    pub fn window(&mut self) -> &mut [u8] {
        &mut self.window
    }
}
