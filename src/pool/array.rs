//! Buffers as arrays: of what is more than a byte.
//!
//! A block begins at a multiple of its size class, or of a page. The classes of up to 256 bytes
//! that are no multiples of 64 are those of lengths that are none: so whoever asks for a
//! multiple of 64 bytes gets a block that begins at one.

use bytemuck::{Pod, PodCastError};
use serde::{Deserialize, Serialize};

use super::{AllocError, Loan, Shared};

/// Arrays begin at multiples of this.
const ALIGN: usize = 64;

/// Why bytes are no array of a type.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let bytes = rt.alloc(10)?.publish();
/// let error = bytes.try_cast::<u64>().unwrap_err();
/// assert_eq!(error, pinfold::CastError::Length { bytes: 10, element: 8 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CastError {
    /// They are no whole number of elements.
    #[error("{bytes} bytes are no whole number of elements of {element} bytes")]
    Length {
        /// How many bytes there are.
        bytes: usize,
        /// The size of an element, in bytes.
        element: usize,
    },
    /// They begin where no element may.
    #[error("these bytes begin {off} bytes past a multiple of {align}, which an element must not")]
    Alignment {
        /// How many bytes they begin past the last place where an element may.
        off: usize,
        /// The elements' alignment, in bytes.
        align: usize,
    },
}

/// The bytes as elements.
pub(super) fn cast<T: Pod>(bytes: &[u8]) -> Result<&[T], CastError> {
    const { fits::<T>() };
    bytemuck::try_cast_slice(bytes).map_err(|error| {
        let align = align_of::<T>();
        match error {
            PodCastError::TargetAlignmentGreaterAndInputNotAligned => CastError::Alignment {
                off: bytes.as_ptr().addr() % align,
                align,
            },
            _ => CastError::Length {
                bytes: bytes.len(),
                element: size_of::<T>(),
            },
        }
    })
}

/// Whether there are arrays of a type: asked when the program is compiled.
const fn fits<T>() {
    assert!(
        size_of::<T>() > 0,
        "there is no array of a type without bytes"
    );
    assert!(
        align_of::<T>() <= ALIGN,
        "no type of an alignment above 64 is in an array"
    );
}

/// The length of an aligned block for so many bytes, of which there is a block already.
pub(super) fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

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
