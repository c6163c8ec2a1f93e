//! `/v1/grants`

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ucap_authz::administration;
use ucap_core::catalog::{Effect, Grant, ObjectKind};
use ucap_core::{Action, ActionSet, Resource, Subject};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, made, tagged};
use super::error_response::Failure;
use super::etag;
use super::incoming::Incoming;
use super::json_body::{present_time, time};
use super::route::Route;
use crate::session::Session;

/// A grant to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGrant {
    /// `user:ID`, `group:ID` or `public`.
    subject: String,
    /// `platform`, or a kind with `:ID` or `:*`, such as `domain:vulnerabilities`.
    resource: String,
    /// Of `read`, `write`, `execute` and `admin`.
    actions: Vec<String>,
    /// `allow` (default) or `deny`.
    effect: Option<String>,
    #[serde(default, deserialize_with = "time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<OffsetDateTime>,
}

/// What changes of a grant; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantPatch {
    /// When it ends, or null for never.
    #[serde(default, deserialize_with = "present_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<OffsetDateTime>>,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub(super) struct GrantObject {
    id: String,
    subject: String,
    resource: String,
    actions: Vec<&'static str>,
    /// `allow` or `deny`.
    effect: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

pub(super) fn words(actions: ActionSet) -> Vec<&'static str> {
    actions.iter().map(Action::as_str).collect()
}

pub(super) fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

impl From<&Grant> for GrantObject {
    fn from(grant: &Grant) -> Self {
        Self {
            id: grant.id.clone(),
            subject: grant.subject.to_string(),
            resource: grant.resource.to_string(),
            actions: words(grant.actions),
            effect: effect_word(grant.effect),
            expires_at: grant.expires_at,
            created_at: grant.stamp.created_at,
            version: grant.stamp.version,
        }
    }
}

impl NewGrant {
    fn read(self) -> Result<administration::NewGrant, Failure> {
        let effect = match self.effect.as_deref() {
            None | Some("allow") => Effect::Allow,
            Some("deny") => Effect::Deny,
            Some(_) => return Err(Failure::invalid("effect", "effect is allow or deny")),
        };
        Ok(administration::NewGrant {
            subject: Subject::parse(&self.subject)?,
            resource: Resource::parse(&self.resource)?,
            actions: read_actions(&self.actions)?,
            effect,
            expires_at: self.expires_at,
        })
    }
}

pub(super) fn read_actions(actions: &[String]) -> Result<ActionSet, Failure> {
    Ok(actions.iter().map(|word| Action::parse(word)).collect::<Result<ActionSet, _>>()?)
}

pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/grants/{id}";
    vec![
        Route::new(Method::GET, "/v1/grants", "permissions", "List the grants on what you administer", index)
            .lists::<GrantObject>(),
        Route::new(Method::POST, "/v1/grants", "permissions", "Grant or deny actions", create)
            .takes::<NewGrant>()
            .answers::<GrantObject>(200)
            .answers::<GrantObject>(201)
            .versioned(),
        Route::new(Method::GET, path, "permissions", "Read a grant", get).answers::<GrantObject>(200).versioned(),
        Route::new(Method::PATCH, path, "permissions", "Change when a grant ends", change)
            .takes::<GrantPatch>()
            .answers::<GrantObject>(200)
            .versioned(),
        Route::new(Method::DELETE, path, "permissions", "Take a grant away", delete)
            .answers::<Deleted>(200)
            .versioned(),
    ]
}

fn answer(session: &Session, status: StatusCode, grant: &Grant) -> Answer {
    tagged(status, etag::of_object(session, ObjectKind::Grant, grant.stamp, false), &GrantObject::from(grant))
}

async fn index(call: Incoming) -> Answer {
    let page = call.session.grants(&call.page()?).await?;
    call.list(page.map(|grant| GrantObject::from(&*grant)))
}

async fn create(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewGrant>().await?;
    let created = session.create_grant(new.read()?).await?;
    answer(&session, made(created.is_new()), &created.into_inner())
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    answer(&call.session, StatusCode::OK, &call.session.grant(call.path("id")).await?)
}

async fn change(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, if_match) = (call.path("id").to_owned(), call.if_match(ObjectKind::Grant));
    let (patch, session) = call.json::<GrantPatch>().await?;
    answer(&session, StatusCode::OK, &session.change_grant(&id, patch.expires_at, if_match).await?)
}

async fn delete(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id");
    call.session.delete_grant(id, call.if_match(ObjectKind::Grant)).await?;
    deleted(id)
}
