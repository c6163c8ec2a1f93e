//! The catalog at one epoch: immutable, shared by every request that reads it, cheap to derive the next one from.
//!
//! All maps are persistent (structure-sharing) trees, so that a change costs `O(log n)` whatever the catalog's size:
//! ten thousand grants made one by one cost ten thousand small steps, not fifty million copies.

use std::sync::Arc;

use roaring::RoaringBitmap;
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use time::OffsetDateTime;

use super::change::{Change, Object, ObjectKind};
use super::entities::{ApiKey, Datasource, Domain, Effect, Grant, Group, User};
use crate::identity::Subject;
use crate::resource::{Action, ActionSet, Resource};

type Map<K, V> = RedBlackTreeMapSync<K, V>;
/// Ordered, so that one seed gives one journal.
type Ids = RedBlackTreeSetSync<Arc<str>>;
/// All that makes two grants the same grant.
type GrantIdentity = (Subject, Resource, Vec<Action>, Effect, Option<OffsetDateTime>);

/// Everything that exists, at one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    epoch: u64,
    domains: Map<String, Arc<Domain>>,
    datasources: Map<String, Arc<Datasource>>,
    users: Map<String, Arc<User>>,
    groups: Map<String, Arc<Group>>,
    grants: Map<String, Arc<Grant>>,
    keys: Map<String, Arc<ApiKey>>,
    by_ordinal: Map<u32, Arc<Datasource>>,
    domain_by_ordinal: Map<u32, Arc<Domain>>,
    members: Map<String, Arc<RoaringBitmap>>,
    all_datasources: Arc<RoaringBitmap>,
    all_domains: Arc<RoaringBitmap>,
    public_domains: Arc<RoaringBitmap>,
    grants_of: Map<Subject, Ids>,
    grants_on: Map<Resource, Ids>,
    same_grants: Map<GrantIdentity, Ids>,
    platform_admins: Ids,
    keys_of: Map<String, Ids>,
    users_in: Map<String, Ids>,
}

impl Snapshot {
    /// The epoch: one more with each change.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The domain of this id.
    pub fn domain(&self, id: &str) -> Option<&Arc<Domain>> {
        self.domains.get(id)
    }

    /// Every domain, by id.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    /// The domain at this ordinal.
    pub fn domain_at(&self, ordinal: u32) -> Option<&Arc<Domain>> {
        self.domain_by_ordinal.get(&ordinal)
    }

    /// The datasource of this id.
    pub fn datasource(&self, id: &str) -> Option<&Arc<Datasource>> {
        self.datasources.get(id)
    }

    /// Every datasource, by id.
    pub fn datasources(&self) -> impl Iterator<Item = &Arc<Datasource>> {
        self.datasources.values()
    }

    /// The datasource at this ordinal.
    pub fn datasource_at(&self, ordinal: u32) -> Option<&Arc<Datasource>> {
        self.by_ordinal.get(&ordinal)
    }

    /// The ordinals of the datasources in a domain.
    pub fn members(&self, domain: &str) -> Option<&Arc<RoaringBitmap>> {
        self.members.get(domain)
    }

    /// The ordinals of all datasources.
    pub fn all_datasources(&self) -> &RoaringBitmap {
        &self.all_datasources
    }

    /// The ordinals of all domains.
    pub fn all_domains(&self) -> &RoaringBitmap {
        &self.all_domains
    }

    /// The ordinals of the public domains.
    pub fn public_domains(&self) -> &RoaringBitmap {
        &self.public_domains
    }

    /// The user of this id.
    pub fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(id)
    }

    /// Every user, by id.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The ids of a group's users, in order.
    pub fn users_in(&self, group: &str) -> impl Iterator<Item = &str> {
        self.users_in.get(group).into_iter().flat_map(Ids::iter).map(|id| &**id)
    }

    /// The group of this id.
    pub fn group(&self, id: &str) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// Every group, by id.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// The grant of this id.
    pub fn grant(&self, id: &str) -> Option<&Arc<Grant>> {
        self.grants.get(id)
    }

    /// Every grant, by id.
    pub fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values()
    }

    /// The grants that name `subject`, by id.
    pub fn grants_of(&self, subject: &Subject) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants_of.get(subject).into_iter().flat_map(Ids::iter).filter_map(|id| self.grants.get(&**id))
    }

    /// The grants on exactly `resource`, by id.
    pub fn grants_on(&self, resource: &Resource) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants_on.get(resource).into_iter().flat_map(Ids::iter).filter_map(|id| self.grants.get(&**id))
    }

    /// The grant that is equal in all but its id and stamp.
    pub fn same_grant(
        &self,
        subject: &Subject,
        resource: &Resource,
        actions: ActionSet,
        effect: Effect,
        expires_at: Option<OffsetDateTime>,
    ) -> Option<&Arc<Grant>> {
        let identity = (subject.clone(), resource.clone(), actions.into(), effect, expires_at);
        self.same_grants.get(&identity).and_then(Ids::first).and_then(|id| self.grants.get(&**id))
    }

    /// The grants that give or take `admin` on the platform itself, by id: few, however many there are on it.
    pub fn platform_admin_grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.platform_admins.iter().filter_map(|id| self.grants.get(&**id))
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.keys.get(id)
    }

    /// Every key, by id.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.values()
    }

    /// The keys of a user, by id.
    pub fn keys_of(&self, user: &str) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys_of.get(user).into_iter().flat_map(Ids::iter).filter_map(|id| self.keys.get(&**id))
    }

    /// The object of a kind and id, as changes speak of it.
    pub fn object(&self, kind: ObjectKind, id: &str) -> Option<Object> {
        fn copy<T: Clone>(held: Option<&Arc<T>>, wrap: impl Fn(T) -> Object) -> Option<Object> {
            held.map(|object| wrap(T::clone(object)))
        }
        match kind {
            ObjectKind::Domain => copy(self.domain(id), Object::Domain),
            ObjectKind::Datasource => copy(self.datasource(id), Object::Datasource),
            ObjectKind::User => copy(self.user(id), Object::User),
            ObjectKind::Group => copy(self.group(id), Object::Group),
            ObjectKind::Grant => copy(self.grant(id), Object::Grant),
            ObjectKind::ApiKey => copy(self.key(id), Object::ApiKey),
        }
    }

    /// The snapshot after `changes`, at `epoch`.
    pub fn after(&self, epoch: u64, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.epoch = epoch;
        for change in changes {
            match change {
                Change::Put(object) => {
                    next.remove(object.kind(), object.id());
                    next.put(object.clone());
                }
                Change::Delete(kind, id) => next.remove(*kind, id),
            }
        }
        next
    }

    /// Whether no two domains and no two datasources share an ordinal: they would share their rights.
    pub(super) fn has_distinct_ordinals(&self) -> bool {
        let sizes = (self.all_domains.len(), self.all_datasources.len());
        sizes == (self.domains.size() as u64, self.datasources.size() as u64)
    }

    fn put(&mut self, object: Object) {
        match object {
            Object::Domain(domain) => {
                Arc::make_mut(&mut self.all_domains).insert(domain.ordinal);
                if domain.public {
                    Arc::make_mut(&mut self.public_domains).insert(domain.ordinal);
                }
                let domain = Arc::new(domain);
                self.domain_by_ordinal.insert_mut(domain.ordinal, Arc::clone(&domain));
                self.domains.insert_mut(domain.id.clone(), domain);
            }
            Object::Datasource(datasource) => {
                Arc::make_mut(&mut self.all_datasources).insert(datasource.ordinal);
                let mut members = self.members.get(&datasource.domain).cloned().unwrap_or_default();
                Arc::make_mut(&mut members).insert(datasource.ordinal);
                self.members.insert_mut(datasource.domain.clone(), members);
                let datasource = Arc::new(datasource);
                self.by_ordinal.insert_mut(datasource.ordinal, Arc::clone(&datasource));
                self.datasources.insert_mut(datasource.id.clone(), datasource);
            }
            Object::User(user) => {
                for group in &user.groups {
                    link(&mut self.users_in, group.clone(), &user.id);
                }
                self.users.insert_mut(user.id.clone(), Arc::new(user));
            }
            Object::Group(group) => {
                self.groups.insert_mut(group.id.clone(), Arc::new(group));
            }
            Object::Grant(grant) => {
                link(&mut self.grants_of, grant.subject.clone(), &grant.id);
                link(&mut self.grants_on, grant.resource.clone(), &grant.id);
                link(&mut self.same_grants, identity_of(&grant), &grant.id);
                if grant.resource == Resource::PLATFORM && grant.actions.contains(Action::Admin) {
                    self.platform_admins.insert_mut(Arc::from(&*grant.id));
                }
                self.grants.insert_mut(grant.id.clone(), Arc::new(grant));
            }
            Object::ApiKey(key) => {
                link(&mut self.keys_of, key.user.clone(), &key.id);
                self.keys.insert_mut(key.id.clone(), Arc::new(key));
            }
        }
    }

    fn remove(&mut self, kind: ObjectKind, id: &str) {
        match kind {
            ObjectKind::Domain => {
                let Some(domain) = self.domains.get(id).cloned() else { return };
                Arc::make_mut(&mut self.all_domains).remove(domain.ordinal);
                Arc::make_mut(&mut self.public_domains).remove(domain.ordinal);
                self.domain_by_ordinal.remove_mut(&domain.ordinal);
                self.domains.remove_mut(id);
            }
            ObjectKind::Datasource => {
                let Some(datasource) = self.datasources.get(id).cloned() else { return };
                Arc::make_mut(&mut self.all_datasources).remove(datasource.ordinal);
                if let Some(mut members) = self.members.get(&datasource.domain).cloned() {
                    Arc::make_mut(&mut members).remove(datasource.ordinal);
                    if members.is_empty() {
                        self.members.remove_mut(&datasource.domain);
                    } else {
                        self.members.insert_mut(datasource.domain.clone(), members);
                    }
                }
                self.by_ordinal.remove_mut(&datasource.ordinal);
                self.datasources.remove_mut(id);
            }
            ObjectKind::User => {
                let Some(user) = self.users.get(id).cloned() else { return };
                for group in &user.groups {
                    unlink(&mut self.users_in, group, id);
                }
                self.users.remove_mut(id);
            }
            ObjectKind::Group => {
                self.groups.remove_mut(id);
            }
            ObjectKind::Grant => {
                let Some(grant) = self.grants.get(id).cloned() else { return };
                unlink(&mut self.grants_of, &grant.subject, id);
                unlink(&mut self.grants_on, &grant.resource, id);
                unlink(&mut self.same_grants, &identity_of(&grant), id);
                self.platform_admins.remove_mut(id);
                self.grants.remove_mut(id);
            }
            ObjectKind::ApiKey => {
                let Some(key) = self.keys.get(id).cloned() else { return };
                unlink(&mut self.keys_of, &key.user, id);
                self.keys.remove_mut(id);
            }
        }
    }
}

fn identity_of(grant: &Grant) -> GrantIdentity {
    (grant.subject.clone(), grant.resource.clone(), grant.actions.into(), grant.effect, grant.expires_at)
}

fn link<K: Ord + Clone>(index: &mut Map<K, Ids>, key: K, id: &str) {
    let mut ids = index.get(&key).cloned().unwrap_or_default();
    ids.insert_mut(Arc::from(id));
    index.insert_mut(key, ids);
}

fn unlink<K: Ord + Clone>(index: &mut Map<K, Ids>, key: &K, id: &str) {
    let Some(mut ids) = index.get(key).cloned() else { return };
    ids.remove_mut(id);
    if ids.is_empty() {
        index.remove_mut(key);
    } else {
        index.insert_mut(key.clone(), ids);
    }
}
