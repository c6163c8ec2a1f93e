//! Tests of `record`.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::schema::Schema;

/// The records of an advisory database of `shared/data`, `None` where that is not at hand.
pub(crate) fn advisories(name: &str) -> Option<Vec<Record>> {
    let lines = shared_lines(&format!("advisories/{name}.jsonl.zst"))?;
    let schema = Schema::osv();
    let read = |(i, line): (usize, &str)| {
        read_record(Format::Osv, &schema, line.as_bytes())
            .unwrap_or_else(|error| panic!("{name}, line {}: {error}", i + 1))
    };
    Some(lines.lines().enumerate().map(read).collect())
}

/// The text of a file below `shared/data`.
pub(crate) fn shared_lines(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    let bytes = std::fs::read(&path).ok()?;
    let is_compressed = path.extension().is_some_and(|extension| extension == "zst");
    let bytes = if is_compressed { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
    Some(String::from_utf8(bytes).unwrap())
}

fn tickets() -> Schema {
    Schema::declared(&json!({"fields": {
        "title": {"type": "text"}, "team": {"type": "keyword"}, "score": {"type": "float"}, "n": {"type": "integer"},
        "open": {"type": "boolean"}, "at": {"type": "timestamp"}, "tags": {"type": "keyword", "list": true}
    }, "text": ["title"]}))
    .unwrap()
}

fn ticket(line: &[u8]) -> Result<Record> {
    read_record(Format::Records, &tickets(), line)
}

#[test]
fn good_lines_are_kept() {
    let record = ticket(br#"{"id":"t1","title":"uno","team":"a","score":1.5,"n":1,"open":true,"at":"2026-01-02T03:04:05+01:00","tags":["y","x"]}"#).unwrap();
    assert_eq!(
        record.fields_json(),
        r#"{"at":"2026-01-02T02:04:05Z","id":"t1","n":1,"open":true,"score":1.5,"tags":["y","x"],"team":"a","title":"uno"}"#
    );
    assert_eq!((record.title.as_str(), record.body.as_str()), ("", "uno"));
    let line = r#"{"id":"ñandú-4","title":"corazón 🫀","score":-0.0,"n":null,"tags":[]}"#;
    let record = ticket(line.as_bytes()).unwrap();
    assert_eq!(record.fields_json(), r#"{"id":"ñandú-4","score":-0.0,"title":"corazón 🫀"}"#);
    assert_eq!(record.original.get(), line);
    let exact = ticket(br#"{"id":"e","n":9007199254740993}"#).unwrap();
    assert_eq!(exact.fields_json(), r#"{"id":"e","n":9007199254740993}"#);
    assert_eq!(ticket(br#"{"id":"t8"}"#).unwrap().body, "");
}

#[test]
fn each_refusal_says_why() {
    let long = format!(r#"{{"id":"{}"}}"#, "é".repeat(257));
    let deep = format!(r#"{{"id":"a","title":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    let cases: [(&[u8], &str); 24] = [
        (b"{broken", "broken JSON"),
        (b"", "broken JSON"),
        (br#"{"id":"a"} x"#, "broken JSON"),
        (br#"{"id":"a","score":1e999}"#, "a number out of range"),
        (br#"{"id":"a","title":"\ud800"}"#, "a text that is no Unicode"),
        (deep.as_bytes(), "nest too deep"),
        (br#"{"title":"no id"}"#, "`id`"),
        (br#"{"id":7}"#, "`id`"),
        (br#"{"id":""}"#, "`id`"),
        (br#"{"id":"a\u0000b"}"#, "`id`"),
        (br#"{"id":"a\u0085b"}"#, "`id`"),
        (long.as_bytes(), "`id`"),
        (br#"{"id":"t2","title":"dos","score":"high"}"#, "`score`"),
        (br#"{"id":"t3","title":"tres","colour":"red"}"#, "`colour`"),
        (br#""a string""#, "a string"),
        (b"[1]", "a list"),
        (b"{\"id\":\"t5\",\"title\":\"\xff\"}", "UTF-8"),
        (br#"{"id":"t6","n":9223372036854775808}"#, "`n`"),
        (br#"{"id":"t6","n":1.0}"#, "`n`"),
        (br#"{"id":"t7","at":"yesterday"}"#, "`at`"),
        (br#"{"id":"a","id":"b"}"#, "`id`"),
        (br#"{"id":"a","_vector":[1,"x"]}"#, "_vector"),
        (br#"{"id":"a","_vector":[1e300]}"#, "_vector"),
        (br#"{"id":"a","_vector":[]}"#, "_vector"),
    ];
    for (line, name) in cases {
        let error = ticket(line).unwrap_err();
        assert!(
            error.message().contains(name),
            "{}: {error}",
            String::from_utf8_lossy(line).chars().take(80).collect::<String>()
        );
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn the_first_of_several_texts_is_the_title() {
    let schema = Schema::declared(&json!({"fields": {"title": {"type": "text"}, "body": {"type": "text"}, "tags": {"type": "keyword", "list": true}}, "text": ["title", "body", "tags"]})).unwrap();
    let read = |line: String| read_record(Format::Records, &schema, line.as_bytes()).unwrap();
    let record = read(r#"{"id":"a","title":" T ","body":"B","tags":["x","y"]}"#.into());
    assert_eq!((record.title.as_str(), record.body.as_str()), ("T", "B\n\nx\ny"));
    let record = read(r#"{"id":"a","body":"B"}"#.into());
    assert_eq!((record.title.as_str(), record.body.as_str()), ("", "B"));
    let record = read(format!(r#"{{"id":"a","title":"{}","body":"B"}}"#, "t".repeat(300)));
    assert_eq!((record.title.as_str(), record.body.as_str()), ("", format!("{}\n\nB", "t".repeat(300)).as_str()));
    let record = read(r#"{"id":"a","title":"T","_vector":[1,0.5,-2e-3]}"#.into());
    assert_eq!(record.vector, Some(vec![1.0, 0.5, -2e-3]));
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line: Vec<u8>, near in "\\{\"id\":\"[a-z]\",\"(affected|severity|n|text|aliases|published)\":[\\[\\]{}0-9a-z\":,]{0,40}\\}") {
        for format in [Format::Osv, Format::Records, Format::Documents] {
            let _ = read_record(format, &tickets(), &line);
            let _ = read_record(format, &tickets(), near.as_bytes());
        }
    }
}
