//! All clients of a fold, found by their threads' seats.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::CachePadded;

use crate::layout::{CLIENT_SLOTS, CLIENTS, Fold};
use crate::lock::{Biased, Guard, SEATS};
use crate::prim::{Hint, SlotIndex};
use crate::ring::steal;
use crate::task::TaskState;

use crate::scheduler::clients::books::{At, Books};

const _: () = assert!(SEATS == CLIENTS, "each seat has a client");

/// All clients of a fold.
#[derive(Debug)]
pub struct Clients {
    fold: Fold,
    seats: Box<[OnceLock<CachePadded<Biased<Books>>>]>,
    /// Whether tasks are accepted.
    is_open: AtomicBool,
    /// What they have in flight counts as the queue's.
    are_bounded: bool,
    /// What they have offered is looked after, though somebody sleeps.
    is_watched: AtomicBool,
}

impl Clients {
    /// Of a fresh fold. If they `are_bounded`, what they have in flight counts as the queue's.
    pub fn new(fold: &Fold, are_bounded: bool) -> Self {
        Clients {
            fold: fold.clone(),
            seats: (0..fold.plan.shape.clients)
                .map(|_| OnceLock::new())
                .collect(),
            is_open: AtomicBool::new(true),
            are_bounded,
            is_watched: AtomicBool::new(false),
        }
    }

    /// The client of a thread with this seat. Before it is used for the first time it is asked
    /// whether that may be.
    #[inline]
    pub fn of_seat(&self, seat: usize, may_open: impl FnOnce() -> bool) -> Option<u32> {
        let client = if seat < self.seats.len() {
            seat
        } else {
            seat.checked_rem(self.seats.len())?
        };
        let is_open = self.seats[client].get().is_some() || may_open();
        is_open.then_some(client as u32)
    }

    /// Whether what they have in flight counts as the queue's.
    pub fn are_bounded(&self) -> bool {
        self.are_bounded
    }

    /// The books of a client, which is opened if it was not; `None` in a process that was forked
    /// off.
    #[inline]
    pub fn open(&self, seat: u32) -> Option<Guard<'_, Books>> {
        let seat = seat as usize;
        let books = self.seats.get(seat)?;
        match books.get() {
            Some(books) => books.lock_at_home(),
            None => self.open_first(seat),
        }
    }

    #[cold]
    fn open_first(&self, seat: usize) -> Option<Guard<'_, Books>> {
        let books = self.seats[seat].get_or_init(|| {
            let ring = steal::Producer::attach(self.fold.client_ring(seat));
            let books = Books::new(self.first(seat), ring);
            CachePadded::new(Biased::new(books))
        });
        // ordering: Release pairs with the Acquire of executors that look for rings.
        (self.fold.offering).fetch_or(1 << seat, Ordering::Release);
        books.lock_at_home()
    }

    fn first(&self, seat: usize) -> u32 {
        self.fold.plan.shape.client_slots() + (seat * CLIENT_SLOTS) as u32
    }

    /// Whose the slot is, and which of its slots.
    #[inline]
    pub fn place(slot: u32) -> (u32, u32) {
        (slot / CLIENT_SLOTS as u32, slot % CLIENT_SLOTS as u32)
    }

    /// The same of a slot of the fold.
    fn place_of(&self, slot: u32) -> Option<(u32, u32)> {
        let client = self.fold.plan.shape.client_of(SlotIndex(slot))?;
        Some((client as u32, slot - self.first(client)))
    }

    /// All that were ever opened.
    pub fn all(&self) -> impl Iterator<Item = (u32, Guard<'_, Books>)> {
        let seats = (0..).zip(&self.seats);
        seats.filter_map(|(seat, books)| Some((seat, books.get()?.lock_at_home()?)))
    }

    /// Whether there are any.
    pub fn is_any_open(&self) -> bool {
        self.seats.iter().any(|seat| seat.get().is_some())
    }

    /// Whether tasks are accepted. Under the lock of books: who has closed them takes it afterwards.
    #[inline]
    pub fn is_open(&self) -> bool {
        // Relaxed: ordered by that lock.
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether tasks are accepted from here on. Who closes them registers all tasks then, or ends
    /// them: so none is missed.
    pub fn set_open(&self, is_open: bool) {
        // Relaxed: as in `is_open`.
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// Whether somebody looks soon whether what they have offered is taken. The caller has offered it
    /// and passed the light barrier; who looks says that nobody does any more and passes the heavy one first.
    #[inline]
    pub fn is_watched(&self) -> bool {
        // Relaxed: ordered by these barriers.
        self.is_watched.load(Ordering::Relaxed)
    }

    /// Under the scheduler's lock.
    pub fn set_watched(&self, is_watched: bool) {
        // Relaxed: as in `is_watched`.
        self.is_watched.store(is_watched, Ordering::Relaxed);
    }

    /// Tasks of theirs that have been joined.
    pub fn completed(&self) -> u64 {
        self.all().map(|(_, books)| books.counts().1).sum()
    }

    /// The scheduler gives back the slot of a task that was registered.
    pub fn give_back(&self, slot: u32) {
        if let Some((seat, place)) = self.place_of(slot)
            && let Some(mut books) = self.open(seat)
        {
            let registered = books.give_back(place);
            self.fold.clients[seat as usize].register(registered);
        }
    }

    /// The handle of a task that was registered is gone.
    pub fn let_go(&self, at: u32) {
        let (seat, place) = Self::place(at);
        if let Some(mut books) = self.open(seat) {
            books.let_go(place);
        }
    }

    /// The ticket of a task that was registered.
    pub fn registered_as(&self, id: u32) -> Option<u32> {
        let (seat, place) = Self::place(id);
        match self.open(seat)?.at(place) {
            At::Registered { ticket, .. } => Some(ticket),
            At::Free | At::Here | At::Handed => None,
        }
    }

    /// The slots of tasks that are seen to by clients.
    pub fn slots_here(&self) -> Vec<u32> {
        let of = |(_, books): (u32, Guard<'_, Books>)| {
            let here = books.here().into_iter();
            here.map(|place| books.hint(place).slot.0)
                .collect::<Vec<_>>()
        };
        self.all().flat_map(of).collect()
    }

    /// Whether nobody has begun one of their tasks.
    pub fn is_any_queued(&self) -> bool {
        let is_queued = |hint: Hint| {
            let word = self.fold.slots[hint.slot.at()].word();
            word.generation == hint.generation && TaskState::of(word) == Some(TaskState::Queued)
        };
        self.all().any(|(_, books)| {
            let mut here = books.here().into_iter();
            here.any(|place| is_queued(books.hint(place)))
        })
    }

    /// Tasks that are seen to by clients, and have not ended.
    pub fn in_flight(&self) -> usize {
        let has_ended = |hint| self.fold.has_ended(hint);
        let of = |books: Guard<'_, Books>| {
            let here = books.here().into_iter();
            here.filter(|place| !has_ended(books.hint(*place))).count()
        };
        self.all().map(|(_, books)| of(books)).sum()
    }

    /// Tasks submitted through clients, and those of them that have ended; but for those that were
    /// registered.
    pub fn counts(&self) -> (u64, u64) {
        self.all()
            .fold((0, 0), |(submitted, completed), (_, books)| {
                let (more, of_these) = books.counts();
                let mut ended = books.here();
                ended.retain(|place| self.fold.has_ended(books.hint(*place)));
                (submitted + more, completed + of_these + ended.len() as u64)
            })
    }

    /// How many tasks wait in rings, as far as is known; or what no executor writes.
    pub fn backlog(&self) -> Result<u64, String> {
        self.all().try_fold(0, |sum, (seat, mut books)| {
            let backlog = books.backlog();
            let backlog =
                backlog.map_err(|damaged| format!("the ring of client {seat}: {damaged}"));
            Ok(sum + backlog?)
        })
    }
}
