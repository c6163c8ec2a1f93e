//! The reference provider's own promises.

use super::*;

async fn embed(provider: &ScriptedProvider, inputs: EmbeddingInputs) -> Result<EmbeddingResponse> {
    let context = RequestContext::new("test").with_timeout(Duration::from_secs(60));
    provider.embed(&context, "test/words", EmbeddingRequest::new(inputs)).await
}

fn texts(texts: &[&str]) -> EmbeddingInputs {
    EmbeddingInputs::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

#[tokio::test]
async fn vectors_are_a_function_of_the_words() {
    let provider = ScriptedProvider::new("test/words", 32);
    let answer = embed(&provider, texts(&["Buffer overflow", "overflow, BUFFER!", "", "ñandú"])).await.unwrap();
    for vector in &answer.vectors {
        let length: f32 = vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
    let dot = |a: usize, b: usize| answer.vectors[a].iter().zip(&answer.vectors[b]).map(|(a, b)| a * b).sum::<f32>();
    assert!(dot(0, 1) > 0.999_9 && dot(0, 3) < 0.9);
    assert_eq!(answer.usage.input_tokens, 4 + 4 + 2 + 3);
    let again = embed(&ScriptedProvider::new("test/words", 32), texts(&["Buffer overflow"])).await.unwrap();
    assert_eq!(again.vectors[0], answer.vectors[0]);
    // Committed: an answer of a test must not change with a release.
    assert_eq!(answer.vectors[2][..2], PINNED);
}

const PINNED: [f32; 2] = [0.233_809_68, -0.041_766_15];

#[tokio::test]
async fn the_script_is_followed_once() {
    let provider = ScriptedProvider::new("test/words", 4);
    provider.script([Step::Fail(ErrorKind::Overloaded), Step::LoseLastVector, Step::AnswerAfter(Duration::ZERO)]);
    let error = embed(&provider, texts(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(embed(&provider, texts(&["a", "b"])).await.unwrap().vectors.len(), 1);
    assert_eq!(embed(&provider, EmbeddingInputs::Tokens(vec![vec![1], vec![]])).await.unwrap().vectors.len(), 2);
    assert_eq!(embed(&provider, texts(&["a"])).await.unwrap().vectors.len(), 1);
    assert_eq!(provider.calls().len(), 4);
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline() {
    let provider = ScriptedProvider::new("test/words", 4);
    provider.script([Step::AnswerAfter(Duration::from_secs(3_600))]);
    let context = RequestContext::new("test").with_timeout(Duration::from_millis(20));
    let error = provider.embed(&context, "test/words", EmbeddingRequest::of_texts(["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn another_model_or_length_is_refused() {
    let provider = ScriptedProvider::new("test/words", 4);
    let context = RequestContext::new("test");
    let request = EmbeddingRequest::of_texts(["a"]);
    let error = provider.embed(&context, "test/other", request.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = provider.embed(&context, "test/words", request.with_dimensions(5)).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidInput, Some("dimensions")));
}
