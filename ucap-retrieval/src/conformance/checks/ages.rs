//! How old records are, and that they go when their time is over.

use serde_json::json;
use time::Duration;

use crate::conformance::random::all_types;
use crate::conformance::{Outcome, World, expect_same, expect_that};
use crate::datastore::{Origin, Write, Written};

fn from(at: i64) -> Origin {
    Origin { at, queued: None }
}

fn aged(ages: &[(&str, i64)]) -> Vec<(String, i64)> {
    ages.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect()
}

pub(super) async fn are_told_oldest_first(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let oldest = async |limit| store.roles.records.oldest(store.context(), &store.write, limit).await;
    expect_same("of nothing", oldest(10).await?, vec![])?;
    let puts = [("c", 30), ("b", 10), ("d", 30), ("a", 20), ("e", -5)]
        .map(|(id, at)| store.put_from(&json!({"id": id, "t": "x"}), from(at)));
    store.write(puts.into_iter().collect::<Result<_, _>>()?).await?;
    let all = aged(&[("e", -5), ("b", 10), ("a", 20), ("c", 30), ("d", 30)]);
    expect_same("oldest first, then by id", oldest(10).await?, all.clone())?;
    expect_same("so many", oldest(2).await?, all[..2].to_vec())?;
    // The same content makes younger, never older; other content counts anew.
    let again = [("b", 40), ("c", 7)].map(|(id, at)| store.put_from(&json!({"id": id, "t": "x"}), from(at)));
    let written = store.write(again.into_iter().collect::<Result<_, _>>()?).await?;
    expect_same("the same content", written, vec![Written::Unchanged; 2])?;
    store.write(vec![store.put_from(&json!({"id": "d", "t": "y"}), from(8))?]).await?;
    store.delete_all(&["e"]).await?;
    expect_same("after that", oldest(10).await?, aged(&[("d", 8), ("a", 20), ("c", 30), ("b", 40)]))
}

pub(super) async fn decide_what_expires(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let puts = [("old", 10), ("edge", 20), ("young", 21)]
        .map(|(id, at)| store.put_from(&json!({"id": id, "t": "word"}), from(at)));
    store.write(puts.into_iter().collect::<Result<_, _>>()?).await?;
    let expire = ["old", "edge", "young", "nobody"].map(|id| Write::Expire(id.to_owned(), 20));
    let written = store.write(expire.into_iter().collect()).await?;
    let want = vec![Written::Deleted, Written::Deleted, Written::Missing, Written::Missing];
    expect_same("what is as old, or older, goes", written, want)?;
    let all = store.everything().await?;
    expect_same("one stays", store.ids(all.rows()).await?, vec!["young".to_owned()])?;
    let words = store.named(&store.lexical("word", &all, 10).await?).await?;
    expect_same("in every leg", words.len(), 1)
}

pub(super) async fn end_with_the_retention(world: &mut World) -> Outcome {
    let mut settings = all_types();
    settings["retention_days"] = 3.into();
    world.datasource("m", &settings).await?;
    world.datasource("kept", &all_types()).await?;
    let records = |from: usize, to: usize| -> Vec<_> {
        (from..to).map(|i| json!({"id": format!("r{i:04}"), "t": "word"})).collect()
    };
    world.ingest("kept", &records(0, 5)).await?;
    world.ingest("m", &records(0, 1500)).await?;
    let expire = async |world: &World| world.retriever().expire(world.context()).await;
    expect_same("nothing is over yet", expire(world).await?, 0)?;
    world.advance(Duration::days(2));
    world.ingest("m", &records(1400, 1600)).await?;
    expect_same("two days later", expire(world).await?, 0)?;
    world.advance(Duration::days(1));
    expect_same("three days later", expire(world).await?, 1400)?;
    let left = world.store("m").await?.counts().await?;
    expect_same("what came again stays", left, (200, 0))?;
    world.retain("m", None).await?;
    world.advance(Duration::days(30));
    expect_same("without a retention", expire(world).await?, 0)?;
    world.retain("m", Some(33)).await?;
    expect_same("with a longer one", expire(world).await?, 0)?;
    world.retain("m", Some(31)).await?;
    expect_same("at its end", expire(world).await?, 200)?;
    expect_same("another datasource", world.store("kept").await?.counts().await?, (5, 0))?;
    world.delete_datasource("m").await?;
    expect_that("a deleted datasource is none", expire(world).await? == 0)
}
