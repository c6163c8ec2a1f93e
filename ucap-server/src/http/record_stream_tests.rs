//! Tests of `record_stream`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn cut(framing: Framing, chunks: &[&[u8]]) -> Vec<(u64, Result<Vec<u8>, String>)> {
    let mut cutter = Cutter::new(framing);
    let mut pieces = Vec::new();
    for chunk in chunks {
        cutter.push(chunk, &mut pieces);
    }
    cutter.finish(&mut pieces);
    pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Record { number, bytes } => (number, Ok(bytes)),
            Piece::Bad { number, error } => (number, Err(error.message().to_owned())),
        })
        .collect()
}

fn chunks<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (part, after) = rest.split_at(size);
        parts.push(part);
        rest = after;
    }
    parts
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        r#"[\[\]{},:"\\ñ\n a-c]{0,12}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(r#"["\\\[{,a]{0,4}"#, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_array_is_cut_into_its_elements(elements in prop::collection::vec(json(), 0..12), pretty in any::<bool>(), sizes in prop::collection::vec(1usize..40, 1..8)) {
        let array = Value::from(elements.clone());
        let text = if pretty { serde_json::to_string_pretty(&array) } else { serde_json::to_string(&array) }.unwrap();
        let found = cut(Framing::Json, &chunks(text.as_bytes(), &sizes));
        prop_assert_eq!(found.len(), elements.len());
        for (place, ((number, element), expected)) in found.into_iter().zip(elements).enumerate() {
            prop_assert_eq!(number, place as u64 + 1);
            prop_assert_eq!(serde_json::from_slice::<Value>(&element.unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn chunks_do_not_matter(bytes in prop::collection::vec(prop::sample::select(b"[]{},:\"\\ \n1a".to_vec()), 0..60), sizes in prop::collection::vec(1usize..9, 1..8)) {
        for framing in [Framing::Lines, Framing::Json] {
            prop_assert_eq!(cut(framing, &chunks(&bytes, &sizes)), cut(framing, &[&bytes]));
        }
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does(lines in prop::collection::vec("[a-c ]{0,3}", 0..12), last in any::<bool>(), sizes in prop::collection::vec(1usize..9, 1..8)) {
        let mut text = lines.join("\n");
        if last { text.push('\n'); }
        let expected: Vec<_> = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty())
            .map(|(place, line)| (place as u64 + 1, Ok(line.as_bytes().to_vec()))).collect();
        prop_assert_eq!(cut(Framing::Lines, &chunks(text.as_bytes(), &sizes)), expected);
    }
}

fn numbers(framing: Framing, text: &[u8]) -> Vec<(u64, bool)> {
    cut(framing, &[text]).into_iter().map(|(number, piece)| (number, piece.is_ok())).collect()
}

#[test]
fn a_broken_array_keeps_its_good_elements() {
    assert_eq!(numbers(Framing::Json, b"[]"), []);
    assert_eq!(numbers(Framing::Json, b"[1,]"), [(1, true), (2, false)]);
    assert_eq!(numbers(Framing::Json, b"[1,,2]"), [(1, true), (2, false), (3, true)]);
    assert_eq!(numbers(Framing::Json, b"[1,2"), [(1, true), (2, false)]);
    assert_eq!(numbers(Framing::Json, b"[1]x"), [(1, true), (2, false)]);
    assert_eq!(numbers(Framing::Json, b"  "), []);
}

#[test]
fn json_that_is_no_array_is_one_record_or_lines() {
    assert_eq!(numbers(Framing::Json, b"{\"id\":\"a\"}"), [(1, true)]);
    assert_eq!(numbers(Framing::Json, b"{\n \"id\":\n\"a\"}\n"), [(1, true)]);
    assert_eq!(numbers(Framing::Json, b"{\"id\":\"a\"}\n\n{\"id\":\"b\"}"), [(1, true), (3, true)]);
    assert_eq!(numbers(Framing::Lines, b"[1]\n[2]"), [(1, true), (2, true)]);
}

#[test]
fn what_is_too_long_is_named_and_skipped() {
    let long = vec![b'x'; MAX_RECORD_BYTES + 1];
    let lines = [b"1\n", &*long, b"\n3"].concat();
    assert_eq!(numbers(Framing::Lines, &lines), [(1, true), (2, false), (3, true)]);
    let array = [b"[1,\"", &*long, b"\",3]"].concat();
    assert_eq!(numbers(Framing::Json, &array), [(1, true), (2, false), (3, true)]);
    let exact = vec![b'x'; MAX_RECORD_BYTES];
    assert_eq!(numbers(Framing::Lines, &exact), [(1, true)]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_record() {
    assert_eq!(cut(Framing::Lines, &[b"\xef\xbb\xbf{}\n{}"]), [(1, Ok(b"{}".to_vec())), (2, Ok(b"{}".to_vec()))]);
    assert_eq!(numbers(Framing::Json, b"\xef\xbb\xbf[1]"), [(1, true)]);
}
