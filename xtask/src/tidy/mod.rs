//! `cargo xtask tidy`: the rules that no compiler checks. What they are stands in `xtask/tidy.toml`, exceptions with their reasons too.

mod manifests;
mod sources;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{self, Result};

/// The parts of `tidy.toml`.
#[derive(Debug, Default)]
struct Rules {
    edges: BTreeMap<String, Vec<String>>,
    file_lines: usize,
    function_lines: usize,
    names: Vec<String>,
    large_files: BTreeMap<String, String>,
    words: Vec<WordRule>,
}

/// Words that may not stand in files with certain endings.
#[derive(Debug)]
struct WordRule {
    endings: Vec<String>,
    texts: Vec<String>,
    reason: String,
}

/// What the rules found.
#[derive(Debug, Default)]
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, path: &str, line: Option<usize>, what: impl std::fmt::Display) {
        self.errors.push(place(path, line, what));
    }

    fn warning(&mut self, path: &str, line: Option<usize>, what: impl std::fmt::Display) {
        self.warnings.push(place(path, line, what));
    }
}

fn place(path: &str, line: Option<usize>, what: impl std::fmt::Display) -> String {
    line.map_or_else(|| format!("{path}: {what}"), |line| format!("{path}:{line}: {what}"))
}

pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let rules = Rules::read(&root.join("xtask/tidy.toml"))?;
    let mut findings = Findings::default();
    let mut read = 0_usize;
    for file in files(&root)? {
        let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        sources::check_name(&path, &rules, &mut findings);
        if !is_text(&path) {
            continue;
        }
        let text = fs::read_to_string(&file).map_err(|error| format!("{path} cannot be read: {error}"))?;
        read += 1;
        if path.ends_with(".rs") {
            sources::check(&path, &text, &rules, &mut findings);
        }
        if path.ends_with("Cargo.toml") {
            manifests::check(&path, &text, &rules, &mut findings);
        }
        words::check(&path, &text, &rules, &mut findings);
    }
    for path in rules.large_files.keys().filter(|path| !root.join(path).is_file()) {
        findings.error("xtask/tidy.toml", None, format!("the exception for {path} is for a file that is not there"));
    }
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    println!("tidy: {read} files, {} errors, {} warnings", findings.errors.len(), findings.warnings.len());
    if findings.errors.is_empty() { Ok(()) } else { Err("the rules of xtask/tidy.toml do not hold".into()) }
}

/// All files of the repository, in a fixed order; what is built and what is hidden apart (`.ci` is looked at).
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && name != ".ci";
            let kind = entry.file_type().map_err(|error| format!("{name}: {error}"))?;
            if kind.is_dir() && !hidden && !matches!(name.as_str(), "target" | "ucap-data" | "__pycache__") {
                folders.push(entry.path());
            } else if kind.is_file() && !hidden {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_text(path: &str) -> bool {
    [".rs", ".toml", ".md", ".py"].iter().any(|ending| path.ends_with(ending)) || path == ".ci/run"
}

impl Rules {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|error| format!("xtask/tidy.toml: {error}"))?;
        let limit = |name: &str| {
            let value = table.get("sizes").and_then(|sizes| sizes.get(name)).and_then(toml::Value::as_integer);
            value
                .and_then(|lines| usize::try_from(lines).ok())
                .ok_or(format!("xtask/tidy.toml: sizes.{name} is missing"))
        };
        let edges = table.get("edges").and_then(toml::Value::as_table).into_iter().flatten();
        let large = entries(&table, "large_files");
        let mut large_files = BTreeMap::new();
        for entry in large {
            let (path, reason) = (string(entry, "path"), string(entry, "reason"));
            if reason.trim().is_empty() {
                return Err(format!("xtask/tidy.toml: the exception for {path:?} needs a reason"));
            }
            large_files.insert(path, reason);
        }
        Ok(Self {
            edges: edges.map(|(name, may)| (name.clone(), strings(Some(may)))).collect(),
            file_lines: limit("file")?,
            function_lines: limit("function")?,
            names: strings(table.get("names").and_then(|names| names.get("forbidden"))),
            large_files,
            words: entries(&table, "words")
                .map(|entry| WordRule {
                    endings: strings(entry.get("in")),
                    texts: strings(entry.get("text")),
                    reason: string(entry, "reason"),
                })
                .collect(),
        })
    }
}

fn entries<'a>(table: &'a toml::Table, name: &str) -> impl Iterator<Item = &'a toml::Value> {
    table.get(name).and_then(toml::Value::as_array).into_iter().flatten()
}

fn string(entry: &toml::Value, name: &str) -> String {
    entry.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

fn strings(list: Option<&toml::Value>) -> Vec<String> {
    let items = list.and_then(toml::Value::as_array).into_iter().flatten();
    items.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}
