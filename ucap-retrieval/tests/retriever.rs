//! The retriever over the memory backend: what a caller sees, and what never shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value as Json, json};
use ucap_core::{Action, Error, ErrorKind};
use ucap_retrieval::conformance::{Random, World};
use ucap_retrieval::query::{Mode, SearchRequest, SortKey, Withdrawn};
use ucap_retrieval::{Filter, PutBody, Selection};

/// A request that differs from another one in these fields.
macro_rules! request {
    ($base:expr $(, $field:ident: $value:expr)*) => {{
        let mut request = $base;
        $(request.$field = $value;)*
        request
    }};
}

fn osv() -> Json {
    json!({"format": "osv"})
}

fn numbers(vectors: bool) -> Json {
    json!({"format": "records", "vectors": vectors, "schema": {"text": ["t"], "fields": {"t": {"type": "text"}, "n": {"type": "integer"}}}})
}

async fn world() -> World {
    let world = World::in_memory().await.unwrap();
    for user in ["ana", "bob"] {
        world.user(user).await.unwrap();
    }
    world
}

fn told(error: &Error, name: &str) -> (ErrorKind, Option<String>, String) {
    (error.kind(), error.param().map(str::to_owned), error.message().replace(name, "NAME"))
}

async fn search(world: &World, user: &str, request: &SearchRequest) -> Json {
    serde_json::to_value(world.search(user, request).await.unwrap()).unwrap()
}

fn ids(answer: &Json) -> Vec<String> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

/// All pages of a request.
async fn walk(world: &World, user: &str, mut request: SearchRequest) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let answer = search(world, user, &request).await;
        all.extend(ids(&answer));
        match answer["next"].as_str() {
            Some(next) => request.cursor = Some(next.to_owned()),
            None => return all,
        }
    }
}

#[tokio::test]
async fn hidden_and_missing_are_told_alike() {
    let world = world().await;
    world.datasource("hidden", &osv()).await.unwrap();
    world.ingest("hidden", &[json!({"id": "a", "summary": "kernel"})]).await.unwrap();
    world.domain("secret").await.unwrap();
    let (scope, context, retriever) = (world.scope("ana").await.unwrap(), world.context(), world.retriever());
    let mut seen = Vec::new();
    for name in ["hidden", "nosuch"] {
        let mut errors = Vec::new();
        for mode in [Mode::Hybrid, Mode::Lexical, Mode::Vector] {
            let request = SearchRequest::new("kernel").with_mode(mode).with_datasources([name]);
            errors.push(world.search("ana", &request).await.unwrap_err());
        }
        let filter = Filter::from_text("exists(nosuchfield)").unwrap();
        errors.push(world.search("ana", &SearchRequest::filtered(filter).with_datasources([name])).await.unwrap_err());
        errors.push(retriever.get(context, &scope, name, "a").await.unwrap_err());
        errors.push(retriever.stats(context, &scope, name).await.unwrap_err());
        errors.push(retriever.ingest(context, &scope, name).await.unwrap_err());
        errors.push(retriever.put(context, &scope, name, "a", PutBody::Json(b"not json".to_vec())).await.unwrap_err());
        errors
            .push(retriever.delete_records(context, &scope, name, Selection::Ids(vec!["a".into()])).await.unwrap_err());
        errors.push(retriever.delete_record(context, &scope, name, "a").await.unwrap_err());
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::NotFound), "{errors:?}");
        seen.push(errors.iter().map(|error| told(error, name)).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    let mut domains = Vec::new();
    for name in ["secret", "nodomain"] {
        let request = request!(SearchRequest::new("kernel"), domains: Some(vec![name.into()]));
        domains.push(told(&world.search("ana", &request).await.unwrap_err(), name));
    }
    assert_eq!(domains[0], domains[1]);
    let nothing = search(&world, "ana", &SearchRequest::new("kernel")).await;
    assert_eq!(nothing, json!({"hits": [], "total": 0, "next": null}));
}

#[tokio::test]
async fn what_is_visible_but_not_readable_is_denied() {
    let world = world().await;
    world.datasource("m", &osv()).await.unwrap();
    world.allow("ana", "m", &[Action::Write]).await.unwrap();
    let scope = world.scope("ana").await.unwrap();
    let request = SearchRequest::new("x").with_datasources(["m"]);
    assert_eq!(world.search("ana", &request).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let get = world.retriever().get(world.context(), &scope, "m", "a").await.unwrap_err();
    assert_eq!(get.kind(), ErrorKind::PermissionDenied);
    let filter = Selection::Filter(Filter::from_text("exists(id)").unwrap());
    let delete = world.retriever().delete_records(world.context(), &scope, "m", filter).await.unwrap_err();
    assert_eq!(delete.kind(), ErrorKind::PermissionDenied, "a delete by filter reads, too");
    assert_eq!(search(&world, "ana", &SearchRequest::new("x")).await["total"], 0);
}

async fn filled(world: &World) {
    world.datasource("m", &numbers(true)).await.unwrap();
    let records: Vec<Json> =
        (0..40).map(|i| json!({"id": format!("r{i:02}"), "t": format!("page {}", i % 5), "n": i % 7})).collect();
    world.ingest("m", &records).await.unwrap();
    for user in ["ana", "bob"] {
        world.allow(user, "m", &[Action::Read]).await.unwrap();
    }
}

fn paged() -> Vec<SearchRequest> {
    let sort = vec![SortKey { field: "n".into(), descending: true }];
    vec![
        SearchRequest::new("page").with_limit(9),
        SearchRequest::new("page").with_mode(Mode::Lexical).with_limit(9),
        SearchRequest::new("page 3").with_mode(Mode::Vector).with_limit(9),
        request!(SearchRequest::default(), mode: Mode::Filter, limit: 9),
        request!(SearchRequest::default(), mode: Mode::Filter, sort: sort, limit: 9),
    ]
}

#[tokio::test]
async fn pages_are_the_whole_in_every_mode() {
    let world = world().await;
    filled(&world).await;
    for request in paged() {
        let whole = ids(&search(&world, "ana", &request.clone().with_limit(1000)).await);
        assert_eq!(whole.len(), 40);
        for limit in [1, 3, 9, 40] {
            assert_eq!(walk(&world, "ana", request.clone().with_limit(limit)).await, whole, "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_its_callers_and_its_requests() {
    let world = world().await;
    filled(&world).await;
    for request in paged() {
        let next = search(&world, "ana", &request).await["next"].as_str().unwrap().to_owned();
        let with = |cursor: &str| request!(request.clone(), cursor: Some(cursor.to_owned()));
        let refused = async |user: &str, request: &SearchRequest| match world.search(user, request).await {
            Err(error) => {
                (error.kind(), error.param().map(str::to_owned))
                    == (ErrorKind::InvalidCursor, Some("cursor".to_owned()))
            }
            Ok(_) => false,
        };
        assert!(!refused("ana", &with(&next)).await);
        assert!(!refused("ana", &request!(with(&next), explain: true, limit: 3)).await, "limit and explain may change");
        assert!(refused("bob", &with(&next)).await, "another caller");
        assert!(refused("ana", &request!(with(&next), withdrawn: Withdrawn::Only)).await);
        assert!(refused("ana", &request!(with(&next), partial: true)).await);
        assert!(refused("ana", &with(&next).with_datasources(["m"])).await);
        assert!(refused("ana", &request!(with(&next), domains: Some(vec!["d".into()]))).await);
        assert!(refused("ana", &with(&next).with_filter(Filter::from_text("n >= 0").unwrap())).await);
        for forged in
            ["", "x", "!!", "AAAA", &next[1..], &next[..next.len() - 1], &format!("{next}AA"), &"A".repeat(100_000)]
        {
            assert!(refused("ana", &with(forged)).await, "{forged:.50}");
        }
        for at in 0..next.len() {
            let other = if next.as_bytes()[at] == b'A' { 'B' } else { 'A' };
            let forged = format!("{}{other}{}", &next[..at], &next[at + 1..]);
            // The last character of base64 may hold bits that say nothing.
            assert!(refused("ana", &with(&forged)).await || at + 1 == next.len(), "character {at}");
        }
    }
}

#[tokio::test]
async fn a_cursor_does_not_say_how_much_else_exists() {
    let mut lengths = Vec::new();
    for hidden in [0, 60] {
        let world = world().await;
        for i in 0..hidden {
            world.domain(&format!("hidden{i}")).await.unwrap();
        }
        filled(&world).await;
        let mut of_each = Vec::new();
        for request in paged() {
            of_each.push(search(&world, "ana", &request).await["next"].as_str().unwrap().len());
        }
        lengths.push(of_each);
    }
    assert_eq!(lengths[0], lengths[1]);
}

#[tokio::test]
async fn a_datasource_of_the_same_name_is_another_one() {
    let world = world().await;
    filled(&world).await;
    for request in paged() {
        let next = search(&world, "ana", &request).await["next"].as_str().unwrap().to_owned();
        world.delete_datasource("m").await.unwrap();
        filled(&world).await;
        let error = world.search("ana", &request!(request, cursor: Some(next), limit: 1000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCursor);
    }
}

#[tokio::test]
async fn rights_are_read_anew_for_each_page() {
    let world = world().await;
    world.datasource("m", &numbers(true)).await.unwrap();
    let records: Vec<Json> = (0..20).map(|i| json!({"id": format!("r{i:02}"), "t": "page", "n": i})).collect();
    world.ingest("m", &records).await.unwrap();
    for request in paged() {
        let grant = world.allow("ana", "m", &[Action::Read]).await.unwrap();
        let scope = world.scope("ana").await.unwrap();
        let first = world.retriever().search(world.context(), &scope, &request).await.unwrap();
        let second = request!(request, cursor: first.next);
        assert!(second.cursor.is_some());
        world.retriever().search(world.context(), &scope, &second).await.unwrap();
        world.revoke(&grant).await.unwrap();
        let error = world.retriever().search(world.context(), &scope, &second).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ScopeExpired);
        assert_eq!(search(&world, "ana", &second).await["hits"], json!([]), "a new scope sees what it may: nothing");
        let named = second.with_datasources(["m"]);
        assert!(matches!(
            world.search("ana", &named).await.unwrap_err().kind(),
            ErrorKind::InvalidCursor | ErrorKind::NotFound
        ));
    }
}

#[tokio::test]
async fn hybrid_is_the_reciprocal_ranks_of_its_legs() {
    let world = world().await;
    world.datasource("a", &osv()).await.unwrap();
    world.datasource("b", &osv()).await.unwrap();
    world.datasource("c", &numbers(false)).await.unwrap();
    let mut random = Random::new(3);
    for name in ["a", "b"] {
        let records: Vec<Json> = (0..120).map(|_| random.advisory()).collect();
        world.ingest(name, &records).await.unwrap();
    }
    world
        .ingest("c", &(0..20).map(|i| json!({"id": format!("c{i}"), "t": random.text(9)})).collect::<Vec<_>>())
        .await
        .unwrap();
    for _ in 0..30 {
        let query = format!("{} {}", random.word(), random.text(3));
        let ask = |mode| request!(SearchRequest::new(query.clone()).with_mode(mode), explain: true, limit: 1000);
        let mut scores: std::collections::BTreeMap<(String, String), (f32, Json)> = Default::default();
        for (mode, leg) in [(Mode::Lexical, "lexical"), (Mode::Vector, "vector")] {
            let answer = search(&world, "admin", &ask(mode)).await;
            for (i, hit) in answer["hits"].as_array().unwrap().iter().enumerate() {
                let key = (hit["datasource"].as_str().unwrap().to_owned(), hit["id"].as_str().unwrap().to_owned());
                let held = scores.entry(key).or_insert((0.0, json!({"fusion": "rrf(k=60)"})));
                held.0 += 1.0 / (60.0 + (i + 1) as f32);
                held.1[leg] = json!({"rank": i + 1, "score": hit["score"]});
            }
        }
        let mut want: Vec<_> = scores.into_iter().collect();
        want.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        want.truncate(1000);
        let got = search(&world, "admin", &ask(Mode::Hybrid)).await;
        let got: Vec<_> = got["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| {
                let key = (hit["datasource"].as_str().unwrap().to_owned(), hit["id"].as_str().unwrap().to_owned());
                (key, (hit["score"].as_f64().unwrap() as f32, hit["why"].clone()))
            })
            .collect();
        assert_eq!(got, want, "{query}");
    }
}

#[tokio::test]
async fn total_counts_what_the_filter_leaves_in_every_mode() {
    let world = world().await;
    filled(&world).await;
    for mode in [Mode::Hybrid, Mode::Lexical, Mode::Vector, Mode::Filter] {
        for (filter, want) in [("n >= 0", 40), ("n = 3", 6), ("n > 9", 0)] {
            let query = (mode != Mode::Filter).then(|| "page 3 kernel".to_owned());
            let request = request!(SearchRequest::default(), query: query, mode: mode, limit: 1)
                .with_filter(Filter::from_text(filter).unwrap());
            assert_eq!(search(&world, "ana", &request).await["total"], want, "{mode:?} {filter}");
        }
    }
}

#[tokio::test]
async fn one_order_over_datasources_that_differ() {
    let world = world().await;
    let schema = |ty: &str| json!({"format": "records", "vectors": false, "schema": {"fields": {"n": {"type": ty}}, "text": []}});
    world.datasource("a", &schema("integer")).await.unwrap();
    world.datasource("b", &schema("keyword")).await.unwrap();
    world.datasource("c", &schema("float")).await.unwrap();
    world.datasource("x", &osv()).await.unwrap();
    world.ingest("a", &[json!({"id": "3", "n": 3}), json!({"id": "1", "n": 1}), json!({"id": "0"})]).await.unwrap();
    world.ingest("b", &[json!({"id": "k10", "n": "10"}), json!({"id": "k2", "n": "2"})]).await.unwrap();
    world.ingest("c", &[json!({"id": "1.5", "n": 1.5}), json!({"id": "3.0", "n": 3.0})]).await.unwrap();
    world.ingest("x", &[json!({"id": "none", "summary": "s"})]).await.unwrap();
    for (descending, want) in [
        (false, ["1", "1.5", "3", "3.0", "k10", "k2", "0", "none"]),
        (true, ["k2", "k10", "3", "3.0", "1.5", "1", "0", "none"]),
    ] {
        let sort = vec![SortKey { field: "n".into(), descending }];
        for limit in [1, 2, 3, 100] {
            let request = request!(SearchRequest::default(), mode: Mode::Filter, sort: sort.clone(), limit: limit);
            assert_eq!(walk(&world, "admin", request).await, want, "{descending} {limit}");
        }
    }
}

#[tokio::test]
async fn a_field_that_nothing_has_is_a_mistake() {
    let world = world().await;
    world.datasource("m", &numbers(false)).await.unwrap();
    world.datasource("x", &osv()).await.unwrap();
    world.ingest("m", &[json!({"id": "a", "n": 1})]).await.unwrap();
    let by = |text: &str| SearchRequest::filtered(Filter::from_text(text).unwrap());
    assert_eq!(ids(&search(&world, "admin", &by("n = 1")).await), ["a"], "one has it");
    let error = world.search("admin", &by("nosuch = 1")).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("filter")));
    let error = world.search("admin", &by("n = 1").with_datasources(["x"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "none of the searched ones has it");
    let sort = vec![SortKey { field: "aliases".into(), descending: false }];
    let error =
        world.search("admin", &request!(SearchRequest::default(), mode: Mode::Filter, sort: sort)).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("sort")), "a list has no order");
    assert_eq!(
        search(&world, "ana", &by("nosuch = 1")).await["total"],
        0,
        "with nothing to search no field is checked"
    );
}

#[tokio::test]
async fn external_vectors_are_given_or_refused() {
    let world = world().await;
    let external = json!({"format": "records", "embedding_model": "external/x", "dimensions": 3, "schema": {"fields": {"t": {"type": "text"}}, "text": ["t"]}});
    world.datasource("e", &external).await.unwrap();
    world.datasource("n", &numbers(false)).await.unwrap();
    let records = [
        json!({"id": "a", "t": "kernel", "_vector": [1, 0, 0]}),
        json!({"id": "b", "_vector": [0, 1, 0]}),
        json!({"id": "c", "_vector": [0, 1]}),
        json!({"id": "d", "t": "no vector"}),
        json!({"id": "e", "_vector": [1e10, 0, 0]}),
    ];
    let report = world.ingest("e", &records).await.unwrap();
    assert_eq!((report.accepted, report.rejected_count), (2, 3), "{report:?}");
    assert_eq!(world.ingest("n", &records[..1]).await.unwrap().rejected_count, 1, "no vectors here");
    let near = request!(SearchRequest::default(), mode: Mode::Vector, vector: Some(vec![0.0, 1.0, 0.5]));
    assert_eq!(ids(&search(&world, "admin", &near).await), ["b", "a"]);
    let both = request!(SearchRequest::new("kernel"), vector: Some(vec![0.0, 1.0, 0.0]));
    assert_eq!(search(&world, "admin", &both).await["hits"].as_array().unwrap().len(), 2);
    for (request, param) in [
        (request!(near.clone(), vector: Some(vec![1.0])), "vector"),
        (request!(near.clone(), vector: Some(vec![1e30, 0.0, 0.0])), "vector"),
        (request!(near.clone(), vector: Some(vec![0.0, -0.0, 0.0])), "vector"),
        (request!(near.clone(), vector: Some(vec![f32::NAN, 0.0, 0.0])), "vector"),
        (SearchRequest::new("kernel").with_mode(Mode::Vector).with_datasources(["e"]), "mode"),
        (near.clone().with_datasources(["n"]), "mode"),
    ] {
        let error = world.search("admin", &request).await.unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some(param)), "{request:?}");
    }
}

#[tokio::test]
async fn external_vectors_are_compared_by_their_direction() {
    let world = world().await;
    let external = json!({"format": "records", "embedding_model": "external/x", "dimensions": 2, "schema": {"fields": {}, "text": []}});
    world.datasource("e", &external).await.unwrap();
    let records = [
        json!({"id": "long, another way", "_vector": [900, 900]}),
        json!({"id": "short, the same way", "_vector": [0.003, 0.004]}),
        json!({"id": "none", "_vector": [0, 0.0]}),
    ];
    let report = world.ingest("e", &records).await.unwrap();
    assert_eq!((report.accepted, report.rejected_count), (2, 1));
    assert!(report.rejected[0].error.contains("zeros"), "{report:?}");
    for length in [1.0, 0.2, 5000.0] {
        let near =
            request!(SearchRequest::default(), mode: Mode::Vector, vector: Some(vec![0.6 * length, 0.8 * length]));
        let answer = search(&world, "admin", &near).await;
        assert_eq!(ids(&answer), ["short, the same way", "long, another way"]);
        let cosines: Vec<f64> =
            answer["hits"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
        assert!((cosines[0] - 1.0).abs() < 1e-6 && (cosines[1] - 0.989_949_5).abs() < 1e-6, "{cosines:?}");
    }
    let admin = world.admin().await.unwrap();
    let held = world.retriever().get(world.context(), &admin, "e", "short, the same way").await.unwrap();
    assert!(held.original.get().contains("[0.003,0.004]"), "the original is as it came");
}

#[tokio::test]
async fn ranked_modes_page_to_their_depth() {
    let world = world().await;
    world.datasource("m", &numbers(false)).await.unwrap();
    let records: Vec<Json> = (0..1200)
        .map(|i| json!({"id": format!("r{i:04}"), "t": format!("page {}", "x ".repeat(i % 3)), "n": i}))
        .collect();
    let report = world.ingest("m", &records).await.unwrap();
    assert_eq!(report.accepted, 1200, "over several batches");
    let request = SearchRequest::new("page").with_mode(Mode::Lexical);
    let walked = walk(&world, "admin", request.clone().with_limit(300)).await;
    assert_eq!(walked.len(), 1000);
    assert_eq!(walked, ids(&search(&world, "admin", &request.with_limit(1000)).await));
    let all = request!(SearchRequest::default(), mode: Mode::Filter, limit: 7);
    assert_eq!(walk(&world, "admin", all).await.len(), 1200, "mode filter pages to the end");
}

#[tokio::test]
async fn what_is_deleted_between_pages_comes_no_more() {
    let world = world().await;
    filled(&world).await;
    for request in paged() {
        let first = search(&world, "ana", &request).await;
        let whole = ids(&search(&world, "ana", &request.clone().with_limit(1000)).await);
        let gone: Vec<String> = whole.iter().skip(6).step_by(5).cloned().collect();
        world.delete("m", Selection::Ids(gone.clone())).await.unwrap();
        let cursor = first["next"].as_str().map(str::to_owned);
        let rest = walk(&world, "ana", request!(request, cursor: cursor)).await;
        let mut seen = [ids(&first), rest].concat();
        assert!(seen[9..].iter().all(|id| !gone.contains(id)));
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "none twice");
        world.delete_datasource("m").await.unwrap();
        filled(&world).await;
    }
}

#[tokio::test]
async fn the_last_of_a_batch_wins_and_the_same_is_unchanged() {
    let world = world().await;
    world.datasource("m", &numbers(false)).await.unwrap();
    let line = |n: i64| json!({"id": "a", "n": n});
    let report = world
        .ingest("m", &[line(1), line(2), json!({"id": 3}), json!({"id": "b", "nosuch": 1}), line(3)])
        .await
        .unwrap();
    assert_eq!((report.accepted, report.unchanged, report.rejected_count), (3, 0, 2));
    assert_eq!(report.rejected.iter().map(|rejection| rejection.line).collect::<Vec<_>>(), [3, 4]);
    let report = world.ingest("m", &[line(3), json!({"id": "c"})]).await.unwrap();
    assert_eq!((report.accepted, report.unchanged), (2, 1));
    let admin = world.admin().await.unwrap();
    let got = world.retriever().get(world.context(), &admin, "m", "a").await.unwrap();
    assert_eq!(got.fields.get(), r#"{"id":"a","n":3}"#);
}
