//! Users and groups: platform administrators' alone.

use std::collections::BTreeSet;

use ucap_core::catalog::{Change, Group, Object, ObjectKind, Planning, User};
use ucap_core::identity::{is_id, is_user_id};
use ucap_core::{Error, RequestContext, Result, Subject};

use super::{
    Administration, Created, ID_RULE, Revision, USER_ID_RULE, already_exists, bad_id, check_match, check_title,
    forget_subject,
};
use crate::scope::Scope;

/// A user belongs to at most so many groups.
const MAX_GROUPS: usize = 1000;

impl Administration {
    /// Creates a user; groups that do not exist yet come into being.
    ///
    /// # Errors
    /// `PermissionDenied`, `InvalidInput`, `AlreadyExists`.
    pub async fn create_user(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        groups: BTreeSet<String>,
    ) -> Result<Created<User>> {
        scope.demand_platform_admin()?;
        if !is_user_id(id) {
            return Err(bad_id("user", id, USER_ID_RULE));
        }
        check_groups(&groups)?;
        self.change(context, scope.principal(), &format!("user:{id}"), |planning| {
            if let Some(held) = planning.snapshot.user(id) {
                let same = held.groups == groups;
                return if same {
                    Ok((vec![], Created::Unchanged(User::clone(held))))
                } else {
                    Err(already_exists("user", id))
                };
            }
            let user = User { id: id.to_owned(), groups, stamp: planning.birth };
            let mut changes = missing_groups(planning, &user.groups);
            changes.push(Change::Put(Object::User(user.clone())));
            Ok((changes, Created::New(user)))
        })
        .await
    }

    /// Replaces the groups of a user.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `InvalidInput`, `PreconditionFailed`; `Conflict` when no administrator remained.
    pub async fn change_user(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        groups: Option<BTreeSet<String>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<User> {
        scope.demand_platform_admin()?;
        groups.as_ref().map_or(Ok(()), check_groups)?;
        self.change(context, scope.principal(), &format!("user:{id}"), |planning| {
            let held = planning.snapshot.user(id).ok_or_else(|| Error::not_found(format!("user `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let Some(groups) = groups.filter(|groups| *groups != held.groups) else {
                return Ok((vec![], User::clone(held)));
            };
            let user = User { id: id.to_owned(), groups, stamp: planning.next_version(held.stamp) };
            let mut changes = missing_groups(planning, &user.groups);
            changes.push(Change::Put(Object::User(user.clone())));
            Ok((changes, user))
        })
        .await
    }

    /// Deletes a user with its keys and grants.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `PreconditionFailed`; `Conflict` when no administrator remained.
    pub async fn delete_user(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        if_match: Option<Vec<Revision>>,
    ) -> Result<()> {
        scope.demand_platform_admin()?;
        self.change(context, scope.principal(), &format!("user:{id}"), |planning| {
            let snapshot = planning.snapshot;
            let held = snapshot.user(id).ok_or_else(|| Error::not_found(format!("user `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let mut changes = forget_subject(snapshot, &Subject::User(id.to_owned()));
            changes.extend(snapshot.keys_of(id).map(|key| Change::Delete(ObjectKind::ApiKey, key.id.clone())));
            changes.push(Change::Delete(ObjectKind::User, id.to_owned()));
            Ok((changes, ()))
        })
        .await
    }

    /// Creates a group.
    ///
    /// # Errors
    /// `PermissionDenied`, `InvalidInput`, `AlreadyExists`.
    pub async fn create_group(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        title: &str,
    ) -> Result<Created<Group>> {
        scope.demand_platform_admin()?;
        if !is_id(id) {
            return Err(bad_id("group", id, ID_RULE));
        }
        check_title(title)?;
        self.change(context, scope.principal(), &format!("group:{id}"), |planning| {
            if let Some(held) = planning.snapshot.group(id) {
                let same = held.title == title;
                return if same {
                    Ok((vec![], Created::Unchanged(Group::clone(held))))
                } else {
                    Err(already_exists("group", id))
                };
            }
            let group = Group { id: id.to_owned(), title: title.to_owned(), stamp: planning.birth };
            Ok((vec![Change::Put(Object::Group(group.clone()))], Created::New(group)))
        })
        .await
    }

    /// Changes a group's title.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `InvalidInput`, `PreconditionFailed`.
    pub async fn change_group(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        title: Option<String>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Group> {
        scope.demand_platform_admin()?;
        title.as_deref().map_or(Ok(()), check_title)?;
        self.change(context, scope.principal(), &format!("group:{id}"), |planning| {
            let held = planning.snapshot.group(id).ok_or_else(|| Error::not_found(format!("group `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let Some(title) = title.filter(|title| *title != held.title) else {
                return Ok((vec![], Group::clone(held)));
            };
            let group = Group { id: id.to_owned(), title, stamp: planning.next_version(held.stamp) };
            Ok((vec![Change::Put(Object::Group(group.clone()))], group))
        })
        .await
    }

    /// Deletes a group: its grants go, its users leave it.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `PreconditionFailed`; `Conflict` when no administrator remained.
    pub async fn delete_group(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        if_match: Option<Vec<Revision>>,
    ) -> Result<()> {
        scope.demand_platform_admin()?;
        self.change(context, scope.principal(), &format!("group:{id}"), |planning| {
            let snapshot = planning.snapshot;
            let held = snapshot.group(id).ok_or_else(|| Error::not_found(format!("group `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let mut changes = forget_subject(snapshot, &Subject::Group(id.to_owned()));
            for user in snapshot.users_in(id).filter_map(|user| snapshot.user(user)) {
                let mut left = User::clone(user);
                left.groups.remove(id);
                left.stamp = planning.next_version(user.stamp);
                changes.push(Change::Put(Object::User(left)));
            }
            changes.push(Change::Delete(ObjectKind::Group, id.to_owned()));
            Ok((changes, ()))
        })
        .await
    }
}

fn check_groups(groups: &BTreeSet<String>) -> Result<()> {
    if groups.len() > MAX_GROUPS {
        return Err(Error::invalid("groups", format!("a user belongs to at most {MAX_GROUPS} groups")));
    }
    match groups.iter().find(|group| !is_id(group)) {
        Some(group) => Err(bad_id("group", group, ID_RULE).with_param("groups")),
        None => Ok(()),
    }
}

fn missing_groups(planning: &Planning<'_>, groups: &BTreeSet<String>) -> Vec<Change> {
    let missing = groups.iter().filter(|group| planning.snapshot.group(group).is_none());
    missing
        .map(|group| {
            Change::Put(Object::Group(Group { id: group.clone(), title: String::new(), stamp: planning.birth }))
        })
        .collect()
}
