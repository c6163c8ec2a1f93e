//! `/v1/datasources`

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use time::OffsetDateTime;
use ucap_core::{Error, ErrorKind};
use ucap_retrieval::settings::{NewSettings, Settings, Vectors};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, list_with_cursor, made, object};
use super::error_response::Failure;
use super::incoming::{Incoming, close_cursor};
use super::route::Route;
use crate::session::catalog::{DatasourceChange, SeenDatasource};

/// A datasource to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDatasource {
    /// `[a-z0-9][a-z0-9._-]{0,63}`
    id: String,
    /// The domain it belongs to.
    domain: String,
    /// `osv`, `records` or `documents`.
    format: String,
    /// For people.
    #[serde(default)]
    title: String,
    /// Days after which records are deleted, counted from when they were last ingested; null for never.
    retention_days: Option<u32>,
    /// For format records: `{"fields":{"severity":{"type":"float"},…},"text":["title","body"]}`.
    #[schema(value_type = Option<Object>)]
    schema: Option<Json>,
    /// `en`, `es` or `auto`.
    language: Option<String>,
    /// false for no embedding: lexical and filter only.
    vectors: Option<bool>,
    /// `local/all-minilm-l6-v2`, or `external/<name>`: each record brings its `_vector`.
    embedding_model: Option<String>,
    /// Of an external model.
    dimensions: Option<u64>,
    /// Not built yet.
    #[schema(value_type = Option<Object>)]
    datastores: Option<Json>,
}

/// What changes of a datasource; absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DatasourcePatch)]
pub(super) struct PatchBody {
    title: Option<String>,
    domain: Option<String>,
    /// Days, or null for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    retention_days: Option<Option<u32>>,
    /// More fields; those that are there keep their types.
    #[schema(value_type = Option<Object>)]
    schema: Option<Json>,
}

/// Tells null from absent.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(json).map(Some)
}

/// A datasource.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Datasource)]
pub(super) struct DatasourceObject {
    id: String,
    /// Its domain; null when you cannot see that.
    #[schema(required)]
    domain: Option<String>,
    format: String,
    title: String,
    #[schema(required)]
    retention_days: Option<u32>,
    /// The fields of its records, and which of them are its text.
    #[schema(value_type = Object)]
    schema: Json,
    language: &'static str,
    /// Whether records are embedded.
    vectors: bool,
    #[schema(required)]
    embedding_model: Option<String>,
    /// Of an external model.
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Counts changes from 1; the ETag.
    version: u64,
}

impl DatasourceObject {
    fn of(seen: &SeenDatasource) -> Result<Self, Failure> {
        let held = &seen.datasource;
        let settings = Settings::of(held)?;
        Ok(Self {
            id: held.id.clone(),
            domain: seen.domain.clone(),
            format: held.format.clone(),
            title: held.title.clone(),
            retention_days: held.retention_days,
            schema: settings.schema.to_json(),
            language: settings.language.as_str(),
            vectors: settings.vectors != Vectors::None,
            embedding_model: settings.model().map(str::to_owned),
            dimensions: match settings.vectors {
                Vectors::External(_, dimensions) => Some(dimensions),
                Vectors::None | Vectors::Model(_) => None,
            },
            created_at: held.stamp.created_at,
            version: held.stamp.version,
        })
    }
}

pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/datasources/{id}";
    vec![
        Route::new(Method::GET, "/v1/datasources", "data", "List the datasources you can see", index)
            .lists::<DatasourceObject>(),
        Route::new(Method::POST, "/v1/datasources", "data", "Create a datasource", create)
            .takes::<NewDatasource>()
            .answers::<DatasourceObject>(200)
            .answers::<DatasourceObject>(201),
        Route::new(Method::GET, path, "data", "Read a datasource", get).answers::<DatasourceObject>(200),
        Route::new(Method::PATCH, path, "data", "Change a datasource, or add fields", change)
            .takes::<PatchBody>()
            .answers::<DatasourceObject>(200),
        Route::new(Method::DELETE, path, "data", "Delete a datasource and its files", delete).answers::<Deleted>(200),
    ]
}

fn answer(status: StatusCode, seen: &SeenDatasource) -> Answer {
    object(status, seen.datasource.stamp.version, &DatasourceObject::of(seen)?)
}

async fn index(call: Incoming) -> Answer {
    let page = call.session.datasources(&call.page()?).await?;
    let data = page.items.iter().map(DatasourceObject::of).collect::<Result<Vec<_>, _>>()?;
    list_with_cursor(data, page.next.as_deref().map(close_cursor))
}

async fn create(call: Incoming) -> Answer {
    call.query(&[])?;
    let (new, session) = call.json::<NewDatasource>().await?;
    if new.datastores.is_some() {
        let message = "`datastores` is documented but not built yet; leave it out, and everything is embedded";
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("datastores").into());
    }
    let settings = NewSettings {
        format: new.format,
        schema: new.schema,
        language: new.language,
        vectors: new.vectors,
        embedding_model: new.embedding_model,
        dimensions: new.dimensions,
    };
    let created = session.create_datasource(&new.id, &new.domain, &new.title, new.retention_days, &settings).await?;
    answer(made(created.is_new()), &created.into_inner())
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    answer(StatusCode::OK, &call.session.datasource(call.path("id")).await?)
}

async fn change(call: Incoming) -> Answer {
    call.query(&[])?;
    let (id, version) = (call.path("id").to_owned(), call.if_match()?);
    let (patch, session) = call.json::<PatchBody>().await?;
    let change = DatasourceChange {
        title: patch.title,
        domain: patch.domain,
        retention_days: patch.retention_days,
        schema: patch.schema,
    };
    answer(StatusCode::OK, &session.change_datasource(&id, change, version).await?)
}

async fn delete(call: Incoming) -> Answer {
    call.query(&[])?;
    let id = call.path("id");
    call.session.delete_datasource(id, call.if_match()?).await?;
    deleted(id)
}
