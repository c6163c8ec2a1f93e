//! What can be written after `ucap`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Security knowledge within your permissions: declare it, fill it, search it.
#[derive(Debug, Parser)]
#[command(name = "ucap", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
    /// Print JSON: the answer of the HTTP API.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What help says above the options that every command has.
const PLACE: &str = "Where the platform is";

/// Where the platform is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// A running server [default: http://127.0.0.1:8080].
    #[arg(long, global = true, env = "UCAP_SERVER", value_name = "URL", hide_env_values = true, help_heading = PLACE)]
    pub(super) server: Option<String>,
    /// An API key [default: without --server, the one in ./ucap-data/admin.key].
    #[arg(long, global = true, env = "UCAP_KEY", value_name = "KEY", hide_env_values = true, help_heading = PLACE)]
    pub(super) key: Option<String>,
    /// Instead of a server: work on this data directory, as its administrator.
    #[arg(long, global = true, value_name = "DIR", help_heading = PLACE)]
    pub(super) data: Option<PathBuf>,
    /// With --data: as this user.
    // What is global shares its names with the arguments of every command, and `user` is one of these.
    #[arg(long = "as", global = true, value_name = "USER", requires = "data", help_heading = PLACE)]
    pub(super) acting_as: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Search what you may read.
    Search(Search),
    /// Read records and documents from files and folders.
    Ingest(Ingest),
    /// Fields of knowledge, which group datasources.
    #[command(subcommand)]
    Domain(Domain),
    /// Homogeneous data: the smallest unit of permission.
    #[command(subcommand)]
    Datasource(Datasource),
    /// Who may hold keys and grants.
    #[command(subcommand)]
    User(User),
    /// Named sets of users.
    #[command(subcommand)]
    Group(Group),
    /// Who may do what.
    #[command(subcommand)]
    Grant(Grant),
    /// Credentials.
    #[command(subcommand)]
    Key(Key),
    /// What happened.
    #[command(subcommand)]
    Audit(Audit),
    /// Embedding models.
    #[command(subcommand)]
    Models(Models),
    /// Whether it is ready, and who you are.
    Status,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    #[command(flatten)]
    Later(Later),
}

/// What the contract names and this version does not have.
#[derive(Debug, Subcommand)]
pub(super) enum Later {
    /// Not built yet.
    #[command(hide = true)]
    Ask(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Mcp(Anything),
    /// Not built yet.
    #[command(hide = true)]
    UseCase(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Usage(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Budget(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Limit(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Backup(Anything),
    /// Not built yet.
    #[command(hide = true)]
    Eval(Anything),
}

impl Later {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ask(_) => "ask",
            Self::Mcp(_) => "mcp",
            Self::UseCase(_) => "use-case",
            Self::Usage(_) => "usage",
            Self::Budget(_) => "budget",
            Self::Limit(_) => "limit",
            Self::Backup(_) => "backup",
            Self::Eval(_) => "eval",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Search {
    /// What you look for; leave it out with --mode filter.
    pub(super) query: Option<String>,
    /// Which records, such as "severity >= 7 and exists(cwes)", or the same as JSON.
    #[arg(long, short)]
    pub(super) filter: Option<String>,
    /// Only in this datasource; again for more.
    #[arg(long, short = 'd', value_name = "ID")]
    pub(super) datasource: Vec<String>,
    /// Only in this domain; again for more.
    #[arg(long, value_name = "ID")]
    pub(super) domain: Vec<String>,
    /// hybrid, lexical, vector or filter [default: hybrid].
    #[arg(long, short)]
    pub(super) mode: Option<String>,
    /// At most so many hits, 1 to 1000 [default: 10].
    #[arg(long, short = 'n')]
    pub(super) limit: Option<u64>,
    /// With --mode filter: order by this field, FIELD or FIELD:desc; again for more.
    #[arg(long, value_name = "FIELD")]
    pub(super) sort: Vec<String>,
    /// Withdrawn records: exclude, include or only [default: exclude].
    #[arg(long)]
    pub(super) withdrawn: Option<String>,
    /// The query's embedding, given instead of computed: a JSON array, @FILE, or - for the standard input.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(super) vector: Option<String>,
    /// Say why each hit was found.
    #[arg(long)]
    pub(super) explain: bool,
    /// The next page: what the page before gave.
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Ingest {
    /// The datasource.
    pub(super) datasource: String,
    /// Files and folders: *.json, *.jsonl, *.ndjson (also .zst, .gz); *.md, *.txt, *.html. `-` reads lines from the
    /// standard input.
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Domain {
    /// Create a domain.
    Create {
        /// Its id.
        id: String,
        /// For people.
        #[arg(long, default_value = "")]
        title: String,
        /// Everyone with a key may read it.
        #[arg(long)]
        public: bool,
    },
    /// List the domains you can see.
    List,
    /// Show a domain.
    Show {
        /// Its id.
        id: String,
    },
    /// Delete a domain.
    Delete {
        /// Its id.
        id: String,
        /// With its datasources.
        #[arg(long)]
        cascade: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Datasource {
    /// Create a datasource.
    Create(NewDatasource),
    /// List the datasources you can see.
    List,
    /// Show a datasource, and how much it holds.
    Show {
        /// Its id.
        id: String,
    },
    /// Delete a datasource and its files.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewDatasource {
    /// Its id.
    pub(super) id: String,
    /// Its domain.
    #[arg(long, value_name = "ID")]
    pub(super) domain: String,
    /// osv, records or documents.
    #[arg(long)]
    pub(super) format: String,
    /// For people.
    #[arg(long, default_value = "")]
    pub(super) title: String,
    /// With --format records: the schema as JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(super) schema: Option<String>,
    /// en, es or auto [default: auto].
    #[arg(long)]
    pub(super) language: Option<String>,
    /// Embed nothing: lexical and filter search only.
    #[arg(long)]
    pub(super) no_vectors: bool,
    /// external/NAME: each record brings its own vector.
    #[arg(long, value_name = "ID")]
    pub(super) embedding_model: Option<String>,
    /// Length of an external model's vectors.
    #[arg(long)]
    pub(super) dimensions: Option<u64>,
    /// Delete records after so many days (documented, not built yet: the server refuses it).
    #[arg(long, value_name = "DAYS")]
    pub(super) retention_days: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Create a user.
    Create {
        /// Its id.
        id: String,
        /// A group it belongs to; again for more.
        #[arg(long, value_name = "ID")]
        group: Vec<String>,
    },
    /// List users.
    List,
    /// Show a user.
    Show {
        /// Its id.
        id: String,
    },
    /// Delete a user with its keys and grants.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Create a group.
    Create {
        /// Its id.
        id: String,
        /// For people.
        #[arg(long, default_value = "")]
        title: String,
    },
    /// List groups.
    List,
    /// Show a group.
    Show {
        /// Its id.
        id: String,
    },
    /// Delete a group with its grants.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    /// Grant actions, or deny them.
    Create {
        /// user:ID, group:ID or public.
        subject: String,
        /// platform, or domain:ID, datasource:ID, model:ID …; `*` for all of a kind.
        resource: String,
        /// read, write, execute, admin.
        #[arg(required = true)]
        actions: Vec<String>,
        /// Deny instead: beats every grant.
        #[arg(long)]
        deny: bool,
        /// When it ends, such as 2027-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List the grants on what you administer.
    List,
    /// Show a grant.
    Show {
        /// Its id.
        id: String,
    },
    /// Take a grant away.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Create a key; its text is shown once.
    Create {
        /// Its owner.
        user: String,
        /// For people.
        #[arg(long, default_value = "")]
        name: String,
        /// When it ends, such as 2027-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// What it keeps of its owner's rights, such as datasource:ghsa=read,write; again for more.
        #[arg(long, value_name = "RESOURCE=ACTIONS")]
        scope: Vec<String>,
    },
    /// List your keys; all of them for administrators.
    List,
    /// Show a key.
    Show {
        /// Its id.
        id: String,
    },
    /// Give a key a new secret.
    Rotate {
        /// Its id.
        id: String,
        /// So long the old secret stays good.
        #[arg(long, default_value_t = 3600)]
        overlap_seconds: u64,
    },
    /// Delete a key.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// What happened, newest first.
    List {
        /// At most so many entries, 1 to 1000.
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u64,
    },
    /// Verify the journal's chain; with --data also that of a damaged directory or a backup.
    Verify,
    /// With --data: put aside what does not fit the chain, and go on behind its last good entry.
    Repair,
}

#[derive(Debug, Subcommand)]
pub(super) enum Models {
    /// List the models you may call.
    List,
    /// Fetch the local embedding model, or verify one that is there.
    Pull {
        /// The folder with the model's files; nothing is downloaded then.
        #[arg(long, value_name = "DIR")]
        model_dir: Option<PathBuf>,
    },
}
