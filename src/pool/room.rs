//! What an allocation does when memory is short ([`super::short`]).
//!
//! Each process caches hints of free blocks. So before an allocation gives up, it issues the hints of all free
//! blocks of that size again, as a recovery does.

use crate::prim::ProcessId;

use super::classes::Class;
use super::hook::Hook;
use super::short::Waiting;
use super::spans::Span;
use super::{BlockState, Inner, Pool};

impl Inner {
    /// Whether somebody waits for what the caller has just freed.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.header.short.is_wanted()
    }

    /// Tells whoever waits.
    #[cold]
    pub(super) fn tell_of_room(&self) {
        self.header.short.count_freed();
        if let Some(ring) = self.ring.get() {
            ring();
        }
    }

    /// A task finds no room: has the host collect. False if there is nobody to be asked.
    #[cold]
    pub(super) fn ask_host(&self) -> bool {
        let ring = self.ring.get().filter(|_| self.me != ProcessId::HOST);
        ring.is_some_and(|ring| self.header.short.ask(&**ring))
    }

    /// Issues the hints of all free blocks of `class` anew: other processes may keep them.
    #[cold]
    pub(super) fn issue_all_hints(&self, class: Class) {
        let mut head = 0;
        while head < self.span_end() {
            let Span::Slab(found) = self.span(head) else {
                head += 1;
                continue;
            };
            if found == class {
                for block in self.slab_blocks(head, class) {
                    if self.state(block) == BlockState::Free {
                        self.set_free_bit(block, class);
                    }
                }
            }
            head += found.slab_spans();
        }
    }
}

impl Pool {
    /// Has the host's bell rung by `ring` when there is news of memory. Once for each process.
    pub fn ring_by(&self, ring: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.ring.set(Hook::new(Box::new(ring)));
    }

    /// From here on whoever frees memory tells of it. Look again afterwards.
    pub fn wait_for_memory(&self) -> Waiting<'_> {
        self.0.header.short.wait()
    }

    /// Changes when memory is freed that somebody waits for.
    #[inline]
    pub fn freed(&self) -> u32 {
        self.0.header.short.freed()
    }

    /// How often tasks have asked.
    #[inline]
    pub fn asks(&self) -> u32 {
        self.0.header.short.asks()
    }

    /// The host has collected, after `asks` was so many.
    pub fn answer(&self, asks: u32) {
        self.0.header.short.answer(asks);
    }

    /// Wakes the attendant, if it sleeps in `wait_for_call`.
    pub fn call_attendant(&self) {
        self.0.header.short.call();
    }

    /// How often it was called.
    pub fn calls(&self) -> u32 {
        self.0.header.short.calls()
    }

    /// Sleeps until it is called, if that has happened `calls` times so far.
    pub fn wait_for_call(&self, calls: u32) {
        self.0.header.short.wait_for_call(calls);
    }
}
