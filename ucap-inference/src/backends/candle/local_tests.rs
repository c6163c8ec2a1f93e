//! What callers meet while there are no weights.

use super::*;

fn request() -> EmbeddingRequest {
    EmbeddingRequest::of_texts(["a text"])
}

fn context(milliseconds: u64) -> RequestContext {
    RequestContext::new("test").with_timeout(Duration::from_millis(milliseconds))
}

#[test]
fn the_identity_is_known_before_anything_is_loaded() {
    let model = LocalEmbedder::model();
    assert_eq!((model.id.as_str(), model.dimensions), ("local/all-minilm-l6-v2", 384));
    assert!(model.digest.starts_with("53aa51172d14") && model.digest.ends_with("+2"), "{}", model.digest);
}

#[tokio::test]
async fn without_weights_a_request_says_what_was_tried() {
    let empty = tempfile::tempdir().unwrap();
    let local = LocalEmbedder::start(LocalOptions::new(PullOptions::new(empty.path()).offline()));
    let error = local.embed(&context(3_000), ALL_MINILM_L6_V2, request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelUnavailable);
    assert!(error.message().contains("tried the cache"), "{error}");
    let status = local.status();
    assert!(matches!(status, LoadStatus::Failed { .. }), "{status:?}");
    // It is not tried again within the deadline: the answer comes at once.
    let again = local.embed(&context(1_000), ALL_MINILM_L6_V2, request()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::ModelUnavailable);
}

#[tokio::test]
async fn while_loading_a_request_waits_up_to_its_deadline() {
    let empty = tempfile::tempdir().unwrap();
    let mut pull = PullOptions::new(empty.path()).offline();
    pull.installers = vec![["sh", "-c", "sleep 60"].map(str::to_owned).to_vec()];
    let local = LocalEmbedder::start(LocalOptions::new(pull).with_queued_tokens(20));
    let error = local.embed(&context(50), ALL_MINILM_L6_V2, request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelUnavailable);
    assert!(error.message().contains("still being loaded"), "{error}");
    assert_eq!(local.status(), LoadStatus::Loading { failure: None });
    // Those who left take no room in the queue.
    for _ in 0..10 {
        local.embed(&context(10), ALL_MINILM_L6_V2, request()).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_request_for_something_else_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let local = LocalEmbedder::start(LocalOptions::new(PullOptions::new(empty.path()).offline()));
    let error = local.embed(&context(1_000), "local/other", request()).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("model")));
    let error = local.embed(&context(1_000), ALL_MINILM_L6_V2, request().with_dimensions(256)).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("dimensions")));
    let error = local.embed(&context(0), ALL_MINILM_L6_V2, request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}
