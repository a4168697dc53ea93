//! How deep a value may be nested.
//!
//! Serde recurses: so does whoever drops the value. Every eighth level looks whether the
//! stack has room for the next ones, and takes more if not; but no value is encoded or
//! decoded that is so deep that its drop would overflow the stack on which it is made.

use super::fault::{Fault, Kind};

/// What a level must leave for the seven after it.
const ROOM: usize = 128 * 1024;
/// How much is taken at a time.
const MORE: usize = 2 * 1024 * 1024;
/// What the drop of a level takes of the stack, at most: two frames without optimization.
const DROP: usize = 96;
/// As deep as this is allowed on any stack.
const ALWAYS: u32 = 512;

/// How deep it is, and may be.
#[derive(Debug, Default)]
pub struct Depth {
    levels: u32,
    /// 0: not measured.
    most: u32,
}

impl Depth {
    /// One level more begins.
    #[inline(always)]
    pub fn enter(&mut self) {
        self.levels += 1;
    }

    /// It ends.
    #[inline(always)]
    pub fn leave(&mut self) {
        self.levels = self.levels.wrapping_sub(1);
    }

    /// Whether what comes next is to be run by [`deeper`].
    #[inline(always)]
    pub fn is_eighth(&self) -> bool {
        self.levels % 8 == 7
    }

    /// Whether so deep is too deep.
    pub fn check(&mut self) -> Result<(), Fault> {
        if self.most == 0 {
            let left = stacker::remaining_stack().unwrap_or(0);
            self.most = u32::try_from(left / DROP).unwrap_or(u32::MAX).max(ALWAYS);
        }
        if self.levels <= self.most {
            return Ok(());
        }
        Err(Fault::new(
            Kind::Beyond,
            format!(
                "{DEEP} {} levels deep, and to drop it would overflow the stack of this thread: send it as a list, or give the thread more stack",
                self.most
            ),
        ))
    }
}

/// Runs `run` on enough stack. What runs is not known here: this is compiled once.
#[cold]
#[inline(never)]
pub fn deeper(run: &mut dyn FnMut()) {
    stacker::maybe_grow(ROOM, MORE, run);
}

/// How the words about what is too deep begin.
pub const DEEP: &str = "it is nested more than";

/// For the drop of what was refused.
const MUCH: usize = 1024 * 1024 * 1024;

/// Runs `run` on a stack of its own, of which only what is used takes memory.
#[cold]
pub fn on_much(run: &mut dyn FnMut()) {
    stacker::grow(MUCH, run);
}
