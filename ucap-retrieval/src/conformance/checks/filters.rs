//! Filters: every operator, alone and joined; rows, pages and the reference agree.

use serde_json::{Value as Json, json};

use crate::conformance::random::all_types;
use crate::conformance::{Outcome, Random, Store, World, expect_same};
use crate::datastore::{After, Write};
use crate::query::Withdrawn;

/// Demands that rows and pages are those of the records that `matches`.
async fn agree(
    store: &Store,
    records: &[Json],
    filter: &Json,
    withdrawn: Withdrawn,
) -> Result<Vec<String>, crate::conformance::Failure> {
    let predicate = store.predicate(filter)?;
    let mut want: Vec<String> = Vec::new();
    for record in records {
        let Write::Put { record, .. } = store.put(record)? else { continue };
        let is_wanted = match withdrawn {
            Withdrawn::Exclude => !record.withdrawn,
            Withdrawn::Include => true,
            Withdrawn::Only => record.withdrawn,
        };
        if is_wanted && predicate.matches(&record) {
            want.push(record.id);
        }
    }
    want.sort();
    let candidates = store.candidates(filter, withdrawn).await?;
    expect_same(format!("rows of {filter} {withdrawn:?}"), store.ids(candidates.rows()).await?, want.clone())?;
    let page = store.page(filter, withdrawn, &[], After::Start, 10_000).await?;
    let ids: Vec<String> = page.into_iter().map(|row| row.id).collect();
    expect_same(format!("page of {filter} {withdrawn:?}"), ids, want.clone())?;
    Ok(want)
}

fn table() -> Vec<Json> {
    vec![
        json!({"id": "a", "t": "It's a Café", "k": "Red", "n": 1, "f": 1.5, "b": true, "at": "2026-01-01T00:30:00+01:00", "v": "1.9.0", "tags": ["x", "y"]}),
        json!({"id": "b", "t": "tea", "k": "red", "n": 2, "f": -0.5, "b": false, "at": "2026-01-01", "v": "1.10.0", "tags": []}),
        json!({"id": "c", "t": "CAFE con leche", "k": "blue", "n": 3, "at": "2026-03-01T12:00:00Z", "v": "1.10.0-rc.1", "tags": ["xy"]}),
        json!({"id": "d", "k": "blue", "f": 1.5, "b": true}),
        json!({"id": "e", "n": 9_007_199_254_740_993_i64}),
    ]
}

pub(super) async fn mean_what_the_table_says(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    store.put_all(&table()).await?;
    let cases = [
        (json!({"eq": {"k": "red"}}), "b"),
        (json!({"ne": {"k": "red"}}), "acd"),
        (json!({"not": {"eq": {"k": "red"}}}), "acde"),
        (json!({"in": {"k": ["red", "blue", "nope"]}}), "bcd"),
        (json!({"in": {"f": [1.5, -0.5]}}), "abd"),
        (json!({"in": {"v": ["1.9.0"]}}), "a"),
        (json!({"gt": {"n": 1}}), "bce"),
        (json!({"gte": {"n": 2}}), "bce"),
        (json!({"lt": {"n": 2}}), "a"),
        (json!({"lte": {"n": 2}}), "ab"),
        (json!({"gt": {"n": 1.5}}), "bce"),
        (json!({"eq": {"n": 1.5}}), ""),
        (json!({"ne": {"n": 1.5}}), "abce"),
        (json!({"eq": {"n": 9_007_199_254_740_993_i64}}), "e"),
        (json!({"eq": {"n": 9_007_199_254_740_992_i64}}), ""),
        (json!({"lt": {"f": 0}}), "b"),
        (json!({"eq": {"f": 1.5}}), "ad"),
        (json!({"eq": {"b": true}}), "ad"),
        (json!({"ne": {"b": true}}), "b"),
        (json!({"contains": {"t": "cafe"}}), "ac"),
        (json!({"contains": {"t": "CAFÉ"}}), "ac"),
        (json!({"contains": {"k": "RE"}}), "ab"),
        (json!({"contains": {"tags": "x"}}), "a"),
        (json!({"contains": {"t": "it's"}}), "a"),
        (json!({"contains": {"t": "%"}}), ""),
        (json!({"contains": {"t": "_"}}), ""),
        (json!({"contains": {"t": ""}}), "abc"),
        (json!({"exists": "f"}), "abd"),
        (json!({"exists": "tags"}), "ac"),
        (json!({"exists": "id"}), "abcde"),
        (json!({"exists": "t"}), "abc"),
        (json!({"not": {"exists": "t"}}), "de"),
        (json!({"lt": {"at": "2026-01-01"}}), "a"),
        (json!({"gte": {"at": "2026-01-01"}}), "bc"),
        (json!({"gt": {"at": "2026-01-01"}}), "c"),
        (json!({"lte": {"at": "2026-03-01"}}), "abc"),
        (json!({"gt": {"at": "2026-03-01"}}), ""),
        (json!({"eq": {"at": "2026-03-01"}}), "c"),
        (json!({"ne": {"at": "2026-03-01"}}), "ab"),
        (json!({"in": {"at": ["2026-03-01"]}}), "c"),
        (json!({"eq": {"at": "2026-01-01T01:00:00+01:00"}}), "b"),
        (json!({"gt": {"v": "1.9.0"}}), "bc"),
        (json!({"lt": {"v": "1.10.0"}}), "ac"),
        (json!({"lt": {"t": "a"}}), "ac"),
        (json!({"gte": {"k": "blue"}}), "bcd"),
        (json!({"and": []}), "abcde"),
        (json!({"or": []}), ""),
        (json!({"in": {"k": []}}), ""),
        (json!({"not": {"in": {"k": []}}}), "abcde"),
        (json!({"or": [{"eq": {"k": "Red"}}, {"and": [{"eq": {"k": "blue"}}, {"gt": {"f": 1}}]}]}), "ad"),
        (json!({"and": [{"or": [{"eq": {"k": "Red"}}, {"eq": {"k": "blue"}}]}, {"gt": {"n": 2}}]}), "c"),
        (json!({"and": [{"not": {"eq": {"k": "blue"}}}, {"exists": "n"}]}), "abe"),
        (json!({"not": {"or": [{"exists": "t"}, {"exists": "b"}]}}), "e"),
        (json!({"eq": {"nosuch": 1}}), ""),
        (json!({"not": {"exists": "nosuch"}}), "abcde"),
    ];
    for (filter, want) in cases {
        let found = agree(&store, &table(), &filter, Withdrawn::Exclude).await?;
        expect_same(filter, found.concat(), want.to_owned())?;
    }
    let mut random = Random::new(11);
    let records: std::collections::BTreeMap<String, Json> =
        (0..300).map(|_| random.record()).map(|record| (record["id"].to_string(), record)).collect();
    let records: Vec<Json> = records.into_values().collect();
    world.datasource("n", &all_types()).await?;
    let store = world.store("n").await?;
    store.put_all(&records).await?;
    for _ in 0..400 {
        let filter = random.filter(3);
        if store.predicate(&filter).is_ok() {
            agree(&store, &records, &filter, Withdrawn::Exclude).await?;
        }
    }
    Ok(())
}

fn advisory(id: &str, ecosystem: &str, fixed: &str, listed: &[&str]) -> Json {
    json!({"id": id, "affected": [{"package": {"ecosystem": ecosystem, "name": "p"}, "versions": listed,
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": fixed}]}]}]})
}

pub(super) async fn tell_affected_versions(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv", "vectors": false})).await?;
    let store = world.store("m").await?;
    let records = [
        advisory("a", "PyPI", "1.10", &["not a version!"]),
        advisory("b", "PyPI", "2.0", &["0.5"]),
        advisory("c", "Maven:12", "2.0", &[]),
        advisory("d", "Maven:11", "1.5", &[]),
        json!({"id": "e", "summary": "affects nothing"}),
    ];
    store.put_all(&records).await?;
    for (ecosystem, version, want) in [
        ("PyPI", "1.9", "ab"),
        ("PyPI", "1.10", "b"),
        ("PyPI", "1.10rc1", "ab"),
        ("PyPI", "0.5", "b"),
        ("PyPI", "0.9", ""),
        ("PyPI", "2.0", ""),
        ("Maven", "1.4", "cd"),
        ("Maven:12", "1.4", "c"),
        ("Maven:11", "1.7", ""),
        ("npm", "1.4.0", ""),
        ("PyPI", "not a version!", "a"),
        ("PyPI", "nor this!", ""),
    ] {
        let filter = json!({"affects": {"ecosystem": ecosystem, "package": "P", "version": version}});
        let filter = if ecosystem == "PyPI" {
            filter
        } else {
            json!({"affects": {"ecosystem": ecosystem, "package": "p", "version": version}})
        };
        let found = agree(&store, &records, &filter, Withdrawn::Exclude).await?;
        expect_same(&filter, found.concat(), want.to_owned())?;
        for affects in store.predicate(&filter)?.unparsed() {
            let listed = store.roles.records.lists_version(store.context(), &store.read, affects).await?;
            expect_same(format!("{filter} is listed"), listed, want == "a")?;
        }
        agree(&store, &records, &json!({"not": filter}), Withdrawn::Exclude).await?;
    }
    store.delete_all(&["a"]).await?;
    let filter = json!({"affects": {"ecosystem": "PyPI", "package": "p", "version": "not a version!"}});
    for affects in store.predicate(&filter)?.unparsed() {
        let listed = store.roles.records.lists_version(store.context(), &store.read, affects).await?;
        expect_same("a deleted record lists nothing", listed, false)?;
    }
    Ok(())
}

pub(super) async fn heed_withdrawal(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv", "vectors": false})).await?;
    let store = world.store("m").await?;
    let mut records: Vec<Json> =
        ["a", "b", "c", "d"].iter().map(|id| json!({"id": id, "summary": format!("text of {id}")})).collect();
    records[1]["withdrawn"] = "2026-01-01T00:00:00Z".into();
    records[3]["withdrawn"] = "2026-01-01T00:00:00Z".into();
    store.put_all(&records).await?;
    for filter in [
        json!({"and": []}),
        json!({"contains": {"summary": "text"}}),
        json!({"exists": "withdrawn"}),
        json!({"not": {"eq": {"id": "a"}}}),
    ] {
        for withdrawn in [Withdrawn::Exclude, Withdrawn::Include, Withdrawn::Only] {
            agree(&store, &records, &filter, withdrawn).await?;
        }
    }
    records[1] = json!({"id": "b", "summary": "text of b, not withdrawn any more"});
    store.put_all(&records[1..2]).await?;
    let found = agree(&store, &records, &json!({"and": []}), Withdrawn::Exclude).await?;
    expect_same("a record that is not withdrawn any more", found.concat(), "abc".to_owned())?;
    let original = store.roles.originals.get(store.context(), &store.read, "d").await?;
    expect_same("by id a withdrawn record is found", original.is_some(), true)
}

pub(super) async fn follow_new_fields(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    world.store("m").await?.put_all(&table()).await?;
    let more =
        json!({"fields": {"x": {"type": "text"}, "y": {"type": "integer"}, "zs": {"type": "integer", "list": true}}});
    world.add_fields("m", &more).await?;
    let store = world.store("m").await?;
    let mut records = table();
    records.push(json!({"id": "f", "x": "Neu", "y": 4, "zs": [1, -2], "k": "red"}));
    store.put_all(&records[5..]).await?;
    for (filter, want) in [
        (json!({"eq": {"y": 4}}), "f"),
        (json!({"contains": {"x": "NEU"}}), "f"),
        (json!({"contains": {"zs": -2}}), "f"),
        (json!({"exists": "x"}), "f"),
        (json!({"not": {"exists": "zs"}}), "abcde"),
        (json!({"eq": {"k": "red"}}), "bf"),
        (json!({"eq": {"x": "Neu"}}), "f"),
    ] {
        expect_same(&filter, agree(&store, &records, &filter, Withdrawn::Exclude).await?.concat(), want.to_owned())?;
    }
    Ok(())
}

pub(super) async fn see_every_byte_of_a_text(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let texts = [
        "",
        "\u{0}",
        "a",
        "a\u{0}",
        "a\u{0}b",
        "a\u{0}c",
        "%",
        "_",
        "\\",
        "'",
        "\"",
        "é",
        "e\u{301}",
        "\u{10ffff}",
        "10",
        "10.0",
        "1e1",
    ];
    let records: Vec<Json> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| json!({"id": format!("r{i:02}"), "t": text, "k": text, "tags": [text]}))
        .collect();
    store.put_all(&records).await?;
    for text in texts {
        for field in ["t", "k"] {
            for op in ["eq", "ne", "gt", "gte", "lt", "lte", "contains"] {
                agree(&store, &records, &json!({op: {field: text}}), Withdrawn::Exclude).await?;
            }
            agree(&store, &records, &json!({"in": {field: [text, "a"]}}), Withdrawn::Exclude).await?;
        }
        agree(&store, &records, &json!({"contains": {"tags": text}}), Withdrawn::Exclude).await?;
    }
    Ok(())
}

pub(super) async fn answer_anew_after_a_write(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let filter = json!({"eq": {"k": "red"}});
    let mut records = table();
    store.put_all(&records).await?;
    for k in ["blue", "red", "blue"] {
        agree(&store, &records, &filter, Withdrawn::Exclude).await?;
        records[0]["k"] = k.into();
        store.put_all(&records[..1]).await?;
        agree(&store, &records, &filter, Withdrawn::Exclude).await?;
    }
    store.delete_all(&["b"]).await?;
    records.remove(1);
    agree(&store, &records, &filter, Withdrawn::Exclude).await.map(drop)
}
