//! Searches, timed one after the other on one connection, as a client sees them.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use super::corpus::Corpus;
use super::figures::{Figures, Latencies, milliseconds};
use super::loading::{ADVISORIES, KNOWLEDGE, LOCAL};
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

/// How a kind of request filters.
#[derive(Debug, Clone, Copy)]
enum Filtering {
    No,
    /// The same filter each time: the server may know its rows.
    OnePercent,
    /// Another filter each time.
    Half,
    /// A package and version, another one each time.
    Affects,
}

struct Asker<'a> {
    client: Client,
    workload: &'a Workload,
    vectors: Vec<Vec<f32>>,
    /// Filters that were used up: none is ever used twice.
    halves: usize,
}

pub(super) fn ask(
    server: &Server,
    corpus: &Corpus,
    workload: &Workload,
    local_model: bool,
    figures: &mut Figures,
) -> Result<()> {
    let mut asker =
        Asker { client: server.administrator()?, workload, vectors: query_vectors(corpus, workload)?, halves: 0 };
    let all = &[ADVISORIES, KNOWLEDGE][..];
    let advisories = &[ADVISORIES][..];
    let first = asker.once("hybrid", all, true, Filtering::No, 0)?;
    figures.single("first hybrid query after a restart", milliseconds(first.0), "ms", None);

    use Filtering::{Affects, Half, No, OnePercent};
    asker.times(figures, "filter, 1 %, cached", "filter", all, false, OnePercent, None)?;
    asker.times(figures, "filter, half, uncached", "filter", all, false, Half, Some(HALF_UNCACHED))?;
    asker.times(figures, "filter, affects, each another", "filter", advisories, false, Affects, Some(AFFECTS))?;
    for (mode, domains, given) in [("lexical", all, false), ("vector", advisories, true), ("hybrid", all, true)] {
        let of = if given { ", vector given" } else { "" };
        let goal = (mode == "hybrid").then_some(HYBRID_CACHED);
        asker.times(figures, &format!("{mode}{of}, no filter"), mode, domains, given, No, None)?;
        asker.times(figures, &format!("{mode}{of}, 1 %, cached"), mode, domains, given, OnePercent, goal)?;
        asker.times(figures, &format!("{mode}{of}, half, uncached"), mode, domains, given, Half, None)?;
        asker.times(figures, &format!("{mode}{of}, affects"), mode, advisories, given, Affects, None)?;
    }
    if local_model {
        // The first one may wait for the model to be read.
        asker.once("hybrid", &[LOCAL], false, No, 0)?;
        for (what, filtering) in [("no filter", No), ("1 %, cached", OnePercent)] {
            asker.times(
                figures,
                &format!("hybrid, query embedded here, {what} (rustsec + pypa)"),
                "hybrid",
                &[LOCAL],
                false,
                filtering,
                None,
            )?;
        }
    }
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
    #[expect(clippy::too_many_arguments, reason = "one call is one row of the table")]
    fn times(
        &mut self,
        figures: &mut Figures,
        what: &str,
        mode: &str,
        domains: &[&str],
        vector_given: bool,
        filtering: Filtering,
        p50_below: Option<f64>,
    ) -> Result<()> {
        for number in 0..WARM_UP {
            self.once(mode, domains, vector_given, filtering, number)?;
        }
        let (mut times, mut total, start) = (Latencies::default(), 0_u64, Instant::now());
        while times.count() < REQUESTS && start.elapsed() < LONGEST {
            let (took, left) = self.once(mode, domains, vector_given, filtering, times.count())?;
            times.add(took);
            total += left;
        }
        figures.latencies(what, &times, total / times.count().max(1) as u64, p50_below);
        Ok(())
    }

    /// One search: how long it took, and how many records satisfied the filter.
    fn once(
        &mut self,
        mode: &str,
        domains: &[&str],
        vector_given: bool,
        filtering: Filtering,
        number: usize,
    ) -> Result<(Duration, u64)> {
        let mut body = Map::new();
        body.insert("mode".into(), mode.into());
        body.insert("domains".into(), json!(domains));
        body.insert("limit".into(), 10.into());
        let query = number % self.workload.queries.len();
        if mode != "filter" {
            body.insert("query".into(), self.workload.queries[query].as_str().into());
        }
        if vector_given {
            body.insert("vector".into(), json!(self.vectors[query]));
        }
        if let Some(filter) = self.filter(filtering, number) {
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
            Filtering::Half => {
                self.halves += 1;
                Some(self.workload.about_half(self.halves).into())
            }
            Filtering::Affects => Some(self.workload.affects[number % self.workload.affects.len()].clone()),
        }
    }
}
