//! Small random worlds: few names, so that grants meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use ucap_core::catalog::{Change, Datasource, Domain, Effect, Grant, KeyScope, Object, Snapshot, Stamp};
use ucap_core::{Action, ActionSet, Entropy as _, Resource, ResourceKind, SeededEntropy, Subject};

use crate::gate::Caller;

/// Domains, datasources, grants, and callers with and without key scopes.
#[derive(Debug)]
pub struct World {
    /// What exists.
    pub snapshot: Arc<Snapshot>,
    /// Who asks.
    pub callers: Vec<Caller>,
    /// When.
    pub now: OffsetDateTime,
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0u8; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end as u64) as usize
    }

    fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn actions(&self) -> ActionSet {
        let bits = 1 + self.below(15);
        Action::ALL.into_iter().filter(|action| bits & (1 << *action as usize) != 0).collect()
    }
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let dice = Dice(SeededEntropy::new(seed));
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(100);
        let mut world = Self { snapshot: Arc::default(), callers: Vec::new(), now };
        let mut changes = Vec::new();
        for i in 0..dice.below(5) as u32 {
            let public = dice.below(4) == 0;
            changes.push(Object::Domain(Domain {
                id: format!("d{i}"),
                title: String::new(),
                public,
                ordinal: 10 + i,
                stamp: stamp(1),
            }));
        }
        for i in 0..dice.below(8) as u32 {
            changes.push(Object::Datasource(Datasource {
                id: format!("s{i}"),
                domain: format!("d{}", dice.below(4)),
                format: "osv".into(),
                title: String::new(),
                retention_days: None,
                settings: serde_json::Value::Null,
                ordinal: 5 * i,
                stamp: stamp(1),
            }));
        }
        let resources = resources();
        for i in 0..dice.below(24) {
            let subject = match dice.below(5) {
                0 => Subject::Public,
                1 | 2 => Subject::Group(format!("g{}", dice.below(3))),
                _ => Subject::User(format!("u{}", dice.below(3))),
            };
            let effect = if dice.below(3) == 0 { Effect::Deny } else { Effect::Allow };
            let mut grant =
                world.grant(&format!("grant{i}"), subject, dice.pick(&resources).clone(), dice.actions(), effect);
            // One in three ends: before, at, or after the moment of asking.
            grant.expires_at = (dice.below(3) == 0).then(|| now + Duration::days(dice.below(5) as i64 - 2));
            changes.push(Object::Grant(grant));
        }
        let puts: Vec<Change> = changes.into_iter().map(Change::Put).collect();
        world.snapshot = Arc::new(Snapshot::default().after(1, &puts));
        for user in 0..3 {
            let groups: BTreeSet<String> = (0..3).filter(|_| dice.below(2) == 0).map(|i| format!("g{i}")).collect();
            world.callers.push(Caller::assembled(&format!("u{user}"), groups.clone(), None));
            let scope = || KeyScope { resource: dice.pick(&resources).clone(), actions: dice.actions() };
            let scopes = (0..dice.below(4)).map(|_| scope()).collect();
            world.callers.push(Caller::assembled(&format!("u{user}"), groups, Some(scopes)));
        }
        world
    }

    /// Every question that can be asked, of what exists and of what does not.
    pub fn requests(&self) -> impl Iterator<Item = (Resource, Action)> + use<> {
        resources().into_iter().flat_map(|resource| Action::ALL.map(|action| (resource.clone(), action)))
    }

    pub(super) fn grant(
        &self,
        id: &str,
        subject: Subject,
        resource: Resource,
        actions: ActionSet,
        effect: Effect,
    ) -> Grant {
        Grant { id: id.to_owned(), subject, resource, actions, effect, expires_at: None, stamp: stamp(1) }
    }

    pub(super) fn objects(&self, keep: impl Fn(Object) -> Option<Object>) -> Vec<Change> {
        let domains = self.snapshot.domains().map(|held| Object::Domain(Domain::clone(held)));
        let datasources = self.snapshot.datasources().map(|held| Object::Datasource(Datasource::clone(held)));
        let grants = self.snapshot.grants().map(|held| Object::Grant(Grant::clone(held)));
        domains.chain(datasources).chain(grants).filter_map(keep).map(Change::Put).collect()
    }
}

fn stamp(generation: u64) -> Stamp {
    Stamp { generation, version: 1, created_at: OffsetDateTime::UNIX_EPOCH }
}

fn resources() -> Vec<Resource> {
    let kinds = [
        ResourceKind::Domain,
        ResourceKind::Datasource,
        ResourceKind::Model,
        ResourceKind::Mcp,
        ResourceKind::Tool,
        ResourceKind::UseCase,
    ];
    let domains = (0..5).map(|i| Resource::domain(format!("d{i}")));
    let datasources = (0..8).map(|i| Resource::datasource(format!("s{i}")));
    let others = [
        (ResourceKind::Model, "local/m"),
        (ResourceKind::Model, "m"),
        (ResourceKind::Mcp, "f"),
        (ResourceKind::Mcp, "g"),
        (ResourceKind::Tool, "f/t"),
        (ResourceKind::Tool, "f/u"),
        (ResourceKind::Tool, "g/t"),
        (ResourceKind::UseCase, "c"),
    ];
    let others = others.into_iter().map(|(kind, name)| Resource::one(kind, name));
    kinds
        .map(Resource::all)
        .into_iter()
        .chain([Resource::PLATFORM])
        .chain(domains)
        .chain(datasources)
        .chain(others)
        .collect()
}
