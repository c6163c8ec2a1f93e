//! Ingest, timed: with vectors of the local model, without vectors, with vectors that the records bring.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::corpus::{Corpus, with_vector};
use super::figures::Figures;
use super::progress::{Progress, say};
use crate::http::Client;
use crate::server::Server;
use crate::shell::Result;

/// Databases small enough to embed here.
pub(super) const EMBEDDED: [&str; 2] = ["rustsec", "pypa"];
/// Domains: advisories with the local model's vectors, all advisories, knowledge.
pub(super) const LOCAL: &str = "local";
pub(super) const ADVISORIES: &str = "advisories";
pub(super) const KNOWLEDGE: &str = "knowledge";

/// How much is sent in one request: as much as the server commits at once.
const LINES: usize = 1000;
const BYTES: usize = 7 << 20;

pub(super) fn load(server: &Server, corpus: &Corpus, local_model: bool, figures: &mut Figures) -> Result<()> {
    let mut client = server.administrator()?;
    for domain in [LOCAL, "plain", ADVISORIES, KNOWLEDGE] {
        client.post("/v1/domains", &json!({ "id": domain, "title": domain, "public": false }))?;
    }
    let small = |prefix: &str, domain: &str, vectors: bool, client: &mut Client| -> Result<(u64, Duration)> {
        let sizes = EMBEDDED.map(|database| Ok(corpus.advisories(database)?.count()));
        let total: usize = sizes.into_iter().sum::<Result<usize>>()?;
        let mut progress = Progress::new(if vectors { "embedding" } else { "loading" }, total as f64);
        let (mut count, mut took) = (0, Duration::ZERO);
        for database in EMBEDDED {
            let id = format!("{prefix}-{database}");
            client.post(
                "/v1/datasources",
                &json!({ "id": id, "domain": domain, "format": "osv", "title": id, "vectors": vectors }),
            )?;
            let sent = send(client, &id, telling(&mut progress, count, database, corpus.advisories(database)?))?;
            (count, took) = (count + sent.0, took + sent.1);
        }
        progress.end();
        Ok((count, took))
    };
    let (count, took) = small("plain", "plain", false, &mut client)?;
    figures.rate("ingest without vectors, rustsec + pypa", count, took);
    // What was only for this figure would otherwise be searched and held in memory.
    client.send("DELETE", "/v1/domains/plain?cascade=true", None)?.json()?;
    if local_model {
        let (count, took) = small(LOCAL, LOCAL, true, &mut client)?;
        figures.rate("ingest with the local model's vectors, rustsec + pypa", count, took);
    }
    let (count, took) = advisories(&mut client, corpus)?;
    figures.rate("ingest with given vectors, all advisories", count, took);
    let (count, took) = knowledge(&mut client, corpus)?;
    figures.rate("ingest without vectors, knowledge", count, took);
    let passages = [ADVISORIES, KNOWLEDGE]
        .iter()
        .try_fold(0.0, |sum, domain| Ok::<_, String>(sum + passages(&mut client, domain)?))?;
    figures.single("passages of advisories and knowledge", passages, "", None);
    Ok(())
}

fn advisories(client: &mut Client, corpus: &Corpus) -> Result<(u64, Duration)> {
    let mut vectors = corpus.vectors()?;
    let mut progress = Progress::new("loading advisories", vectors.rows as f64);
    let (mut count, mut took) = (0_u64, Duration::ZERO);
    for database in corpus.databases()? {
        let id = database.replace('_', "-");
        let body = json!({
            "id": id, "domain": ADVISORIES, "format": "osv", "title": database,
            "embedding_model": "external/minilm", "dimensions": vectors.columns,
        });
        client.post("/v1/datasources", &body)?;
        let records = corpus.advisories(&database)?;
        let records = records.map(|record| Ok(with_vector(&record?, &vectors.next_row()?)));
        let sent = send(client, &id, telling(&mut progress, count, &database, records))?;
        say(&format!("  {database}: {} records in {:.1} s", sent.0, sent.1.as_secs_f64()));
        (count, took) = (count + sent.0, took + sent.1);
    }
    progress.end();
    if usize::try_from(count) != Ok(vectors.rows) {
        return Err(format!("{count} advisories were taken, but there are {} vectors", vectors.rows));
    }
    Ok((count, took))
}

fn knowledge(client: &mut Client, corpus: &Corpus) -> Result<(u64, Duration)> {
    let files = corpus.knowledge()?;
    let mut progress =
        Progress::new("loading knowledge", files.iter().map(|(_, records)| records.len()).sum::<usize>() as f64);
    let (mut count, mut took) = (0_u64, Duration::ZERO);
    for (name, records) in files {
        let id = name.replace('_', "-");
        let schema =
            json!({ "fields": { "title": { "type": "text" }, "body": { "type": "text" } }, "text": ["title", "body"] });
        let body = json!({ "id": id, "domain": KNOWLEDGE, "format": "records", "title": name, "schema": schema, "vectors": false });
        client.post("/v1/datasources", &body)?;
        let sent = send(client, &id, telling(&mut progress, count, name, records.into_iter().map(Ok)))?;
        (count, took) = (count + sent.0, took + sent.1);
    }
    progress.end();
    Ok((count, took))
}

/// The records, of which `from` came before; each one that is taken shows in the progress.
fn telling<T>(
    progress: &mut Progress,
    from: u64,
    what: &str,
    records: impl Iterator<Item = T>,
) -> impl Iterator<Item = T> {
    (from..).zip(records).map(move |(number, record)| {
        progress.reach(number as f64, what);
        record
    })
}

/// Sends records in requests of a bounded size; the time is the server's: reading and preparing the records is not counted.
fn send(
    client: &mut Client,
    datasource: &str,
    records: impl Iterator<Item = Result<String>>,
) -> Result<(u64, Duration)> {
    let (mut count, mut took, mut lines, mut body) = (0, Duration::ZERO, 0, Vec::new());
    let mut flush = |body: &mut Vec<u8>| -> Result<()> {
        let start = Instant::now();
        count += client.ingest(datasource, body)?;
        took += start.elapsed();
        body.clear();
        Ok(())
    };
    for record in records {
        let record = record?;
        if lines == LINES || body.len() + record.len() > BYTES {
            flush(&mut body)?;
            lines = 0;
        }
        body.extend_from_slice(record.as_bytes());
        body.push(b'\n');
        lines += 1;
    }
    if !body.is_empty() {
        flush(&mut body)?;
    }
    Ok((count, took))
}

/// How many passages a domain's datasources hold.
fn passages(client: &mut Client, domain: &str) -> Result<f64> {
    let list = client.get("/v1/datasources?limit=1000")?;
    let mut sum = 0.0;
    for datasource in list.get("data").and_then(Json::as_array).into_iter().flatten() {
        if datasource.get("domain").and_then(Json::as_str) != Some(domain) {
            continue;
        }
        let id = datasource.get("id").and_then(Json::as_str).unwrap_or_default();
        let stats = client.get(&format!("/v1/datasources/{id}/stats"))?;
        sum += stats.get("passages").and_then(Json::as_f64).unwrap_or(0.0);
    }
    Ok(sum)
}
