//! Whether a value is an `Err`, asked of its encoding.
//!
//! The runtime should know that a task *returned* an error (to count it, and to
//! fail what depends on it), for any `Result<T, E>` and without knowing `T` and
//! `E`. Serde presents a `Result` as an enum named `Result` whose variants are
//! `Ok` and `Err`; so the value is shown to a serializer that looks at the first
//! thing it is told and stops there. It compiles to a constant for everything
//! that is not a `Result`, and to one comparison for what is.
//!
//! What is no `Result` but stands for one (the C face's tasks return such a thing, which is quicker to
//! write than an enum) shows its `Err` as a newtype struct that is called [`ERR`].

use std::fmt::{self, Display};

use serde::ser::{Error, Impossible, Serialize, Serializer};

/// What stands for an `Err`.
const ERR: &str = "Result::Err";

/// Whether `value` is `Result::Err`.
pub fn is_err<T: Serialize>(value: &T) -> bool {
    value.serialize(Probe).unwrap_or(false)
}

struct Probe;

#[derive(Debug)]
struct NotAResult;

impl Display for NotAResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a result")
    }
}

impl std::error::Error for NotAResult {}

impl Error for NotAResult {
    fn custom<T: Display>(_: T) -> Self {
        NotAResult
    }
}

type Answer = Result<bool, NotAResult>;
type No = Impossible<bool, NotAResult>;

macro_rules! not_a_result {
    ($($method:ident($($type:ty),*) -> $answer:ty;)*) => {
        $(#[inline]
        fn $method(self, $(_: $type),*) -> Result<$answer, NotAResult> {
            Err(NotAResult)
        })*
    };
}

impl Serializer for Probe {
    type Ok = bool;
    type Error = NotAResult;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Answer {
        Ok(name == "Result" && variant == "Err")
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Answer {
        Err(NotAResult)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, _: &T) -> Answer {
        Ok(name == ERR)
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Answer {
        Err(NotAResult)
    }

    not_a_result! {
        serialize_bool(bool) -> bool;
        serialize_i8(i8) -> bool;
        serialize_i16(i16) -> bool;
        serialize_i32(i32) -> bool;
        serialize_i64(i64) -> bool;
        serialize_i128(i128) -> bool;
        serialize_u8(u8) -> bool;
        serialize_u16(u16) -> bool;
        serialize_u32(u32) -> bool;
        serialize_u64(u64) -> bool;
        serialize_u128(u128) -> bool;
        serialize_f32(f32) -> bool;
        serialize_f64(f64) -> bool;
        serialize_char(char) -> bool;
        serialize_str(&str) -> bool;
        serialize_bytes(&[u8]) -> bool;
        serialize_none() -> bool;
        serialize_unit() -> bool;
        serialize_unit_struct(&'static str) -> bool;
        serialize_unit_variant(&'static str, u32, &'static str) -> bool;
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }
}

#[cfg(test)]
mod tests {
    use super::is_err;

    #[test]
    fn tells_err_from_everything_else() {
        assert!(is_err(&Err::<u8, _>("bad")));
        assert!(!is_err(&Ok::<_, String>(1)));
        assert!(
            !is_err(&Some(Err::<u8, _>(1))),
            "only the value itself counts"
        );
        assert!(!is_err(&()));
        #[derive(serde::Serialize)]
        #[serde(rename = "Result::Err")]
        struct Stands(u8);
        #[derive(serde::Serialize)]
        struct Not(u8);
        assert!(is_err(&Stands(1)));
        assert!(!is_err(&Not(1)));
        assert!(!is_err(&vec![1, 2]));
        assert!(!is_err(&std::collections::HashMap::<u8, u8>::new()));
    }
}
