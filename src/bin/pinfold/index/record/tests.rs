//! Records beside what a JSON library makes of them.

use super::*;

/// The record of a chunk of the file `path`.
fn record(path: &[u8], chunk: &Chunk) -> String {
    let mut head = Vec::new();
    write_head(path, &mut head);
    let mut out = vec![0; head.len() + TAIL_BYTES_MAX];
    let len = write_record(&head, chunk, &mut out);
    String::from_utf8(out[..len].to_vec()).unwrap()
}

/// Some chunk.
fn chunk() -> Chunk {
    Chunk {
        start_line: 51,
        end_line: 100,
        bytes: 1701,
        hash: blake3::hash(b"x"),
    }
}

#[test]
fn keys_in_order_and_one_line() {
    assert_eq!(
        record(b"src/a.rs", &chunk()),
        format!(
            "{{\"path\":\"src/a.rs\",\"start_line\":51,\"end_line\":100,\"bytes\":1701,\"blake3\":\"{}\"}}\n",
            blake3::hash(b"x")
        )
    );
}

#[test]
fn odd_paths_are_valid_json() {
    let table: &[(&[u8], &str)] = &[
        (b"plain", "plain"),
        (b"sp ace/-dash", "sp ace/-dash"),
        (b"quo\"te\\back", "quo\"te\\back"),
        (
            b"new\nline\ttab\x01\x1f\x7f",
            "new\nline\ttab\u{1}\u{1f}\u{7f}",
        ),
        ("ümläut/日本".as_bytes(), "ümläut/日本"),
        (b"bad\xff\xfebytes", "bad\u{fffd}\u{fffd}bytes"),
        (b"cut\xe6\x97", "cut\u{fffd}"),
    ];
    for &(path, expected) in table {
        let line = record(path, &chunk());
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["path"], expected);
    }
}

#[test]
fn the_largest_numbers_fit() {
    let chunk = Chunk {
        start_line: u64::MAX,
        end_line: u64::MAX,
        bytes: u64::MAX,
        ..chunk()
    };
    let line = record(b"a", &chunk);
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["start_line"], u64::MAX);
    assert_eq!(json["end_line"], u64::MAX);
    assert_eq!(json["bytes"], u64::MAX);
    let zero = Chunk {
        start_line: 0,
        end_line: 7,
        bytes: 10,
        ..chunk
    };
    assert!(record(b"a", &zero).contains("\"start_line\":0,\"end_line\":7,\"bytes\":10,"));
}
