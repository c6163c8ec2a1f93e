//! The local model with its real weights. They are found as `ucap models pull` finds them: in the cache of this user
//! (or `UCAP_CACHE`), else they are downloaded, once.
#![cfg(feature = "candle")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says how far it is from failing")]

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use ucap_core::{EmbeddingLane, ErrorKind, RequestContext, Result};
use ucap_inference::{
    ALL_MINILM_L6_V2, EmbeddingInputs, EmbeddingRequest, EmbeddingResponse, Gateway, LoadStatus, LocalEmbedder,
    LocalOptions, ModelProvider, PullOptions, cache_directory,
};

/// SHA-256 over the bits of the golden file's texts, embedded here: the same on every processor.
const BITS: &str = "f1e59de96ec63dafd17d55449ebe8f7ec1960dc23fb6a930425c84e05e448567";

/// A case of the golden file, which `xtask/oracle/embeddings.py` made with sentence-transformers.
#[derive(Deserialize)]
struct Case {
    text: Option<String>,
    #[serde(default)]
    part: String,
    #[serde(default)]
    times: usize,
    tokens: u64,
    vector: String,
}

impl Case {
    fn all() -> Vec<Self> {
        let lines = include_str!("golden/all_minilm_l6_v2.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn text(&self) -> String {
        self.text.clone().unwrap_or_else(|| self.part.repeat(self.times))
    }

    fn vector(&self) -> Vec<f32> {
        let bytes = STANDARD.decode(&self.vector).unwrap();
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

fn options() -> PullOptions {
    PullOptions::new(cache_directory(|name| std::env::var_os(name)).expect("HOME or UCAP_CACHE is set"))
}

/// A first download takes a while.
fn context() -> RequestContext {
    RequestContext::new("test").with_timeout(Duration::from_secs(600))
}

fn threads(count: usize) -> LocalOptions {
    LocalOptions::new(options()).with_threads(NonZeroUsize::new(count).unwrap())
}

/// One model for all tests: two threads.
fn shared() -> &'static (Runtime, LocalEmbedder) {
    static SHARED: OnceLock<(Runtime, LocalEmbedder)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let local = runtime.block_on(async { LocalEmbedder::start(threads(2)) });
        (runtime, local)
    })
}

fn embed(inputs: EmbeddingInputs) -> Result<EmbeddingResponse> {
    let (runtime, local) = shared();
    runtime.block_on(local.embed(&context(), ALL_MINILM_L6_V2, EmbeddingRequest::new(inputs)))
}

fn embed_texts(texts: &[String]) -> EmbeddingResponse {
    embed(EmbeddingInputs::Texts(texts.to_vec())).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn bits(vectors: &[Vec<f32>]) -> Vec<Vec<u32>> {
    vectors.iter().map(|vector| vector.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn agrees_with_sentence_transformers_on_the_golden_file() {
    let cases = Case::all();
    assert!(cases.len() >= 50);
    let mut worst = (1.0, String::new());
    let mut largest: f32 = 0.0;
    for case in &cases {
        let answer = embed_texts(&[case.text()]);
        let [vector] = answer.vectors.as_slice() else { panic!("one vector") };
        let shown: String = case.text().chars().take(60).collect();
        assert_eq!(answer.usage.input_tokens, case.tokens, "tokens of {shown:?}");
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-6, "the length of {shown:?} is {length}");
        let cosine = cosine(vector, &case.vector());
        if cosine < worst.0 {
            worst = (cosine, shown);
        }
        largest = vector.iter().zip(case.vector()).fold(largest, |most, (a, b)| most.max((a - b).abs()));
    }
    println!("worst cosine 1 - {:e} ({:?}), largest difference {largest:e}", 1.0 - worst.0, worst.1);
    assert!(worst.0 >= 0.9999, "{worst:?}");
}

/// Vectors live on in indexes. Whoever changes a bit of them raises `ARITHMETIC`, which is in the digest, and then this.
#[test]
fn the_bits_are_those_of_this_revision() {
    let texts: Vec<String> = Case::all().iter().map(Case::text).collect();
    let mut hash = Sha256::new();
    for value in embed_texts(&texts).vectors.iter().flatten() {
        hash.update(value.to_le_bytes());
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, BITS, "of {}", LocalEmbedder::model().digest);
}

#[test]
fn the_same_text_gives_the_same_bytes_whatever_shares_its_batch() {
    let texts: Vec<String> = Case::all().iter().map(Case::text).collect();
    let alone: Vec<Vec<f32>> = texts.iter().flat_map(|text| embed_texts(std::slice::from_ref(text)).vectors).collect();
    assert_eq!(bits(&embed_texts(&texts).vectors), bits(&alone));

    let mut reversed = texts;
    reversed.reverse();
    reversed.extend(std::iter::repeat_n("filler".to_owned(), 100));
    let mut together = embed_texts(&reversed).vectors;
    together.truncate(alone.len());
    together.reverse();
    assert_eq!(bits(&together), bits(&alone));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let texts: Vec<String> = Case::all().iter().map(Case::text).collect();
    let expected = embed_texts(&texts).vectors;
    let (runtime, _) = shared();
    for count in [1, 3] {
        let vectors = runtime.block_on(async {
            let local = LocalEmbedder::start(threads(count));
            let request = EmbeddingRequest::of_texts(&texts).with_lane(EmbeddingLane::Ingest);
            local.embed(&context(), ALL_MINILM_L6_V2, request).await.unwrap().vectors
        });
        assert_eq!(bits(&vectors), bits(&expected), "{count} threads");
    }
}

#[test]
fn token_ids_give_the_vector_of_their_text() {
    let text = embed_texts(&["hello, world!".to_owned()]);
    let bare = vec![7592, 1010, 2088, 999];
    let framed = vec![101, 7592, 1010, 2088, 999, 102];
    let tokens = embed(EmbeddingInputs::Tokens(vec![bare, framed])).unwrap();
    assert_eq!(tokens.vectors, [text.vectors.clone(), text.vectors].concat());
    assert_eq!(tokens.usage.input_tokens, 12);

    let empty = embed(EmbeddingInputs::Tokens(vec![Vec::new()])).unwrap();
    assert_eq!(empty.vectors, embed_texts(&[String::new()]).vectors);

    let long = embed(EmbeddingInputs::Tokens(vec![vec![2773; 254], vec![2773; 1_000]])).unwrap();
    assert_eq!(long.vectors[0], long.vectors[1]);
    assert_eq!(long.usage.input_tokens, 512);

    let unknown = embed(EmbeddingInputs::Tokens(vec![vec![5], vec![30_522]])).unwrap_err();
    assert_eq!((unknown.kind(), unknown.param()), (ErrorKind::InvalidInput, Some("input")));
    assert!(unknown.message().contains("30522"), "{unknown}");
}

#[test]
fn a_word_far_behind_blanks_counts_as_it_would_at_the_start() {
    let far = format!("heap{}overflow", " ".repeat(100_000));
    assert_eq!(embed_texts(&[far]).vectors, embed_texts(&["heap overflow".to_owned()]).vectors);
}

#[test]
fn retrieval_uses_it_through_the_gateway() {
    let (runtime, _) = shared();
    runtime.block_on(async {
        let local = LocalEmbedder::start(threads(2));
        let gateway = Gateway::new().with_provider(Arc::new(local)).unwrap();
        let embedder = gateway.embedder(ALL_MINILM_L6_V2).unwrap();
        assert_eq!(embedder.model().dimensions, 384);
        let texts = ["memory corruption", "heap overflow", "a recipe for soup"].map(str::to_owned).to_vec();
        let vectors = embedder.embed(&context(), EmbeddingLane::Query, texts).await.unwrap();
        assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]));
    });
}

#[test]
fn a_query_overtakes_ingest() {
    let (runtime, _) = shared();
    runtime.block_on(async {
        let local = Arc::new(LocalEmbedder::start(threads(1)));
        local.embed(&context(), ALL_MINILM_L6_V2, EmbeddingRequest::of_texts(["ready"])).await.unwrap();
        assert_eq!(local.status(), LoadStatus::Ready);
        let bulk = tokio::spawn({
            let local = Arc::clone(&local);
            async move {
                let texts = vec!["one of many texts of an ingest that takes a while".to_owned(); 1_000];
                let request = EmbeddingRequest::of_texts(texts).with_lane(EmbeddingLane::Ingest);
                local.embed(&context(), ALL_MINILM_L6_V2, request).await.map(|answer| answer.vectors.len())
            }
        });
        tokio::task::yield_now().await;
        local.embed(&context(), ALL_MINILM_L6_V2, EmbeddingRequest::of_texts(["a query"])).await.unwrap();
        assert!(!bulk.is_finished(), "the query waited for the whole ingest");
        assert_eq!(bulk.await.unwrap().unwrap(), 1_000);
    });
}
