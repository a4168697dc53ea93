//! What a program has in its hands: `Loan` (writable, one owner) and `Shared`
//! (read-only, counted).

use std::ops::{Deref, DerefMut};

use crate::prim::Word;

use super::hold::HoldRef;
use super::{BlockState, Pool};

/// A buffer in shared memory that one owner may write.
///
/// Comes from [`Runtime::alloc`](crate::Runtime::alloc) in the host and from
/// [`alloc`](crate::alloc) in a task. It derefs to `[u8]`; [`Loan::publish`] turns
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
/// The bytes of a fresh loan are whatever the last user of the memory left, in whatever
/// process (unless [`Builder::zero_memory`](crate::Builder::zero_memory) is on): write before
/// you publish. The start is aligned to 16 bytes (64 from 256 bytes
/// on), so `bytemuck::cast_slice_mut` to `u64` or `f64` works.
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
#[derive(Debug)]
pub struct Loan {
    pub(super) hold: HoldRef,
    pub(super) len: usize,
}

impl Loan {
    /// How many bytes the block could hold.
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
        self.hold.block().capacity
    }

    /// Keeps the first `len` bytes; does nothing if there are fewer.
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
    pub fn publish(self) -> Shared {
        if !self.hold.going().may_write() {
            let hold = self.hold;
            return Shared { hold, len: 0 };
        }
        if !self.hold.pool().is_here() {
            // Nobody here will free it in either way.
            return Shared {
                hold: self.hold,
                len: self.len,
            };
        }
        let (pool, block) = (self.hold.pool(), *self.hold.block());
        if pool.0.load(block.index) != self.hold.word() {
            // Before the holders' words are touched: they are somebody else's.
            pool.0.report_damage(block.index, self.hold.word());
            let hold = self.hold;
            return Shared { hold, len: 0 };
        }
        pool.0.hold_alone(block.index);
        let shared = Word::new(BlockState::Shared as u8, 0, block.generation);
        self.hold.set_moved();
        if !pool.0.change(block.index, self.hold.word(), shared) {
            pool.0.report_damage(block.index, self.hold.word());
        }
        Shared {
            hold: HoldRef::new(pool, block, BlockState::Shared),
            len: self.len,
        }
    }
}

impl Deref for Loan {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        if !self.hold.going().may_read() {
            return &[]; // it is a task's
        }
        self.hold.bytes(self.len)
    }
}

impl DerefMut for Loan {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        if !self.hold.going().may_write() {
            return &mut [];
        }
        let len = self.len.min(self.hold.block().capacity);
        // SAFETY: range and lifetime as in `Hold::bytes`; the word says Loaned by
        // this process, and `&mut self` is the only way to this hold's bytes: a transfer
        // reads them only while `may_write` says no.
        unsafe { std::slice::from_raw_parts_mut(self.hold.at().as_ptr(), len) }
    }
}

/// A read-only buffer in shared memory, held by any number of owners in any
/// process of the fold.
///
/// Comes from [`Loan::publish`]. Cloning counts within this process; passing it to
/// a task or returning it from one moves no byte. The last drop, in whatever
/// process, frees the memory; the death of a process drops what it held.
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
#[derive(Clone, Debug)]
pub struct Shared {
    pub(super) hold: HoldRef,
    pub(super) len: usize,
}

impl Shared {
    /// Whether it is of this pool.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        self.hold.pool().is_same(pool)
    }

    /// Whether this process is not a copy of the one whose it is.
    pub(crate) fn is_here(&self) -> bool {
        self.hold.pool().is_here()
    }
}

impl Deref for Shared {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.hold.bytes(self.len)
    }
}

impl AsRef<[u8]> for Shared {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Shared {}
