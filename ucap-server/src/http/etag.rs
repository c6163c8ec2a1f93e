//! Conditional requests: ETags, and what `If-Match` and `If-None-Match` ask of them (RFC 9110, sections 8.8 and 13).
//!
//! The ETag of an object of the catalog is `"<version>-<sealed>"`. What is sealed is the object's generation, so that the
//! tag of a deleted object does not fit one that was made again under its name; the number itself would tell how much
//! others change. `If-Match` also takes the bare `"<version>"` of an object's body, from those who know that they mean this
//! object. The ETag of a record is the hash of its content.

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Method, StatusCode};
use ucap_authz::administration::Revision;
use ucap_core::catalog::{ObjectKind, Stamp};
use ucap_retrieval::content::{Condition, ContentHash};

use crate::seal::Sealer;
use crate::session::Session;

/// More tags in one request are not looked at.
const MAX_TAGS: usize = 64;

/// The tags that a header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// `*`: whatever is there.
    Any,
    /// These; what is no tag is left out.
    Tags(Vec<Tag>),
}

/// A tag that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) weak: bool,
    /// Without its quotes.
    pub(super) text: String,
}

/// What a header names; `None` when it is not there.
pub(super) fn named(headers: &HeaderMap, name: &HeaderName) -> Option<Named> {
    headers.get(name)?;
    let texts = || headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default().trim());
    if texts().any(|text| text == "*") {
        return Some(Named::Any);
    }
    Some(Named::Tags(texts().flat_map(parse).take(MAX_TAGS).collect()))
}

/// The tags of a list such as `"a", W/"b"`, up to the first thing that is none.
fn parse(list: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = list;
    while tags.len() < MAX_TAGS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let strong = rest.strip_prefix("W/");
        let quoted = strong.unwrap_or(rest).strip_prefix('"').and_then(|text| text.split_once('"'));
        let Some((text, behind)) = quoted else { break };
        tags.push(Tag { weak: strong.is_some(), text: text.to_owned() });
        rest = behind;
    }
    tags
}

/// The ETag of an object. `variant` tells apart two views of the same state.
pub(super) fn of_object(session: &Session, kind: ObjectKind, stamp: Stamp, variant: bool) -> HeaderValue {
    let mut content = stamp.generation.to_le_bytes().to_vec();
    content.push(u8::from(variant));
    let sealed = session.platform().parts().sealer.close(ETAG.as_str(), kind.as_str().as_bytes(), &content);
    quoted(&format!("{}-{sealed}", stamp.version))
}

/// A tag in its quotes. `text` is made of letters, digits, `-` and `_`.
pub(super) fn quoted(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The states of an object of `kind` that `If-Match` allows; `None` is any, an empty list none.
pub(super) fn revisions(sealer: &Sealer, kind: ObjectKind, headers: &HeaderMap) -> Option<Vec<Revision>> {
    match named(headers, &IF_MATCH)? {
        Named::Any => None,
        Named::Tags(tags) => Some(tags.iter().filter_map(|tag| revision(sealer, kind, tag)).collect()),
    }
}

fn revision(sealer: &Sealer, kind: ObjectKind, tag: &Tag) -> Option<Revision> {
    if tag.weak {
        return None;
    }
    let Some((version, sealed)) = tag.text.split_once('-') else {
        return Some(Revision { generation: None, version: tag.text.parse().ok()? });
    };
    let content = sealer.open(ETAG.as_str(), kind.as_str().as_bytes(), sealed)?;
    let generation = u64::from_le_bytes(*content.first_chunk()?);
    Some(Revision { generation: Some(generation), version: version.parse().ok()? })
}

/// The ETag of a record: the hash of its content, so that equal content has an equal tag wherever it is.
pub(super) fn of_record(hash: &ContentHash) -> HeaderValue {
    quoted(&URL_SAFE_NO_PAD.encode(hash))
}

/// What a request demands of the record that it changes. Tags of `If-Match` are compared strongly, the others weakly.
pub(super) fn record_conditions(headers: &HeaderMap) -> Vec<Condition> {
    let hash = |tag: &Tag| URL_SAFE_NO_PAD.decode(&tag.text).ok()?.try_into().ok();
    let matches = named(headers, &IF_MATCH).map(|named| match named {
        Named::Any => Condition::Present,
        Named::Tags(tags) => Condition::OneOf(tags.iter().filter(|tag| !tag.weak).filter_map(hash).collect()),
    });
    let matches_none = named(headers, &IF_NONE_MATCH).map(|named| match named {
        Named::Any => Condition::Absent,
        Named::Tags(tags) => Condition::NoneOf(tags.iter().filter_map(hash).collect()),
    });
    matches.into_iter().chain(matches_none).collect()
}

/// 304 without a body, when `response` answers a GET whose `If-None-Match` names its ETag. Tags are compared weakly.
pub(super) fn unless_known(method: &Method, asked: Option<&Named>, response: Response) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) || response.status() != StatusCode::OK {
        return response;
    }
    let (Some(asked), Some(etag)) = (asked, response.headers().get(ETAG)) else { return response };
    let text = etag.to_str().unwrap_or_default().trim_matches('"');
    let known = match asked {
        Named::Any => true,
        Named::Tags(tags) => tags.iter().any(|tag| tag.text == text),
    };
    if !known {
        return response;
    }
    (StatusCode::NOT_MODIFIED, [(ETAG, etag.clone())]).into_response()
}

/// What a GET already knows.
pub(super) fn known(headers: &HeaderMap) -> Option<Named> {
    named(headers, &IF_NONE_MATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Named> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        named(&headers, &IF_MATCH)
    }

    fn tags(values: &[&str]) -> Vec<(bool, String)> {
        match of(values) {
            Some(Named::Tags(tags)) => tags.into_iter().map(|tag| (tag.weak, tag.text)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_of_tags_are_read() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["*"]), Some(Named::Any));
        assert_eq!(of(&["\"a\"", " * "]), Some(Named::Any));
        let two = vec![(false, "a,b".to_owned()), (true, "c".to_owned())];
        assert_eq!(tags(&["\"a,b\" , W/\"c\""]), two);
        assert_eq!(tags(&["\"a,b\"", "W/\"c\""]), two);
        for nothing in ["", "a", "\"a", "w/\"a\"", "'a'"] {
            assert_eq!(tags(&[nothing]), [], "{nothing}");
        }
        assert_eq!(tags(&[&"\"a\",".repeat(1000)]).len(), MAX_TAGS);
    }
}
