//! `/v1/users` and `/v1/groups`

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ucap_core::catalog::{Group, ObjectKind, User};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, made, tagged};
use super::etag;
use super::incoming::Incoming;
use super::route::Route;
use crate::session::Session;

/// A user to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// `[A-Za-z0-9][A-Za-z0-9._@+:-]{0,127}`
    id: String,
    /// Local groups; those that do not exist come into being.
    #[serde(default)]
    groups: BTreeSet<String>,
}

/// What changes of a user; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPatch {
    groups: Option<BTreeSet<String>>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserObject {
    id: String,
    groups: BTreeSet<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

impl From<&User> for UserObject {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.clone(),
            groups: user.groups.clone(),
            created_at: user.stamp.created_at,
            version: user.stamp.version,
        }
    }
}

/// A group to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    /// `[a-z0-9][a-z0-9._-]{0,63}`
    id: String,
    /// For people.
    #[serde(default)]
    title: String,
}

/// What changes of a group; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupPatch {
    title: Option<String>,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(super) struct GroupObject {
    id: String,
    title: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

impl From<&Group> for GroupObject {
    fn from(group: &Group) -> Self {
        Self {
            id: group.id.clone(),
            title: group.title.clone(),
            created_at: group.stamp.created_at,
            version: group.stamp.version,
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    let (user, group) = ("/v1/users/{id}", "/v1/groups/{id}");
    let routes = vec![
        Route::new(Method::GET, "/v1/users", "permissions", "List users", users).lists::<UserObject>(),
        Route::new(Method::POST, "/v1/users", "permissions", "Create a user", create_user)
            .takes::<NewUser>()
            .answers::<UserObject>(200)
            .answers::<UserObject>(201)
            .versioned(),
        Route::new(Method::GET, user, "permissions", "Read a user", get_user).answers::<UserObject>(200).versioned(),
        Route::new(Method::PATCH, user, "permissions", "Change a user's groups", change_user)
            .takes::<UserPatch>()
            .answers::<UserObject>(200)
            .versioned(),
        Route::new(Method::DELETE, user, "permissions", "Delete a user with its keys and grants", delete_user)
            .answers::<Deleted>(200)
            .versioned(),
        Route::new(Method::GET, "/v1/groups", "permissions", "List groups", groups).lists::<GroupObject>(),
        Route::new(Method::POST, "/v1/groups", "permissions", "Create a group", create_group)
            .takes::<NewGroup>()
            .answers::<GroupObject>(200)
            .answers::<GroupObject>(201)
            .versioned(),
        Route::new(Method::GET, group, "permissions", "Read a group", get_group)
            .answers::<GroupObject>(200)
            .versioned(),
        Route::new(Method::PATCH, group, "permissions", "Change a group's title", change_group)
            .takes::<GroupPatch>()
            .answers::<GroupObject>(200)
            .versioned(),
        Route::new(Method::DELETE, group, "permissions", "Delete a group with its grants", delete_group)
            .answers::<Deleted>(200)
            .versioned(),
    ];
    routes.into_iter().map(Route::administrators).collect()
}

fn answer_user(session: &Session, status: StatusCode, user: &User) -> Answer {
    tagged(status, etag::of_object(session, ObjectKind::User, user.stamp, false), &UserObject::from(user))
}

fn answer_group(session: &Session, status: StatusCode, group: &Group) -> Answer {
    tagged(status, etag::of_object(session, ObjectKind::Group, group.stamp, false), &GroupObject::from(group))
}

async fn users(call: Incoming) -> Answer {
    let page = call.session.users(&call.page()?).await?;
    call.list(page.map(|user| UserObject::from(&*user)))
}

async fn create_user(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewUser>().await?;
    let created = session.create_user(&new.id, new.groups).await?;
    answer_user(&session, made(created.is_new()), &created.into_inner())
}

async fn get_user(call: Incoming) -> Answer {
    call.query(&[])?;
    answer_user(&call.session, StatusCode::OK, &*call.session.user(call.path("id")).await?)
}

async fn change_user(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, if_match) = (call.path("id").to_owned(), call.if_match(ObjectKind::User));
    let (patch, session) = call.json::<UserPatch>().await?;
    answer_user(&session, StatusCode::OK, &session.change_user(&id, patch.groups, if_match).await?)
}

async fn delete_user(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id");
    call.session.delete_user(id, call.if_match(ObjectKind::User)).await?;
    deleted(id)
}

async fn groups(call: Incoming) -> Answer {
    let page = call.session.groups(&call.page()?).await?;
    call.list(page.map(|group| GroupObject::from(&*group)))
}

async fn create_group(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewGroup>().await?;
    let created = session.create_group(&new.id, &new.title).await?;
    answer_group(&session, made(created.is_new()), &created.into_inner())
}

async fn get_group(call: Incoming) -> Answer {
    call.query(&[])?;
    answer_group(&call.session, StatusCode::OK, &*call.session.group(call.path("id")).await?)
}

async fn change_group(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, if_match) = (call.path("id").to_owned(), call.if_match(ObjectKind::Group));
    let (patch, session) = call.json::<GroupPatch>().await?;
    answer_group(&session, StatusCode::OK, &session.change_group(&id, patch.title, if_match).await?)
}

async fn delete_group(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id");
    call.session.delete_group(id, call.if_match(ObjectKind::Group)).await?;
    deleted(id)
}
