//! Random sequences of operations, on a backend and on the reference: every answer is the same, byte for byte.

use serde_json::{Value as Json, json};

use super::random::{Random, all_types};
use super::verdict::{Failure, Outcome, expect_same, expect_same_text};
use super::world::{World, shown};
use crate::filter::Filter;
use crate::query::SearchRequest;
use crate::retriever::{PutBody, Selection, Wait};

/// The datasources of a sequence.
const NAMES: [&str; 5] = ["rec", "adv", "ext", "doc", "other"];
/// Pages of one search, at most.
const MAX_PAGES: usize = 40;

/// A seed and how far to follow it.
#[derive(Debug, Clone, Copy)]
pub struct Sequence {
    /// Decides everything.
    pub seed: u64,
    /// How many operations.
    pub steps: usize,
}

fn settings_of(name: &str) -> Json {
    match name {
        "adv" => json!({"format": "osv"}),
        "ext" => json!({"format": "records", "embedding_model": "external/four", "dimensions": 4, "language": "en",
            "schema": {"text": ["t"], "fields": {"t": {"type": "text"}, "n": {"type": "float"}, "k": {"type": "keyword"}}}}),
        "doc" => json!({"format": "documents", "language": "es"}),
        // Fields of the names of `rec`, with other types.
        "other" => {
            json!({"format": "records", "schema": {"text": ["t"], "fields": {"t": {"type": "keyword"}, "k": {"type": "text"},
            "n": {"type": "keyword"}, "f": {"type": "integer"}, "at": {"type": "keyword"}, "b": {"type": "keyword"}}}})
        }
        _ => all_types(),
    }
}

/// The settings of a datasource whose records go after nine days.
fn aging(name: &str) -> Json {
    let mut settings = settings_of(name);
    settings["retention_days"] = 9.into();
    settings
}

fn record(random: &mut Random, name: &str) -> Json {
    match name {
        "adv" => random.advisory(),
        "ext" => {
            json!({"id": random.id(), "t": random.text(8), "n": random.below(3), "k": random.word(), "_vector": random.vector(4)})
        }
        "doc" => {
            json!({"id": random.id(), "title": random.text(3), "text": format!("# {}\n\n{}", random.text(3), random.text(40))})
        }
        "other" => {
            json!({"id": random.id(), "t": random.word(), "k": random.text(3), "n": random.pick(&["1", "10", "9", "x"]),
            "f": random.below(4), "at": random.pick(&["2026", "2026-01-01T00:00:00", ""]), "b": "true"})
        }
        _ => random.record(),
    }
}

/// Follows a sequence on `world` and on `reference`; both had the same history until now.
///
/// # Errors
/// The first answer that differs, with the seed.
pub async fn compare(world: &mut World, reference: &mut World, sequence: Sequence, is_lasting: bool) -> Outcome {
    let place = |step: usize| format!("seed {} step {step} (UCAP_SEED={})", sequence.seed, sequence.seed);
    let mut random = Random::new(sequence.seed);
    for name in NAMES {
        world.datasource(name, &aging(name)).await?;
        reference.datasource(name, &aging(name)).await?;
    }
    for step in 0..sequence.steps {
        let outcome = one(world, reference, &mut random, is_lasting).await;
        outcome.map_err(|failure| failure.during(place(step)))?;
    }
    for name in NAMES {
        world.delete_datasource(name).await?;
        reference.delete_datasource(name).await?;
    }
    Ok(())
}

async fn one(world: &mut World, reference: &mut World, random: &mut Random, is_lasting: bool) -> Outcome {
    let name = random.pick(&NAMES);
    match random.below(24) {
        0..=4 => {
            let count = if random.one_in(6) { 100 } else { random.below(12) };
            let records: Vec<Json> = (0..count).map(|_| record(random, name)).collect();
            let (got, want) = (world.ingest(name, &records).await, reference.ingest(name, &records).await);
            expect_same(format!("ingest into {name} of {records:?}"), shown(got), shown(want))
        }
        5 => put(world, reference, random, name).await,
        20 => {
            let records: Vec<Json> = (0..random.below(12)).map(|_| record(random, name)).collect();
            let got = world.ingest_waiting(name, &records, Wait::Durable).await;
            let want = reference.ingest_waiting(name, &records, Wait::Durable).await;
            expect_same(format!("ingest that does not wait into {name} of {records:?}"), shown(got), shown(want))
        }
        21 => {
            let got = world.retriever().embed_waiting_once(world.context()).await;
            let want = reference.retriever().embed_waiting_once(reference.context()).await;
            expect_same("records that have waited", shown(got), shown(want))
        }
        22 => {
            // Some come again, as they were, before their time is over.
            let records: Vec<Json> = (0..random.below(6)).map(|_| record(random, name)).collect();
            for days in [random.below(5) as i64, 6] {
                let (got, want) = (world.ingest(name, &records).await, reference.ingest(name, &records).await);
                expect_same(format!("ingest into {name} of {records:?}"), shown(got), shown(want))?;
                world.advance(time::Duration::days(days));
                reference.advance(time::Duration::days(days));
            }
            let got = world.retriever().expire(world.context()).await;
            let want = reference.retriever().expire(reference.context()).await;
            expect_same("records whose time is over", shown(got), shown(want))
        }
        6 | 7 => {
            let ids: Vec<String> = (0..random.below(6)).map(|_| random.id()).collect();
            let got = world.delete(name, Selection::Ids(ids.clone())).await;
            let want = reference.delete(name, Selection::Ids(ids.clone())).await;
            expect_same(format!("delete of {ids:?} from {name}"), shown(got), shown(want))
        }
        8 if random.one_in(2) => {
            let json = random.filter(2);
            let Ok(filter) = Filter::from_json(&json) else { return Ok(()) };
            let got = world.delete(name, Selection::Filter(filter.clone())).await;
            let want = reference.delete(name, Selection::Filter(filter)).await;
            expect_same(format!("delete of {json} from {name}"), shown(got), shown(want))
        }
        9 => {
            let id = random.id();
            expect_same(
                format!("get of {id:?} from {name}"),
                get(world, name, &id).await?,
                get(reference, name, &id).await?,
            )?;
            expect_same(format!("stats of {name}"), stats(world, name).await?, stats(reference, name).await?)
        }
        10 if random.one_in(3) => {
            for world in [&*world, reference] {
                world.delete_datasource(name).await?;
                world.datasource(name, &aging(name)).await?;
            }
            Ok(())
        }
        11 if is_lasting => Ok(world.reopen().await?),
        12 if random.one_in(4) && matches!(name, "rec" | "other") => {
            let schema = json!({"fields": {format!("z{}", random.below(3)): {"type": "keyword"}}});
            let got = world.add_fields(name, &schema).await;
            expect_same(format!("more fields for {name}"), shown(got), shown(reference.add_fields(name, &schema).await))
        }
        _ => search(world, reference, random.request()).await,
    }
}

async fn put(world: &World, reference: &World, random: &mut Random, name: &str) -> Outcome {
    let record = record(random, name);
    let id = record.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut answers = Vec::new();
    for world in [world, reference] {
        let admin = world.admin().await?;
        let body = PutBody::Json(record.to_string().into_bytes());
        answers.push(shown(world.retriever().put(world.context(), &admin, name, &id, body).await));
    }
    expect_same(format!("put into {name} of {record}"), &answers[0], &answers[1])
}

async fn get(world: &World, name: &str, id: &str) -> Result<String, Failure> {
    Ok(shown(world.retriever().get(world.context(), &world.admin().await?, name, id).await))
}

async fn stats(world: &World, name: &str) -> Result<String, Failure> {
    Ok(shown(world.retriever().stats(world.context(), &world.admin().await?, name).await))
}

async fn search(world: &World, reference: &World, mut request: SearchRequest) -> Outcome {
    for page in 0..MAX_PAGES {
        let (got, want) = (world.answer(&request).await, reference.answer(&request).await);
        let next =
            serde_json::from_str::<Json>(&want).ok().and_then(|json| Some(json.get("next")?.as_str()?.to_owned()));
        expect_same_text(format!("page {page} of {request:?}"), &got, &want)?;
        if next.is_none() {
            return Ok(());
        }
        request.cursor = next;
    }
    Ok(())
}
