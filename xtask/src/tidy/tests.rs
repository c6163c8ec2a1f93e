//! Each rule finds what breaks it and lets pass what does not.

use super::{Findings, Rules, manifests, sources, words};

const RULES: &str = r#"
[edges]
low = []
high = ["low"]
[sizes]
file = 10
function = 3
[names]
forbidden = ["utils"]
[[large_files]]
path = "high/src/tables.rs"
reason = "a generated table"
[[words]]
in = [".md"]
text = ["helper"]
reason = "no"
"#;

fn rules() -> Rules {
    Rules::parse(RULES).expect("the rules are valid")
}

#[track_caller]
fn check_manifest(text: &str, wrong: &[&str]) {
    let mut findings = Findings::default();
    manifests::check("high/Cargo.toml", text, &rules(), &mut findings);
    check(&findings.errors, wrong);
}

#[track_caller]
fn check_source(path: &str, text: &str, wrong: &[&str]) -> Findings {
    let mut findings = Findings::default();
    sources::check_name(path, &rules(), &mut findings);
    sources::check(path, text, &rules(), &mut findings);
    check(&findings.errors, wrong);
    findings
}

#[track_caller]
fn check(found: &[String], wrong: &[&str]) {
    let fits = found.len() == wrong.len() && found.iter().zip(wrong).all(|(found, wrong)| found.contains(wrong));
    assert!(fits, "found {found:?}, expected {wrong:?}");
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let manifest = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}");
    check_manifest(&manifest("high", "[dependencies]\nlow.workspace = true\nserde = \"1\""), &[]);
    check_manifest(&manifest("low", "[dependencies]\nhigh.workspace = true"), &["low may not use high (dependencies)"]);
    check_manifest(&manifest("low", "[dev-dependencies]\nhigh = { path = \"../high\" }"), &["(dev-dependencies)"]);
    check_manifest(&manifest("low", "[target.'cfg(unix)'.dependencies]\nhigh.workspace = true"), &["may not use high"]);
    check_manifest(
        &manifest("low", "[dependencies]\nother = { package = \"high\", path = \"..\" }"),
        &["may not use high"],
    );
    check_manifest(&manifest("high", "[dev-dependencies]\nhigh = { path = \".\", features = [\"conformance\"] }"), &[]);
    check_manifest(&manifest("unknown", ""), &["no line in the [edges]"]);
    check_manifest("[package]\nname = \"low\"", &["lints are not inherited"]);
    check_manifest("[workspace]\nmembers = []", &[]);
    check_manifest("[package", &["high/Cargo.toml"]);
}

#[test]
fn a_file_says_what_it_is_for() {
    check_source("a.rs", "//! What it is for.\nfn f() {}\n", &[]);
    check_source("a.rs", "use std::fs;\n", &["does not begin with a `//!`"]);
    check_source("a.rs", "", &["does not begin with a `//!`"]);
}

#[test]
fn files_have_a_size_apart_from_their_tests() {
    let long = format!("//! Header.\n{}", "// line\n".repeat(10));
    check_source("high/src/a.rs", &long, &["11 lines; at most 10"]);
    check_source("high/src/tables.rs", &long, &[]);
    check_source("high/src/a_tests.rs", &long, &[]);
    check_source("high/tests/a.rs", &long, &[]);
    let tested = format!("//! Header.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(20));
    check_source("high/src/a.rs", &tested, &[]);
}

#[test]
fn long_functions_are_pointed_out() {
    let source = "//! Header.\nimpl A {\n    pub(crate) async fn long(\n        &self,\n    ) -> u8 {\n        1\n    }\n\n    fn short() {}\n}\n";
    let findings = check_source("a.rs", source, &[]);
    check(&findings.warnings, &["a.rs:3: a function of 5 lines"]);
}

#[test]
fn names_say_what_is_inside() {
    check_source("high/src/utils/a.rs", "//! A.\n", &["`utils` says nothing"]);
    check_source("high/src/utils.rs", "//! A.\n", &["`utils` says nothing"]);
    check_source("high/src/utilities.rs", "//! A.\n", &[]);
}

#[test]
fn promises_have_an_owner() {
    let word = concat!("TO", "DO");
    check_source("a.rs", &format!("//! A.\n// {word}: later\n"), &["without an owner"]);
    check_source("a.rs", &format!("//! A.\n// {word}(ana): later\nconst A: &str = \"{word} junto\";\n"), &[]);
}

#[test]
fn an_exception_needs_a_reason() {
    let without = RULES.replace("a generated table", "");
    assert!(Rules::parse(&without).is_err_and(|error| error.contains("needs a reason")));
}

#[test]
fn some_words_have_no_place_in_texts() {
    let found = |path: &str, text: &str| {
        let mut findings = Findings::default();
        words::check(path, text, &rules(), &mut findings);
        findings.errors
    };
    check(&found("README.md", "one\nA Helper did it\n"), &["README.md:2: \"helper\": no"]);
    check(&found("README.md", "whelper\n"), &[]);
    check(&found("a.rs", "// helper\n"), &[]);
}
