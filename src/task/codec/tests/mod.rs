//! A zoo of types; each value arrives equal, or is refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::pool::{decoding, encoding};

use super::super::Payload;
use super::{Room, decode, encode, encode_len};

/// What has become of a value.
#[derive(Debug, PartialEq)]
enum Came<T> {
    Plain(T),
    Checked(T),
    Named(T),
    Refused(String),
    /// After it was sent.
    Late(String),
}

fn send<T: Serialize + DeserializeOwned>(value: &T) -> Came<T> {
    let mut out = Payload::new();
    // Something stands in front of it, as a label does.
    out.extend(&[7; 3]);
    let (written, _) = encoding(|| encode(value, &mut out, Room::Heap));
    if let Err(fault) = written {
        return Came::Refused(fault.to_string());
    }
    let bytes = &out.bytes()[3..];
    let read = decoding(&mut Vec::new(), || decode::<T>(bytes, out.is_marked()));
    match (read, out.is_marked(), bytes.last()) {
        (Err(fault), ..) => Came::Late(fault.to_string()),
        (Ok(value), false, _) => Came::Plain(value),
        (Ok(value), true, Some(1)) => Came::Checked(value),
        (Ok(value), true, _) => Came::Named(value),
    }
}

/// Equal or refused; says whether it came.
fn equal_or_refused<T>(value: &T) -> bool
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    match send(value) {
        Came::Plain(came) | Came::Checked(came) | Came::Named(came) => {
            assert_eq!(came, *value);
            true
        }
        Came::Refused(why) => {
            assert!(!why.is_empty());
            false
        }
        // Its own `Deserialize` does not like this value, though it liked others like it.
        Came::Late(why) => {
            assert!(why.contains("is not an even number"), "{value:?}: {why}");
            false
        }
    }
}

fn plainly<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    assert_eq!(send(&value), Came::Plain(value));
}

fn by_name<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: T) {
    // The first one is what teaches it, all others are to profit.
    for _ in 0..2 {
        assert_eq!(send(&value), Came::Named(value.clone()));
    }
}

fn refused<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, why: &str) {
    match send(&value) {
        Came::Refused(words) | Came::Late(words) => assert!(words.contains(why), "{words}"),
        other => panic!("{other:?}"),
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn two() -> u64 {
    2
}

mod rows;
mod types;
mod zoo;
use types::*;

#[test]
fn ordinary_types_have_the_plain_form() {
    plainly(7_u64);
    plainly((
        u64::MAX,
        i64::MIN,
        i128::MIN,
        u128::MAX,
        'ß',
        "text".to_owned(),
        (),
    ));
    plainly((
        f32::NEG_INFINITY,
        f64::MIN_POSITIVE,
        true,
        u8::MAX,
        i8::MIN,
        i16::MIN,
    ));
    plainly(vec![Some(1_u32), None]);
    plainly([Some(Some(1_u8)), Some(None), None]);
    plainly(HashMap::from([(1_u8, "a".to_owned()), (2, "b".to_owned())]));
    plainly("10.0.0.1".parse::<IpAddr>().unwrap());
    plainly(std::time::SystemTime::now());
    plainly(std::path::PathBuf::from("/x"));
    plainly(std::ffi::OsString::from("x"));
    plainly(Ok::<u8, String>(3));
    plainly(Err::<u8, String>("no".into()));
    plainly(Plain {
        a: 1,
        b: "b".into(),
        c: Some(vec![-1, 2]),
    });
    plainly(Cached {
        a: 1,
        cache: 0,
        b: 2,
    });
    plainly(Renamed { a: 1, b: 2 });
    plainly(Aliased { a: 1, b: 2 });
    plainly(Camel {
        some_name: 1,
        other_name: 2,
    });
    plainly(Unit);
    plainly(Newtype(5));
    plainly(Pair(1, "b".into()));
    plainly(Through { inner: vec![1, 2] });
    plainly(Simple::D { x: 1, y: None });
    plainly(Other::Rest);
    plainly(Snake::OneTwo);
    plainly(AsText { n: 12, m: 3 });
    plainly(Even { n: 4 });
    plainly(vec![(); 1000]);
    let nan = match send(&f64::from_bits(0x7ff8_0000_dead_beef)) {
        Came::Plain(nan) => nan,
        other => panic!("{other:?}"),
    };
    assert_eq!(nan.to_bits(), 0x7ff8_0000_dead_beef);
}

#[test]
fn what_the_plain_form_cannot_bring_back_is_sent_by_name() {
    by_name(Skipped {
        offset: 0,
        ids: vec![1, 7],
    });
    by_name(SkippedOption {
        a: None,
        b: Some(1),
    });
    by_name(SkippedVariant::C);
    by_name(SkippedVariant::E(7));
    by_name(Flat {
        inner: Inner { x: 1, y: 2 },
        z: 3,
    });
    by_name(FlatMap {
        rest: HashMap::from([("a".into(), 1), ("b".into(), 2)]),
        z: 3,
    });
    by_name(Untagged::N(3));
    by_name(Untagged::S("s".into()));
    by_name(Untagged::V(vec![Untagged::P { x: 1 }, Untagged::Nothing]));
    by_name(Tagged::B { x: 3 });
    by_name(Tagged::A);
    by_name(Adjacent::D { x: "x".into() });
    by_name(Adjacent::A);
    by_name(Strict { a: 1, b: 0 });
    by_name(WithIp {
        ip: Ipv4Addr::LOCALHOST.into(),
        rest: BTreeMap::from([("a".into(), Ipv4Addr::UNSPECIFIED.into())]),
    });
    by_name(FlatOptions {
        options: Options {
            a: Some(Some(None)),
            b: Some(()),
            c: vec![Some(()), None],
        },
        z: Some(None),
    });
    by_name(AsEither { n: 3, m: 1 });
    by_name(Mixed { n: 7 });
    by_name(
        Inside {
            a: Simple::A,
            b: Some(None),
            c: (),
            d: [1, 2, 3],
            e: 0.5,
        }
        .pipe_tagged(),
    );
}

impl Inside {
    fn pipe_tagged(self) -> Tagged {
        Tagged::D(self)
    }
}

#[test]
fn what_cannot_be_brought_back_is_refused_with_its_reason() {
    refused(Even { n: 3 }, "3 is not an even number");
    refused(OtherDefault { a: 0, b: 1 }, "read back it is another value");
    assert!(equal_or_refused(&OtherDefault { a: 2, b: 1 }));
    refused(Defaults { a: 1, b: None }, "read back it is another value");
    refused(Crossed { a: 1 }, "missing field `y`");
    refused(Ambiguous::B(3), "read back it is another value");
    refused(SkippedVariant::Hidden, "cannot be serialized");
    refused(SkippedWay::B, "cannot be serialized");
    refused(SkippedWay::C, "unknown variant `C`");
    assert!(equal_or_refused(&SkippedWay::D));
    refused(Refuses, "the connection is closed");
    use std::os::unix::ffi::OsStringExt;
    let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(vec![0xff]));
    refused(path, "path contains invalid UTF-8");
}

#[derive(Debug, PartialEq, Deserialize)]
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the connection is closed"))
    }
}

#[test]
fn whoever_reads_less_than_was_written_is_noticed() {
    #[derive(Debug, PartialEq)]
    struct Trail(u8);
    impl Serialize for Trail {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            (self.0, 1_u8).serialize(s)
        }
    }
    impl<'de> Deserialize<'de> for Trail {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            u8::deserialize(d).map(Trail)
        }
    }
    assert!(!equal_or_refused(&Trail(9)));
    assert!(!equal_or_refused(&vec![Trail(9), Trail(8)]));
    let mut bytes = Payload::new();
    bytes.encode(&(1_u8, 2_u8)).unwrap();
    let read = decode::<u8>(bytes.bytes(), false).unwrap_err();
    assert_eq!(
        read.to_string(),
        "1 bytes are left behind it: it does not read what was written"
    );
}

/// More shapes than are kept: the reader compares.
#[test]
fn of_too_many_shapes_the_reader_compares() {
    let mut checked = 0;
    for bits in 0..256_u32 {
        let value: [_; 8] = std::array::from_fn(|n| (bits >> n & 1 == 1).then_some(n as u8));
        match send(&value) {
            Came::Plain(came) => assert_eq!(came, value),
            Came::Checked(came) => {
                assert_eq!(came, value);
                checked += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(checked > 100, "{checked}");
    // One bit of the shape is enough.
    let value: Vec<Option<u8>> = vec![Some(1); 3];
    let mut out = Payload::new();
    encoding(|| super::checked(&value, &mut out, 0)).0.unwrap();
    let good = out.bytes().to_vec();
    assert_eq!(decode::<Vec<Option<u8>>>(&good, true), Ok(value));
    for at in good.len() - 9..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode::<Vec<Option<u8>>>(&bad, true).is_err());
    }
    // The same bytes, asked for by others.
    assert!(decode::<Vec<Option<i8>>>(&good, true).is_err());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum List {
    Nil,
    Cons(Box<List>),
}

fn list(len: usize) -> List {
    (0..len).fold(List::Nil, |list, _| List::Cons(Box::new(list)))
}

fn unlist(mut list: List) -> usize {
    let mut len = 0;
    while let List::Cons(next) = list {
        list = *next;
        len += 1;
    }
    len
}

fn on_a_stack_of<T: Send + 'static>(kib: usize, run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(kib << 10);
    thread.spawn(run).unwrap().join().unwrap()
}

#[test]
fn depth_ends_in_an_error_on_every_stack() {
    for (kib, fits) in [(64, 500), (2048, 10_000), (8192, 40_000)] {
        on_a_stack_of(kib, move || {
            let came = |len| match send(&list(len)) {
                Came::Plain(list) | Came::Checked(list) => unlist(list) == len,
                other => panic!("{other:?}"),
            };
            assert!(came(fits), "{kib} KiB");
            for len in [100_000, 1_000_000] {
                let deep = list(len);
                let Came::Refused(why) = send(&deep) else {
                    panic!("{len} fit into {kib} KiB");
                };
                assert!(why.contains("nested more than"), "{why}");
                unlist(deep);
                // What somebody else has written.
                for form in [
                    vec![1; len],
                    [24, 4, 0, 0, 0, 0, 0, 0, 0, b'C', b'o', b'n', b's'].repeat(len),
                ] {
                    let is_marked = form[0] == 24;
                    let mut form = form;
                    form.extend([2]);
                    let why = decode::<List>(&form, is_marked).unwrap_err().to_string();
                    assert!(why.contains("nested more than"), "{why}");
                }
            }
        });
    }
}

#[test]
fn lengths_are_not_believed() {
    let begun = Instant::now();
    let mut claims = Payload::new();
    claims.extend(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
    let bytes = claims.bytes();
    assert!(decode::<Vec<()>>(bytes, false).is_err());
    assert!(decode::<Vec<[u64; 0]>>(bytes, false).is_err());
    assert!(decode::<Vec<u64>>(bytes, false).is_err());
    assert!(decode::<HashMap<(), ()>>(bytes, false).is_err());
    assert!(decode::<String>(bytes, false).is_err());
    assert!(decode::<Vec<Vec<()>>>(&[bytes, bytes].concat(), false).is_err());
    // As many as are believed at once, again and again.
    let mut again = Payload::new();
    encode_len(1000, &mut again);
    (0..1000).for_each(|_| encode_len(1 << 20, &mut again));
    let many = decode::<Vec<Vec<()>>>(again.bytes(), false).unwrap_err();
    assert!(many.to_string().contains("take no byte"), "{many}");
    assert!(matches!(send(&vec![(); 1 << 21]), Came::Refused(_)));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// Whatever the bytes are: a value or an error.
fn reads_anything<T: DeserializeOwned>(bytes: &[u8]) {
    let _ = decode::<T>(bytes, false);
    let _ = decode::<T>(bytes, true);
    for form in [1, 2] {
        let _ = decode::<T>(&[bytes, &[form]].concat(), true);
    }
}
