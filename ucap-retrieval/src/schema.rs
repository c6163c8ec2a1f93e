//! The schema of a datasource: which fields its records have, of which type, and which of them are its text.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use ucap_core::{Error, ErrorKind, Result};

use crate::version::{Ecosystem, VersionError};

/// The most fields that a schema may declare.
pub const MAX_FIELDS: usize = 256;
/// The longest name of a field, in bytes.
pub const MAX_FIELD_NAME: usize = 64;

/// The form in which a datasource's records come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// [OSV](https://ossf.github.io/osv-schema/) records.
    Osv,
    /// JSON objects with the fields that the datasource declares.
    Records,
    /// Markdown, HTML and plain text.
    Documents,
}

impl Format {
    /// The format of this name: `osv`, `records` or `documents`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for any other name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "osv" => Ok(Self::Osv),
            "records" => Ok(Self::Records),
            "documents" => Ok(Self::Documents),
            _ => Err(Error::invalid(
                "format",
                format!("unknown format `{}`: use osv, records or documents", excerpt(name)),
            )),
        }
    }

    /// The name that [`Format::parse`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Osv => "osv",
            Self::Records => "records",
            Self::Documents => "documents",
        }
    }
}

/// The type of a field's values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldType {
    /// Prose.
    Text,
    /// A name, a label, an identifier.
    Keyword,
    /// A whole number of 64 bits.
    Integer,
    /// A finite number of double precision.
    Float,
    /// True or false.
    Boolean,
    /// An instant.
    Timestamp,
    /// A version, in the order of an ecosystem (which has one).
    Version(Ecosystem),
}

impl FieldType {
    /// The name of the type in a declared schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Keyword => "keyword",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Version(_) => "version",
        }
    }

    /// The type with its article, for a message.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Keyword => "a keyword",
            Self::Integer => "an integer of 64 bits",
            Self::Float => "a float",
            Self::Boolean => "a boolean",
            Self::Timestamp => "a timestamp (RFC 3339)",
            Self::Version(_) => "a version",
        }
    }

    /// Whether the values are strings whose substrings can be searched.
    pub fn is_textual(self) -> bool {
        matches!(self, Self::Text | Self::Keyword)
    }
}

/// A field of a schema.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Field {
    /// The type of the value, or of each element.
    pub ty: FieldType,
    /// Whether a record has a list of values.
    pub list: bool,
}

impl Field {
    const fn one(ty: FieldType) -> Self {
        Self { ty, list: false }
    }

    const fn list(ty: FieldType) -> Self {
        Self { ty, list: true }
    }
}

/// The fields of a datasource's records. Every schema has the keyword field `id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schema {
    /// The fields by name.
    pub fields: BTreeMap<String, Field>,
    /// The fields whose values make the text of a record, in this order.
    pub text: Vec<String>,
}

impl Schema {
    /// The schema of format `osv`.
    pub fn osv() -> Self {
        use FieldType::{Float, Keyword, Text, Timestamp};
        let fields = [
            ("id", Field::one(Keyword)),
            ("aliases", Field::list(Keyword)),
            ("ecosystems", Field::list(Keyword)),
            ("packages", Field::list(Keyword)),
            ("severity", Field::one(Float)),
            ("severity_label", Field::one(Keyword)),
            ("cwes", Field::list(Keyword)),
            ("published", Field::one(Timestamp)),
            ("modified", Field::one(Timestamp)),
            ("withdrawn", Field::one(Timestamp)),
            ("summary", Field::one(Text)),
            ("details", Field::one(Text)),
        ];
        Self::fixed(&fields, &["summary", "details"])
    }

    /// The schema of format `documents`.
    pub fn documents() -> Self {
        let fields = [
            ("id", Field::one(FieldType::Keyword)),
            ("title", Field::one(FieldType::Text)),
            ("content_type", Field::one(FieldType::Keyword)),
        ];
        Self::fixed(&fields, &["title"])
    }

    fn fixed(fields: &[(&str, Field)], text: &[&str]) -> Self {
        Self {
            fields: fields.iter().map(|&(name, field)| (name.to_owned(), field)).collect(),
            text: text.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Reads a declared schema: `{"fields":{"severity":{"type":"float"},…},"text":["title","body"]}`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] naming what is wrong; [`ErrorKind::Unsupported`] for a version field of an ecosystem without an order.
    pub fn declared(json: &Json) -> Result<Self> {
        Self::fixed(&[("id", Field::one(FieldType::Keyword))], &[]).extended(json)
    }

    /// This schema and more fields (a PATCH), in the shape that [`Schema::declared`] reads. Texts are added behind those there are.
    ///
    /// # Errors
    ///
    /// Those of [`Schema::declared`], and [`ErrorKind::InvalidInput`] where a field would change its type.
    pub fn extended(&self, more: &Json) -> Result<Self> {
        let mut schema = self.clone();
        let object = object(more, "the schema")?;
        known_keys(object, &["fields", "text"], "the schema")?;
        if let Some(fields) = object.get("fields") {
            for (name, declared) in self::object(fields, "`fields` of the schema")? {
                check_field_name(name)?;
                let field = read_field(name, declared)?;
                match schema.fields.insert(name.clone(), field) {
                    Some(old) if old != field => return Err(changed_type(name, old)),
                    _ => {}
                }
            }
        }
        if schema.fields.len() > MAX_FIELDS {
            return Err(invalid(format!(
                "a schema has at most {MAX_FIELDS} fields, this one has {}",
                schema.fields.len()
            )));
        }
        if let Some(text) = object.get("text") {
            let Json::Array(names) = text else {
                return Err(invalid("`text` of the schema wants a list of field names".to_owned()));
            };
            for name in names {
                schema.add_text(name)?;
            }
        }
        Ok(schema)
    }

    fn add_text(&mut self, name: &Json) -> Result<()> {
        let Json::String(name) = name else {
            return Err(invalid(format!("`text` of the schema wants field names, got {}", kind_of(name))));
        };
        match self.fields.get(name) {
            Some(field) if field.ty.is_textual() => {}
            Some(field) => {
                return Err(invalid(format!(
                    "`text` names `{name}`, which is {}: use text or keyword fields",
                    field.ty.described()
                )));
            }
            None => return Err(invalid(format!("`text` names `{}`, which is no field: declare it", excerpt(name)))),
        }
        if !self.text.contains(name) {
            self.text.push(name.clone());
        }
        Ok(())
    }

    /// The shape that [`Schema::declared`] reads. The field `id`, which every schema has, is left out.
    pub fn to_json(&self) -> Json {
        let fields: Map<String, Json> = self
            .fields
            .iter()
            .filter(|(name, _)| *name != "id")
            .map(|(name, field)| {
                let mut declared = Map::new();
                declared.insert("type".to_owned(), field.ty.name().into());
                if let FieldType::Version(ecosystem) = field.ty {
                    declared.insert("ecosystem".to_owned(), ecosystem.name().into());
                }
                if field.list {
                    declared.insert("list".to_owned(), true.into());
                }
                (name.clone(), Json::Object(declared))
            })
            .collect();
        json!({"fields": fields, "text": self.text})
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.get(name).copied()
    }
}

fn read_field(name: &str, declared: &Json) -> Result<Field> {
    let what = format!("field `{name}`");
    let declared = object(declared, &what)?;
    known_keys(declared, &["type", "ecosystem", "list"], &what)?;
    let ty = match declared.get("type") {
        Some(Json::String(ty)) => ty.as_str(),
        Some(other) => return Err(invalid(format!("`type` of {what} wants a string, got {}", kind_of(other)))),
        None => return Err(invalid(format!("{what} wants a `type`"))),
    };
    let list = match declared.get("list") {
        Some(Json::Bool(list)) => *list,
        Some(other) => return Err(invalid(format!("`list` of {what} wants a boolean, got {}", kind_of(other)))),
        None => false,
    };
    let ecosystem = declared.get("ecosystem");
    let ty = match (ty, ecosystem) {
        ("version", ecosystem) => FieldType::Version(read_ecosystem(&what, ecosystem)?),
        (_, Some(_)) => return Err(invalid(format!("{what} is no version: `ecosystem` does not apply"))),
        ("text", _) => FieldType::Text,
        ("keyword", _) => FieldType::Keyword,
        ("integer", _) => FieldType::Integer,
        ("float", _) => FieldType::Float,
        ("boolean", _) => FieldType::Boolean,
        ("timestamp", _) => FieldType::Timestamp,
        (other, _) => {
            return Err(invalid(format!(
                "{what} has the unknown type `{}`: use text, keyword, integer, float, boolean, timestamp or version",
                excerpt(other)
            )));
        }
    };
    Ok(Field { ty, list })
}

fn read_ecosystem(what: &str, ecosystem: Option<&Json>) -> Result<Ecosystem> {
    let Some(Json::String(name)) = ecosystem else {
        return Err(invalid(format!("{what} is a version and wants an `ecosystem`, such as \"npm\"")));
    };
    let ecosystem = Ecosystem::parse(name).map_err(|error| invalid(format!("{what}: {}", version_message(error))))?;
    if !ecosystem.is_ordered() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{what}: versions of ecosystem `{ecosystem}` have no order here; declare a keyword field"),
        )
        .with_param("schema"));
    }
    Ok(ecosystem)
}

/// A letter, then letters, digits, `_`, `-` and `.`. Names that begin with `_` are the platform's own.
pub(crate) fn is_field_name(name: &str) -> bool {
    name.len() <= MAX_FIELD_NAME && name.starts_with(char::is_alphabetic) && name.chars().all(is_field_character)
}

pub(crate) fn is_field_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn check_field_name(name: &str) -> Result<()> {
    if name.starts_with('_') {
        return Err(invalid(format!("field `{}`: names that begin with `_` are reserved", excerpt(name))));
    }
    if !is_field_name(name) {
        return Err(invalid(format!(
            "`{}` is no name for a field: use a letter, then letters, digits, `_`, `-` or `.`, at most {MAX_FIELD_NAME} bytes",
            excerpt(name)
        )));
    }
    Ok(())
}

fn changed_type(name: &str, old: Field) -> Error {
    let list = if old.list { "a list of type " } else { "of type " };
    invalid(format!("field `{name}` is {list}{}, and a field's type never changes: add another field", old.ty.name()))
}

fn invalid(message: String) -> Error {
    Error::invalid("schema", message)
}

fn object<'a>(json: &'a Json, what: &str) -> Result<&'a Map<String, Json>> {
    json.as_object().ok_or_else(|| invalid(format!("{what} wants an object, got {}", kind_of(json))))
}

fn known_keys(object: &Map<String, Json>, known: &[&str], what: &str) -> Result<()> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(format!("unknown key `{}` in {what}: use {}", excerpt(key), known.join(", ")))),
        None => Ok(()),
    }
}

/// What a JSON value is, with its article, for a message.
pub(crate) fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(number) if number.is_f64() => "a float",
        Json::Number(_) => "an integer",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// The beginning of what a caller wrote, short enough and free of control characters, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

/// Why a version or an ecosystem is none, with no more than an [`excerpt`] of what the caller wrote.
pub(crate) fn version_message(mut error: VersionError) -> String {
    match &mut error {
        VersionError::UnknownEcosystem { name: written, .. } | VersionError::Unparsable { version: written, .. } => {
            *written = excerpt(written);
        }
        VersionError::Unsupported { .. } => {}
    }
    error.to_string()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
