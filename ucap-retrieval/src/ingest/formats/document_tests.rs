//! Tests of `document`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::record::read_record;
use crate::schema::{Format, Schema};

fn document(json: &Json) -> Result<Record> {
    read_record(Format::Documents, &Schema::documents(), json.to_string().as_bytes())
}

fn outline(record: &Record) -> Vec<(&str, String)> {
    record
        .sections
        .iter()
        .map(|section| (&record.body[section.start..][..4.min(record.body.len() - section.start)], section.path()))
        .collect()
}

#[test]
fn markdown_becomes_text_with_sections() {
    let source = "---\ntags: [x]\n---\n# Hardening *guide*\n\nIntro with `code_name`,\na [link](http://x.example) &amp; more.\n\n## SSH\n\n- Disable root\n- Use keys\n\n```sh\nls  -l\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<div>Raw <b>html</b><script>no()</script></div>\n\n### Deep\n\nEnd.\n\n## Backups\n\nEncrypt the walrus archive.\n";
    let record =
        document(&json!({"id": "guide.md", "title": "Guide", "content_type": "text/markdown", "text": source}))
            .unwrap();
    assert_eq!(
        record.body,
        "tags: [x]\n\nHardening guide\n\nIntro with code_name, a link & more.\n\nSSH\n\nDisable root\nUse keys\n\nls  -l\n\na b\n1 2\n\nRaw html\n\nDeep\n\nEnd.\n\nBackups\n\nEncrypt the walrus archive."
    );
    assert_eq!(
        outline(&record),
        [
            ("Hard", "Hardening guide".to_owned()),
            ("SSH\n", "Hardening guide › SSH".to_owned()),
            ("Deep", "Hardening guide › SSH › Deep".to_owned()),
            ("Back", "Hardening guide › Backups".to_owned())
        ]
    );
    assert_eq!(record.fields_json(), r#"{"content_type":"text/markdown","id":"guide.md","title":"Guide"}"#);
}

#[test]
fn html_becomes_text_with_sections() {
    let source = "<!DOCTYPE html><html><head><title>The\n page</title><style>b{}</style><script>var x = '<p>no</p>';</script></head>\
        <body><h1>Zebra</h1><p>The okapi audits <b>every</b>\n ledger&nbsp;&amp; caf&eacute;.</p><template><p>hidden</p></template>\
        <ul><li>one<li>two</ul><pre>a  b\n c</pre><table><tr><td>1</td><td>2</td></tr></table><h2>Deep</h2>x<br>y<svg><title>drawing</title></svg></body></html>";
    let record = read_document("notes/día 1.html", None, "Text/HTML; charset=UTF-8", source.as_bytes()).unwrap();
    assert_eq!(
        record.body,
        "Zebra\n\nThe okapi audits every ledger\u{a0}& café.\n\none\ntwo\n\na  b\n c\n\n1 2\n\nDeep\n\nx\nydrawing"
    );
    assert_eq!(outline(&record), [("Zebr", "Zebra".to_owned()), ("Deep", "Zebra › Deep".to_owned())]);
    assert_eq!(record.title, "The page");
    assert_eq!(record.fields_json(), r#"{"content_type":"text/html","id":"notes/día 1.html","title":"The page"}"#);
    let original: Json = serde_json::from_str(record.original.get()).unwrap();
    assert_eq!((original["text"].as_str(), original.get("title")), (Some(source), None));
}

#[test]
fn plain_text_stays_as_it_is() {
    let record = read_document("a", Some("T"), "text/plain", b"\xef\xbb\xbfuno\r\n dos\n").unwrap();
    assert_eq!((record.body.as_str(), record.title.as_str()), ("uno\n dos", "T"));
    let record = document(&json!({"id": "a", "content_type": "text/plain", "base64": "w7FhbmTDug=="})).unwrap();
    assert_eq!(record.body, "ñandú");
    assert_eq!(document(&json!({"id": "a", "text": ""})).unwrap().body, "");
}

#[test]
fn a_long_title_leads_the_text() {
    let title = "long ".repeat(100);
    let record =
        document(&json!({"id": "a", "title": title, "content_type": "text/markdown", "text": "# Head\n\nbody"}))
            .unwrap();
    assert_eq!((record.title.as_str(), record.body), ("", format!("{}\n\nHead\n\nbody", title.trim())));
    assert_eq!(record.sections[0].start, title.trim().len() + 2);
}

#[test]
fn what_cannot_be_read_is_named() {
    for (bad, kind, name) in [
        (
            json!({"id": "a", "content_type": "application/pdf", "base64": "AAAA"}),
            ErrorKind::Unsupported,
            "application/pdf",
        ),
        (
            json!({"id": "a", "content_type": "text/plain; charset=iso-8859-1", "text": "x"}),
            ErrorKind::Unsupported,
            "iso-8859-1",
        ),
        (json!({"id": "a", "content_type": "text/plain", "base64": "/w=="}), ErrorKind::InvalidInput, "UTF-8"),
        (json!({"id": "a", "content_type": "text/plain", "base64": "*"}), ErrorKind::InvalidInput, "base64"),
        (json!({"id": "a", "content_type": "text/plain"}), ErrorKind::InvalidInput, "text"),
        (json!({"id": "a", "text": "x", "base64": "AAAA"}), ErrorKind::InvalidInput, "base64"),
        (json!({"id": "a", "base64": "AAAA"}), ErrorKind::InvalidInput, "content_type"),
        (json!({"id": "a", "text": 1}), ErrorKind::InvalidInput, "text"),
        (json!({"id": "a", "text": "x", "colour": "red"}), ErrorKind::InvalidInput, "colour"),
        (json!({"text": "x"}), ErrorKind::InvalidInput, "id"),
    ] {
        let error = document(&bad).unwrap_err();
        assert_eq!(error.kind(), kind, "{bad}");
        assert!(error.message().contains(name), "{bad}: {error}");
    }
    assert!(read_document("", None, "text/plain", b"x").is_err());
}

proptest! {
    #[test]
    fn no_document_panics(text in any::<String>(), near in "(<[a-z/!]{0,6}|>|#{1,3} |\\* |```|\\||-|\n|&[a-z]{0,4};?|[a-z ]{1,6}|<h[1-7]>|</h2>|<pre>|<title>|<script>|ñ){0,40}") {
        for source in [&text, &near] {
            for essence in ["text/markdown", "text/html", "text/plain"] {
                let extracted = extract_text(essence, source);
                let mut at = 0;
                for section in &extracted.sections {
                    prop_assert!(section.start >= at && extracted.body.is_char_boundary(section.start));
                    prop_assert!(section.start <= extracted.body.len());
                    at = section.start;
                }
                crate::ingest::chunking::chunk("t", &extracted.body, &extracted.sections);
            }
        }
    }
}
