//! `ucap ingest`: files and folders, sent as streams, one summed answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};
use tokio_util::io::ReaderStream;

use super::args;
use super::complaint::{Complaint, Outcome};
use super::connection::{Ask, Connection, segment};

const MAX_LISTED: usize = 1000;
/// A longer document is put by itself: as a line it would exceed a record's bound.
const MAX_LINE_DOCUMENT: u64 = 5 << 20;
const MAX_DEPTH: usize = 64;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One record, or an array.
    Json,
    /// A record a line.
    Lines,
    /// A document of this content type.
    Document(&'static str),
}

#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    kind: Kind,
    coding: Option<&'static str>,
    /// Relative to the folder that was named.
    relative: String,
    bytes: u64,
}

/// Ingests, and answers with the sum.
pub(super) async fn ingest(connection: &Connection, wanted: &args::Ingest) -> Outcome<Json> {
    let sources = find(&wanted.paths)?;
    let bar = bar(sources.iter().map(|source| source.bytes).sum());
    let mut sum = Sum::default();
    let collection = format!("/v1/datasources/{}/records", segment(&wanted.datasource));
    let mut documents = Vec::new();
    for source in sources {
        match source.kind {
            Kind::Document(content_type) if source.bytes > MAX_LINE_DOCUMENT => {
                put_document(connection, &collection, &source, content_type, &bar, &mut sum).await?;
            }
            Kind::Document(_) => documents.push(source),
            Kind::Json | Kind::Lines => {
                let ask = Ask::new(Method::POST, &collection);
                let lines = source.kind == Kind::Lines;
                let content_type = if lines { "application/x-ndjson" } else { "application/json" };
                let ask = ask.stream(content_type, source.coding, file(&source.path, &bar).await?);
                let reply = connection.send(ask).await.map_err(|complaint| complaint.at(source.path.display()))?;
                sum.add(&reply.json()?, |_| Some(source.path.display().to_string()));
            }
        }
    }
    if !documents.is_empty() {
        let documents: Arc<[Source]> = documents.into();
        let ask = Ask::new(Method::POST, &collection).stream(
            "application/x-ndjson",
            None,
            lines(Arc::clone(&documents), bar.clone()),
        );
        let reply = connection.send(ask).await?;
        let path = |line: usize| documents.get(line.wrapping_sub(1)).map(|source| source.path.display().to_string());
        sum.add(&reply.json()?, path);
    }
    bar.finish_and_clear();
    Ok(sum.answer())
}

/// The answers of several requests, as one.
#[derive(Debug, Default)]
struct Sum {
    accepted: u64,
    unchanged: u64,
    rejected_count: u64,
    rejected: Vec<Json>,
}

impl Sum {
    fn add(&mut self, report: &Json, file: impl Fn(usize) -> Option<String>) {
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        self.accepted += count("accepted");
        self.unchanged += count("unchanged");
        self.rejected_count += count("rejected_count");
        for rejection in report["rejected"].as_array().into_iter().flatten() {
            let line = rejection["line"].as_u64().unwrap_or(0);
            let file = file(usize::try_from(line).unwrap_or(usize::MAX));
            self.reject(json!({"file": file, "line": line, "error": rejection["error"]}));
        }
    }

    fn reject(&mut self, rejection: Json) {
        if self.rejected.len() < MAX_LISTED {
            self.rejected.push(rejection);
        }
    }

    fn answer(self) -> Json {
        let Self { accepted, unchanged, rejected_count, rejected } = self;
        json!({"accepted": accepted, "unchanged": unchanged, "rejected_count": rejected_count, "rejected": rejected})
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
    let path = format!("{collection}/{}", segment(&source.relative));
    let ask = Ask::new(Method::PUT, path).stream(content_type, None, file(&source.path, bar).await?);
    let reply = connection.try_send(ask).await?;
    let shown = source.path.display();
    match reply.status.as_u16() {
        200 | 201 => sum.accepted += 1,
        // What is wrong with this one document says nothing about the others.
        400 | 413 => {
            sum.rejected_count += 1;
            sum.reject(json!({"file": shown.to_string(), "line": 1, "error": Complaint::of_reply(&reply).sentence()}));
        }
        _ => return Err(Complaint::of_reply(&reply).at(shown)),
    }
    Ok(())
}

async fn file(path: &Path, bar: &ProgressBar) -> Outcome<BoxStream<'static, io::Result<Bytes>>> {
    let opened = tokio::fs::File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let bar = bar.clone();
    let bytes = ReaderStream::with_capacity(opened, 64 << 10);
    Ok(bytes.inspect(move |part| bar.inc(part.as_ref().map_or(0, |part| part.len() as u64))).boxed())
}

/// Documents as records, a line each; read only when their turn comes.
fn lines(documents: Arc<[Source]>, bar: ProgressBar) -> BoxStream<'static, io::Result<Bytes>> {
    let places = 0..documents.len();
    let lines = stream::iter(places).then(move |place| {
        let (documents, bar) = (Arc::clone(&documents), bar.clone());
        async move {
            let source = &documents[place];
            let bytes = tokio::fs::read(&source.path).await?;
            bar.inc(bytes.len() as u64);
            Ok(line(source, bytes))
        }
    });
    lines.boxed()
}

fn line(source: &Source, bytes: Vec<u8>) -> Bytes {
    let content_type = match source.kind {
        Kind::Document(content_type) => content_type,
        Kind::Json | Kind::Lines => "text/plain",
    };
    let mut record = match String::from_utf8(bytes) {
        Ok(text) => json!({"id": source.relative, "content_type": content_type, "text": text}),
        Err(error) => {
            json!({"id": source.relative, "content_type": content_type, "base64": STANDARD.encode(error.as_bytes())})
        }
    }
    .to_string();
    record.push('\n');
    record.into()
}

fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    // Hidden where stderr is no terminal.
    ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr()).with_style(style)
}

fn unreadable(path: &Path, error: &io::Error) -> Complaint {
    Complaint::new(format!("{} cannot be read: {error}", path.display()))
}

/// All files that the paths name, in order; nothing is sent before all of them are known to be there.
fn find(paths: &[PathBuf]) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        let data = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if data.is_dir() {
            let before = sources.len();
            walk(path, path, 0, &mut sources)?;
            if sources.len() == before {
                return Err(Complaint::new(format!(
                    "the folder {} holds no file that can be ingested",
                    path.display()
                )));
            }
        } else {
            let source = source(path, name_of(path), data.len()).ok_or_else(|| {
                let known = "*.json, *.jsonl, *.ndjson (also .zst, .gz), *.md, *.txt, *.html";
                Complaint::new(format!("{} is of no known type; name it {known}", path.display()))
            })?;
            sources.push(source);
        }
    }
    Ok(sources)
}

/// A file that was named itself has its path, if that is a relative one that stays below, else its name.
fn name_of(path: &Path) -> String {
    let below =
        path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    let name = if below { Some(path) } else { path.file_name().map(Path::new) };
    slashed(name.unwrap_or(path))
}

fn slashed(path: &Path) -> String {
    let parts = path.components().filter(|part| matches!(part, std::path::Component::Normal(_)));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Hidden files and links to folders are left out.
fn walk(root: &Path, folder: &Path, depth: usize, sources: &mut Vec<Source>) -> Outcome<()> {
    if depth > MAX_DEPTH {
        return Err(Complaint::new(format!("{} lies more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let failed = |error: io::Error| unreadable(folder, &error);
    let mut entries = std::fs::read_dir(folder).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(root, &path, depth + 1, sources)?;
        } else {
            let data = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            let relative = slashed(path.strip_prefix(root).unwrap_or(&path));
            sources.extend(data.is_file().then(|| source(&path, relative, data.len())).flatten());
        }
    }
    Ok(())
}

fn source(path: &Path, relative: String, bytes: u64) -> Option<Source> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let (name, coding) = match (name.strip_suffix(".zst"), name.strip_suffix(".gz")) {
        (Some(inner), _) => (inner, Some("zstd")),
        (_, Some(inner)) => (inner, Some("gzip")),
        _ => (&*name, None),
    };
    let kind = match (name.rsplit_once('.')?.1, coding) {
        ("json", _) => Kind::Json,
        ("jsonl" | "ndjson", _) => Kind::Lines,
        ("md" | "markdown", None) => Kind::Document("text/markdown"),
        ("txt", None) => Kind::Document("text/plain"),
        ("html" | "htm", None) => Kind::Document("text/html"),
        _ => return None,
    };
    Some(Source { path: path.to_owned(), kind, coding, relative, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<(Kind, Option<&'static str>)> {
        source(Path::new(name), String::new(), 0).map(|source| (source.kind, source.coding))
    }

    #[test]
    fn names_tell_kinds() {
        assert_eq!(kind("a/x.JSONL.zst"), Some((Kind::Lines, Some("zstd"))));
        assert_eq!(kind("x.ndjson"), Some((Kind::Lines, None)));
        assert_eq!(kind("x.json.gz"), Some((Kind::Json, Some("gzip"))));
        assert_eq!(kind("README.md"), Some((Kind::Document("text/markdown"), None)));
        assert_eq!(kind("x.md.gz"), None);
        assert_eq!(kind("x.exe"), None);
        assert_eq!(kind("noext"), None);
    }

    #[test]
    fn ids_are_relative_paths() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["b/c/x.md", "a.txt", ".hidden.md", "b/skip.bin"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|source| &*source.relative).collect::<Vec<_>>(), ["a.txt", "b/c/x.md"]);
        assert_eq!(name_of(Path::new("./notes/día.md")), "notes/día.md");
        assert_eq!(name_of(Path::new("/abs/día.md")), "día.md");
        assert_eq!(name_of(Path::new("../up/x.md")), "x.md");
        assert!(find(&[PathBuf::from("/nonexistent.jsonl")]).unwrap_err().sentence().contains("/nonexistent.jsonl"));
    }
}
