//! What stays and what goes: deleted datasources, new processes, and random sequences of everything.

use serde_json::{Value as Json, json};

use crate::conformance::{Outcome, Random, Sequence, World, compare, expect_same, expect_that};
use crate::filter::Filter;
use crate::query::{Mode, SearchRequest, SortKey, Withdrawn};

/// Random sequences of one run; another seed comes by `UCAP_SEED`.
const SEQUENCES: u64 = 10;
const STEPS: usize = 70;

/// A search in each mode and a few filters.
fn requests() -> Vec<SearchRequest> {
    let mut requests: Vec<SearchRequest> = [Mode::Hybrid, Mode::Lexical, Mode::Vector]
        .into_iter()
        .flat_map(|mode| {
            ["heap overflow", "inyección kernel", "CVE-2021-44228"]
                .map(|query| SearchRequest::new(query).with_mode(mode))
        })
        .collect();
    for filter in [json!({"and": []}), json!({"contains": {"summary": "heap"}}), json!({"exists": "published"})] {
        requests.extend(Filter::from_json(&filter).map(SearchRequest::filtered));
    }
    let sort = vec![SortKey { field: "published".to_owned(), descending: true }];
    requests.push(SearchRequest { mode: Mode::Filter, sort, withdrawn: Withdrawn::Only, ..SearchRequest::default() });
    for request in &mut requests {
        request.explain = true;
        request.limit = 50;
    }
    requests
}

async fn answers(world: &World) -> Vec<String> {
    let mut answers = Vec::new();
    for request in requests() {
        answers.push(world.answer(&request).await);
    }
    answers
}

fn advisories(seed: u64, count: usize) -> Vec<Json> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.advisory()).collect()
}

pub(super) async fn forgotten_is_gone_and_the_name_is_free(world: &mut World) -> Outcome {
    world.datasource("kept", &json!({"format": "osv"})).await?;
    world.ingest("kept", &advisories(2, 20)).await?;
    let without = answers(world).await;
    for round in 0..2 {
        world.datasource("m", &json!({"format": "osv"})).await?;
        expect_same(format!("round {round}: an empty one changes nothing"), answers(world).await, without.clone())?;
        let before = world.ingest("m", &advisories(1, 30)).await?;
        expect_that("it is filled anew", before.unchanged < before.accepted)?;
        expect_that("and found", answers(world).await != without)?;
        let store = world.store("m").await?;
        let held = store.everything().await?;
        world.delete_datasource("m").await?;
        expect_same(format!("round {round}: nothing of it is left"), answers(world).await, without.clone())?;
        // Whoever still holds the roles of a datasource that is gone finds nothing, or an error.
        let read = match store.lexical("heap", &held, 10).await {
            Ok(hits) => store.named(&hits).await,
            Err(error) => Err(error),
        };
        expect_that("no text is left", read.is_err() || read.is_ok_and(|found| found.is_empty()))?;
    }
    // To forget what is not there is to be done.
    let never = world.datasource("never", &json!({"format": "osv"})).await?;
    world.backend().forget(world.context(), &never).await?;
    Ok(world.backend().forget(world.context(), &never).await?)
}

pub(super) async fn reopened_it_answers_the_same(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    world.datasource("empty", &json!({"format": "osv"})).await?;
    for seed in 0..4 {
        world.ingest("m", &advisories(seed, 25)).await?;
        let before = answers(world).await;
        world.reopen().await?;
        expect_same(format!("answers after opening again, {seed}"), answers(world).await, before.clone())?;
        world.reopen().await?;
        expect_same("and again, with nothing written between", answers(world).await, before)?;
        let report = world.ingest("m", &advisories(seed, 25)).await?;
        expect_that("what is there is known to be there", report.unchanged > 0)?;
    }
    Ok(())
}

pub(super) async fn forgotten_stays_gone(world: &mut World) -> Outcome {
    world.datasource("m", &json!({"format": "osv"})).await?;
    world.ingest("m", &advisories(1, 30)).await?;
    world.delete_datasource("m").await?;
    world.reopen().await?;
    world.datasource("m", &json!({"format": "osv"})).await?;
    let store = world.store("m").await?;
    expect_that("a new datasource of the name is empty", store.everything().await?.rows().is_empty())
}

pub(super) async fn sequences_equal_the_reference(world: &mut World) -> Outcome {
    sequences(world, 1, false).await
}

pub(super) async fn sequences_with_reopening_equal_the_reference(world: &mut World) -> Outcome {
    sequences(world, 1001, true).await
}

async fn sequences(world: &mut World, first: u64, is_lasting: bool) -> Outcome {
    let asked = std::env::var("UCAP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = asked.map_or(first..first + SEQUENCES, |seed: u64| seed..seed + 1);
    let mut reference = World::in_memory().await?;
    for seed in seeds {
        compare(world, &mut reference, Sequence { seed, steps: STEPS }, is_lasting).await?;
    }
    Ok(())
}
