//! JSON of requests, read strictly: every error names its field in the words of JSON, and nothing is passed over in
//! silence (a key that is there twice, a list where an object belongs).

use std::collections::HashSet;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ucap_core::error::excerpt;

use super::error_response::Failure;

/// Objects and lists of a body nest at most so deep: more than the deepest filter.
const MAX_DEPTH: usize = 100;

/// Reads a JSON object.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let not_json = |reason: String| Failure::invalid("body", format!("the body is not valid JSON: {reason}"));
    let text = std::str::from_utf8(bytes).map_err(|_| not_json("it holds bytes that are not UTF-8".to_owned()))?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {}
        None => return Err(Failure::invalid("body", "the body is empty; send a JSON object")),
        Some(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            return Err(Failure::invalid("body", "the body is not a JSON object"));
        }
        Some(_) => {}
    }
    // What is skipped is held to JSON's grammar and to nothing else: neither to the range of a number nor to a depth.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(error.to_string()))?;
    Walk::new(text).check()?;
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        describe(&path, &error.into_inner())
    })
}

/// What is wrong with valid JSON.
fn describe(path: &str, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    // "… at line 1 column 9" helps where JSON is broken; where a field is wrong its name helps more.
    let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
    let named = |prefix: &str| reason.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(field) = named("unknown field `") {
        let field = excerpt(field);
        let expected = reason.rsplit_once(", expected ").map_or("no key is known", |(_, expected)| expected);
        return Failure::invalid(
            &*field,
            format!("unknown key `{field}`; known: {}", expected.trim_start_matches("one of ")),
        );
    }
    if let Some(field) = named("missing field `") {
        return Failure::invalid(field, format!("`{field}` is missing"));
    }
    let path = if matches!(path, "." | "") { "body" } else { path };
    let told = reason.strip_prefix("invalid type: ").or_else(|| reason.strip_prefix("invalid value: "));
    if let Some((got, wanted)) = told.and_then(|told| told.rsplit_once(", expected ")) {
        return Failure::invalid(
            path,
            format!("`{path}` is {}, and should be {}", in_json(got), wanted_in_json(wanted)),
        );
    }
    // The grammar was checked before: what is left are numbers too large for their field, and halves of surrogate pairs.
    if reason == "number out of range" {
        return out_of_range(path);
    }
    if error.is_syntax() {
        return Failure::invalid(path, format!("`{path}` holds an escape that stands for no character"));
    }
    Failure::invalid(path, format!("`{path}` is wrong: {reason}"))
}

fn out_of_range(path: &str) -> Failure {
    Failure::invalid(path, format!("`{path}` is a number out of range"))
}

/// What serde calls the thing it got.
fn in_json(got: &str) -> String {
    let value = got.split('`').nth(1).unwrap_or_default();
    match got.split([' ', '`']).next().unwrap_or_default() {
        "string" | "character" => "a string".to_owned(),
        "integer" | "floating" => format!("the number {value}"),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        "null" | "unit" | "Option" => "null".to_owned(),
        _ => "of another type".to_owned(),
    }
}

/// What serde calls the thing it wanted.
fn wanted_in_json(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if wanted.starts_with("struct ") => "an object",
        _ => wanted,
    }
}

/// Walks through valid JSON and refuses what serde would pass over or call broken.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Open>,
}

/// What is open around the place where the walk is.
enum Open {
    Object { keys: HashSet<String>, key: String, in_value: bool },
    List(usize),
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, open: Vec::new() }
    }

    fn check(mut self) -> Result<(), Failure> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'{' => self.enter(Open::Object { keys: HashSet::new(), key: String::new(), in_value: false })?,
                b'[' => self.enter(Open::List(0))?,
                b'}' | b']' => {
                    self.open.pop();
                    self.at += 1;
                }
                b',' => {
                    match self.open.last_mut() {
                        Some(Open::List(place)) => *place += 1,
                        Some(Open::Object { in_value, .. }) => *in_value = false,
                        None => {}
                    }
                    self.at += 1;
                }
                b':' => {
                    if let Some(Open::Object { in_value, .. }) = self.open.last_mut() {
                        *in_value = true;
                    }
                    self.at += 1;
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn enter(&mut self, what: Open) -> Result<(), Failure> {
        if self.open.len() == MAX_DEPTH {
            let Some(Open::Object { key, .. }) = self.open.first() else { return Ok(()) };
            let most = if key == "filter" { ucap_retrieval::filter::Limits::default().depth } else { MAX_DEPTH };
            return Err(Failure::invalid(excerpt(key), format!("`{}` nests more than {most} deep", excerpt(key))));
        }
        self.open.push(what);
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), Failure> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = (self.at + 1).min(bytes.len());
        let Some(Open::Object { keys, key, in_value: false }) = self.open.last_mut() else { return Ok(()) };
        let quoted = &self.text[start..self.at];
        *key = serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned());
        if !keys.insert(key.clone()) {
            let shown = excerpt(key);
            return Err(Failure::invalid(self.path(), format!("the key `{shown}` is there twice; keep one")));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Failure> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        self.at += end.max(1);
        if rest[..end].parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(());
        }
        Err(out_of_range(&self.path()))
    }

    /// Such as `sort[0].field`.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Object { key, .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&excerpt(key));
                }
                Open::List(place) => path.push_str(&format!("[{place}]")),
            }
        }
        path
    }
}

/// A JSON object. serde takes a list for any struct, its fields by position; who sends one has mistaken the shape.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads a list of objects, or null.
pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<T>>, D::Error> {
    let objects = Option::<Vec<Object<T>>>::deserialize(json)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(object)| object).collect()))
}

/// Reads a time, or null.
pub(super) fn time<'de, D: Deserializer<'de>>(json: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(json)? else { return Ok(None) };
    let time = OffsetDateTime::parse(&text, &Rfc3339);
    time.map(Some).map_err(|_| D::Error::custom("it is no time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z"))
}

/// Reads a time or null, and tells null from absent.
pub(super) fn present_time<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<OffsetDateTime>>, D::Error> {
    time(json).map(Some)
}

/// Reads something or null, and tells null from absent.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(json).map(Some)
}
