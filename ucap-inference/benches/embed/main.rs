//! Speed of the local embedding model, on one thread.
//!
//! `cargo bench -p ucap-inference --features candle --bench embed`. `ingest` is tokens a second of bulk work, tokenisation
//! included; `query` how long one short query takes from call to answer. The texts are the advisories of `examples/data`;
//! the weights are found as `ucap models pull` finds them. `product` is one layer of the network on each instruction set
//! that this processor has, in operations a second (a multiplication and an addition are two), beside `peak`: the same
//! instructions on registers alone, which no product can exceed.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench may fail; criterion's macros make a public function")]

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the kernels are private to the crate, and only some are measured by themselves"
)]
#[path = "../../src/backends/candle/kernels/mod.rs"]
mod kernels;
#[cfg(target_arch = "x86_64")]
mod peak;

use std::num::NonZeroUsize;
use std::time::Duration;

use self::kernels::Level;
use self::kernels::product::{Activation, Linear, Rows};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use ucap_core::{EmbeddingLane, RequestContext};
use ucap_inference::{
    ALL_MINILM_L6_V2, EmbeddingRequest, EmbeddingResponse, LocalEmbedder, LocalOptions, ModelProvider, PullOptions,
    cache_directory,
};

/// Bytes of a passage: about 160 word pieces, which is what retrieval's chunking makes.
const PASSAGE: usize = 700;

/// Summary and details of every advisory.
fn advisories() -> Vec<String> {
    let files = [
        include_str!("../../../examples/data/memory-safety.jsonl"),
        include_str!("../../../examples/data/network-and-crypto.jsonl"),
    ];
    let text = |line: &str| {
        let advisory: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| advisory[name].as_str().unwrap_or_default().to_owned();
        format!("{}\n{}", field("summary"), field("details"))
    };
    files.iter().flat_map(|file| file.lines().map(text)).collect()
}

/// The advisories one after the other, cut at words.
fn passages() -> Vec<String> {
    let mut passages = vec![String::new()];
    for word in advisories().join("\n").split_whitespace() {
        if passages.last().is_some_and(|passage| passage.len() > PASSAGE) {
            passages.push(String::new());
        }
        let passage = passages.last_mut().unwrap();
        passage.push_str(word);
        passage.push(' ');
    }
    passages
}

fn embed(runtime: &Runtime, local: &LocalEmbedder, lane: EmbeddingLane, texts: &[String]) -> EmbeddingResponse {
    let context = RequestContext::new("bench").with_timeout(Duration::from_secs(600));
    let request = EmbeddingRequest::of_texts(texts).with_lane(lane);
    runtime.block_on(local.embed(&context, ALL_MINILM_L6_V2, request)).unwrap()
}

fn model(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let pull = PullOptions::new(cache_directory(|name| std::env::var_os(name)).expect("HOME or UCAP_CACHE is set"));
    let options = LocalOptions::new(pull).with_threads(NonZeroUsize::MIN);
    let local = runtime.block_on(async { LocalEmbedder::start(options) });

    let mut ingest = criterion.benchmark_group("ingest");
    ingest.sample_size(10);
    for (name, texts) in [("passages", passages()), ("advisories", advisories())] {
        let tokens = embed(&runtime, &local, EmbeddingLane::Ingest, &texts).usage.input_tokens;
        ingest.throughput(Throughput::Elements(tokens));
        ingest.bench_function(format!("{name} of {} tokens", tokens / texts.len() as u64), |bencher| {
            bencher.iter(|| embed(&runtime, &local, EmbeddingLane::Ingest, &texts));
        });
    }
    ingest.finish();

    let query = ["heap overflow in the parser".to_owned()];
    criterion.bench_function("query of 7 tokens", |bencher| {
        bencher.iter(|| embed(&runtime, &local, EmbeddingLane::Query, &query));
    });
}

/// Tokens of one piece of ingest, about.
const TOKENS: usize = 256;

fn product(criterion: &mut Criterion) {
    let mut product = criterion.benchmark_group("product");
    for (inputs, outputs, activation) in
        [(384, 1_152, Activation::Identity), (384, 1_536, Activation::Gelu), (1_536, 384, Activation::Identity)]
    {
        let values = |count: usize| (0..count).map(|index| (index as f32 * 0.7).sin()).collect::<Vec<_>>();
        let layer = Linear::pack(&values(inputs * outputs), &values(outputs), inputs, activation).unwrap();
        let (mut rows, mut y) = (Rows::default(), Vec::new());
        rows.fill(Level::best(), &values(TOKENS * inputs), inputs);
        product.throughput(Throughput::Elements(2 * (TOKENS * inputs * outputs) as u64));
        for level in Level::detected() {
            product.bench_function(format!("{inputs} x {outputs} {activation:?} {level:?}"), |bencher| {
                bencher.iter(|| layer.apply(level, &rows, &mut y));
            });
        }
    }
    product.finish();
    #[cfg(target_arch = "x86_64")]
    peak::measure(criterion);
}

criterion_group!(benches, model, product);
criterion_main!(benches);
