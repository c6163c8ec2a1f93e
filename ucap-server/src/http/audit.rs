//! `/v1/audit`

use http::Method;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::answer::{Answer, list, ok};
use super::incoming::Incoming;
use super::route::Route;
use crate::session::AuditEntry;

/// An entry of the journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryObject {
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    principal: String,
    kind: String,
    /// What the caller wrote.
    #[schema(required)]
    resource: Option<String>,
    #[schema(required)]
    decision: Option<String>,
    request_id: String,
}

/// Whether the journal is whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verification {
    valid: bool,
    /// How many entries fit.
    entries: u64,
    /// The first that does not.
    #[schema(required)]
    first_bad: Option<u64>,
}

impl From<AuditEntry> for EntryObject {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, principal, kind, resource, decision, request_id } = entry;
        Self { at, principal, kind, resource, decision, request_id }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/v1/audit",
            "accounting",
            "What happened, newest first; your own part without admin",
            index,
        )
        .lists::<EntryObject>(),
        Route::new(Method::POST, "/v1/audit/verify", "accounting", "Verify the journal's chain", verify)
            .answers::<Verification>(200)
            .administrators()
            .untimed(),
    ]
}

async fn index(call: Incoming) -> Answer {
    let query = call.query(&["limit", "cursor"])?;
    let page = call.session.audit(query.limit()?, query.get("cursor")).await?;
    list(page.entries.into_iter().map(EntryObject::from).collect(), page.next)
}

async fn verify(call: Incoming) -> Answer {
    call.query(&[])?;
    let verified = call.session.verify_audit().await?;
    ok(&Verification { valid: verified.valid, entries: verified.entries, first_bad: verified.first_bad })
}
