//! The size of an executor's stack, and how much of it is left for tasks that run on top of another.

use std::cell::Cell;
use std::ops::Range;

use crate::sys::{overflow, stack_limit};

/// Stack that must be left when a spawned task is run on top of the one that waits
/// for it, and what is added when there is less.
const STACK_LEFT: usize = 128 * 1024;
const STACK_MORE: usize = 4 * 1024 * 1024;
/// What may lie above the place where a stack was measured, and is part of it still: no more
/// than a page, which lies between any two.
const ABOVE: usize = 4 * 1024;

/// Runs `run` on a stack of `size` bytes, on this thread, the first one of its process. Most
/// often that is the one which it has.
pub(super) fn of_size<T>(size: u64, run: impl FnOnce() -> T) -> T {
    if stack_limit() == Some(size) {
        return run();
    }
    stacker::grow(usize::try_from(size).unwrap_or(STACK_MORE), run)
}

/// What is known of the stack that a thread uses; used by that thread alone.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// Here and above enough is left.
    low: Cell<usize>,
    /// So many bytes above that it is the same stack still; 0: it was not measured.
    extent: Cell<usize>,
}

impl Stack {
    /// Measures the one that the thread uses now, for what is deeper than the caller.
    pub fn measure(&self) {
        let here = place();
        let left = stacker::remaining_stack().unwrap_or(0);
        let end = here.saturating_sub(left);
        overflow::watch(end);
        let low = end + STACK_LEFT;
        self.low.set(low);
        self.extent.set((here + ABOVE).saturating_sub(low));
    }

    /// Whether it is known that enough is left. On a stack that was not measured (a task may
    /// have brought its own) it is not known.
    #[inline]
    pub fn is_known_to_suffice(&self) -> bool {
        place().wrapping_sub(self.low.get()) < self.extent.get()
    }

    /// Runs `run`, on more stack if little is left.
    pub fn with_enough<T>(&self, run: impl FnOnce() -> T) -> T {
        let enough = stacker::remaining_stack().is_some_and(|left| left >= STACK_LEFT);
        if enough {
            return run();
        }
        stacker::grow(STACK_MORE, || {
            let below = Below {
                stack: self,
                low: self.low.get(),
                extent: self.extent.get(),
                end: overflow::rewatch(0..0),
            };
            self.measure();
            let value = run();
            drop(below);
            value
        })
    }
}

/// The stack below one that was added: it is the one in use again when this is dropped.
struct Below<'a> {
    stack: &'a Stack,
    low: usize,
    extent: usize,
    end: Range<usize>,
}

impl Drop for Below<'_> {
    fn drop(&mut self) {
        self.stack.low.set(self.low);
        self.stack.extent.set(self.extent);
        overflow::rewatch(self.end.clone());
    }
}

/// Where on the stack the thread is, nearly.
#[inline(always)]
fn place() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of the stack where it is not known to suffice any more.
    fn left_at_the_end(stack: &Stack) -> usize {
        let frame = std::hint::black_box([1_u8; 4096]);
        let left = if stack.is_known_to_suffice() {
            left_at_the_end(stack)
        } else {
            stacker::remaining_stack().unwrap()
        };
        left + usize::from(std::hint::black_box(frame)[7]) - 1
    }

    #[test]
    fn it_is_known_until_little_is_left() {
        let thread = std::thread::spawn(|| {
            let stack = Stack::default();
            assert!(!stack.is_known_to_suffice(), "not measured");
            stack.measure();
            let ends = STACK_LEFT - 4 * 4096..STACK_LEFT + 4 * 4096;
            assert!(ends.contains(&left_at_the_end(&stack)));
            // Another stack is not the one that was measured.
            assert!(!stacker::grow(1 << 20, || stack.is_known_to_suffice()));
            assert!(ends.contains(&left_at_the_end(&stack)));
        });
        thread.join().unwrap();
    }

    #[test]
    fn more_is_had_when_little_is_left() {
        fn deep(stack: &Stack, frames: usize) -> usize {
            let frame = std::hint::black_box([1_u8; 4096]);
            let deeper = match frames {
                0 => 0,
                _ => stack.with_enough(|| deep(stack, frames - 1)),
            };
            deeper + usize::from(std::hint::black_box(frame)[7])
        }
        let stack = Stack::default();
        stack.measure();
        let measured = (stack.low.get(), stack.extent.get());
        // Several times what one stack has.
        assert_eq!(deep(&stack, 4_000), 4_001);
        assert_eq!((stack.low.get(), stack.extent.get()), measured);
    }
}
