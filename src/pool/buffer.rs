//! What a program has in its hands: `Loan` (writable, one owner) and `Shared`
//! (read-only, counted). What is done with arrays is in [`super::array`], with ranges in
//! [`super::range`].

use std::borrow::Borrow;
use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

use bytemuck::Pod;

use crate::prim::Word;

use super::cast::{CastError, cast};
use super::hold::HoldRef;
use super::{BlockState, Pool};

/// A buffer in shared memory that one owner may write: of bytes, or an array of another `T`.
///
/// Comes from [`Runtime::alloc`](crate::Runtime::alloc) in the host and from
/// [`alloc`](crate::alloc) in a task; arrays of other types from
/// [`Runtime::alloc_array`](crate::Runtime::alloc_array) and
/// [`alloc_array`](crate::alloc_array()). It derefs to `[T]`; [`Loan::publish`] turns
/// it into a [`Shared`]. As an argument or result of a task it changes hands
/// without a copy. Dropping it frees the memory; if its process dies, it is freed
/// too.
///
/// A task gets the memory itself if nobody else has the loan, as the types nearly always
/// see to. One that others refer to as well (it is in an [`Arc`](std::sync::Arc), say) is
/// copied, and can be an argument only once: it is empty afterwards for those that refer to
/// it, and to pass it again, or twice in one argument, is
/// [`TaskError::Arguments`](crate::TaskError::Arguments). What many are to have is published.
///
/// The bytes of a fresh loan, other than of `alloc_array`, are whatever the last user of the memory left, in whatever
/// process (unless [`Builder::zero_memory`](crate::Builder::zero_memory) is on): write before
/// you publish. The start is aligned to 16 bytes (64 from 256 bytes
/// on; arrays always), so `bytemuck::cast_slice_mut` to `u64` or `f64` works.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut loan = rt.alloc(5)?;
/// loan.copy_from_slice(b"hello");
/// let shared = loan.publish();
/// assert_eq!(&shared[..], b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Loan<T = u8> {
    pub(super) hold: HoldRef,
    /// In elements, which lie in the block.
    pub(super) len: usize,
    of: PhantomData<T>,
}

impl Loan {
    /// The first `len` bytes of a block, or all there are.
    #[inline]
    pub(super) fn of(hold: HoldRef, len: usize) -> Self {
        let len = len.min(hold.block().capacity);
        Loan {
            hold,
            len,
            of: PhantomData,
        }
    }
}

impl<T: Pod> Loan<T> {
    /// The first `bytes` bytes of a block.
    pub(super) fn of_bytes(hold: HoldRef, bytes: usize) -> Result<Self, CastError> {
        let Shared { hold, len, .. } = Shared::<T>::of(hold, 0, bytes)?;
        Ok(Loan {
            hold,
            len,
            of: PhantomData,
        })
    }

    /// How many elements the block could hold.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert!(rt.alloc(100)?.capacity() >= 100);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn capacity(&self) -> usize {
        self.hold.block().capacity / size_of::<T>()
    }
}

impl<T> Loan<T> {
    /// Keeps the first `len` elements; does nothing if there are fewer.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc(100)?;
    /// loan.truncate(3);
    /// assert_eq!(loan.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Whether it is of this pool.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        self.hold.pool().is_same(pool)
    }

    /// Ends writing: the same memory, readable by any number of holders in any
    /// process of the fold.
    ///
    /// Of a loan that was passed to a task by way of another reference to it, or is being
    /// passed just now, nothing is left: that gives an empty `Shared`, which cannot be passed
    /// on.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc(1)?;
    /// loan[0] = 7;
    /// let first = loan.publish();
    /// let second = first.clone();
    /// assert_eq!(first[0], second[0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish(self) -> Shared<T> {
        if !self.hold.going().may_write() {
            return Shared::first(self.hold, 0);
        }
        if !self.hold.pool().is_here() {
            // Nobody here will free it in either way.
            return Shared::first(self.hold, self.len);
        }
        let (pool, block) = (self.hold.pool(), *self.hold.block());
        if pool.0.load(block.index) != self.hold.word() {
            // Before the holders' words are touched: they are somebody else's.
            let word = pool.0.load(block.index);
            pool.0
                .report_damage(block.index, word, "it was to be published");
            return Shared::first(self.hold, 0);
        }
        pool.0.hold_alone(block.index);
        let shared = Word::new(BlockState::Shared as u8, 0, block.generation);
        self.hold.set_moved();
        if !pool.0.change(block.index, self.hold.word(), shared) {
            let word = pool.0.load(block.index);
            pool.0
                .report_damage(block.index, word, "it was just published");
        }
        Shared::first(HoldRef::new(pool, block, BlockState::Shared), self.len)
    }

    /// How many bytes its elements are.
    pub(super) fn byte_len(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl<T: Pod> Deref for Loan<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        if !self.hold.going().may_read() {
            return &[]; // it is a task's
        }
        // SAFETY: so many elements lie in the block, aligned, and any bytes are a `T`; the
        // block stays mapped while there is the hold, and is ours to read.
        unsafe { std::slice::from_raw_parts(self.hold.at().cast().as_ptr(), self.len) }
    }
}

impl<T: Pod> DerefMut for Loan<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if !self.hold.going().may_write() {
            return &mut [];
        }
        // SAFETY: range and lifetime as in `deref`; the word says Loaned by
        // this process, and `&mut self` is the only way to this hold's bytes: a transfer
        // reads them only while `may_write` says no.
        unsafe { std::slice::from_raw_parts_mut(self.hold.at().cast().as_ptr(), self.len) }
    }
}

impl<T> Debug for Loan<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loan")
            .field("of", &std::any::type_name::<T>())
            .field("len", &self.len)
            .field("block", &self.hold.block().index.0)
            .finish_non_exhaustive()
    }
}

/// A read-only buffer in shared memory, held by any number of owners in any
/// process of the fold: of bytes, or an array of another `T`.
///
/// Comes from [`Loan::publish`], and derefs to `[T]`. Cloning counts within this process;
/// passing it to a task or returning it from one moves no byte. The last drop, in whatever
/// process, frees the memory; the death of a process drops what it held.
///
/// A *range* of it ([`slice`](Shared::slice), [`slices`](Shared::slices)) is a `Shared` too: of
/// the same memory, all of which it keeps, and it travels as the range that it is. (Of a
/// buffer that others still hold where it is returned, a range is copied: so much of it as
/// it is.) At most 255 buffers, or ranges of one, fit into one argument or result.
///
/// The bytes do not change while it is held, as long as no process of the fold
/// writes where it should not; a value that must be trusted against a worker gone
/// wild should be copied before it is checked.
///
/// ```
/// # pinfold::test_setup!();
/// fn sum(data: pinfold::Shared) -> u64 {
///     data.iter().map(|b| u64::from(*b)).sum()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let mut loan = rt.alloc(1000)?;
/// loan.fill(2);
/// assert_eq!(rt.spawn(sum, loan.publish()).join()?, 2000);
/// # Ok(())
/// # }
/// ```
pub struct Shared<T = u8> {
    pub(super) hold: HoldRef,
    /// Where the elements are: in the block, aligned.
    at: NonNull<T>,
    len: usize,
}

// SAFETY: what others have of the same block are shared references to its elements, as of an
// `Arc`; the hold may be sent.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Pod> Shared<T> {
    /// So many bytes of a block from `start` on.
    pub(super) fn of(hold: HoldRef, start: usize, bytes: usize) -> Result<Self, CastError> {
        let meant = hold.bytes(start, bytes);
        let meant: NonNull<[T]> = cast(meant)?.into();
        Ok(Shared {
            at: meant.cast(),
            len: meant.len(),
            hold,
        })
    }

    /// Those elements of it, if they are all among them.
    pub(super) fn part(&self, range: Range<usize>) -> Option<Self> {
        let elements = self.get(range)?;
        Some(Shared {
            hold: self.hold.clone(),
            at: NonNull::from(elements).cast(),
            len: elements.len(),
        })
    }
}

impl<T> Shared<T> {
    /// The first elements of a block, in which there are so many.
    fn first(hold: HoldRef, len: usize) -> Self {
        Shared {
            at: hold.at().cast(),
            hold,
            len,
        }
    }

    /// At which byte of the block it begins.
    pub(super) fn start(&self) -> usize {
        self.at.addr().get() - self.hold.at().addr().get()
    }

    /// At which byte of the block it begins, and how many bytes it has.
    pub(super) fn bytes_meant(&self) -> (usize, usize) {
        (self.start(), self.len * size_of::<T>())
    }

    /// Whether it is of this pool.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        self.hold.pool().is_same(pool)
    }

    /// Whether this process is not a copy of the one whose it is.
    pub(crate) fn is_here(&self) -> bool {
        self.hold.pool().is_here()
    }
}

impl<T: Pod> Deref for Shared<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: so many elements lie in the block, aligned, and any bytes are a `T`; the
        // block stays mapped while there is the hold, and is ours to read.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared {
            hold: self.hold.clone(),
            ..*self
        }
    }
}

impl<T> Debug for Shared<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("of", &std::any::type_name::<T>())
            .field("len", &self.len)
            .field("block", &self.hold.block().index.0)
            .field("start", &self.start())
            .finish_non_exhaustive()
    }
}

impl<T: Pod> AsRef<[T]> for Shared<T> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        self
    }
}

/// So `concat` puts many together, in a `Vec`.
impl<T: Pod> Borrow<[T]> for Shared<T> {
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T: Pod + PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T: Pod + Eq> Eq for Shared<T> {}
