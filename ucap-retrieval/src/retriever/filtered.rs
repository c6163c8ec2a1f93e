//! Mode filter: everything that satisfies the filter, in one order over all datasources, page by page by key.

use std::cmp::Ordering;
use std::time::Instant;

use ucap_authz::Scope;
use ucap_core::{RequestContext, Result};

use super::Retriever;
use super::sources::{Source, Sources, in_turn_from_the_end};
use crate::cursor::Position;
use crate::datastore::{After, PageRequest, PageRow};
use crate::hit::{Hit, SearchAnswer, Timings, Why};
use crate::query::SearchRequest;
use crate::sort_order::sort_order;

impl Retriever {
    pub(super) async fn filtered(
        &self,
        context: &RequestContext,
        scope: &Scope,
        request: &SearchRequest,
        sources: &Sources,
        position: Option<Position>,
    ) -> Result<SearchAnswer> {
        let started = Instant::now();
        // One more than asked for tells whether there is another page.
        let wanted = request.limit + 1;
        let mut rows = self.merged(context, request, sources, position.as_ref(), wanted).await?;
        let has_more = rows.len() > request.limit;
        rows.truncate(request.limit);
        let next = rows.last().filter(|_| has_more).map(|(source, last)| {
            let source = &sources.all[*source];
            let position = Position {
                score: None,
                sort: last.sort.clone(),
                datasource: source.id().to_owned(),
                generation: self.cursors.generation(source.id(), source.generation()),
                id: last.id.clone(),
                given: 0,
            };
            self.cursors.write(scope.caller(), request, &position)
        });
        let hits = hits(context, request, sources, &rows).await?;
        let timings = Timings { filter: sources.filter, fuse: started.elapsed(), ..Timings::default() };
        Ok(SearchAnswer {
            hits,
            total: sources.total(),
            next: next.transpose()?,
            unavailable: sources.unavailable.clone(),
            timings,
        })
    }

    async fn merged(
        &self,
        context: &RequestContext,
        request: &SearchRequest,
        sources: &Sources,
        position: Option<&Position>,
        wanted: usize,
    ) -> Result<Vec<(usize, PageRow)>> {
        let page = |source: &Source, limit: usize| PageRequest {
            predicate: source.predicate.clone(),
            withdrawn: request.withdrawn,
            sort: request.sort.clone(),
            after: after(position, source),
            limit,
        };
        if request.sort.is_empty() {
            // Datasource after datasource: those behind a full page are not asked.
            let mut rows = Vec::new();
            for (i, source) in sources.all.iter().enumerate() {
                let is_passed = position.is_some_and(|position| source.id() < position.datasource.as_str());
                let missing = wanted - rows.len();
                if !is_passed && missing > 0 {
                    let found = source.store.records.page(context, &source.permit, &page(source, missing)).await?;
                    rows.extend(found.into_iter().map(|row| (i, row)));
                }
            }
            return Ok(rows);
        }
        let pages = sources.all.iter().map(|source| async move {
            source.store.records.page(context, &source.permit, &page(source, wanted)).await
        });
        let pages = in_turn_from_the_end(pages.collect()).await?;
        let mut rows: Vec<(usize, PageRow)> =
            pages.into_iter().enumerate().flat_map(|(i, rows)| rows.into_iter().map(move |row| (i, row))).collect();
        rows.sort_by(|(i, a), (j, b)| {
            sort_order(&request.sort, &a.sort, &b.sort).then(i.cmp(j)).then_with(|| a.id.cmp(&b.id))
        });
        rows.truncate(wanted);
        Ok(rows)
    }
}

/// Where a datasource goes on behind a hit of maybe another datasource.
fn after(position: Option<&Position>, source: &Source) -> After {
    let Some(position) = position else { return After::Start };
    match source.id().cmp(position.datasource.as_str()) {
        Ordering::Less => After::Behind(position.sort.clone()),
        Ordering::Equal => After::Record(position.sort.clone(), position.id.clone()),
        Ordering::Greater => After::From(position.sort.clone()),
    }
}

async fn hits(
    context: &RequestContext,
    request: &SearchRequest,
    sources: &Sources,
    rows: &[(usize, PageRow)],
) -> Result<Vec<Hit>> {
    let why = request.explain.then(|| Why {
        lexical: None,
        vector: None,
        fusion: None,
        filter: request.filter.as_ref().map(crate::filter::Filter::canonical),
    });
    let mut hits = Vec::with_capacity(rows.len());
    for part in rows.chunk_by(|(a, _), (b, _)| a == b) {
        let source = &sources.all[part[0].0];
        let numbers: Vec<(u32, Option<u32>)> = part.iter().map(|(_, row)| (row.row, None)).collect();
        let found = source.store.records.read(context, &source.permit, &numbers).await?;
        hits.extend(found.into_iter().flatten().map(|found| Hit {
            datasource: source.id().to_owned(),
            id: found.id,
            score: None,
            passage: None,
            fields: found.fields,
            why: why.clone(),
        }));
    }
    Ok(hits)
}
