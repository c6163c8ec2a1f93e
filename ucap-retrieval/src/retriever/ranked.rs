//! Ranked modes: a BM25 leg and vector legs among the candidates, to one fixed depth, fused by rank.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ucap_authz::Scope;
use ucap_core::{EmbeddingLane, Error, RequestContext, Result};

use super::Retriever;
use super::sources::{Selected, Source, Sources, in_turn, in_turn_from_the_end};
use crate::analysis::{Language, TermGroup, analyze_query};
use crate::bm25::Weights;
use crate::cursor::Position;
use crate::datastore::{CollectionStatistics, Found, Scored};
use crate::fusion::{DEPTH, LegHits, LegKind, Place, Ranked, alone, reciprocal_rank};
use crate::hit::{Hit, SearchAnswer, Timings, Why};
use crate::query::{Mode, SearchRequest};
use crate::settings::{Settings, Vectors};
use crate::unit_vector::unit_vector;

/// The query's vector for the datasources of one model.
struct QueryVector {
    vector: Vec<f32>,
    sources: Vec<usize>,
}

impl Retriever {
    pub(super) async fn ranked(
        &self,
        context: &RequestContext,
        scope: &Scope,
        request: &SearchRequest,
        sources: &Sources,
        position: Option<Position>,
    ) -> Result<SearchAnswer> {
        let mut timings = Timings { filter: sources.filter, ..Timings::default() };
        let started = Instant::now();
        let vectors = self.query_vectors(context, request, sources).await?;
        timings.embed = started.elapsed();
        let words = weighed(request, sources);
        let legs = legs(context, sources, &words, &vectors, &mut timings).await?;

        let started = Instant::now();
        let is_fused = request.mode == Mode::Hybrid || legs.len() > 1;
        let mut ranked = if is_fused { reciprocal_rank(legs) } else { single(legs) };
        let (window, has_more) = window(context, sources, &mut ranked, position.as_ref(), request.limit).await?;
        let mut found = read(context, sources, &ranked[window.clone()]).await?;
        let given = position.as_ref().map_or(0, |position| position.given) + window.len();
        let next = match ranked[window.clone()].last().filter(|_| has_more && given < DEPTH) {
            Some(last) => self.next(scope, request, sources, last, &found, given)?,
            None => None,
        };
        let hits = ranked[window].iter().filter_map(|hit| {
            let found = found.remove(&hit.place)?;
            Some(Hit {
                datasource: sources.all[hit.place.source].id().to_owned(),
                id: found.id,
                score: Some(hit.score),
                passage: found.passage,
                fields: found.fields,
                why: request.explain.then(|| why(hit, is_fused, request)),
            })
        });
        let hits = hits.collect();
        timings.fuse = started.elapsed();
        Ok(SearchAnswer { hits, total: sources.total(), next, unavailable: sources.unavailable.clone(), timings })
    }

    fn next(
        &self,
        scope: &Scope,
        request: &SearchRequest,
        sources: &Sources,
        last: &Ranked,
        found: &HashMap<Place, Found>,
        given: usize,
    ) -> Result<Option<String>> {
        let Some(id) = found.get(&last.place).map(|found| found.id.clone()) else { return Ok(None) };
        let source = &sources.all[last.place.source];
        let position = Position {
            score: Some(last.score.to_bits()),
            sort: Vec::new(),
            datasource: source.id().to_owned(),
            generation: self.cursors.generation(source.id(), source.generation()),
            id,
            given,
        };
        self.cursors.write(scope.caller(), request, &position).map(Some)
    }

    /// One query vector for each model among the sources: given, or computed.
    async fn query_vectors(
        &self,
        context: &RequestContext,
        request: &SearchRequest,
        sources: &Sources,
    ) -> Result<Vec<QueryVector>> {
        if request.mode == Mode::Lexical {
            return Ok(Vec::new());
        }
        let mut by_model: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
        for (i, source) in sources.all.iter().enumerate() {
            if let Ok(model) = comparable(&source.settings, request, self.embedder.model().dimensions) {
                by_model.entry(model).or_default().push(i);
            }
        }
        let mut vectors = Vec::with_capacity(by_model.len());
        for (_, sources) in by_model {
            let vector = match (&request.vector, request.text()) {
                // The request's check has refused one without a direction.
                (Some(vector), _) => unit_vector(vector).unwrap_or_default(),
                (None, text) => self.embed_query(context, text.unwrap_or_default()).await?,
            };
            vectors.push(QueryVector { vector, sources });
        }
        Ok(vectors)
    }

    async fn embed_query(&self, context: &RequestContext, text: &str) -> Result<Vec<f32>> {
        // The model's weights are pinned while the process runs, so a text has one vector.
        let key = *blake3::hash(text.as_bytes()).as_bytes();
        if let Some(held) = self.embedded.get(&key) {
            return Ok(held.to_vec());
        }
        let vectors = self.embedder.embed(context, EmbeddingLane::Query, vec![text.to_owned()]).await?;
        let vector = vectors.into_iter().next().ok_or_else(|| Error::internal("the embedder returned no vector"))?;
        self.embedded.insert(key, Arc::new(vector.clone()));
        Ok(vector)
    }
}

/// The model and the dimensions of the vectors that the request's query can be compared with; else why not.
fn comparable<'s>(
    settings: &'s Settings,
    request: &SearchRequest,
    embedded: usize,
) -> Result<(&'s str, usize), String> {
    match &settings.vectors {
        Vectors::None => Err("has no vectors".to_owned()),
        Vectors::Model(model) => Ok((model.as_str(), embedded)),
        Vectors::External(model, dimensions) if request.vector.is_some() => Ok((model.as_str(), *dimensions)),
        Vectors::External(model, _) => Err(format!("has vectors of `{model}`: give the query's own as vector")),
    }
}

/// Before any work: a mode that cannot be served says so. `embedded` is the dimensions of the platform's own model.
pub(super) fn check_vectors(request: &SearchRequest, selected: &[Selected], embedded: usize) -> Result<()> {
    if matches!(request.mode, Mode::Lexical | Mode::Filter) {
        return Ok(());
    }
    let given = request.vector.as_ref().map(Vec::len);
    for source in selected {
        match comparable(&source.settings, request, embedded) {
            Ok((_, dimensions)) if given.is_some_and(|given| given != dimensions) => {
                let message = format!(
                    "vector has {} numbers, datasource `{}` wants {dimensions}",
                    given.unwrap_or(0),
                    source.id()
                );
                return Err(Error::invalid("vector", message));
            }
            Err(why) if request.mode == Mode::Vector && source.is_named => {
                return Err(Error::invalid("mode", format!("mode vector: datasource `{}` {why}", source.id())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The query as the datasources of one language see it.
struct Weighed {
    groups: Vec<TermGroup>,
    weights: Weights,
}

/// BM25 with statistics summed over all sources of one language, so that scores of different datasources compare. Other
/// languages cut a query into other groups, which cannot be summed. Empty without a BM25 leg.
fn weighed(request: &SearchRequest, sources: &Sources) -> BTreeMap<&'static str, Weighed> {
    let mut by_language: BTreeMap<&'static str, (Language, Vec<&CollectionStatistics>)> = BTreeMap::new();
    if request.mode != Mode::Vector {
        for source in &sources.all {
            let language = source.settings.language;
            by_language.entry(language.as_str()).or_insert((language, Vec::new())).1.push(&source.statistics);
        }
    }
    let weigh = |(name, (language, statistics)): (&'static str, (Language, Vec<&CollectionStatistics>))| {
        let groups = analyze_query(request.text().unwrap_or_default(), language);
        let passages = statistics.iter().map(|s| s.passages).sum();
        let terms = statistics.iter().map(|s| s.terms).sum();
        let frequencies: Vec<u64> =
            (0..groups.len()).map(|g| statistics.iter().filter_map(|s| s.frequencies.get(g)).sum()).collect();
        let weights = Weights::new(&groups, passages, terms, &frequencies);
        (name, Weighed { groups, weights })
    };
    by_language.into_iter().map(weigh).collect()
}

/// What one datasource found: in its BM25 leg, and in that of its model.
#[derive(Default)]
struct Scores {
    lexical: Vec<Scored>,
    vector: Vec<Scored>,
    lexical_took: Duration,
    vector_took: Duration,
}

/// Runs the legs: each datasource is visited once, for all of its own.
async fn legs(
    context: &RequestContext,
    sources: &Sources,
    words: &BTreeMap<&'static str, Weighed>,
    vectors: &[QueryVector],
    timings: &mut Timings,
) -> Result<Vec<(LegKind, LegHits)>> {
    let started = Instant::now();
    let vector_of: HashMap<usize, &[f32]> =
        vectors.iter().flat_map(|query| query.sources.iter().map(|&i| (i, query.vector.as_slice()))).collect();
    let visits = sources.all.iter().enumerate().map(|(i, source)| {
        let (words, vector) = (words.get(source.settings.language.as_str()), vector_of.get(&i).copied());
        visit(context, source, words, vector)
    });
    let mut scores = in_turn_from_the_end(visits.collect()).await?;
    split(timings, started.elapsed(), &scores);

    let started = Instant::now();
    let mut legs: Vec<(LegKind, LegHits)> = Vec::new();
    if !words.is_empty() {
        let parts = scores.iter_mut().map(|scores| std::mem::take(&mut scores.lexical)).enumerate();
        legs.push((LegKind::Lexical, leg_in_order(context, sources, parts).await?));
    }
    timings.lexical += started.elapsed();
    let started = Instant::now();
    for query in vectors {
        let parts: Vec<_> = query.sources.iter().map(|&i| (i, std::mem::take(&mut scores[i].vector))).collect();
        legs.push((LegKind::Vector, leg_in_order(context, sources, parts.into_iter()).await?));
    }
    timings.vector += started.elapsed();
    Ok(legs)
}

async fn visit(
    context: &RequestContext,
    source: &Source,
    words: Option<&Weighed>,
    vector: Option<&[f32]>,
) -> Result<Scores> {
    let (passages, permit, candidates) = (&source.store.passages, &source.permit, &source.candidates);
    let mut scores = Scores::default();
    if let Some(Weighed { groups, weights }) = words {
        let started = Instant::now();
        scores.lexical = passages.lexical(context, permit, groups, weights, candidates, DEPTH).await?;
        scores.lexical_took = started.elapsed();
    }
    if let Some(vector) = vector {
        let started = Instant::now();
        scores.vector = passages.nearest(context, permit, vector, candidates, DEPTH).await?;
        scores.vector_took = started.elapsed();
    }
    Ok(scores)
}

/// The legs run side by side: each is told its share of the time that they took together.
fn split(timings: &mut Timings, together: Duration, scores: &[Scores]) {
    let lexical: Duration = scores.iter().map(|scores| scores.lexical_took).sum();
    let vector: Duration = scores.iter().map(|scores| scores.vector_took).sum();
    let all = (lexical + vector).as_secs_f64();
    if all > 0.0 {
        timings.lexical = together.mul_f64(lexical.as_secs_f64() / all);
        timings.vector = together.mul_f64(vector.as_secs_f64() / all);
    }
}

/// Joins the datasources' parts of a leg: by score, then datasource, then id.
async fn leg_in_order(
    context: &RequestContext,
    sources: &Sources,
    parts: impl Iterator<Item = (usize, Vec<Scored>)>,
) -> Result<LegHits> {
    let mut hits: Vec<Ranked> = parts
        .flat_map(|(source, scored)| scored.into_iter().map(move |hit| (source, hit)))
        .map(|(source, hit)| Ranked {
            place: Place { source, row: hit.row },
            score: hit.score,
            passage: hit.passage,
            lexical: None,
            vector: None,
        })
        .collect();
    order(context, sources, &mut hits, 0..DEPTH).await?;
    hits.truncate(DEPTH);
    Ok(hits.into_iter().map(|hit| (hit.place, hit.score, hit.passage)).collect())
}

fn single(legs: Vec<(LegKind, LegHits)>) -> Vec<Ranked> {
    legs.into_iter().next().map(|(kind, leg)| alone(kind, leg)).unwrap_or_default()
}

/// Sorts by score, then datasource; and, where that ties within `needed`, by id. Ids are read for ties only.
async fn order(context: &RequestContext, sources: &Sources, hits: &mut [Ranked], needed: Range<usize>) -> Result<()> {
    hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
    let mut ties: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for part in hits.chunk_by(|a, b| a.score.to_bits() == b.score.to_bits() && a.place.source == b.place.source) {
        let range = at..at + part.len();
        at = range.end;
        if part.len() > 1 && range.start < needed.end && needed.start < range.end {
            ties.push(range);
        }
    }
    let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for hit in ties.iter().flat_map(|range| &hits[range.clone()]) {
        rows.entry(hit.place.source).or_default().push(hit.place.row);
    }
    let ids = rows.iter().map(|(source, rows)| ids_of(context, &sources.all[*source], *source, rows));
    let ids: HashMap<Place, String> = in_turn(ids).await?.into_iter().flatten().collect();
    for range in ties {
        hits[range].sort_by(|a, b| ids.get(&a.place).cmp(&ids.get(&b.place)));
    }
    Ok(())
}

async fn ids_of(
    context: &RequestContext,
    source: &Source,
    number: usize,
    rows: &[u32],
) -> Result<Vec<(Place, String)>> {
    let ids = source.store.records.ids(context, &source.permit, rows).await?;
    let places = rows.iter().map(|row| Place { source: number, row: *row });
    Ok(places.zip(ids).filter_map(|(place, id)| Some((place, id?))).collect())
}

/// Puts `ranked` in order and finds the page: its range, and whether more follows.
async fn window(
    context: &RequestContext,
    sources: &Sources,
    ranked: &mut Vec<Ranked>,
    position: Option<&Position>,
    limit: usize,
) -> Result<(Range<usize>, bool)> {
    let Some(position) = position else {
        order(context, sources, ranked, 0..limit + 1).await?;
        return Ok((0..limit.min(ranked.len()).min(DEPTH), ranked.len() > limit));
    };
    let score = position.score.map_or(f32::INFINITY, f32::from_bits);
    ranked.retain(|hit| hit.score <= score);
    let is_tied = |hit: &&Ranked| hit.score.to_bits() == score.to_bits();
    let tied = ranked.iter().filter(is_tied).count();
    order(context, sources, ranked, 0..tied + limit + 1).await?;
    let rows: Vec<(usize, Vec<u32>)> = (0..sources.all.len())
        .map(|source| {
            (source, ranked[..tied].iter().filter(|hit| hit.place.source == source).map(|hit| hit.place.row).collect())
        })
        .collect();
    let ids =
        rows.iter().filter(|(_, rows)| !rows.is_empty()).map(|(i, rows)| ids_of(context, &sources.all[*i], *i, rows));
    let ids: HashMap<Place, String> = in_turn(ids).await?.into_iter().flatten().collect();
    let is_given = |hit: &Ranked| {
        let id = ids.get(&hit.place).map_or("", String::as_str);
        (sources.all[hit.place.source].id(), id) <= (position.datasource.as_str(), position.id.as_str())
    };
    let from = ranked[..tied].partition_point(is_given);
    let room = DEPTH.saturating_sub(position.given).min(limit);
    let to = (from + room).min(ranked.len());
    Ok((from..to, ranked.len() > to))
}

/// Reads the page from the records: what is gone by now stays away.
async fn read(context: &RequestContext, sources: &Sources, page: &[Ranked]) -> Result<HashMap<Place, Found>> {
    let mut rows: BTreeMap<usize, Vec<(u32, Option<u32>)>> = BTreeMap::new();
    for hit in page {
        rows.entry(hit.place.source).or_default().push((hit.place.row, Some(hit.passage)));
    }
    let reads = rows.iter().map(|(i, rows)| async move {
        let source = &sources.all[*i];
        let found = source.store.records.read(context, &source.permit, rows).await?;
        let places = rows.iter().map(|(row, _)| Place { source: *i, row: *row });
        Ok::<_, Error>(places.zip(found).filter_map(|(place, found)| Some((place, found?))).collect::<Vec<_>>())
    });
    Ok(in_turn(reads).await?.into_iter().flatten().collect())
}

fn why(hit: &Ranked, is_fused: bool, request: &SearchRequest) -> Why {
    Why {
        lexical: hit.lexical,
        vector: hit.vector,
        fusion: is_fused.then_some("rrf(k=60)"),
        filter: request.filter.as_ref().map(crate::filter::Filter::canonical),
    }
}
