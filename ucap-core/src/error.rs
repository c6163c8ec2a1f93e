//! The one error type that crosses crates: a kind, a sentence for the caller, and what stays inside.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, in the vocabulary that every crate shares. The server maps each kind to one HTTP status and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; `param` names the field.
    InvalidInput,
    /// A cursor that was forged, or belongs to another caller or request.
    InvalidCursor,
    /// A documented thing that is not built, not compiled in, or not declared by the backend.
    Unsupported,
    /// Larger than a bound.
    TooLarge,
    /// No valid credential.
    Unauthenticated,
    /// The caller may see the thing but not do this.
    PermissionDenied,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// Another object has this id.
    AlreadyExists,
    /// It still holds other things.
    NotEmpty,
    /// The change would leave the platform in a state nobody can mend.
    Conflict,
    /// `If-Match` names another version.
    PreconditionFailed,
    /// The rights a scope was minted from have changed; mint another.
    ScopeExpired,
    /// The datasource is being rebuilt.
    DatasourceRebuilding,
    /// The model cannot be reached or is not loaded yet.
    ModelUnavailable,
    /// A queue is full.
    Overloaded,
    /// The deadline of the request has passed.
    DeadlineExceeded,
    /// It cannot be decided now (a store that does not answer, a lock that is held).
    Unavailable,
    /// A defect or a broken store.
    Internal,
}

/// How loud an error is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The caller's doing.
    Debug,
    /// Worth a look when frequent.
    Warn,
    /// Somebody must act.
    Error,
}

impl ErrorKind {
    /// Whether the same request may succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::DatasourceRebuilding
            | Self::ModelUnavailable
            | Self::Overloaded
            | Self::DeadlineExceeded
            | Self::Unavailable
            | Self::ScopeExpired => true,
            Self::InvalidInput
            | Self::InvalidCursor
            | Self::Unsupported
            | Self::TooLarge
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::NotFound
            | Self::AlreadyExists
            | Self::NotEmpty
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::Internal => false,
        }
    }

    /// The level at which an error of this kind is logged.
    pub fn severity(self) -> Severity {
        match self {
            Self::Internal => Severity::Error,
            Self::Unavailable | Self::Overloaded | Self::ModelUnavailable | Self::DatasourceRebuilding => {
                Severity::Warn
            }
            Self::InvalidInput
            | Self::InvalidCursor
            | Self::Unsupported
            | Self::TooLarge
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::NotFound
            | Self::AlreadyExists
            | Self::NotEmpty
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::ScopeExpired
            | Self::DeadlineExceeded => Severity::Debug,
        }
    }
}

/// An error: what the caller may read (`message`, `param`) and what only the log sees (`source`).
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result that every crate of ucap returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `message` is lower case, names the thing and says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, source: None }
    }

    /// The request is wrong at `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message).with_param(param)
    }

    /// `what` (such as ``datasource `ghsa` ``) is missing or hidden: one answer for both.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist or is not visible to you"))
    }

    /// A defect or a broken store; `message` is safe to show, `source` is not shown.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Names the field of the request that is wrong.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Keeps the cause for the log; it never reaches a caller.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The field of the request that is wrong.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// What somebody wrote, for a message: cut after 64 characters, without control characters.
pub fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}
