//! Tests of `osv`.

use serde_json::json;

use super::*;
use crate::filter::{Filter, resolve};
use crate::record::read_record;
use crate::record::tests::{advisories, shared_lines};
use crate::schema::{Format, Schema};

fn osv(json: &Json) -> Result<Record> {
    read_record(Format::Osv, &Schema::osv(), json.to_string().as_bytes())
}

fn fields(json: &Json) -> Json {
    serde_json::from_str(&osv(json).unwrap().fields_json()).unwrap()
}

#[test]
fn only_an_id_is_demanded() {
    let record = osv(&json!({"id": "X-1", "unknown": {"kept": [1]}, "summary": null, "affected": null})).unwrap();
    assert_eq!(record.fields_json(), r#"{"id":"X-1"}"#);
    assert!(record.original.get().contains("kept") && record.title.is_empty() && record.body.is_empty());
}

#[test]
fn fields_are_read() {
    assert_eq!(
        fields(&json!({
            "id": "X-1", "aliases": ["CVE-1"], "summary": "", "details": "d", "published": "2024-01-01T00:00:00", "modified": "2024-01-01T01:00:00+01:00",
            "withdrawn": "2024-02-02", "database_specific": {"cwe_ids": ["CWE-79"], "cwes": ["CWE-20", "CWE-79"], "cwes_by_cisa": ["CWE-1"]},
            "affected": [{"package": {"ecosystem": "Debian:12", "name": "curl"}}, {"package": {"ecosystem": "PyPI", "name": "A_b"}}, {"package": {"ecosystem": "PyPI", "name": "A_b"}}, {}]
        })),
        json!({
            "id": "X-1", "aliases": ["CVE-1"], "summary": "", "details": "d", "published": "2024-01-01T00:00:00Z", "modified": "2024-01-01T00:00:00Z",
            "withdrawn": "2024-02-02T00:00:00Z", "cwes": ["CWE-79", "CWE-20", "CWE-1"], "ecosystems": ["Debian:12", "PyPI"], "packages": ["curl", "A_b"]
        })
    );
}

#[test]
fn severity_comes_from_the_first_source_that_has_one() {
    let v2 = json!({"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"});
    let v3 = json!({"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"});
    let v4 = json!({"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"});
    let low = json!({"type": "CVSS_V3", "score": "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"});
    for (record, score, label) in [
        (json!({"severity": [v2, v4, v3]}), 9.8, "CRITICAL"),
        (json!({"severity": [v2, v4]}), 9.3, "CRITICAL"),
        (json!({"severity": [v2], "x_severity": {"score": 1.0}}), 7.5, "HIGH"),
        (
            json!({"severity": [], "affected": [{"severity": [low]}, {"severity": [v2]}], "x_severity": {"score": 1.0}}),
            7.5,
            "HIGH",
        ),
        (
            json!({"severity": [{"type": "Ubuntu", "score": "medium"}], "x_severity": {"score": 5.3, "label": "HIGH"}}),
            5.3,
            "MEDIUM",
        ),
        (
            json!({"x_severity": {"score": null, "label": "moderate"}, "database_specific": {"severity": "HIGH"}}),
            4.0,
            "MEDIUM",
        ),
        (json!({"x_severity": {"label": "odd"}, "database_specific": {"severity": "High"}}), 7.0, "HIGH"),
        (json!({"database_specific": {"severity": "low"}}), 0.1, "LOW"),
        (json!({"database_specific": {"severity": "NONE"}}), 0.0, "NONE"),
        (json!({"x_severity": {"score": 0}}), 0.0, "NONE"),
    ] {
        let mut record = record;
        record["id"] = json!("X");
        let fields = fields(&record);
        assert_eq!(
            (fields["severity"].as_f64(), fields["severity_label"].as_str()),
            (Some(score), Some(label)),
            "{record}"
        );
    }
    assert!(
        !osv(&json!({"id": "X", "database_specific": {"severity": "unknown"}}))
            .unwrap()
            .fields
            .contains_key("severity_label")
    );
}

#[test]
fn a_known_key_of_the_wrong_type_is_refused_by_name() {
    for (key, value) in [
        ("published", json!("yesterday")),
        ("modified", json!(0)),
        ("withdrawn", json!(true)),
        ("summary", json!(["a"])),
        ("details", json!({})),
        ("aliases", json!("CVE-1")),
        ("aliases", json!([1])),
        ("severity", json!("HIGH")),
        ("affected", json!({})),
        ("affected", json!(["x"])),
        ("ranges", json!([{"ranges": "no"}])),
        ("ranges", json!([{"ranges": ["no"]}])),
        ("versions", json!([{"versions": "1.0.0"}])),
        ("versions", json!([{"versions": [1]}])),
        ("events", json!([{"ranges": [{"events": {"introduced": "0"}}]}])),
        ("events", json!([{"ranges": [{"events": [{"introduced": 0}]}]}])),
    ] {
        let holder = if matches!(key, "ranges" | "versions" | "events") { "affected" } else { key };
        let error = osv(&json!({"id": "X", holder: value})).unwrap_err();
        assert!(error.message().contains(key) && error.param() == Some(key), "{error}");
    }
}

/// Whether a record with this entry of `affected` affects a version.
fn affects(entry: &Json, ecosystem: &str, package: &str, version: &str) -> bool {
    let record = osv(&json!({"id": "X", "affected": [entry]})).unwrap();
    let filter = Filter::Affects { ecosystem: ecosystem.into(), package: package.into(), version: version.into() };
    resolve(&filter, &Schema::osv()).unwrap().matches(&record)
}

#[test]
fn versions_and_ranges_are_read() {
    let entry = json!({"package": {"ecosystem": "npm", "name": "x"}, "versions": ["3.0.0", "weird one"], "ranges": [
        {"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.2.0"}]},
        {"type": "ECOSYSTEM", "events": [{"introduced": "5.0.0"}, {"fixed": "not a version"}]},
        {"type": "SEMVER", "events": [{"introduced": "6.0.0"}, {"odd": "7.0.0"}]},
        {"type": "GIT", "events": [{"introduced": "0"}]},
        {"type": "SEMVER"}, {"type": "SEMVER", "events": null}
    ]});
    for (version, want) in [
        ("0.9.0", false),
        ("1.0.0", true),
        ("v1.1", true),
        ("1.2.0-rc.1", true),
        ("1.2.0", false),
        ("3.0.0", true),
        ("weird one", true),
        ("other one", false),
        ("5.0.1", false),
        ("6.5.0", false),
    ] {
        assert_eq!(affects(&entry, "npm", "x", version), want, "{version}");
    }
    assert!(!affects(&entry, "PyPI", "x", "1.0.0") && !affects(&entry, "npm", "X", "1.0.0"));
    let python = json!({"package": {"ecosystem": "PyPI", "name": "Foo_Bar"}, "versions": ["1.0"]});
    assert!(affects(&python, "PyPI", "foo.bar", "1.0.0"));
    let suffixed =
        json!({"package": {"ecosystem": "Maven:https://example.org/m2", "name": "a:b"}, "versions": ["1.0"]});
    assert!(
        affects(&suffixed, "Maven", "a:b", "1.0") && affects(&suffixed, "Maven:https://example.org/m2", "a:b", "1.0")
    );
    assert!(!affects(&suffixed, "Maven:other", "a:b", "1.0"));
}

#[test]
fn intervals_are_joined() {
    let record = osv(&json!({"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0", "1.1.0", "2.0.0", "2.0.0"],
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.5.0"}, {"introduced": "1.5.0"}, {"fixed": "1.6.0"}]}]}]}))
    .unwrap();
    assert_eq!(record.affected[0].intervals.len(), 2);
}

#[test]
fn every_real_file_loads_and_states_the_derived_score() {
    let mut total = 0;
    for name in [
        "bitnami",
        "cisa_kev",
        "cve_vulnrichment",
        "friendsofphp",
        "ghsa_sample",
        "golang",
        "node_core",
        "node_npm",
        "pypa",
        "retirejs",
        "rubysec",
        "rustsec",
    ] {
        let Some(records) = advisories(name) else { return };
        total += records.len();
        for record in &records {
            let original: Json = serde_json::from_str(record.original.get()).unwrap();
            let severity = record.fields.get("severity");
            match original["x_severity"]["score"].as_f64() {
                Some(score) => assert_eq!(severity, Some(&Value::Float(score)), "{}", record.id),
                None => assert_eq!(
                    severity.is_some(),
                    original["x_severity"]["label"].is_string()
                        || original["database_specific"]["severity"].as_str().and_then(word_score).is_some(),
                    "{}",
                    record.id
                ),
            }
            if let Some(label) = original["x_severity"]["label"].as_str() {
                assert_eq!(record.fields.get("severity_label"), Some(&Value::Text(label.into())), "{}", record.id);
            }
        }
    }
    assert_eq!(total, 64_905);
}

#[test]
fn every_structured_question_is_answered_exactly() {
    const LEVELS: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];
    let Some(questions) = shared_lines("structured/questions_dev.jsonl") else { return };
    let mut databases: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut count = 0;
    for question in questions.lines() {
        let question: Json = serde_json::from_str(question).unwrap();
        let asked = &question["filter"];
        let database = asked["database"].as_str().unwrap();
        let records = databases.entry(database.to_owned()).or_insert_with(|| advisories(database).unwrap());
        let mut parts = vec![
            json!({"affects": {"ecosystem": asked["ecosystem"], "package": asked["package"], "version": asked["version"]}}),
        ];
        let mut text = format!(
            "affects('{}', '{}', '{}')",
            asked["ecosystem"].as_str().unwrap(),
            asked["package"].as_str().unwrap(),
            asked["version"].as_str().unwrap()
        );
        if let Some(least) = asked["min_severity"].as_str() {
            let labels = &LEVELS[LEVELS.iter().position(|level| *level == least).unwrap()..];
            parts.push(json!({"in": {"severity_label": labels}}));
            text += &format!(" and severity_label in ('{}')", labels.join("', '"));
        }
        if let Some(from) = asked["published_from"].as_str() {
            parts.push(json!({"gte": {"published": from}}));
            text += &format!(" and published >= '{from}'");
        }
        let filter = Filter::from_json(&json!({"and": parts})).unwrap();
        assert_eq!(Filter::from_text(&text).unwrap(), filter);
        let predicate = resolve(&filter, &Schema::osv()).unwrap();
        let mut found: Vec<&str> =
            records.iter().filter(|r| !r.withdrawn && predicate.matches(r)).map(|r| r.id.as_str()).collect();
        found.sort_unstable();
        let mut want: Vec<&str> =
            question["filter_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        want.sort_unstable();
        assert_eq!(found, want, "{question}");
        count += 1;
    }
    assert_eq!(count, 161);
}
