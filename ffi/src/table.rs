//! What C has of an object: a number that is looked up, never an address that is followed.
//!
//! ```text
//!   63           32 31            5 4    0
//!   [  generation  |     index     | kind ]      in the place of a pointer; never null
//!
//!   slot:  word  [ generation : 32 | gone : 1 | users : 31 ]     object
//!
//!   free ──insert──▶ live ──enter, leave (users ± 1)──▶ live
//!                     │ ├─enter_alone (users = all ones), until it is dropped or freed; others wait
//!                     │ └─enter_briefly: nothing is counted
//!                     │ remove: gone = 1
//!                     ▼
//!                   gone, with users ──the last one leaves──▶ dropped, generation + 1, free
//! ```
//!
//! So whatever C passes (a handle that was freed, one of another kind, any number at all) is
//! told from a live handle, as long as its generation was not reached again, which takes
//! 2^31 objects in the same slot: such a slot is not used any more. Generations begin at 2^31, so
//! that no small number and no address of a program is a handle. An object that is freed
//! while another thread uses it is dropped when that one leaves.
//!
//! What is entered with each task, and seldom freed, is entered *briefly*, in a section of the thread's
//! ([`pinfold::Section`]): to count one user more, and one less, are two locked instructions, each of
//! which waits until all that was stored for the task has left the CPU. Who frees such an object waits for all
//! sections before it drops it. No section waits for anything but a lock.
//!
//! Slots stay for ever. Free ones are kept by the thread that has freed them, up to a bound.

use std::cell::{RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use pinfold::{Section, wait_for_sections};

use crate::error::Failure;
use crate::objects::{Kind, Object};
use crate::status::PinfoldStatus;

const KIND_BITS: u32 = 5;
const INDEX_MAX: usize = 1 << 27;
const GONE: u64 = 1 << 31;
const FIRST_GENERATION: u64 = 1 << 31;
const USERS: u64 = GONE - 1;
/// In the place of the number of users: one, who has the object alone for a moment.
const ALONE: u64 = USERS;
/// Free slots that a thread keeps for itself.
const OWN: usize = 128;

#[repr(align(64))]
struct Slot {
    word: AtomicU64,
    object: UnsafeCell<MaybeUninit<Object>>,
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

/// Slots of a chunk.
const CHUNK: usize = 1 << 10;

/// Slots, which stay for ever, leaked: two loads find one, and each is in a line of its own.
static CHUNKS: [AtomicPtr<Slot>; INDEX_MAX / CHUNK] =
    [const { AtomicPtr::new(null_mut()) }; INDEX_MAX / CHUNK];
/// The process that has made the first of them.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static FREE: Mutex<Free> = Mutex::new(Free {
    list: Vec::new(),
    chunks: 0,
});

/// A slot and its number.
#[derive(Clone, Copy)]
struct Place {
    slot: &'static Slot,
    index: u32,
}

/// Free slots that no thread keeps for itself.
struct Free {
    list: Vec<Place>,
    /// How many there are.
    chunks: usize,
}

#[inline]
fn slot(index: usize) -> Option<&'static Slot> {
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
fn take_free() -> Option<Place> {
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
fn give_free(place: Place) {
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

#[cold]
fn too_many() -> Failure {
    let what = "there are 2^27 handles at once: free those that are not needed";
    Failure::new(PinfoldStatus::TooMany, what)
}

/// A place for an object that is about to be made: what has begun already needs no failure for
/// want of a handle then. Given back if it is dropped.
pub(crate) struct Vacant(Place);

/// A place, if there is one: there nearly always is.
#[inline(always)]
pub(crate) fn reserve_at_once() -> Option<Vacant> {
    take_free().map(Vacant)
}

/// The same.
#[inline(always)]
pub(crate) fn reserve() -> Result<Vacant, Failure> {
    reserve_at_once().ok_or_else(too_many)
}

impl Vacant {
    /// Puts an object there; what C is to have of it.
    ///
    /// Made on the spot: an object that is moved there after it was put together in smaller pieces
    /// is waited for until these have left the CPU.
    #[inline(always)]
    pub(crate) fn fill<K: Kind + Into<Object>>(self, object: K) -> usize {
        let Place { slot, index } = self.0;
        std::mem::forget(self);
        // Relaxed: whoever had it before is ordered by the list that it came from.
        let generation = slot.word.load(Ordering::Relaxed) >> 32;
        // SAFETY: a free slot, which only this thread has; nobody reads it before the store below.
        unsafe { (*slot.object.get()).write(object.into()) };
        // ordering: Release pairs with the Acquire in `enter` and `take`: the object is there.
        slot.word.store(generation << 32, Ordering::Release);
        (generation as usize) << 32 | (index as usize) << KIND_BITS | K::KIND
    }
}

impl Drop for Vacant {
    fn drop(&mut self) {
        give_free(self.0);
    }
}

/// Puts an object there; what C is to have of it.
#[inline(always)]
pub(crate) fn insert<K: Kind + Into<Object>>(object: K) -> Result<usize, Failure> {
    Ok(reserve()?.fill(object))
}

/// Of which kind a handle says that it is.
pub(crate) fn kind(handle: usize) -> usize {
    handle & ((1 << KIND_BITS) - 1)
}

/// A live object; it stays until this is dropped.
pub(crate) struct Guard<K: Kind> {
    slot: &'static Slot,
    index: u32,
    object: *const K,
}

impl<K: Kind> Deref for Guard<K> {
    type Target = K;

    #[inline]
    fn deref(&self) -> &K {
        // SAFETY: points into the object, which stays as long as its users have not left.
        unsafe { &*self.object }
    }
}

impl<K: Kind> Drop for Guard<K> {
    #[inline]
    fn drop(&mut self) {
        leave(self.slot, self.index);
    }
}

#[inline(always)]
fn place<K: Kind>(handle: usize) -> Option<Place> {
    let index = handle as u32 >> KIND_BITS;
    match handle & ((1 << KIND_BITS) - 1) == K::KIND {
        true => slot(index as usize).map(|slot| Place { slot, index }),
        false => None,
    }
}

fn find<K: Kind>(handle: usize) -> Result<Place, Failure> {
    place::<K>(handle).ok_or_else(|| match handle {
        0 => Failure::null_handle(K::NAME),
        handle => Failure::no_handle(K::NAME, handle),
    })
}

/// So often it is looked whether an object is not held alone any more, before that is an error.
const PATIENCE: u32 = 1 << 16;

/// In a process that was forked off meanwhile there is nobody who would leave it. Else it is waited
/// for as long again.
#[cold]
fn still_held<K: Kind>() -> Result<u32, Failure> {
    // Relaxed: only the number matters.
    if PROCESS.load(Ordering::Relaxed) == std::process::id() {
        return Ok(PATIENCE);
    }
    let message = format!(
        "this {} is held for ever: the process was forked off while another thread used it",
        K::NAME
    );
    Err(Failure::new(PinfoldStatus::Forked, message))
}

/// The object of a handle, while it is used.
#[inline(always)]
pub(crate) fn enter<K: Kind>(handle: usize) -> Result<Guard<K>, Failure> {
    match enter_at_once(handle) {
        Some(guard) => Ok(guard),
        None => enter_otherwise(handle),
    }
}

/// The same, if nothing is in the way: nearly always.
#[inline(always)]
pub(crate) fn enter_at_once<K: Kind>(handle: usize) -> Option<Guard<K>> {
    let Place { slot, index } = place::<K>(handle)?;
    // Relaxed: the exchange says whether it was right.
    let word = slot.word.load(Ordering::Relaxed);
    // It is live, in the handle's generation, and not held alone: the number of users is all that differs.
    let live = (handle as u64 >> 32) << 32;
    if word ^ live >= ALONE - 1 {
        return None;
    }
    // ordering: Acquire pairs with the Release in `insert`.
    slot.word
        .compare_exchange(word, word + 1, Ordering::Acquire, Ordering::Relaxed)
        .ok()?;
    // SAFETY: it is live, and this is one of its users.
    let object = unsafe { (*slot.object.get()).assume_init_ref() };
    match K::of(object) {
        Some(object) => Some(Guard {
            slot,
            index,
            object,
        }),
        None => {
            leave(slot, index);
            None
        }
    }
}

/// A live object; it stays for as long as this thread is in the section.
pub(crate) struct Brief<K: Kind> {
    object: *const K,
    #[allow(dead_code, reason = "ends when this is dropped")]
    section: Section,
}

impl<K: Kind> Deref for Brief<K> {
    type Target = K;

    #[inline(always)]
    fn deref(&self) -> &K {
        // SAFETY: points into the object, which was live in the section, and is dropped after that
        // only: see `remove`.
        unsafe { &*self.object }
    }
}

/// The object of a handle, to do what neither waits nor calls the user's code. `None`: it is none, or must
/// be entered.
#[inline(always)]
pub(crate) fn enter_briefly<K: Kind>(handle: usize) -> Option<Brief<K>> {
    const { assert!(K::IS_BRIEF) };
    let Place { slot, .. } = place::<K>(handle)?;
    let section = Section::enter()?;
    // ordering: Acquire pairs with the Release in `fill`: the object is there. That it is gone is
    // seen here, or who removes it sees the section: the barriers of both are between.
    let word = slot.word.load(Ordering::Acquire);
    let live = (handle as u64 >> 32) << 32;
    if word ^ live >= ALONE {
        return None;
    }
    // SAFETY: it is live, and who removes it waits for this section.
    let object = K::of(unsafe { (*slot.object.get()).assume_init_ref() })?;
    Some(Brief { object, section })
}

/// The same for one that is in use elsewhere, or is none.
#[cold]
#[inline(never)]
fn enter_otherwise<K: Kind>(handle: usize) -> Result<Guard<K>, Failure> {
    let Place { slot, index } = find::<K>(handle)?;
    let mut patience = PATIENCE;
    // Relaxed: the exchange says whether it was right.
    let mut word = slot.word.load(Ordering::Relaxed);
    loop {
        if word >> 32 != (handle >> 32) as u64 || word & GONE != 0 {
            return Err(Failure::freed(K::NAME));
        }
        if word & USERS >= ALONE - 1 {
            // Whoever is alone never waits for anything; so many users there are not.
            patience = match patience.checked_sub(1) {
                Some(left) => left,
                None => still_held::<K>()?,
            };
            std::thread::yield_now();
            // Relaxed: as above.
            word = slot.word.load(Ordering::Relaxed);
            continue;
        }
        // ordering: Acquire pairs with the Release in `insert`.
        match slot
            .word
            .compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => break,
            Err(now) => word = now,
        }
    }
    // SAFETY: it is live, and this is one of its users.
    let object = unsafe { (*slot.object.get()).assume_init_ref() };
    match K::of(object) {
        Some(object) => Ok(Guard {
            slot,
            index,
            object,
        }),
        None => {
            // The kind in the handle is not that of the object: C has made it up.
            leave(slot, index);
            Err(Failure::no_handle(K::NAME, handle))
        }
    }
}

/// A live object that nobody else uses, or begins to use, until this is dropped: for a moment.
pub(crate) struct Alone<K: Kind> {
    slot: &'static Slot,
    index: u32,
    object: *mut K,
}

impl<K: Kind> Deref for Alone<K> {
    type Target = K;

    #[inline]
    fn deref(&self) -> &K {
        // SAFETY: points into the object, which stays while this one has it.
        unsafe { &*self.object }
    }
}

impl<K: Kind> std::ops::DerefMut for Alone<K> {
    #[inline]
    fn deref_mut(&mut self) -> &mut K {
        // SAFETY: as above; and nobody else has it.
        unsafe { &mut *self.object }
    }
}

impl<K: Kind> Alone<K> {
    /// Drops the object; its handle is none any more.
    #[inline]
    pub(crate) fn free(self) {
        // SAFETY: nobody else uses it, and the word says after this that it is not there any more. It
        // is all that is to be dropped of an `Object`, which has no `drop` of its own.
        unsafe { self.object.drop_in_place() };
        self.free_empty();
    }

    /// The same for an object in which nothing is left to be dropped.
    #[inline]
    pub(crate) fn free_empty(self) {
        let this = std::mem::ManuallyDrop::new(self);
        // Relaxed: only this one may change the word now.
        let generation = this.slot.word.load(Ordering::Relaxed) >> 32;
        give_slot_back(this.slot, this.index, generation);
    }
}

impl<K: Kind> Drop for Alone<K> {
    #[inline]
    fn drop(&mut self) {
        // Relaxed: only this one may change the word now.
        let generation = self.slot.word.load(Ordering::Relaxed) >> 32;
        // ordering: Release pairs with the Acquire of who enters next.
        self.slot.word.store(generation << 32, Ordering::Release);
    }
}

/// The object of a handle, if nobody uses it now.
#[inline]
pub(crate) fn enter_alone<K: Kind>(handle: usize) -> Option<Alone<K>> {
    const { assert!(!K::IS_BRIEF) };
    let Place { slot, index } = place::<K>(handle)?;
    let live = (handle as u64 >> 32) << 32;
    // ordering: Acquire pairs with the Release in `insert`, and in `leave` of all users before.
    slot.word
        .compare_exchange(live, live | ALONE, Ordering::Acquire, Ordering::Relaxed)
        .ok()?;
    // SAFETY: it is live, and this is its only user.
    let object = unsafe { (*slot.object.get()).assume_init_mut() };
    let object = K::of_mut(object).map(|object| &raw mut *object);
    let alone = Alone {
        slot,
        index,
        object: object.unwrap_or(std::ptr::null_mut()),
    };
    // Else the kind in the handle is not that of the object: C has made it up.
    object.is_some().then_some(alone)
}

#[inline]
fn leave(slot: &'static Slot, index: u32) {
    // ordering: Release: what this user did with the object is before its end; Acquire: for
    // the last one, what all others did.
    let before = slot.word.fetch_sub(1, Ordering::AcqRel);
    if before & (GONE | USERS) == GONE | 1 {
        last_has_left(slot, index, before >> 32);
    }
}

#[cold]
fn last_has_left(slot: &'static Slot, index: u32, generation: u64) {
    // SAFETY: nobody enters what is gone, and this was the last user.
    unsafe { (*slot.object.get()).assume_init_drop() };
    give_slot_back(slot, index, generation);
}

/// Its object is dropped, or moved out.
#[inline]
fn give_slot_back(slot: &'static Slot, index: u32, generation: u64) {
    let next = generation + 1;
    if next > u64::from(u32::MAX) {
        return; // its numbers are used up
    }
    // Relaxed: the list of free slots orders it before its next use.
    slot.word.store(next << 32 | GONE, Ordering::Relaxed);
    give_free(Place { slot, index });
}

/// The handle is none any more; its object is dropped when nobody uses it.
pub(crate) fn remove<K: Kind>(handle: usize) -> Result<(), Failure> {
    // As one of its users, so that the object's kind can be looked at, and it is dropped here
    // if there is no other.
    let user = enter::<K>(handle)?;
    // Relaxed: the exchange below orders.
    let before = user.slot.word.fetch_or(GONE, Ordering::Relaxed);
    if before & GONE != 0 {
        return Err(Failure::freed(K::NAME));
    }
    if K::IS_BRIEF {
        // Nobody finds it any more.
        wait_for_sections();
    }
    Ok(())
}

#[cfg(test)]
#[path = "table_tests.rs"]
pub(crate) mod tests;
