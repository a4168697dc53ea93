//! Who tells whom: what senders and receivers do at the gates after each step.
//!
//! In a lane that *hands over* (of a channel of capacity 0) a sender waits until its message is taken, at the
//! gate for room; and a select that would send looks whether somebody waits for a message
//! ([`Lane::is_wanted`]), and is told when a receiver begins to wait ([`Lane::tell_wanted`]).

use crate::sys::barrier;

use super::{CellState, Lane, TAIL};

impl Lane {
    /// A message is whole: one that waits for it is woken.
    #[inline]
    pub fn tell_message(&self) {
        barrier::light();
        self.for_message().open_one();
    }

    /// The same, of a message that may have been overtaken by the end. Who was told of that may have found
    /// it being written, and waits for it: each is told again, for one only will have it. Whether it is over.
    #[inline(always)]
    pub fn tell_message_or_end(&self, is_over: impl FnOnce() -> bool) -> bool {
        self.tell_message();
        let is_over = is_over();
        if is_over {
            self.for_message().open_all();
        }
        is_over
    }

    /// It is over, which is to be seen already: all that wait are woken.
    pub fn tell_end(&self) {
        // Pairs with the light one of who sends: either that sees that it is over, or those that are
        // woken see its message.
        barrier::heavy();
        self.for_message().open_all();
        self.for_room().open_all();
    }

    /// A place is empty: one that waits for room is woken; or all, if the lane hands over, for one may wait for
    /// its message to be taken, or is bounded by weight.
    #[inline]
    pub fn tell_room(&self, wakes_all: bool) {
        barrier::light();
        if wakes_all {
            self.for_room().open_all();
        } else {
            self.for_room().open_one();
        }
    }

    /// Whether somebody waits for a message, or did.
    pub fn is_wanted(&self) -> bool {
        self.for_message().is_awaited()
    }

    /// The caller waits for a message that is handed over, and has announced itself: a select that
    /// would send one may.
    pub fn tell_wanted(&self) {
        // Both set their mark, pass a heavy barrier (`prepare`), and look at the other's: one of
        // them sees it. The light one is for where there is no heavy one.
        barrier::light();
        if self.is_wanted() {
            self.for_room().open_all();
        }
    }

    /// A place was claimed. There may be more room, and nobody awake who knows. Asked in this
    /// order: the other end's line is looked at only if somebody sleeps.
    #[inline]
    pub fn pass_room_on(&self) {
        let room = self.for_room();
        if room.is_awaited() && self.is_next_free() {
            room.open_one();
        }
    }

    /// A message was taken. Those behind it may have come while nobody could take them.
    #[inline]
    pub fn pass_messages_on(&self) {
        let message = self.for_message();
        if message.is_awaited() && (self.has_message() || self.may_have_returned()) {
            message.open_one();
        }
    }

    /// Whether the next place to fill is free; there may still be too many that wait. That says its word: the tail may be behind, and so may
    /// the head, if who has moved it last was not the last to take. If it is not free, whoever frees
    /// it tells; if somebody claims it just now, that one asks in turn.
    #[cold]
    fn is_next_free(&self) -> bool {
        match self.hint(TAIL).and_then(|tail| self.next_to_fill(tail)) {
            Ok((_, CellState::Empty | CellState::Skip, _)) => true,
            Ok((place, CellState::Plain, _)) => self.is_done(place).unwrap_or(true),
            Ok(_) => false,
            Err(_) => true, // whoever looks there finds the damage
        }
    }

    /// Whether there is a message in the next place to take, or one that comes to nothing: there may be
    /// one behind it. As for room: if it is not whole yet, whoever fills it tells.
    #[cold]
    pub(super) fn has_message(&self) -> bool {
        match self.head().and_then(|head| self.next_to_take(head)) {
            Ok((place, CellState::Full | CellState::Plain | CellState::Skip, word)) => {
                word.generation == place.lap()
            }
            Ok(_) => false,
            Err(_) => true, // as above
        }
    }
}
