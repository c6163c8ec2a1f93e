//! The three roles of an embedded datasource. Each call opens it if need be, and lets go of it at its end.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use ucap_authz::Permit;
use ucap_core::catalog::Datasource;
use ucap_core::{Action, Error, ErrorKind, RequestContext, Result};

use super::lexical::PassageScores;
use super::open_set::{OpenSet, Use};
use crate::analysis::TermGroup;
use crate::bm25::Weights;
use crate::datastore::{
    Candidates, CollectionStatistics, Deferred, Found, IngestQueue, Original, OriginalStore, PageRequest, PageRow,
    PassageIndex, QueueBound, Queued, RecordStore, Scored, Write, Written, demand,
};
use crate::filter::{Affects, Predicate};
use crate::hit::DatasourceStats;
use crate::query::Withdrawn;

/// The roles of one datasource, open or not.
#[derive(Debug)]
pub(super) struct Roles {
    set: Arc<OpenSet>,
    datasource: Datasource,
}

impl Roles {
    pub(super) fn new(set: Arc<OpenSet>, datasource: &Datasource) -> Self {
        Self { set, datasource: datasource.clone() }
    }

    /// The datasource for one call. Never taken twice in one: see [`super::open_set`].
    async fn take(&self, context: &RequestContext, permit: &Permit, action: Action) -> Result<Use> {
        demand(permit, action, &self.datasource)?;
        self.set.acquire(context, &self.datasource).await
    }
}

#[async_trait]
impl RecordStore for Roles {
    async fn write(&self, context: &RequestContext, permit: &Permit, writes: Vec<Write>) -> Result<Vec<Written>> {
        let open = self.take(context, permit, Action::Write).await?;
        to_the_end(async move { open.write(writes, open.clone()).await }).await
    }

    async fn hashes(&self, context: &RequestContext, permit: &Permit, ids: &[String]) -> Result<Vec<Option<[u8; 32]>>> {
        let held = self.take(context, permit, Action::Write).await?.records.hashes(ids).await?;
        Ok(ids.iter().map(|id| held.get(id).copied()).collect())
    }

    async fn candidates(
        &self,
        context: &RequestContext,
        permit: &Permit,
        predicate: &Predicate,
        withdrawn: Withdrawn,
    ) -> Result<Arc<Candidates>> {
        self.take(context, permit, Action::Read).await?.candidates(predicate, withdrawn).await
    }

    async fn lists_version(&self, context: &RequestContext, permit: &Permit, affects: &Affects) -> Result<bool> {
        self.take(context, permit, Action::Read).await?.records.lists_version(affects).await
    }

    async fn page(&self, context: &RequestContext, permit: &Permit, request: &PageRequest) -> Result<Vec<PageRow>> {
        self.take(context, permit, Action::Read).await?.page(request).await
    }

    async fn read(
        &self,
        context: &RequestContext,
        permit: &Permit,
        rows: &[(u32, Option<u32>)],
    ) -> Result<Vec<Option<Found>>> {
        self.take(context, permit, Action::Read).await?.records.read(rows).await
    }

    async fn ids(&self, context: &RequestContext, permit: &Permit, rows: &[u32]) -> Result<Vec<Option<String>>> {
        let mut held = self.take(context, permit, Action::Read).await?.records.ids(rows).await?;
        Ok(rows.iter().map(|row| held.remove(row)).collect())
    }

    async fn oldest(&self, context: &RequestContext, permit: &Permit, limit: usize) -> Result<Vec<(String, i64)>> {
        self.take(context, permit, Action::Write).await?.records.oldest(limit).await
    }

    async fn stats(&self, context: &RequestContext, permit: &Permit) -> Result<DatasourceStats> {
        self.take(context, permit, Action::Read).await?.stats().await
    }
}

#[async_trait]
impl IngestQueue for Roles {
    async fn defer(
        &self,
        context: &RequestContext,
        permit: &Permit,
        records: Vec<Deferred>,
        bound: QueueBound,
    ) -> Result<Vec<Written>> {
        let open = self.take(context, permit, Action::Write).await?;
        to_the_end(async move { open.defer(records, bound, open.clone()).await }).await
    }

    async fn queued(
        &self,
        context: &RequestContext,
        permit: &Permit,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Queued>> {
        self.take(context, permit, Action::Write).await?.records.queued(after, limit, bytes).await
    }
}

/// A caller that goes away must not stop a commit half way to the indexes.
async fn to_the_end(write: impl Future<Output = Result<Vec<Written>>> + Send + 'static) -> Result<Vec<Written>> {
    match tokio::spawn(write).await {
        Ok(answer) => answer,
        Err(cause) => Err(Error::internal("a write ended early; see the log").with_source(cause)),
    }
}

#[async_trait]
impl PassageIndex for Roles {
    async fn statistics(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
    ) -> Result<CollectionStatistics> {
        let open = self.take(context, permit, Action::Read).await?;
        let (context, groups, pool) = (context.clone(), groups.to_vec(), Arc::clone(&open.pool));
        pool.run(move || {
            let state = open.state.read();
            let frequencies = state.lexical.statistics(&context, &groups, &state.live)?;
            Ok(CollectionStatistics { passages: state.live.len() as u64, terms: state.terms, frequencies })
        })
        .await
    }

    async fn lexical(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
        weights: &Weights,
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        let open = self.take(context, permit, Action::Read).await?;
        let (context, groups, pool) = (context.clone(), groups.to_vec(), Arc::clone(&open.pool));
        let (weights, candidates) = (weights.clone(), Arc::clone(candidates));
        pool.run(move || {
            let state = open.state.read();
            state.with_allowed(&candidates, |allowed| {
                let mut scores = PassageScores::new();
                state.lexical.score(&context, &groups, &weights, allowed, &mut scores)?;
                Ok(state.lexical_rows(scores.iter(), depth))
            })
        })
        .await
    }

    async fn nearest(
        &self,
        context: &RequestContext,
        permit: &Permit,
        query: &[f32],
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        let open = self.take(context, permit, Action::Read).await?;
        let (context, query, candidates) = (context.clone(), query.to_vec(), Arc::clone(candidates));
        let pool = Arc::clone(&open.pool);
        pool.run(move || {
            let state = open.state.read();
            let found = state.with_allowed(&candidates, |allowed| state.nearest(&context, &query, allowed, depth));
            found.inspect_err(|error| {
                if error.kind() == ErrorKind::DatasourceRebuilding {
                    open.set_damaged();
                }
            })
        })
        .await
    }

    async fn known_vectors(
        &self,
        context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<HashMap<[u8; 32], Vec<f32>>> {
        let held = self.take(context, permit, Action::Write).await?.records.vectors_of(ids).await?;
        Ok(held.into_iter().map(|(text, vector)| (*blake3::hash(text.as_bytes()).as_bytes(), vector)).collect())
    }
}

#[async_trait]
impl OriginalStore for Roles {
    async fn get(&self, context: &RequestContext, permit: &Permit, id: &str) -> Result<Option<Original>> {
        self.take(context, permit, Action::Read).await?.records.original(id).await
    }
}
