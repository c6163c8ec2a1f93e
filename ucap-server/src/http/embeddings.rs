//! `POST /v1/embeddings`, in OpenAI's shape. Keys of that shape which mean nothing here are dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::{Deserialize, Serialize};
use ucap_inference::{EmbeddingInputs, EmbeddingRequest, MAX_INPUTS};
use utoipa::ToSchema;

use super::answer::{Answer, ok};
use super::error_response::Failure;
use super::incoming::Incoming;
use super::models::unknown_model;
use super::route::Route;

const MAX_BODY_BYTES: usize = 32 << 20;

/// Texts to embed.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmbeddingRequest)]
pub(super) struct EmbeddingBody {
    model: String,
    input: Input,
    /// `float` (default) or `base64`: little-endian 32-bit floats.
    encoding_format: Option<String>,
    /// The model's own, or nothing.
    dimensions: Option<usize>,
}

/// One text or several, as text or as the model's tokens.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "input is neither a text, nor a list of texts, nor a list of token ids, nor a list of such lists"
)]
#[schema(as = EmbeddingInput)]
pub(super) enum Input {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A text's tokens.
    Tokens(Vec<u32>),
    /// The tokens of texts.
    TokenLists(Vec<Vec<u32>>),
}

/// The vectors.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingList {
    /// Always `list`.
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: Usage,
}

/// One vector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Embedding)]
pub(super) struct EmbeddingObject {
    /// Always `embedding`.
    object: &'static str,
    index: usize,
    embedding: Vector,
}

/// Numbers, or their bytes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Vector {
    /// Numbers.
    Floats(Vec<f32>),
    /// Little-endian 32-bit floats, in base64.
    Base64(String),
}

/// What was consumed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/embeddings", "inference", "Turn texts into vectors", embed)
            .takes::<EmbeddingBody>()
            .answers::<EmbeddingList>(200),
    ]
}

async fn embed(call: Incoming) -> Answer {
    call.query(&[])?;
    let (body, session) = call.json_within::<EmbeddingBody>(MAX_BODY_BYTES).await?;
    let base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Failure::invalid("encoding_format", "encoding_format is float or base64")),
    };
    let mut request = EmbeddingRequest::new(inputs(body.input)?);
    if let Some(dimensions) = body.dimensions {
        request = request.with_dimensions(dimensions);
    }
    let answer = session.embed(&body.model, request).await.map_err(unknown_model)?;
    let tokens = answer.usage.input_tokens;
    let vector = |vector: Vec<f32>| if base64 { Vector::Base64(encode(&vector)) } else { Vector::Floats(vector) };
    let data = answer.vectors.into_iter().enumerate();
    let data = data.map(|(index, floats)| EmbeddingObject { object: "embedding", index, embedding: vector(floats) });
    ok(&EmbeddingList {
        object: "list",
        data: data.collect(),
        model: answer.model.id,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    })
}

fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

fn inputs(input: Input) -> Result<EmbeddingInputs, Failure> {
    let inputs = match input {
        Input::Text(text) => EmbeddingInputs::Texts(vec![text]),
        Input::Texts(texts) => EmbeddingInputs::Texts(texts),
        Input::Tokens(tokens) => EmbeddingInputs::Tokens(vec![tokens]),
        Input::TokenLists(lists) => EmbeddingInputs::Tokens(lists),
    };
    let count = inputs.len();
    if count == 0 || count > MAX_INPUTS {
        return Err(Failure::invalid("input", format!("input holds {count} texts; send between 1 and {MAX_INPUTS}")));
    }
    let empty = match &inputs {
        EmbeddingInputs::Texts(texts) => texts.iter().position(String::is_empty),
        EmbeddingInputs::Tokens(lists) => lists.iter().position(Vec::is_empty),
    };
    match empty {
        Some(place) => Err(Failure::invalid("input", format!("input {place} is empty; leave it out"))),
        None => Ok(inputs),
    }
}
