//! Random values of all types: each arrives equal, or is refused.

use super::*;

macro_rules! property {
    ($($name:ident($($argument:ident: $type:ty),*) { $($value:expr),* $(,)? })*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            $(#[test]
            fn $name($($argument in any::<$type>()),*) {
                $(equal_or_refused(&$value);)*
            })*

            #[test]
            fn anybodys_bytes_are_read(bytes in any::<Vec<u8>>()) {
                reads_anything::<Plain>(&bytes);
                reads_anything::<FlatTwice>(&bytes);
                reads_anything::<Untagged>(&bytes);
                reads_anything::<Adjacent>(&bytes);
                reads_anything::<Generic>(&bytes);
                reads_anything::<FlatNumbers>(&bytes);
                reads_anything::<Vec<Deep>>(&bytes);
            }
        }
    };
}

fn inner(x: u8) -> Inner {
    Inner { x, y: x / 2 }
}

fn simple(x: u8, text: &str) -> Simple {
    match x % 4 {
        0 => Simple::A,
        1 => Simple::B(x),
        2 => Simple::C(x, text.into()),
        _ => Simple::D {
            x,
            y: (x > 99).then_some(x),
        },
    }
}

fn tagged(x: u8, text: &str) -> Tagged {
    match x % 4 {
        0 => Tagged::A,
        1 => Tagged::B { x },
        2 => Tagged::C(inner(x)),
        _ => Tagged::D(Inside {
            a: simple(x / 4, text),
            b: (x > 9).then_some((x > 99).then_some(x)),
            c: (),
            d: [x.into(); 3],
            e: f64::from(x) / 3.0,
        }),
    }
}

fn untagged(x: u8, text: &str) -> Untagged {
    match x % 5 {
        0 => Untagged::N(x.into()),
        1 => Untagged::S(text.into()),
        2 => Untagged::P { x },
        3 => Untagged::V(vec![untagged(x / 5, text); 2]),
        _ => Untagged::Nothing,
    }
}

fn options(x: u8) -> Options {
    Options {
        a: (x > 1).then_some((x > 2).then_some((x > 3).then_some(x))),
        b: x.is_multiple_of(2).then_some(()),
        c: (0..x % 5).map(|n| (n < x % 3).then_some(())).collect(),
    }
}

fn numbers(n: u64, wide: u128, c: char) -> Numbers {
    Numbers {
        a: wide as i128,
        b: wide,
        c: n as i8,
        d: n as i16,
        e: n as u16,
        f: n as i32,
        g: n as i64,
        h: (n as f32) / 7.0,
        i: c,
        j: n.is_multiple_of(2),
    }
}

property! {
    structs(x: u8, n: u64, text: String, ids: Vec<u64>, o: Option<u8>) {
        Plain { a: n, b: text.clone(), c: o.map(|x| vec![x.into(); 3]) },
        Skipped { offset: (x % 3).into(), ids: ids.clone() },
        Skipped { offset: 0, ids: ids.clone() },
        SkippedOption { a: o, b: Some(x) },
        SkippedOption { a: Some(x), b: o },
        OtherDefault { a: (x % 4).into(), b: n },
        Cached { a: x, cache: 0, b: x },
        Renamed { a: x, b: x },
        Aliased { a: x, b: x / 2 },
        Crossed { a: x },
        Flat { inner: inner(x), z: x },
        FlatMap { rest: ids.iter().map(|n| (n.to_string(), *n as u32)).collect(), z: x },
        FlatTwice { a: Flat { inner: inner(x), z: x }, b: o.map(|x| Plain { a: x.into(), b: text.clone(), c: None }), own: 'x' },
        Newtype(n),
        Pair(x, text.clone()),
        Through { inner: vec![x; 9] },
        Defaults { a: x, b: (x > 9).then(|| text.clone()) },
        Strict { a: x, b: (x % 3).into() },
        Camel { some_name: x, other_name: n as u16 },
        Deep { a: o.map(|n| Box::new(Deep { a: None, n })), n: x },
        FlatOptions { options: options(x), z: Some(o) },
        options(x),
        Crossing { a: 0, b: 0, c: x },
        AsText { n, m: x },
        AsEither { n, m: x },
        Wide { n: x.into(), m: x },
        Seconds { every: Duration::from_secs(x.into()), m: x },
        Even { n: x.into() },
        Mixed { n: x.into() },
    }
    enums(x: u8, text: String, list: Vec<u8>) {
        simple(x, &text),
        list.iter().map(|x| simple(*x, &text)).collect::<Vec<_>>(),
        list.iter().map(|x| match x % 4 {
            0 => SkippedVariant::A, 1 => SkippedVariant::C, 2 => SkippedVariant::D, _ => SkippedVariant::E(*x),
        }).collect::<Vec<_>>(),
        list.iter().map(|x| match x % 3 { 0 => SkippedWay::A, 1 => SkippedWay::D, _ => SkippedWay::C }).collect::<Vec<_>>(),
        list.iter().map(|x| match x % 3 { 0 => Other::A, 1 => Other::B, _ => Other::Rest }).collect::<Vec<_>>(),
        untagged(x, &text),
        list.iter().map(|x| untagged(*x, &text)).collect::<Vec<_>>(),
        if x % 2 == 0 { Ambiguous::A(Some(x)) } else { Ambiguous::B(x) },
        tagged(x, &text),
        list.iter().map(|x| (tagged(*x, &text), Some(*x))).collect::<Vec<_>>(),
        match x % 4 { 0 => Adjacent::A, 1 => Adjacent::B(x), 2 => Adjacent::C(x, 1), _ => Adjacent::D { x: text.clone() } },
        if x % 2 == 0 { Snake::OneTwo } else { Snake::ThreeFour(x) },
        if x % 2 == 0 { OneUntagged::A(x) } else { OneUntagged::Other(text.clone()) },
        FlatEnum { simple: simple(x, &text), tagged: tagged(x / 2, &text) },
        list.iter().map(|x| Ok::<u8, String>(*x)).collect::<Vec<_>>(),
    }
    others(n: u64, wide: u128, c: char, f: f64, text: String, set: HashSet<String>) {
        numbers(n, wide, c),
        FlatNumbers { numbers: numbers(n, wide, c), z: 1 },
        if f.is_nan() { 0.0 } else { f },
        (n, wide, c, text.clone(), Some(Some(()))),
        Generic {
            numbers: HashMap::from([(1, vec![(n as i64, 0.5); 3]), (2, vec![])]),
            set: set.clone(),
            tree: BTreeMap::from([((1, c), true)]),
        },
        WithIp { ip: Ipv4Addr::from(n as u32).into(), rest: BTreeMap::from([(text.clone(), Ipv4Addr::LOCALHOST.into())]) },
        Duration::new(n, 999_999_999),
        (0..n % 99, 0..=n, std::num::NonZeroU64::new(n | 1)),
        std::rc::Rc::<str>::from(text.as_str()).to_string(),
    }
}
