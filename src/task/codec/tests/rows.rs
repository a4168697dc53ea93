//! Lists of numbers: moved in one piece or one by one, they are the same.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeTuple};
use serde::{Deserializer, Serializer};

use super::*;

/// A list that writes and reads one element after the other, by code of its own.
#[derive(Debug, PartialEq, Clone)]
struct Each<T>(Vec<T>);

impl<T: Serialize> Serialize for Each<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut list = s.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|n| list.serialize_element(n))?;
        list.end()
    }
}

struct EachVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EachVisitor<T> {
    type Value = Each<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Each<T>, S::Error> {
        let mut each = Each(Vec::new());
        while let Some(element) = list.next_element()? {
            each.0.push(element);
        }
        Ok(each)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_seq(EachVisitor(PhantomData))
    }
}

/// Writes as `A` and reads as `B`.
#[derive(Debug, PartialEq, Clone)]
struct Across<A, B>(A, PhantomData<B>);

impl<A: Serialize, B> Serialize for Across<A, B> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de, A: From<B>, B: Deserialize<'de>> Deserialize<'de> for Across<A, B> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Across(B::deserialize(d)?.into(), PhantomData))
    }
}

impl<T> From<Vec<T>> for Each<T> {
    fn from(list: Vec<T>) -> Self {
        Each(list)
    }
}

impl<T> From<Each<T>> for Vec<T> {
    fn from(Each(list): Each<T>) -> Self {
        list
    }
}

/// A visitor of its own that makes a `Vec`, and not the one that was sent.
#[derive(Debug, PartialEq, Clone)]
struct Backwards(Vec<u8>);

impl Serialize for Backwards {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().rev())
    }
}

impl<'de> Deserialize<'de> for Backwards {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Reversed;
        impl<'de> Visitor<'de> for Reversed {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Vec<u8>, S::Error> {
                let mut bytes = VecDeque::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push_front(byte);
                }
                Ok(bytes.into())
            }
        }
        d.deserialize_seq(Reversed).map(Backwards)
    }
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Holds<T> {
    before: u8,
    list: Vec<T>,
    maybe: Option<Vec<T>>,
    boxed: Box<[T]>,
    wrapped: Wrapped<T>,
    one_of: OneOf<T>,
    by_name: std::collections::BTreeMap<String, Vec<T>>,
    after: String,
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Wrapped<T>(Vec<T>);

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
enum OneOf<T> {
    Nothing,
    New(Vec<T>),
    Pair(u16, Vec<T>),
    Named { list: Vec<T> },
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct HoldsFlat<T> {
    #[serde(flatten)]
    holds: Inside<T>,
    z: u8,
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Inside<T> {
    list: Vec<T>,
}

fn bytes_of<T: Serialize + DeserializeOwned>(value: &T) -> Vec<u8> {
    let mut out = Payload::new();
    let (written, _) = encoding(|| encode(value, &mut out, Room::Heap));
    written.unwrap();
    assert!(!out.is_marked());
    out.bytes().to_vec()
}

fn all_ways<T>(list: &[T])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Clone,
{
    let list = list.to_vec();
    let each = Each(list.clone());
    assert_eq!(bytes_of(&list), bytes_of(&each));
    plainly(list.clone());
    plainly(each.clone());
    plainly(Across::<_, Each<T>>(list.clone(), PhantomData));
    plainly(Across::<_, Vec<T>>(each, PhantomData));
    plainly(Some(list.clone()));
    plainly((1_u8, list.clone(), "x".to_owned(), list.clone()));
    plainly(vec![list.clone(), Vec::new(), list.clone()]);
    plainly(list.clone().into_boxed_slice());
    plainly(VecDeque::from(list.clone()));
    for one_of in [
        OneOf::Nothing,
        OneOf::New(list.clone()),
        OneOf::Pair(3, list.clone()),
        OneOf::Named { list: list.clone() },
    ] {
        plainly(Holds {
            before: 1,
            list: list.clone(),
            maybe: (!list.is_empty()).then(|| list.clone()),
            boxed: list.clone().into(),
            wrapped: Wrapped(list.clone()),
            one_of,
            by_name: [("a".to_owned(), list.clone())].into(),
            after: "end".into(),
        });
    }
    // Serde cannot have numbers of 128 bits in what is flattened.
    equal_or_refused(&HoldsFlat {
        holds: Inside { list },
        z: 1,
    });
}

macro_rules! every_number {
    ($($name:ident $type:ty),*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(16))]
            $(#[test]
            fn $name(list in any::<Vec<$type>>()) {
                all_ways(&list);
            })*
        }
    };
}

every_number! {
    lists_of_u8 u8, lists_of_i8 i8, lists_of_u16 u16, lists_of_i16 i16, lists_of_u32 u32,
    lists_of_i32 i32, lists_of_u64 u64, lists_of_i64 i64, lists_of_u128 u128,
    lists_of_i128 i128, lists_of_f32 f32, lists_of_f64 f64, lists_of_usize usize,
    lists_of_isize isize, lists_of_bool bool, lists_of_char char
}

/// Two forms of numbers have the same shape only where they have the same bytes.
#[test]
fn lists_that_are_read_as_others_come_back_equal_or_not_at_all() {
    macro_rules! across {
        ($($from:ident $to:ident),*) => {
            $({
                #[derive(Debug, PartialEq, Clone, Serialize)]
                #[serde(transparent)]
                struct Other(Vec<$from>);
                impl<'de> Deserialize<'de> for Other {
                    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                        let list = Vec::<$to>::deserialize(d)?;
                        let list = list.into_iter().map(|n| n as $from);
                        Ok(Other(list.collect()))
                    }
                }
                for list in [vec![], vec![1], vec![1, 2, 3, 4, 5, 6, 7, 8]] {
                    equal_or_refused(&Other(list));
                }
            })*
        };
    }
    across! { u8 u16, u16 u8, u32 u64, u64 u32, u8 i8, i64 u64, usize u64, u32 f32, u8 u128 }
    // Bytes are no list of them.
    #[derive(Debug, PartialEq, Clone)]
    struct AsBytes(Vec<u8>);
    impl Serialize for AsBytes {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_bytes(&self.0)
        }
    }
    impl<'de> Deserialize<'de> for AsBytes {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            Vec::deserialize(d).map(AsBytes)
        }
    }
    equal_or_refused(&AsBytes(vec![1, 2, 3]));
    plainly(Backwards(vec![1, 2, 3]));
    assert_eq!(bytes_of(&Backwards(vec![1, 2, 3])), [3, 3, 2, 1]);
}

#[test]
fn lists_that_claim_too_much_are_refused() {
    let claims = |len: u128, bytes: &[u8]| {
        let mut claims = Vec::new();
        let mut rest = len;
        while rest > 0x7f {
            claims.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        claims.push(rest as u8);
        claims.extend(bytes);
        claims
    };
    for len in [
        2,
        1 << 40,
        1 << 60,
        1 << 61,
        1 << 62,
        1 << 63,
        (1 << 64) - 1,
    ] {
        let bytes = claims(len, &[1; 1]);
        assert!(decode::<Vec<u8>>(&bytes, false).is_err());
        assert!(decode::<Vec<bool>>(&bytes, false).is_err());
        assert!(decode::<Vec<u64>>(&bytes, false).is_err());
        assert!(decode::<Vec<u128>>(&bytes, false).is_err());
        assert!(decode::<Each<u8>>(&bytes, false).is_err());
        assert!(decode::<String>(&bytes, false).is_err());
        assert!(decode::<Box<[f64]>>(&bytes, false).is_err());
    }
    assert_eq!(decode::<Vec<u8>>(&claims(1, &[9]), false), Ok(vec![9]));
    assert!(decode::<Vec<bool>>(&claims(2, &[1, 2]), false).is_err());
    assert!(decode::<Vec<u16>>(&claims(1, &[1, 2, 3]), false).is_err());
    assert!(decode::<String>(&claims(2, &[0xc3, 0x28]), false).is_err());
    let long = claims(100, &[0xff; 100]);
    assert!(decode::<String>(&long, false).is_err());
}

/// As arguments do that are longer than a slot, and at the lengths where that begins.
#[test]
fn lengths_around_the_bounds() {
    for len in [
        0, 1, 46, 47, 48, 49, 127, 128, 1023, 1024, 1025, 16_384, 70_000,
    ] {
        let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
        plainly(bytes.clone());
        plainly((bytes.clone(), 7_u64, bytes.clone()));
        plainly("ß".repeat(len));
        plainly(std::ffi::CString::new(vec![b'x'; len]).unwrap());
    }
}

/// Arrays of numbers are read in one piece; the bytes are those of a tuple of them.
#[test]
fn arrays_of_numbers_come_back() {
    macro_rules! of_each_length {
        ($type:ty: $($len:literal)*) => {
            $({
                let array: [$type; $len] = std::array::from_fn(|at| at as u8 as $type);
                plainly(array);
                assert_eq!(bytes_of(&array), bytes_of(&BackwardsOf(array)));
                let bytes = bytes_of(&array);
                assert!(decode::<[$type; $len]>(&bytes[..bytes.len() - 1], false).is_err());
                assert!(decode::<[$type; $len]>(&[&bytes[..], &[0]].concat(), false).is_err());
                // Who reads them otherwise reads them itself.
                let backwards = decode::<BackwardsOf<$type, $len>>(&bytes, false);
                let mut expected = array;
                expected.reverse();
                assert_eq!(backwards.map(|read| read.0).ok(), Some(expected));
            })*
        };
    }
    macro_rules! of_each_number {
        ($($type:ty)*) => {
            $(of_each_length!($type: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 32);)*
        };
    }
    of_each_number!(u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64 usize isize);
    plainly([true, false, true]);
    assert!(decode::<[bool; 2]>(&[1, 2], false).is_err());
}

/// An array that is read from its end.
#[derive(Debug, PartialEq, Clone)]
struct BackwardsOf<T, const N: usize>([T; N]);

impl<T: Serialize, const N: usize> Serialize for BackwardsOf<T, N> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut tuple = s.serialize_tuple(N)?;
        self.0.iter().try_for_each(|n| tuple.serialize_element(n))?;
        tuple.end()
    }
}

impl<'de, T: Deserialize<'de> + Copy + Default, const N: usize> Deserialize<'de>
    for BackwardsOf<T, N>
{
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Reversed<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Copy + Default, const N: usize> Visitor<'de> for Reversed<T, N> {
            type Value = [T; N];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<[T; N], S::Error> {
                let mut array = [T::default(); N];
                for at in (0..N).rev() {
                    array[at] = list.next_element()?.unwrap_or_default();
                }
                Ok(array)
            }
        }
        let visitor = Reversed(PhantomData);
        d.deserialize_tuple(N, visitor).map(BackwardsOf)
    }
}
