//! What happens to texts before anything is searched: version keys, filters, folding, analysis, each beside something simpler.
//!
//!     cargo bench --workspace --bench texts

#[path = "../../benches/limits/run.rs"]
mod run;

use std::fs;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::Value as Json;
use ucap_retrieval::Filter;
use ucap_retrieval::analysis::{Language, analyze_document, analyze_query};
use ucap_retrieval::filter::resolve;
use ucap_retrieval::fold::fold;
use ucap_retrieval::record::read_record;
use ucap_retrieval::schema::{Format, Schema};
use ucap_retrieval::version::Ecosystem;

const FILTERS: [(&str, &str); 3] = [
    ("a number", "severity >= 7"),
    ("three parts", "severity >= 9 and published >= '2020-01-01' and not cwes contains 'CWE-22'"),
    ("affects", "affects('Maven', 'org.apache.logging.log4j:log4j-core', '2.14.1')"),
];

fn main() {
    let mut criterion = run::criterion();
    versions(&mut criterion);
    filters(&mut criterion);
    texts(&mut criterion);
    criterion.final_summary();
}

/// A file of the repository.
fn file(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

fn json(path: &str) -> Json {
    serde_json::from_str(&file(path)).unwrap_or_else(|error| panic!("{path} is not JSON: {error}"))
}

fn strings(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn versions(criterion: &mut Criterion) {
    let workload = json("benches/workloads/versions.json");
    let mut group = criterion.benchmark_group("version key");
    for (name, list) in workload["versions"].as_object().into_iter().flatten() {
        let ecosystem = Ecosystem::parse(name).expect("a known ecosystem");
        let versions = strings(list);
        group.throughput(Throughput::Elements(versions.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| versions.iter().for_each(|version| drop(black_box(ecosystem.key(version).expect("a version")))));
        });
    }
    let npm = Ecosystem::parse("npm").expect("a known ecosystem");
    let (low, high) = (npm.key("2.5.4").expect("a version"), npm.key("15.2.1-canary.0").expect("a version"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("two keys compared", |b| b.iter(|| black_box(black_box(&low) < black_box(&high))));
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    let schema = Schema::osv();
    let mut group = criterion.benchmark_group("filter");
    for (what, text) in FILTERS {
        let filter = Filter::from_text(text).expect("a filter");
        let written = filter.to_json();
        group.bench_function(BenchmarkId::new("from text", what), |b| b.iter(|| black_box(Filter::from_text(text))));
        group.bench_function(BenchmarkId::new("from JSON", what), |b| {
            b.iter(|| black_box(Filter::from_json(&written)));
        });
        group.bench_function(BenchmarkId::new("typed", what), |b| b.iter(|| black_box(resolve(&filter, &schema))));
    }
    group.finish();
}

fn texts(criterion: &mut Criterion) {
    let lines = file("examples/data/memory-safety.jsonl");
    let schema = Schema::osv();
    let read = |line: &str| read_record(Format::Osv, &schema, line.as_bytes()).expect("an advisory");
    let english: Vec<String> = lines.lines().map(|line| read(line).body).collect();
    let queries = strings(&json("benches/workloads/queries.json")["queries"]);
    let spanish: Vec<String> = queries.iter().filter(|query| !query.is_ascii()).map(|query| query.repeat(8)).collect();
    let bytes = |texts: &[String]| Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum());

    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Bytes(lines.len() as u64));
    group.bench_function("OSV records read", |b| b.iter(|| lines.lines().for_each(|line| drop(black_box(read(line))))));
    group.bench_function("limit: the same parsed as JSON", |b| {
        b.iter(|| {
            lines.lines().for_each(|line| drop(black_box(serde_json::from_str::<Json>(line).expect("JSON"))));
        });
    });
    for (what, texts) in [("ASCII", &english), ("Spanish", &spanish)] {
        group.throughput(bytes(texts));
        group.bench_function(BenchmarkId::new("folded", what), |b| {
            b.iter(|| texts.iter().for_each(|text| drop(black_box(fold(text)))));
        });
        group.bench_function(BenchmarkId::new("limit: to_lowercase", what), |b| {
            b.iter(|| texts.iter().for_each(|text| drop(black_box(text.to_lowercase()))));
        });
    }
    for language in [Language::English, Language::Spanish, Language::Auto] {
        group.throughput(bytes(&english));
        group.bench_function(BenchmarkId::new("document analysed", language.as_str()), |b| {
            b.iter(|| english.iter().for_each(|text| drop(black_box(analyze_document(text, language)))));
        });
    }
    group.bench_function("naive: cut at white space", |b| {
        b.iter(|| english.iter().for_each(|text| drop(black_box(text.split_whitespace().collect::<Vec<_>>()))));
    });
    group.throughput(Throughput::Elements(queries.len() as u64));
    group.bench_function("queries analysed", |b| {
        b.iter(|| queries.iter().for_each(|query| drop(black_box(analyze_query(query, Language::Auto)))));
    });
    group.finish();
}
