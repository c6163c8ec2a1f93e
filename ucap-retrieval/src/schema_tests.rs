//! Tests of `schema`.

use serde_json::json;

use super::*;

#[test]
fn a_declared_schema_is_read_and_written() {
    let written = json!({"fields": {
        "title": {"type": "text"}, "descripción": {"type": "text"}, "n": {"type": "integer"}, "f": {"type": "float"}, "b": {"type": "boolean"},
        "at": {"type": "timestamp"}, "v": {"type": "version", "ecosystem": "npm"}, "tags": {"type": "keyword", "list": true}
    }, "text": ["title", "descripción", "tags"]});
    let schema = Schema::declared(&written).unwrap();
    assert_eq!(schema.to_json(), written);
    assert_eq!(schema.field("id"), Some(Field { ty: FieldType::Keyword, list: false }));
    assert_eq!(schema.field("tags"), Some(Field { ty: FieldType::Keyword, list: true }));
    assert_eq!(Schema::declared(&json!({})).unwrap().fields.len(), 1);
}

#[test]
fn errors_name_what_is_wrong() {
    for (schema, name) in [
        (json!([]), "schema"),
        (json!({"field": {}}), "field"),
        (json!({"fields": []}), "fields"),
        (json!({"fields": {"a": {"type": "float"}}, "text": ["b"]}), "`b`"),
        (json!({"fields": {"a": {"type": "float"}}, "text": ["a"]}), "`a`"),
        (json!({"fields": {}, "text": "a"}), "text"),
        (json!({"fields": {}, "text": [1]}), "text"),
        (json!({"fields": {"a": {"type": "money"}}}), "money"),
        (json!({"fields": {"a": {}}}), "type"),
        (json!({"fields": {"a": "text"}}), "`a`"),
        (json!({"fields": {"a": {"type": "text", "colour": 1}}}), "colour"),
        (json!({"fields": {"a": {"type": "text", "list": 1}}}), "list"),
        (json!({"fields": {"a": {"type": "text", "ecosystem": "npm"}}}), "ecosystem"),
        (json!({"fields": {"a": {"type": "version"}}}), "ecosystem"),
        (json!({"fields": {"a": {"type": "version", "ecosystem": "Klingon"}}}), "Klingon"),
        (json!({"fields": {"_a": {"type": "text"}}}), "_a"),
        (json!({"fields": {"": {"type": "text"}}}), "name"),
        (json!({"fields": {"a b": {"type": "text"}}}), "a b"),
        (json!({"fields": {"a\"b": {"type": "text"}}}), "a\"b"),
        (json!({"fields": {"id": {"type": "text"}}}), "`id`"),
    ] {
        let error = Schema::declared(&schema).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("schema")), "{schema}");
        assert!(error.message().contains(name), "{schema}: {error}");
    }
    let debian = Schema::declared(&json!({"fields": {"a": {"type": "version", "ecosystem": "Debian"}}})).unwrap_err();
    assert_eq!(debian.kind(), ErrorKind::Unsupported);
    let many: Map<String, Json> = (0..MAX_FIELDS).map(|i| (format!("f{i}"), json!({"type": "text"}))).collect();
    assert!(Schema::declared(&json!({"fields": many})).is_err());
}

#[test]
fn a_type_never_changes() {
    let schema = Schema::declared(&json!({"fields": {"a": {"type": "text"}}, "text": ["a"]})).unwrap();
    let more =
        schema.extended(&json!({"fields": {"a": {"type": "text"}, "b": {"type": "keyword"}}, "text": ["b"]})).unwrap();
    assert_eq!(more.text, ["a", "b"]);
    assert!(
        schema
            .extended(&json!({"fields": {"a": {"type": "text", "list": true}}}))
            .unwrap_err()
            .message()
            .contains("`a`")
    );
    assert!(schema.extended(&json!({"fields": {"a": {"type": "keyword"}}})).unwrap_err().message().contains("`a`"));
}
