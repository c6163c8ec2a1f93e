//! What grants speak of: resources, actions, and which resources contain which.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, excerpt};
use crate::identity::is_id;

/// What may be done. No action implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// See content.
    Read,
    /// Add, replace and delete content.
    Write,
    /// Call a model, a tool or a use case.
    Execute,
    /// Change the thing itself and the grants on it.
    Admin,
}

impl Action {
    /// Every action, in the order answers show them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Execute, Self::Admin];

    /// Reads the word.
    ///
    /// # Errors
    /// `InvalidInput` with param `actions`.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word).ok_or_else(|| {
            Error::invalid(
                "actions",
                format!("action `{}` is unknown; actions are read, write, execute and admin", excerpt(word)),
            )
        })
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Action>", into = "Vec<Action>")]
pub struct ActionSet(u8);

impl ActionSet {
    /// No action.
    pub const NONE: Self = Self(0);

    /// All four.
    pub fn all() -> Self {
        Action::ALL.into_iter().collect()
    }

    /// Whether it holds `action`.
    pub fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What it holds, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }

    /// Adds one.
    pub fn insert(&mut self, action: Action) {
        self.0 |= action.bit();
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | action.bit()))
    }
}

impl From<Vec<Action>> for ActionSet {
    fn from(actions: Vec<Action>) -> Self {
        actions.into_iter().collect()
    }
}

impl From<ActionSet> for Vec<Action> {
    fn from(set: ActionSet) -> Self {
        set.iter().collect()
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Action::as_str)).finish()
    }
}

/// What kind of thing a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResourceKind {
    /// Everything.
    Platform,
    /// A field of knowledge.
    Domain,
    /// The smallest unit of permission on content.
    Datasource,
    /// A model.
    Model,
    /// An MCP server.
    Mcp,
    /// One tool of an MCP server, `SERVER/TOOL`.
    Tool,
    /// An orchestration.
    UseCase,
}

impl ResourceKind {
    const NAMED: [Self; 6] = [Self::Domain, Self::Datasource, Self::Model, Self::Mcp, Self::Tool, Self::UseCase];

    /// The word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Domain => "domain",
            Self::Datasource => "datasource",
            Self::Model => "model",
            Self::Mcp => "mcp",
            Self::Tool => "tool",
            Self::UseCase => "use-case",
        }
    }
}

/// A resource: the platform, one thing, or all things of a kind (`domain:*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource {
    kind: ResourceKind,
    name: Option<String>,
}

impl Resource {
    /// The platform itself.
    pub const PLATFORM: Self = Self { kind: ResourceKind::Platform, name: None };

    /// All things of `kind`.
    pub fn all(kind: ResourceKind) -> Self {
        Self { kind, name: None }
    }

    /// One thing; `name` is taken as it is, so that a lookup of a name that cannot exist finds nothing.
    pub fn one(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self { kind, name: Some(name.into()) }
    }

    /// `datasource:name`
    pub fn datasource(name: impl Into<String>) -> Self {
        Self::one(ResourceKind::Datasource, name)
    }

    /// `domain:name`
    pub fn domain(name: impl Into<String>) -> Self {
        Self::one(ResourceKind::Domain, name)
    }

    /// Reads `platform`, `KIND:NAME` or `KIND:*`.
    ///
    /// # Errors
    /// `InvalidInput` with param `resource`.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "platform" {
            return Ok(Self::PLATFORM);
        }
        let wrong = |why: &str| {
            Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "resource `{}` {why}; write platform, or domain, datasource, model, mcp, tool or use-case with `:NAME` or `:*`",
                    excerpt(text)
                ),
            )
            .with_param("resource")
        };
        let (word, name) = text.split_once(':').ok_or_else(|| wrong("has no kind"))?;
        let kind = ResourceKind::NAMED
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| wrong("is of an unknown kind"))?;
        if name == "*" {
            return Ok(Self::all(kind));
        }
        let allowed = match kind {
            ResourceKind::Model => is_model_id(name),
            ResourceKind::Tool => {
                name.split_once('/').is_some_and(|(server, tool)| is_id(server) && is_tool_name(tool))
            }
            _ => is_id(name),
        };
        if allowed { Ok(Self::one(kind, name)) } else { Err(wrong("has a name that is not allowed")) }
    }

    /// Its kind.
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// Its name; `None` for the platform and for all of a kind.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.name) {
            (ResourceKind::Platform, _) => f.write_str("platform"),
            (kind, Some(name)) => write!(f, "{}:{name}", kind.as_str()),
            (kind, None) => write!(f, "{}:*", kind.as_str()),
        }
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
    }
}

impl TryFrom<String> for Resource {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

fn is_model_id(name: &str) -> bool {
    (1..=192).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'+' | b':' | b'-' | b'/'))
}

fn is_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}
