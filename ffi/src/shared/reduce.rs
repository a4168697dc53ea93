//! What combines the values of all members, in the order of ranks.

use std::ffi::c_void;

use pinfold::bytemuck::{self, Pod};
use pinfold::collective::Member;
use serde::{Deserialize, Serialize};

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::bytes::Bytes;
use crate::error::Failure;

use super::member::{PinfoldMember, enter, together};

/// A type of numbers.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum PinfoldNumber {
    /// `int8_t`.
    I8 = 1,
    /// `uint8_t`.
    U8 = 2,
    /// `int16_t`.
    I16 = 3,
    /// `uint16_t`.
    U16 = 4,
    /// `int32_t`.
    I32 = 5,
    /// `uint32_t`.
    U32 = 6,
    /// `int64_t`.
    I64 = 7,
    /// `uint64_t`.
    U64 = 8,
    /// `float`.
    F32 = 9,
    /// `double`.
    F64 = 10,
}

/// How numbers are combined.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum PinfoldOperation {
    /// Their sum; whole numbers wrap around.
    Sum = 1,
    /// Their product; whole numbers wrap around.
    Product = 2,
    /// The smallest.
    Min = 3,
    /// The largest.
    Max = 4,
    /// The bits that are set in all; of whole numbers.
    And = 5,
    /// The bits that are set in any; of whole numbers.
    Or = 6,
    /// The bits that are set in an odd number of them; of whole numbers.
    Xor = 7,
}

/// Combines elements: `into[i] = into[i] combined with from[i]`, for each of `count`. Both begin at a
/// multiple of 64.
pub type PinfoldCombine = Option<
    unsafe extern "C" fn(into: *mut c_void, from: *const c_void, count: usize, user: *mut c_void),
>;

/// What is combined.
trait Number: Pod {
    fn operation(number: i32) -> Option<fn(Self, Self) -> Self>;
}

const SUM: i32 = PinfoldOperation::Sum as i32;
const PRODUCT: i32 = PinfoldOperation::Product as i32;
const MIN: i32 = PinfoldOperation::Min as i32;
const MAX: i32 = PinfoldOperation::Max as i32;
const AND: i32 = PinfoldOperation::And as i32;
const OR: i32 = PinfoldOperation::Or as i32;
const XOR: i32 = PinfoldOperation::Xor as i32;

macro_rules! whole {
    ($($T:ty)+) => {
        $(impl Number for $T {
            fn operation(number: i32) -> Option<fn(Self, Self) -> Self> {
                Some(match number {
                    SUM => <$T>::wrapping_add,
                    PRODUCT => <$T>::wrapping_mul,
                    MIN => Ord::min,
                    MAX => Ord::max,
                    AND => |a, b| a & b,
                    OR => |a, b| a | b,
                    XOR => |a, b| a ^ b,
                    _ => return None,
                })
            }
        })+
    };
}
whole!(i8 u8 i16 u16 i32 u32 i64 u64);

macro_rules! floating {
    ($($T:ty)+) => {
        $(impl Number for $T {
            fn operation(number: i32) -> Option<fn(Self, Self) -> Self> {
                Some(match number {
                    SUM => |a, b| a + b,
                    PRODUCT => |a, b| a * b,
                    MIN => <$T>::min,
                    MAX => <$T>::max,
                    _ => return None,
                })
            }
        })+
    };
}
floating!(f32 f64);

/// Calls `$f::<T>(arguments…)` for the type of a number.
macro_rules! for_number {
    ($number:expr, $f:ident($($argument:expr),*)) => {
        match $number {
            1 => $f::<i8>($($argument),*),
            2 => $f::<u8>($($argument),*),
            3 => $f::<i16>($($argument),*),
            4 => $f::<u16>($($argument),*),
            5 => $f::<i32>($($argument),*),
            6 => $f::<u32>($($argument),*),
            7 => $f::<i64>($($argument),*),
            8 => $f::<u64>($($argument),*),
            9 => $f::<f32>($($argument),*),
            10 => $f::<f64>($($argument),*),
            other => Err(Failure::argument(format!("`number` is {other}, which is no pinfold_number"))),
        }
    };
}

fn operation<T: Number>(number: i32) -> Result<fn(T, T) -> T, Failure> {
    let none = || {
        let what = match number {
            AND | OR | XOR => "which is for whole numbers",
            _ => "which is no pinfold_operation",
        };
        Failure::argument(format!("`operation` is {number}, {what}"))
    };
    T::operation(number).ok_or_else(none)
}

/// Some elements that a member brings, and of what size, or type, they are.
#[derive(Serialize, Deserialize)]
struct Raw(u64, Bytes);

/// C's elements, to be read and written.
///
/// # Safety
///
/// `values` is null, or `count` elements can be read and written there, which nobody else touches.
unsafe fn elements<'a, T>(values: *mut c_void, count: usize) -> Result<&'a mut [T], Failure> {
    let values: *mut T = values.cast();
    if count == 0 {
        return Ok(&mut []);
    }
    if values.is_null() {
        return Err(Failure::null("values"));
    }
    if !values.is_aligned() || count > isize::MAX as usize / size_of::<T>() {
        let message = format!("`values`: no list of {count} can be there");
        return Err(Failure::argument(message));
    }
    // SAFETY: the caller's promise; not null, aligned, and not too long for a slice.
    Ok(unsafe { std::slice::from_raw_parts_mut(values, count) })
}

/// Combines what all bring, as bytes. `own` is overwritten where the result goes.
fn raw(
    member: &mut Member,
    root: Option<usize>,
    tag: u64,
    own: &mut [u8],
    mut combine: impl FnMut(&mut [u8], &[u8]),
) -> Result<Result<(), Failure>, pinfold::collective::CollectiveError> {
    let brought = Raw(tag, Bytes::from(&own[..]));
    let mut differ = None;
    let mut at = 0;
    let op = |mut into: Raw, from: Raw| {
        at += 1;
        match into.0 == from.0 && into.1.len() == from.1.len() {
            true => combine(&mut into.1, &from.1),
            false => differ = differ.or(Some(at)),
        }
        into
    };
    let made = match root {
        Some(root) => member.reduce(root, brought, op)?,
        None => Some(member.all_reduce(brought, op)?),
    };
    if let Some(rank) = differ {
        let message =
            format!("member {rank} has brought another number of elements, or other ones");
        return Ok(Err(Failure::new(PinfoldStatus::Mismatch, message)));
    }
    if let Some(Raw(_, made)) = made {
        own.copy_from_slice(&made);
    }
    Ok(Ok(()))
}

/// # Safety
///
/// As for `pinfold_member_reduce`.
unsafe fn reduce<T: Number>(
    member: *mut PinfoldMember,
    root: usize,
    (values, count): (*mut c_void, usize),
    (number, operation): (i32, i32),
    timeout: u64,
    out_rank: *mut usize,
) -> Result<(), Failure> {
    let op = self::operation::<T>(operation)?;
    // SAFETY: the caller's promise.
    let values = unsafe { elements::<T>(values, count) }?;
    let object = enter(member)?;
    let combine = |into: &mut [u8], from: &[u8]| {
        // They are aligned to 64.
        let into: &mut [T] = bytemuck::cast_slice_mut(into);
        let from: &[T] = bytemuck::cast_slice(from);
        for (into, from) in into.iter_mut().zip(from) {
            *into = op(*into, *from);
        }
    };
    let own = bytemuck::cast_slice_mut(values);
    let tag = (number as u64) << 32 | operation as u64;
    // SAFETY: the caller's promise.
    unsafe {
        together(&object, timeout, out_rank, |member| {
            raw(member, Some(root), tag, own, combine)
        })
    }?
}

/// # Safety
///
/// As for `pinfold_member_all_reduce`.
unsafe fn all_reduce<T: Number>(
    member: *mut PinfoldMember,
    (values, count): (*mut c_void, usize),
    operation: i32,
    timeout: u64,
    out_rank: *mut usize,
) -> Result<(), Failure> {
    let op = self::operation::<T>(operation)?;
    // SAFETY: the caller's promise.
    let values = unsafe { elements::<T>(values, count) }?;
    let object = enter(member)?;
    // SAFETY: the caller's promise.
    unsafe {
        together(&object, timeout, out_rank, |member| {
            member.all_reduce_slice(values, op)
        })
    }
}

/// Combines the numbers of all members, element by element, in the order of ranks: the member `root` has the
/// result in the place of its `values`; those of the others stay. All bring `count` numbers of the
/// type `number`, a `pinfold_number`, and say the same `operation`, a `pinfold_operation`.
///
/// A time-out, `out_rank` and failures are as for `pinfold_member_broadcast`. If a member has brought another
/// count, or other numbers, `root` is told (`PINFOLD_STATUS_MISMATCH`).
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `count` such numbers can be read and written at `values`; `out_rank` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_reduce(
    member: *mut PinfoldMember,
    root: usize,
    values: *mut c_void,
    count: usize,
    number: i32,
    operation: i32,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    let kind = (number, operation);
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        for_number!(
            number,
            reduce(member, root, (values, count), kind, timeout, out_rank)
        )
    })
}

/// The same for all: each has the result in the place of its `values`, the same bit by bit. From 32 KiB on each
/// member combines a part of them for all.
///
/// A time-out, `out_rank` and failures are as for `pinfold_member_broadcast`; with
/// `PINFOLD_STATUS_MISMATCH` if not all have brought as many numbers of the same type. Then `values` are
/// as they were.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_member_reduce`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_all_reduce(
    member: *mut PinfoldMember,
    values: *mut c_void,
    count: usize,
    number: i32,
    operation: i32,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        for_number!(
            number,
            all_reduce(member, (values, count), operation, timeout, out_rank)
        )
    })
}

/// # Safety
///
/// As for `pinfold_member_reduce_with`.
unsafe fn with(
    member: *mut PinfoldMember,
    root: Option<usize>,
    (values, count, element): (*mut c_void, usize, usize),
    (combine, user): (PinfoldCombine, *mut c_void),
    timeout: u64,
    out_rank: *mut usize,
) -> Result<(), Failure> {
    let combine = combine.ok_or_else(|| Failure::null("combine"))?;
    if element == 0 {
        return Err(Failure::argument("`element` is 0: no element has no bytes"));
    }
    let many = || {
        Failure::argument(format!(
            "`count`: no {count} elements of {element} bytes can be there"
        ))
    };
    let len = count.checked_mul(element).ok_or_else(many)?;
    // SAFETY: the caller's promise.
    let own = unsafe { elements::<u8>(values, len) }?;
    let object = enter(member)?;
    let each = |into: &mut [u8], from: &[u8]| {
        // SAFETY: the caller's promise; so many elements are there.
        unsafe { combine(into.as_mut_ptr().cast(), from.as_ptr().cast(), count, user) }
    };
    // SAFETY: the caller's promise.
    unsafe {
        together(&object, timeout, out_rank, |member| {
            raw(member, root, element as u64, own, each)
        })
    }?
}

/// As `pinfold_member_reduce`, of elements of any kind, of `element` bytes each, which `combine`
/// combines, with `user`. It is called on this thread, by the member `root` only; it must not unwind, nor use the member.
///
/// A time-out, `out_rank` and failures are as for `pinfold_member_reduce`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `count` such elements can be read and written at `values`; `combine` may be called with `user`;
/// `out_rank` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_reduce_with(
    member: *mut PinfoldMember,
    root: usize,
    values: *mut c_void,
    count: usize,
    element: usize,
    combine: PinfoldCombine,
    user: *mut c_void,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    let (what, how) = ((values, count, element), (combine, user));
    // SAFETY: the caller's promise.
    guard(|| unsafe { with(member, Some(root), what, how, timeout, out_rank) })
}

/// The same for all: each has the result in the place of its `values`, and each calls its own `combine`,
/// which are to do the same.
///
/// A time-out, `out_rank` and failures are as for `pinfold_member_reduce`; all are told of a
/// `PINFOLD_STATUS_MISMATCH`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_member_reduce_with`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_all_reduce_with(
    member: *mut PinfoldMember,
    values: *mut c_void,
    count: usize,
    element: usize,
    combine: PinfoldCombine,
    user: *mut c_void,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    let (what, how) = ((values, count, element), (combine, user));
    // SAFETY: the caller's promise.
    guard(|| unsafe { with(member, None, what, how, timeout, out_rank) })
}
