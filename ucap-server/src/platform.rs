//! The platform on one data directory: opens every part, wires them together and hands out sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ucap_authz::identity::api_key::Peppers;
use ucap_authz::{Administration, Gate, GrantAuthorizer, administration};
use ucap_core::catalog::backends::sqlite::SqliteCatalogStore;
use ucap_core::catalog::{Catalog, Cause, Change, Effect, Grant, Object, ObjectKind, Planning, User};
use ucap_core::journal::{Durability, FileJournal, FileJournalOptions, JournalStore};
use ucap_core::{
    Action, ActionSet, Clock, DataDirectory, Entropy, Error, ErrorKind, Principal, Redacted, RequestContext, Resource,
    ResourceKind, Result, Subject, SystemClock, SystemEntropy, mint_id,
};
use ucap_inference::{
    ALL_MINILM_L6_V2, Gateway, LoadStatus, LocalEmbedder, LocalOptions, ModelProvider, PullOptions, cache_directory,
};
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::datastore::QueueBound;
use ucap_retrieval::retriever::{Retriever, RetrieverOptions};

use crate::background::Background;
use crate::denials::{Admission, AnonymousDenials};
use crate::session::Session;

/// The user whom the first start makes an administrator.
pub const ADMINISTRATOR: &str = "admin";
/// The file of the first administrator's key.
pub const ADMIN_KEY_FILE: &str = "admin.key";
/// The journal's principal of a request without a valid credential.
const ANONYMOUS: &str = "anonymous";
const PEPPER_FILE: &str = "peppers";
const CURSOR_KEY_FILE: &str = "cursor.key";
const SMALL_FILE_BYTES: u64 = 64 << 10;
/// A request without a deadline of its own (an ingest, a call of an embedding program) waits so long for the model.
const MODEL_PATIENCE: Duration = Duration::from_secs(600);

/// How a [`Platform`] is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlatformOptions {
    /// The data directory; created when it does not exist.
    pub path: PathBuf,
    /// What journal entries wait for at least.
    pub durability: Durability,
    /// So many datasources are held open at once.
    pub max_open: usize,
    /// Between two looks for records whose retention is over.
    pub retention_period: Duration,
    /// How much may wait for its embedding in one datasource.
    pub queue: QueueBound,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where the local embedding model is looked for.
    pub model: PullOptions,
    /// Embeds instead of the local model; must have a model `local/all-minilm-l6-v2`.
    pub provider: Option<Arc<dyn ModelProvider>>,
    /// The administrator's key, which replaces the one before and is not written to the disk.
    pub admin_key: Option<Redacted<String>>,
}

impl PlatformOptions {
    /// The defaults, on the directory `path`. The model's cache is `ucap` in the temporary folder until
    /// [`with_environment`](Self::with_environment) or [`with_model`](Self::with_model) names another.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::Process,
            max_open: 256,
            retention_period: Duration::from_secs(600),
            queue: QueueBound::default(),
            clock: Arc::new(SystemClock),
            model: PullOptions::new(std::env::temp_dir().join("ucap")),
            provider: None,
            admin_key: None,
        }
    }

    /// Takes the model's cache folder (`UCAP_CACHE`, else the user's) from the environment.
    #[must_use]
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        if let Some(cache) = cache_directory(variable) {
            self.model.cache = cache;
        }
        self
    }

    /// Sets where the local model is looked for.
    #[must_use]
    pub fn with_model(mut self, model: PullOptions) -> Self {
        self.model = model;
        self
    }

    /// Embeds with `provider` instead of the local model.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<dyn ModelProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the administrator's key.
    #[must_use]
    pub fn with_admin_key(mut self, key: Option<Redacted<String>>) -> Self {
        self.admin_key = key;
        self
    }
}

/// Everything ucap does, on one data directory. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Platform {
    parts: Arc<Parts>,
}

/// What a platform is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) gate: Arc<Gate>,
    pub(crate) administration: Administration,
    pub(crate) retriever: Arc<Retriever>,
    pub(crate) gateway: Gateway,
    pub(crate) journal: Arc<dyn JournalStore>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Keeps those without a credential from filling the journal.
    anonymous: AnonymousDenials,
    /// Seals the cursors of the audit list.
    pub(crate) cursor_key: Redacted<[u8; 32]>,
    local: Option<Arc<LocalEmbedder>>,
    background: Background,
    /// Dropped last: it holds the lock.
    directory: DataDirectory,
}

/// How far the local embedding model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// It answers.
    Ready,
    /// It is being looked for or loaded.
    Loading,
    /// It could not be loaded and will be tried again.
    Failed,
}

impl ModelState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Loading => "loading",
            Self::Failed => "failed",
        }
    }
}

impl Platform {
    /// Opens the platform on the directory `path`, with the model's cache where the environment says.
    ///
    /// # Errors
    /// As [`Platform::open_with`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(PlatformOptions::new(path).with_environment(|name| std::env::var_os(name))).await
    }

    /// Opens the platform. The embedding model is loaded behind it.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the directory's lock or the system refuses; `Unsupported` for a
    /// directory of a newer version; `InvalidInput` for an admin key that is too short.
    pub async fn open_with(options: PlatformOptions) -> Result<Self> {
        let directory = DataDirectory::open(&options.path)?;
        let clock = Arc::clone(&options.clock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let journal_options = FileJournalOptions { durability: options.durability, ..FileJournalOptions::default() };
        let journal_path = directory.sub("journal")?;
        let (journal_clock, journal_entropy) = (Arc::clone(&clock), Arc::clone(&entropy));
        let opening = tokio::task::spawn_blocking(move || {
            FileJournal::open(&journal_path, journal_options, journal_clock, journal_entropy)
        });
        let journal = opening.await.map_err(|e| Error::internal("opening the journal failed").with_source(e))??;
        let journal: Arc<dyn JournalStore> = Arc::new(journal);
        let store = SqliteCatalogStore::open(&directory.path().join("catalog.db")).await?;
        let guard = Box::new(administration::an_administrator_remains);
        let catalog = Catalog::open(Arc::new(store), Arc::clone(&journal), Arc::clone(&clock), guard).await?;
        let peppers = peppers(&directory, &*entropy)?;
        let cursor_key = Redacted::new(cursor_key(&directory, &*entropy)?);
        let gate =
            Arc::new(Gate::new(Arc::new(catalog), Arc::new(GrantAuthorizer), Arc::clone(&journal), clock, peppers));

        let (provider, local) = embedding_provider(&options);
        let gateway = Gateway::new().with_provider(provider)?;
        let known = gateway.clone();
        let known = move |resource: &Resource| {
            resource.kind() == ResourceKind::Model && resource.name().is_some_and(|name| known.model(name).is_some())
        };
        let administration = Administration::new(Arc::clone(&gate), Arc::clone(&entropy), Box::new(known));
        bootstrap(&administration, &directory, options.admin_key.as_ref()).await?;

        let embedder = gateway.embedder(ALL_MINILM_L6_V2)?;
        let embedded = EmbeddedOptions::new(embedder.model()).with_max_open(options.max_open);
        let backend = EmbeddedBackend::open(directory.sub("datasources")?, embedded)?;
        // A deletion that a crash cut short is finished before anybody asks.
        backend.sweep(gate.catalog().snapshot().datasources().map(|datasource| &**datasource)).await?;
        let retriever = Retriever::new(RetrieverOptions {
            gate: Arc::clone(&gate),
            backend,
            embedder,
            cursor_key: cursor_key.clone(),
        });
        let retriever = Arc::new(retriever.with_queue_bound(options.queue));
        let background = Background::start(&retriever, options.retention_period).await?;
        let parts = Parts {
            gate,
            administration,
            retriever,
            gateway,
            journal,
            entropy,
            anonymous: AnonymousDenials::default(),
            cursor_key,
            local,
            background,
            directory,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.parts.directory.path()
    }

    /// A session of a principal that the embedding program vouches for.
    ///
    /// # Errors
    /// `NotFound` when there is no such user; `InvalidInput` for the system, which holds no sessions.
    pub fn session(&self, principal: &Principal) -> Result<Session> {
        match principal {
            Principal::User(id) => Ok(Session::new(self, self.parts.gate.vouch(id)?)),
            Principal::System => Err(Error::invalid("principal", "the system holds no sessions; name a user")),
        }
    }

    /// A session of whoever holds the API key `bearer`.
    ///
    /// # Errors
    /// `Unauthenticated`.
    pub async fn authenticate(&self, bearer: &str) -> Result<Session> {
        self.authenticate_request(self.fresh_context(), Some(bearer), "platform").await
    }

    /// As [`authenticate`](Self::authenticate) for one request; `wanted` is what the caller named, for the journal.
    ///
    /// # Errors
    /// `Unauthenticated`; `Unavailable` when a refusal cannot be journaled.
    pub async fn authenticate_request(
        &self,
        context: RequestContext,
        bearer: Option<&str>,
        wanted: &str,
    ) -> Result<Session> {
        let missing =
            || Error::new(ErrorKind::Unauthenticated, "no API key was sent; send one as `Authorization: Bearer <key>`");
        let found = bearer.ok_or_else(missing).and_then(|bearer| self.parts.gate.authenticate(bearer));
        match found {
            Ok(caller) => Ok(Session::new(self, caller).with_context(context)),
            Err(error) => {
                self.record_anonymous(&context, wanted, error.kind()).await?;
                Err(error)
            }
        }
    }

    /// Journals a refusal of somebody unknown, within a bound: such requests cost their sender nothing.
    async fn record_anonymous(&self, context: &RequestContext, wanted: &str, kind: ErrorKind) -> Result<()> {
        let gate = &self.parts.gate;
        match self.parts.anonymous.admit(Instant::now()) {
            Admission::Record => gate.record_denial(context, ANONYMOUS, wanted, kind).await,
            Admission::RecordAfter { suppressed } => {
                let more = format!("{suppressed} more since the entry before");
                gate.record_denial(context, ANONYMOUS, &more, kind).await?;
                gate.record_denial(context, ANONYMOUS, wanted, kind).await
            }
            Admission::Suppress => Ok(()),
        }
    }

    /// A session with an administrator's rights, for who may read the data directory itself: the file's permissions are
    /// the wall, so there is nothing left to check.
    ///
    /// It acts as the user `admin`; where that user no longer administers the platform, as the first (by id) who does.
    /// When nobody does, which only a damaged or outlived catalog can bring about, `admin` gets its rights back.
    ///
    /// # Errors
    /// `Unavailable` when the journal or the catalog cannot be written.
    pub async fn admin_session(&self) -> Result<Session> {
        let context = self.fresh_context();
        if let Some(session) = self.session_if_administrator(&context, ADMINISTRATOR).await? {
            return Ok(session);
        }
        for user in self.parts.gate.catalog().snapshot().users() {
            if let Some(session) = self.session_if_administrator(&context, &user.id).await? {
                return Ok(session);
            }
        }
        tracing::warn!("nobody administers the platform: `{ADMINISTRATOR}` gets its rights back");
        let cause = Cause { principal: &Principal::System, resource: "platform" };
        let grant_id = mint_id(&*self.parts.entropy, "g_");
        self.parts
            .gate
            .catalog()
            .change(&context, cause, |planning| Ok((restore_administrator(planning, grant_id), ())))
            .await?;
        self.session(&Principal::User(ADMINISTRATOR.to_owned()))
    }

    async fn session_if_administrator(&self, context: &RequestContext, user: &str) -> Result<Option<Session>> {
        let Ok(caller) = self.parts.gate.vouch(user) else { return Ok(None) };
        let scope = self.parts.gate.scope(context, &caller).await?;
        Ok(scope.is_platform_admin().then(|| Session::new(self, caller)))
    }

    /// How far the embedding model is.
    pub fn model_state(&self) -> ModelState {
        match self.parts.local.as_ref().map(|local| local.status()) {
            None | Some(LoadStatus::Ready) => ModelState::Ready,
            Some(LoadStatus::Failed { .. }) => ModelState::Failed,
            Some(_) => ModelState::Loading,
        }
    }

    /// A context with a fresh request id and no deadline.
    pub(crate) fn fresh_context(&self) -> RequestContext {
        RequestContext::new(mint_id(&*self.parts.entropy, "req_"))
    }

    /// Ends everything in order: datasources, catalog, journal. Sessions fail from then on.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be flushed.
    pub async fn close(&self) -> Result<()> {
        self.parts.background.stop().await;
        self.parts.retriever.close().await?;
        self.parts.gate.catalog().close().await;
        self.parts.journal.close().await
    }
}

fn embedding_provider(options: &PlatformOptions) -> (Arc<dyn ModelProvider>, Option<Arc<LocalEmbedder>>) {
    if let Some(provider) = &options.provider {
        return (Arc::clone(provider), None);
    }
    let local = Arc::new(LocalEmbedder::start(LocalOptions::new(options.model.clone()).with_patience(MODEL_PATIENCE)));
    (Arc::clone(&local) as Arc<dyn ModelProvider>, Some(local))
}

fn peppers(directory: &DataDirectory, entropy: &dyn Entropy) -> Result<Peppers> {
    if let Some(bytes) = directory.read(PEPPER_FILE, SMALL_FILE_BYTES)? {
        return Peppers::from_file(&String::from_utf8_lossy(&bytes));
    }
    let peppers = Peppers::generate(entropy);
    directory.write_private(PEPPER_FILE, peppers.to_file().expose().as_bytes())?;
    Ok(peppers)
}

fn cursor_key(directory: &DataDirectory, entropy: &dyn Entropy) -> Result<[u8; 32]> {
    if let Some(bytes) = directory.read(CURSOR_KEY_FILE, SMALL_FILE_BYTES)? {
        return bytes.try_into().map_err(|_| {
            Error::internal(format!(
                "`{CURSOR_KEY_FILE}` in the data directory is not 32 bytes long; remove it and start again"
            ))
        });
    }
    let mut key = [0; 32];
    entropy.fill(&mut key);
    directory.write_private(CURSOR_KEY_FILE, &key)?;
    Ok(key)
}

/// The first start makes an administrator, whose key goes into a file unless it was given.
async fn bootstrap(
    administration: &Administration,
    directory: &DataDirectory,
    given: Option<&Redacted<String>>,
) -> Result<()> {
    let given = given.map(|key| key.expose().as_str());
    let minted = administration.bootstrap(&RequestContext::new("start"), given).await?;
    if let Some(text) = minted {
        directory.write_private(ADMIN_KEY_FILE, format!("{}\n", text.expose()).as_bytes())?;
        tracing::info!("the administrator's key is in {}", directory.path().join(ADMIN_KEY_FILE).display());
    } else if given.is_some() {
        // The key in it was replaced.
        let _ = std::fs::remove_file(directory.path().join(ADMIN_KEY_FILE));
    }
    Ok(())
}

/// The user `admin`, with all actions on the platform and no denial of its own.
fn restore_administrator(planning: &Planning<'_>, grant_id: String) -> Vec<Change> {
    let subject = Subject::User(ADMINISTRATOR.to_owned());
    let denies = planning.snapshot.grants_on(&Resource::PLATFORM).filter(|grant| grant.effect == Effect::Deny);
    let mut changes: Vec<Change> = denies.map(|grant| Change::Delete(ObjectKind::Grant, grant.id.clone())).collect();
    if planning.snapshot.user(ADMINISTRATOR).is_none() {
        let user = User { id: ADMINISTRATOR.to_owned(), groups: Default::default(), stamp: planning.birth };
        changes.push(Change::Put(Object::User(user)));
    }
    let grant = Grant {
        id: grant_id,
        subject,
        resource: Resource::PLATFORM,
        actions: Action::ALL.into_iter().collect::<ActionSet>(),
        effect: Effect::Allow,
        expires_at: None,
        stamp: planning.birth,
    };
    changes.push(Change::Put(Object::Grant(grant)));
    changes
}
