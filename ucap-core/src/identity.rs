//! Who asks: principals and the subjects that grants name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, excerpt};

/// Whom a grant names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// `user:ana`
    User(String),
    /// `group:analysts`
    Group(String),
    /// Every caller with a valid credential.
    Public,
}

impl Subject {
    /// Reads `user:ID`, `group:ID` or `public`.
    ///
    /// # Errors
    /// `InvalidInput` with param `subject`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid("subject", format!("subject `{}` {why}; write user:ID, group:ID or public", excerpt(text)))
        };
        if text == "public" {
            return Ok(Self::Public);
        }
        match text.split_once(':') {
            Some(("user", id)) if is_user_id(id) || is_provider_id(id) => Ok(Self::User(id.to_owned())),
            Some(("group", id)) if is_id(id) || is_provider_id(id) => Ok(Self::Group(id.to_owned())),
            Some(("user" | "group", _)) => Err(wrong("has an id that is not allowed")),
            _ => Err(wrong("names nobody")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Public => f.write_str("public"),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl TryFrom<String> for Subject {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

/// Who acts: a user known here, or the platform itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A user, by id.
    User(String),
    /// Retention, compaction, reindexing and the like.
    System,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// Whether `id` may name a domain, datasource, group, MCP server or use case: `[a-z0-9][a-z0-9._-]{0,63}`.
pub fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len())
        && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether `id` may name a local user: `[A-Za-z0-9][A-Za-z0-9._@+:-]{0,127}`.
pub fn is_user_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'+' | b':' | b'-'))
}

/// Whether `id` is `<identity provider>/<name>`: the name any UTF-8 up to 256 bytes without control characters.
pub fn is_provider_id(id: &str) -> bool {
    id.split_once('/').is_some_and(|(provider, name)| is_id(provider) && is_bounded_text(name, 256))
}

/// Whether `id` may name a record: any UTF-8 of 1 to 512 bytes without control characters.
pub fn is_record_id(id: &str) -> bool {
    is_bounded_text(id, 512)
}

fn is_bounded_text(text: &str, bytes: usize) -> bool {
    !text.is_empty() && text.len() <= bytes && !text.chars().any(char::is_control)
}
