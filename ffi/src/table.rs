//! What C has of an object: a number that is looked up, never an address that is followed.
//!
//! ```text
//!   63           32 31            5 4    0
//!   [  generation  |     index     | kind ]      in the place of a pointer; never null
//!
//!   slot:  word  [ generation : 32 | gone : 1 | owner : 11 | users : 20 ]     object
//!
//!   free ──insert──▶ live ──enter, leave (users ± 1)──▶ live
//!                     │ ├─enter_alone (users = all ones), until it is dropped or freed; others wait
//!                     │ ├─enter_own, by the owner that it is marked with: no step is seen
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
//! The handle of a task has an *owner*, the thread that has submitted it, until another thread uses a handle of that
//! owner's, or the owner does anything else with it than to join it (`src/lock/owner.rs` in the library). The owner
//! is alone with it by looking, in a section; the first exchange takes the mark away.
//!
//! Slots stay for ever: `slots.rs`.

use std::ops::Deref;
use std::sync::atomic::Ordering;

use pinfold::{OWNERS, is_owned, is_owner, own_number, owner, share};
use pinfold::{Section, wait_for_sections};

use crate::error::Failure;
use crate::objects::{Kind, Object};
use crate::status::PinfoldStatus;

mod slots;

use slots::{PROCESS, Place, Slot, give_free, slot, take_free};

const KIND_BITS: u32 = 5;
const GONE: u64 = 1 << 31;
const FIRST_GENERATION: u64 = 1 << 31;
/// More than these wait.
const USERS: u64 = (1 << OWNER_AT) - 1;
/// In the place of the number of users: one, who has the object alone for a moment.
const ALONE: u64 = USERS;
const OWNER_AT: u32 = 20;
/// The owner's number, while it has one.
const OWNER: u64 = (OWNERS as u64 - 1) << OWNER_AT;
const _: () = assert!(GONE > OWNER && OWNER & USERS == 0);

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
        let owner = if K::IS_OWNED { owner() } else { 0 };
        // ordering: Release pairs with the Acquire in `enter` and `take`: the object is there.
        slot.word
            .store(generation << 32 | mark(owner), Ordering::Release);
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

/// How a word is marked with the number of an owner.
#[inline(always)]
fn mark(owner: u32) -> u64 {
    u64::from(owner) << OWNER_AT
}

/// Whether this thread may go in by an exchange, as for the owner of the object: it is none, or this thread, or goes
/// in no more.
#[inline]
fn is_let_in(word: u64) -> bool {
    let owner = ((word & OWNER) >> OWNER_AT) as u32;
    owner == own_number() || owner == 0 || is_given_up(owner)
}

/// The same when it is another thread. In a process that was forked off, it may have been in.
#[cold]
fn is_given_up(owner: u32) -> bool {
    if is_elsewhere() && is_owned(owner) {
        return false;
    }
    share(owner);
    true
}

/// Whether this process was forked off the one whose objects these are.
fn is_elsewhere() -> bool {
    // Relaxed: only the number matters.
    PROCESS.load(Ordering::Relaxed) != std::process::id()
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
    if !is_elsewhere() {
        return Ok(PATIENCE);
    }
    Err(held_for_ever::<K>())
}

#[cold]
fn held_for_ever<K: Kind>() -> Failure {
    let message = format!(
        "this {} is held for ever: the process was forked off while another thread used it",
        K::NAME
    );
    Failure::new(PinfoldStatus::Forked, message)
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
    // It is live, in the handle's generation, and not held alone: the number of users is all that differs, or that it
    // is this thread's.
    let live = (handle as u64 >> 32) << 32;
    let differs = word ^ live;
    if differs >= ALONE - 1 && !(K::IS_OWNED && differs == mark(own_number())) {
        return None;
    }
    let entered = live | ((differs & USERS) + 1);
    // ordering: Acquire pairs with the Release in `insert`.
    slot.word
        .compare_exchange(word, entered, Ordering::Acquire, Ordering::Relaxed)
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
        if !is_let_in(word) {
            return Err(held_for_ever::<K>());
        }
        let entered = (word & !OWNER) + 1;
        // ordering: Acquire pairs with the Release in `insert`.
        match slot
            .word
            .compare_exchange_weak(word, entered, Ordering::Acquire, Ordering::Relaxed)
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
    // Relaxed: the exchange says whether it was right.
    let word = slot.word.load(Ordering::Relaxed);
    if (word ^ live) & !OWNER != 0 || !is_let_in(word) {
        return None;
    }
    // ordering: Acquire pairs with the Release in `insert`, and in `leave` of all users before.
    slot.word
        .compare_exchange(word, live | ALONE, Ordering::Acquire, Ordering::Relaxed)
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

/// A live object of this thread's own, which no other uses as long as this is there: a section of the thread's.
pub(crate) struct Owned<K: Kind> {
    place: Place,
    object: *mut K,
    section: Section,
}

impl<K: Kind> Owned<K> {
    /// The object, and the section.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&mut K, &Section) {
        // SAFETY: points into the object, which stays while this one has it; and nobody else has it.
        (unsafe { &mut *self.object }, &self.section)
    }

    /// Frees an object in which nothing is left to be dropped; its handle is none any more.
    #[inline(always)]
    pub(crate) fn free_empty(self) {
        let Place { slot, index } = self.place;
        // Relaxed: only this thread may change the word now, but for those that fail.
        let generation = slot.word.load(Ordering::Relaxed) >> 32;
        give_slot_back(slot, index, generation);
    }
}

/// The object of a handle, if it is this thread's own.
#[inline(always)]
pub(crate) fn enter_own<K: Kind>(handle: usize) -> Option<Owned<K>> {
    const { assert!(K::IS_OWNED && !K::IS_BRIEF) };
    let place = place::<K>(handle)?;
    let section = Section::enter()?;
    // Relaxed: this thread has put the object there, or one that had its number before. Who takes the mark away
    // waits for the section.
    let word = place.slot.word.load(Ordering::Relaxed);
    let live = (handle as u64 >> 32) << 32;
    let owner = own_number();
    if word != live | mark(owner) || !is_owner(owner, &section) {
        return None;
    }
    // SAFETY: it is live, and nobody else uses it in this section.
    let object = unsafe { (*place.slot.object.get()).assume_init_mut() };
    let object = K::of_mut(object)?;
    Some(Owned {
        place,
        object,
        section,
    })
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
