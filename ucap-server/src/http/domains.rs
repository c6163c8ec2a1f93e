//! `/v1/domains`

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ucap_authz::administration::DomainPatch;
use ucap_core::catalog::{Domain, ObjectKind};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, made, tagged};
use super::etag;
use super::incoming::Incoming;
use super::route::{Parameter, Route};
use crate::session::Session;

const CASCADE: &[Parameter] =
    &[Parameter { name: "cascade", r#type: "boolean", description: "Whether its datasources are deleted too." }];

/// A domain to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDomain {
    /// `[a-z0-9][a-z0-9._-]{0,63}`
    id: String,
    /// For people.
    #[serde(default)]
    title: String,
    /// Whether every caller with a valid credential may read it.
    #[serde(default)]
    public: bool,
}

/// What changes of a domain; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DomainPatch)]
pub(super) struct PatchBody {
    title: Option<String>,
    public: Option<bool>,
}

/// A domain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
pub(super) struct DomainObject {
    id: String,
    title: String,
    public: bool,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

impl From<&Domain> for DomainObject {
    fn from(domain: &Domain) -> Self {
        Self {
            id: domain.id.clone(),
            title: domain.title.clone(),
            public: domain.public,
            created_at: domain.stamp.created_at,
            version: domain.stamp.version,
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/v1/domains", "data", "List the domains you can see", index).lists::<DomainObject>(),
        Route::new(Method::POST, "/v1/domains", "data", "Create a domain", create)
            .administrators()
            .takes::<NewDomain>()
            .answers::<DomainObject>(200)
            .answers::<DomainObject>(201)
            .versioned(),
        Route::new(Method::GET, "/v1/domains/{id}", "data", "Read a domain", get)
            .answers::<DomainObject>(200)
            .versioned(),
        Route::new(Method::PATCH, "/v1/domains/{id}", "data", "Change a domain", change)
            .takes::<PatchBody>()
            .answers::<DomainObject>(200)
            .versioned(),
        Route::new(Method::DELETE, "/v1/domains/{id}", "data", "Delete a domain", delete)
            .parameters(CASCADE)
            .answers::<Deleted>(200)
            .versioned(),
    ]
}

fn answer(session: &Session, status: StatusCode, domain: &Domain) -> Answer {
    tagged(status, etag::of_object(session, ObjectKind::Domain, domain.stamp, false), &DomainObject::from(domain))
}

async fn index(call: Incoming) -> Answer {
    let page = call.session.domains(&call.page()?).await?;
    call.list(page.map(|domain| DomainObject::from(&*domain)))
}

async fn create(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewDomain>().await?;
    let created = session.create_domain(&new.id, &new.title, new.public).await?;
    answer(&session, made(created.is_new()), &created.into_inner())
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    answer(&call.session, StatusCode::OK, &*call.session.domain(call.path("id")).await?)
}

async fn change(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, if_match) = (call.path("id").to_owned(), call.if_match(ObjectKind::Domain));
    let (patch, session) = call.json::<PatchBody>().await?;
    let patch = DomainPatch { title: patch.title, public: patch.public };
    answer(&session, StatusCode::OK, &session.change_domain(&id, patch, if_match).await?)
}

async fn delete(call: Incoming) -> Answer {
    let cascade = call.query(&["cascade"])?.flag("cascade")?;
    let id = call.path("id");
    call.session.delete_domain(id, cascade, call.if_match(ObjectKind::Domain)).await?;
    deleted(id)
}
