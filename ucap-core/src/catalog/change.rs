//! One step of a change: an object is put or removed. The same steps go to the snapshot, the store and the journal.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entities::{ApiKey, Datasource, Domain, Grant, Group, User};
use crate::error::{Error, Result};

/// An object of the catalog.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Object {
    /// A domain.
    Domain(Domain),
    /// A datasource.
    Datasource(Datasource),
    /// A user.
    User(User),
    /// A group.
    Group(Group),
    /// A grant.
    Grant(Grant),
    /// An API key.
    ApiKey(ApiKey),
}

/// The kind of an object, as stores and the journal write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A domain.
    Domain,
    /// A datasource.
    Datasource,
    /// A user.
    User,
    /// A group.
    Group,
    /// A grant.
    Grant,
    /// An API key.
    ApiKey,
}

impl ObjectKind {
    const ALL: [Self; 6] = [Self::Domain, Self::Datasource, Self::User, Self::Group, Self::Grant, Self::ApiKey];

    /// The word in stores, in the journal and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Datasource => "datasource",
            Self::User => "user",
            Self::Group => "group",
            Self::Grant => "grant",
            Self::ApiKey => "key",
        }
    }
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Domain(_) => ObjectKind::Domain,
            Self::Datasource(_) => ObjectKind::Datasource,
            Self::User(_) => ObjectKind::User,
            Self::Group(_) => ObjectKind::Group,
            Self::Grant(_) => ObjectKind::Grant,
            Self::ApiKey(_) => ObjectKind::ApiKey,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Domain(object) => &object.id,
            Self::Datasource(object) => &object.id,
            Self::User(object) => &object.id,
            Self::Group(object) => &object.id,
            Self::Grant(object) => &object.id,
            Self::ApiKey(object) => &object.id,
        }
    }

    /// The JSON that a store keeps.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which no object of ours causes.
    pub fn to_body(&self) -> Result<String> {
        fn write(object: &impl Serialize) -> Result<String> {
            serde_json::to_string(object)
                .map_err(|cause| Error::internal("a catalog object cannot be written").with_source(cause))
        }
        match self {
            Self::Domain(object) => write(object),
            Self::Datasource(object) => write(object),
            Self::User(object) => write(object),
            Self::Group(object) => write(object),
            Self::Grant(object) => write(object),
            Self::ApiKey(object) => write(object),
        }
    }

    /// Reads what a store kept.
    ///
    /// # Errors
    /// `Internal` naming the kind, if the store holds something else.
    pub fn from_body(kind: &str, body: &str) -> Result<Self> {
        fn read<T: DeserializeOwned>(kind: ObjectKind, body: &str) -> Result<T> {
            serde_json::from_str(body).map_err(|cause| {
                Error::internal(format!("the catalog holds a {} that cannot be read", kind.as_str())).with_source(cause)
            })
        }
        let kind = ObjectKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(|| Error::internal(format!("the catalog holds an object of the unknown kind `{kind}`")))?;
        Ok(match kind {
            ObjectKind::Domain => Self::Domain(read(kind, body)?),
            ObjectKind::Datasource => Self::Datasource(read(kind, body)?),
            ObjectKind::User => Self::User(read(kind, body)?),
            ObjectKind::Group => Self::Group(read(kind, body)?),
            ObjectKind::Grant => Self::Grant(read(kind, body)?),
            ObjectKind::ApiKey => Self::ApiKey(read(kind, body)?),
        })
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The object is created or replaced.
    Put(Object),
    /// The object is gone.
    Delete(ObjectKind, String),
}
