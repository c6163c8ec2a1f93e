//! A predicate evaluated on a record in memory: what every backend's SQL is compared with.

use std::cmp::Ordering;

use super::Op;
use super::typed::{AffectedVersion, Affects, Operand, Predicate};
use crate::fold::fold;
use crate::record::{Affected, Record};
use crate::value::Value;

impl Predicate {
    /// Whether the record satisfies the predicate.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Self::True => true,
            Self::False => false,
            Self::And(parts) => parts.iter().all(|part| part.matches(record)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(record)),
            Self::Not(part) => !part.matches(record),
            Self::Compare { field, op, operand } => record
                .fields
                .get(field)
                .and_then(|value| operand.order_of(value))
                .is_some_and(|order| op.accepts(order)),
            Self::In { field, operands } => {
                record.fields.get(field).is_some_and(|value| operands.iter().any(|operand| operand.equals(value)))
            }
            Self::ContainsText { field, folded } => record
                .fields
                .get(field)
                .and_then(Value::as_text)
                .is_some_and(|text| fold(text).contains(folded.as_str())),
            Self::ContainsElement { field, element } => {
                record.fields.get(field).is_some_and(|value| value.elements().iter().any(|value| element.equals(value)))
            }
            Self::Exists { field } => record.fields.contains_key(field),
            Self::Affects(affects) => record.affected.iter().any(|affected| affects.matches(affected)),
        }
    }
}

impl Affects {
    fn matches(&self, affected: &Affected) -> bool {
        self.ecosystem == affected.ecosystem
            && self.suffix.as_ref().is_none_or(|suffix| *suffix == affected.suffix)
            && self.package == affected.package
            && match &self.version {
                AffectedVersion::Key(key) => affected.intervals.iter().any(|interval| interval.contains(key)),
                AffectedVersion::Literal { text, .. } => affected.literals.contains(text),
            }
    }
}

impl Operand {
    /// How a record's value stands to this one; `None` where their types differ.
    fn order_of(&self, value: &Value) -> Option<Ordering> {
        match (value, self) {
            (Value::Text(value), Self::Text(operand)) => Some(value.cmp(operand)),
            (Value::Integer(value), Self::Integer(operand)) => Some(value.cmp(operand)),
            (Value::Float(value), Self::Float(operand)) => value.partial_cmp(operand),
            (Value::Boolean(value), Self::Boolean(operand)) => Some(value.cmp(operand)),
            (Value::Timestamp(value), Self::Timestamp(operand)) => Some(value.cmp(operand)),
            (Value::Version { key, .. }, Self::Version(operand)) => Some(key.cmp(operand)),
            _ => None,
        }
    }

    fn equals(&self, value: &Value) -> bool {
        self.order_of(value) == Some(Ordering::Equal)
    }
}

impl Op {
    /// Whether a value that stands so to the operand satisfies the comparison.
    pub fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
        }
    }
}
