//! [OSV](https://ossf.github.io/osv-schema/) records, and databases converted to their shape.
//!
//! Only `id` is demanded. A key that OSV defines and a field is made of must have its OSV type, and a time must be one: a record that
//! breaks this is refused, naming the key, rather than kept with a field that silently is missing. What stands deeper (the parts of
//! `affected`, `severity` and `database_specific`) is taken where it can be read and left in the original where it cannot; but versions,
//! ranges and events of another shape are refused, since reading them as nothing would say "not affected".

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use ucap_core::{Error, Result};

use crate::record::{Affected, Parsed, Record};
use crate::schema::kind_of;
use crate::severity::{CvssVersion, base_score, label, word_score};
use crate::timestamp::Timestamp;
use crate::value::Value;
use crate::version::{Ecosystem, Event, Interval, exact, intervals};

pub(crate) fn read(parsed: Parsed) -> Result<Record> {
    let source = Source(parsed.entries.into_iter().collect());
    let affected = source.objects("affected")?;
    let summary = source.text("summary")?.unwrap_or_default();
    let details = source.text("details")?.unwrap_or_default();
    let mut fields = BTreeMap::new();
    for (name, text) in [("summary", summary), ("details", details)] {
        if source.0.get(name).is_some_and(Json::is_string) {
            fields.insert(name.to_owned(), Value::Text(text.to_owned()));
        }
    }
    for name in ["published", "modified", "withdrawn"] {
        if let Some(time) = source.time(name)? {
            fields.insert(name.to_owned(), Value::Timestamp(time));
        }
    }
    let packages = || affected.iter().filter_map(|entry| entry.get("package"));
    let lists = [
        ("aliases", source.strings("aliases")?),
        ("ecosystems", distinct(packages().filter_map(|package| package.get("ecosystem")?.as_str()))),
        ("packages", distinct(packages().filter_map(|package| package.get("name")?.as_str()))),
        ("cwes", source.cwes()),
    ];
    for (name, elements) in lists {
        if !elements.is_empty() {
            fields.insert(
                name.to_owned(),
                Value::List(elements.into_iter().map(|text| Value::Text(text.to_owned())).collect()),
            );
        }
    }
    if let Some(score) = source.severity(&affected)? {
        fields.insert("severity".to_owned(), Value::Float(score));
        fields.insert("severity_label".to_owned(), Value::Text(label(score).to_owned()));
    }
    let mut record = Record::new(parsed.id, fields, parsed.original);
    record.set_texts(summary, [details]);
    record.withdrawn = record.fields.contains_key("withdrawn");
    affected.iter().try_for_each(|entry| check_affected(entry))?;
    record.affected = affected.iter().filter_map(|entry| read_affected(entry)).collect();
    record.vector = parsed.vector;
    Ok(record)
}

/// The JSON of a record.
struct Source(BTreeMap<String, Json>);

impl Source {
    /// The value of a key; null is a missing one.
    fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key).filter(|json| !json.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(key, "a string", kind_of(other))),
        }
    }

    fn time(&self, key: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let time = Timestamp::parse(text)
            .ok_or_else(|| wrong(key, "a time (RFC 3339)", &format!("\"{}\"", crate::schema::excerpt(text))))?;
        Ok(Some(time))
    }

    fn list(&self, key: &str) -> Result<&[Json]> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Json::Array(elements)) => Ok(elements),
            Some(other) => Err(wrong(key, "a list", kind_of(other))),
        }
    }

    fn strings(&self, key: &str) -> Result<Vec<&str>> {
        let strings = self.list(key)?.iter().map(|element| match element {
            Json::String(text) => Ok(text.as_str()),
            other => Err(wrong(key, "a list of strings", &format!("{} in it", kind_of(other)))),
        });
        strings.collect()
    }

    fn objects(&self, key: &str) -> Result<Vec<&Map<String, Json>>> {
        let objects = self.list(key)?.iter().map(|element| match element {
            Json::Object(object) => Ok(object),
            other => Err(wrong(key, "a list of objects", &format!("{} in it", kind_of(other)))),
        });
        objects.collect()
    }

    /// The weaknesses: GHSA's `cwe_ids`, the CVE list's, CISA KEV's and retire.js' `cwes`, and those that CISA added to a CVE.
    fn cwes(&self) -> Vec<&str> {
        let specific = self.get("database_specific");
        distinct(["cwe_ids", "cwes", "cwes_by_cisa"].into_iter().flat_map(move |key| {
            let list = specific.and_then(|specific| specific.get(key)).and_then(Json::as_array);
            list.into_iter().flatten().filter_map(Json::as_str)
        }))
    }

    /// The first of: the score of the record's vector, the highest of its packages', the score it states, the least score of the words
    /// it states.
    fn severity(&self, affected: &[&Map<String, Json>]) -> Result<Option<f64>> {
        if let Some(score) = vector_score(self.list("severity")?) {
            return Ok(Some(score));
        }
        let of_packages = affected.iter().filter_map(|entry| vector_score(entry.get("severity")?.as_array()?));
        if let Some(highest) = of_packages.max_by(f64::total_cmp) {
            return Ok(Some(highest));
        }
        let stated = self.get("x_severity");
        let score =
            stated.and_then(|stated| stated.get("score")?.as_f64()).filter(|score| (0.0..=10.0).contains(score));
        if score.is_some() {
            return Ok(score);
        }
        let specific = self.get("database_specific").and_then(|specific| specific.get("severity"));
        let words = [stated.and_then(|stated| stated.get("label")), specific];
        Ok(words.into_iter().flatten().filter_map(Json::as_str).find_map(word_score))
    }
}

/// The base score of the vector that counts: v3, else v4, else v2; of several of one version the highest.
fn vector_score(severities: &[Json]) -> Option<f64> {
    let scores: Vec<(CvssVersion, f64)> =
        severities.iter().filter_map(|severity| base_score(severity.get("score")?.as_str()?)).collect();
    let highest = |versions: &[CvssVersion]| {
        scores.iter().filter(|(version, _)| versions.contains(version)).map(|&(_, score)| score).max_by(f64::total_cmp)
    };
    highest(&[CvssVersion::V3_0, CvssVersion::V3_1])
        .or_else(|| highest(&[CvssVersion::V4_0]))
        .or_else(|| highest(&[CvssVersion::V2]))
}

/// What says which versions are affected must at least have its shape: read as nothing, it would say "not affected".
fn check_affected(entry: &Map<String, Json>) -> Result<()> {
    let list = |holder: &Map<String, Json>, key: &str| match holder.get(key) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(elements)) => Ok(elements.clone()),
        Some(other) => Err(Error::invalid(key, format!("`{key}` of `affected` wants a list, got {}", kind_of(other)))),
    };
    let wrong = |key: &str, found: &Json, wanted: &str| {
        Error::invalid(key, format!("`{key}` of `affected` wants {wanted}, got {}", kind_of(found)))
    };
    if let Some(other) = list(entry, "versions")?.iter().find(|version| !version.is_string()) {
        return Err(wrong("versions", other, "strings"));
    }
    for range in list(entry, "ranges")? {
        let Json::Object(range) = &range else { return Err(wrong("ranges", &range, "objects")) };
        for event in list(range, "events")? {
            let Json::Object(event) = &event else { return Err(wrong("events", &event, "objects")) };
            if let Some(other) = event.values().find(|version| !version.is_string()) {
                return Err(wrong("events", other, "versions as strings"));
            }
        }
    }
    Ok(())
}

/// The versions of an entry of `affected`; `None` where it names no package of an ecosystem that can be asked for.
fn read_affected(entry: &Map<String, Json>) -> Option<Affected> {
    let package = entry.get("package")?;
    let name = package.get("ecosystem")?.as_str()?;
    let ecosystem = Ecosystem::parse(name).ok()?;
    let suffix =
        name.strip_prefix(ecosystem.name()).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default().to_owned();
    let package = ecosystem.normalize_package(package.get("name")?.as_str()?).into_owned();
    let mut found = Vec::new();
    let mut literals = Vec::new();
    if ecosystem.is_ordered() {
        let elements = |key: &str| entry.get(key).and_then(Json::as_array).into_iter().flatten();
        for version in elements("versions").filter_map(Json::as_str) {
            match ecosystem.key(version) {
                Ok(key) => found.push(exact(key)),
                Err(_) => literals.push(version.to_owned()),
            }
        }
        found.extend(elements("ranges").filter_map(|range| read_range(ecosystem, range)).flatten());
    }
    Some(Affected { ecosystem, suffix, package, intervals: disjoint(found), literals })
}

/// The intervals of a range of versions; `None` for one of commits, and for one with an event that cannot be read.
fn read_range(ecosystem: Ecosystem, range: &Json) -> Option<Vec<Interval>> {
    if !matches!(range.get("type")?.as_str()?, "SEMVER" | "ECOSYSTEM") {
        return None;
    }
    let mut events = Vec::new();
    for event in range.get("events")?.as_array()? {
        let event = event.as_object()?;
        let known = [
            ("introduced", Event::Introduced as fn(_) -> _),
            ("fixed", Event::Fixed),
            ("last_affected", Event::LastAffected),
            ("limit", Event::Limit),
        ];
        if event.is_empty() || event.keys().any(|key| known.iter().all(|(name, _)| name != key)) {
            return None;
        }
        for (name, read) in known {
            if let Some(version) = event.get(name) {
                events.push(read(version.as_str()?));
            }
        }
    }
    intervals(ecosystem, &events).ok()
}

/// The same set of keys as the fewest intervals, in order.
fn disjoint(mut found: Vec<Interval>) -> Vec<Interval> {
    found.sort_by(|a, b| a.low.cmp(&b.low));
    let mut merged: Vec<Interval> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last) if last.high.as_ref().is_none_or(|high| next.low <= *high) => {
                last.high = match (last.high.take(), next.high) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// The strings, each once, in the order in which they come first.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    texts.filter(|text| seen.insert(*text)).collect()
}

fn wrong(key: &str, wanted: &str, got: &str) -> Error {
    Error::invalid(key, format!("`{key}` wants {wanted}, got {got}"))
}

#[cfg(test)]
#[path = "osv_tests.rs"]
mod tests;
