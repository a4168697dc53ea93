//! The types of numbers: which are known by their type alone, and so what is made of a few of them.
//!
//! **A number alone, or an array of a few** that is all there is to read is known by its type, and is copied
//! in one piece, too ([`read_flat`]): element by element it goes through the stack several times.

use std::any::TypeId;
use std::marker::PhantomData;

/// The types of numbers, and what their shapes begin with.
macro_rules! for_each_number {
    ($do:ident!($($more:tt)*)) => {
        #[cfg(target_endian = "little")]
        {
            $do!($($more)* u8 U8);
            $do!($($more)* i8 I8);
            $do!($($more)* u16 U16);
            $do!($($more)* i16 I16);
            $do!($($more)* u32 U32);
            $do!($($more)* i32 I32);
            $do!($($more)* u64 U64);
            $do!($($more)* i64 I64);
            $do!($($more)* u128 U128);
            $do!($($more)* i128 I128);
            $do!($($more)* f32 F32);
            $do!($($more)* f64 F64);
            $do!($($more)* bool BOOL);
            #[cfg(target_pointer_width = "64")]
            {
                $do!($($more)* usize U64);
                $do!($($more)* isize I64);
            }
        }
    };
}

pub(super) use for_each_number;

/// Whether `T` is a number: nothing is nested in it.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn is_number<T: ?Sized>() -> bool {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if typeid::of::<T>() == TypeId::of::<$type>() {
                return true;
            }
        };
    }
    for_each_number!(try_number!());
    false
}

/// Whether what seed `S` has read is a number, as its type reads itself.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn is_of_number<S>() -> bool {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if typeid::of::<S>() == TypeId::of::<PhantomData<$type>>() {
                return true;
            }
        };
    }
    for_each_number!(try_number!());
    false
}

/// Whether `T` is `N`, or an array of up to 16 of them.
#[inline(always)]
fn is_array_of<T, N: 'static>() -> bool {
    macro_rules! is_array {
        ($($len:literal)*) => {
            match size_of::<T>() / size_of::<N>() {
                $($len => typeid::of::<T>() == TypeId::of::<[N; $len]>(),)*
                _ => false,
            }
        };
    }
    typeid::of::<T>() == TypeId::of::<N>() || is_array!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// Whether `T` is a number, or an array of a few: its plain form has as many bytes as its type, and
/// nothing is nested in it that has not.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn is_flat<T>() -> bool {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if is_array_of::<T, $type>() {
                return true;
            }
        };
    }
    for_each_number!(try_number!());
    false
}

/// The value of a flat type of which these are the bytes. `None` if it is none, or not any
/// bytes are one.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn read_flat<T>(bytes: &[u8]) -> Option<T> {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if is_array_of::<T, $type>() {
                let fits = <$type>::ANY && bytes.len() == size_of::<T>();
                // SAFETY: there are as many bytes, and any are such numbers.
                return fits.then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() });
            }
        };
    }
    for_each_number!(try_number!());
    None
}

/// Whether `T` is one of the types of which every value comes back, whatever its shape.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn is_sure<T>() -> bool {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if typeid::of::<T>() == TypeId::of::<Vec<$type>>()
                || typeid::of::<T>() == TypeId::of::<Option<$type>>()
            {
                return true;
            }
        };
    }
    for_each_number!(try_number!());
    is_flat::<T>()
        || typeid::of::<T>() == TypeId::of::<()>()
        || typeid::of::<T>() == TypeId::of::<char>()
        || typeid::of::<T>() == TypeId::of::<String>()
}

/// What can be read from memory.
pub trait Number: Copy + 'static {
    /// Whether any bytes are such a number.
    const ANY: bool = true;

    /// Whether all these bytes are such numbers.
    fn are_well(_: &[u8]) -> bool {
        true
    }
}

macro_rules! number {
    (bool BOOL) => {
        impl Number for bool {
            const ANY: bool = false;

            fn are_well(bytes: &[u8]) -> bool {
                bytes.iter().fold(0, |all, byte| all | byte) < 2
            }
        }
    };
    ($type:ident $token:ident) => {
        impl Number for $type {}
    };
}

const _: () = {
    for_each_number!(number!());
};
