//! `/v1/permissions/check`, `/v1/permissions/explain` and `/v1/me`

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use ucap_authz::Reason;
use utoipa::ToSchema;

use super::answer::{Answer, ok};
use super::grants::{effect_word, words};
use super::incoming::Incoming;
use super::route::Route;
use crate::session::{Explanation, Identity};

/// May somebody do something?
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Who; absent is yourself. `group:ID` is somebody in that group alone, `public` somebody in none. Asking about others
    /// takes admin on the resource.
    subject: Option<String>,
    resource: String,
    action: String,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Allowed {
    allowed: bool,
}

/// The answer, and what it rests on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct Explained {
    allowed: bool,
    /// Empty when nothing speaks about it.
    reasons: Vec<ReasonObject>,
}

/// What a decision rests on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = Reason)]
pub(super) enum ReasonObject {
    /// A grant speaks about the resource or something above it.
    Grant { id: String, effect: &'static str, subject: String, resource: String },
    /// The domain is public, which lets everyone read.
    PublicDomain { domain: String },
    /// The key's scopes leave it out.
    KeyScope,
}

/// Who you are and what you may touch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// Such as `user:ana`.
    principal: String,
    groups: Vec<String>,
    /// The key you came with.
    #[schema(required)]
    key_id: Option<String>,
    /// Your actions on each resource that you can see.
    actions: BTreeMap<String, Vec<&'static str>>,
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        let reason = |reason: Reason| match reason {
            Reason::Grant { id, effect, subject, resource } => ReasonObject::Grant {
                id,
                effect: effect_word(effect),
                subject: subject.to_string(),
                resource: resource.to_string(),
            },
            Reason::PublicDomain(domain) => ReasonObject::PublicDomain { domain },
            Reason::KeyScope => ReasonObject::KeyScope,
        };
        Self { allowed: explanation.allowed, reasons: explanation.reasons.into_iter().map(reason).collect() }
    }
}

impl From<Identity> for Me {
    fn from(identity: Identity) -> Self {
        let actions = identity.actions.into_iter().map(|(resource, actions)| (resource, words(actions)));
        Self {
            principal: identity.principal,
            groups: identity.groups,
            key_id: identity.key,
            actions: actions.collect(),
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/permissions/check", "permissions", "May you do it?", check)
            .takes::<Question>()
            .answers::<Allowed>(200),
        Route::new(Method::POST, "/v1/permissions/explain", "permissions", "May you do it, and why?", explain)
            .takes::<Question>()
            .answers::<Explained>(200),
        Route::new(Method::GET, "/v1/me", "permissions", "Who you are and what you may touch", me).answers::<Me>(200),
    ]
}

async fn check(call: Incoming) -> Answer {
    call.query(&[])?;
    let (question, session) = call.json::<Question>().await?;
    let allowed = session.check(question.subject.as_deref(), &question.resource, &question.action).await?;
    ok(&Allowed { allowed })
}

async fn explain(call: Incoming) -> Answer {
    call.query(&[])?;
    let (question, session) = call.json::<Question>().await?;
    let answer = session.explain(question.subject.as_deref(), &question.resource, &question.action).await?;
    ok(&Explained::from(answer))
}

async fn me(call: Incoming) -> Answer {
    call.query(&[])?;
    ok(&Me::from(call.session.me().await?))
}
