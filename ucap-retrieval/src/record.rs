//! A record as the stores keep it: typed fields, the text to index, the versions it affects, and the original as it came.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use ucap_core::{Error, ErrorKind, Result};

use crate::ingest::formats::{declared, document, osv};
use crate::schema::{Format, Schema, excerpt, kind_of};
use crate::value::Value;
use crate::version::{Ecosystem, Interval};

/// The longest id of a record, in bytes.
pub const MAX_ID: usize = 512;
/// The longest title that is kept apart from the body, in bytes: it is repeated in front of each passage.
pub const MAX_TITLE: usize = 256;
/// The most dimensions of a `_vector`.
pub const MAX_DIMENSIONS: usize = 16_384;
/// The largest magnitude of a number in a vector: sums of products stay far from infinity.
pub const MAX_COMPONENT: f32 = 1e9;
/// The key under which a record brings its own embedding.
pub(crate) const VECTOR_KEY: &str = "_vector";

/// One item of a datasource.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id within the datasource, as given.
    pub id: String,
    /// The fields that are present, `id` among them.
    pub fields: BTreeMap<String, Value>,
    /// What the text is about, [`MAX_TITLE`] bytes at most; it goes in front of each passage.
    pub title: String,
    /// The text to cut into passages; with an empty title, too, the record has no passage.
    pub body: String,
    /// The sections of the body, in order; none where it has no headings.
    pub sections: Vec<Section>,
    /// Whether its publisher has taken it back.
    pub withdrawn: bool,
    /// The package versions it affects.
    pub affected: Vec<Affected>,
    /// The embedding that it brings (`_vector`).
    pub vector: Option<Vec<f32>>,
    /// The JSON as it was ingested.
    pub original: Box<RawValue>,
}

/// A section of a body: from its heading up to the next one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Where the heading begins in the body, in bytes.
    pub start: usize,
    /// The headings above this one, outermost first, joined by [`Section::SEPARATOR`].
    pub above: String,
    /// The heading.
    pub heading: String,
}

impl Section {
    /// What stands between two headings in a path.
    pub const SEPARATOR: &'static str = " › ";

    /// The headings that lead to this section and its own.
    pub fn path(&self) -> String {
        match (self.above.as_str(), self.heading.as_str()) {
            ("", heading) => heading.to_owned(),
            (above, "") => above.to_owned(),
            (above, heading) => format!("{above}{}{heading}", Self::SEPARATOR),
        }
    }
}

/// The versions of one package that a record affects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Affected {
    /// The package's ecosystem.
    pub ecosystem: Ecosystem,
    /// The part behind the colon in `Debian:12`; empty where there is none.
    pub suffix: String,
    /// The package in the ecosystem's normal form.
    pub package: String,
    /// The affected versions as disjoint intervals of keys, in order; none where the ecosystem has no order.
    pub intervals: Vec<Interval>,
    /// Listed versions that cannot be parsed: each matches only itself.
    pub literals: Vec<String>,
}

impl Record {
    /// The fields as answers show them: a JSON object with sorted keys, integers exact, floats shortest, times in UTC.
    pub fn fields_json(&self) -> String {
        // Neither a string key nor a finite number can fail to be written.
        serde_json::to_string(&self.fields).unwrap_or_default()
    }

    /// A record with an id, its fields and nothing else.
    pub(crate) fn new(id: String, fields: BTreeMap<String, Value>, original: Box<RawValue>) -> Self {
        let mut fields = fields;
        fields.insert("id".to_owned(), Value::Text(id.clone()));
        Self {
            id,
            fields,
            title: String::new(),
            body: String::new(),
            sections: Vec::new(),
            withdrawn: false,
            affected: Vec::new(),
            vector: None,
            original,
        }
    }

    /// Takes the texts of a record, the title first. One that is too long to be repeated in front of each passage leads the body instead.
    pub(crate) fn set_texts<'a>(&mut self, title: &'a str, others: impl IntoIterator<Item = &'a str>) {
        let (title, lead) = if title.trim().len() <= MAX_TITLE { (title.trim(), "") } else { ("", title.trim()) };
        self.title = title.to_owned();
        self.body =
            std::iter::once(lead).chain(others).filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n\n");
    }
}

/// Reads one line of a datasource's records: a JSON object in the datasource's format.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] with a sentence that says what is wrong with the line and names the field;
/// [`ErrorKind::Unsupported`] for a document of a type that cannot be read.
pub fn read_record(format: Format, schema: &Schema, line: &[u8]) -> Result<Record> {
    let parsed = Parsed::read(line)?;
    match format {
        Format::Osv => osv::read(parsed),
        Format::Records => declared::read(schema, parsed),
        Format::Documents => document::read(parsed),
    }
}

/// Checks the id of a record: 1 to 512 bytes of UTF-8 without control characters.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for any other.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        return Err(Error::invalid(
            "id",
            format!(
                "`id` wants 1 to {MAX_ID} bytes without control characters, got \"{}\" ({} bytes)",
                excerpt(id),
                id.len()
            ),
        ));
    }
    Ok(())
}

/// A record's JSON, taken apart: its id is checked and its vector is read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) id: String,
    pub(crate) vector: Option<Vec<f32>>,
    /// The other entries, in the order in which they stand.
    pub(crate) entries: Vec<(String, Json)>,
    pub(crate) original: Box<RawValue>,
}

impl Parsed {
    fn read(line: &[u8]) -> Result<Self> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let text = std::str::from_utf8(line)
            .map_err(|error| invalid(format!("not UTF-8: invalid byte at position {}", error.valid_up_to() + 1)))?;
        if !text.trim_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(|error| broken(text, &error))?;
            let kind = serde_json::from_str::<Json>(text).map_or("something else", |json| kind_of(&json));
            let hint =
                if text.trim_start().starts_with('[') { "; send an array of records as application/json" } else { "" };
            return Err(invalid(format!("a record is a JSON object, this is {kind}{hint}")));
        }
        let Entries(mut entries) = serde_json::from_str(text).map_err(|error| broken(text, &error))?;
        let mut take = |key: &str| {
            let at = entries.iter().position(|(name, _)| name == key)?;
            Some(entries.remove(at).1)
        };
        let id = match take("id") {
            Some(Json::String(id)) => id,
            Some(other) => return Err(Error::invalid("id", format!("`id` wants a string, got {}", kind_of(&other)))),
            None => return Err(Error::invalid("id", "`id` is missing")),
        };
        check_id(&id)?;
        let vector = take(VECTOR_KEY).filter(|json| !json.is_null()).map(|json| read_vector(&json)).transpose()?;
        let original = RawValue::from_string(text.trim().to_owned()).map_err(|error| broken(text, &error))?;
        Ok(Self { id, vector, entries, original })
    }
}

fn read_vector(json: &Json) -> Result<Vec<f32>> {
    let wrong = |got: String| {
        let message =
            format!("`{VECTOR_KEY}` wants a list of 1 to {MAX_DIMENSIONS} numbers between -10^9 and 10^9, got {got}");
        Error::invalid(VECTOR_KEY, message)
    };
    let Json::Array(elements) = json else { return Err(wrong(kind_of(json).to_owned())) };
    if elements.is_empty() || elements.len() > MAX_DIMENSIONS {
        return Err(wrong(format!("{} elements", elements.len())));
    }
    // The nearest f32 is what every store keeps.
    #[expect(clippy::cast_possible_truncation, reason = "a number too large for f32 becomes infinite and is refused")]
    let narrow = |number: f64| number as f32;
    let finite = |element: &Json| element.as_f64().map(narrow).filter(|number| number.abs() <= MAX_COMPONENT);
    elements.iter().map(|element| finite(element).ok_or_else(|| wrong(element.to_string()))).collect()
}

/// The entries of a JSON object, each key once.
struct Entries(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct EachKeyOnce;

        impl<'de> Visitor<'de> for EachKeyOnce {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if entries.contains_key(&key) {
                        return Err(serde::de::Error::custom(format_args!(
                            "the key `{}` stands there twice",
                            excerpt(&key)
                        )));
                    }
                    entries.insert(key, map.next_value()?);
                }
                Ok(Entries(entries.into_iter().collect()))
            }
        }

        deserializer.deserialize_map(EachKeyOnce)
    }
}

/// Why `text` could not be read: because it is no JSON, or because it is JSON that cannot be held.
pub(crate) fn broken(text: &str, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    // A record is a line: its own number says nothing.
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return invalid(format!("broken JSON at byte {}: {reason}", error.column()));
    }
    let what = match reason {
        "number out of range" => "a number out of range",
        "recursion limit exceeded" => "lists or objects that nest too deep",
        _ if error.is_syntax() => "a text that is no Unicode",
        reason => return invalid(reason.to_owned()),
    };
    invalid(format!("the record holds {what}, at byte {}", error.column()))
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(crate) mod tests;
