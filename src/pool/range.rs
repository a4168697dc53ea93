//! Ranges of a shared buffer: the same block, another place in it and another length.

use std::ops::{Bound, RangeBounds};

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use super::Shared;

/// Why there is no such range of a buffer. All are counted in elements.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let shared = rt.alloc(10)?.publish();
/// let error = shared.slice(8..12).unwrap_err();
/// assert_eq!(error, pinfold::RangeError::PastEnd { end: 12, len: 10 });
/// assert_eq!(error.to_string(), "the range ends at 12, and the buffer at 10");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// It ends past the buffer's end.
    #[error("the range ends at {end}, and the buffer at {len}")]
    PastEnd {
        /// Where the range ends; a range without an end begins there.
        end: usize,
        /// How many elements there are.
        len: usize,
    },
    /// It ends before it begins.
    #[error("the range begins at {start}, and ends before that, at {end}")]
    Reversed {
        /// Where it begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// Slices without elements: there would be no end of them.
    #[error("slices of 0 elements of a buffer of {len}: they must have 1 at least")]
    Zero {
        /// How many elements there are.
        len: usize,
    },
}

impl<T: Pod> Shared<T> {
    /// A range of it: a `Shared` of the same memory, without a copy.
    ///
    /// The range is in elements, and may be empty. It keeps the whole memory, not only its part.
    /// As an argument, or part of one, or of a result, it arrives as this range. To borrow
    /// from it, index it: `&shared[a..b]`.
    ///
    /// # Errors
    /// [`RangeError::PastEnd`] and [`RangeError::Reversed`], with both ends.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let mut loan = rt.alloc_array::<f64>(1000)?;
    /// loan[500..].fill(0.5);
    /// let array = loan.publish();
    /// let half = array.slice(500..)?;
    /// assert_eq!(half.slice(..10)?[..], [0.5; 10]); // a range of a range
    /// let sum = rt.spawn(|part: pinfold::Shared<f64>| part.iter().sum::<f64>(), half);
    /// assert_eq!(sum.join()?, 250.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Self, RangeError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len().max(start),
        };
        self.part(start..end).ok_or(match start > end {
            true => RangeError::Reversed { start, end },
            false => RangeError::PastEnd {
                end,
                len: self.len(),
            },
        })
    }

    /// Its two parts: the first `at` elements, and those from there on.
    ///
    /// # Errors
    /// [`RangeError::PastEnd`] if there are less.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let array = rt.alloc_array::<u32>(10)?.publish();
    /// let (head, rest) = array.slice_at(3)?;
    /// assert_eq!((head.len(), rest.len()), (3, 7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn slice_at(&self, at: usize) -> Result<(Self, Self), RangeError> {
        Ok((self.slice(..at)?, self.slice(at..)?))
    }

    /// All of it in ranges of `len` elements each, one after the other; the last has what is
    /// left. What `[T]::chunks` is for slices, to give each task its part of an array.
    ///
    /// # Errors
    /// [`RangeError::Zero`] if `len` is 0.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut loan = rt.alloc_array::<u64>(1000)?;
    /// for (n, element) in loan.iter_mut().enumerate() {
    ///     *element = n as u64;
    /// }
    /// let parts = loan.publish().slices(300)?;
    /// assert_eq!(parts.len(), 4);
    /// let sums = rt.map(|part: pinfold::Shared<u64>| part.iter().sum::<u64>(), parts);
    /// assert_eq!(sums.sum::<Result<u64, _>>()?, 499_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn slices(
        &self,
        len: usize,
    ) -> Result<impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + use<T>, RangeError>
    {
        let all = self.clone();
        if len == 0 {
            return Err(RangeError::Zero { len: all.len() });
        }
        let count = all.len().div_ceil(len);
        Ok((0..count).map(move |n| {
            let start = n * len;
            let end = start.saturating_add(len).min(all.len());
            all.part(start..end).expect("in front of its end")
        }))
    }
}
