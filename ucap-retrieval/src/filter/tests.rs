//! Tests of `filter`.

use proptest::prelude::*;
use serde_json::json;
use ucap_core::ErrorKind;

use super::*;
use crate::record::{Record, read_record};
use crate::schema::{Format, Schema};

fn schema() -> Schema {
    Schema::declared(&json!({"fields": {
        "t": {"type": "text"}, "k": {"type": "keyword"}, "n": {"type": "integer"}, "f": {"type": "float"}, "b": {"type": "boolean"},
        "at": {"type": "timestamp"}, "v": {"type": "version", "ecosystem": "npm"}, "tags": {"type": "keyword", "list": true},
        "times": {"type": "timestamp", "list": true}, "ns": {"type": "integer", "list": true}
    }, "text": ["t"]}))
    .unwrap()
}

const E: &str = "e/é 中";

fn records() -> Vec<Record> {
    [
        json!({"id": "a", "t": "It's a Café", "k": "Red", "n": 1, "f": 1.5, "b": true, "at": "2026-01-01T00:30:00+01:00", "v": "1.9.0", "tags": ["x", "y"], "ns": [1, 2]}),
        json!({"id": "b", "t": "tea", "k": "red", "n": 2, "f": -0.5, "b": false, "at": "2026-01-01", "v": "1.10.0", "tags": [], "times": ["2026-01-01", "2026-02-01T10:00:00Z"]}),
        json!({"id": "c", "t": "CAFE con leche", "k": "blue", "n": 3, "at": "2026-03-01T12:00:00Z", "v": "1.10.0-rc.1", "tags": ["xy"]}),
        json!({"id": "d", "k": "blue", "f": 1.5, "b": true}),
        json!({"id": E, "n": 9_007_199_254_740_993i64}),
    ]
    .iter()
    .map(|row| read_record(Format::Records, &schema(), row.to_string().as_bytes()).unwrap())
    .collect()
}

fn found(filter: &Filter) -> String {
    let predicate = resolve(filter, &schema()).unwrap();
    records()
        .iter()
        .filter(|record| predicate.matches(record))
        .map(|record| if record.id == E { "E" } else { &record.id })
        .collect()
}

/// Filters in both forms and what they leave of [`records`].
fn cases() -> Vec<(Json, Option<&'static str>, &'static str)> {
    vec![
        (json!({"eq": {"k": "red"}}), Some("k = 'red'"), "b"),
        (json!({"ne": {"k": "red"}}), Some("k != 'red'"), "acd"),
        (json!({"not": {"eq": {"k": "red"}}}), Some("not k = 'red'"), "acdE"),
        (json!({"in": {"k": ["red", "blue", "nope"]}}), Some("k in ('red', 'blue', 'nope')"), "bcd"),
        (json!({"gt": {"n": 1}}), Some("n > 1"), "bcE"),
        (json!({"gte": {"n": 2}}), Some("n >= 2"), "bcE"),
        (json!({"lt": {"n": 2}}), Some("n < 2"), "a"),
        (json!({"lte": {"n": 2}}), Some("n <= 2"), "ab"),
        (json!({"eq": {"n": 9_007_199_254_740_993i64}}), Some("n = 9007199254740993"), "E"),
        (json!({"eq": {"n": 9_007_199_254_740_992i64}}), Some("n = 9007199254740992"), ""),
        (json!({"eq": {"n": 2.0}}), Some("n = 2.0"), "b"),
        (json!({"eq": {"n": 1.5}}), Some("n = 1.5"), ""),
        (json!({"ne": {"n": 1.5}}), Some("n != 1.5"), "abcE"),
        (json!({"gt": {"n": 1.5}}), Some("n > 1.5"), "bcE"),
        (json!({"gte": {"n": 1.5}}), Some("n >= 1.5"), "bcE"),
        (json!({"lt": {"n": 1.5}}), Some("n < 1.5"), "a"),
        (json!({"lte": {"n": -0.5}}), Some("n <= -0.5"), ""),
        (json!({"in": {"n": [1, 1.5, 3.0]}}), Some("n in (1, 1.5, 3.0)"), "ac"),
        (json!({"lt": {"n": 9_223_372_036_854_775_808u64}}), Some("n < 9223372036854775808"), "abcE"),
        (json!({"gte": {"n": 1e300}}), Some("n >= 1e300"), ""),
        (json!({"gt": {"n": -1e300}}), Some("n > -1e300"), "abcE"),
        (json!({"lt": {"f": 0}}), Some("f < 0"), "b"),
        (json!({"eq": {"f": 1.5}}), Some("f = 1.5"), "ad"),
        (json!({"eq": {"b": true}}), Some("b = true"), "ad"),
        (json!({"ne": {"b": true}}), Some("b != TRUE"), "b"),
        (json!({"contains": {"t": "cafe"}}), Some("t contains 'cafe'"), "ac"),
        (json!({"contains": {"t": "CAFÉ"}}), Some("t contains 'CAFÉ'"), "ac"),
        (json!({"contains": {"t": "CAFE\u{301}"}}), None, "ac"),
        (json!({"contains": {"t": ""}}), Some("t contains ''"), "abc"),
        (json!({"contains": {"k": "RE"}}), Some("k contains 'RE'"), "ab"),
        (json!({"contains": {"id": "É"}}), Some("id contains 'É'"), "E"),
        (json!({"contains": {"tags": "x"}}), Some("tags contains 'x'"), "a"),
        (json!({"contains": {"tags": "X"}}), Some("tags contains 'X'"), ""),
        (json!({"contains": {"ns": 2}}), Some("ns contains 2"), "a"),
        (json!({"contains": {"ns": 1.5}}), Some("ns contains 1.5"), ""),
        (json!({"contains": {"times": "2026-01-01"}}), Some("times contains '2026-01-01'"), "b"),
        (json!({"contains": {"times": "2026-02-01"}}), Some("times contains '2026-02-01'"), ""),
        (json!({"contains": {"t": "it's"}}), Some("t contains 'it''s'"), "a"),
        (json!({"contains": {"t": "%"}}), Some("t contains '%'"), ""),
        (json!({"contains": {"t": "_"}}), Some("t contains '_'"), ""),
        (json!({"exists": "f"}), Some("exists(f)"), "abd"),
        (json!({"exists": "tags"}), Some("EXISTS ( tags )"), "ac"),
        (json!({"not": {"exists": "t"}}), Some("not exists(t)"), "dE"),
        (json!({"eq": {"id": E}}), Some("id = 'e/é 中'"), "E"),
        (json!({"lt": {"at": "2026-01-01"}}), Some("at < '2026-01-01'"), "a"),
        (json!({"gte": {"at": "2026-01-01"}}), Some("at >= '2026-01-01'"), "bc"),
        (json!({"gt": {"at": "2026-01-01"}}), Some("at > '2026-01-01'"), "c"),
        (json!({"lte": {"at": "2026-03-01"}}), Some("at <= '2026-03-01'"), "abc"),
        (json!({"gt": {"at": "2026-03-01"}}), Some("at > '2026-03-01'"), ""),
        (json!({"eq": {"at": "2026-03-01"}}), Some("at = '2026-03-01'"), "c"),
        (json!({"ne": {"at": "2026-03-01"}}), Some("at != '2026-03-01'"), "ab"),
        (
            json!({"in": {"at": ["2026-03-01", "2026-01-01T00:00:00Z", "2025-12-31"]}}),
            Some("at in ('2026-03-01', '2026-01-01T00:00:00Z', '2025-12-31')"),
            "abc",
        ),
        (json!({"lte": {"at": "9999-12-31"}}), Some("at <= '9999-12-31'"), "abc"),
        (json!({"gt": {"at": "9999-12-31"}}), Some("at > '9999-12-31'"), ""),
        (json!({"eq": {"at": "2026-01-01T01:00:00+01:00"}}), Some("at = '2026-01-01T01:00:00+01:00'"), "b"),
        (json!({"and": []}), None, "abcdE"),
        (json!({"or": []}), None, ""),
        (json!({"in": {"k": []}}), Some("k in ()"), ""),
        (json!({"not": {"in": {"k": []}}}), Some("not k in ()"), "abcdE"),
        (json!({"gt": {"v": "1.9.0"}}), Some("v > '1.9.0'"), "bc"),
        (json!({"lt": {"v": "1.10.0"}}), Some("v < '1.10.0'"), "ac"),
        (json!({"eq": {"v": "v1.10"}}), Some("v = 'v1.10'"), "b"),
        (
            json!({"or": [{"eq": {"k": "Red"}}, {"and": [{"eq": {"k": "blue"}}, {"gt": {"f": 1}}]}]}),
            Some("k = 'Red' or k = 'blue' and f > 1"),
            "ad",
        ),
        (
            json!({"and": [{"or": [{"eq": {"k": "Red"}}, {"eq": {"k": "blue"}}]}, {"gt": {"n": 2}}]}),
            Some("(k = 'Red' or k = 'blue') and n > 2"),
            "c",
        ),
        (
            json!({"and": [{"not": {"eq": {"k": "blue"}}}, {"exists": "n"}]}),
            Some("not k = 'blue' and exists(n)"),
            "abE",
        ),
        (json!({"not": {"or": [{"exists": "t"}, {"exists": "b"}]}}), Some("not (exists(t) or exists(b))"), "E"),
        (json!({"not": {"not": {"eq": {"k": "red"}}}}), Some("not not k='red'"), "b"),
        (
            json!({"affects": {"ecosystem": "npm", "package": "x", "version": "1"}}),
            Some("affects('npm', 'x', '1')"),
            "",
        ),
    ]
}

#[test]
fn operators_mean_what_they_say() {
    for (json, text, want) in cases() {
        let filter = Filter::from_json(&json).unwrap();
        assert_eq!(found(&filter), want, "{json}");
        if let Some(text) = text {
            assert_eq!(Filter::from_text(text).unwrap(), filter, "{text}");
            assert_eq!(Filter::from_json(&json!(text)).unwrap(), filter, "{text}");
        }
        let written: Json = serde_json::from_str(&filter.canonical()).unwrap();
        assert_eq!(Filter::from_json(&written).unwrap(), filter, "{json}");
    }
}

#[test]
fn a_field_of_another_datasource_is_missing_here() {
    for (json, want) in [
        (json!({"eq": {"other": 1}}), ""),
        (json!({"not": {"exists": "other"}}), "abcdE"),
        (json!({"ne": {"other": 1}}), ""),
    ] {
        assert_eq!(found(&Filter::from_json(&json).unwrap()), want, "{json}");
    }
    let filter = Filter::from_text("a = 1 and (b in (2) or not exists(c)) and d contains 'x' and a < 2").unwrap();
    assert_eq!(filter.fields().into_iter().collect::<String>(), "abcd");
}

#[test]
fn errors_name_what_is_wrong() {
    for (json, name) in [
        (json!({"frob": {"id": 1}}), "frob"),
        (json!({"eq": {}}), "`eq`"),
        (json!({"eq": {"k": "a", "n": 1}}), "`eq`"),
        (json!({"eq": {"k": "a"}, "ne": {"k": "b"}}), "`eq`"),
        (json!({"eq": {"k": null}}), "exists"),
        (json!({"eq": {"k": ["a"]}}), "`k`"),
        (json!({"eq": "k"}), "`eq`"),
        (json!({"in": {"k": "a"}}), "`in`"),
        (json!({"and": {"eq": {"k": "a"}}}), "`and`"),
        (json!({"exists": 1}), "`exists`"),
        (json!({}), "none"),
        (json!([]), "a list"),
        (json!(null), "null"),
        (json!({"affects": {"ecosystem": "Maven", "package": "x"}}), "version"),
        (json!({"affects": {"ecosystem": "Maven", "package": "x", "version": 1}}), "version"),
        (json!({"affects": {"ecosystem": "Maven", "package": "x", "version": "1", "colour": "red"}}), "colour"),
        (json!({"affects": {"ecosystem": "Klingon", "package": "x", "version": "1"}}), "Klingon"),
        (json!({"gte": {"f": "high"}}), "`f`"),
        (json!({"eq": {"k": 1}}), "`k`"),
        (json!({"eq": {"n": true}}), "`n`"),
        (json!({"eq": {"b": "true"}}), "`b`"),
        (json!({"gt": {"b": true}}), "`b`"),
        (json!({"eq": {"at": "yesterday"}}), "`at`"),
        (json!({"gt": {"v": "not a version"}}), "npm"),
        (json!({"contains": {"f": "x"}}), "`f`"),
        (json!({"contains": {"t": 1}}), "`t`"),
        (json!({"contains": {"ns": "x"}}), "`ns`"),
        (json!({"eq": {"tags": "x"}}), "`tags`"),
        (json!({"in": {"tags": ["x"]}}), "`tags`"),
        (json!({"in": {"n": [1, "x"]}}), "`n`"),
        (json!("f >>= 3"), "character 4"),
        (json!("f >= "), "character 6"),
        (json!(""), "a field"),
        (json!("id = 'x'; drop table records"), "character 9"),
        (json!("k = 'x"), "not closed"),
        (json!("é = 'ñ' k"), "character 9"),
        (json!("k not in ('a')"), "comparison"),
        (json!("n = 1x"), "number"),
        (json!("n = 1e999"), "number"),
        (json!("(n = 1"), "`)`"),
        (json!("n = 1)"), "end"),
        (json!("and = 1"), "field"),
        (json!("affects('npm', 'x')"), "version"),
        (json!("affects(npm, 'x', '1')"), "ecosystem"),
        (json!("k in ('a' 'b')"), "`,`"),
        (json!("k = null"), "value"),
    ] {
        let error = Filter::from_json(&json).and_then(|filter| resolve(&filter, &schema())).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("filter")), "{json}");
        assert!(error.message().contains(name), "{json}: {error}");
    }
}

#[test]
fn names_may_be_quoted_and_words_may_be_names() {
    for (text, field) in [
        ("\"not\" = 1", "not"),
        ("in in (1)", "in"),
        ("exists = 1", "exists"),
        ("descripción = 1", "descripción"),
        ("a-b.c_d >= 1", "a-b.c_d"),
    ] {
        assert_eq!(Filter::from_text(text).unwrap().fields().into_iter().collect::<Vec<_>>(), [field], "{text}");
    }
}

#[test]
fn filters_are_bounded() {
    let nested = |depth: usize| (1..depth).fold(json!({"exists": "id"}), |inner, _| json!({"not": inner}));
    assert!(Filter::from_json(&nested(32)).is_ok());
    assert!(Filter::from_json(&nested(33)).unwrap_err().message().contains("32"));
    assert!(Filter::from_text(&format!("{}exists(id)", "not ".repeat(31))).is_ok());
    assert!(Filter::from_text(&format!("{}exists(id)", "not ".repeat(100_000))).is_err());
    assert!(Filter::from_text(&"(".repeat(500_000)).is_err());
    let wide = |count: usize| json!({"or": vec![json!({"exists": "id"}); count]});
    assert!(Filter::from_json(&wide(999)).is_ok() && Filter::from_json(&wide(1_000)).is_err());
    let listed = |count: usize| json!({"in": {"id": (0..count).map(|i| i.to_string()).collect::<Vec<_>>()}});
    assert!(Filter::from_json(&listed(10_000)).is_ok() && Filter::from_json(&listed(10_001)).is_err());
    let text = |count: usize| format!("id in ({})", vec!["'x'"; count].join(","));
    assert!(Filter::from_text(&text(10_000)).is_ok() && Filter::from_text(&text(10_001)).is_err());
    assert!(Filter::from_text(&" ".repeat((1 << 20) + 1)).is_err());
}

#[test]
fn ecosystems_decide_about_affects() {
    let ask = |ecosystem: &str, package: &str, version: &str| {
        let filter = Filter::Affects { ecosystem: ecosystem.into(), package: package.into(), version: version.into() };
        resolve(&filter, &Schema::osv())
    };
    assert_eq!(ask("Debian", "curl", "1").unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(ask("Debian:12", "curl", "1").unwrap_err().message().contains("Debian"));
    let Predicate::Affects(affects) = ask("PyPI", "A__b", "1.0").unwrap() else { panic!() };
    assert_eq!(
        (affects.package.as_str(), affects.suffix.as_deref(), affects.unparsable().is_none()),
        ("a-b", None, true)
    );
    let predicate = ask("npm", "x", "not a version").unwrap();
    let error = predicate.unparsed()[0].unparsable().unwrap();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("filter")));
    assert!(error.message().contains("npm"), "{error}");
    let long = ask("npm", "x", &"not a version\n".repeat(10_000)).unwrap().unparsed()[0].unparsable().unwrap();
    assert!(long.message().contains("npm") && long.message().len() < 500 && !long.message().contains('\n'), "{long}");
}

/// The text form of a filter without an empty `and` or `or`, which it cannot write.
fn to_text(filter: &Filter) -> String {
    let literal = |value: &Literal| match value {
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_json().to_string(),
    };
    let name = |field: &str| format!("\"{field}\"");
    let join = |parts: &[Filter], word: &str| {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Filter::Or(_) => format!("({})", to_text(part)),
                part => to_text(part),
            })
            .collect();
        parts.join(word)
    };
    match filter {
        Filter::And(parts) => join(parts, " and "),
        Filter::Or(parts) => join(parts, " OR "),
        Filter::Not(part) => format!("not ({})", to_text(part)),
        Filter::Compare { field, op, value } => format!("{}{}{}", name(field), op.sign(), literal(value)),
        Filter::In { field, values } => {
            format!("{} in({})", name(field), values.iter().map(literal).collect::<Vec<_>>().join(","))
        }
        Filter::Contains { field, value } => format!("{} contains {}", name(field), literal(value)),
        Filter::Exists(field) => format!("exists({})", name(field)),
        Filter::Affects { ecosystem, package, version } => {
            let [e, p, v] = [ecosystem, package, version].map(|text| literal(&Literal::Text(text.clone())));
            format!("affects({e}, {p}, {v})")
        }
    }
}

fn literals() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<String>().prop_map(Literal::Text),
        any::<i64>().prop_map(Literal::Integer),
        // A float that a whole number of 64 bits could be is written with its fraction and read as a float again.
        prop::num::f64::NORMAL.prop_map(Literal::Float),
        any::<bool>().prop_map(Literal::Boolean),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let name = || "[a-zñ][a-z0-9_.-]{0,8}";
    let op = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Gt, Op::Gte, Op::Lt, Op::Lte]);
    let leaf = prop_oneof![
        (name(), op, literals()).prop_map(|(field, op, value)| Filter::Compare { field, op, value }),
        (name(), prop::collection::vec(literals(), 0..4)).prop_map(|(field, values)| Filter::In { field, values }),
        (name(), literals()).prop_map(|(field, value)| Filter::Contains { field, value }),
        name().prop_map(Filter::Exists),
        ("[A-Z][a-z]{1,5}", any::<String>(), any::<String>())
            .prop_map(|(ecosystem, package, version)| Filter::Affects { ecosystem, package, version }),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::all),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn both_forms_make_the_same_filter(filter in filters()) {
        let text = to_text(&filter);
        prop_assert_eq!(Filter::from_text(&text).unwrap(), filter.clone(), "{}", text);
        let written: Json = serde_json::from_str(&filter.canonical()).unwrap();
        prop_assert_eq!(Filter::from_json(&written).unwrap(), filter);
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[a-z]{1,3} ?([=<>!]{1,2}|in|contains|and|or|not|exists|affects|\\(|\\)|,|'|\"|-|[0-9.e]{1,5}| ){0,12}") {
        let _ = Filter::from_text(&text);
        let _ = Filter::from_text(&near);
    }

    #[test]
    fn negation_turns_every_answer(index in 0..68usize) {
        let (json, _, _) = cases().swap_remove(index);
        let schema = schema();
        let filter = Filter::from_json(&json).unwrap();
        let (plain, negated) = (resolve(&filter, &schema).unwrap(), resolve(&Filter::Not(Box::new(filter)), &schema).unwrap());
        for record in records() {
            prop_assert_ne!(plain.matches(&record), negated.matches(&record));
        }
    }
}
