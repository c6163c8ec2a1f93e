//! Tests of the lines.

use proptest::prelude::*;
use time::macros::datetime;

use super::super::Prepared;
use super::super::chain::Chain;
use super::*;
use crate::entropy::SeededEntropy;
use crate::journal::NewEntry;

fn sample(principal: &str, payload: serde_json::Value) -> Record {
    let entry = NewEntry {
        kind: "tool.called".into(),
        version: 3,
        principal: principal.to_owned(),
        resource: Some("línea\n\"«1»\"".to_owned()),
        decision: Some("allow".into()),
        request_id: "req_1".to_owned(),
        payload,
    };
    let mut chain = Chain::genesis();
    let now = datetime!(2026-01-02 03:04:05.678901234 UTC);
    chain.stamp(Prepared::new(entry).unwrap(), 0, now, &SeededEntropy::new(1)).unwrap()
}

fn line_of(record: &Record) -> Vec<u8> {
    let mut line = Vec::new();
    assert_eq!(record.write_line(&mut line).unwrap(), line.len());
    line
}

#[test]
fn the_format_lasts() {
    // A golden line: whatever breaks this breaks the journals that exist.
    let line = String::from_utf8(line_of(&sample("user:ana", serde_json::json!({"a": [1, 2.5, null]})))).unwrap();
    let golden = include_str!("golden_line_v1.json");
    assert_eq!(line, golden);
    let record = Record::read_line(golden.as_bytes()).unwrap();
    assert_eq!(record.hash, super::super::chain::link(&Chain::genesis().hash, &record));
    assert!(record.keeps_commitment());
}

#[test]
fn any_changed_byte_of_a_line_shows() {
    let line = line_of(&sample("user:ana", serde_json::json!({"a": 1})));
    for at in 0..line.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = line.clone();
            changed[at] ^= flip;
            // The newline's loss alone is the reader's to notice.
            assert_eq!(Record::read_line(&changed), None, "byte {at} of {}", String::from_utf8_lossy(&changed));
        }
    }
}

#[test]
fn any_beginning_of_a_line_is_torn() {
    let line = line_of(&sample("user:ana", serde_json::json!({"a": 1})));
    for end in 0..line.len() - 1 {
        assert_eq!(Record::read_line(&line[..end]), None);
    }
}

#[test]
fn an_erased_line_is_as_long_and_tells_nothing() {
    for payload in [serde_json::json!({"name": "Ana"}), serde_json::Value::Null, serde_json::json!(0)] {
        let record = sample("user:ana", payload.clone());
        let line = line_of(&record);
        let mut erased = Vec::new();
        record.write_erased(line.len(), &mut erased).unwrap();
        assert_eq!(erased.len(), line.len());
        let read = Record::read_line(&erased).unwrap();
        assert_eq!(read, Record { disclosure: None, ..record.clone() });
        assert_eq!(read.to_entry().unwrap().payload, None);
        assert_eq!(record.to_entry().unwrap().payload, Some(payload));
    }
}

#[test]
fn a_payload_without_its_key_is_no_entry() {
    let record = sample("user:ana", serde_json::json!({"a": 1}));
    let text = String::from_utf8(line_of(&record)).unwrap();
    let salt = text.split("\"salt\":").nth(1).unwrap()[..66].to_owned();
    let body = text.split(",\"check\"").next().unwrap().replace(&salt, "null");
    let check = String::from_utf8(check_of(body.as_bytes()).to_vec()).unwrap();
    assert_eq!(Record::read_line(format!("{body},\"check\":\"{check}\"}}\n").as_bytes()), None);
}

proptest! {
    #[test]
    fn lines_come_back(principal in "\\PC{0,40}", text in ".{0,200}", number in any::<f64>(), key in ".{0,9}") {
        let record = sample(&principal, serde_json::json!({ key: [text, number] }));
        let line = line_of(&record);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read = Record::read_line(&line).unwrap();
        prop_assert!(read.keeps_commitment());
        prop_assert_eq!(read, record);
    }
}
