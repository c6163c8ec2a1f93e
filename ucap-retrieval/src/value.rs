//! The typed values that the fields of a record have.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use ucap_core::{Error, Result};

use crate::schema::{Field, FieldType, excerpt, kind_of, version_message};
use crate::timestamp::Timestamp;
use crate::version::VersionKey;

/// The value of a field. Serialised, it is what answers show.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a text or keyword field.
    Text(String),
    /// Of an integer field.
    Integer(i64),
    /// Of a float field; finite, and `-0.0` stays `-0.0`.
    Float(f64),
    /// Of a boolean field.
    Boolean(bool),
    /// Of a timestamp field.
    Timestamp(Timestamp),
    /// Of a version field.
    Version {
        /// The version as it was given.
        text: String,
        /// Its place in the order of the field's ecosystem.
        key: VersionKey,
    },
    /// Of a list field: at least one element, none of them a list.
    List(Vec<Value>),
}

impl Value {
    /// Reads the value of the field `name`; null and the empty list are a missing value, the empty string is not.
    ///
    /// # Errors
    ///
    /// [`ucap_core::ErrorKind::InvalidInput`] naming the field where the value is not of its type.
    pub fn from_json(name: &str, field: Field, json: &Json) -> Result<Option<Self>> {
        match json {
            Json::Null => Ok(None),
            Json::Array(elements) if field.list => {
                let list =
                    elements.iter().map(|element| Self::one(name, field.ty, element)).collect::<Result<Vec<_>>>()?;
                Ok((!list.is_empty()).then_some(Self::List(list)))
            }
            other if field.list => {
                Err(Error::invalid(name, format!("field `{name}` wants a list, got {}", kind_of(other))))
            }
            one => Self::one(name, field.ty, one).map(Some),
        }
    }

    fn one(name: &str, ty: FieldType, json: &Json) -> Result<Self> {
        let wrong =
            || Error::invalid(name, format!("field `{name}` wants {}, got {}", ty.described(), described(json)));
        match (ty, json) {
            (FieldType::Text | FieldType::Keyword, Json::String(text)) => Ok(Self::Text(text.clone())),
            (FieldType::Integer, Json::Number(number)) => number.as_i64().map(Self::Integer).ok_or_else(wrong),
            (FieldType::Float, Json::Number(number)) => {
                number.as_f64().filter(|float| float.is_finite()).map(Self::Float).ok_or_else(wrong)
            }
            (FieldType::Boolean, Json::Bool(boolean)) => Ok(Self::Boolean(*boolean)),
            (FieldType::Timestamp, Json::String(text)) => Timestamp::parse(text).map(Self::Timestamp).ok_or_else(wrong),
            (FieldType::Version(ecosystem), Json::String(text)) => match ecosystem.key(text) {
                Ok(key) => Ok(Self::Version { text: text.clone(), key }),
                Err(error) => Err(Error::invalid(name, format!("field `{name}`: {}", version_message(error)))),
            },
            _ => Err(wrong()),
        }
    }

    /// How two values of one field compare; `None` for lists and for values of different types.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Version { key: a, .. }, Self::Version { key: b, .. }) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The string of a text or keyword value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements: those of a list, else the value itself.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            one => std::slice::from_ref(one),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Version { text, .. } => serializer.serialize_str(text),
            Self::Integer(integer) => serializer.serialize_i64(*integer),
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Self::Timestamp(timestamp) => serializer.collect_str(timestamp),
            Self::List(elements) => serializer.collect_seq(elements),
        }
    }
}

/// What a value is, for a message; a short string or a number as it is.
fn described(json: &Json) -> String {
    match json {
        Json::String(text) => format!("the string \"{}\"", excerpt(text)),
        Json::Number(number) => format!("the number {number}"),
        other => kind_of(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::version::Ecosystem;

    fn read(ty: FieldType, json: &Json) -> Result<Option<Value>> {
        Value::from_json("f", Field { ty, list: false }, json)
    }

    #[test]
    fn values_are_read_exactly() {
        assert_eq!(
            read(FieldType::Integer, &json!(9_007_199_254_740_993i64)).unwrap(),
            Some(Value::Integer(9_007_199_254_740_993))
        );
        assert_eq!(read(FieldType::Integer, &json!(i64::MIN)).unwrap(), Some(Value::Integer(i64::MIN)));
        assert_eq!(read(FieldType::Float, &json!(3)).unwrap(), Some(Value::Float(3.0)));
        let zero = read(FieldType::Float, &serde_json::from_str("-0.0").unwrap()).unwrap().unwrap();
        assert_eq!(serde_json::to_string(&zero).unwrap(), "-0.0");
        assert_eq!(read(FieldType::Text, &json!("")).unwrap(), Some(Value::Text(String::new())));
        assert_eq!(read(FieldType::Text, &json!(null)).unwrap(), None);
        let list = Field { ty: FieldType::Keyword, list: true };
        assert_eq!(Value::from_json("f", list, &json!([])).unwrap(), None);
        assert_eq!(
            serde_json::to_string(&Value::from_json("f", list, &json!(["a", "b"])).unwrap()).unwrap(),
            r#"["a","b"]"#
        );
        assert!(Value::from_json("f", list, &json!("a")).unwrap_err().message().contains("wants a list"));
        assert!(Value::from_json("f", list, &json!([null])).is_err());
    }

    #[test]
    fn errors_name_the_field() {
        for (ty, json) in [
            (FieldType::Integer, json!(9_223_372_036_854_775_808u64)),
            (FieldType::Integer, json!(1.0)),
            (FieldType::Integer, json!("1")),
            (FieldType::Float, json!("high")),
            (FieldType::Float, json!(true)),
            (FieldType::Boolean, json!(1)),
            (FieldType::Timestamp, json!("yesterday")),
            (FieldType::Timestamp, json!(0)),
            (FieldType::Version(Ecosystem::parse("npm").unwrap()), json!("not a version")),
            (FieldType::Text, json!(["a"])),
            (FieldType::Keyword, json!({})),
        ] {
            let error = read(ty, &json).unwrap_err();
            assert!(error.message().contains("`f`") && error.param() == Some("f"), "{json}: {error}");
        }
    }
}
