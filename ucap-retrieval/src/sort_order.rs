//! The order of pages: what a backend sorts by, and what the retriever merges several of them by.

use std::cmp::Ordering;

use crate::datastore::SortValue;
use crate::query::SortKey;

/// How two records stand by these sort values. A missing value comes last either way.
pub(crate) fn sort_order(keys: &[SortKey], a: &[SortValue], b: &[SortValue]) -> Ordering {
    for ((key, a), b) in keys.iter().zip(a).zip(b) {
        let order = match (a, b) {
            (SortValue::Missing, SortValue::Missing) => Ordering::Equal,
            (SortValue::Missing, _) => return Ordering::Greater,
            (_, SortValue::Missing) => return Ordering::Less,
            _ if key.descending => value_order(b, a),
            _ => value_order(a, b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Numbers before texts before keys, as SQLite orders its storage classes: fields of one name may differ in type.
fn value_order(a: &SortValue, b: &SortValue) -> Ordering {
    use SortValue::{Bytes, Float, Integer, Missing, Text};
    fn class(value: &SortValue) -> u8 {
        match value {
            Integer(_) | Float(_) => 0,
            Text(_) => 1,
            Bytes(_) => 2,
            Missing => 3,
        }
    }
    match (a, b) {
        (Integer(a), Integer(b)) => a.cmp(b),
        // `total_cmp` would tell zero from minus zero, which the databases do not.
        (Float(a), Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Integer(a), Float(b)) => integer_order(*a, *b),
        (Float(a), Integer(b)) => integer_order(*b, *a).reverse(),
        (Text(a), Text(b)) => a.cmp(b),
        (Bytes(a), Bytes(b)) => a.cmp(b),
        _ => class(a).cmp(&class(b)),
    }
}

/// Exact: the float's whole part is compared as an integer, then its fraction.
fn integer_order(a: i64, b: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if b >= TWO_TO_63 {
        return Ordering::Less;
    }
    if b < -TWO_TO_63 {
        return Ordering::Greater;
    }
    a.cmp(&(b.trunc() as i64)).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal))
}
