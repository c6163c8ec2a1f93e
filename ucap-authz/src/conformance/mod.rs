//! What every [`Authorizer`] must do, as checks that it runs on itself: [`authorizer`] owns the list.
//!
//! ```
//! use std::sync::Arc;
//! use ucap_authz::{Authorizer, GrantAuthorizer, conformance::authorizer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let violations = authorizer(|| Arc::new(GrantAuthorizer) as Arc<dyn Authorizer>, 50).await;
//! assert_eq!(violations, []);
//! # }
//! ```
//!
//! The worlds are random, the answers come from [`reference::may`]: forty lines without a bitmap.

pub mod reference;
mod world;

use std::sync::Arc;

use time::OffsetDateTime;
use ucap_core::catalog::{Change, Effect, Grant, Object, Snapshot};
use ucap_core::{Action, RequestContext, Resource, ResourceKind};

use crate::access::AccessRequest;
use crate::authorizer::Authorizer;
use crate::gate::Caller;
use crate::rights::Rights;

pub use world::World;

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What should hold.
    pub check: &'static str,
    /// What was seen instead.
    pub seen: String,
}

type Outcome = Result<(), String>;

/// Runs every check on `worlds` random worlds, each with a fresh authorizer; each check reports its first breach.
pub async fn authorizer(fresh: impl Fn() -> Arc<dyn Authorizer>, worlds: u64) -> Vec<Violation> {
    let mut seen: Vec<Violation> = Vec::new();
    for seed in 0..worlds {
        let (world, authorizer) = (World::new(seed), fresh());
        let asked = Asked { authorizer: &*authorizer, world: &world };
        let outcomes = [
            ("deny by default", asked.denies_by_default().await),
            ("check, list and reasons agree with the reference", asked.agrees().await),
            ("a deny only takes away, and beats every allow", asked.deny_wins().await),
            ("the order of grants does not matter", asked.order().await),
            ("a key's scopes only narrow", asked.scopes_narrow().await),
            ("what has expired is as if it were not there", asked.expiry().await),
            ("equal rights have one digest, other rights another", asked.digests().await),
        ];
        for (check, outcome) in outcomes {
            if let Err(what) = outcome
                && seen.iter().all(|violation| violation.check != check)
            {
                seen.push(Violation { check, seen: format!("world {seed}: {what}") });
            }
        }
    }
    seen
}

struct Asked<'a> {
    authorizer: &'a dyn Authorizer,
    world: &'a World,
}

impl Asked<'_> {
    async fn rights(&self, caller: &Caller, snapshot: &Arc<Snapshot>, now: OffsetDateTime) -> Result<Rights, String> {
        let context = RequestContext::new("conformance");
        self.authorizer.rights(&context, caller, snapshot, now).await.map_err(|error| format!("an error: {error}"))
    }

    async fn denies_by_default(&self) -> Outcome {
        let puts = self.world.objects(|object| match object {
            Object::Grant(_) => None,
            Object::Domain(domain) => Some(Object::Domain(ucap_core::catalog::Domain { public: false, ..domain })),
            other => Some(other),
        });
        let bare = Arc::new(Snapshot::default().after(1, &puts));
        for caller in &self.world.callers {
            let rights = self.rights(caller, &bare, self.world.now).await?;
            let allowed = self.world.requests().find(|(resource, action)| rights.may(&bare, resource, *action));
            if let Some((resource, action)) = allowed {
                return Err(format!("{action:?} on {resource} without any grant"));
            }
        }
        Ok(())
    }

    async fn agrees(&self) -> Outcome {
        let (snapshot, now) = (&self.world.snapshot, self.world.now);
        let requests: Vec<AccessRequest> =
            self.world.requests().map(|(resource, action)| AccessRequest { resource, action }).collect();
        for caller in &self.world.callers {
            let rights = self.rights(caller, snapshot, now).await?;
            let context = RequestContext::new("conformance");
            let decided = self.authorizer.decide(&context, caller, snapshot, now, &requests).await;
            let decided = decided.map_err(|error| format!("an error: {error}"))?;
            if decided.len() != requests.len() {
                return Err(format!("{} decisions on {} requests", decided.len(), requests.len()));
            }
            for (AccessRequest { resource, action }, decision) in requests.iter().zip(decided) {
                let expected = reference::may(snapshot, caller, resource, *action, now);
                let listed = listed(&rights, snapshot, resource, *action).unwrap_or(expected);
                let answers = (rights.may(snapshot, resource, *action), listed, decision.allowed);
                if answers != (expected, expected, expected) {
                    return Err(format!("{action:?} on {resource}: {answers:?} instead of {expected}"));
                }
                if decision.allowed && decision.reasons.is_empty() {
                    return Err(format!("{action:?} on {resource} is allowed without a reason"));
                }
            }
            if let Some(ordinal) = Action::ALL.into_iter().find_map(|action| unheld(&rights, snapshot, action)) {
                return Err(format!("ordinal {ordinal} is listed, but nothing has it"));
            }
        }
        Ok(())
    }

    async fn deny_wins(&self) -> Outcome {
        let (snapshot, now) = (&self.world.snapshot, self.world.now);
        let caller = &self.world.callers[0];
        let Some(subject) = caller.user().map(|user| ucap_core::Subject::User(user.to_owned())) else { return Ok(()) };
        let before = self.rights(caller, snapshot, now).await?;
        for (resource, action) in self.world.requests() {
            let actions = [action].into_iter().collect();
            let deny = self.world.grant("deny", subject.clone(), resource.clone(), actions, Effect::Deny);
            let after = Arc::new(snapshot.after(snapshot.epoch() + 1, &[Change::Put(Object::Grant(deny))]));
            let rights = self.rights(caller, &after, now).await?;
            if rights.may(&after, &resource, action) {
                return Err(format!("{action:?} on {resource} in spite of a deny on it"));
            }
            let wider = self.world.requests().find(|(r, a)| rights.may(&after, r, *a) && !before.may(snapshot, r, *a));
            if let Some((wide, action)) = wider {
                return Err(format!("a deny on {resource} gave {action:?} on {wide}"));
            }
        }
        Ok(())
    }

    async fn order(&self) -> Outcome {
        let mut puts = self.world.objects(|object| match object {
            Object::Grant(grant) => Some(Object::Grant(Grant { id: grant.id.chars().rev().collect(), ..grant })),
            other => Some(other),
        });
        puts.reverse();
        let other = Arc::new(Snapshot::default().after(self.world.snapshot.epoch(), &puts));
        for caller in &self.world.callers {
            let one = self.rights(caller, &self.world.snapshot, self.world.now).await?;
            let two = self.rights(caller, &other, self.world.now).await?;
            same(self.world, (&one, &self.world.snapshot), (&two, &other))?;
        }
        Ok(())
    }

    async fn scopes_narrow(&self) -> Outcome {
        let (snapshot, now) = (&self.world.snapshot, self.world.now);
        for caller in &self.world.callers {
            let user = caller.user().unwrap_or_default();
            let wide = Caller::assembled(user, caller.groups().clone(), None);
            let none = Caller::assembled(user, caller.groups().clone(), Some(vec![]));
            let narrow = self.rights(caller, snapshot, now).await?;
            let (wide, none) = (self.rights(&wide, snapshot, now).await?, self.rights(&none, snapshot, now).await?);
            for (resource, action) in self.world.requests() {
                let answers = [&none, &narrow, &wide].map(|rights| rights.may(snapshot, &resource, action));
                if answers[0] || (answers[1] && !answers[2]) {
                    return Err(format!("{action:?} on {resource}: none, narrow, wide: {answers:?}"));
                }
            }
        }
        Ok(())
    }

    async fn expiry(&self) -> Outcome {
        let late = self.world.now + time::Duration::days(400);
        let puts = self.world.objects(|object| match object {
            Object::Grant(grant) if grant.expires_at.is_some() => None,
            other => Some(other),
        });
        let without = Arc::new(Snapshot::default().after(1, &puts));
        for caller in &self.world.callers {
            let one = self.rights(caller, &self.world.snapshot, late).await?;
            let two = self.rights(caller, &without, self.world.now).await?;
            same(self.world, (&one, &self.world.snapshot), (&two, &without))?;
        }
        Ok(())
    }

    async fn digests(&self) -> Outcome {
        let (snapshot, now) = (&self.world.snapshot, self.world.now);
        let mut found: Vec<(Rights, String)> = Vec::new();
        for caller in &self.world.callers {
            let (one, two) = (self.rights(caller, snapshot, now).await?, self.rights(caller, snapshot, now).await?);
            if one.digest() != two.digest() {
                return Err("the same rights have two digests".into());
            }
            found.push((one, format!("{:?} {:?}", caller.user(), caller.scopes())));
        }
        for (i, (one, who)) in found.iter().enumerate() {
            let twin = found[..i].iter().find(|(other, whose)| other.digest() == one.digest() && whose != who);
            if twin.is_some() {
                return Err(format!("{who} shares its digest with somebody else"));
            }
        }
        Ok(())
    }
}

fn same(world: &World, one: (&Rights, &Snapshot), two: (&Rights, &Snapshot)) -> Outcome {
    let differs = |(resource, action): &(Resource, Action)| {
        one.0.may(one.1, resource, *action) != two.0.may(two.1, resource, *action)
    };
    match world.requests().find(differs) {
        Some((resource, action)) => Err(format!("{action:?} on {resource} is answered in two ways")),
        None => Ok(()),
    }
}

/// What the bitmaps say of a named domain or datasource.
fn listed(rights: &Rights, snapshot: &Snapshot, resource: &Resource, action: Action) -> Option<bool> {
    let name = resource.name()?;
    match resource.kind() {
        ResourceKind::Domain => {
            Some(snapshot.domain(name).is_some_and(|held| rights.domains(action).contains(held.ordinal)))
        }
        ResourceKind::Datasource => {
            Some(snapshot.datasource(name).is_some_and(|held| rights.datasources(action).contains(held.ordinal)))
        }
        _ => None,
    }
}

fn unheld(rights: &Rights, snapshot: &Snapshot, action: Action) -> Option<u32> {
    let domain = rights.domains(action).iter().find(|ordinal| snapshot.domain_at(*ordinal).is_none());
    domain.or_else(|| rights.datasources(action).iter().find(|ordinal| snapshot.datasource_at(*ordinal).is_none()))
}
