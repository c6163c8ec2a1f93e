//! Writing: what each step says, and that every leg follows before the answer.

use std::sync::Arc;

use serde_json::json;
use ucap_core::RequestContext;

use crate::conformance::random::all_types;
use crate::conformance::{Outcome, Random, WordEmbedder, World, expect_same, expect_that};
use crate::content::{Condition, Demand};
use crate::datastore::{Write, Written};
use crate::query::Withdrawn;

const ALL: &str = r#"{"and":[]}"#;

pub(super) async fn say_what_they_did(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let (one, two) = (json!({"id": "a", "t": "one"}), json!({"id": "a", "t": "two"}));
    let steps = [
        (vec![store.put(&one)?], vec![Written::Created]),
        (vec![store.put(&one)?], vec![Written::Unchanged]),
        (vec![store.put(&two)?, store.put(&json!({"id": "b"}))?], vec![Written::Replaced, Written::Created]),
        (
            vec![Write::Delete("nobody".into()), Write::Delete("b".into()), store.put(&two)?],
            vec![Written::Missing, Written::Deleted, Written::Unchanged],
        ),
        (vec![store.put(&json!({"id": "b"}))?, Write::Delete("a".into())], vec![Written::Created, Written::Deleted]),
        (vec![store.put(&two)?, Write::Delete("b".into())], vec![Written::Created, Written::Deleted]),
    ];
    for (number, (writes, want)) in steps.into_iter().enumerate() {
        let shown = format!("step {number}: {writes:?}");
        expect_same(shown, store.write(writes).await?, want)?;
    }
    let hashes =
        store.roles.records.hashes(store.context(), &store.write, &["b".into(), "a".into(), "nobody".into()]).await?;
    let hash = *blake3::hash(two.to_string().as_bytes()).as_bytes();
    expect_same("hashes in the order of the ids", hashes, vec![None, Some(hash), None])?;
    let original = store.roles.originals.get(store.context(), &store.read, "a").await?;
    let (fields, body) =
        original.map(|original| (original.fields.get().to_owned(), original.body.get().to_owned())).unwrap_or_default();
    expect_same("the fields", fields, r#"{"id":"a","t":"two"}"#.to_owned())?;
    expect_same("the original", body, two.to_string())?;
    expect_that(
        "a deleted record has no original",
        store.roles.originals.get(store.context(), &store.read, "b").await?.is_none(),
    )
}

pub(super) async fn happen_only_as_demanded(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let (one, two) = (json!({"id": "a", "t": "one"}), json!({"id": "a", "t": "two"}));
    let hash = |record: &serde_json::Value| *blake3::hash(record.to_string().as_bytes()).as_bytes();
    let of = |id: &str, condition: Condition| vec![Demand { id: id.into(), condition }];
    let put = |record: &serde_json::Value| Ok::<_, ucap_core::Error>(vec![store.put(record)?]);
    let delete = || vec![Write::Delete("a".into())];
    let both = [of("a", Condition::Present), of("b", Condition::Present)].concat();
    let steps = [
        (put(&one)?, of("a", Condition::Present), None),
        (put(&one)?, of("a", Condition::OneOf(vec![hash(&one)])), None),
        (delete(), of("a", Condition::Present), None),
        (put(&one)?, of("a", Condition::Absent), Some(Written::Created)),
        (put(&two)?, of("a", Condition::Absent), None),
        (put(&two)?, of("a", Condition::OneOf(vec![hash(&two)])), None),
        (put(&two)?, of("a", Condition::NoneOf(vec![hash(&one), hash(&two)])), None),
        (put(&two)?, both, None),
        (put(&two)?, of("a", Condition::OneOf(vec![hash(&two), hash(&one)])), Some(Written::Replaced)),
        (delete(), of("a", Condition::OneOf(vec![hash(&one)])), None),
        (put(&json!({"id": "b"}))?, of("a", Condition::Absent), None),
        (delete(), of("a", Condition::OneOf(vec![hash(&two)])), Some(Written::Deleted)),
    ];
    for (number, (writes, demands, want)) in steps.into_iter().enumerate() {
        let shown = format!("step {number}: {writes:?} if {demands:?}");
        let ids = ["a".to_owned(), "b".to_owned()];
        let before = store.roles.records.hashes(store.context(), &store.write, &ids).await?;
        let done = store.write_if(writes, demands).await;
        match (done, want) {
            (Ok(done), want) => expect_same(shown, done.first().copied(), want)?,
            (Err(error), None) => {
                expect_same(format!("{shown}: the error"), error.kind(), ucap_core::ErrorKind::PreconditionFailed)?;
                let after = store.roles.records.hashes(store.context(), &store.write, &ids).await?;
                expect_same(format!("{shown}: what is there"), after, before)?;
            }
            (Err(error), Some(_)) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) async fn are_found_and_gone_in_every_leg(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    let legs = async |word: &str| {
        let all = store.everything().await?;
        let filtered = store.candidates(&json!({"contains": {"summary": word}}), Withdrawn::Exclude).await?;
        let lexical = store.lexical(word, &all, 10).await?;
        let near: Vec<_> = store
            .nearest(&WordEmbedder::vector(word), &all, 10)
            .await?
            .into_iter()
            .filter(|hit| hit.score > 0.99)
            .collect();
        Ok::<_, ucap_core::Error>((
            store.ids(filtered.rows()).await?,
            store.named(&lexical).await?.into_iter().map(|hit| hit.0).collect::<Vec<_>>(),
            store.named(&near).await?.into_iter().map(|hit| hit.0).collect::<Vec<_>>(),
        ))
    };
    let found = || (vec!["a".to_owned()], vec!["a".to_owned()], vec!["a".to_owned()]);
    store.put_all(&[json!({"id": "a", "summary": "overflow"}), json!({"id": "z", "summary": "nothing alike"})]).await?;
    expect_same("a new record", legs("overflow").await?, found())?;
    store.put_all(&[json!({"id": "a", "summary": "injection"})]).await?;
    expect_same("what a record said before it was replaced", legs("overflow").await?, Default::default())?;
    expect_same("what it says now", legs("injection").await?, found())?;
    store.delete_all(&["a"]).await?;
    expect_same("a deleted record", legs("injection").await?, Default::default())?;
    store.put_all(&[json!({"id": "a", "summary": "injection"})]).await?;
    expect_same("a record that came back", legs("injection").await?, found())
}

pub(super) async fn leave_dead_rows_unreadable(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    store.put_all(&[json!({"id": "a", "t": "x"}), json!({"id": "b", "t": "x"}), json!({"id": "c", "t": "x"})]).await?;
    let mut hits = store.lexical("x", &store.everything().await?, 10).await?;
    let ids = store
        .roles
        .records
        .ids(store.context(), &store.read, &hits.iter().map(|hit| hit.row).collect::<Vec<_>>())
        .await?;
    store.delete_all(&["b"]).await?;
    store.put_all(&[json!({"id": "c", "t": "y"})]).await?;
    hits.reverse();
    let rows: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
    let want: Vec<Option<String>> = ids.into_iter().rev().map(|id| id.filter(|id| id == "a")).collect();
    expect_same("ids of dead rows", store.roles.records.ids(store.context(), &store.read, &rows).await?, want.clone())?;
    let wanted: Vec<_> = hits.iter().map(|hit| (hit.row, Some(hit.passage))).collect();
    let read = store.roles.records.read(store.context(), &store.read, &wanted).await?;
    let got: Vec<_> = read.into_iter().map(|found| found.map(|found| (found.id, found.passage))).collect();
    expect_same(
        "reading dead rows",
        got,
        want.into_iter().map(|id| id.map(|id| (id, Some("x".to_owned())))).collect(),
    )?;
    let never = store.roles.records.read(store.context(), &store.read, &[(4_000_000, None)]).await?;
    expect_that("a row that never was", never.len() == 1 && never[0].is_none())
}

pub(super) async fn keep_ids_byte_for_byte(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let mut ids = [
        "é",
        "e\u{301}",
        "a/b",
        "'; DROP TABLE record; --",
        "%",
        "_",
        " ",
        "中文",
        "🔥",
        "\u{10ffff}",
        "\u{85}x",
        "A",
        "a",
        "id",
    ]
    .map(str::to_owned)
    .to_vec();
    ids.retain(|id| !id.chars().any(char::is_control));
    ids.push("x".repeat(512));
    let records: Vec<_> = ids.iter().map(|id| json!({"id": id, "t": "same"})).collect();
    expect_same("each id is a record of its own", store.put_all(&records).await?, vec![Written::Created; ids.len()])?;
    ids.sort();
    let all = serde_json::from_str(ALL).unwrap_or_default();
    let page = store.page(&all, Withdrawn::Exclude, &[], crate::datastore::After::Start, 100).await?;
    expect_same("ids by bytes", page.into_iter().map(|row| row.id).collect::<Vec<_>>(), ids.clone())?;
    for id in &ids {
        let rows = store.candidates(&json!({"eq": {"id": id}}), Withdrawn::Exclude).await?;
        expect_same("found by id", store.ids(rows.rows()).await?, vec![id.clone()])?;
        let original = store.roles.originals.get(store.context(), &store.read, id).await?;
        expect_that(
            format!("read by id {id:?}"),
            original.is_some_and(|original| original.body.get().contains("same")),
        )?;
        expect_same("deleted by id", store.delete_all(&[id]).await?, vec![Written::Deleted])?;
    }
    expect_that("nothing is left", store.everything().await?.rows().is_empty())
}

pub(super) async fn come_in_large_batches(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv", "vectors": false})).await?;
    let store = world.store("m").await?;
    let record = |i: usize, word: &str| json!({"id": format!("r{i:04}"), "summary": format!("{word} {}", i % 7), "aliases": [format!("A-{i}")]});
    store.put_all(&(0..999).map(|i| record(i, "before")).collect::<Vec<_>>()).await?;
    let mut writes = Vec::new();
    for i in 0..999 {
        match i % 3 {
            0 => writes.push(Write::Delete(format!("r{i:04}"))),
            1 => writes.push(store.put(&record(i, "after"))?),
            _ => {}
        }
    }
    store.write(writes).await?;
    let all = store.everything().await?;
    for (word, want) in [("before", 333), ("after", 333)] {
        expect_same(format!("found by `{word}`"), store.lexical(word, &all, 5000).await?.len(), want)?;
        let rows = store.candidates(&json!({"contains": {"summary": word}}), Withdrawn::Exclude).await?;
        expect_same(format!("filtered by `{word}`"), rows.rows().len(), want as u64)?;
    }
    let rows = store.candidates(&json!({"contains": {"aliases": "A-0"}}), Withdrawn::Exclude).await?;
    expect_that("a deleted record's elements are gone", rows.rows().is_empty())
}

pub(super) async fn know_the_vectors_they_hold(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    store
        .put_all(&[
            json!({"id": "a", "summary": "one", "details": "two\n\nthree"}),
            json!({"id": "b", "summary": "four"}),
        ])
        .await?;
    store.put_all(&[json!({"id": "a", "summary": "five"})]).await?;
    let known =
        store.roles.passages.known_vectors(store.context(), &store.write, &["a".into(), "nobody".into()]).await?;
    let texts = ["five"].map(|text| (*blake3::hash(text.as_bytes()).as_bytes(), WordEmbedder::vector(text)));
    expect_same("the vectors of the passages there are", known, texts.into_iter().collect())
}

pub(super) async fn are_counted(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let mut random = Random::new(5);
    let mut held = std::collections::BTreeMap::new();
    for _ in 0..5 {
        let records: Vec<_> = (0..20).map(|_| random.advisory()).collect();
        world.ingest("m", &records).await?;
        for record in records {
            held.insert(record["id"].to_string(), record.to_string().len() as u64);
        }
    }
    let store = world.store("m").await?;
    let stats = store.roles.records.stats(store.context(), &store.read).await?;
    let statistics = store.statistics("x").await?;
    expect_same("records", stats.records, held.len() as u64)?;
    expect_same("bytes of the originals", stats.bytes, held.values().sum())?;
    expect_same("passages", stats.passages, statistics.passages)?;
    expect_same("nothing waits", stats.pending, 0)?;
    expect_same("the model", stats.embedding_model, Some("test/words".to_owned()))
}

pub(super) async fn of_nothing_change_nothing(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    store.put_all(&[json!({"id": "a", "t": "x"})]).await?;
    expect_same("no step", store.write(Vec::new()).await?, Vec::new())?;
    expect_same("nothing to delete", store.delete_all(&["b"]).await?, vec![Written::Missing])?;
    // A request that is over still ends its write or leaves nothing: an answer is not there to be cancelled half way.
    let over = RequestContext::new("over");
    over.cancel();
    let late = vec![store.put(&json!({"id": "c", "t": "late"}))?];
    let ended = store.roles.records.write(&over, &store.write, late, Vec::new()).await;
    let is_there = store.roles.originals.get(store.context(), &store.read, "c").await?.is_some();
    let is_found = !store.lexical("late", &store.everything().await?, 10).await?.is_empty();
    expect_same("a write is all or nothing, in every leg", (is_there, is_found), (ended.is_ok(), ended.is_ok()))
}

/// What one part refuses must not be committed in another.
pub(super) async fn take_every_vector_or_refuse_it_before(world: &mut World) -> Outcome {
    let external = json!({"format": "records", "embedding_model": "external/x", "dimensions": 2, "schema": {"text": [], "fields": {}}});
    world.datasource("m", &external).await?;
    for (number, component) in [0.0, -0.0, 1e-45, 1e9, -1e9, 1.1e9, 1e30, 3.4e38].into_iter().enumerate() {
        let record = json!({"id": format!("r{number}"), "_vector": [component, 1.0]});
        let report = world.ingest("m", &[record]).await?;
        let store = world.store("m").await?;
        let found = store.nearest(&[0.0, 1.0], &store.everything().await?, 100).await?;
        let stats = store.roles.records.stats(store.context(), &store.read).await?;
        expect_same(format!("{component} is either taken or refused"), report.accepted + report.rejected_count, 1)?;
        expect_same(format!("with {component}, what is counted is found"), found.len() as u64, stats.records)?;
    }
    Ok(())
}

pub(super) async fn disturb_those_who_watch(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    world.datasource("n", &all_types()).await?;
    let (store, other) = (world.store("m").await?, world.store("n").await?);
    let datasources = [Arc::clone(store.read.datasource())];
    let one = json!({"id": "a", "t": "one"});
    store.put_all(std::slice::from_ref(&one)).await?;
    let watch = world.backend().watch(&datasources);
    other.put_all(&[json!({"id": "a", "t": "two"})]).await?;
    expect_that("a write to another datasource disturbs nobody", watch.is_undisturbed())?;
    for writes in
        [vec![store.put(&json!({"id": "a", "t": "two"}))?], vec![Write::Delete("a".into())], vec![store.put(&one)?]]
    {
        let watch = world.backend().watch(&datasources);
        expect_that("nothing happened yet", watch.is_undisturbed())?;
        let shown = format!("{writes:?} disturbs");
        store.write(writes).await?;
        expect_that(shown, !watch.is_undisturbed())?;
    }
    Ok(())
}

pub(super) async fn wait_while_they_are_paused(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let datasources = [Arc::clone(store.read.datasource())];
    let pause = world.backend().pause(store.context(), &datasources).await?;
    let watch = world.backend().watch(&datasources);
    let records = [json!({"id": "a", "t": "one"})];
    let mut write = Box::pin(store.put_all(&records));
    // A write that does not wait has many chances to end before the reads do.
    for _ in 0..100 {
        expect_that("the write waits", futures::poll!(&mut write).is_pending())?;
        expect_same("nothing is there", store.everything().await?.rows().len(), 0)?;
    }
    expect_that("nobody was disturbed", watch.is_undisturbed())?;
    drop(pause);
    expect_same("it was written", write.await?, vec![Written::Created])?;
    expect_same("it is there", store.everything().await?.rows().len(), 1)
}
