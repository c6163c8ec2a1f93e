//! Records with the fields that their datasource declares.

use std::collections::BTreeMap;

use ucap_core::{Error, Result};

use crate::record::{Parsed, Record};
use crate::schema::{Schema, excerpt};
use crate::value::Value;

pub(crate) fn read(schema: &Schema, parsed: Parsed) -> Result<Record> {
    let mut fields = BTreeMap::new();
    for (name, json) in &parsed.entries {
        let Some(field) = schema.field(name) else {
            let name = excerpt(name);
            return Err(Error::invalid(
                &*name,
                format!("field `{name}` is not declared in the datasource's schema: add it there or leave it out"),
            ));
        };
        if let Some(value) = Value::from_json(name, field, json)? {
            fields.insert(name.clone(), value);
        }
    }
    let texts: Vec<String> = schema.text.iter().map(|name| fields.get(name).map(text_of).unwrap_or_default()).collect();
    let mut record = Record::new(parsed.id, fields, parsed.original);
    record.vector = parsed.vector;
    // With one text field there is no title; the first of several is one.
    match texts.split_first() {
        Some((title, others)) if !others.is_empty() => record.set_texts(title, others.iter().map(String::as_str)),
        _ => record.set_texts("", texts.iter().map(String::as_str)),
    }
    Ok(record)
}

/// The text of a field; elements of a list stand one a line.
fn text_of(value: &Value) -> String {
    value.elements().iter().filter_map(Value::as_text).collect::<Vec<_>>().join("\n")
}
