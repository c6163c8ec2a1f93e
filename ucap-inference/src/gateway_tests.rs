//! Routing, against the scripted provider.

use std::time::Duration;

use super::*;
use crate::{ScriptedProvider, Step};

fn gateway() -> (Gateway, Arc<ScriptedProvider>) {
    let provider = Arc::new(ScriptedProvider::new("test/a", 8));
    (Gateway::new().with_provider(Arc::clone(&provider) as _).unwrap(), provider)
}

fn context() -> RequestContext {
    RequestContext::new("test")
}

#[tokio::test]
async fn a_model_is_found_by_its_id() {
    let (gateway, _) = gateway();
    let gateway = gateway.with_provider(Arc::new(ScriptedProvider::new("test/b", 4))).unwrap();
    let ids: Vec<&str> = gateway.models().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["test/a", "test/b"]);
    let answer = gateway.embed(&context(), "test/b", EmbeddingRequest::of_texts(["x"])).await.unwrap();
    assert_eq!((answer.model.id.as_str(), answer.vectors[0].len()), ("test/b", 4));
    let error = gateway.embed(&context(), "test/c", EmbeddingRequest::of_texts(["x"])).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("model")));
    assert!(gateway.model("test/c").is_none() && gateway.embedder("test/c").is_err());
}

#[test]
fn two_providers_of_one_id_are_refused() {
    let error = gateway().0.with_provider(Arc::new(ScriptedProvider::new("test/a", 4))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn too_many_or_no_inputs_never_reach_the_provider() {
    let (gateway, provider) = gateway();
    for count in [0, MAX_INPUTS + 1] {
        let request = EmbeddingRequest::of_texts(vec!["x"; count]);
        let error = gateway.embed(&context(), "test/a", request).await.unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("input")));
    }
    let late = context().with_timeout(Duration::ZERO);
    let error = gateway.embed(&late, "test/a", EmbeddingRequest::of_texts(["x"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(provider.calls().is_empty());
}

#[tokio::test]
async fn an_answer_that_lacks_a_vector_is_an_error() {
    let (gateway, provider) = gateway();
    provider.script([Step::LoseLastVector]);
    let error = gateway.embed(&context(), "test/a", EmbeddingRequest::of_texts(["x", "y"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn the_embedder_cuts_bulk_into_requests_of_its_lane() {
    let (gateway, provider) = gateway();
    let embedder = gateway.embedder("test/a").unwrap();
    assert_eq!(embedder.model().dimensions, 8);
    let texts: Vec<String> = (0..MAX_INPUTS + 2).map(|index| format!("word{index}")).collect();
    let vectors = embedder.embed(&context(), EmbeddingLane::Ingest, texts.clone()).await.unwrap();
    assert_eq!(vectors.len(), texts.len());
    let calls = provider.calls();
    assert_eq!(calls.iter().map(|call| call.inputs.len()).collect::<Vec<_>>(), [MAX_INPUTS, 2]);
    assert!(calls.iter().all(|call| call.lane == EmbeddingLane::Ingest));
    let last = embedder.embed(&context(), EmbeddingLane::Query, texts[MAX_INPUTS + 1..].to_vec()).await.unwrap();
    assert_eq!(vectors[MAX_INPUTS + 1..], last);
    assert!(embedder.embed(&context(), EmbeddingLane::Query, Vec::new()).await.unwrap().is_empty());
}
