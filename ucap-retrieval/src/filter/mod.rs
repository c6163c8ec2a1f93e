//! Filters: typed predicates over the fields of a datasource's records.
//!
//! A filter comes as JSON (`{"gte":{"severity":7}}`) or as text (`severity >= 7`); both make the same [`Filter`]. [`resolve`] types it
//! for one datasource's schema and makes a [`Predicate`], which a backend compiles to SQL with bound parameters and which
//! [`Predicate::matches`] evaluates: the reference that every backend is compared with.
//!
//! Logic is two-valued: a comparison with a missing field is false (also `ne`), `not` is plain negation.

mod evaluate;
mod json;
mod text;
mod typed;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value as Json, json};
use ucap_core::{Error, Result};

pub use typed::{AffectedVersion, Affects, Operand, Predicate, resolve};

/// How large a filter may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How deep operators may nest; a lone comparison is 1 deep.
    pub depth: usize,
    /// How many operators there may be.
    pub nodes: usize,
    /// How many values an `in` may list.
    pub values: usize,
    /// The length of the text form, in bytes.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 32, nodes: 1_000, values: 10_000, text: 1 << 20 }
    }
}

/// A predicate over records, not typed yet.
#[derive(Clone, PartialEq, Debug)]
pub enum Filter {
    /// All of them; true where there is none.
    And(Vec<Filter>),
    /// One of them; false where there is none.
    Or(Vec<Filter>),
    /// Not this one.
    Not(Box<Filter>),
    /// A field compared with a value; false where the field is missing.
    Compare {
        /// The field.
        field: String,
        /// How it is compared.
        op: Op,
        /// The value.
        value: Literal,
    },
    /// A field has one of the values.
    In {
        /// The field.
        field: String,
        /// The values.
        values: Vec<Literal>,
    },
    /// A text has a substring, whatever the case and the accents; a list has exactly this element.
    Contains {
        /// The field.
        field: String,
        /// The substring or the element.
        value: Literal,
    },
    /// A field is present.
    Exists(String),
    /// The record affects this version of this package.
    Affects {
        /// The package's ecosystem, with or without a suffix.
        ecosystem: String,
        /// The package, in any spelling that the ecosystem takes for the same.
        package: String,
        /// The version.
        version: String,
    },
}

/// How a field is compared with a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Equal.
    Eq,
    /// Present and not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

impl Op {
    /// The name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
        }
    }

    /// The sign in the text form and in SQL.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}

/// A value as the filter writes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// A string.
    Text(String),
    /// A whole number of 64 bits.
    Integer(i64),
    /// Any other finite number.
    Float(f64),
    /// True or false.
    Boolean(bool),
}

impl Literal {
    fn from_number(number: &serde_json::Number) -> Option<Self> {
        match number.as_i64() {
            Some(integer) => Some(Self::Integer(integer)),
            None => number.as_f64().filter(|float| float.is_finite()).map(Self::Float),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Integer(integer) => Json::from(*integer),
            Self::Float(float) => Json::from(*float),
            Self::Boolean(boolean) => Json::from(*boolean),
        }
    }
}

impl fmt::Display for Literal {
    /// As a message shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the string \"{}\"", crate::schema::excerpt(text)),
            Self::Integer(_) | Self::Float(_) => write!(f, "the number {}", self.to_json()),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
        }
    }
}

impl Filter {
    /// Reads a filter as a request has it: an object of the JSON form, or a string in the text form.
    ///
    /// # Errors
    ///
    /// [`ucap_core::ErrorKind::InvalidInput`] with `param` filter, saying what is wrong and where.
    pub fn from_json(json: &Json) -> Result<Self> {
        Self::from_json_within(json, &Limits::default())
    }

    /// [`Filter::from_json`] with other limits.
    ///
    /// # Errors
    ///
    /// Those of [`Filter::from_json`].
    pub fn from_json_within(json: &Json, limits: &Limits) -> Result<Self> {
        match json {
            Json::String(text) => text::read(text, limits),
            json => json::read(json, limits),
        }
    }

    /// Reads the text form: `severity >= 7 and not (id in ('a', 'b') or summary contains 'it''s')`.
    ///
    /// # Errors
    ///
    /// [`ucap_core::ErrorKind::InvalidInput`] with `param` filter, saying at which character and what was expected.
    pub fn from_text(text: &str) -> Result<Self> {
        text::read(text, &Limits::default())
    }

    /// All of these, an `and` within an `and` taken apart.
    pub fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::And(flat) }
    }

    /// One of these, an `or` within an `or` taken apart.
    pub fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::Or(flat) }
    }

    /// The fields that it names.
    pub fn fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.collect_fields(&mut fields);
        fields
    }

    fn collect_fields<'a>(&'a self, fields: &mut BTreeSet<&'a str>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_fields(fields)),
            Self::Not(part) => part.collect_fields(fields),
            Self::Compare { field, .. }
            | Self::In { field, .. }
            | Self::Contains { field, .. }
            | Self::Exists(field) => {
                fields.insert(field);
            }
            Self::Affects { .. } => {}
        }
    }

    /// One string for each filter, whichever form it came in: a key for caches and a part of what a cursor is bound to. It is the JSON form.
    pub fn canonical(&self) -> String {
        self.to_json().to_string()
    }

    /// The JSON form.
    pub fn to_json(&self) -> Json {
        let list = |parts: &[Self]| parts.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::And(parts) => json!({"and": list(parts)}),
            Self::Or(parts) => json!({"or": list(parts)}),
            Self::Not(part) => json!({"not": part.to_json()}),
            Self::Compare { field, op, value } => json!({op.name(): {field.as_str(): value.to_json()}}),
            Self::In { field, values } => {
                json!({"in": {field.as_str(): values.iter().map(Literal::to_json).collect::<Vec<_>>()}})
            }
            Self::Contains { field, value } => json!({"contains": {field.as_str(): value.to_json()}}),
            Self::Exists(field) => json!({"exists": field}),
            Self::Affects { ecosystem, package, version } => {
                json!({"affects": {"ecosystem": ecosystem, "package": package, "version": version}})
            }
        }
    }
}

/// An error about the `filter` of a request.
fn invalid(message: impl Into<String>) -> Error {
    Error::invalid("filter", message)
}

/// Counts the operators of a filter while it is read, and how deep they nest.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    nodes: usize,
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        Self { limits: *limits, nodes: 0 }
    }

    fn node(&mut self, depth: usize) -> Result<()> {
        self.nodes += 1;
        if depth > self.limits.depth {
            return Err(invalid(format!("the filter nests more than {} deep", self.limits.depth)));
        }
        if self.nodes > self.limits.nodes {
            return Err(invalid(format!("the filter has more than {} operators", self.limits.nodes)));
        }
        Ok(())
    }

    fn values(&self, count: usize) -> Result<()> {
        if count > self.limits.values {
            return Err(invalid(format!("`in` lists more than {} values", self.limits.values)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
