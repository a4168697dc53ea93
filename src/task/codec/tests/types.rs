//! Types with derived implementations and attributes of all kinds.

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plain {
    pub a: u64,
    pub b: String,
    pub c: Option<Vec<i32>>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    pub ids: Vec<u64>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkippedOption {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<u8>,
    pub b: Option<u8>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherDefault {
    #[serde(default = "two", skip_serializing_if = "is_zero")]
    pub a: u64,
    pub b: u64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cached {
    pub a: u8,
    #[serde(skip)]
    pub cache: u8,
    pub b: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renamed {
    #[serde(rename = "type")]
    pub a: u8,
    #[serde(rename = "b c")]
    pub b: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aliased {
    #[serde(alias = "z", alias = "y")]
    pub a: u8,
    #[serde(alias = "x")]
    pub b: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossed {
    #[serde(rename(serialize = "x", deserialize = "y"))]
    pub a: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inner {
    pub x: u8,
    pub y: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flat {
    #[serde(flatten)]
    pub inner: Inner,
    pub z: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatMap {
    #[serde(flatten)]
    pub rest: HashMap<String, u32>,
    pub z: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatTwice {
    #[serde(flatten)]
    pub a: Flat,
    #[serde(flatten)]
    pub b: Option<Plain>,
    pub own: char,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit;
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Newtype(pub u64);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair(pub u8, pub String);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Through {
    pub inner: Vec<u8>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Defaults {
    pub a: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strict {
    pub a: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub b: u64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Camel {
    pub some_name: u8,
    pub other_name: u16,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deep {
    pub a: Option<Box<Deep>>,
    pub n: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generic {
    pub numbers: HashMap<u8, Vec<(i64, f32)>>,
    pub set: HashSet<String>,
    pub tree: BTreeMap<(u8, char), bool>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithIp {
    pub ip: IpAddr,
    #[serde(flatten)]
    pub rest: BTreeMap<String, IpAddr>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    #[serde(default, skip_serializing)]
    pub a: u8,
    #[serde(skip_deserializing)]
    pub b: u8,
    pub c: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Simple {
    A,
    B(u8),
    C(u8, String),
    D { x: u8, y: Option<u8> },
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SkippedVariant {
    A,
    #[serde(skip)]
    Hidden,
    C,
    D,
    E(u8),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SkippedWay {
    A,
    #[serde(skip_serializing)]
    B,
    #[serde(skip_deserializing)]
    C,
    D,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Other {
    A,
    B,
    #[serde(other)]
    Rest,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Untagged {
    N(u64),
    S(String),
    P { x: u8 },
    V(Vec<Untagged>),
    Nothing,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ambiguous {
    A(Option<u8>),
    B(u8),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Tagged {
    A,
    B { x: u8 },
    C(Inner),
    D(Inside),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
pub enum Adjacent {
    A,
    B(u8),
    C(u8, u16),
    D { x: String },
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snake {
    OneTwo,
    ThreeFour(u8),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OneUntagged {
    A(u8),
    #[serde(untagged)]
    Other(String),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inside {
    pub a: Simple,
    pub b: Option<Option<u8>>,
    pub c: (),
    pub d: [u16; 3],
    pub e: f64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    pub a: Option<Option<Option<u8>>>,
    pub b: Option<()>,
    pub c: Vec<Option<()>>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatOptions {
    #[serde(flatten)]
    pub options: Options,
    pub z: Option<Option<u8>>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatEnum {
    #[serde(flatten)]
    pub simple: Simple,
    #[serde(flatten)]
    pub tagged: Tagged,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    pub a: i128,
    pub b: u128,
    pub c: i8,
    pub d: i16,
    pub e: u16,
    pub f: i32,
    pub g: i64,
    pub h: f32,
    pub i: char,
    pub j: bool,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlatNumbers {
    #[serde(flatten)]
    pub numbers: Numbers,
    pub z: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Even {
    pub n: u32,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "u32", from = "i64")]
pub struct Mixed {
    pub n: i64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AsText {
    #[serde(with = "text")]
    pub n: u64,
    pub m: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AsEither {
    #[serde(with = "either")]
    pub n: u64,
    pub m: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wide {
    #[serde(serialize_with = "wide", deserialize_with = "narrow")]
    pub n: u64,
    pub m: u8,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    #[serde(with = "seconds")]
    pub every: Duration,
    pub m: u8,
}

pub mod text {
    use super::*;
    pub fn serialize<S: serde::Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(n)
    }
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

pub mod either {
    use super::*;
    pub fn serialize<S: serde::Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
        match n % 2 {
            0 => s.serialize_u64(*n),
            _ => s.collect_str(n),
        }
    }
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        Ok(match Untagged::deserialize(d)? {
            Untagged::N(n) => n,
            Untagged::S(text) => text.parse().map_err(serde::de::Error::custom)?,
            _ => 0,
        })
    }
}

/// Writes two bytes for one number; or a text, if it is large.
pub fn wide<S: serde::Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u16(*n as u16)
}

pub fn narrow<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(u8::deserialize(d)?.into())
}

pub mod seconds {
    use super::*;
    pub fn serialize<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(d.as_secs())
    }
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_secs_f64(f64::deserialize(d)?))
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            a: 3,
            b: Some("default".into()),
        }
    }
}
impl From<Even> for u32 {
    fn from(even: Even) -> u32 {
        even.n
    }
}
impl TryFrom<u32> for Even {
    type Error = String;
    fn try_from(n: u32) -> Result<Self, String> {
        match n % 2 {
            0 => Ok(Even { n }),
            _ => Err(format!("{n} is not an even number")),
        }
    }
}
impl From<Mixed> for u32 {
    fn from(mixed: Mixed) -> u32 {
        mixed.n as u32
    }
}
impl From<i64> for Mixed {
    fn from(n: i64) -> Self {
        Mixed { n }
    }
}
