//! The table of passages: which blocks messages keep, each by an entry of its own.
//!
//! ```text
//!  a line     reach | entry | entry | … 7 of them
//!  an entry   63 tells | 62 … 52 maker + 1, or 0: free | 51 … 32 sequence | 31 … 0 block
//!  a reach    63 … 32 version | 31 … 0 lines
//! ```
//!
//! A block's *home* is the line that its number says. Its entries are there, or, when that is full,
//! in one of the lines behind it, as far away as the home's reach says at most. So to find that a
//! block has no entry takes one line, unless many blocks, or many messages with one of them, are on
//! their way at once.
//!
//! The sequence grows each time that an entry becomes free. It is in the parcel: an entry that was
//! ended, and is another passage's by now, perhaps of the same block, is not taken for it. It
//! repeats after 2^20 passages of one entry; who may come so late is only the recovery of a
//! process that died when it had just taken a message.
//!
//! | step | who | a death after it leaves |
//! | --- | --- | --- |
//! | the entry's page is noted | maker | nothing: the page is looked at in vain |
//! | entry: free → (maker, block) | maker | an entry of the dead: ended by the recovery, or, if a message names it, the host's |
//! | reach of the home raised, its version too | maker | the same |
//! | *in transit* set in the block, the holders' version raised | maker | the same |
//! | entry: → free, next sequence | who takes or discards the message | *in transit* without an entry |
//! | no other entry: *in transit* cleared | the same | perhaps a block that nobody holds |
//! | the block freed, if nobody holds it | the same | |
//!
//! The recovery looks at *in transit* of every shared block, and whether anybody holds it.
//!
//! One that *tells* is in no message: its maker lets go of the block, and keeps it until it has told so to those that ask
//! whether they alone keep it (`super::repeated`).
//!
//! Why a block with an entry is never freed. Its maker holds the block until *in transit* is set.
//! Who clears that has read the holders' last word before it looked for entries, and clears by a
//! compare-and-swap of that word. If the maker's step came before the word was read, so did the
//! entry, and it is seen. If it came later, the version is another, and the swap fails. So
//! *in transit* stays until the entry is ended; and who takes a message ends it when its own bit
//! is set. What is freed is looked at as [`super::holders`] says: one of the two is seen.
//!
//! Why *in transit* is not left over. Who ends an entry passes a fence before it looks for others.
//! Of two that end the last two, one sees both ended.
//!
//! A reach is lowered by who has looked at all the lines, and has seen how far the entries of that
//! home are away: by a compare-and-swap of what it read before. A maker raises it, and its version,
//! when its entry is there already; it sets *in transit* after that.

use crate::prim::atomic::{AtomicU64, Ordering, fence};
use crate::prim::{BlockIndex, ProcessId, Word};

use super::classes::SLAB_BLOCKS_MAX;
use super::entry::{Entry, SEQUENCE};
use super::holders::{IN_TRANSIT, ONE_VERSION};
use super::plan::LINE;
use super::{BlockState, Inner};

/// Lines of a page.
const PAGE_LINES: usize = 64;
/// A block's entries are no more than so many lines from home: to look at these takes a few
/// microseconds.
const REACH_MAX: usize = 1024;

const TELLS: u64 = 1 << 63;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Who made it; `None`: it is free.
    pub maker: Option<ProcessId>,
    pub tells: bool,
    pub sequence: u32,
    pub block: BlockIndex,
}

impl Said {
    pub(super) fn pack(self) -> u64 {
        let maker = self.maker.map_or(0, |maker| u64::from(maker.0) + 1);
        let tells = if self.tells { TELLS } else { 0 };
        tells | maker << 52 | (u64::from(self.sequence) & SEQUENCE) << 32 | u64::from(self.block.0)
    }

    pub(super) fn unpack(raw: u64) -> Self {
        Said {
            maker: ((raw & !TELLS) >> 52)
                .checked_sub(1)
                .map(|maker| ProcessId(maker as u32)),
            tells: raw & TELLS != 0,
            sequence: (raw >> 32 & SEQUENCE) as u32,
            block: BlockIndex(raw as u32),
        }
    }

    fn is(&self, block: BlockIndex, entry: Entry) -> bool {
        self.maker.is_some() && (self.block, self.sequence) == (block, entry.sequence)
    }
}

impl Inner {
    pub(super) fn home(&self, block: BlockIndex) -> usize {
        let (span, place) = (
            block.0 as usize / SLAB_BLOCKS_MAX,
            block.0 as usize % SLAB_BLOCKS_MAX,
        );
        (span + place) & (self.plan.passage_lines - 1)
    }

    /// The line so many behind `home`.
    fn behind(&self, home: usize, far: usize) -> usize {
        (home + far) & (self.plan.passage_lines - 1)
    }

    fn reach_max(&self) -> usize {
        self.plan.passage_lines.min(REACH_MAX) - 1
    }

    fn note_page(&self, line: usize) {
        let page = line / PAGE_LINES;
        let (word, bit) = (&self.header.pages[page / 64], 1 << (page % 64));
        // Relaxed: read by who recovers what is dead, or counts.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The entries of the pages that were ever used.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, &AtomicU64)> {
        let pages = self.plan.passage_lines.div_ceil(PAGE_LINES);
        let is_used = |page: &usize| {
            // Relaxed: as in `note_page`.
            self.header.pages[page / 64].load(Ordering::Relaxed) >> (page % 64) & 1 == 1
        };
        let size = PAGE_LINES * LINE;
        (0..pages).filter(is_used).flat_map(move |page| {
            let range = page * size..((page + 1) * size).min(self.passages.len());
            range
                .filter(|at| !at.is_multiple_of(LINE))
                .map(|at| (at as u32, &self.passages[at]))
        })
    }

    /// The entries that are not free, and what they say.
    pub(super) fn passages_made(&self) -> impl Iterator<Item = (Entry, Said)> {
        self.entries().filter_map(|(at, word)| {
            // Relaxed: a count of what is, not a decision.
            let said = Said::unpack(word.load(Ordering::Relaxed));
            let sequence = said.sequence;
            said.maker.map(|_| (Entry { at, sequence }, said))
        })
    }

    /// Whether a parcel's numbers are those of a block and of an entry.
    fn are_possible(&self, block: BlockIndex, at: u32) -> bool {
        (block.0 as usize) < self.plan.spans * SLAB_BLOCKS_MAX
            && (at as usize) < self.passages.len()
            && !(at as usize).is_multiple_of(LINE)
    }

    /// Whether the passage has not ended.
    pub(super) fn has_entry(&self, block: BlockIndex, entry: Entry) -> bool {
        self.are_possible(block, entry.at) && {
            // ordering: Acquire pairs with the maker's Release.
            let raw = self.passages[entry.at as usize].load(Ordering::Acquire);
            Said::unpack(raw).is(block, entry)
        }
    }

    /// Keeps a shared block that this process holds; `None` if there is no room.
    pub(super) fn make_entry(&self, block: BlockIndex) -> Option<Entry> {
        self.make_entry_of(block, false)
    }

    fn make_entry_of(&self, block: BlockIndex, tells: bool) -> Option<Entry> {
        let entry = self.claim_entry(block, tells)?;
        let last = self.last_holders(block);
        // Relaxed: the change of the word is what counts.
        let mut seen = last.load(Ordering::Relaxed);
        loop {
            let next = (seen | IN_TRANSIT).wrapping_add(ONE_VERSION);
            // ordering: Release: who sees this sees the entry. Acquire: see `acquire`.
            let done = last.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed);
            match done {
                Ok(_) => return Some(entry),
                Err(now) => seen = now,
            }
        }
    }

    fn claim_entry(&self, block: BlockIndex, tells: bool) -> Option<Entry> {
        let home = self.home(block);
        for far in 0..=self.reach_max() {
            let line = self.behind(home, far);
            self.note_page(line);
            for at in line * LINE + 1..(line + 1) * LINE {
                let word = &self.passages[at];
                // Relaxed: the compare-and-swap decides.
                let raw = word.load(Ordering::Relaxed);
                let free = Said::unpack(raw);
                if free.maker.is_some() {
                    continue;
                }
                let ours = Said {
                    maker: Some(self.me),
                    tells,
                    block,
                    ..free
                };
                // ordering: AcqRel pairs with whoever looks for entries, and with who has
                // ended the one before.
                let won =
                    word.compare_exchange(raw, ours.pack(), Ordering::AcqRel, Ordering::Relaxed);
                if won.is_ok() {
                    if far > 0 {
                        self.raise_reach(home, far);
                    }
                    let (at, sequence) = (at as u32, ours.sequence);
                    return Some(Entry { at, sequence });
                }
            }
        }
        None
    }

    fn raise_reach(&self, home: usize, far: usize) {
        let word = &self.passages[home * LINE];
        // Relaxed: the compare-and-swap decides.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let next = (seen >> 32).wrapping_add(1) << 32 | (seen & 0xFFFF_FFFF).max(far as u64);
            // ordering: Release: who sees this sees the entry.
            let done = word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed);
            match done {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Whether any entry speaks of the block.
    pub(super) fn has_any_entry(&self, block: BlockIndex) -> bool {
        let home = self.home(block);
        let word = &self.passages[home * LINE];
        // ordering: Acquire pairs with the Release in `raise_reach`.
        let seen = word.load(Ordering::Acquire);
        let reach = (seen as u32 as usize).min(self.reach_max());
        let mut furthest = 0;
        for far in 0..=reach {
            let line = self.behind(home, far);
            for word in &self.passages[line * LINE + 1..(line + 1) * LINE] {
                // ordering: Acquire pairs with the Release of who has ended it: that its
                // own bit is set is seen by whoever sees *in transit* cleared.
                let said = Said::unpack(word.load(Ordering::Acquire));
                if said.maker.is_none() {
                    continue;
                }
                if said.block == block {
                    return true;
                }
                if self.home(said.block) == home {
                    furthest = far;
                }
            }
        }
        if furthest < reach {
            let less = seen >> 32 << 32 | furthest as u64;
            // ordering: AcqRel as in `raise_reach`. If the version is another, it stays.
            let _ = word.compare_exchange(seen, less, Ordering::AcqRel, Ordering::Relaxed);
        }
        false
    }

    /// How many entries speak of the block, but for those that tell.
    pub(super) fn entries_of(&self, block: BlockIndex) -> usize {
        let home = self.home(block);
        // ordering: Acquire pairs with the Release in `raise_reach`.
        let seen = self.passages[home * LINE].load(Ordering::Acquire);
        let reach = (seen as u32 as usize).min(self.reach_max());
        let lines = (0..=reach).map(|far| self.behind(home, far) * LINE);
        let words = lines.flat_map(|line| &self.passages[line + 1..line + LINE]);
        // ordering: Acquire as in `has_any_entry`.
        let said = words.map(|word| Said::unpack(word.load(Ordering::Acquire)));
        said.filter(|said| said.maker.is_some() && said.block == block && !said.tells)
            .count()
    }

    /// Ends a passage; false if it has ended before. Whether anybody holds the block is the
    /// caller's to look at.
    pub(super) fn end_entry(&self, block: BlockIndex, entry: Entry) -> bool {
        if !self.are_possible(block, entry.at) {
            return false;
        }
        let word = &self.passages[entry.at as usize];
        // Relaxed: the compare-and-swap decides.
        let mut raw = word.load(Ordering::Relaxed);
        loop {
            if !Said::unpack(raw).is(block, entry) {
                return false;
            }
            let free = Said {
                maker: None,
                tells: false,
                sequence: entry.sequence.wrapping_add(1),
                block: BlockIndex(0),
            };
            // ordering: AcqRel: Release as `has_any_entry` says. It fails when the recovery of
            // the maker's death makes the entry the host's, too.
            match word.compare_exchange(raw, free.pack(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => raw = now,
            }
        }
        self.settle(block);
        true
    }

    /// Clears *in transit* if no entry speaks of the block. Anybody may, at any time.
    pub(super) fn settle(&self, block: BlockIndex) {
        // ordering: pairs with itself: of two that have ended the last two entries, one sees
        // that of the other ended.
        fence(Ordering::SeqCst);
        let last = self.last_holders(block);
        loop {
            // ordering: Acquire pairs with the Release in `make_entry`.
            let seen = last.load(Ordering::Acquire);
            if seen & IN_TRANSIT == 0 || self.has_any_entry(block) {
                return;
            }
            // ordering: Release: who sees it cleared sees the bits of those that have taken
            // the messages.
            let cleared = last.compare_exchange(
                seen,
                seen & !IN_TRANSIT,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if cleared.is_ok() {
                return;
            }
        }
    }

    /// Ends the passages of a dead maker that no message names; of the others the host is the
    /// maker from now on.
    pub(super) fn recover_entries(&self, dead: ProcessId, is_named: impl Fn(Entry) -> bool) {
        for (at, word) in self.entries() {
            // ordering: Acquire pairs with the maker's Release.
            let raw = word.load(Ordering::Acquire);
            let said = Said::unpack(raw);
            match said.maker {
                Some(maker) if maker == dead => {}
                Some(maker) if !self.is_process(maker.0) => {
                    self.report_damage(said.block, Word::unpack(raw), "a passage of no process");
                    continue;
                }
                _ => continue,
            }
            let sequence = said.sequence;
            let entry = Entry { at, sequence };
            if !self.are_possible(said.block, at) {
                self.report_damage(said.block, Word::unpack(raw), "a passage of no block");
            } else if is_named(entry) {
                let hosts = Said {
                    maker: Some(ProcessId::HOST),
                    ..said
                };
                // Relaxed: it says the same of the block. It fails when the message was taken.
                let _ =
                    word.compare_exchange(raw, hosts.pack(), Ordering::Relaxed, Ordering::Relaxed);
            } else {
                self.end_and_free(said.block, entry);
            }
        }
    }

    /// Ends a passage without a hold of the block, which may be the last that keeps it.
    pub(super) fn end_and_free(&self, block: BlockIndex, entry: Entry) -> bool {
        let teller = self.begin_to_tell(block, Some(entry));
        let ended = self.end_entry_and_free(block, entry);
        self.tell(block, teller);
        ended
    }

    /// What keeps a block that this process is about to let go of, or of which it is about to end a passage, until
    /// [`tell`](Self::tell); `None` if nobody has to be told.
    #[inline]
    pub(super) fn begin_to_tell(&self, block: BlockIndex, entry: Option<Entry>) -> Option<Entry> {
        // In this order: what a parcel says is believed if there is such an entry.
        (entry.is_none_or(|entry| self.has_entry(block, entry)) && self.is_repeated(block))
            .then(|| self.make_entry_of(block, true))?
    }

    /// This process has let go of the block, or ended a passage: tells who asks whether it alone keeps it.
    pub(super) fn tell(&self, block: BlockIndex, teller: Option<Entry>) {
        if let Some(teller) = teller {
            self.force_lane_of(block);
            self.end_entry_and_free(block, teller);
        }
    }

    fn end_entry_and_free(&self, block: BlockIndex, entry: Entry) -> bool {
        let ended = self.end_entry(block, entry);
        let word = self.load_any(block);
        if ended
            && word.state == BlockState::Shared as u8
            && self.free_if_unheld(block, word.generation)
        {
            self.tell_keepers();
        }
        ended
    }

    /// As `load`; absent if there is no such block.
    pub(super) fn load_any(&self, block: BlockIndex) -> Word {
        match (block.0 as usize) < self.plan.spans * SLAB_BLOCKS_MAX {
            true => self.load(block),
            false => Word::unpack(0),
        }
    }
}
