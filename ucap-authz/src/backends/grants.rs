//! The reference authorizer: grants of the catalog, compiled to bitmaps.

use std::sync::Arc;

use async_trait::async_trait;
use roaring::RoaringBitmap;
use time::OffsetDateTime;
use ucap_core::catalog::{Effect, Grant, Snapshot};
use ucap_core::{Action, RequestContext, Resource, ResourceKind, Result, Subject};

use crate::access::{AccessRequest, path};
use crate::authorizer::Authorizer;
use crate::decision::{Decision, Reason};
use crate::gate::Caller;
use crate::rights::Rights;

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;

/// Decides by the catalog's grants.
#[derive(Debug, Default, Clone, Copy)]
pub struct GrantAuthorizer;

#[async_trait]
impl Authorizer for GrantAuthorizer {
    async fn rights(
        &self,
        _context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
    ) -> Result<Rights> {
        Ok(compile(caller, snapshot, now))
    }

    async fn decide(
        &self,
        _context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>> {
        let rights = compile(caller, snapshot, now);
        Ok(requests.iter().map(|request| explain(&rights, snapshot, request)).collect())
    }
}

fn subjects(caller: &Caller) -> Vec<Subject> {
    let user = caller.user().map(|id| Subject::User(id.to_owned()));
    let groups = caller.groups().iter().map(|id| Subject::Group(id.clone()));
    user.into_iter().chain(groups).chain([Subject::Public]).collect()
}

fn compile(caller: &Caller, snapshot: &Snapshot, now: OffsetDateTime) -> Rights {
    let mut grants: Vec<Arc<Grant>> = subjects(caller)
        .iter()
        .flat_map(|subject| snapshot.grants_of(subject))
        .filter(|grant| grant.is_live(now))
        .cloned()
        .collect();
    grants.sort_by(|a, b| a.id.cmp(&b.id));
    let valid_until = grants.iter().filter_map(|grant| grant.expires_at).min();
    let scopes = caller.scopes().cloned();
    let mut datasources: [RoaringBitmap; 4] = Default::default();
    let mut domains: [RoaringBitmap; 4] = Default::default();
    for action in Action::ALL {
        let of = |effect: Effect| {
            grants.iter().filter(move |g| g.effect == effect && g.actions.contains(action)).map(|g| &g.resource)
        };
        let mut held = Reach::of(snapshot, of(Effect::Allow));
        if action == Action::Read {
            held.add_public(snapshot);
        }
        held.subtract(&Reach::of(snapshot, of(Effect::Deny)));
        if let Some(scopes) = &scopes {
            let kept = scopes.iter().filter(|scope| scope.actions.contains(action)).map(|scope| &scope.resource);
            held.intersect(&Reach::of(snapshot, kept));
        }
        datasources[action as usize] = held.datasources;
        domains[action as usize] = held.domains;
    }
    let digest = digest(caller, &grants, &datasources, &domains);
    Rights { datasources, domains, grants, scopes, valid_until, digest }
}

/// The domains and datasources at or below some resources.
#[derive(Default)]
struct Reach {
    datasources: RoaringBitmap,
    domains: RoaringBitmap,
}

impl Reach {
    fn of<'a>(snapshot: &Snapshot, resources: impl Iterator<Item = &'a Resource>) -> Self {
        let mut reach = Self::default();
        for resource in resources {
            reach.add(snapshot, resource);
        }
        reach
    }

    fn add(&mut self, snapshot: &Snapshot, resource: &Resource) {
        match (resource.kind(), resource.name()) {
            (ResourceKind::Platform, _) | (ResourceKind::Domain, None) => {
                self.datasources |= snapshot.all_datasources();
                self.domains |= snapshot.all_domains();
            }
            (ResourceKind::Domain, Some(name)) => {
                if let Some(domain) = snapshot.domain(name) {
                    self.domains.insert(domain.ordinal);
                }
                if let Some(members) = snapshot.members(name) {
                    self.datasources |= &**members;
                }
            }
            (ResourceKind::Datasource, None) => self.datasources |= snapshot.all_datasources(),
            (ResourceKind::Datasource, Some(name)) => {
                if let Some(datasource) = snapshot.datasource(name) {
                    self.datasources.insert(datasource.ordinal);
                }
            }
            (ResourceKind::Model | ResourceKind::Mcp | ResourceKind::Tool | ResourceKind::UseCase, _) => {}
        }
    }

    fn add_public(&mut self, snapshot: &Snapshot) {
        self.domains |= snapshot.public_domains();
        for domain in snapshot.public_domains().iter().filter_map(|ordinal| snapshot.domain_at(ordinal)) {
            if let Some(members) = snapshot.members(&domain.id) {
                self.datasources |= &**members;
            }
        }
    }

    fn subtract(&mut self, other: &Self) {
        self.datasources -= &other.datasources;
        self.domains -= &other.domains;
    }

    fn intersect(&mut self, other: &Self) {
        self.datasources &= &other.datasources;
        self.domains &= &other.domains;
    }
}

/// Covers the ordinals that each action reaches, which are given only once, and the grants that decide everything else.
fn digest(
    caller: &Caller,
    grants: &[Arc<Grant>],
    datasources: &[RoaringBitmap; 4],
    domains: &[RoaringBitmap; 4],
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&caller.binding()).update(&(grants.len() as u64).to_le_bytes());
    for grant in grants {
        hasher.update(&(grant.id.len() as u64).to_le_bytes()).update(grant.id.as_bytes());
        hasher.update(&grant.stamp.generation.to_le_bytes()).update(&grant.stamp.version.to_le_bytes());
    }
    for bitmap in datasources.iter().chain(domains) {
        hasher.update(&bitmap.len().to_le_bytes());
        bitmap.iter().for_each(|ordinal| {
            hasher.update(&ordinal.to_le_bytes());
        });
    }
    hasher.finalize().into()
}

fn explain(rights: &Rights, snapshot: &Snapshot, request: &AccessRequest) -> Decision {
    let Some(path) = path(&request.resource, snapshot) else { return Decision { allowed: false, reasons: Vec::new() } };
    let mut reasons: Vec<Reason> = rights
        .grants
        .iter()
        .filter(|grant| grant.actions.contains(request.action) && path.contains(&grant.resource))
        .map(|grant| Reason::Grant {
            id: grant.id.clone(),
            effect: grant.effect,
            subject: grant.subject.clone(),
            resource: grant.resource.clone(),
        })
        .collect();
    if request.action == Action::Read {
        let public = path.iter().filter(|above| above.kind() == ResourceKind::Domain).filter_map(Resource::name);
        let public = public.filter(|name| snapshot.domain(name).is_some_and(|domain| domain.public));
        reasons.extend(public.map(|name| Reason::PublicDomain(name.to_owned())));
    }
    if !reasons.is_empty() && !rights.kept_by_scopes(&path, request.action) {
        reasons.push(Reason::KeyScope);
    }
    Decision { allowed: rights.may(snapshot, &request.resource, request.action), reasons }
}
