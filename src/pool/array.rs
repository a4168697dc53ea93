//! Buffers as arrays: of what is more than a byte.

use bytemuck::Pod;

use super::cast::{ALIGN, CastError, fits};
use super::{AllocError, Loan, Shared};

/// An array of `len` elements, all bytes 0, in memory that `alloc` finds.
pub(crate) fn array<T: Pod>(
    len: usize,
    alloc: impl FnOnce(usize) -> Result<Loan, AllocError>,
) -> Result<Loan<T>, AllocError> {
    const { fits::<T>() };
    let bytes = len.saturating_mul(size_of::<T>());
    // What is too much is refused by `alloc`, which says so of what was asked for.
    let whole = bytes.checked_next_multiple_of(ALIGN).unwrap_or(bytes);
    let mut loan = alloc(whole).map_err(|error| error.of(bytes))?;
    loan.truncate(bytes);
    if !loan.hold.is_zeroed() {
        loan.fill(0);
    }
    let made = Loan::of_bytes(loan.hold, bytes);
    debug_assert!(made.is_ok(), "aligned, and a multiple of the size");
    made.map_err(|_| AllocError::NoPool)
}

impl AllocError {
    /// The same, as so many bytes were asked for.
    fn of(self, bytes: usize) -> Self {
        match self {
            AllocError::TooLarge { capacity, .. } => AllocError::TooLarge {
                requested: bytes,
                capacity,
            },
            AllocError::Exhausted { capacity, .. } => AllocError::Exhausted {
                requested: bytes,
                capacity,
            },
            other => other,
        }
    }
}

impl<T: Pod> Shared<T> {
    /// The same memory as an array of another type, if it begins where a `U` may and is a whole
    /// number of them. Nothing is copied.
    ///
    /// What [`Runtime::alloc`](crate::Runtime::alloc) gives begins at a multiple of 16 bytes at
    /// least, an array at one of 64; a range begins wherever it does.
    ///
    /// # Errors
    /// [`CastError`] says what does not fit.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc(16)?;
    /// loan.fill(1);
    /// let bytes = loan.publish();
    /// let words = bytes.try_cast::<u64>()?;
    /// assert_eq!(words[..], [0x0101_0101_0101_0101; 2]);
    /// assert!(bytes.slice(1..9)?.try_cast::<u64>().is_err()); // begins at an odd place
    /// assert_eq!(words.try_cast::<u8>()?, bytes); // and back
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_cast<U: Pod>(&self) -> Result<Shared<U>, CastError> {
        let (start, bytes) = self.bytes_meant();
        Shared::of(self.hold.clone(), start, bytes)
    }
}
