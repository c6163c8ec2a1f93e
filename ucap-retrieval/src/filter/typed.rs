//! A filter typed for one datasource: the values are read as the fields' types want them, and what has no simple SQL is spelled out.

use ucap_core::{Error, ErrorKind, Result};

use super::{Filter, Literal, Op, invalid};
use crate::fold::fold;
use crate::schema::{Field, FieldType, Schema, version_message};
use crate::timestamp::{Moment, Timestamp};
use crate::version::{Ecosystem, VersionError, VersionKey};

/// A filter over the records of one datasource. Two-valued: each leaf is false on a record where its field is missing.
///
/// Every field named here is in the schema, and every operand has the type of its field, so that a backend need not ask.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// Every record.
    True,
    /// No record.
    False,
    /// All of them; at least two.
    And(Vec<Predicate>),
    /// One of them; at least two.
    Or(Vec<Predicate>),
    /// Plain negation.
    Not(Box<Predicate>),
    /// A field that is no list, compared with a value of its type.
    Compare {
        /// The field.
        field: String,
        /// How it is compared.
        op: Op,
        /// The value.
        operand: Operand,
    },
    /// A field that is no list has one of these values of its type; at least one.
    In {
        /// The field.
        field: String,
        /// The values.
        operands: Vec<Operand>,
    },
    /// The folded text of a field that is no list has this substring.
    ContainsText {
        /// The field.
        field: String,
        /// The substring, [folded](fold()); an empty one is in every text that is there.
        folded: String,
    },
    /// A list field has exactly this element.
    ContainsElement {
        /// The field.
        field: String,
        /// The element.
        element: Operand,
    },
    /// A field is present.
    Exists {
        /// The field.
        field: String,
    },
    /// The record affects a version of a package.
    Affects(Affects),
}

/// A value of a field's type.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    /// For text and keyword fields, compared bytewise.
    Text(String),
    /// For integer fields.
    Integer(i64),
    /// For float fields; finite.
    Float(f64),
    /// For boolean fields.
    Boolean(bool),
    /// For timestamp fields.
    Timestamp(Timestamp),
    /// For version fields, compared bytewise.
    Version(VersionKey),
}

/// The question whether a version of a package is affected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Affects {
    /// The package's ecosystem.
    pub ecosystem: Ecosystem,
    /// The suffix that a record's ecosystem must have (`12` of `Debian:12`); `None` is any or none.
    pub suffix: Option<String>,
    /// The package in the ecosystem's normal form.
    pub package: String,
    /// The version.
    pub version: AffectedVersion,
}

/// The version of an [`Affects`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AffectedVersion {
    /// Its key lies in one of the record's intervals.
    Key(VersionKey),
    /// It cannot be parsed, so a record matches that lists this very string. Where no record of the searched datasources does, the
    /// request is answered with [`Affects::unparsable`].
    Literal {
        /// The version as it was given.
        text: String,
        /// Why it cannot be parsed.
        reason: VersionError,
    },
}

impl Affects {
    /// The error to answer where the version cannot be parsed and nothing lists it; `None` where it can.
    pub fn unparsable(&self) -> Option<Error> {
        match &self.version {
            AffectedVersion::Key(_) => None,
            AffectedVersion::Literal { reason, .. } => Some(version_error(reason.clone(), "affects")),
        }
    }
}

impl Predicate {
    /// The questions about versions that cannot be parsed; see [`AffectedVersion::Literal`].
    pub fn unparsed(&self) -> Vec<&Affects> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::unparsed).collect(),
            Self::Not(part) => part.unparsed(),
            Self::Affects(affects) if matches!(affects.version, AffectedVersion::Literal { .. }) => vec![affects],
            _ => Vec::new(),
        }
    }

    /// All of these, without the parts that decide nothing.
    pub fn all(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::True, Self::False, Self::And)
    }

    /// One of these, without the parts that decide nothing.
    pub fn any(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::False, Self::True, Self::Or)
    }

    fn joined(mut parts: Vec<Self>, neutral: Self, decisive: Self, join: fn(Vec<Self>) -> Self) -> Self {
        if parts.contains(&decisive) {
            return decisive;
        }
        parts.retain(|part| *part != neutral);
        match parts.len() {
            0 => neutral,
            1 => parts.remove(0),
            _ => join(parts),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(part) => *part,
            part => Self::Not(Box::new(part)),
        }
    }
}

/// Types a filter for the datasource that has this schema. A field that the schema lacks is missing in each of its records, so what
/// asks for it is false; that some datasource has the field is the caller's to check, by [`Filter::fields`].
///
/// A bare date is a whole day: it becomes comparisons with the day's first instant and the next day's. A fraction compared with an
/// integer field becomes an exact comparison of integers.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] naming the field where an operator or a value does not suit its type, and naming the ecosystem where it is
/// unknown; [`ErrorKind::Unsupported`] where the ecosystem has no version order.
pub fn resolve(filter: &Filter, schema: &Schema) -> Result<Predicate> {
    let each = |parts: &[Filter]| parts.iter().map(|part| resolve(part, schema)).collect::<Result<Vec<_>>>();
    match filter {
        Filter::And(parts) => each(parts).map(Predicate::all),
        Filter::Or(parts) => each(parts).map(Predicate::any),
        Filter::Not(part) => resolve(part, schema).map(Predicate::negated),
        Filter::Affects { ecosystem, package, version } => affects(ecosystem, package, version).map(Predicate::Affects),
        Filter::Exists(field) => Ok(match schema.field(field) {
            Some(_) => Predicate::Exists { field: field.clone() },
            None => Predicate::False,
        }),
        Filter::Compare { field, op, value } => match schema.field(field) {
            Some(declared) => compare(field, declared, *op, value),
            None => Ok(Predicate::False),
        },
        Filter::In { field, values } => match schema.field(field) {
            Some(declared) => membership(field, declared, values),
            None => Ok(Predicate::False),
        },
        Filter::Contains { field, value } => match schema.field(field) {
            Some(declared) => contains(field, declared, value),
            None => Ok(Predicate::False),
        },
    }
}

fn compare(field: &str, declared: Field, op: Op, value: &Literal) -> Result<Predicate> {
    refuse_list(field, declared, op.name())?;
    if declared.ty == FieldType::Boolean && !matches!(op, Op::Eq | Op::Ne) {
        return Err(invalid(format!("field `{field}` is a boolean: `{}` does not apply, use eq or ne", op.name())));
    }
    Ok(match (typed(field, declared.ty, value)?, op) {
        (Typed::Exact(operand), op) => leaf(field, op, operand),
        (Typed::Between(floor), op) => between(field, op, floor),
        (Typed::Day { start, end }, op) => day(field, op, start, end),
    })
}

fn membership(field: &str, declared: Field, values: &[Literal]) -> Result<Predicate> {
    refuse_list(field, declared, "in")?;
    let mut operands = Vec::with_capacity(values.len());
    let mut others = Vec::new();
    for value in values {
        match typed(field, declared.ty, value)? {
            Typed::Exact(operand) => operands.push(operand),
            Typed::Between(_) => {}
            Typed::Day { start, end } => others.push(day(field, Op::Eq, start, end)),
        }
    }
    if !operands.is_empty() {
        others.push(Predicate::In { field: field.to_owned(), operands });
    }
    Ok(Predicate::any(others))
}

fn contains(field: &str, declared: Field, value: &Literal) -> Result<Predicate> {
    if !declared.list && !declared.ty.is_textual() {
        return Err(invalid(format!(
            "`contains` applies to texts, keywords and lists: field `{field}` is {}",
            declared.ty.described()
        )));
    }
    Ok(match typed(field, declared.ty, value)? {
        Typed::Exact(Operand::Text(text)) if !declared.list => {
            Predicate::ContainsText { field: field.to_owned(), folded: fold(&text) }
        }
        Typed::Exact(element) => Predicate::ContainsElement { field: field.to_owned(), element },
        Typed::Between(_) => Predicate::False,
        // In data, a bare date is its first instant: that is the element to find.
        Typed::Day { start, .. } => {
            Predicate::ContainsElement { field: field.to_owned(), element: Operand::Timestamp(start) }
        }
    })
}

fn refuse_list(field: &str, declared: Field, operator: &str) -> Result<()> {
    if declared.list {
        return Err(invalid(format!("field `{field}` is a list: `{operator}` does not apply, use contains or exists")));
    }
    Ok(())
}

/// A value as the type of its field sees it.
enum Typed {
    /// A value that a record can have.
    Exact(Operand),
    /// For an integer field, a number that no integer of 64 bits equals: greater than this one and less than the next. The ends are the
    /// numbers below and above all integers.
    Between(Floor),
    /// For a timestamp field, a bare date.
    Day { start: Timestamp, end: Option<Timestamp> },
}

enum Floor {
    BelowAll,
    At(i64),
    AboveAll,
}

fn typed(field: &str, ty: FieldType, value: &Literal) -> Result<Typed> {
    let wrong = || invalid(format!("field `{field}` wants {}, got {value}", ty.described()));
    let operand = match (ty, value) {
        (FieldType::Text | FieldType::Keyword, Literal::Text(text)) => Operand::Text(text.clone()),
        (FieldType::Integer, Literal::Integer(integer)) => Operand::Integer(*integer),
        (FieldType::Integer, Literal::Float(float)) => return Ok(whole(*float)),
        // Data is rounded to the nearest float in the same way.
        #[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
        (FieldType::Float, Literal::Integer(integer)) => Operand::Float(*integer as f64),
        (FieldType::Float, Literal::Float(float)) => Operand::Float(*float),
        (FieldType::Boolean, Literal::Boolean(boolean)) => Operand::Boolean(*boolean),
        (FieldType::Timestamp, Literal::Text(text)) => match Moment::parse(text).ok_or_else(wrong)? {
            Moment::Instant(instant) => Operand::Timestamp(instant),
            Moment::Day { start, end } => return Ok(Typed::Day { start, end }),
        },
        (FieldType::Version(ecosystem), Literal::Text(text)) => {
            let key = ecosystem.key(text).map_err(|error| version_error(error, &format!("field `{field}`")))?;
            Operand::Version(key)
        }
        _ => return Err(wrong()),
    };
    Ok(Typed::Exact(operand))
}

/// A float as an integer, where it is one of 64 bits.
fn whole(float: f64) -> Typed {
    /// 2^63, the first number above all integers of 64 bits.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    let floor = float.floor();
    if floor < -ABOVE {
        return Typed::Between(Floor::BelowAll);
    }
    if floor >= ABOVE {
        return Typed::Between(Floor::AboveAll);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the bounds above")]
    let integer = floor as i64;
    if floor == float { Typed::Exact(Operand::Integer(integer)) } else { Typed::Between(Floor::At(integer)) }
}

/// A comparison of an integer field with a number that no integer equals.
fn between(field: &str, op: Op, floor: Floor) -> Predicate {
    let present = || Predicate::Exists { field: field.to_owned() };
    match (op, floor) {
        (Op::Eq, _) => Predicate::False,
        (Op::Ne, _) => present(),
        (Op::Gt | Op::Gte, Floor::BelowAll) | (Op::Lt | Op::Lte, Floor::AboveAll) => present(),
        (Op::Gt | Op::Gte, Floor::AboveAll) | (Op::Lt | Op::Lte, Floor::BelowAll) => Predicate::False,
        (Op::Gt | Op::Gte, Floor::At(integer)) => leaf(field, Op::Gt, Operand::Integer(integer)),
        (Op::Lt | Op::Lte, Floor::At(integer)) => leaf(field, Op::Lte, Operand::Integer(integer)),
    }
}

/// A comparison of a timestamp field with a whole day.
fn day(field: &str, op: Op, start: Timestamp, end: Option<Timestamp>) -> Predicate {
    let from_start = || leaf(field, Op::Gte, Operand::Timestamp(start));
    let before_start = || leaf(field, Op::Lt, Operand::Timestamp(start));
    let from_end = || end.map_or(Predicate::False, |end| leaf(field, Op::Gte, Operand::Timestamp(end)));
    let before_end = || match end {
        Some(end) => leaf(field, Op::Lt, Operand::Timestamp(end)),
        None => Predicate::Exists { field: field.to_owned() },
    };
    match op {
        Op::Gte => from_start(),
        Op::Gt => from_end(),
        Op::Lt => before_start(),
        Op::Lte => before_end(),
        Op::Eq => Predicate::all(vec![from_start(), before_end()]),
        Op::Ne => Predicate::any(vec![before_start(), from_end()]),
    }
}

fn leaf(field: &str, op: Op, operand: Operand) -> Predicate {
    Predicate::Compare { field: field.to_owned(), op, operand }
}

fn affects(name: &str, package: &str, version: &str) -> Result<Affects> {
    let ecosystem = Ecosystem::parse(name).map_err(|error| version_error(error, "affects"))?;
    let suffix = name.strip_prefix(ecosystem.name()).and_then(|rest| rest.strip_prefix(':')).map(str::to_owned);
    let package = ecosystem.normalize_package(package).into_owned();
    let version = match ecosystem.key(version) {
        Ok(key) => AffectedVersion::Key(key),
        Err(reason @ VersionError::Unparsable { .. }) => AffectedVersion::Literal { text: version.to_owned(), reason },
        Err(error) => return Err(version_error(error, "affects")),
    };
    Ok(Affects { ecosystem, suffix, package, version })
}

fn version_error(error: VersionError, place: &str) -> Error {
    let kind = match error {
        VersionError::Unsupported { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidInput,
    };
    Error::new(kind, format!("{place}: {}", version_message(error))).with_param("filter")
}
