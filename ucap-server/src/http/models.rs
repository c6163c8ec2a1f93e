//! `/v1/models`, in OpenAI's shape.

use http::{Method, StatusCode};
use serde::Serialize;
use ucap_core::Error;
use ucap_inference::Model;
use utoipa::ToSchema;

use super::answer::{Answer, ok};
use super::error_response::Failure;
use super::incoming::Incoming;
use super::route::Route;

/// A model that you may call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelObject {
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Always 0: a model has no date of its own.
    created: u64,
    owned_by: String,
}

/// The models that you may call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    object: &'static str,
    data: Vec<ModelObject>,
}

impl From<&Model> for ModelObject {
    fn from(model: &Model) -> Self {
        Self { id: model.id.clone(), object: "model", created: 0, owned_by: model.owner.clone() }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/v1/models", "inference", "List the models you may call", index)
            .answers::<ModelList>(200),
        Route::new(Method::GET, "/v1/models/{*id}", "inference", "Read a model", get).answers::<ModelObject>(200),
    ]
}

async fn index(call: Incoming) -> Answer {
    call.query(&[])?;
    let data = call.session.models().await?.iter().map(ModelObject::from).collect();
    ok(&ModelList { object: "list", data })
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    let model = call.session.model(call.path("id")).await.map_err(unknown_model)?;
    ok(&ModelObject::from(&model))
}

/// A missing model has a code of its own, which OpenAI's clients know.
pub(super) fn unknown_model(error: Error) -> Failure {
    Failure::from(error).with_code(StatusCode::NOT_FOUND, "model_not_found")
}
