//! The things that exist. These shapes are also what the stores keep (as JSON), so a field is only ever added, with a default.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::identity::Subject;
use crate::resource::{ActionSet, Resource};

/// What every object carries. A name that is deleted and used again gets another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The epoch in which the object was created: unique for ever within one catalog and kind.
    pub generation: u64,
    /// Counts the object's changes from 1; the ETag.
    pub version: u64,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A field of knowledge: groups datasources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its id.
    pub id: String,
    /// For people.
    pub title: String,
    /// Whether every caller with a valid credential may read it.
    pub public: bool,
    /// Position in the rights' bitmaps, from `Planning::ordinal`; never used again.
    pub ordinal: u32,
    /// Generation, version, birth.
    pub stamp: Stamp,
}

/// Homogeneous data of one format and context: the smallest unit of permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datasource {
    /// Its id.
    pub id: String,
    /// The domain it belongs to.
    pub domain: String,
    /// `osv`, `records` or `documents`: retrieval knows what they mean.
    pub format: String,
    /// For people.
    pub title: String,
    /// Days after which records are deleted.
    pub retention_days: Option<u32>,
    /// What retrieval keeps with it (schema, language, embedding model …); opaque here.
    pub settings: serde_json::Value,
    /// Position in the rights' bitmaps, from `Planning::ordinal`; never used again.
    pub ordinal: u32,
    /// Generation, version, birth.
    pub stamp: Stamp,
}

/// Somebody who may hold keys and grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// The local groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Generation, version, birth.
    pub stamp: Stamp,
}

/// A named set of users; exists from the moment a user names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// For people.
    pub title: String,
    /// Generation, version, birth.
    pub stamp: Stamp,
}

/// Whether a grant gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Gives.
    Allow,
    /// Takes: anywhere on the path it beats every allow.
    Deny,
}

/// Who may (or may not) do what to which resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Minted.
    pub id: String,
    /// For whom.
    pub subject: Subject,
    /// On what.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Gives or takes.
    pub effect: Effect,
    /// From then on it is as if it were not there.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// Generation, version, birth.
    pub stamp: Stamp,
}

impl Grant {
    /// Whether it counts at `now`.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// One entry of a key's scopes: what the key keeps of its owner's rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyScope {
    /// The resource, and what it contains.
    pub resource: Resource,
    /// The actions kept.
    pub actions: ActionSet,
}

/// One secret of a key, stored as its keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySecret {
    /// HMAC-SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// Which pepper made the hash.
    pub pepper: u32,
    /// Set on the old secret by a rotation.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A credential of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Minted; part of the key's text.
    pub id: String,
    /// Its owner.
    pub user: String,
    /// The owner's generation: a new user of the same name does not inherit the key.
    pub user_generation: u64,
    /// For people; need not be unique.
    pub name: String,
    /// What it narrows its owner's rights to; `None` keeps all, an empty list none.
    pub scopes: Option<Vec<KeyScope>>,
    /// From then on it is refused.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// At most two: the current one and, during a rotation's overlap, the one before.
    pub secrets: Vec<KeySecret>,
    /// Generation, version, birth.
    pub stamp: Stamp,
}
