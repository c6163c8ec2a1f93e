//! What a record's content is called, and what a write may demand of it.

use serde_json::Value as Json;
use serde_json::value::RawValue;
use ucap_core::{Error, ErrorKind, Result};

/// BLAKE3 of a record's content.
pub type ContentHash = [u8; 32];

/// The hash of the JSON as it was sent, whatever its spaces, escapes and order of keys: a change that no field shows is
/// still a change of what GET answers as `original`.
pub fn content_hash(original: &RawValue) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    match serde_json::from_str(original.get()) {
        Ok(value) => hash_value(&mut hasher, &value),
        // What was read once is JSON; should it not be, its bytes still tell one content from another.
        Err(_) => drop(hasher.update(original.get().as_bytes())),
    }
    hasher.finalize().into()
}

/// Each value with its kind and length, so that no two values feed the same bytes.
fn hash_value(hasher: &mut blake3::Hasher, value: &Json) {
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    match value {
        Json::Null => add(0, &[]),
        Json::Bool(value) => add(1, &[u8::from(*value)]),
        Json::Number(number) => add(2, number.to_string().as_bytes()),
        Json::String(text) => add(3, text.as_bytes()),
        Json::Array(elements) => {
            add(4, &(elements.len() as u64).to_le_bytes());
            elements.iter().for_each(|element| hash_value(hasher, element));
        }
        Json::Object(members) => {
            add(5, &(members.len() as u64).to_le_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            for (key, member) in members {
                hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes());
                hash_value(hasher, member);
            }
        }
    }
}

/// What must hold of a record for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is there with one of these contents.
    OneOf(Vec<ContentHash>),
    /// It is not there, or with another content.
    NoneOf(Vec<ContentHash>),
}

impl Condition {
    fn holds(&self, held: Option<&ContentHash>) -> bool {
        match self {
            Self::Present => held.is_some(),
            Self::Absent => held.is_none(),
            Self::OneOf(hashes) => held.is_some_and(|held| hashes.contains(held)),
            Self::NoneOf(hashes) => held.is_none_or(|held| !hashes.contains(held)),
        }
    }
}

/// A condition of a write, looked at when nobody else writes any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Of the record of this id.
    pub id: String,
    /// What must hold.
    pub condition: Condition,
}

impl Demand {
    /// Refuses a write whose demand `held`, the record's content, does not meet.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub fn check(&self, held: Option<&ContentHash>) -> Result<()> {
        if self.condition.holds(held) {
            return Ok(());
        }
        let message = match (held, &self.condition) {
            (None, _) => "the record is not there; nothing was changed",
            (Some(_), Condition::Absent) => "the record is there already; nothing was changed",
            (Some(_), _) => "the record has another content by now; read it again",
        };
        Err(Error::new(ErrorKind::PreconditionFailed, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(json: &str) -> ContentHash {
        content_hash(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn the_same_json_has_the_same_hash_however_it_is_written() {
        let one = hash(r#"{"a":1,"b":["x",null]}"#);
        assert_eq!(one, hash("{ \"b\" : [\"\\u0078\", null],\n\"a\": 1 }"));
        for other in [r#"{"a":1,"b":["x"]}"#, r#"{"a":1,"b":[null,"x"]}"#, r#"{"a":"1","b":["x",null]}"#, r#"{"ab":1}"#]
        {
            assert_ne!(one, hash(other), "{other}");
        }
    }

    #[test]
    fn conditions_look_at_what_is_held() {
        let (one, two) = ([1; 32], [2; 32]);
        for (condition, absent, is_one, is_two) in [
            (Condition::Present, false, true, true),
            (Condition::Absent, true, false, false),
            (Condition::OneOf(vec![one]), false, true, false),
            (Condition::OneOf(vec![]), false, false, false),
            (Condition::NoneOf(vec![one]), true, false, true),
        ] {
            let demand = Demand { id: "a".into(), condition };
            let held = [None, Some(&one), Some(&two)].map(|held| demand.check(held).is_ok());
            assert_eq!(held, [absent, is_one, is_two], "{demand:?}");
        }
    }
}
