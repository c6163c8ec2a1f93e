//! Which datasources a search reads, and what its filter means in each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use ucap_authz::{Permit, Scope};
use ucap_core::{Action, Error, ErrorKind, RequestContext, Resource, Result};

use super::Retriever;
use crate::analysis::{TermGroup, analyze_query};
use crate::datastore::{Candidates, CollectionStatistics, Datastore};
use crate::filter::{Affects, Filter, Predicate, resolve};
use crate::query::{Mode, SearchRequest};
use crate::schema::Format;
use crate::settings::Settings;

/// Datasources of one search that are worked on at once.
const AT_ONCE: usize = 8;

/// A datasource of a search.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) permit: Permit,
    pub(super) settings: Settings,
    pub(super) store: Datastore,
    pub(super) predicate: Predicate,
    /// The rows that the filter leaves.
    pub(super) candidates: Arc<Candidates>,
    /// What it adds to the statistics; of a search with a BM25 leg only.
    pub(super) statistics: CollectionStatistics,
}

/// A datasource that is selected, before it is opened.
pub(super) struct Selected {
    permit: Permit,
    pub(super) settings: Settings,
    predicate: Predicate,
    /// Whether the request names it.
    pub(super) is_named: bool,
}

impl Source {
    pub(super) fn id(&self) -> &str {
        &self.permit.datasource().id
    }

    pub(super) fn generation(&self) -> u64 {
        self.permit.datasource().stamp.generation
    }
}

/// The datasources of a search in the order of their ids.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) all: Vec<Source>,
    /// Left out because they are being rebuilt.
    pub(super) unavailable: Option<Vec<String>>,
    /// How long the filter took.
    pub(super) filter: Duration,
}

impl Retriever {
    /// The permits of the request's datasources, by id, and whether each is named.
    pub(super) fn select(&self, scope: &Scope, request: &SearchRequest) -> Result<BTreeMap<String, (Permit, bool)>> {
        let in_domains = request.domains.as_ref().map(|domains| in_domains(scope, domains)).transpose()?;
        let mut selected = BTreeMap::new();
        match &request.datasources {
            Some(names) => {
                for name in names {
                    let permit = scope.permit(name, Action::Read).map_err(|error| error.with_param("datasources"))?;
                    selected.insert(name.clone(), (permit, true));
                }
            }
            None => {
                let permits = scope.permits(Action::Read).into_iter();
                selected.extend(permits.map(|permit| (permit.datasource().id.clone(), (permit, false))));
            }
        }
        if let Some(domains) = in_domains {
            selected.retain(|_, (permit, _)| domains.contains(&&permit.datasource().domain));
        }
        Ok(selected)
    }

    /// Opens them and types the filter for each; then takes all that can be had before the query is weighed: rows that the
    /// filter leaves, statistics. Each is visited once: there may be more than can be open at the same time.
    pub(super) async fn open_sources(
        &self,
        context: &RequestContext,
        selected: BTreeMap<String, (Permit, bool)>,
        request: &SearchRequest,
    ) -> Result<Sources> {
        let started = Instant::now();
        let mut typed = Vec::with_capacity(selected.len());
        for (_, (permit, is_named)) in selected {
            typed.push((Settings::of(permit.datasource())?, permit, is_named));
        }
        let schemas: Vec<&Settings> = typed.iter().map(|(settings, ..)| settings).collect();
        check_fields(request, &schemas)?;
        let mut ready = Vec::with_capacity(typed.len());
        let mut asked: Vec<Affects> = Vec::new();
        for (settings, permit, is_named) in typed {
            let (predicate, unparsed) = predicate(request.filter.as_ref(), &settings, &permit.datasource().id)?;
            asked.extend(unparsed.into_iter().filter(|affects| !asked.contains(affects)).collect::<Vec<_>>());
            ready.push(Selected { permit, settings, predicate, is_named });
        }
        super::ranked::check_vectors(request, &ready, self.embedder.model().dimensions)?;
        let survey = Survey::new(request, &asked, &ready);
        let opened = ready.into_iter().map(|selected| self.survey(context, &survey, selected));
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        for source in in_turn(opened).await? {
            match source {
                Ok(source) => all.push(source),
                Err(id) => missing.push(id),
            }
        }
        survey.check_versions()?;
        let unavailable = request.partial.then_some(missing);
        Ok(Sources { all, unavailable, filter: started.elapsed() })
    }

    /// Visits one datasource; its id where it is being rebuilt and may be left out.
    async fn survey(
        &self,
        context: &RequestContext,
        survey: &Survey<'_>,
        selected: Selected,
    ) -> Result<Result<Source, String>> {
        let Selected { permit, settings, predicate, .. } = selected;
        let store = match self.backend.open(context, permit.datasource()).await {
            Ok(store) => store,
            Err(error) if error.kind() == ErrorKind::DatasourceRebuilding && survey.request.partial => {
                return Ok(Err(permit.datasource().id.clone()));
            }
            Err(error) => return Err(error),
        };
        for (affects, is_listed) in &survey.asked {
            if !is_listed.load(Ordering::Relaxed) && store.records.lists_version(context, &permit, affects).await? {
                is_listed.store(true, Ordering::Relaxed);
            }
        }
        let candidates = store.records.candidates(context, &permit, &predicate, survey.request.withdrawn).await?;
        let statistics = match survey.groups.get(settings.language.as_str()) {
            Some(groups) => store.passages.statistics(context, &permit, groups).await?,
            None => CollectionStatistics::default(),
        };
        Ok(Ok(Source { permit, settings, store, predicate, candidates, statistics }))
    }
}

/// What a search asks of each datasource first.
struct Survey<'a> {
    request: &'a SearchRequest,
    /// Versions that cannot be parsed, and whether any datasource lists that very string.
    asked: Vec<(&'a Affects, AtomicBool)>,
    /// The query's groups of terms, by language; none without a BM25 leg.
    groups: BTreeMap<&'static str, Vec<TermGroup>>,
}

impl<'a> Survey<'a> {
    fn new(request: &'a SearchRequest, asked: &'a [Affects], selected: &[Selected]) -> Self {
        let mut groups = BTreeMap::new();
        if matches!(request.mode, Mode::Hybrid | Mode::Lexical) {
            let text = request.text().unwrap_or_default();
            for language in selected.iter().map(|selected| selected.settings.language) {
                groups.entry(language.as_str()).or_insert_with(|| analyze_query(text, language));
            }
        }
        Self { request, asked: asked.iter().map(|affects| (affects, AtomicBool::new(false))).collect(), groups }
    }

    /// A version that cannot be parsed is an error, unless a searched datasource lists that very string.
    fn check_versions(&self) -> Result<()> {
        let unlisted = self.asked.iter().filter(|(_, is_listed)| !is_listed.load(Ordering::Relaxed));
        match unlisted.filter_map(|(affects, _)| affects.unparsable()).next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Selected {
    pub(super) fn id(&self) -> &str {
        &self.permit.datasource().id
    }
}

impl Sources {
    /// The visible records that satisfy the filter.
    pub(super) fn total(&self) -> u64 {
        self.all.iter().map(|source| source.candidates.rows().len()).sum()
    }
}

fn in_domains<'a>(scope: &Scope, domains: &'a [String]) -> Result<Vec<&'a String>> {
    for domain in domains {
        if scope.actions(&Resource::domain(&**domain)).is_empty() {
            return Err(Error::not_found(format!("domain `{domain}`")).with_param("domains"));
        }
    }
    Ok(domains.iter().collect())
}

/// A field that no searched datasource has is the caller's mistake.
fn check_fields(request: &SearchRequest, sources: &[&Settings]) -> Result<()> {
    let filtered = request.filter.iter().flat_map(Filter::fields).map(|field| (field, "filter"));
    let sorted = request.sort.iter().map(|key| (key.field.as_str(), "sort"));
    for (field, param) in filtered.chain(sorted) {
        if !sources.iter().any(|source| source.schema.field(field).is_some()) {
            return Err(Error::invalid(param, format!("field `{field}` is in none of the searched datasources")));
        }
    }
    for key in &request.sort {
        let is_list = |source: &&Settings| source.schema.field(&key.field).is_some_and(|field| field.list);
        if sources.iter().any(is_list) {
            return Err(Error::invalid("sort", format!("field `{}` is a list: it cannot be sorted by", key.field)));
        }
    }
    Ok(())
}

/// Waits for all, a few at a time: a search takes few places in the queue of the CPU's work, however many datasources it
/// reads.
pub(super) async fn in_turn<T, F: Future<Output = Result<T>>>(work: impl IntoIterator<Item = F>) -> Result<Vec<T>> {
    let mut waiting: VecDeque<F> = work.into_iter().collect();
    let mut done = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let part: Vec<F> = waiting.drain(..AT_ONCE.min(waiting.len())).collect();
        done.extend(try_join_all(part).await?);
    }
    Ok(done)
}

/// As [`in_turn`], with the same results in the same order, but beginning with the last. A pass over the datasources that
/// follows another one so begins with those that are still open.
pub(super) async fn in_turn_from_the_end<T, F: Future<Output = Result<T>>>(work: Vec<F>) -> Result<Vec<T>> {
    let mut done = in_turn(work.into_iter().rev()).await?;
    done.reverse();
    Ok(done)
}

/// The filter typed for a datasource, and its questions about versions that cannot be parsed.
fn predicate(filter: Option<&Filter>, settings: &Settings, datasource: &str) -> Result<(Predicate, Vec<Affects>)> {
    let Some(filter) = filter else { return Ok((Predicate::True, Vec::new())) };
    let typed = resolve(filter, &settings.schema).map_err(|error| {
        let message = format!("{} (datasource `{datasource}`)", error.message());
        let param = error.param().unwrap_or("filter").to_owned();
        Error::new(error.kind(), message).with_param(param)
    })?;
    let unparsed = typed.unparsed().into_iter().cloned().collect();
    Ok((if settings.format == Format::Osv { typed } else { without_affects(typed) }, unparsed))
}

/// Only advisories say what they affect; elsewhere the question is answered with no.
pub(super) fn without_affects(predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::Affects(_) => Predicate::False,
        Predicate::And(parts) => Predicate::all(parts.into_iter().map(without_affects).collect()),
        Predicate::Or(parts) => Predicate::any(parts.into_iter().map(without_affects).collect()),
        Predicate::Not(part) => match without_affects(*part) {
            Predicate::True => Predicate::False,
            Predicate::False => Predicate::True,
            part => Predicate::Not(Box::new(part)),
        },
        other => other,
    }
}
