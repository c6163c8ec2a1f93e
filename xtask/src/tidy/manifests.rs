//! Rules about `Cargo.toml`: who may use whom, and that every package inherits the workspace's lints.

use super::{Findings, Rules};

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(path: &str, text: &str, rules: &Rules, findings: &mut Findings) {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return findings.error(path, None, error),
    };
    let Some(package) = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str)
    else {
        return;
    };
    let inherits = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if inherits != Some(true) {
        findings.error(path, None, "the workspace's lints are not inherited ([lints] workspace = true)");
    }
    let Some(may) = rules.edges.get(package) else {
        return findings.error(path, None, format!("{package} has no line in the [edges] of xtask/tidy.toml"));
    };
    for (kind, name) in dependencies(&table) {
        // A package may ask for features of its own in its tests.
        if name != package && rules.edges.contains_key(&name) && !may.contains(&name) {
            findings.error(path, None, format!("{package} may not use {name} ({kind})"));
        }
    }
}

/// Every dependency with the table it stands in, those of single targets included; renamed ones under their real name.
fn dependencies(table: &toml::Table) -> Vec<(&'static str, String)> {
    let targets = table.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = std::iter::once(table).chain(targets.filter_map(|(_, target)| target.as_table()));
    let mut found = Vec::new();
    for table in tables {
        for kind in KINDS {
            for (name, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let real = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                found.push((kind, real.to_owned()));
            }
        }
    }
    found
}
