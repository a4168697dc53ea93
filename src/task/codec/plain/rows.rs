//! Rows of numbers: their memory is what is written.
//!
//! Numbers are as wide as their types, so a list of them, written one by one, is its length
//! and then what lies in memory. Where serde shows that a list is one of numbers it is moved in one
//! piece; the bytes and the [shape](super::super::shape) are the same as one by one.
//!
//! **Seen when writing:** a list has itself collected ([`of`]), and its type is compared.
//!
//! **Seen when reading:** what comes is a visitor, of a type that is serde's own business.
//! But which one serde uses for `Vec<T>` can be asked: `Vec::<T>::deserialize` is called
//! with a deserializer that does no more than tell the type of the visitor it gets. A visitor
//! of that type, which has no size and makes a `Vec<T>`, makes the list of what is there.

use std::any::TypeId;
use std::fmt::Display;
use std::mem::ManuallyDrop;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::super::fault::Fault;
use super::super::shape::{self, Run, and};
use super::memory::with_room;
use super::numbers::{Number, for_each_number};
use super::reader::Reader;

/// Numbers that follow each other in memory.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub bytes: &'a [u8],
    /// How many numbers.
    pub len: usize,
    token: u64,
}

impl Row<'_> {
    /// The shape of what was written before and this list.
    #[inline(always)]
    pub fn shape(&self, before: u64) -> u64 {
        row_shape(before, self.len, self.token)
    }
}

#[inline(always)]
fn row_shape(before: u64, len: usize, token: u64) -> u64 {
    let mut run = Run::new(before, shape::SEQ);
    if len > 0 {
        run.push(and(shape::NOTHING, token));
    }
    run.end()
}

/// The elements of `list`, if it is a reference to a list of `T`.
#[inline(always)]
fn elements<I, T: 'static>(list: &I) -> Option<&[T]> {
    let is = typeid::of::<I>();
    let list = std::ptr::from_ref(list);
    if is == typeid::of::<&Vec<T>>() {
        // SAFETY: `I` is a `&Vec<T>`, which lives at least as long as the reference to it.
        return Some(unsafe { *list.cast::<&Vec<T>>() });
    }
    // SAFETY: `I` is a `&[T]`, which lives at least as long as the reference to it.
    (is == typeid::of::<&[T]>()).then(|| unsafe { *list.cast::<&[T]>() })
}

/// The memory of `list`, if it is a reference to a list of numbers.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn of<I>(list: &I) -> Option<Row<'_>> {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if let Some(numbers) = elements::<I, $type>(list) {
                return Some(Row {
                    bytes: bytemuck::cast_slice(numbers),
                    len: numbers.len(),
                    token: shape::$token,
                });
            }
        };
    }
    if size_of::<I>() >= size_of::<usize>() {
        for_each_number!(try_number!());
    }
    None
}

/// What a visitor makes, if that is a list of numbers and it is the one that serde has for
/// it.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn read<'de, V: Visitor<'de>>(reader: &mut Reader<'de, '_>) -> Option<Result<V::Value, Fault>> {
    macro_rules! try_number {
        ($type:ident $token:ident) => {
            if typeid::of::<V::Value>() == TypeId::of::<Vec<$type>>() {
                if size_of::<V>() > 0 || Some(typeid::of::<V>()) != visitor_of::<Vec<$type>>() {
                    return None;
                }
                return Some(reader.row::<$type>(shape::$token).map(|list| {
                    let list = ManuallyDrop::new(list);
                    // SAFETY: `V::Value` is a `Vec` of this type, and this one is not
                    // dropped.
                    unsafe { std::ptr::from_ref(&*list).cast::<V::Value>().read() }
                }));
            }
        };
    }
    for_each_number!(try_number!());
    None
}

impl Reader<'_, '_> {
    #[inline(never)]
    fn row<T: Number>(&mut self, token: u64) -> Result<Vec<T>, Fault> {
        let len = self.len()?;
        let size = len.checked_mul(size_of::<T>()).ok_or_else(Fault::short)?;
        let bytes = self.take(size)?;
        let mut list = with_room(len)?;
        let room = list.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: there is room for `len` numbers, which is `size` bytes; nobody else knows
        // of it.
        let copy = unsafe {
            room.copy_from_nonoverlapping(bytes.as_ptr(), size);
            std::slice::from_raw_parts(room, size)
        };
        // Not what others may still write.
        if !T::are_well(copy) {
            return Err(Fault::mismatch("a truth value in it is none"));
        }
        // SAFETY: so many were just written, and they are such numbers: `are_well` says so, of
        // types that are not made of any bytes.
        unsafe { list.set_len(len) };
        self.shape = row_shape(self.shape, len, token);
        Ok(list)
    }
}

/// Which visitor serde has for a `T` that is read as a sequence.
#[inline(always)]
fn visitor_of<T: for<'de> Deserialize<'de>>() -> Option<TypeId> {
    match T::deserialize(Teller) {
        Ok(_) => None,
        Err(Told(visitor)) => visitor,
    }
}

/// Tells which visitor it gets.
struct Teller;

#[derive(Debug)]
struct Told(Option<TypeId>);

impl Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Told {}

impl de::Error for Told {
    fn custom<T: Display>(_: T) -> Self {
        Told(None)
    }
}

impl<'de> Deserializer<'de> for Teller {
    type Error = Told;

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told(Some(typeid::of::<V>())))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told(None))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
