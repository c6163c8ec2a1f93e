//! Permits: every method of every role demands its own.

use std::sync::Arc;

use serde_json::json;
use ucap_authz::Permit;
use ucap_core::{Action, ErrorKind};

use crate::analysis::analyze_query;
use crate::bm25::Weights;
use crate::conformance::{Outcome, Store, WordEmbedder, World, expect_refusal, expect_that};
use crate::datastore::{After, Candidates, PageRequest, QueueBound, Write};
use crate::filter::Predicate;
use crate::query::Withdrawn;

/// Everything that reads refuses `permit`.
async fn refuse_reading(store: &Store, permit: &Permit, all: &Arc<Candidates>) -> Outcome {
    const DENIED: ErrorKind = ErrorKind::PermissionDenied;
    let (context, roles) = (store.context(), &store.roles);
    let groups = analyze_query("kernel", store.settings.language);
    let weights = Weights::new(&groups, 1, 1, &[1]);
    let request = PageRequest {
        predicate: Predicate::True,
        withdrawn: Withdrawn::Include,
        sort: Vec::new(),
        after: After::Start,
        limit: 10,
    };
    let npm = store.predicate(&json!({"affects": {"ecosystem": "PyPI", "package": "p", "version": "no version!"}}))?;
    let candidates = roles.records.candidates(context, permit, &Predicate::True, Withdrawn::Include).await;
    expect_refusal("candidates", candidates, DENIED)?;
    expect_refusal("page", roles.records.page(context, permit, &request).await, DENIED)?;
    expect_refusal("read", roles.records.read(context, permit, &[(0, None)]).await, DENIED)?;
    expect_refusal("ids", roles.records.ids(context, permit, &[0]).await, DENIED)?;
    expect_refusal("stats", roles.records.stats(context, permit).await, DENIED)?;
    for affects in npm.unparsed() {
        expect_refusal("lists_version", roles.records.lists_version(context, permit, affects).await, DENIED)?;
    }
    expect_refusal("statistics", roles.passages.statistics(context, permit, &groups).await, DENIED)?;
    expect_refusal("lexical", roles.passages.lexical(context, permit, &groups, &weights, all, 10).await, DENIED)?;
    let query = WordEmbedder::vector("kernel");
    expect_refusal("nearest", roles.passages.nearest(context, permit, &query, all, 10).await, DENIED)?;
    expect_refusal("get", roles.originals.get(context, permit, "a").await, DENIED)
}

/// Everything that writes refuses `permit`, and nothing is written.
async fn refuse_writing(store: &Store, permit: &Permit) -> Outcome {
    const DENIED: ErrorKind = ErrorKind::PermissionDenied;
    let (context, roles) = (store.context(), &store.roles);
    let writes = vec![Write::Delete("a".into())];
    expect_refusal("write", roles.records.write(context, permit, writes).await, DENIED)?;
    expect_refusal("hashes", roles.records.hashes(context, permit, &["a".into()]).await, DENIED)?;
    expect_refusal("known_vectors", roles.passages.known_vectors(context, permit, &["a".into()]).await, DENIED)?;
    expect_refusal("oldest", roles.records.oldest(context, permit, 1).await, DENIED)?;
    expect_refusal("defer", roles.queue.defer(context, permit, vec![], QueueBound::default()).await, DENIED)?;
    expect_refusal("queued", roles.queue.queued(context, permit, 0, 1, 1).await, DENIED)?;
    let held = roles.originals.get(context, &store.read, "a").await?;
    expect_that("a refused write leaves the record", held.is_some())
}

async fn filled(world: &World, id: &str) -> Result<(Store, Arc<Candidates>), crate::conformance::Failure> {
    world.datasource(id, &json!({"format": "osv"})).await?;
    let store = world.store(id).await?;
    store.put_all(&[json!({"id": "a", "summary": "kernel"})]).await?;
    let all = store.everything().await?;
    Ok((store, all))
}

pub(super) async fn of_another_action_are_refused(world: &mut World) -> Outcome {
    let (store, all) = filled(world, "m").await?;
    for action in [Action::Write, Action::Execute, Action::Admin] {
        let permit = world.permit("m", action).await?;
        refuse_reading(&store, &permit, &all).await.map_err(|failure| failure.during(format!("{action:?} permit")))?;
    }
    for action in [Action::Read, Action::Execute, Action::Admin] {
        let permit = world.permit("m", action).await?;
        refuse_writing(&store, &permit).await.map_err(|failure| failure.during(format!("{action:?} permit")))?;
    }
    Ok(())
}

pub(super) async fn of_another_datasource_are_refused(world: &mut World) -> Outcome {
    let (store, all) = filled(world, "m").await?;
    let (other, _) = filled(world, "other").await?;
    refuse_reading(&store, &other.read, &all).await?;
    refuse_writing(&store, &other.write).await
}

pub(super) async fn of_another_generation_are_refused(world: &mut World) -> Outcome {
    let (old, _) = filled(world, "m").await?;
    world.delete_datasource("m").await?;
    let (store, all) = filled(world, "m").await?;
    refuse_reading(&store, &old.read, &all).await?;
    refuse_writing(&store, &old.write).await
}
