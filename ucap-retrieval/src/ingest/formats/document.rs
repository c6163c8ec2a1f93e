//! Documents: Markdown, HTML and plain text, as JSON records or as raw bodies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value as Json;
use ucap_core::{Error, ErrorKind, Result};

pub use super::outline::Extracted;
use super::{html, markdown};
use crate::record::{MAX_TITLE, Parsed, Record, check_id};
use crate::schema::{excerpt, kind_of};
use crate::value::Value;

/// Reads a document that was put as a raw body of this content type.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a bad id or text that is not UTF-8; [`ErrorKind::Unsupported`] naming a content type that cannot be
/// read (PDF among them).
pub fn read_document(id: &str, title: Option<&str>, content_type: &str, bytes: &[u8]) -> Result<Record> {
    check_id(id)?;
    let essence = essence(content_type)?;
    let text = decode(bytes)?;
    /// A raw body in the shape of a record.
    #[derive(Serialize)]
    struct Original<'a> {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        content_type: &'a str,
        text: &'a str,
    }
    let original = serde_json::value::to_raw_value(&Original { id, title, content_type, text })
        .map_err(|error| Error::internal("a document could not be written as JSON").with_source(error))?;
    let record = Record::new(id.to_owned(), BTreeMap::new(), original);
    Ok(fill(record, title, &essence, text))
}

/// Extracts the text of a document of this content type.
///
/// # Errors
///
/// Those of [`read_document`].
pub fn extract(content_type: &str, bytes: &[u8]) -> Result<Extracted> {
    Ok(extract_text(&essence(content_type)?, decode(bytes)?))
}

pub(crate) fn read(parsed: Parsed) -> Result<Record> {
    let mut parts = BTreeMap::new();
    for (key, json) in parsed.entries {
        if !["title", "content_type", "text", "base64"].contains(&key.as_str()) {
            let key = excerpt(&key);
            return Err(Error::invalid(
                &*key,
                format!("unknown key `{key}` in a document: use id, title, content_type, text or base64"),
            ));
        }
        match json {
            Json::String(text) => {
                parts.insert(key, text);
            }
            Json::Null => {}
            other => return Err(Error::invalid(&*key, format!("`{key}` wants a string, got {}", kind_of(&other)))),
        }
    }
    let bytes: Cow<'_, [u8]> = match (parts.get("text"), parts.get("base64")) {
        (Some(text), None) => Cow::Borrowed(text.as_bytes()),
        (None, Some(base64)) => Cow::Owned(
            STANDARD
                .decode(base64)
                .map_err(|error| Error::invalid("base64", format!("`base64` cannot be decoded: {error}")))?,
        ),
        (None, None) => return Err(Error::invalid("text", "a document wants `text` or `base64`")),
        (Some(_), Some(_)) => return Err(Error::invalid("base64", "a document has `text` or `base64`, not both")),
    };
    let essence = match parts.get("content_type") {
        Some(content_type) => essence(content_type)?,
        None if parts.contains_key("text") => "text/plain".to_owned(),
        None => return Err(Error::invalid("content_type", "a document in base64 wants a `content_type`")),
    };
    let mut record = Record::new(parsed.id, BTreeMap::new(), parsed.original);
    record.vector = parsed.vector;
    Ok(fill(record, parts.get("title").map(String::as_str), &essence, decode(&bytes)?))
}

fn fill(mut record: Record, title: Option<&str>, essence: &str, text: &str) -> Record {
    let extracted = extract_text(essence, text);
    let title = title.map(str::to_owned).or(extracted.title);
    record.fields.insert("content_type".to_owned(), Value::Text(essence.to_owned()));
    record.sections = extracted.sections;
    record.body = extracted.body;
    if let Some(title) = title {
        let shown = title.trim();
        if shown.len() <= MAX_TITLE {
            record.title = shown.to_owned();
        } else {
            // Too long to stand before each passage: it leads the text, and the sections move on.
            let lead = format!("{shown}\n\n");
            record.sections.iter_mut().for_each(|section| section.start += lead.len());
            record.body.insert_str(0, &lead);
        }
        record.fields.insert("title".to_owned(), Value::Text(title));
    }
    record
}

fn extract_text(essence: &str, text: &str) -> Extracted {
    match essence {
        "text/markdown" => markdown::extract(text),
        "text/html" => html::extract(text),
        _ => Extracted { body: text.trim_end().replace("\r\n", "\n"), ..Extracted::default() },
    }
}

/// The type without its parameters, in lower case, if it can be read.
fn essence(content_type: &str) -> Result<String> {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let essence = match essence.as_str() {
        "text/x-markdown" => "text/markdown",
        "text/markdown" | "text/html" | "text/plain" => &essence,
        _ => {
            let message = format!(
                "documents of type `{}` cannot be read: use text/markdown, text/html or text/plain",
                excerpt(&essence)
            );
            return Err(Error::new(ErrorKind::Unsupported, message).with_param("content_type"));
        }
    };
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let charset = value.trim().trim_matches('"').to_ascii_lowercase();
        if name.trim().eq_ignore_ascii_case("charset") && !["utf-8", "utf8", "us-ascii"].contains(&charset.as_str()) {
            let message = format!("documents in charset `{}` cannot be read: convert them to UTF-8", excerpt(&charset));
            return Err(Error::new(ErrorKind::Unsupported, message).with_param("content_type"));
        }
    }
    Ok(essence.to_owned())
}

/// The text of UTF-8 bytes, without a byte order mark.
fn decode(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        Error::invalid(
            "text",
            format!("the document is not UTF-8: invalid byte at position {}; convert it", error.valid_up_to() + 1),
        )
    })
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
