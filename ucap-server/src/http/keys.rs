//! `/v1/keys`

use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ucap_authz::administration::{self, MintedKey};
use ucap_core::Resource;
use ucap_core::catalog::{ApiKey, KeyScope, ObjectKind};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, tagged};
use super::error_response::Failure;
use super::etag;
use super::grants::{read_actions, words};
use super::incoming::Incoming;
use super::json_body::{objects, present_time, time};
use super::route::Route;
use crate::session::Session;

/// A year.
const MAX_OVERLAP_SECONDS: u64 = 366 * 24 * 3600;

/// A key to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// Its owner.
    user: String,
    /// For people; need not be unique.
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<OffsetDateTime>,
    /// What it keeps of its owner's rights; absent is all, an empty list none.
    #[serde(default, deserialize_with = "objects")]
    scopes: Option<Vec<ScopeBody>>,
}

/// What a key keeps.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyScope)]
pub(super) struct ScopeBody {
    resource: String,
    actions: Vec<String>,
}

/// What changes of a key; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPatch {
    name: Option<String>,
    /// When it ends, or null for never.
    #[serde(default, deserialize_with = "present_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<OffsetDateTime>>,
}

/// How a key is rotated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// So long the old secret stays good; default an hour.
    overlap_seconds: Option<u64>,
}

/// A key. Its text is shown once, to who made it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyObject {
    id: String,
    /// The key's text; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    user: String,
    name: String,
    #[schema(required)]
    scopes: Option<Vec<ScopeBody>>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

impl KeyObject {
    fn of(key: &ApiKey, text: Option<String>) -> Self {
        let scope = |scope: &KeyScope| ScopeBody {
            resource: scope.resource.to_string(),
            actions: words(scope.actions).into_iter().map(str::to_owned).collect(),
        };
        Self {
            id: key.id.clone(),
            key: text,
            user: key.user.clone(),
            name: key.name.clone(),
            scopes: key.scopes.as_ref().map(|scopes| scopes.iter().map(scope).collect()),
            expires_at: key.expires_at,
            created_at: key.stamp.created_at,
            version: key.stamp.version,
        }
    }
}

impl NewKey {
    fn read(self) -> Result<administration::NewKey, Failure> {
        let scope = |scope: ScopeBody| -> Result<KeyScope, Failure> {
            Ok(KeyScope { resource: Resource::parse(&scope.resource)?, actions: read_actions(&scope.actions)? })
        };
        let scopes =
            self.scopes.map(|scopes| scopes.into_iter().map(scope).collect::<Result<Vec<_>, _>>()).transpose()?;
        Ok(administration::NewKey { user: self.user, name: self.name, scopes, expires_at: self.expires_at })
    }
}

pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/keys/{id}";
    vec![
        Route::new(Method::GET, "/v1/keys", "permissions", "List your keys; all of them for administrators", index)
            .lists::<KeyObject>(),
        Route::new(Method::POST, "/v1/keys", "permissions", "Create a key", create)
            .administrators()
            .takes::<NewKey>()
            .answers::<KeyObject>(201)
            .versioned(),
        Route::new(Method::GET, path, "permissions", "Read a key", get).answers::<KeyObject>(200).versioned(),
        Route::new(Method::PATCH, path, "permissions", "Change a key's name or end", change)
            .administrators()
            .takes::<KeyPatch>()
            .answers::<KeyObject>(200)
            .versioned(),
        Route::new(Method::DELETE, path, "permissions", "Delete a key", delete)
            .administrators()
            .answers::<Deleted>(200)
            .versioned(),
        Route::new(Method::POST, "/v1/keys/{id}/rotate", "permissions", "Give a key a new secret", rotate)
            .administrators()
            .takes::<Rotation>()
            .answers::<KeyObject>(200)
            .versioned(),
    ]
}

fn answer(session: &Session, status: StatusCode, key: &ApiKey) -> Answer {
    tagged(status, etag::of_object(session, ObjectKind::ApiKey, key.stamp, false), &KeyObject::of(key, None))
}

fn answer_minted(session: &Session, status: StatusCode, minted: &MintedKey) -> Answer {
    let shown = KeyObject::of(&minted.key, Some(minted.text.expose().to_owned()));
    tagged(status, etag::of_object(session, ObjectKind::ApiKey, minted.key.stamp, false), &shown)
}

async fn index(call: Incoming) -> Answer {
    let page = call.session.keys(&call.page()?).await?;
    call.list(page.map(|key| KeyObject::of(&key, None)))
}

async fn create(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewKey>().await?;
    answer_minted(&session, StatusCode::CREATED, &session.create_key(new.read()?).await?)
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    answer(&call.session, StatusCode::OK, &*call.session.key(call.path("id")).await?)
}

async fn change(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, if_match) = (call.path("id").to_owned(), call.if_match(ObjectKind::ApiKey));
    let (patch, session) = call.json::<KeyPatch>().await?;
    answer(&session, StatusCode::OK, &session.change_key(&id, patch.name, patch.expires_at, if_match).await?)
}

async fn delete(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id");
    call.session.delete_key(id, call.if_match(ObjectKind::ApiKey)).await?;
    deleted(id)
}

async fn rotate(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id").to_owned();
    let (rotation, session) = call.json::<Rotation>().await?;
    let seconds = rotation.overlap_seconds.unwrap_or(3600);
    if seconds > MAX_OVERLAP_SECONDS {
        return Err(Failure::invalid("overlap_seconds", "overlap_seconds is more than a year"));
    }
    answer_minted(&session, StatusCode::OK, &session.rotate_key(&id, Duration::from_secs(seconds)).await?)
}
