//! What a principal may ask of the platform. Each call mints its own scope, so a revoked right ends with the next call.

mod access;
mod audit;
pub mod catalog;
mod ingest;
mod keys;
mod models;
pub(crate) mod page;

use ucap_authz::{Caller, Scope};
use ucap_core::{ErrorKind, Principal, RequestContext, Result};
use ucap_retrieval::content::Condition;
use ucap_retrieval::hit::{DatasourceStats, DeleteReport, RecordAnswer, SearchAnswer};
use ucap_retrieval::query::SearchRequest;
use ucap_retrieval::retriever::{Ingest, PutBody, Selection};

use crate::platform::{Parts, Platform};

pub use access::{Explanation, Identity};
pub use audit::{AuditEntry, AuditPage, Verified};
pub use ingest::SessionIngest;
pub use page::{Listed, PageRequest};

/// A principal's way into the platform. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Session {
    platform: Platform,
    caller: Caller,
    context: Option<RequestContext>,
}

/// One call: its context and what the caller may touch at its beginning.
struct Call<'a> {
    parts: &'a Parts,
    context: RequestContext,
    scope: Scope,
    /// What the caller named, as it wrote it.
    names: String,
}

impl Session {
    pub(crate) fn new(platform: &Platform, caller: Caller) -> Self {
        Self { platform: platform.clone(), caller, context: None }
    }

    /// Makes every call of this session part of the request `context`. Without one each call is a request of its own.
    #[must_use]
    pub fn with_context(mut self, context: RequestContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Whose session it is.
    pub fn principal(&self) -> &Principal {
        self.caller.principal()
    }

    /// The platform it belongs to.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// What tokens are bound to that this caller alone may bring back.
    #[cfg(feature = "http")]
    pub(crate) fn binding(&self) -> [u8; 32] {
        self.caller.binding()
    }

    fn parts(&self) -> &Parts {
        self.platform.parts()
    }

    fn context(&self) -> RequestContext {
        self.context.clone().unwrap_or_else(|| self.platform.fresh_context())
    }

    /// Begins a call. `names` is what the caller named, as it wrote it: the journal shows it should the call be refused.
    async fn begin(&self, names: impl Into<String>) -> Result<Call<'_>> {
        let (context, names) = (self.context(), names.into());
        match self.parts().gate.scope(&context, &self.caller).await {
            Ok(scope) => Ok(Call { parts: self.parts(), context, scope, names }),
            Err(error) => {
                if is_denial(error.kind()) {
                    let principal = self.principal().to_string();
                    self.parts().gate.record_denial(&context, &principal, &names, error.kind()).await?;
                }
                Err(error)
            }
        }
    }

    /// Searches.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::search`].
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchAnswer> {
        let call = self.begin(searched(request)).await?;
        let answer = call.parts.retriever.search(&call.context, &call.scope, request).await;
        call.end(answer).await
    }

    /// Reads one record.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::get`].
    pub async fn get(&self, datasource: &str, record: &str) -> Result<RecordAnswer> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let answer = call.parts.retriever.get(&call.context, &call.scope, datasource, record).await;
        call.end(answer).await
    }

    /// Begins an ingest; the right to write is demanded at once.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::ingest`].
    pub async fn ingest(&self, datasource: &str) -> Result<SessionIngest> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let ingest: Result<Ingest> = call.parts.retriever.ingest(&call.context, &call.scope, datasource).await;
        call.end(ingest).await.map(SessionIngest::new)
    }

    /// Adds or replaces one record, if all `conditions` hold of the one that is there. Also tells whether it is new.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::put`].
    pub async fn put(
        &self,
        datasource: &str,
        record: &str,
        body: PutBody,
        conditions: Vec<Condition>,
    ) -> Result<(bool, RecordAnswer)> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let answer = call.parts.retriever.put(&call.context, &call.scope, datasource, record, body, conditions).await;
        call.end(answer).await
    }

    /// Deletes the selected records.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::delete_records`].
    pub async fn delete_records(&self, datasource: &str, selection: Selection) -> Result<DeleteReport> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let report = call.parts.retriever.delete_records(&call.context, &call.scope, datasource, selection).await;
        call.end(report).await
    }

    /// Deletes one record, if all `conditions` hold of it.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::delete_record`].
    pub async fn delete_record(&self, datasource: &str, record: &str, conditions: Vec<Condition>) -> Result<()> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let done = call.parts.retriever.delete_record(&call.context, &call.scope, datasource, record, conditions).await;
        call.end(done).await
    }

    /// How much a datasource holds.
    ///
    /// # Errors
    /// As [`ucap_retrieval::Retriever::stats`].
    pub async fn stats(&self, datasource: &str) -> Result<DatasourceStats> {
        let call = self.begin(format!("datasource:{datasource}")).await?;
        let stats = call.parts.retriever.stats(&call.context, &call.scope, datasource).await;
        call.end(stats).await
    }
}

impl Session {
    /// Demands `admin` on the platform, for what only its administrators see. `names` is what was asked for.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub async fn demand_platform_admin(&self, names: &str) -> Result<()> {
        let call = self.begin(names).await?;
        let allowed = call.scope.demand_platform_admin();
        call.end(allowed).await
    }
}

impl Call<'_> {
    /// Ends the call: the one place where a refusal is journaled. A refusal that cannot be is no answer at all.
    async fn end<T>(self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && is_denial(error.kind())
        {
            let principal = self.scope.principal().to_string();
            self.parts.gate.record_denial(&self.context, &principal, &self.names, error.kind()).await?;
        }
        result
    }
}

fn is_denial(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::NotFound)
}

/// What a search names: its datasources and domains, or nothing in particular.
fn searched(request: &SearchRequest) -> String {
    let named = |kind: &'static str, ids: &Option<Vec<String>>| {
        ids.iter().flatten().map(move |id| format!("{kind}:{id}")).collect::<Vec<_>>()
    };
    let mut names = named("datasource", &request.datasources);
    names.extend(named("domain", &request.domains));
    if names.is_empty() { "search".to_owned() } else { names.join(",") }
}
