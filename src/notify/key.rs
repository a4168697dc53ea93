//! What a sleeper has seen before its last look: if that is so no more, it does not sleep.

/// What the word was when its owner decided to sleep.
#[derive(Clone, Copy, Debug)]
#[must_use = "look again at what you wait for, then `wait` with this key"]
pub struct Key(pub(super) u32);
