//! Searches, timed one after the other on one connection, as a client sees them: warm, and as the first after a start.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use super::cold;
use super::corpus::Corpus;
use super::figures::{Figures, Latencies, milliseconds};
use super::loading::{ADVISORIES, KNOWLEDGE, LOCAL};
use super::progress::Progress;
use super::workload::Workload;
use crate::http::Client;
use crate::server::Server;
use crate::shell::Result;

/// A kind of request is asked so often, or so long.
const REQUESTS: usize = 300;
const LONGEST: Duration = Duration::from_secs(8);
/// Requests before the first that counts.
const WARM_UP: usize = 5;

/// Goals, in milliseconds for half of the requests.
const HYBRID_CACHED: f64 = 5.0;
const AFFECTS: f64 = 3.0;
const HALF_UNCACHED: f64 = 15.0;

const ALL: &[&str] = &[ADVISORIES, KNOWLEDGE];

/// How a kind of request filters.
#[derive(Debug, Clone, Copy)]
enum Filtering {
    No,
    /// The same filter each time: the server may know its rows.
    OnePercent,
    /// As `OnePercent`, for what is embedded here.
    OnePercentEmbedded,
    /// Another filter each time.
    Half,
    /// A package and version, another one each time.
    Affects,
}

/// Requests that differ in their words and vectors only.
#[derive(Debug, Clone)]
struct Kind {
    what: String,
    mode: &'static str,
    domains: &'static [&'static str],
    vector_given: bool,
    filtering: Filtering,
    p50_below: Option<f64>,
    /// Asked also as the first after a start without cached pages, under this name.
    cold: Option<&'static str>,
}

impl Kind {
    fn new(
        what: impl Into<String>,
        mode: &'static str,
        domains: &'static [&'static str],
        filtering: Filtering,
    ) -> Self {
        Self { what: what.into(), mode, domains, vector_given: false, filtering, p50_below: None, cold: None }
    }

    fn with_vector(self, vector_given: bool) -> Self {
        Self { vector_given, ..self }
    }

    fn with_goal(self, p50_below: f64) -> Self {
        Self { p50_below: Some(p50_below), ..self }
    }

    fn also_cold(self, cold: &'static str) -> Self {
        Self { cold: Some(cold), ..self }
    }
}

/// Everything that is asked, in order.
fn kinds(local_model: bool) -> Vec<Kind> {
    use Filtering::{Affects, Half, No, OnePercent};
    let mut kinds = vec![
        Kind::new("filter, 1 %, cached", "filter", ALL, OnePercent).also_cold("filter, 1 %"),
        Kind::new("filter, half, uncached", "filter", ALL, Half).with_goal(HALF_UNCACHED),
        Kind::new("filter, affects, each another", "filter", &[ADVISORIES], Affects)
            .with_goal(AFFECTS)
            .also_cold("filter, affects"),
    ];
    let legs: [(&str, &[&str], bool); 3] =
        [("lexical", ALL, false), ("vector", &[ADVISORIES], true), ("hybrid", ALL, true)];
    for (mode, domains, given) in legs {
        let of = if given { ", vector given" } else { "" };
        let kind = |what: &str, domains, filtering| {
            Kind::new(format!("{mode}{of}, {what}"), mode, domains, filtering).with_vector(given)
        };
        let cached = kind("1 %, cached", domains, OnePercent);
        kinds.extend([
            kind("no filter", domains, No).also_cold(mode),
            if mode == "hybrid" { cached.with_goal(HYBRID_CACHED) } else { cached },
            kind("half, uncached", domains, Half),
            kind("affects", &[ADVISORIES], Affects),
        ]);
    }
    if local_model {
        kinds.extend([("no filter", No), ("1 %, cached", Filtering::OnePercentEmbedded)].map(|(what, filtering)| {
            let what = format!("hybrid, query embedded here, {what} (rustsec + pypa)");
            Kind::new(what, "hybrid", &[LOCAL], filtering)
        }));
    }
    kinds
}

struct Asker<'a> {
    client: Client,
    workload: &'a Workload,
    vectors: &'a [Vec<f32>],
    /// Filters that were used up: none is ever used twice.
    halves: usize,
}

/// Asks every kind, warm and then cold.
///
/// # Errors
/// The server refused a search, or did not start again.
pub(super) fn ask(
    server: &mut Server,
    corpus: &Corpus,
    workload: &Workload,
    local_model: bool,
    figures: &mut Figures,
) -> Result<()> {
    let vectors = query_vectors(corpus, workload)?;
    let kinds = kinds(local_model);
    let mut asker = Asker { client: server.administrator()?, workload, vectors: &vectors, halves: 0 };
    let hybrid = Kind::new("", "hybrid", ALL, Filtering::No).with_vector(true);
    let first = asker.once(&hybrid, 0)?;
    figures.single("first hybrid query after a restart", milliseconds(first.0), "ms", None);
    if local_model {
        // The first one may wait for the model to be read.
        asker.once(&Kind::new("", "hybrid", &[LOCAL], Filtering::No), 0)?;
    }

    let mut progress = Progress::new("asking", kinds.len() as f64);
    let mut warm = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        warm.push(asker.times(figures, kind, |share| progress.reach(number as f64 + share, &kind.what))?);
    }
    progress.end();

    let colds = kinds.iter().zip(warm).filter_map(|(kind, warm)| Some((kind, kind.cold?, warm)));
    let colds: Vec<_> = colds.collect();
    disk(server, figures)?;
    let mut progress = Progress::new("asking after cold starts", colds.len() as f64);
    for (number, (kind, name, warm)) in colds.into_iter().enumerate() {
        progress.reach(number as f64, name);
        server.restart_after(cold::forget_pages)?;
        let mut asker = Asker { client: server.administrator()?, workload, vectors: &vectors, halves: 0 };
        let (took, _) = asker.once(kind, 0)?;
        figures.cold(&format!("{name}, first after a start without cached pages"), milliseconds(took), warm);
    }
    progress.end();
    Ok(())
}

/// How long the disk itself takes for everything that a cold start could need.
fn disk(server: &mut Server, figures: &mut Figures) -> Result<()> {
    let mut read = (0, Duration::ZERO);
    server.restart_after(|data| {
        cold::forget_pages(data)?;
        let start = Instant::now();
        read = (cold::read_through(data)?, start.elapsed());
        Ok(())
    })?;
    figures.single("the data directory read from the disk, without cached pages", milliseconds(read.1), "ms", None);
    figures.single(
        "the disk meanwhile",
        read.0 as f64 / f64::from(1 << 20) / read.1.as_secs_f64().max(1e-9),
        "MiB/s",
        None,
    );
    Ok(())
}

/// As many real vectors as there are queries, spread over the corpus.
fn query_vectors(corpus: &Corpus, workload: &Workload) -> Result<Vec<Vec<f32>>> {
    let mut rows = corpus.vectors()?;
    let stride = rows.rows / workload.queries.len();
    (0..workload.queries.len())
        .map(|number| {
            rows.seek(number * stride)?;
            rows.next_row()
        })
        .collect()
}

impl Asker<'_> {
    /// Asks a kind until it was asked often or long enough, telling how far that is; gives back the median in milliseconds.
    fn times(&mut self, figures: &mut Figures, kind: &Kind, mut reached: impl FnMut(f64)) -> Result<f64> {
        for number in 0..WARM_UP {
            self.once(kind, number)?;
        }
        let (mut times, mut total, start) = (Latencies::default(), 0_u64, Instant::now());
        while times.count() < REQUESTS && start.elapsed() < LONGEST {
            let (took, left) = self.once(kind, times.count())?;
            times.add(took);
            total += left;
            let by_time = start.elapsed().as_secs_f64() / LONGEST.as_secs_f64();
            reached(by_time.max(times.count() as f64 / REQUESTS as f64).min(1.0));
        }
        figures.latencies(&kind.what, &times, total / times.count().max(1) as u64, kind.p50_below);
        Ok(times.quantile(0.5))
    }

    /// One search: how long it took, and how many records satisfied the filter.
    fn once(&mut self, kind: &Kind, number: usize) -> Result<(Duration, u64)> {
        let Kind { mode, domains, vector_given, filtering, .. } = kind;
        let mut body = Map::new();
        body.insert("mode".into(), (*mode).into());
        body.insert("domains".into(), json!(domains));
        body.insert("limit".into(), 10.into());
        let query = number % self.workload.queries.len();
        if *mode != "filter" {
            body.insert("query".into(), self.workload.queries[query].as_str().into());
        }
        if *vector_given {
            body.insert("vector".into(), json!(self.vectors[query]));
        }
        if let Some(filter) = self.filter(*filtering, number) {
            body.insert("filter".into(), filter);
        }
        let body = Json::Object(body).to_string();
        let start = Instant::now();
        let answer = self.client.send_text("POST", "/v1/search", &body)?;
        let took = start.elapsed();
        let answer = answer.json().map_err(|error| format!("{mode} search of {domains:?}: {error}"))?;
        Ok((took, answer.get("total").and_then(Json::as_u64).unwrap_or(0)))
    }

    fn filter(&mut self, filtering: Filtering, number: usize) -> Option<Json> {
        match filtering {
            Filtering::No => None,
            Filtering::OnePercent => Some(self.workload.about_one_percent.as_str().into()),
            Filtering::OnePercentEmbedded => Some(self.workload.about_one_percent_embedded.as_str().into()),
            Filtering::Half => {
                self.halves += 1;
                Some(self.workload.about_half(self.halves).into())
            }
            Filtering::Affects => Some(self.workload.affects[number % self.workload.affects.len()].clone()),
        }
    }
}
