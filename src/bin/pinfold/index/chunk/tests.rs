//! The cutter beside a model that splits the whole file at once.

use proptest::prelude::*;

use super::*;

/// Start line, end line, bytes of each chunk, the obvious way.
fn model(bytes: &[u8], lines_max: usize) -> Vec<(u64, u64, Vec<u8>)> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let mut first = 1;
    lines
        .chunks(lines_max)
        .map(|lines| {
            let start = first;
            first += lines.len() as u64;
            (start, first - 1, lines.concat())
        })
        .collect()
}

/// What the cutter makes of `bytes` when they arrive in pieces of the sizes
/// `arrivals` (repeated for ever) and a window is full at `window_full` bytes.
fn cut_all(bytes: &[u8], lines_max: u64, arrivals: &[usize], window_full: usize) -> Vec<Chunk> {
    let mut cutter = Cutter::new(lines_max, 1, window_full);
    let mut arrivals = arrivals.iter().copied().cycle();
    let (mut start, mut end, mut chunks) = (0, 0, Vec::new());
    loop {
        match cutter.take(&bytes[start..end], end == bytes.len()) {
            Take::Chunk(chunk, len) => {
                assert_eq!(chunk.bytes > 0, chunk.start_line <= chunk.end_line);
                chunks.push(chunk);
                start += len;
            }
            Take::More(len) => {
                start += len;
                if end == bytes.len() {
                    assert_eq!(start, end, "nothing is left over");
                    return chunks;
                }
                end = bytes.len().min(end + arrivals.next().unwrap());
            }
        }
    }
}

/// Compares the two.
fn check(bytes: &[u8], lines_max: u64, arrivals: &[usize], window_full: usize) {
    let expected: Vec<Chunk> = model(bytes, lines_max as usize)
        .into_iter()
        .map(|(start_line, end_line, part)| Chunk {
            start_line,
            end_line,
            bytes: part.len() as u64,
            hash: blake3::hash(&part),
        })
        .collect();
    assert_eq!(cut_all(bytes, lines_max, arrivals, window_full), expected);
}

#[test]
fn lines_by_table() {
    // bytes, lines in a chunk, (start, end, bytes) of each chunk
    type Row = (&'static str, u64, &'static [(u64, u64, u64)]);
    let table: &[Row] = &[
        ("", 1, &[]),
        ("a", 1, &[(1, 1, 1)]),
        ("\n", 1, &[(1, 1, 1)]),
        ("\n", 50, &[(1, 1, 1)]),
        ("a\n", 1, &[(1, 1, 2)]),
        ("a\nb", 1, &[(1, 1, 2), (2, 2, 1)]),
        ("a\nb", 2, &[(1, 2, 3)]),
        ("a\nb\n", 2, &[(1, 2, 4)]),
        ("a\nb\nc", 2, &[(1, 2, 4), (3, 3, 1)]),
        ("a\r\nb\rc\r\n", 1, &[(1, 1, 3), (2, 2, 5)]),
        ("\n\n\n\n\n", 2, &[(1, 2, 2), (3, 4, 2), (5, 5, 1)]),
    ];
    for &(text, lines_max, expected) in table {
        let got: Vec<_> = cut_all(text.as_bytes(), lines_max, &[1000], 1000)
            .iter()
            .map(|c| (c.start_line, c.end_line, c.bytes))
            .collect();
        assert_eq!(got, expected, "{text:?} by {lines_max}");
    }
}

#[test]
fn binary_is_a_nul_in_the_first_8_kib() {
    assert!(!is_binary(b""));
    assert!(!is_binary(b"text \xff\xfe \x01"));
    assert!(is_binary(b"\0"));
    let mut bytes = vec![b'x'; PROBE_BYTES + 1];
    bytes[PROBE_BYTES] = 0;
    assert!(!is_binary(&bytes), "byte 8193 no longer counts");
    bytes[PROBE_BYTES - 1] = 0;
    assert!(is_binary(&bytes), "byte 8192 does");
}

#[test]
fn a_chunk_is_left_at_a_unit_and_taken_up_by_another_cutter() {
    let mut bytes = vec![b'x'; 3 * UNIT_BYTES as usize + 10];
    bytes[100] = b'\n';
    bytes[2 * UNIT_BYTES as usize + 5] = b'\n';
    let (mut cutter, mut at, mut left) = (Cutter::new(9, 1, 1000), 0, 0);
    let chunk = loop {
        let window = &bytes[at..bytes.len().min(at + 200_001)];
        match cutter.take(window, at + window.len() == bytes.len()) {
            Take::Chunk(chunk, _) => break chunk,
            Take::More(len) => at += len,
        }
        if let Some(begun) = cutter.leave() {
            assert_eq!(begun.units.bytes(), at as u64);
            left += 1;
            cutter = Cutter::new(9, 1, 1000).resume(begun);
        }
    };
    let expected = Chunk {
        start_line: 1,
        end_line: 3,
        bytes: bytes.len() as u64,
        hash: blake3::hash(&bytes),
    };
    assert_eq!((chunk, left), (expected, 3));
}

#[test]
fn a_line_longer_than_any_window() {
    let mut bytes = vec![b'x'; 100_000];
    bytes.extend(b"\nshort\n");
    bytes.extend(vec![b'y'; 50_000]);
    for lines_max in [1, 2, 3, 50] {
        check(&bytes, lines_max, &[4096], 4096);
    }
    // The last byte of a full window ends a line, and so does the file.
    check(b"abc\n", 50, &[4], 4);
    check(b"abc\nabc\n", 2, &[4], 4);
}

proptest! {
    #[test]
    fn same_as_the_model(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..700),
        lines_max in 1u64..9,
        arrivals in proptest::collection::vec(1usize..200, 1..5),
        window_full in 1usize..200,
    ) {
        check(&bytes, lines_max, &arrivals, window_full);
    }

    #[test]
    fn a_cut_holds_the_lines_asked_for(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..400),
        lines in 1u64..200,
    ) {
        let cut = cut(&bytes, lines);
        let count = |part: &[u8]| part.iter().filter(|&&b| b == b'\n').count() as u64;
        prop_assert_eq!(cut.lines, count(&bytes[..cut.len]));
        prop_assert_eq!(cut.lines, lines.min(count(&bytes)));
        prop_assert!(cut.len == bytes.len() || (cut.lines == lines && bytes[cut.len - 1] == b'\n'));
    }
}
