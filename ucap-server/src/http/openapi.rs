//! `/openapi.json`, made from the routes (OpenAPI 3.1).

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::route::{AnswerBody, RequestBody, Route, Schemas, Shape};
use super::shapes::ErrorShape;

/// The document.
pub(super) fn document(routes: &[Route]) -> Json {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    add_schema::<ErrorShape>(&mut schemas);
    for route in routes {
        let path = paths.entry(template(route.path)).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ucap",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A security-knowledge platform: retrieval within your permissions, models and tools.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    })
}

/// OpenAPI knows no wildcards: `{*id}` is `{id}` there.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(route: &Route, schemas: &mut BTreeMap<String, Json>) -> Json {
    let mut operation = json!({
        "tags": [route.group],
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters(route),
        "responses": responses(route, schemas),
    });
    if route.open {
        operation["security"] = json!([]);
    }
    if let Some(request) = &route.request {
        operation["requestBody"] = match request {
            RequestBody::Json(shape) => {
                json!({"required": true, "content": {"application/json": {"schema": reference(shape, schemas)}}})
            }
            RequestBody::Raw(types) => {
                let content: Map<String, Json> = types.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
                json!({"required": true, "content": content})
            }
        };
    }
    operation
}

/// `GET /v1/datasources/{id}/stats` is `get_datasources_id_stats`.
fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .trim_start_matches("/v1")
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(route.method.as_str().to_ascii_lowercase())
        .chain(words.map(str::to_owned))
        .collect::<Vec<_>>()
        .join("_")
}

fn parameters(route: &Route) -> Vec<Json> {
    let in_path = route.path.split(['{', '}']).skip(1).step_by(2).map(|name| name.trim_start_matches('*'));
    let in_path =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = route.parameters.iter().map(|parameter| {
        json!({"name": parameter.name, "in": "query", "required": false, "description": parameter.description, "schema": {"type": parameter.r#type}})
    });
    let in_header = conditions(route).iter().map(|(name, description)| {
        json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}})
    });
    in_path.chain(in_query).chain(in_header).collect()
}

const IF_MATCH: (&str, &str) =
    ("If-Match", "Only if its ETag, or its version in quotes, is one of these (`*`: whichever it is); else 412.");
const IF_UNKNOWN: (&str, &str) = ("If-None-Match", "Only if its ETag is none of these; else 304 without a body.");
const IF_NONE_MATCH: (&str, &str) = ("If-None-Match", "`*`: only if there is none yet; else 412.");

/// The conditional headers that a route obeys.
fn conditions(route: &Route) -> &'static [(&'static str, &'static str)] {
    match route.method {
        _ if !route.versioned => &[],
        Method::GET => &[IF_UNKNOWN],
        Method::PATCH | Method::DELETE => &[IF_MATCH],
        Method::PUT => &[IF_MATCH, IF_NONE_MATCH],
        _ => &[],
    }
}

fn responses(route: &Route, schemas: &mut BTreeMap<String, Json>) -> Json {
    let mut responses = Map::new();
    for (status, body) in &route.answers {
        let (content_type, schema) = match body {
            AnswerBody::Json(shape) => ("application/json", reference(shape, schemas)),
            AnswerBody::List(shape) => ("application/json", list_of(&reference(shape, schemas))),
            AnswerBody::Text(content_type) => (*content_type, json!({})),
        };
        let description = if *status == 201 { "It is new." } else { "Done." };
        let mut response = json!({"description": description, "content": {content_type: {"schema": schema}}});
        if route.versioned && route.method != Method::DELETE {
            response["headers"] = json!({"ETag": {"description": "Names this state.", "schema": {"type": "string"}}});
        }
        responses.insert(status.to_string(), response);
    }
    let error = json!({"$ref": format!("#/components/schemas/{}", ErrorShape::name())});
    match conditions(route) {
        [] => {}
        [IF_UNKNOWN] => {
            responses.insert("304".to_owned(), json!({"description": "It is as you know it."}));
        }
        _ => {
            let content = json!({"application/json": {"schema": error}});
            let failed = json!({"description": "A condition does not hold; nothing was changed.", "content": content});
            responses.insert("412".to_owned(), failed);
        }
    }
    responses.insert(
        "default".to_owned(),
        json!({"description": "An error.", "content": {"application/json": {"schema": error}}}),
    );
    Json::Object(responses)
}

fn list_of(element: &Json) -> Json {
    json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": element},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page; null at the end."},
        },
    })
}

fn reference(shape: &Shape, schemas: &mut BTreeMap<String, Json>) -> Json {
    let mut found = Schemas::new();
    (shape.collect)(&mut found);
    add(found, schemas);
    json!({"$ref": format!("#/components/schemas/{}", shape.name)})
}

fn add_schema<T: ToSchema>(schemas: &mut BTreeMap<String, Json>) {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    add(found, schemas);
}

fn add(found: Schemas, schemas: &mut BTreeMap<String, Json>) {
    for (name, schema) in found {
        if let Ok(schema) = serde_json::to_value(schema) {
            schemas.entry(name).or_insert(schema);
        }
    }
}
