//! The JSON form of a filter.

use serde_json::{Map, Value as Json};
use ucap_core::Result;

use super::{Budget, Filter, Limits, Literal, Op, invalid};
use crate::schema::{excerpt, kind_of};

const OPERATORS: &str = "and, or, not, eq, ne, gt, gte, lt, lte, in, contains, exists or affects";

pub(super) fn read(json: &Json, limits: &Limits) -> Result<Filter> {
    node(json, 1, &mut Budget::new(limits))
}

fn node(json: &Json, depth: usize, budget: &mut Budget) -> Result<Filter> {
    budget.node(depth)?;
    let Json::Object(object) = json else {
        return Err(invalid(format!(
            "a filter is an object with one operator, got {}: use {OPERATORS}",
            kind_of(json)
        )));
    };
    let mut entries = object.iter();
    let (Some((operator, operand)), None) = (entries.next(), entries.next()) else {
        let names: Vec<String> = object.keys().take(4).map(|key| format!("`{}`", excerpt(key))).collect();
        let got = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(invalid(format!(
            "a filter object has exactly one operator, got {got}: combine several with `and`"
        )));
    };
    match operator.as_str() {
        "and" => Ok(Filter::all(list("and", operand, depth, budget)?)),
        "or" => Ok(Filter::any(list("or", operand, depth, budget)?)),
        "not" => Ok(Filter::Not(Box::new(node(operand, depth + 1, budget)?))),
        "eq" => compare(Op::Eq, operand),
        "ne" => compare(Op::Ne, operand),
        "gt" => compare(Op::Gt, operand),
        "gte" => compare(Op::Gte, operand),
        "lt" => compare(Op::Lt, operand),
        "lte" => compare(Op::Lte, operand),
        "contains" => {
            let (field, value) = one_field("contains", operand)?;
            Ok(Filter::Contains { field: field.to_owned(), value: literal("contains", field, value)? })
        }
        "in" => membership(operand, budget),
        "exists" => match operand {
            Json::String(field) => Ok(Filter::Exists(field.clone())),
            other => Err(invalid(format!("`exists` wants the name of a field, got {}", kind_of(other)))),
        },
        "affects" => affects(operand),
        other => Err(invalid(format!("unknown operator `{}` in the filter: use {OPERATORS}", excerpt(other)))),
    }
}

fn list(operator: &str, operand: &Json, depth: usize, budget: &mut Budget) -> Result<Vec<Filter>> {
    let Json::Array(parts) = operand else {
        return Err(invalid(format!("`{operator}` wants a list of filters, got {}", kind_of(operand))));
    };
    parts.iter().map(|part| node(part, depth + 1, budget)).collect()
}

fn compare(op: Op, operand: &Json) -> Result<Filter> {
    let (field, value) = one_field(op.name(), operand)?;
    Ok(Filter::Compare { field: field.to_owned(), op, value: literal(op.name(), field, value)? })
}

fn membership(operand: &Json, budget: &Budget) -> Result<Filter> {
    let (field, values) = one_field("in", operand)?;
    let Json::Array(values) = values else {
        return Err(invalid(format!(
            "`in` wants a list of values for field `{}`, got {}",
            excerpt(field),
            kind_of(values)
        )));
    };
    budget.values(values.len())?;
    let values = values.iter().map(|value| literal("in", field, value)).collect::<Result<_>>()?;
    Ok(Filter::In { field: field.to_owned(), values })
}

/// The one field of `{"operator":{"field":value}}` and its value.
fn one_field<'a>(operator: &str, operand: &'a Json) -> Result<(&'a str, &'a Json)> {
    let got = match operand {
        Json::Object(object) => {
            let mut entries = object.iter();
            match (entries.next(), entries.next()) {
                (Some((field, value)), None) => return Ok((field, value)),
                (None, _) => "an empty object".to_owned(),
                (Some(_), Some(_)) => format!("{} fields: combine several with `and`", object.len()),
            }
        }
        other => kind_of(other).to_owned(),
    };
    Err(invalid(format!("`{operator}` wants an object with one field and its value, got {got}")))
}

fn literal(operator: &str, field: &str, json: &Json) -> Result<Literal> {
    let literal = match json {
        Json::String(text) => Some(Literal::Text(text.clone())),
        Json::Number(number) => Literal::from_number(number),
        Json::Bool(boolean) => Some(Literal::Boolean(*boolean)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    literal.ok_or_else(|| {
        let hint = if json.is_null() { "; use `exists` to ask for presence" } else { "" };
        invalid(format!(
            "`{operator}` wants a string, a number or a boolean for field `{}`, got {}{hint}",
            excerpt(field),
            kind_of(json)
        ))
    })
}

fn affects(operand: &Json) -> Result<Filter> {
    const KEYS: [&str; 3] = ["ecosystem", "package", "version"];
    let Json::Object(object) = operand else {
        return Err(invalid(format!(
            "`affects` wants an object with ecosystem, package and version, got {}",
            kind_of(operand)
        )));
    };
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(invalid(format!(
            "unknown key `{}` in `affects`: use ecosystem, package and version",
            excerpt(key)
        )));
    }
    let [ecosystem, package, version] = KEYS.map(|key| affects_part(object, key));
    Ok(Filter::Affects { ecosystem: ecosystem?, package: package?, version: version? })
}

fn affects_part(object: &Map<String, Json>, key: &str) -> Result<String> {
    match object.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(other) => Err(invalid(format!("`{key}` of `affects` wants a string, got {}", kind_of(other)))),
        None => Err(invalid(format!("`affects` wants `{key}`"))),
    }
}
