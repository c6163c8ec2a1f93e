//! Records that wait for their embeddings: durable, counted, in no leg.

use serde_json::{Value as Json, json};
use ucap_core::ErrorKind;

use crate::conformance::{Outcome, Store, WordEmbedder, World, expect_refusal, expect_same, expect_that};
use crate::datastore::{Origin, QueueBound, Written};
use crate::query::{Mode, SearchRequest};
use crate::retriever::Wait;

/// A datasource whose text is embedded: nothing else has to wait.
fn notes() -> Json {
    json!({"format": "records", "schema": {"text": ["t"], "fields": {"t": {"type": "text"}}}})
}

fn record(id: &str, text: &str) -> Json {
    json!({"id": id, "t": text})
}

/// The ids that each leg finds for a word that all records hold.
async fn legs(store: &Store) -> Result<Vec<Vec<String>>, crate::conformance::Failure> {
    let all = store.everything().await?;
    let words = store.named(&store.lexical("word", &all, 100).await?).await?;
    let near = store.named(&store.nearest(&WordEmbedder::vector("word"), &all, 100).await?).await?;
    let mut legs = vec![store.ids(all.rows()).await?];
    for hits in [words, near] {
        let mut ids: Vec<String> = hits.into_iter().map(|hit| hit.0).collect();
        ids.sort();
        legs.push(ids);
    }
    Ok(legs)
}

fn in_all(ids: &[&str]) -> Vec<Vec<String>> {
    vec![ids.iter().map(|id| (*id).to_owned()).collect(); 3]
}

/// Writes what waits at this place.
async fn settle(store: &Store, record: &Json, place: u64) -> Result<Written, crate::conformance::Failure> {
    let write = store.put_from(record, Origin { at: 0, queued: Some(place) })?;
    Ok(store.write(vec![write]).await?.remove(0))
}

pub(super) async fn is_counted_and_in_no_leg(world: &mut World) -> Outcome {
    world.datasource("m", &notes()).await?;
    let store = world.store("m").await?;
    store.put_all(&[record("a", "word one"), record("b", "word two"), record("c", "word three")]).await?;
    let deferred = store.defer(&[record("b", "word new"), record("d", "word"), record("c", "word three")], 0).await?;
    expect_same("as writes say", deferred, vec![Written::Replaced, Written::Created, Written::Unchanged])?;
    expect_same("what is replaced is gone, what is the same stays", legs(&store).await?, in_all(&["a", "c"]))?;
    expect_same("records and those that wait", store.counts().await?, (2, 2))?;
    let original = store.roles.originals.get(store.context(), &store.read, "d").await?;
    expect_that("by id there is none", original.is_none())?;
    let hashes = store.roles.records.hashes(store.context(), &store.write, &["b".into(), "d".into()]).await?;
    expect_same("nor a hash", hashes, vec![None, None])?;
    expect_same("again", store.defer(&[record("d", "word")], 0).await?, vec![Written::Unchanged])?;
    let queued = store.queued().await?;
    expect_same("in order", queued.iter().map(|held| &*held.1).collect::<Vec<_>>(), vec!["b", "d"])?;
    expect_same("written", settle(&store, &record("b", "word new"), queued[0].0).await?, Written::Created)?;
    expect_same("found", legs(&store).await?, in_all(&["a", "b", "c"]))?;
    expect_same("and counted", store.counts().await?, (3, 1))
}

pub(super) async fn yields_to_what_is_newer(world: &mut World) -> Outcome {
    world.datasource("m", &notes()).await?;
    let store = world.store("m").await?;
    let ids = ["deleted", "replaced", "again", "kept"];
    store.defer(&ids.map(|id| record(id, "word old")), 0).await?;
    let places = store.queued().await?;
    expect_same(
        "a delete finds it",
        store.delete_all(&["deleted", "nobody"]).await?,
        vec![Written::Deleted, Written::Missing],
    )?;
    expect_same(
        "a write takes its place",
        store.put_all(&[record("replaced", "word new")]).await?,
        vec![Written::Created],
    )?;
    expect_same(
        "so does one that waits",
        store.defer(&[record("again", "word new")], 0).await?,
        vec![Written::Replaced],
    )?;
    for (id, (place, _)) in ids.iter().zip(&places) {
        let want = if *id == "kept" { Written::Created } else { Written::Superseded };
        expect_same(format!("what was {id}"), settle(&store, &record(id, "word old"), *place).await?, want)?;
    }
    expect_same("what is found", legs(&store).await?, in_all(&["kept", "replaced"]))?;
    let body = store.roles.originals.get(store.context(), &store.read, "replaced").await?;
    expect_that("the newer", body.is_some_and(|held| held.body.get().contains("word new")))?;
    let left = store.queued().await?;
    expect_same("one waits on", left.iter().map(|held| &*held.1).collect::<Vec<_>>(), vec!["again"])?;
    expect_that("at a place behind all others", places.iter().all(|(place, _)| *place < left[0].0))
}

pub(super) async fn is_bounded_and_in_order(world: &mut World) -> Outcome {
    world.datasource("m", &notes()).await?;
    let store = world.store("m").await?;
    let batch =
        |from: usize, to: usize| -> Vec<Json> { (from..to).map(|i| record(&format!("r{i:02}"), "word")).collect() };
    let bound = QueueBound { records: 10, ..QueueBound::default() };
    store.defer_within(&batch(0, 6), 0, bound).await?;
    expect_refusal("five more", store.defer_within(&batch(6, 11), 0, bound).await, ErrorKind::Overloaded)?;
    expect_same("are not taken", store.counts().await?, (0, 6))?;
    store.defer_within(&batch(6, 10), 0, bound).await?;
    let bytes = QueueBound { bytes: 240, ..QueueBound::default() };
    expect_refusal("so many bytes", store.defer_within(&batch(10, 11), 0, bytes).await, ErrorKind::Overloaded)?;
    let queue = &store.roles.queue;
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let part = queue.queued(store.context(), &store.write, after, 3, usize::MAX).await?;
        let Some(last) = part.last() else { break };
        expect_that("no more than asked for", part.len() <= 3)?;
        after = last.place;
        seen.extend(part.into_iter().map(|queued| queued.record.id));
    }
    expect_same("all, in order", seen, (0..10).map(|i| format!("r{i:02}")).collect::<Vec<_>>())?;
    let one = queue.queued(store.context(), &store.write, 0, 100, 1).await?;
    expect_same("one at least", one.len(), 1)?;
    let size = one[0].record.body.get().len();
    let two = queue.queued(store.context(), &store.write, 0, 100, 2 * size).await?;
    expect_same("as many as fit", two.len(), 2)
}

pub(super) async fn ends_with_the_embedding(world: &mut World) -> Outcome {
    world.datasource("m", &notes()).await?;
    let records: Vec<Json> = (0..700).map(|i| record(&format!("r{i:03}"), &format!("word {i}"))).collect();
    let report = world.ingest_waiting("m", &records, Wait::Durable).await?;
    expect_same("accepted", (report.accepted, report.unchanged), (700, 0))?;
    expect_same("all wait", world.store("m").await?.counts().await?, (0, 700))?;
    let embedded = world.retriever().embed_waiting_once(world.context()).await?;
    expect_same("all are embedded", (embedded, world.store("m").await?.counts().await?), (700, (700, 0)))?;
    let same = World::in_memory().await?;
    same.datasource("m", &notes()).await?;
    same.ingest("m", &records).await?;
    for mode in [Mode::Hybrid, Mode::Lexical, Mode::Vector] {
        let request = SearchRequest::new("word 13").with_mode(mode);
        expect_same("as if they had not waited", world.answer(&request).await, same.answer(&request).await)?;
    }
    let report = world.ingest_waiting("m", &records, Wait::Durable).await?;
    expect_same(
        "the same again does not wait",
        (report.unchanged, world.store("m").await?.counts().await?),
        (700, (700, 0)),
    )?;
    // Without an embedding there is nothing to wait for.
    world.datasource("plain", &json!({"format": "osv", "vectors": false})).await?;
    world.ingest_waiting("plain", &[json!({"id": "a", "summary": "word"})], Wait::Durable).await?;
    expect_same("it is there at once", world.store("plain").await?.counts().await?, (1, 0))
}

pub(super) async fn outlives_the_process(world: &mut World) -> Outcome {
    world.datasource("m", &notes()).await?;
    world.datasource("none", &notes()).await?;
    world.ingest("none", &[record("a", "word")]).await?;
    world.ingest_waiting("m", &[record("a", "word"), record("b", "word")], Wait::Durable).await?;
    let places = world.store("m").await?.queued().await?;
    world.reopen().await?;
    expect_same("they wait as before", world.store("m").await?.queued().await?, places)?;
    let admin = world.admin().await?;
    let all = ["m", "none"].map(|id| admin.visible_datasource(id).cloned());
    let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
    let held = world.backend().with_queues(all.clone()).await?;
    expect_same("where", held.iter().map(|held| held.id.clone()).collect::<Vec<_>>(), vec!["m".to_owned()])?;
    expect_same("embedded", world.retriever().embed_waiting_once(world.context()).await?, 2)?;
    expect_same("found", legs(&world.store("m").await?).await?, in_all(&["a", "b"]))?;
    expect_that("nothing waits", world.backend().with_queues(all).await?.is_empty())?;
    world.reopen().await?;
    expect_same("nor later", world.store("m").await?.counts().await?, (2, 0))
}
