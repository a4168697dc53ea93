//! What a task was given besides its arguments: a name, tags, a trace context.
//!
//! It travels in front of the encoded arguments, and a flag in the slot's head says that
//! it does. A task without a label does not carry a byte more.

use serde::{Deserialize, Serialize};

/// A task's label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// What the submitter calls it.
    pub name: Option<String>,
    /// The trace that it belongs to, as W3C writes it.
    pub traceparent: Option<String>,
    /// Whatever else was said, in that order.
    pub tags: Vec<(String, String)>,
}

impl Label {
    /// Splits the label off the bytes that follow it; `None` if there is none.
    pub fn split(bytes: &[u8]) -> Option<(Label, &[u8])> {
        postcard::take_from_bytes(bytes).ok()
    }

    /// The tags in one line.
    pub fn tags_line(&self) -> Option<String> {
        let tags = self
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let line = tags.collect::<Vec<_>>().join(" ");
        Some(line).filter(|line| !line.is_empty())
    }
}

/// How long a version 00 is; later ones may be longer.
const LEN: usize = 55;
/// Longer than anybody's, and short enough for every log.
const LEN_MAX: usize = 255;

/// What is wrong with a `traceparent` (W3C Trace Context, level 1), if anything.
pub fn fault_of_traceparent(value: &str) -> Option<&'static str> {
    let is_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let bytes = value.as_bytes();
    if bytes.len() < LEN || bytes.len() > LEN_MAX {
        return Some("it must be 55 characters long (version 00)");
    }
    if [2, 35, 52].iter().any(|at| bytes[*at] != b'-') {
        return Some("it must be version-traceid-parentid-flags, of 2, 32, 16 and 2 characters");
    }
    let parts = [&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..LEN]];
    if !parts.iter().all(|part| part.iter().all(is_hex)) {
        return Some("its parts must be lower-case hexadecimal digits");
    }
    let [version, trace, parent, _] = parts;
    let is_zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    if version == b"ff" {
        return Some("there is no version ff");
    }
    if is_zero(trace) {
        return Some("its trace id is all zeros");
    }
    if is_zero(parent) {
        return Some("its parent id is all zeros");
    }
    match &bytes[LEN..] {
        [] => None,
        [b'-', rest @ ..] if version != b"00" && rest.iter().all(u8::is_ascii_graphic) => None,
        _ => Some("something follows its flags"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Payload;

    #[test]
    fn a_label_stands_in_front_of_the_arguments() {
        let label = Label {
            name: Some("resize".into()),
            traceparent: None,
            tags: vec![("user".into(), "7".into()), ("a".into(), "b c".into())],
        };
        let mut payload = Payload::new();
        payload.encode(&label).expect("encodes");
        payload.extend(b"arguments");
        let (split, rest) = Label::split(payload.bytes()).expect("a label");
        assert_eq!((&split, rest), (&label, &b"arguments"[..]));
        assert_eq!(label.tags_line().as_deref(), Some("user=7 a=b c"));
        assert_eq!(Label::default().tags_line(), None);
        for damaged in [&b""[..], b"\x01", b"\x02", b"\x01\xff\xff\xff\xff\x0f"] {
            assert_eq!(Label::split(damaged), None);
        }
    }

    #[test]
    fn traceparents() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let later = format!("cc{}-what-the-future-brings", &good[2..]);
        for value in [good, &later, &good.replace("-01", "-ff")] {
            assert_eq!(fault_of_traceparent(value), None, "{value}");
        }
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_parent = format!("{}-{}-01", &good[..35], "0".repeat(16));
        for (value, fault) in [
            ("", "55 characters"),
            (&good[..54], "55 characters"),
            (&format!("01{}-{}", &good[2..], "x".repeat(300)), "55"),
            (&good.replacen('-', "_", 1), "version-traceid"),
            (&good.replace("00-4", "0-04"), "version-traceid"),
            (&good.replace('f', "F"), "lower-case"),
            (&good.replacen("bf", "ß", 1), "lower-case"),
            (&good.replacen("00", "ff", 1), "version ff"),
            (&zero_trace, "trace id"),
            (&zero_parent, "parent id"),
            (&format!("{good}-x"), "follows"),
            (&format!("01{}x", &good[2..]), "follows"),
            (&format!("01{}-\n", &good[2..]), "follows"),
        ] {
            let found = fault_of_traceparent(value).expect(value);
            assert!(found.contains(fault), "{value}: {found}");
        }
    }
}
