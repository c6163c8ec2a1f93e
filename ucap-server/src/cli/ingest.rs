//! `ucap ingest`: files and folders, sent as streams, one summed answer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{Method, StatusCode};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio_util::io::ReaderStream;

use super::args;
use super::complaint::{Complaint, Outcome};
use super::connection::{Ask, Connection, Reply, segment};
use super::sources::{Kind, Refusal, Source, find, unreadable};

const MAX_LISTED: usize = 1000;
/// A longer document is put by itself: as a line it would exceed a record's bound.
const MAX_LINE_DOCUMENT: u64 = 5 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// What an ingest did.
pub(super) struct Ingested {
    /// The sum of the answers.
    pub(super) report: Json,
    /// Why the command has failed all the same: a file that was not ingested.
    pub(super) failure: Option<String>,
}

/// Ingests, and answers with the sum. What is wrong with one file is noted, and the others are read.
pub(super) async fn ingest(connection: &Connection, wanted: &args::Ingest) -> Outcome<Ingested> {
    let found = find(&wanted.paths)?;
    let bar = bar(&found.sources);
    let mut sum = Sum::default();
    found.refusals.iter().for_each(|refusal| sum.refuse(refusal));
    let collection = format!("/v1/datasources/{}/records", segment(&wanted.datasource));
    let sent = send(connection, &collection, found.sources, &bar, &mut sum).await;
    bar.finish_and_clear();
    match sent {
        Ok(()) => Ok(sum.answer()),
        Err(complaint) if sum.accepted > 0 => Err(complaint.after(sum.accepted)),
        Err(complaint) => Err(complaint),
    }
}

async fn send(
    connection: &Connection,
    collection: &str,
    sources: Vec<Source>,
    bar: &ProgressBar,
    sum: &mut Sum,
) -> Outcome<()> {
    let mut documents = Vec::new();
    for source in sources {
        match source.kind {
            Kind::Document(content_type) if source.bytes > MAX_LINE_DOCUMENT => {
                put_document(connection, collection, &source, content_type, bar, sum).await?;
            }
            Kind::Document(_) => documents.push(source),
            Kind::Json | Kind::Lines => send_records(connection, collection, &source, bar, sum).await?,
        }
    }
    if documents.is_empty() { Ok(()) } else { send_documents(connection, collection, documents, bar, sum).await }
}

async fn send_records(
    connection: &Connection,
    collection: &str,
    source: &Source,
    bar: &ProgressBar,
    sum: &mut Sum,
) -> Outcome<()> {
    let Some(bytes) = open(source, bar, sum).await else { return Ok(()) };
    let content_type = if source.kind == Kind::Lines { "application/x-ndjson" } else { "application/json" };
    let ask = Ask::new(Method::POST, collection).stream(content_type, source.coding, bytes);
    let reply = connection.try_send(ask).await.map_err(|complaint| complaint.at(source.shown()))?;
    if reply.status.is_success() {
        sum.add(&reply.json()?, |_| Some((source.shown(), true)));
    } else if is_about_the_body(&reply) {
        sum.fail(source, Complaint::of_reply(&reply).sentence());
    } else {
        return Err(Complaint::of_reply(&reply).at(source.shown()));
    }
    Ok(())
}

/// What is wrong with one body says nothing about the others.
fn is_about_the_body(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE)
}

async fn send_documents(
    connection: &Connection,
    collection: &str,
    documents: Vec<Source>,
    bar: &ProgressBar,
    sum: &mut Sum,
) -> Outcome<()> {
    let documents: Arc<[Source]> = documents.into();
    let unread = Arc::new(Mutex::new(Vec::new()));
    let bytes = lines(Arc::clone(&documents), Arc::clone(&unread), bar.clone());
    let reply = connection.send(Ask::new(Method::POST, collection).stream("application/x-ndjson", None, bytes)).await?;
    let file = |line: usize| documents.get(line.wrapping_sub(1)).map(|source| (source.shown(), false));
    sum.add(&reply.json()?, file);
    for refusal in unread.lock().iter() {
        sum.refuse(refusal);
    }
    Ok(())
}

/// The answers of several requests, as one.
#[derive(Debug, Default)]
struct Sum {
    accepted: u64,
    unchanged: u64,
    rejected_count: u64,
    rejected: Vec<Json>,
    /// How many files were not ingested, and what is wrong with the first.
    failures: u64,
    failure: Option<String>,
}

impl Sum {
    /// `file` tells a line's file, and whether its lines have numbers of their own in it.
    fn add(&mut self, report: &Json, file: impl Fn(usize) -> Option<(String, bool)>) {
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        self.accepted += count("accepted");
        self.unchanged += count("unchanged");
        self.rejected_count += count("rejected_count");
        for rejection in report["rejected"].as_array().into_iter().flatten() {
            let line = rejection["line"].as_u64().unwrap_or(0);
            self.list(match file(usize::try_from(line).unwrap_or(usize::MAX)) {
                Some((file, true)) => json!({"file": file, "line": line, "error": rejection["error"]}),
                Some((file, false)) => json!({"file": file, "error": rejection["error"]}),
                None => json!({"file": null, "line": line, "error": rejection["error"]}),
            });
        }
    }

    /// Notes a file that was not ingested.
    fn refuse(&mut self, refusal: &Refusal) {
        self.rejected_count += 1;
        self.list(json!({"file": refusal.file, "error": refusal.error}));
        if refusal.is_failure {
            self.failures += 1;
            self.failure.get_or_insert_with(|| format!("{}: {}", refusal.file, refusal.error));
        }
    }

    fn fail(&mut self, source: &Source, error: impl Into<String>) {
        self.refuse(&Refusal { file: source.shown(), error: error.into(), is_failure: true });
    }

    fn list(&mut self, rejection: Json) {
        if self.rejected.len() < MAX_LISTED {
            self.rejected.push(rejection);
        }
    }

    fn answer(self) -> Ingested {
        let Self { accepted, unchanged, rejected_count, rejected, failures, failure } = self;
        let report = json!({"accepted": accepted, "unchanged": unchanged, "rejected_count": rejected_count, "rejected": rejected});
        let failure = failure.map(|first| match failures {
            1 => first,
            more => format!("{first} (and {} more files that were not ingested)", more - 1),
        });
        Ingested { report, failure }
    }
}

async fn put_document(
    connection: &Connection,
    collection: &str,
    source: &Source,
    content_type: &'static str,
    bar: &ProgressBar,
    sum: &mut Sum,
) -> Outcome<()> {
    let Some(bytes) = open(source, bar, sum).await else { return Ok(()) };
    let path = format!("{collection}/{}", segment(&source.id));
    let reply = connection.try_send(Ask::new(Method::PUT, path).stream(content_type, None, bytes)).await?;
    if reply.status.is_success() {
        sum.accepted += 1;
    } else if is_about_the_body(&reply) {
        sum.rejected_count += 1;
        sum.list(json!({"file": source.shown(), "error": Complaint::of_reply(&reply).sentence()}));
    } else {
        return Err(Complaint::of_reply(&reply).at(source.shown()));
    }
    Ok(())
}

/// The bytes of a source; none where it cannot be opened, which is noted.
async fn open(source: &Source, bar: &ProgressBar, sum: &mut Sum) -> Option<BoxStream<'static, io::Result<Bytes>>> {
    let bytes = if source.is_stdin() {
        ReaderStream::with_capacity(tokio::io::stdin(), CHUNK_BYTES).boxed()
    } else {
        let file = tokio::fs::File::open(&source.path).await;
        let file = file.map_err(|error| sum.fail(source, unreadable(&error))).ok()?;
        ReaderStream::with_capacity(file, CHUNK_BYTES).boxed()
    };
    let bar = bar.clone();
    Some(bytes.inspect(move |part| bar.inc(part.as_ref().map_or(0, |part| part.len() as u64))).boxed())
}

/// Documents as records, a line each; read only when their turn comes. The line of one that cannot be read is empty: such
/// lines are numbered, and passed over.
fn lines(
    documents: Arc<[Source]>,
    unread: Arc<Mutex<Vec<Refusal>>>,
    bar: ProgressBar,
) -> BoxStream<'static, io::Result<Bytes>> {
    let places = 0..documents.len();
    let lines = stream::iter(places).then(move |place| {
        let (documents, unread, bar) = (Arc::clone(&documents), Arc::clone(&unread), bar.clone());
        async move {
            let source = &documents[place];
            Ok(match read(&source.path).await {
                Ok(bytes) => {
                    bar.inc(bytes.len() as u64);
                    line(source, bytes)
                }
                Err(error) => {
                    unread.lock().push(Refusal { file: source.shown(), error: unreadable(&error), is_failure: true });
                    Bytes::from_static(b"\n")
                }
            })
        }
    });
    lines.boxed()
}

/// A document may have grown since it was found.
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    tokio::fs::File::open(path).await?.take(MAX_LINE_DOCUMENT + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MAX_LINE_DOCUMENT {
        return Err(io::Error::other("it grows while it is read; ingest it again"));
    }
    Ok(bytes)
}

fn line(source: &Source, bytes: Vec<u8>) -> Bytes {
    let content_type = match source.kind {
        Kind::Document(content_type) => content_type,
        Kind::Json | Kind::Lines => "text/plain",
    };
    let mut record = match String::from_utf8(bytes) {
        Ok(text) => json!({"id": source.id, "content_type": content_type, "text": text}),
        Err(error) => {
            json!({"id": source.id, "content_type": content_type, "base64": STANDARD.encode(error.as_bytes())})
        }
    }
    .to_string();
    record.push('\n');
    record.into()
}

fn bar(sources: &[Source]) -> ProgressBar {
    // The length of what is piped in is not known.
    let (template, bytes) = if sources.iter().any(Source::is_stdin) {
        ("{bytes} {bytes_per_sec}", None)
    } else {
        let bytes = sources.iter().map(|source| source.bytes).sum();
        ("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}", Some(bytes))
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Hidden where stderr is no terminal.
    ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr()).with_style(style)
}
