//! Rules about Rust files: a header that says what the file is for, sizes, names, and no promise without a name.

use super::{Findings, Rules};

/// File and folder names that say nothing.
pub(super) fn check_name(path: &str, rules: &Rules, findings: &mut Findings) {
    for part in path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if rules.names.iter().any(|name| name == stem) {
            findings.error(path, None, format!("`{stem}` says nothing about what is inside"));
        }
    }
}

pub(super) fn check(path: &str, text: &str, rules: &Rules, findings: &mut Findings) {
    if !text.starts_with("//!") {
        findings.error(path, Some(1), "the file does not begin with a `//!` that says what it is for");
    }
    check_promises(path, text, findings);
    if is_test_file(path) {
        return;
    }
    let lines: Vec<&str> = text.lines().collect();
    let production = lines_without_tests(&lines);
    if production > rules.file_lines && !rules.large_files.contains_key(path) {
        findings.error(path, None, format!("{production} lines; at most {} (tests apart)", rules.file_lines));
    }
    for (line, length) in functions(&lines[..production]) {
        if length > rules.function_lines {
            findings.warning(
                path,
                Some(line),
                format!("a function of {length} lines; better at most {}", rules.function_lines),
            );
        }
    }
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs" || name.ends_with("_tests.rs") || path.split('/').any(|part| part == "tests")
}

/// How many lines there are before the test module at the end.
fn lines_without_tests(lines: &[&str]) -> usize {
    let module = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(module).unwrap_or(lines.len())
}

/// The functions of formatted source: first line (from 1) and number of lines. A function that has a body ends at the first line that is
/// a closing brace at its own indentation.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indentation = line.len() - code.len();
        if !is_function(code) {
            continue;
        }
        let closing =
            |line: &&str| line.len() - line.trim_start().len() == indentation && line.trim_end().ends_with('}');
        let declaration =
            |line: &&str| line.trim_end().ends_with(';') && line.len() - line.trim_start().len() == indentation;
        let end = lines[start..].iter().position(|line| closing(line) || declaration(line));
        found.push((start + 1, end.unwrap_or(0) + 1));
    }
    found
}

fn is_function(code: &str) -> bool {
    let mut words = code.split_whitespace();
    let qualifier =
        |word: &str| matches!(word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(");
    words.find(|word| !qualifier(word) && !word.ends_with(')')).is_some_and(|word| word == "fn")
}

/// Something left to do names who does it: an unnamed promise is nobody's.
fn check_promises(path: &str, text: &str, findings: &mut Findings) {
    for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        for (number, line) in text.lines().enumerate() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            let unnamed = comment.split_once(word).is_some_and(|(_, rest)| !rest.starts_with('('));
            if unnamed {
                findings.error(path, Some(number + 1), format!("{word} without an owner: write {word}(name)"));
            }
        }
    }
}
