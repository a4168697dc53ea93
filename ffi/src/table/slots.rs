//! Slots, which stay for ever, and those of them that are free: kept by the thread that has freed them, up to
//! a bound.

use std::cell::{RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::objects::Object;

use super::{FIRST_GENERATION, GONE};

#[repr(align(64))]
pub(super) struct Slot {
    pub(super) word: AtomicU64,
    pub(super) object: UnsafeCell<MaybeUninit<Object>>,
}

const _: () = assert!(size_of::<Slot>() == 64, "a line each");

// SAFETY: the object is written by who took the slot from a list of free ones, read by users
// while the word says that it is live, and dropped by the last of them: see the table above.
// `Object` is Send and Sync itself.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}
const _: fn() = || {
    fn both<T: Send + Sync>() {}
    both::<Object>();
};

/// There are no more.
const INDEX_MAX: usize = 1 << 27;
/// Free slots that a thread keeps for itself.
const OWN: usize = 128;
/// Slots of a chunk.
const CHUNK: usize = 1 << 10;

/// Slots, which stay for ever, leaked: two loads find one, and each is in a line of its own.
static CHUNKS: [AtomicPtr<Slot>; INDEX_MAX / CHUNK] =
    [const { AtomicPtr::new(null_mut()) }; INDEX_MAX / CHUNK];
/// The process that has made the first of them.
pub(super) static PROCESS: AtomicU32 = AtomicU32::new(0);
static FREE: Mutex<Free> = Mutex::new(Free {
    list: Vec::new(),
    chunks: 0,
});

/// A slot and its number.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: &'static Slot,
    pub(super) index: u32,
}

/// Free slots that no thread keeps for itself.
struct Free {
    list: Vec<Place>,
    /// How many there are.
    chunks: usize,
}

#[inline]
pub(super) fn slot(index: usize) -> Option<&'static Slot> {
    // ordering: Acquire pairs with the Release in `add_chunk`: the slots are there.
    let chunk = CHUNKS.get(index / CHUNK)?.load(Ordering::Acquire);
    if chunk.is_null() {
        return None;
    }
    // SAFETY: the first of `CHUNK` slots, which were leaked.
    Some(unsafe { &*chunk.add(index % CHUNK) })
}

impl Free {
    /// Some more, if there may be.
    #[cold]
    fn add_chunk(&mut self) {
        let Some(place) = CHUNKS.get(self.chunks) else {
            return;
        };
        let slots: Vec<Slot> = std::iter::repeat_with(Slot::free).take(CHUNK).collect();
        let slots: &'static [Slot] = slots.leak();
        let first = self.chunks * CHUNK;
        let places = slots.iter().enumerate().map(|(at, slot)| Place {
            slot,
            index: (first + at) as u32,
        });
        self.list.extend(places.rev());
        if first == 0 {
            // Relaxed: only the number matters.
            PROCESS.store(std::process::id(), Ordering::Relaxed);
        }
        // ordering: Release pairs with the Acquire in `slot`.
        place.store(slots.as_ptr().cast_mut(), Ordering::Release);
        self.chunks += 1;
    }

    fn take(&mut self) -> Option<Place> {
        if self.list.is_empty() {
            self.add_chunk();
        }
        self.list.pop()
    }
}

impl Slot {
    fn free() -> Self {
        Slot {
            word: AtomicU64::new(FIRST_GENERATION << 32 | GONE),
            object: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

/// The free slots of a thread; when that ends they are everybody's.
struct Own(Vec<Place>);

impl Drop for Own {
    fn drop(&mut self) {
        FREE.lock().list.append(&mut self.0);
    }
}

thread_local! {
    static OWN_FREE: RefCell<Own> = const { RefCell::new(Own(Vec::new())) };
}

#[inline]
pub(super) fn take_free() -> Option<Place> {
    let own = OWN_FREE.try_with(|own| own.borrow_mut().0.pop());
    own.ok().flatten().or_else(take_more)
}

#[cold]
fn take_more() -> Option<Place> {
    let mut free = FREE.lock();
    let one = free.take()?;
    let from = free.list.len().saturating_sub(OWN / 2);
    let _ = OWN_FREE.try_with(|own| own.borrow_mut().0.extend(free.list.drain(from..)));
    Some(one)
}

#[inline]
pub(super) fn give_free(place: Place) {
    let own = OWN_FREE.try_with(|own| {
        let own = &mut own.borrow_mut().0;
        let has_room = own.len() < own.capacity();
        if has_room {
            own.push(place);
        }
        has_room
    });
    if own != Ok(true) {
        give_more(place);
    }
}

/// Half of what this thread keeps for itself goes to the others, if that is much.
#[cold]
fn give_more(place: Place) {
    let own = OWN_FREE.try_with(|own| {
        let own = &mut own.borrow_mut().0;
        own.reserve_exact(OWN - own.len().min(OWN));
        if own.len() >= OWN {
            FREE.lock().list.extend(own.drain(OWN / 2..));
        }
        own.push(place);
    });
    if own.is_err() {
        FREE.lock().list.push(place);
    }
}
