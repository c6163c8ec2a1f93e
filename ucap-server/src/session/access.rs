//! What a caller may do, and why.

use std::collections::BTreeMap;

use ucap_authz::administration::administers_something;
use ucap_authz::{AccessRequest, Decision, Reason, Scope};
use ucap_core::{Action, ActionSet, Error, ErrorKind, Resource, ResourceKind, Result, Subject};

use super::{Call, Session};

/// Who a caller is and what it may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Such as `user:ana`.
    pub principal: String,
    /// In order.
    pub groups: Vec<String>,
    /// The key it came with.
    pub key: Option<String>,
    /// Every visible resource, as grants write it, with the actions on it.
    pub actions: BTreeMap<String, ActionSet>,
}

/// A decision, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub allowed: bool,
    /// What it rests on.
    pub reasons: Vec<Reason>,
}

impl Session {
    /// Who the caller is and what it may touch.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub async fn me(&self) -> Result<Identity> {
        let call = self.begin("me").await?;
        let (scope, snapshot) = (&call.scope, call.scope.snapshot());
        let domains = scope.visible_domains();
        let datasources = scope.visible_datasources();
        let domains = domains.iter().filter_map(|o| snapshot.domain_at(o)).map(|domain| Resource::domain(&*domain.id));
        let datasources =
            datasources.iter().filter_map(|o| snapshot.datasource_at(o)).map(|held| Resource::datasource(&*held.id));
        let models = call.parts.gateway.models().map(|model| Resource::one(ResourceKind::Model, &*model.id));
        let all = std::iter::once(Resource::PLATFORM).chain(domains).chain(datasources).chain(models);
        let actions = all.map(|resource| (resource.to_string(), scope.actions(&resource)));
        Ok(Identity {
            principal: scope.principal().to_string(),
            groups: scope.caller().groups().iter().cloned().collect(),
            key: scope.caller().key().map(str::to_owned),
            actions: actions.filter(|(_, actions)| !actions.is_empty()).collect(),
        })
    }

    /// Whether the caller, or `subject`, may do `action` to `resource`. What is hidden or missing may not be touched. A
    /// group stands for somebody who is in it and in no other, `public` for somebody who is in none.
    ///
    /// # Errors
    /// Asking about somebody else takes `admin` on the resource: `PermissionDenied`, or `NotFound` where it is hidden.
    pub async fn check(&self, subject: Option<&str>, resource: &str, action: &str) -> Result<bool> {
        self.decide(subject, resource, action).await.map(|explanation| explanation.allowed)
    }

    /// As [`check`](Self::check), with reasons.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn explain(&self, subject: Option<&str>, resource: &str, action: &str) -> Result<Explanation> {
        self.decide(subject, resource, action).await
    }

    async fn decide(&self, subject: Option<&str>, resource: &str, action: &str) -> Result<Explanation> {
        let action = Action::parse(action).map_err(|error| error.with_param("action"))?;
        let parsed = Resource::parse(resource)?;
        let subject = subject.map(Subject::parse).transpose()?;
        let call = self.begin(resource).await?;
        let answer = decide(&call, subject.as_ref(), AccessRequest { resource: parsed, action }).await;
        call.end(answer).await
    }
}

async fn decide(call: &Call<'_>, subject: Option<&Subject>, request: AccessRequest) -> Result<Explanation> {
    let scope = &call.scope;
    let oneself = |subject: &&Subject| matches!(subject, Subject::User(id) if scope.caller().user() == Some(id));
    let other = subject.filter(|subject| !oneself(subject));
    let caller = match other {
        Some(subject) => {
            demand_administration(scope, &request.resource)?;
            call.parts.gate.describe(subject)
        }
        None => scope.caller().clone(),
    };
    // Reasons would tell that something hidden exists: a denial needs something to be denied on.
    if other.is_none() && !scope.is_platform_admin() && scope.actions(&request.resource).is_empty() {
        return Ok(Explanation { allowed: false, reasons: Vec::new() });
    }
    let decisions = call.parts.gate.explain(&call.context, &caller, &[request]).await?;
    let Decision { allowed, reasons } =
        decisions.into_iter().next().ok_or_else(|| Error::internal("the authorizer left a question unanswered"))?;
    Ok(Explanation { allowed, reasons })
}

/// Who administers nothing learns nothing; a platform administrator may ask about anything.
fn demand_administration(scope: &Scope, resource: &Resource) -> Result<()> {
    if scope.is_platform_admin() {
        return Ok(());
    }
    if !administers_something(scope) {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            "what others may do is told to administrators only; leave subject out to ask about yourself",
        ));
    }
    scope.demand(resource, Action::Admin).map_err(|error| error.with_param("resource"))
}
