//! Random records, filters and requests from a seed.

use serde_json::{Value as Json, json};

use crate::filter::Filter;
use crate::query::{Mode, SearchRequest, SortKey, Withdrawn};

/// A reproducible source of choices: SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

/// Few, so that records share them.
const WORDS: [&str; 24] = [
    "overflow",
    "buffer",
    "heap",
    "injection",
    "inyección",
    "INYECCION",
    "kernel",
    "remote",
    "ejecución",
    "execution",
    "código",
    "the",
    "niño",
    "log4j-core",
    "CVE-2021-44228",
    "10.0.0.1",
    "parsing",
    "parser",
    "Straße",
    "数据库",
    "%",
    "_",
    "it's",
    "🔥",
];
const IDS: [&str; 14] =
    ["a", "b", "c", "A", "a/b", "é", "e\u{301}", "中文", "'; --", "%", "with space", "🔥", "\u{10ffff}", "GHSA-xxxx"];
const TIMES: [&str; 6] = [
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "2025-12-31T23:59:59.999Z",
    "2026-01-01T01:00:00+01:00",
    "1999-12-31T00:00:00",
    "2026-03-01T12:00:00Z",
];
const VERSIONS: [&str; 6] = ["1.9.0", "1.10.0", "1.10.0-rc.1", "2.0.0", "v1.9", "0.0.1"];

impl Random {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// An id out of few.
    pub fn id(&mut self) -> String {
        match self.one_in(3) {
            true => format!("r{}", self.below(30)),
            false => self.pick(&IDS).to_owned(),
        }
    }

    /// Up to `most` words.
    pub fn text(&mut self, most: usize) -> String {
        let count = self.below(most + 1);
        (0..count).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    }

    /// A word.
    pub fn word(&mut self) -> String {
        self.pick(&WORDS).to_owned()
    }

    /// A record of [`all_types`].
    pub fn record(&mut self) -> Json {
        let mut record = json!({"id": self.id()});
        let fields: [(&str, Json); 9] = [
            ("t", self.text(12).into()),
            ("u", self.pick(&["", "\u{0}", "a\u{0}b", "café", "CAFE", "x'y\"z", "%_\\"]).into()),
            ("k", self.pick(&["red", "Red", "blue", "", "10", "9", "ñ"]).into()),
            ("n", self.pick(&[i64::MIN, -1, 0, 1, 2, 9_007_199_254_740_993, i64::MAX]).into()),
            ("f", self.pick(&[-0.0, 0.0, 1.5, -0.5, 1e300, 9_007_199_254_740_992.0]).into()),
            ("b", self.one_in(2).into()),
            ("at", self.pick(&TIMES).into()),
            ("v", self.pick(&VERSIONS).into()),
            ("tags", (0..self.below(3)).map(|_| self.pick(&["x", "y", "xy", ""])).collect::<Vec<_>>().into()),
        ];
        for (name, value) in fields {
            if !self.one_in(4) {
                record[name] = value;
            }
        }
        record
    }

    /// An OSV record; withdrawn now and then.
    pub fn advisory(&mut self) -> Json {
        let mut record = json!({
            "id": self.id(),
            "summary": self.text(6),
            "details": format!("{}\n\n{}", self.text(30), self.text(60)),
            "affected": [{
                "package": {"ecosystem": self.pick(&["npm", "PyPI", "Maven", "Debian:12"]), "name": self.pick(&["left-pad", "log4j"])},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": self.pick(&["1.2", "2.0", "3"])}]}],
                "versions": [self.pick(&["1.0", "not a version!", "2.5"])],
            }],
        });
        if self.one_in(3) {
            record["withdrawn"] = self.pick(&TIMES).into();
        }
        if self.one_in(2) {
            record["published"] = self.pick(&TIMES).into();
        }
        if self.one_in(2) {
            record["aliases"] = json!([self.pick(&["CVE-2021-44228", "CVE-2020-1", "cve-2021-44228"])]);
        }
        record
    }

    /// A small vector.
    pub fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| self.below(5) as f32 - 2.0).collect()
    }

    /// A filter over the fields of [`all_types`], of advisories, or of none; now and then one that is refused.
    pub fn filter(&mut self, depth: usize) -> Json {
        if depth > 0 && self.one_in(2) {
            let parts: Vec<Json> = (0..self.below(4)).map(|_| self.filter(depth - 1)).collect();
            return match self.below(3) {
                0 => json!({"and": parts}),
                1 => json!({"or": parts}),
                _ => json!({"not": self.filter(depth - 1)}),
            };
        }
        let op = self.pick(&["eq", "ne", "gt", "gte", "lt", "lte"]);
        match self.below(14) {
            0 => json!({op: {"k": self.pick(&["red", "Red", "blue", "", "10", "ñ"])}}),
            1 => {
                json!({op: {"n": self.pick(&[json!(0), json!(1), json!(1.5), json!(9_007_199_254_740_993_i64), json!(1e300)])}})
            }
            2 => json!({op: {"f": self.pick(&[json!(0), json!(-0.0), json!(1.5), json!(9_007_199_254_740_993_i64)])}}),
            3 => json!({self.pick(&["eq", "ne"]): {"b": self.one_in(2)}}),
            4 => json!({op: {"at": self.pick(&TIMES)}}),
            5 => json!({op: {"v": self.pick(&VERSIONS)}}),
            6 => {
                json!({op: {self.pick(&["t", "u", "summary", "id"]): self.pick(&["", "a", "café", "a\u{0}b", "heap"])}})
            }
            7 => {
                json!({"contains": {self.pick(&["t", "u", "k", "summary", "id"]): self.pick(&["", "RE", "cafe", "%", "_", "\u{0}", "nino", "'", "strasse"])}})
            }
            8 => {
                json!({"contains": {self.pick(&["tags", "aliases", "packages"]): self.pick(&["x", "xy", "", "CVE-2021-44228", "npm/left-pad"])}})
            }
            9 => {
                json!({"exists": self.pick(&["t", "u", "k", "n", "f", "b", "at", "v", "tags", "id", "summary", "withdrawn", "aliases", "nosuch"])})
            }
            10 => json!({"in": {self.pick(&["k", "id"]): ["red", "a", "é", "blue"]}}),
            11 => json!({"in": {"n": [0, 1, 2.5, 9_007_199_254_740_993_i64]}}),
            12 => json!({"in": {"f": [0, 1.5, 1e300]}}),
            _ => {
                json!({"affects": {"ecosystem": self.pick(&["npm", "PyPI", "Maven", "Debian", "Debian:12"]), "package": self.pick(&["left-pad", "log4j"]),
                "version": self.pick(&["1.0", "1.2", "2.5", "not a version!", "3"])}})
            }
        }
    }

    /// A search.
    pub fn request(&mut self) -> SearchRequest {
        let mode = self.pick(&[Mode::Hybrid, Mode::Lexical, Mode::Vector, Mode::Filter, Mode::Filter]);
        let mut request = SearchRequest { mode, ..SearchRequest::default() };
        if mode != Mode::Filter {
            request.query = Some(format!("{} {}", self.word(), self.text(3)));
            request.explain = self.one_in(2);
        } else {
            let fields = ["t", "u", "k", "n", "f", "b", "at", "v", "id", "published", "severity", "title"];
            let sort =
                |random: &mut Self| SortKey { field: random.pick(&fields).to_owned(), descending: random.one_in(2) };
            request.sort = (0..self.below(3)).map(|_| sort(self)).collect();
        }
        if mode == Mode::Filter || self.one_in(2) {
            request.filter = Filter::from_json(&self.filter(3)).ok();
        }
        if self.one_in(3) {
            let names = ["rec", "adv", "ext", "doc", "other"];
            request.datasources = Some(names.into_iter().filter(|_| self.one_in(2)).map(str::to_owned).collect());
        }
        request.withdrawn = self.pick(&[Withdrawn::Exclude, Withdrawn::Include, Withdrawn::Only]);
        request.limit = self.pick(&[1, 2, 3, 7, 1000]);
        if matches!(mode, Mode::Vector | Mode::Hybrid) && self.one_in(4) {
            request.vector = Some(self.vector(4));
            request.datasources = Some(vec!["ext".to_owned()]);
        }
        request
    }
}

/// The settings of a datasource with a field of each type.
pub(super) fn all_types() -> Json {
    json!({"format": "records", "vectors": false, "schema": {"text": ["t", "u"], "fields": {
        "t": {"type": "text"}, "u": {"type": "text"}, "k": {"type": "keyword"}, "n": {"type": "integer"}, "f": {"type": "float"},
        "b": {"type": "boolean"}, "at": {"type": "timestamp"}, "v": {"type": "version", "ecosystem": "npm"},
        "tags": {"type": "keyword", "list": true}}}})
}
