//! Mode filter: everything that satisfies the filter, in one order over all datasources, page by page by key.

use std::cmp::Ordering;
use std::time::Instant;

use ucap_authz::Scope;
use ucap_core::{Error, ErrorKind, RequestContext, Result};

use super::Retriever;
use super::sources::{Source, Sources, in_turn_from_the_end};
use crate::cursor::{Mark, Position};
use crate::datastore::{After, PageRequest, PageRow, SortValue};
use crate::filter::{Op, Operand, Predicate};
use crate::hit::{Hit, SearchAnswer, Timings, Why};
use crate::query::{SearchRequest, Withdrawn};
use crate::sort_order::sort_order;

impl Retriever {
    pub(super) async fn filtered(
        &self,
        context: &RequestContext,
        scope: &Scope,
        request: &SearchRequest,
        sources: &Sources,
        position: Option<&Position>,
    ) -> Result<SearchAnswer> {
        let started = Instant::now();
        // One more than asked for tells whether there is another page.
        let wanted = request.limit + 1;
        let place = match position {
            Some(position) => Some(place(context, request, sources, position).await?),
            None => None,
        };
        let mut rows = self.merged(context, request, sources, place.as_ref(), wanted).await?;
        let has_more = rows.len() > request.limit;
        rows.truncate(request.limit);
        let next = rows.last().filter(|_| has_more).map(|(source, last)| {
            let source = &sources.all[*source];
            let position = Position {
                score: None,
                sort: last.sort.iter().map(Mark::new).collect(),
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
        place: Option<&Place<'_>>,
        wanted: usize,
    ) -> Result<Vec<(usize, PageRow)>> {
        let page = |source: &Source, limit: usize| PageRequest {
            predicate: source.predicate.clone(),
            withdrawn: request.withdrawn,
            sort: request.sort.clone(),
            after: after(place, source),
            limit,
        };
        if request.sort.is_empty() {
            // Datasource after datasource: those behind a full page are not asked.
            let mut rows = Vec::new();
            for (i, source) in sources.all.iter().enumerate() {
                let is_passed = place.is_some_and(|place| source.id() < place.datasource);
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

/// The last hit of the page before, with its sort values.
struct Place<'a> {
    datasource: &'a str,
    id: &'a str,
    sort: Vec<SortValue>,
}

/// The place of a cursor. Values that are too long for it are those that the record has, if it still has them.
async fn place<'a>(
    context: &RequestContext,
    request: &SearchRequest,
    sources: &Sources,
    position: &'a Position,
) -> Result<Place<'a>> {
    let values = position.sort.iter().map(|mark| match mark {
        Mark::Value(value) => Some(value.clone()),
        Mark::Digest(_) => None,
    });
    let sort = match values.collect() {
        Some(sort) => sort,
        None => held_values(context, request, sources, position).await?,
    };
    Ok(Place { datasource: &position.datasource, id: &position.id, sort })
}

async fn held_values(
    context: &RequestContext,
    request: &SearchRequest,
    sources: &Sources,
    position: &Position,
) -> Result<Vec<SortValue>> {
    let changed = || {
        let message = "the record that the page before ended with has changed since; begin again without cursor";
        Error::new(ErrorKind::InvalidCursor, message).with_param("cursor")
    };
    let source = sources.all.iter().find(|source| source.id() == position.datasource).ok_or_else(changed)?;
    let is_it = Predicate::Compare { field: "id".into(), op: Op::Eq, operand: Operand::Text(position.id.clone()) };
    let page = PageRequest {
        predicate: is_it,
        withdrawn: Withdrawn::Include,
        sort: request.sort.clone(),
        after: After::Start,
        limit: 1,
    };
    let row = source.store.records.page(context, &source.permit, &page).await?.into_iter().next();
    let sort = row.map(|row| row.sort).ok_or_else(changed)?;
    if sort.iter().map(Mark::new).ne(position.sort.iter().cloned()) {
        return Err(changed());
    }
    Ok(sort)
}

/// Where a datasource goes on behind a hit of maybe another datasource.
fn after(place: Option<&Place<'_>>, source: &Source) -> After {
    let Some(place) = place else { return After::Start };
    match source.id().cmp(place.datasource) {
        Ordering::Less => After::Behind(place.sort.clone()),
        Ordering::Equal => After::Record(place.sort.clone(), place.id.to_owned()),
        Ordering::Greater => After::From(place.sort.clone()),
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
