//! Seats of subscribers: who has one, how far each has read, and what all have read.

use crate::prim::Word;
use crate::prim::atomic::{AtomicU64, Ordering, fence};
use crate::sys::barrier;

use super::{
    BITS, CURSOR, CellState, Damaged, Feed, Found, KEEPS, LAGGED, LOW, Next, NotNow, Place, SEAT,
    SEATS_AT, Seat, SeatState, ahead,
};

impl Feed {
    fn bits(&self) -> &[AtomicU64] {
        &self.words[BITS..BITS + self.seats.div_ceil(64)]
    }

    pub(super) fn seat(&self, number: u32) -> &[AtomicU64] {
        &self.words[SEATS_AT + number as usize * SEAT..][..SEAT]
    }

    /// Whether anybody has subscribed.
    #[inline]
    pub fn has_subscribers(&self) -> bool {
        // ordering: Acquire: who was told of a subscription sees its bit.
        let mut bits = self.bits().iter();
        bits.any(|bits| bits.load(Ordering::Acquire) != 0)
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        // Relaxed: a count.
        let bits = self.bits().iter();
        let count = bits.map(|bits| bits.load(Ordering::Relaxed).count_ones() as usize);
        count.sum()
    }

    /// The first place that not all have read, if that is before `bound`: all places before
    /// that are claimed. `None` if it is `low`.
    fn lowest(&self, low: u64, bound: u64) -> Option<u64> {
        let mut lowest = bound;
        for (at, bits) in self.bits().iter().enumerate() {
            // ordering: Acquire pairs with the Release in `start`: the cursor is set.
            let mut bits = bits.load(Ordering::Acquire);
            while bits != 0 {
                let number = at * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if number >= self.seats {
                    continue;
                }
                // ordering: Acquire pairs with the Release in `take`: it has read.
                let cursor = self.seat(number as u32)[CURSOR].load(Ordering::Acquire);
                let cursor = self.over_gaps(number as u32, cursor, lowest);
                lowest = lowest.min(cursor);
                if lowest <= low {
                    return None;
                }
            }
        }
        (lowest > low).then_some(lowest)
    }

    /// Where the subscriber in a seat that has read up to `cursor` reads on, if that is before `bound`.
    /// It need not come and see that there is nothing in a place: its cursor is moved beyond.
    fn over_gaps(&self, number: u32, mut cursor: u64, bound: u64) -> u64 {
        while cursor < bound {
            let (state, word) = self.load(cursor);
            if state != CellState::Skip || ahead(word.generation, cursor) != 0 {
                break;
            }
            if !self.step(number, cursor, cursor + 1) {
                // ordering: Acquire as in `lowest`.
                cursor = self.seat(number)[CURSOR].load(Ordering::Acquire);
                continue;
            }
            cursor += 1;
        }
        cursor
    }

    /// Looks who has read how far, and lets go of what all have read. All places before `bound`
    /// are claimed. Whether there is more room now.
    pub fn advance(&self, bound: u64, let_go: &dyn Fn(Place)) -> bool {
        // ordering: pairs with itself, and with that in `start`: of two readers that were the last
        // ones one sees that the other has read; and see the top of the module.
        fence(Ordering::SeqCst);
        let mut low = self.low();
        while let Some(lowest) = self.lowest(low, bound) {
            // ordering: Release pairs with the Acquire in `low`.
            let raised =
                self.words[LOW].compare_exchange(low, lowest, Ordering::AcqRel, Ordering::Acquire);
            match raised {
                Ok(_) => {
                    // Not all if somebody has spoilt it.
                    for place in low.max(lowest.saturating_sub(self.capacity))..lowest {
                        self.let_go_of(place, let_go);
                    }
                    return true;
                }
                Err(now) => low = now,
            }
        }
        false
    }

    /// A message that all have read, if it keeps memory.
    pub(super) fn let_go_of(&self, place: u64, let_go: &dyn Fn(Place)) {
        let (state, word) = self.load(place);
        let is_it = state == CellState::Full && ahead(word.generation, place) == 0;
        if is_it
            && self.header(Place(place)) & KEEPS != 0
            && self.change(word, place, CellState::Freeing)
        {
            let_go(Place(place));
            self.set(place, CellState::Free);
        }
    }

    /// A seat for one more subscriber; `None` if all are taken.
    pub fn join(&self) -> Option<Seat> {
        for number in 0..self.seats as u32 {
            let word = &self.seat(number)[0];
            // Relaxed: the compare-and-swap decides.
            let raw = word.load(Ordering::Relaxed);
            let free = Word::unpack(raw);
            if free.state != SeatState::Free as u8 {
                continue;
            }
            let generation = free.generation;
            let ours = Word::new(SeatState::Joining as u8, self.me.0, generation);
            // ordering: AcqRel: Acquire pairs with the Release in `leave`.
            let won = word.compare_exchange(raw, ours.pack(), Ordering::AcqRel, Ordering::Relaxed);
            if won.is_ok() {
                return Some(Seat { number, generation });
            }
        }
        None
    }

    /// It will have no subscriber after all.
    pub fn give_up(&self, seat: Seat) {
        let free = Word::new(SeatState::Free as u8, 0, seat.generation.next());
        // ordering: Release as in `leave`.
        self.seat(seat.number)[0].store(free.pack(), Ordering::Release);
    }

    /// From now on all messages are for the subscriber in this seat as well. What gives the seat
    /// back, if this process dies, is there already. Whether there is more room now than a publisher
    /// may have seen that looked meanwhile.
    pub fn start(&self, seat: Seat, let_go: &dyn Fn(Place)) -> Result<bool, Damaged> {
        let words = self.seat(seat.number);
        // Relaxed: the bit publishes it.
        words[LAGGED].store(0, Ordering::Relaxed);
        words[CURSOR].store(self.low(), Ordering::Relaxed);
        let taken = Word::new(SeatState::Taken as u8, 0, seat.generation);
        // ordering: Release: as the bit that follows.
        words[0].store(taken.pack(), Ordering::Release);
        let bit = 1 << (seat.number % 64);
        // ordering: AcqRel: Release pairs with the Acquire in `lowest`.
        self.bits()[seat.number as usize / 64].fetch_or(bit, Ordering::AcqRel);
        // ordering: pairs with that in `advance`: see the top of the module.
        fence(Ordering::SeqCst);
        let tail = self.tail()?;
        // ordering: Release as in `take`.
        words[CURSOR].store(tail, Ordering::Release);
        // Until now it held back whoever looked for room, though it wants nothing that was there.
        barrier::light();
        Ok(self.for_room.is_awaited() && self.advance(tail, let_go))
    }

    /// The subscriber is gone. May be done twice.
    pub fn leave(&self, seat: Seat) {
        let words = self.seat(seat.number);
        let taken = Word::new(SeatState::Taken as u8, 0, seat.generation).pack();
        // ordering: Acquire pairs with the Release of who had the seat before.
        if words[0].load(Ordering::Acquire) != taken {
            return;
        }
        let bit = 1 << (seat.number % 64);
        // ordering: AcqRel: whatever it has read was read before.
        self.bits()[seat.number as usize / 64].fetch_and(!bit, Ordering::AcqRel);
        let free = Word::new(SeatState::Free as u8, 0, seat.generation.next());
        // ordering: Release: who has the seat next comes after the bit was cleared.
        let _ = words[0].compare_exchange(taken, free.pack(), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// What the subscriber in this seat reads next.
    pub fn next(&self, seat: Seat) -> Result<Next, NotNow> {
        let cursor = &self.seat(seat.number)[CURSOR];
        loop {
            // ordering: Acquire pairs with the Release in `start` and `take`.
            let place = cursor.load(Ordering::Acquire);
            let (state, word) = self.load(place);
            let ahead = ahead(word.generation, place);
            if state == CellState::Damaged || ahead % self.capacity as i64 != 0 {
                return Err(Damaged { place, word }.into());
            }
            match state {
                _ if ahead < 0 => return Err(NotNow::Wait),
                CellState::Full if ahead == 0 => {
                    let word = word.pack();
                    return Ok(Next::Message(Found { place, word }));
                }
                CellState::Writing if ahead == 0 => return Err(NotNow::Soon),
                CellState::Skip if ahead == 0 => {
                    self.step(seat.number, place, place + 1);
                }
                // It was overwritten, or is about to be; or another has read it by this seat.
                _ => {
                    let oldest = self.tail()?.saturating_sub(self.capacity);
                    let to = oldest.max(place + 1);
                    if self.step(seat.number, place, to) {
                        let lagged = &self.seat(seat.number)[LAGGED];
                        // Relaxed: a count.
                        lagged.fetch_add(to - place, Ordering::Relaxed);
                        return Ok(Next::Lagged(to - place));
                    }
                }
            }
        }
    }

    /// Whether [`next`](Self::next) has something to say but to wait.
    pub fn has_next(&self, seat: Seat) -> bool {
        let cursor = &self.seat(seat.number)[CURSOR];
        loop {
            // ordering: Acquire as in `next`.
            let place = cursor.load(Ordering::Acquire);
            let (state, word) = self.load(place);
            match (state, ahead(word.generation, place)) {
                (CellState::Damaged, _) => return true,
                (_, ..0) | (CellState::Writing, 0) => return false,
                (CellState::Skip, 0) => {
                    self.step(seat.number, place, place + 1);
                }
                _ => return true,
            }
        }
    }

    fn step(&self, number: u32, from: u64, to: u64) -> bool {
        let cursor = &self.seat(number)[CURSOR];
        // ordering: Release pairs with the Acquire in `lowest`: what was there was read.
        let moved = cursor.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        moved.is_ok()
    }

    /// Whether the message is still what it was when it was found: what was read of it since is whole.
    pub fn is_still(&self, found: Found) -> bool {
        // ordering: pairs with the Release in `claim`: who has read what was written over it sees
        // another word. Relaxed: the fence orders it.
        fence(Ordering::Acquire);
        self.word(found.place).load(Ordering::Relaxed) == found.word
    }

    /// The subscriber has taken the message, of which all that it needs was read. False if it was
    /// overwritten meanwhile, or another has taken it by the same seat: what was read is worth
    /// nothing.
    pub fn take(&self, seat: Seat, found: Found) -> bool {
        self.is_still(found) && self.step(seat.number, found.place, found.place + 1)
    }

    /// After [`Feed::take`]: sees to room. Whether there is more.
    #[inline]
    pub fn taken(&self, found: Found, keeps: bool, let_go: &dyn Fn(Place)) -> bool {
        // Of what keeps no memory room is made by who needs it, once in a lap.
        if !keeps && !self.for_room.is_awaited() {
            return false;
        }
        self.advance(found.place + 1, let_go)
    }

    /// How many messages wait for the subscriber in this seat.
    pub fn waiting(&self, seat: Seat) -> usize {
        // Relaxed: a count.
        let cursor = self.seat(seat.number)[CURSOR].load(Ordering::Relaxed);
        let tail = self.tail().unwrap_or(cursor);
        (tail.saturating_sub(cursor)).min(self.capacity) as usize
    }

    /// How many messages it has lost.
    pub fn lagged(&self, seat: Seat) -> u64 {
        // Relaxed: a count.
        self.seat(seat.number)[LAGGED].load(Ordering::Relaxed)
    }
}
