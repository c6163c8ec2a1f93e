//! A predicate as SQL over `record r`: two-valued, every value bound.

use super::layout::Layout;
use super::sql::{SqlValue, Statement};
use crate::filter::{AffectedVersion, Affects, Op, Operand, Predicate};
use crate::schema::FieldType;

/// Appends `predicate` as an expression that is 0 or 1, never NULL.
pub(super) fn push(statement: &mut Statement, layout: &Layout, predicate: &Predicate) {
    match predicate {
        Predicate::True => drop(statement.push("1")),
        Predicate::False => drop(statement.push("0")),
        Predicate::And(parts) => joined(statement, layout, parts, " AND "),
        Predicate::Or(parts) => joined(statement, layout, parts, " OR "),
        Predicate::Not(part) => {
            statement.push("NOT (");
            push(statement, layout, part);
            statement.push(")");
        }
        Predicate::Compare { field, op, operand } => compare(statement, layout, field, *op, operand),
        Predicate::In { field, operands } => {
            let column = column(layout, field);
            statement.push(&format!("({column} IS NOT NULL AND {column} IN ("));
            push_list(statement, operands);
            statement.push("))");
        }
        Predicate::ContainsText { field, folded } => {
            let number = layout.field(field).map_or(0, |(number, _)| number);
            statement
                .push(&format!("r.row IN (SELECT row FROM folded WHERE instr(c{number}, "))
                .bind(folded.as_str())
                .push(") > 0)");
        }
        Predicate::ContainsElement { field, element } => {
            let number = layout.field(field).map_or(0, |(number, _)| number);
            statement
                .push(&format!("r.row IN (SELECT row FROM element WHERE field = {number} AND value = "))
                .bind(element_text(element))
                .push(")");
        }
        Predicate::Exists { field } => exists(statement, layout, field),
        Predicate::Affects(affects) => push_affects(statement, affects),
    }
}

/// As a balanced tree: the database parses `a OR b OR c …` as deep as it is long, and takes no more than 1,000 levels.
fn joined(statement: &mut Statement, layout: &Layout, parts: &[Predicate], word: &str) {
    if let [only] = parts {
        return push(statement, layout, only);
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    statement.push("(");
    joined(statement, layout, left, word);
    statement.push(word);
    joined(statement, layout, right, word);
    statement.push(")");
}

/// The expression that holds a field of one value. Texts are read from the fields that answers show.
pub(super) fn column(layout: &Layout, field: &str) -> String {
    match layout.field(field) {
        None => "r.id".to_owned(),
        // Field names are letters, digits and `_`, so the path needs no escaping; the schema sees to that.
        Some((_, declared)) if declared.ty == FieldType::Text => {
            format!("(SELECT json_extract(t.fields, '$.\"{field}\"') FROM content t WHERE t.row = r.row)")
        }
        Some((number, _)) => format!("r.f{number}"),
    }
}

fn compare(statement: &mut Statement, layout: &Layout, field: &str, op: Op, operand: &Operand) {
    let sign = match op {
        Op::Eq => "=",
        Op::Ne => "<>",
        Op::Gt => ">",
        Op::Gte => ">=",
        Op::Lt => "<",
        Op::Lte => "<=",
    };
    let column = column(layout, field);
    statement.push(&format!("({column} IS NOT NULL AND {column} {sign} ")).bind(sql_value(operand)).push(")");
}

/// Integers and texts travel as one JSON array, so that ten thousand of them are one bound value.
fn push_list(statement: &mut Statement, operands: &[Operand]) {
    let json: Option<Vec<serde_json::Value>> = operands
        .iter()
        .map(|operand| match operand {
            Operand::Text(text) => Some(text.as_str().into()),
            Operand::Integer(integer) => Some((*integer).into()),
            Operand::Boolean(boolean) => Some(i64::from(*boolean).into()),
            Operand::Timestamp(at) => Some(at.to_sortable().into()),
            Operand::Float(_) | Operand::Version(_) => None,
        })
        .collect();
    if let Some(json) = json {
        statement.push("SELECT value FROM json_each(").bind(serde_json::Value::from(json).to_string()).push(")");
        return;
    }
    for (i, operand) in operands.iter().enumerate() {
        if i > 0 {
            statement.push(",");
        }
        statement.bind(sql_value(operand));
    }
}

fn exists(statement: &mut Statement, layout: &Layout, field: &str) {
    match layout.field(field) {
        None => statement.push("1"),
        Some((number, declared)) if declared.list => {
            statement.push(&format!("r.row IN (SELECT row FROM element WHERE field = {number})"))
        }
        Some((number, declared)) if declared.ty == FieldType::Text => {
            statement.push(&format!("r.row IN (SELECT row FROM folded WHERE c{number} IS NOT NULL)"))
        }
        Some((number, _)) => statement.push(&format!("r.f{number} IS NOT NULL")),
    };
}

fn push_affects(statement: &mut Statement, affects: &Affects) {
    let table = match affects.version {
        AffectedVersion::Key(_) => "affected",
        AffectedVersion::Literal { .. } => "affected_literal",
    };
    statement.push(&format!("r.row IN (SELECT row FROM {table} WHERE package = ")).bind(affects.package.as_str());
    statement.push(" AND ecosystem = ").bind(affects.ecosystem.name());
    if let Some(suffix) = &affects.suffix {
        statement.push(" AND suffix = ").bind(suffix.as_str());
    }
    match &affects.version {
        AffectedVersion::Key(key) => {
            let key = SqlValue::Blob(key.as_bytes().to_vec());
            statement.push(" AND low <= ").bind(key.clone()).push(" AND (high IS NULL OR high > ").bind(key).push("))");
        }
        AffectedVersion::Literal { text, .. } => {
            statement.push(" AND version = ").bind(text.as_str()).push(")");
        }
    }
}

/// A value as its column holds it.
pub(super) fn sql_value(operand: &Operand) -> SqlValue {
    match operand {
        Operand::Text(text) => text.as_str().into(),
        Operand::Integer(integer) => SqlValue::Integer(*integer),
        Operand::Float(float) => SqlValue::Real(*float),
        Operand::Boolean(boolean) => SqlValue::Integer(i64::from(*boolean)),
        Operand::Timestamp(at) => at.to_sortable().into(),
        Operand::Version(key) => SqlValue::Blob(key.as_bytes().to_vec()),
    }
}

/// An element of a list as `element` holds it: one text for each value of a type.
pub(super) fn element_text(operand: &Operand) -> String {
    match operand {
        Operand::Text(text) => text.clone(),
        Operand::Integer(integer) => integer.to_string(),
        // Zero and minus zero are equal.
        Operand::Float(float) => format!("{:016x}", (float + 0.0).to_bits()),
        Operand::Boolean(boolean) => boolean.to_string(),
        Operand::Timestamp(at) => at.to_sortable(),
        Operand::Version(key) => key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
