//! The record of one process's claim to one block ([`super::hold`]), and the references to it.
//!
//! A claim is a reference-counted *record*. A thread that drops the only reference sees that by a load, so a
//! buffer that was never cloned or sent costs no change of a shared counter.
//!
//! A loan's record also says whether the loan is on its way into a task or out of one:
//! see [`super::going`].

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use crate::prim::atomic::Ordering;

use super::block::{Block, BlockState};
use super::going::Goings;

/// One process's claim to one block.
#[derive(Debug)]
pub(crate) struct Record<P> {
    /// How many `HoldRef`s there are.
    refs: AtomicUsize,
    /// Whose side of the pool it is of; not counted, and never dropped: see `super::shard`.
    pool: ManuallyDrop<P>,
    /// The shard that this record came from.
    home: u8,
    block: Block,
    at: NonNull<u8>,
    kind: BlockState,
    /// Set when the claim was handed to somebody else.
    moved: AtomicBool,
    /// Whether the loan is on its way somewhere, or was sent.
    going: Goings,
    /// Set once another process may have been told of the block, and may change its
    /// word. Until then a loan's word changes by stores of this process alone.
    told: AtomicBool,
    /// Set once somebody may keep what it has made of the block.
    pub(super) known: AtomicBool,
}

impl<P> Record<P> {
    /// With one reference to it.
    #[inline]
    pub(super) fn new(
        pool: ManuallyDrop<P>,
        home: u8,
        block: Block,
        at: NonNull<u8>,
        kind: BlockState,
    ) -> Self {
        Record {
            refs: AtomicUsize::new(1),
            pool,
            home,
            block,
            at,
            kind,
            moved: AtomicBool::new(false),
            going: Goings::default(),
            told: AtomicBool::new(false),
            known: AtomicBool::new(false),
        }
    }

    /// One more reference.
    pub(super) fn refer(&self) {
        // Relaxed: the new reference comes from one that is at hand.
        let before = self.refs.fetch_add(1, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            std::process::abort(); // 2^63 references were forgotten
        }
    }

    /// One reference less. True: it was the last, and whoever has given it up ends the record.
    #[inline]
    pub(super) fn give_up(&self) -> bool {
        // ordering: Acquire pairs with the Release of the references that have gone. Who
        // sees 1 has the only one: nobody is left who could clone it meanwhile.
        if self.refs.load(Ordering::Acquire) != 1 {
            // ordering: Release: uses by this reference are done. The fence pairs with
            // the Release of the others.
            if self.refs.fetch_sub(1, Ordering::Release) != 1 {
                return false;
            }
            fence_private();
        }
        true
    }

    /// Whether there are no more than so many references to the record.
    pub(super) fn has_refs(&self, refs: usize) -> bool {
        // ordering: Acquire as in `give_up`.
        self.refs.load(Ordering::Acquire) == refs
    }

    #[inline]
    pub(super) fn pool(&self) -> &P {
        &self.pool
    }

    #[inline]
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// Where the block's bytes are.
    #[inline]
    pub(super) fn at(&self) -> NonNull<u8> {
        self.at
    }

    /// Whether the claim was handed to somebody else.
    #[inline]
    pub(super) fn has_moved(&self) -> bool {
        // Relaxed: as in `set_whether_moved`.
        self.moved.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set_moved(&self) {
        self.set_whether_moved(true);
    }

    #[inline]
    pub(super) fn set_whether_moved(&self, has_moved: bool) {
        // Relaxed: the reference count orders the drop.
        self.moved.store(has_moved, Ordering::Relaxed);
    }

    /// Another process may be told of the block from now on.
    pub(super) fn set_told(&self) {
        // Relaxed: as in `set_whether_moved`.
        self.told.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_told(&self) -> bool {
        // Relaxed: asked by the only reference.
        self.told.load(Ordering::Relaxed)
    }

    /// Whether the loan is on its way somewhere.
    #[inline]
    pub(super) fn going(&self) -> &Goings {
        &self.going
    }

    /// The shard that it came from.
    #[inline]
    pub(super) fn home(&self) -> u8 {
        self.home
    }

    /// What the block's word says, as far as this process knows.
    #[inline]
    pub(super) fn kind(&self) -> BlockState {
        self.kind
    }

    #[inline]
    pub(super) fn is_loan(&self) -> bool {
        self.kind == BlockState::Loaned
    }
}

/// Counts of references are no atomics of a model, so neither is their fence.
fn fence_private() {
    // ordering: Acquire, see `Record::give_up`.
    std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
}
