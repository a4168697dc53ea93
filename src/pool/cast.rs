//! Viewing bytes as elements of a type, and their alignment.
//!
//! A block begins at a multiple of its size class, or of a page. Classes of up to 256 bytes that are no
//! multiples of 64 serve only lengths that are no multiples of 64 either: so a request for a multiple of 64
//! bytes gets a block that is aligned to 64 bytes.

use bytemuck::{Pod, PodCastError};
use serde::{Deserialize, Serialize};

/// Arrays begin at multiples of this.
pub(super) const ALIGN: usize = 64;

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
pub(super) const fn fits<T>() {
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
