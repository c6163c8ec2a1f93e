//! What a caller sees does not depend on what it may not see: the same requests in worlds whose hidden data differ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value as Json, json};
use ucap_core::Action;
use ucap_retrieval::Selection;
use ucap_retrieval::conformance::{Random, World};
use ucap_retrieval::query::SearchRequest;

const REQUESTS: usize = 120;

/// A world with the same visible data, and hidden data by `seed`; 0 is none. The hidden comes before, between and after.
async fn world(seed: u64) -> World {
    let world = World::in_memory().await.unwrap();
    let mut hidden = Random::new(seed);
    world.user("ana").await.unwrap();
    let mut visible = Random::new(99);
    for (i, name) in ["adv", "rec"].into_iter().enumerate() {
        hide(&world, &mut hidden, seed, &format!("a{i}")).await;
        let settings = match name {
            "adv" => json!({"format": "osv"}),
            _ => {
                json!({"format": "records", "schema": {"text": ["t"], "fields": {"t": {"type": "text"}, "n": {"type": "integer"}, "k": {"type": "keyword"}}}})
            }
        };
        world.datasource(name, &settings).await.unwrap();
        world.allow("ana", name, &[Action::Read]).await.unwrap();
        for _ in 0..3 {
            let record = |random: &mut Random| match name {
                "adv" => random.advisory(),
                _ => json!({"id": random.id(), "t": random.text(9), "n": random.below(4), "k": random.word()}),
            };
            let records: Vec<Json> = (0..25).map(|_| record(&mut visible)).collect();
            world.ingest(name, &records).await.unwrap();
            hide(&world, &mut hidden, seed, &format!("z{i}")).await;
        }
    }
    world
}

/// Adds, fills, empties and deletes datasources that ana does not see.
async fn hide(world: &World, random: &mut Random, seed: u64, name: &str) {
    if seed == 0 {
        return;
    }
    let domain = format!("secret-{name}-{}", random.below(1_000_000));
    world.domain(&domain).await.unwrap();
    for place in ["d", &domain] {
        let id = format!("{name}-{}", random.below(1_000_000_000));
        world.datasource_in(place, &id, &json!({"format": "osv"})).await.unwrap();
        let records: Vec<Json> = (0..random.below(60)).map(|_| random.advisory()).collect();
        world.ingest(&id, &records).await.unwrap();
        world.delete(&id, Selection::Ids((0..10).map(|_| random.id()).collect())).await.unwrap();
        if random.one_in(3) {
            world.delete_datasource(&id).await.unwrap();
        }
    }
}

/// Answers of all pages. A cursor is opaque and keyed: only its length counts.
async fn answers(world: &World) -> Vec<String> {
    let mut random = Random::new(7);
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        let mut request: SearchRequest = random.request();
        request.explain = true;
        for _ in 0..4 {
            let answer = world.answer_to("ana", &request).await;
            let Ok(mut json) = serde_json::from_str::<Json>(&answer) else {
                answers.push(answer);
                break;
            };
            let next = json["next"].as_str().map(str::to_owned);
            json["next"] = next.as_ref().map(String::len).into();
            answers.push(json.to_string());
            request.cursor = next;
            if request.cursor.is_none() {
                break;
            }
        }
    }
    answers
}

#[tokio::test]
async fn hidden_data_change_no_byte() {
    let plain = answers(&world(0).await).await;
    assert!(
        plain.iter().filter(|answer| answer.contains("\"id\"")).count() > REQUESTS / 4,
        "the requests find something"
    );
    for seed in 1..8 {
        let with_hidden = answers(&world(seed).await).await;
        for (i, (got, want)) in with_hidden.iter().zip(&plain).enumerate() {
            assert_eq!(got, want, "seed {seed}, answer {i}");
        }
        assert_eq!(with_hidden.len(), plain.len());
    }
}
