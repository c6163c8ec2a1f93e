//! The configuration: one TOML file, every key also as `UCAP__SECTION__KEY` in the environment, which wins.
//!
//! ```toml
//! [server]
//! listen = "127.0.0.1:8080"
//! max_connections = 4096            # more wait to be accepted
//! max_requests = 1024               # at once; more are answered 503
//! max_ingests = 16                  # at once; more are answered 503
//! request_timeout_ms = 30000        # an ingest has none: it ends when its body does
//! idle_timeout_ms = 60000           # without a byte of a request's head or body
//! drain_timeout_ms = 20000          # for requests that run when the server is told to stop
//! [retrieval]
//! max_open = 256                    # datasources that are held open; the limit of open files may allow fewer
//! retention_period_ms = 600000      # between two looks for records whose retention_days are over
//! max_pending = 100000              # records of one datasource that wait for their embedding; more are answered 503
//! [journal]
//! durability = "process"            # or "disk": see the README
//! [embeddings]
//! model_dir = "/srv/models/all-MiniLM-L6-v2"   # taken from there and from nowhere else
//! offline = false                   # true downloads nothing
//! ```
//!
//! Whatever is wrong refuses to start and names its key; there are no fallbacks.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};
use ucap_core::journal::Durability;
use ucap_core::{Error, ErrorKind, Result};

use crate::platform::PlatformOptions;

/// Sections that the contract documents and this version does not have yet.
const NOT_BUILT: [&str; 8] = ["models", "mcp", "billing", "timeouts", "catalog", "identity", "datastores", "telemetry"];
const ENVIRONMENT: &str = "UCAP__";
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The checked configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerConfig,
    /// Finding things.
    pub retrieval: RetrievalConfig,
    /// The journal.
    pub journal: JournalConfig,
    /// The local embedding model.
    pub embeddings: EmbeddingsConfig,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at once.
    pub max_connections: NonZeroUsize,
    /// Requests at once.
    pub max_requests: NonZeroUsize,
    /// Ingests at once: each may hold some tens of MiB.
    pub max_ingests: NonZeroUsize,
    /// How long a request may take.
    pub request_timeout_ms: NonZeroUsize,
    /// How long a client may be silent within a request's head or body.
    pub idle_timeout_ms: NonZeroUsize,
    /// How long a stop waits for requests that run.
    pub drain_timeout_ms: NonZeroUsize,
}

/// `[retrieval]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalConfig {
    /// Datasources that are held open at once.
    pub max_open: NonZeroUsize,
    /// Between two looks for records whose retention is over.
    pub retention_period_ms: NonZeroUsize,
    /// Records of one datasource that wait for their embedding.
    pub max_pending: NonZeroUsize,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// What entries wait for at least.
    pub durability: Durability,
}

/// `[embeddings]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingsConfig {
    /// The folder with the model's files.
    pub model_dir: Option<PathBuf>,
    /// Whether nothing is downloaded.
    pub offline: bool,
}

const fn at_least_one(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_connections: at_least_one(4096),
            max_requests: at_least_one(1024),
            max_ingests: at_least_one(16),
            request_timeout_ms: at_least_one(30_000),
            idle_timeout_ms: at_least_one(60_000),
            drain_timeout_ms: at_least_one(20_000),
        }
    }
}

impl ServerConfig {
    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        milliseconds(self.request_timeout_ms)
    }

    /// How long a client may be silent.
    pub fn idle_timeout(&self) -> Duration {
        milliseconds(self.idle_timeout_ms)
    }

    /// How long a stop waits.
    pub fn drain_timeout(&self) -> Duration {
        milliseconds(self.drain_timeout_ms)
    }
}

fn milliseconds(n: NonZeroUsize) -> Duration {
    Duration::from_millis(n.get() as u64)
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            max_open: at_least_one(256),
            retention_period_ms: at_least_one(600_000),
            max_pending: at_least_one(100_000),
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { durability: Durability::Process }
    }
}

impl Config {
    /// Reads `file`, if there is one, and lays the `UCAP__…` variables of `environment` over it.
    ///
    /// # Errors
    /// `InvalidInput` naming the key (and `Unsupported` for a documented one that is not built yet).
    pub fn load(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let text = match file {
            Some(path) => read(path)?,
            None => String::new(),
        };
        Self::parse(&text, environment)
    }

    /// As [`Config::load`], from text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut table: Table = text.parse().map_err(|cause: toml::de::Error| {
            Error::invalid("config", format!("the configuration is no TOML: {}", cause.to_string().trim()))
        })?;
        for (name, value) in environment {
            if let Some(path) = name.strip_prefix(ENVIRONMENT) {
                overlay(&mut table, path, &value)
                    .map_err(|reason| Error::invalid(&*name, format!("the variable {name} {reason}")))?;
            }
        }
        if let Some(section) = NOT_BUILT.into_iter().find(|section| table.contains_key(*section)) {
            let message =
                format!("the section `{section}` is documented but not built yet (unsupported); leave it out");
            return Err(Error::new(ErrorKind::Unsupported, message).with_param(section));
        }
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner();
            Error::invalid(&*path, format!("the configuration's key `{path}` is wrong: {}", reason.to_string().trim()))
        })
    }

    /// The options that open a platform on `path` as configured.
    pub fn platform(&self, path: impl Into<PathBuf>) -> PlatformOptions {
        let mut options = PlatformOptions::new(path);
        options.durability = self.journal.durability;
        options.max_open = self.retrieval.max_open.get();
        options.retention_period = milliseconds(self.retrieval.retention_period_ms);
        options.queue.records = self.retrieval.max_pending.get() as u64;
        if let Some(directory) = &self.embeddings.model_dir {
            options.model.model_dir = Some(directory.clone());
        }
        if self.embeddings.offline {
            options.model = options.model.offline();
        }
        options
    }
}

fn read(path: &Path) -> Result<String> {
    let failed = |cause: std::io::Error| {
        Error::invalid("config", format!("the configuration {} cannot be read: {cause}", path.display()))
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::invalid("config", format!("the configuration {} is larger than 4 MiB", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Sets `SECTION__KEY` to `value`: TOML where it reads as such (`8`, `true`, `["a"]`), else a string.
fn overlay(table: &mut Table, path: &str, value: &str) -> Result<(), String> {
    let path = path.to_ascii_lowercase();
    let (sections, key) = path.rsplit_once("__").map_or((None, &*path), |(sections, key)| (Some(sections), key));
    let mut inner = table;
    for section in sections.into_iter().flat_map(|sections| sections.split("__")) {
        let entry = inner.entry(section).or_insert_with(|| Value::Table(Table::new()));
        inner = entry.as_table_mut().ok_or_else(|| format!("names `{section}` as a section, but it is a value"))?;
    }
    let read: Result<Table, _> = format!("value = {value}").parse();
    let value =
        read.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()));
    inner.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config> {
        Config::parse(text, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(parse("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_wins() {
        let text = "[retrieval]\nmax_open = 3\n[journal]\ndurability = 'process'";
        let config = parse(
            text,
            &[("UCAP__RETRIEVAL__MAX_OPEN", "9"), ("UCAP__JOURNAL__DURABILITY", "disk"), ("UCAP_ADMIN_KEY", "x")],
        );
        let config = config.unwrap();
        assert_eq!(config.retrieval.max_open.get(), 9);
        assert_eq!(config.journal.durability, Durability::Disk);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, environment, name) in [
            ("nosuch_key = 1", &[][..], "nosuch_key"),
            ("[retrieval]\nmax_open = 'many'", &[], "retrieval.max_open"),
            ("[retrieval]\nmax_open = 0", &[], "retrieval.max_open"),
            ("[retrieval]\nmax_opne = 1", &[], "max_opne"),
            ("[server]\nlisten = 'here'", &[], "server.listen"),
            ("[journal]\ndurability = 'maybe'", &[], "journal.durability"),
            ("[[models]]\nid = 'fast'", &[], "models"),
            ("a = = b", &[], "TOML"),
            ("", &[("UCAP__RETRIEVAL__NOSUCH", "1")], "nosuch"),
            ("retrieval = 1", &[("UCAP__RETRIEVAL__MAX_OPEN", "1")], "UCAP__RETRIEVAL__MAX_OPEN"),
        ] {
            let error = parse(text, environment).unwrap_err();
            assert!(error.message().contains(name), "{text}: {error}");
        }
    }
}
