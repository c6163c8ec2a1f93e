//! Ranking: exact, among the candidates, and as if nothing had ever been deleted.

use serde_json::{Value as Json, json};
use ucap_core::{ErrorKind, RequestContext};

use crate::analysis::analyze_query;
use crate::bm25::Weights;
use crate::conformance::random::all_types;
use crate::conformance::{Outcome, Random, WordEmbedder, World, expect_refusal, expect_same, expect_that};
use crate::datastore::{CollectionStatistics, Scored};
use crate::dot_product::dot_product;
use crate::query::Withdrawn;

pub(super) async fn statistics_know_the_living_only(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let statistics = |passages, terms, frequencies: &[u64]| CollectionStatistics {
        passages,
        terms,
        frequencies: frequencies.to_vec(),
    };
    expect_same("of nothing", store.statistics("heap kernel").await?, statistics(0, 0, &[0, 0]))?;
    let records = [
        json!({"id": "a", "t": "heap heap kernel"}),
        json!({"id": "b", "t": "heap"}),
        json!({"id": "c", "t": "kernel"}),
        json!({"id": "d", "k": "no passage"}),
    ];
    store.put_all(&records).await?;
    expect_same("of three passages", store.statistics("heap kernel").await?, statistics(3, 5, &[2, 2]))?;
    store.delete_all(&["a"]).await?;
    expect_same("after a delete", store.statistics("heap kernel").await?, statistics(2, 2, &[1, 1]))?;
    store.put_all(&[json!({"id": "b", "t": "kernel kernel"})]).await?;
    expect_same("after a replacement", store.statistics("heap kernel").await?, statistics(2, 3, &[0, 2]))?;
    store.put_all(&[json!({"id": "b", "t": "kernel kernel"})]).await?;
    expect_same("after nothing new", store.statistics("heap kernel nosuch").await?, statistics(2, 3, &[0, 2, 0]))
}

pub(super) async fn deleted_records_leave_no_trace(world: &mut World) -> Outcome {
    world.datasource("worn", &json!({"format": "osv"})).await?;
    world.datasource("clean", &json!({"format": "osv"})).await?;
    let mut random = Random::new(17);
    let mut advisory = |i: usize| {
        let mut record = random.advisory();
        record["id"] = format!("r{i:03}").into();
        record
    };
    let kept: Vec<Json> = (0..80).map(&mut advisory).collect();
    let before: Vec<Json> = (0..80).map(&mut advisory).collect();
    let gone: Vec<Json> = (200..400).map(&mut advisory).collect();
    let (worn, clean) = (world.store("worn").await?, world.store("clean").await?);
    for part in before.chunks(13).chain(gone.chunks(50)).chain(kept.chunks(7)) {
        worn.put_all(part).await?;
    }
    let ids: Vec<&str> = gone.iter().filter_map(|record| record["id"].as_str()).collect();
    worn.delete_all(&ids).await?;
    clean.put_all(&kept).await?;
    for _ in 0..60 {
        let query = format!("{} {}", random.word(), random.text(4));
        expect_same(
            format!("statistics of {query:?}"),
            worn.statistics(&query).await?,
            clean.statistics(&query).await?,
        )?;
        let (a, b) = (worn.everything().await?, clean.everything().await?);
        let lexical = (worn.lexical(&query, &a, 1000).await?, clean.lexical(&query, &b, 1000).await?);
        expect_same(format!("lexical {query:?}"), worn.named(&lexical.0).await?, clean.named(&lexical.1).await?)?;
        let vector = WordEmbedder::vector(&query);
        let near = (worn.nearest(&vector, &a, 1000).await?, clean.nearest(&vector, &b, 1000).await?);
        expect_same(format!("nearest {query:?}"), worn.named(&near.0).await?, clean.named(&near.1).await?)?;
    }
    Ok(())
}

fn external() -> Json {
    json!({"format": "records", "embedding_model": "external/x", "dimensions": 37, "schema": {"text": [], "fields": {"n": {"type": "integer"}}}})
}

pub(super) async fn nearest_is_exact(world: &mut World) -> Outcome {
    world.datasource("m", &external()).await?;
    let store = world.store("m").await?;
    let mut random = Random::new(23);
    let mut vector = || -> Vec<f32> { (0..37).map(|_| (random.bits() >> 40) as f32 / 8_388_608.0 - 1.0).collect() };
    let vectors: Vec<Vec<f32>> = (0..900).map(|_| vector()).collect();
    let records: Vec<Json> =
        vectors.iter().enumerate().map(|(i, v)| json!({"id": format!("r{i:03}"), "n": i, "_vector": v})).collect();
    for part in records.chunks(100) {
        store.put_all(part).await?;
    }
    for (number, upper) in [900, 890, 300, 40, 1].into_iter().enumerate() {
        let among = store.candidates(&json!({"lt": {"n": upper}}), Withdrawn::Exclude).await?;
        for depth in [1, 10, 1000] {
            let query = vector();
            let mut want: Vec<(f32, usize)> = (0..upper).map(|i| (dot_product(&query, &vectors[i]), i)).collect();
            want.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let want = want
                .into_iter()
                .take(depth)
                .map(|(score, i)| (format!("r{i:03}"), score.to_bits(), String::new()))
                .collect();
            let got = store.named(&store.nearest(&query, &among, depth).await?).await?;
            expect_same(format!("nearest {number} of {upper} to depth {depth}"), got, want)?;
        }
    }
    Ok(())
}

fn is_descending(hits: &[Scored]) -> bool {
    hits.is_sorted_by(|a, b| a.score >= b.score)
}

pub(super) async fn ties_come_along(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    let records = |from: usize, to: usize, text: &str| -> Vec<Json> {
        (from..to).map(|i| json!({"id": format!("r{i:02}"), "summary": text})).collect()
    };
    store.put_all(&records(0, 2, "heap heap heap")).await?;
    store.put_all(&records(2, 9, "heap kernel")).await?;
    store.put_all(&records(9, 12, "heap kernel remote execution")).await?;
    let all = store.everything().await?;
    for (depth, want) in [(1, 2), (2, 2), (3, 9), (8, 9), (9, 9), (10, 12), (12, 12), (1000, 12)] {
        let hits = store.lexical("heap", &all, depth).await?;
        expect_same(format!("lexical to depth {depth}, with ties"), hits.len(), want)?;
        expect_that("best first", is_descending(&hits))?;
        let near = WordEmbedder::vector("heap");
        let whole = store.nearest(&near, &all, 1000).await?;
        let last = whole.get(depth - 1).map_or(f32::NEG_INFINITY, |hit| hit.score);
        let hits = store.nearest(&near, &all, depth).await?;
        let want = whole.iter().filter(|hit| hit.score >= last).count();
        expect_same(format!("nearest to depth {depth}, with ties"), hits.len(), want)?;
        expect_that("best first", is_descending(&hits))?;
    }
    Ok(())
}

pub(super) async fn best_passage_first_of_equal(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    let many: Vec<String> = (0..60).map(|i| format!("kernel filler{i}")).collect();
    let records = [
        json!({"id": "a", "details": "nothing here\n\nthe kernel of it\n\nkernel\n\nkernel"}),
        json!({"id": "b", "details": many.join("\n\n")}),
        json!({"id": "c", "details": "kernel of something else"}),
    ];
    store.put_all(&records).await?;
    let all = store.everything().await?;
    let lexical = store.named(&store.lexical("kernel", &all, 3).await?).await?;
    let shown: Vec<(&str, &str)> = lexical.iter().map(|hit| (hit.0.as_str(), hit.2.as_str())).collect();
    expect_same("one passage a record, the best", shown.first().copied(), Some(("a", "kernel")))?;
    expect_that("of equal ones the first", shown.contains(&("b", "kernel filler0")))?;
    expect_same("each record once", shown.len(), 3)?;
    let hits = store.lexical("kernel", &all, 3).await?;
    let of_a: Vec<u32> = hits.iter().take(1).map(|hit| hit.passage).collect();
    let exact = store.nearest(&WordEmbedder::vector("kernel"), &all, 3).await?;
    expect_same("of equal vectors the first", exact.first().map(|hit| vec![hit.passage]), Some(of_a))?;
    expect_same("a record of many passages crowds out none", exact.len(), 3)
}

pub(super) async fn stays_among_the_candidates(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    let mut random = Random::new(29);
    let records: Vec<Json> = (0..150)
        .map(|i| json!({"id": format!("r{i:03}"), "summary": random.text(5), "details": "heap\n\nkernel", "severity": [], "aliases": [format!("k{}", i % 5)]}))
        .collect();
    store.put_all(&records).await?;
    for filter in [
        json!({"contains": {"aliases": "k1"}}),
        json!({"eq": {"id": "r007"}}),
        json!({"or": []}),
        json!({"lt": {"id": "r140"}}),
    ] {
        let among = store.candidates(&filter, Withdrawn::Exclude).await?;
        for depth in [1, 5, 1000] {
            let lexical = store.lexical("heap", &among, depth).await?;
            let near = store.nearest(&WordEmbedder::vector("kernel"), &among, depth).await?;
            for (leg, hits) in [("lexical", lexical), ("nearest", near)] {
                expect_that(
                    format!("{leg} stays within {filter}"),
                    hits.iter().all(|hit| among.rows().contains(hit.row)),
                )?;
                expect_that(
                    format!("{leg} fills its depth {depth} of {filter}"),
                    hits.len() as u64 >= among.rows().len().min(depth as u64),
                )?;
            }
        }
        // The same candidates serve many queries.
        expect_same("again", store.lexical("heap", &among, 1000).await?, store.lexical("heap", &among, 1000).await?)?;
    }
    Ok(())
}

pub(super) async fn older_candidates_revive_nothing(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    let record = |id: &str, text: &str| json!({"id": id, "summary": text});
    store.put_all(&[record("a", "kernel"), record("b", "kernel"), record("c", "kernel")]).await?;
    let before = store.everything().await?;
    store.lexical("kernel", &before, 10).await?;
    store.delete_all(&["a"]).await?;
    store.put_all(&[record("b", "other"), record("d", "kernel")]).await?;
    let hits = store.lexical("kernel", &before, 10).await?;
    expect_same("lexical hits", hits.len(), 1)?;
    let hits = store.nearest(&WordEmbedder::vector("kernel"), &before, 10).await?;
    expect_same("nearest hits", hits.len(), 1)?;
    let lexical = store.named(&store.lexical("kernel", &before, 10).await?).await?;
    expect_same("lexical", lexical.into_iter().map(|hit| hit.0).collect::<Vec<_>>(), vec!["c".to_owned()])?;
    let near = store.named(&store.nearest(&WordEmbedder::vector("kernel"), &before, 10).await?).await?;
    expect_same("nearest", near.into_iter().map(|hit| hit.0).collect::<Vec<_>>(), vec!["c".to_owned()])
}

pub(super) async fn refuses_what_it_cannot_compare(world: &mut World) -> Outcome {
    world.datasource("m", &external()).await?;
    world.datasource("none", &all_types()).await?;
    let store = world.store("m").await?;
    store.put_all(&[json!({"id": "a", "_vector": vec![1.0; 37]})]).await?;
    let all = store.everything().await?;
    expect_refusal("another length", store.nearest(&[1.0; 36], &all, 1).await, ErrorKind::InvalidInput)?;
    let none = world.store("none").await?;
    none.put_all(&[json!({"id": "a", "t": "x"})]).await?;
    let hits = none.nearest(&[1.0; 36], &none.everything().await?, 1).await?;
    expect_same("nothing is near in a datasource without vectors", hits, Vec::new())
}

pub(super) async fn stops_when_cancelled(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    store.put_all(&[json!({"id": "a", "summary": "kernel"})]).await?;
    let all = store.everything().await?;
    let over = RequestContext::new("over");
    over.cancel();
    let groups = analyze_query("kernel", store.settings.language);
    let weights = Weights::new(&groups, 1, 1, &[1]);
    let passages = &store.roles.passages;
    let lexical = passages.lexical(&over, &store.read, &groups, &weights, &all, 1).await;
    expect_refusal("lexical", lexical, ErrorKind::DeadlineExceeded)?;
    let nearest = passages.nearest(&over, &store.read, &WordEmbedder::vector("kernel"), &all, 1).await;
    expect_refusal("nearest", nearest, ErrorKind::DeadlineExceeded)
}
